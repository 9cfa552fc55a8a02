"""A plot as plain SVG: what is printed, and what is seen where no script runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labctl.report.html import Html, el
from labctl.report.panels import Line, Panel
from labctl.report.story import Series
from labctl.report.thin import thinned

WIDTH, TALL, LOW = 720.0, 230.0, 130.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 10.0, 12.0, 26.0
MOST_POINTS = 400
CHARACTER = 5.5
"""Width of a character of a label, about."""
_HOURS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 24.0)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Places values from `low` to `high` between two pixels; logarithmic if asked."""

    low: float
    high: float
    first: float
    last: float
    log: bool = False

    def at(self, value: float) -> float:
        """Give the pixel of a value."""
        low, high, here = (
            (math.log10(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return self.first + (here - low) / (high - low) * (self.last - self.first)


def svg(panel: Panel) -> Html:
    """Draw a panel: axes, what happened, lines, gaps left open."""
    height = TALL if panel.tall else LOW
    across = _Scale(*panel.x_range, LEFT, WIDTH - RIGHT)
    up = _value_scale(panel, height)
    parts = [_value_axis(up), _other_axis(panel, across, height)]
    parts.append(_events(panel, across, height))
    parts += [_polyline(line, across, up) for line in panel.lines]
    return el(
        "svg",
        *parts,
        class_="still",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_label=f"{panel.title} in {panel.unit}",
    )


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Give round values from `low` to `high`, about as many as asked.

    >>> ticks(0.0, 320.0)
    [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]
    """
    rough = (high - low) / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = min((m * size for m in (1.0, 2.0, 5.0, 10.0)), key=lambda s: abs(s - rough))
    return [
        step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def decades(low: float, high: float) -> list[float]:
    """Give the powers of ten from `low` to `high`.

    >>> decades(0.05, 1100.0)
    [0.1, 1.0, 10.0, 100.0, 1000.0]
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1)]


def _value_scale(panel: Panel, height: float) -> _Scale:
    known = [v for line in panel.lines for v in line.series.values if v is not None]
    low, high = min(known), max(known)
    if panel.log:
        return _Scale(low / 1.5, high * 3, height - BOTTOM, TOP, log=True)
    pad = (high - low) * 0.05 or max(abs(high), 1.0) * 0.05
    return _Scale(low - pad, high + pad, height - BOTTOM, TOP)


def _value_axis(up: _Scale) -> Html:
    at = decades(up.low, up.high) if up.log else ticks(up.low, up.high)
    rows: list[Html] = []
    for value in at:
        y = f"{up.at(value):.1f}"
        rows.append(el("line", x1=f"{LEFT:g}", x2=f"{WIDTH - RIGHT:g}", y1=y, y2=y, class_="grid"))
        rows.append(el("text", f"{value:.6g}", x=f"{LEFT - 6:g}", y=y, class_="tick-y"))
    return el("g", rows)


def _other_axis(panel: Panel, across: _Scale, height: float) -> Html:
    rows: list[Html] = []
    for value, label in _x_ticks(panel):
        x = f"{across.at(value):.1f}"
        y1, y2 = f"{TOP:g}", f"{height - BOTTOM:g}"
        rows.append(el("line", x1=x, x2=x, y1=y1, y2=y2, class_="grid"))
        rows.append(el("text", label, x=x, y=f"{height - BOTTOM + 16:g}", class_="tick-x"))
    return el("g", rows)


def _x_ticks(panel: Panel) -> list[tuple[float, str]]:
    low, high = panel.x_range
    if panel.x_unit == "nm":
        return [(nm, f"{nm:g} nm") for nm in ticks(low, high, 7)]
    step = next((step for step in _HOURS if (high - low) / 3600 / step <= 9), _HOURS[-1])
    first, last = math.ceil(low / 3600 / step), math.floor(high / 3600 / step)
    return [(i * step * 3600, f"{i * step:g} h") for i in range(first, last + 1)]


def _events(panel: Panel, across: _Scale, height: float) -> Html:
    """Draw what happened; a label that would run into an earlier one is left out."""
    rows: list[Html] = []
    taken: list[tuple[float, float]] = []
    for event in panel.events:
        x = across.at(event.t_s)
        at, bottom = f"{x:.1f}", f"{height - BOTTOM:g}"
        kind = f"event {event.kind}"
        rows.append(el("line", x1=at, x2=at, y1=f"{TOP:g}", y2=bottom, class_=kind))
        wide = CHARACTER * len(event.label)
        start = x - wide - 3 if x + wide > WIDTH else x + 3
        if all(start > right or start + wide < left for left, right in taken):
            place = {"x": f"{start:.1f}", "y": f"{TOP + 8:g}"}
            rows.append(el("text", event.label, class_=kind, **place))
            taken.append((start - 4, start + wide + 4))
    return el("g", rows)


def _polyline(line: Line, across: _Scale, up: _Scale) -> Html:
    series = thinned(line.series, MOST_POINTS)
    looks = " dashed" if line.dashed else " dots" if line.dots else ""
    path = _path(series, across, up, dots=line.dots)
    return el("path", d=path, class_=f"line s{(line.colour - 1) % 8 + 1}{looks}")


def _path(series: Series, across: _Scale, up: _Scale, *, dots: bool) -> str:
    made: list[str] = []
    pen = "M"
    for t_s, value in zip(series.t_s, series.values, strict=True):
        if value is None:
            pen = "M"
            continue
        made.append(f"{pen}{across.at(t_s):.1f} {up.at(value):.1f}{'h0' if dots else ''}")
        pen = "M" if dots else "L"
    return "".join(made)
