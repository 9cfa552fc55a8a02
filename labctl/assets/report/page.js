// Draws the live plots from the embedded data; without it the page shows still pictures.
"use strict";
(() => {
  const given = JSON.parse(document.getElementById("plot-data").textContent);
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const dimmed = (colour, alpha) => colour + Math.round(alpha * 255).toString(16).padStart(2, "0");
  const timed = [];
  const all = [];
  let syncing = false;

  const clock = (s) => {
    const whole = Math.round(s);
    const two = (n) => String(n).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  };
  const short = (s, step) => (step < 60 ? clock(s) : clock(s).slice(0, -3));
  const plain = (v) => (v == null ? "–" : String(Number(v.toPrecision(5))));
  const TIMES = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400];

  function zoom(from, to) {
    for (const plot of timed) plot.setScale("x", { min: from, max: to });
    for (const button of document.querySelectorAll(".stages button")) {
      button.classList.toggle("on", Number(button.dataset.from) === from && Number(button.dataset.to) === to);
    }
  }

  function follow(plot, key) {
    if (key !== "x" || syncing || !timed.includes(plot)) return;
    syncing = true;
    zoom(plot.scales.x.min, plot.scales.x.max);
    syncing = false;
  }

  function bands(plot, panel) {
    if (panel.x !== "s") return;
    const { left, top, width, height } = plot.bbox;
    plot.ctx.save();
    plot.ctx.beginPath();
    plot.ctx.rect(left, top, width, height);
    plot.ctx.clip();
    given.stages.forEach(([, from, to], i) => {
      if (i % 2) return;
      const x = plot.valToPos(from, "x", true);
      plot.ctx.fillStyle = dimmed(css("--ink"), 0.03);
      plot.ctx.fillRect(x, top, plot.valToPos(to, "x", true) - x, height);
    });
    plot.ctx.restore();
  }

  function events(plot, panel) {
    const { left, top, width, height } = plot.bbox;
    const ctx = plot.ctx, ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    const taken = [];
    for (const [t, label, kind] of panel.events) {
      const x = plot.valToPos(t, "x", true);
      if (x < left - 1 || x > left + width + 1) continue;
      const colour = { dose: css("--faint"), decision: css("--good"), alarm: css("--bad") }[kind];
      ctx.strokeStyle = ctx.fillStyle = colour;
      ctx.lineWidth = (kind === "decision" ? 1.75 : 0.8) * ratio;
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      const wide = ctx.measureText(label).width;
      const flip = x + wide + 6 * ratio > left + width;
      const start = flip ? x - wide - 4 * ratio : x + 4 * ratio;
      if (taken.every(([from, to]) => start > to || start + wide < from)) {
        ctx.strokeStyle = css("--paper");
        ctx.lineWidth = 3 * ratio;
        ctx.strokeText(label, start, top + 11 * ratio);
        ctx.fillText(label, start, top + 11 * ratio);
        taken.push([start - 6 * ratio, start + wide + 6 * ratio]);
      }
    }
    ctx.restore();
  }

  // The lines of one plot have their own times: look beside the cursor for the nearest value.
  function nearest(plot, series, index) {
    const ys = plot.data[series], xs = plot.data[0];
    if (ys[index] != null || series === 0) return index;
    for (let d = 1; d < 200; d++) {
      const before = ys[index - d], after = ys[index + d];
      if (before === null || after === null) return index;
      if (before !== undefined && xs[index] - xs[index - d] < 600) return index - d;
      if (after !== undefined && xs[index + d] - xs[index] < 600) return index + d;
    }
    return index;
  }

  function axis(extra) {
    return {
      stroke: () => css("--soft"),
      grid: { stroke: () => css("--grid"), width: 1 },
      ticks: { stroke: () => css("--rule"), width: 1, size: 4 },
      font: "11.5px system-ui, sans-serif",
      ...extra,
    };
  }

  function label(line, panel) {
    const key = document.querySelector(`[data-panel="${CSS.escape(panel.id)}"]`).parentNode;
    const words = document.createElement("span");
    words.textContent = line.label;
    const mark = key.querySelectorAll("ul.key li")[panel.lines.indexOf(line)].querySelector(".mark");
    if (mark) words.append(mark.cloneNode(true));
    return words;
  }

  function options(panel, width) {
    const time = panel.x === "s";
    const xAxis = time
      ? { incrs: TIMES, values: (u, at, i, space, step) => at.map((s) => short(s, step)), space: 64 }
      : { values: (u, at) => at.map((nm) => `${nm} nm`), space: 70 };
    return {
      width,
      height: panel.tall ? 250 : 165,
      scales: {
        x: { time: false, auto: false, min: panel.range[0], max: panel.range[1] },
        y: panel.log ? { distr: 3, range: (u, lo, hi) => (lo == null ? [0.1, 1] : [lo / 1.4, hi * 1.6]) } : { range: (u, lo, hi) => pad(lo, hi) },
      },
      axes: [
        axis({ size: 30, ...xAxis }),
        axis({ size: 62, values: (u, at) => at.map(plain), ...(panel.log ? { splits: decades } : {}) }),
      ],
      series: [
        { label: time ? "time" : "at", value: (u, v) => (v == null ? "" : time ? clock(v) : `${v} nm`) },
        ...panel.lines.map((line) => ({
          label: label(line, panel),
          stroke: () => css(`--s${line.colour}`),
          width: 1.4,
          dash: line.dashed ? [6, 4] : undefined,
          paths: line.dots ? () => null : undefined,
          points: { show: line.dots || (line.x.length < 40 && panel.id !== "doses"), size: 4 },
          value: (u, v) => (v == null ? "" : `${plain(v)} ${panel.unit.length < 9 ? panel.unit : ""}`),
        })),
      ],
      legend: { markers: { stroke: (u, i) => `var(--s${panel.lines[i - 1].colour})`, fill: () => "none", width: 2 } },
      cursor: {
        drag: { x: true, y: false },
        sync: time && panel.synced ? { key: "run", setSeries: false, scales: ["x", null] } : undefined,
        dataIdx: nearest,
        points: { size: 6 },
        bind: { dblclick: (u) => () => (panel.synced ? zoom(0, given.end) : u.setScale("x", { min: panel.range[0], max: panel.range[1] })) },
      },
      hooks: {
        drawClear: [(u) => bands(u, panel)],
        draw: [(u) => events(u, panel)],
        setScale: [follow],
      },
    };
  }

  function decades(plot, index, low, high) {
    const from = Math.floor(Math.log10(low)), to = Math.ceil(Math.log10(high));
    const steps = high / low > 100 ? [1] : high / low > 5 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const at = [];
    for (let power = from; power <= to; power++) for (const step of steps) at.push(step * 10 ** power);
    return at.filter((v) => v >= low && v <= high);
  }

  function pad(low, high) {
    if (low == null) return [0, 1];
    const room = (high - low) * 0.06 || Math.max(Math.abs(high), 1) * 0.05;
    return [low - room, high + room];
  }

  function place(panel) {
    const box = document.querySelector(`[data-panel="${CSS.escape(panel.id)}"]`);
    panel.synced = panel.x === "s" && !panel.id.startsWith("decision-");
    const data = uPlot.join(panel.lines.map((line) => [line.x, line.y]));
    const plot = new uPlot(options(panel, box.clientWidth || 720), data, box);
    all.push(plot);
    if (panel.synced) timed.push(plot);
    new ResizeObserver(() => {
      if (box.clientWidth) plot.setSize({ width: box.clientWidth, height: plot.height });
    }).observe(box);
  }

  root.classList.add("js");
  for (const panel of given.panels) place(panel);
  for (const button of document.querySelectorAll(".stages button")) {
    button.addEventListener("click", () => {
      const on = button.classList.contains("on");
      zoom(on ? 0 : Number(button.dataset.from), on ? given.end : Number(button.dataset.to));
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all.forEach((plot) => plot.redraw()));
})();
