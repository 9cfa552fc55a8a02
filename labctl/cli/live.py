"""Shows a running run: redrawn in place in a terminal, plain lines everywhere else."""

from __future__ import annotations

import math
from collections import deque
from typing import TextIO

from labctl.cli.board import View, frame, pressure
from labctl.cli.course import Course
from labctl.cli.text import Paint, columns, rounded, rows
from labctl.clock import NS, wall_s
from labctl.engine.elapsed import Progress
from labctl.engine.run import Run
from labctl.engine.signals import Signals
from labctl.readings import Event, Quality, Reading, Spectrum

REDRAW_S = 0.1
HAPPENED = 3
QUIET = frozenset({
    "left", "valve", "switch", "heater", "warm_line", "step.started", "step.ended",
    "shadow.cleared", "standing", "line", "trap_cold", "trap_warm", "signed",
})  # fmt: skip
"""Events that are in the record, but would flood a screen."""

PRESSURES = ("flask.P", "line.P")
SHORT_NS = 60 * NS


class Lines:
    """One line per thing that happened, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._run: Run | None = None
        self._started_ns: dict[str, int] = {}

    def watch(self, run: Run) -> None:
        """Follow a run."""
        self._run = run
        run.bus.subscribe(self)

    def clear(self) -> None:
        """Nothing to take away: lines stay."""

    def close(self) -> None:
        """Nothing to take down."""

    def __call__(self, message: Reading | Event | Spectrum) -> None:
        """Print an event that a person wants to know."""
        if not isinstance(message, Event):
            return
        step = str(message.data.get("step", ""))
        if message.code == "step.started":
            self._started_ns[step] = message.t_ns
        elif message.code == "step.ended":
            took_ns = message.t_ns - self._started_ns.get(step, message.t_ns)
            if message.message != "done" or took_ns >= SHORT_NS:
                self._print(message, f"{message.message} after {rounded(took_ns / NS)}")
            return
        elif message.code in QUIET:
            return
        self._print(message, message.message)

    def _print(self, event: Event, text: str) -> None:
        run = self._run
        if run is None:
            return
        at = f"{run.clock.local(event.t_ns):%H:%M:%S}"
        ending = event.code.startswith(("safe_state", "aborting"))
        stage, step = ("end", "") if ending else (run.stage, run.step_id)
        step = str(event.data.get("step") or step)
        mark = "" if event.level == "info" else f"{event.level}: "
        try:
            self._stream.write(f"{at}  {stage:<8}  {step:<10}  {mark}{text}\n")
            self._stream.flush()
        except BrokenPipeError:
            self._run = None  # whoever read has gone; the run goes on


class Live:
    """Redraws one block of lines at most every 100 ms of wall time, and when a step changes."""

    def __init__(self, stream: TextIO, unit: str) -> None:
        self._stream = stream
        self._unit = unit
        self._paint = Paint(stream)
        self._run: Run | None = None
        self._course: Course | None = None
        self._due_s = 0.0
        self._drawn = 0
        self._alarms: dict[str, str] = {}
        self._happened: deque[str] = deque(maxlen=HAPPENED)
        self._step = ("", "")

    def watch(self, run: Run) -> None:
        """Follow a run."""
        self._run, self._course = run, Course(run.plan)
        run.bus.subscribe(self)

    def clear(self) -> None:
        """Take the view away until it is drawn again, and give the cursor back."""
        if self._run is not None:
            self._stream.write(f"{self._up()}\x1b[J\x1b[?25h")
            self._stream.flush()
            self._drawn = 0

    def close(self) -> None:
        """Take the view down."""
        self.clear()

    def __call__(self, message: Reading | Event | Spectrum) -> None:
        """Keep what an event says; draw when it is time."""
        if isinstance(message, Event):
            self._keep(message)
        if wall_s() >= self._due_s:
            self.draw()

    def draw(self) -> None:
        """Draw the view over the one before."""
        view = self._view()
        if view is None:
            return
        lines = frame(view, columns() - 1, self._paint)[: rows() - 1]
        body = "".join(f"{line}\x1b[K\n" for line in lines)
        self._stream.write(f"\x1b[?25l{self._up()}{body}\x1b[J")
        self._stream.flush()
        self._drawn = len(lines)
        self._due_s = wall_s() + REDRAW_S

    def _up(self) -> str:
        return f"\r\x1b[{self._drawn}A" if self._drawn else "\r"

    def _keep(self, event: Event) -> None:
        if self._run is None or self._course is None:
            return
        code = event.code
        if code == "step.started":
            step = str(event.data.get("step", ""))
            self._course.started(step, self._run.elapsed.now_s())
            self._step = (step, event.message)
            self._due_s = 0.0
        elif code in {"interlock", "shadow.departs"}:
            self._alarms[str(event.data.get("id"))] = event.message
        elif code in {"interlock.cleared", "shadow.cleared"}:
            self._alarms.pop(str(event.data.get("id")), None)
        if code not in QUIET:
            self._happened.append(f"{self._run.clock.local(event.t_ns):%H:%M} {event.message}")

    def _view(self) -> View | None:
        run, course = self._run, self._course
        if run is None or course is None:
            return None
        now_s = run.elapsed.now_s()
        hands = course.hands(now_s)
        progress = run.elapsed.progress
        ends_s = None if progress is None else progress.ends_s
        left_s = course.left_s(now_s)
        return View(
            title=run.plan.recipe.head.name,
            sample=run.plan.batch.model.sample,
            simulated=run.simulated,
            state=run.machine.state.value,
            now=run.local(),
            elapsed_s=run.clock.now_ns() / NS,
            share=course.behind_s(now_s) / course.total_s if course.total_s else 0.0,
            left_s=left_s,
            stage=course.stage(),
            step=self._step[0] or course.step.step.id,
            does=self._step[1] or "getting ready",
            waits_for="" if progress is None else progress.waits_for,
            countdown_s=None if ends_s is None else ends_s - now_s,
            allowed_s=_allowed_s(progress, now_s),
            flask_c=run.signals.value("flask.T"),
            setpoint_c=run.signals.value(f"{run.plan.rig.entry('heater')[0]}.setpoint"),
            probe2_c=run.signals.value("flask.T2"),
            warm_c=run.signals.value("warm.T"),
            pressures=tuple(self._pressures(run)),
            hot_nm=run.signals.value("peak.hot"),
            cold_nm=run.signals.value("peak.25C"),
            pl_area=run.signals.value("pl.area"),
            needed_in_s=None if hands is None else hands.in_s,
            needed_for="" if hands is None else hands.what,
            deviations=tuple(run.deviations),
            alarms=tuple(self._alarms.values()),
            happened=tuple(self._happened),
        )

    def _pressures(self, run: Run) -> list[tuple[str, str]]:
        return [
            (signal.partition(".")[0], _pressure(run.signals, signal, self._unit))
            for signal in PRESSURES
            if signal in run.plan.rig.model.signals
        ]


def _allowed_s(progress: Progress | None, now_s: float) -> float | None:
    if progress is None or math.isinf(progress.timeout_s):
        return None
    return progress.began_s + progress.timeout_s - now_s


def _pressure(signals: Signals, signal: str, unit: str) -> str:
    low, high = signals.bounds(signal) or (None, None)
    beyond = signals.latest.get(signal)
    if high is not None and beyond is not None and beyond.quality is not Quality.GOOD and low:
        high = math.inf  # a gauge at the upper end of what it can tell
    return pressure(low, high, unit)
