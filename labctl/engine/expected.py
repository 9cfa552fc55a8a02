"""What a run is expected to look like, read from the record of another: a trace for each step."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from labctl.record.reader import NS, Run
from labctl.record.rows import DoseRow, StepRow

Floats = NDArray[np.float64]
BEFORE_S = 180.0
"""Peaks this long before an injection tell where it began."""
AT_END_S = 60.0
"""A dose that ends this long before its step does is followed by other things in that step."""
FRAMES_APART_S = 90.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over s, ascending; both of shape (n,)."""

    t_s: Floats
    values: Floats

    def at(self, t_s: float, apart_s: float = math.inf) -> float:
        """Give the value at a time, NaN outside or where the points beside lie further apart."""
        if not self.t_s.size or not self.t_s[0] <= t_s <= self.t_s[-1]:
            return math.nan
        right = int(np.searchsorted(self.t_s, t_s))
        if right and self.t_s[right] - self.t_s[right - 1] > apart_s:
            return math.nan
        return float(np.interp(t_s, self.t_s, self.values))

    def within(self, start_s: float, end_s: float) -> Floats:
        """Give the values from a time to another."""
        first, last = np.searchsorted(self.t_s, (start_s, end_s))
        return self.values[first:last]


NOTHING = Curve(np.zeros(0), np.zeros(0))


@dataclass(frozen=True, slots=True)
class Trace:
    """One step as it went, over s since it began: °C of the flask, nm at 25 °C, mbar."""

    verb: str
    flask_c: Curve
    peak_nm: Curve
    flask_mbar: Curve


@dataclass(frozen=True, slots=True)
class Shift:
    """What an injection did to the peak: nm at 25 °C since before it, over s since it ended."""

    reagent: str
    nm: Curve


@dataclass(frozen=True, slots=True)
class Expected:
    """A run to compare with; `name` heads its channels, `label` says what it is.

    `steps` and `shifts` go by the id of the step. `missing` says why there is nothing.
    """

    name: str
    label: str
    steps: Mapping[str, Trace] = field(default_factory=dict)
    shifts: Mapping[str, Shift] = field(default_factory=dict)
    missing: str = ""


def fitting(expected: Expected, verbs: Mapping[str, str]) -> Expected:
    """Leave out the steps that another recipe has under an id with another verb, or not at all."""
    kept = {
        id_: trace
        for id_, trace in expected.steps.items()
        if verbs.get(id_.partition("#")[0]) == trace.verb
    }
    shifts = {id_: shift for id_, shift in expected.shifts.items() if id_ in kept}
    return replace(expected, steps=kept, shifts=shifts)


def expected_of(run: Run, name: str, label: str) -> Expected:
    """Read what a run looked like, step by step; a step tried again counts as it went last.

    Raises:
        RecordError: the record is damaged.
    """
    flask, peak, mbar = (_curve(run, c) for c in ("flask.T", "peak.25C", "flask.P"))
    ended = [step for step in run.steps if step.end_ns is not None and step.state == "done"]
    steps = {
        step.id: Trace(step.verb, *(_cut(curve, step) for curve in (flask, peak, mbar)))
        for step in ended
    }
    return Expected(name, label, steps, _shifts(run.doses, ended, peak))


def ghost(expected: Expected, step: str, in_step_s: float) -> Iterator[tuple[str, float]]:
    """Yield what an expected run showed at this point: channel and value, NaN for nothing."""
    trace = expected.steps.get(step)
    if trace is None:
        return
    yield f"{expected.name}.T", trace.flask_c.at(in_step_s)
    yield f"{expected.name}.P", trace.flask_mbar.at(in_step_s)
    yield f"{expected.name}.peak", trace.peak_nm.at(in_step_s, FRAMES_APART_S)


def _curve(run: Run, channel: str) -> Curve:
    if channel not in run.channels:
        return NOTHING
    points = [(t, v) for t, v in zip(*run.series(channel), strict=True) if v is not None]
    times, values = zip(*points, strict=True) if points else ((), ())
    return Curve(np.array(times), np.array(values))


def _cut(curve: Curve, step: StepRow) -> Curve:
    start_s, end_s = step.start_ns / NS, (step.end_ns or 0) / NS
    first = bisect_left(curve.t_s, start_s)
    last = bisect_right(curve.t_s, end_s)
    return Curve(curve.t_s[first:last] - start_s, curve.values[first:last])


def _shifts(doses: Sequence[DoseRow], steps: Sequence[StepRow], peak: Curve) -> dict[str, Shift]:
    """Follow the peak after each injection, until the next one begins."""
    into = [dose for dose in doses if dose.kind == "injection" and dose.into_ == "flask"]
    found: dict[str, Shift] = {}
    for dose in into:
        start_s, end_s = dose.start_ns / NS, (dose.end_ns or dose.start_ns) / NS
        step = min((s for s in steps if _holds(s, dose)), key=_length, default=None)
        if step is None or (step.end_ns or 0) / NS - end_s > AT_END_S:
            continue
        step_end_s = (step.end_ns or 0) / NS
        later = [d.start_ns / NS for d in into if d.start_ns / NS > step_end_s]
        before = peak.within(start_s - BEFORE_S, start_s)
        first, last = np.searchsorted(peak.t_s, (step_end_s, min(later, default=math.inf)))
        if before.size:
            nm = peak.values[first:last] - float(np.median(before))
            found[step.id] = Shift(dose.reagent, Curve(peak.t_s[first:last] - step_end_s, nm))
    return found


def _holds(step: StepRow, dose: DoseRow) -> bool:
    return step.start_ns <= dose.start_ns and (dose.end_ns or 0) <= (step.end_ns or 0)


def _length(step: StepRow) -> int:
    return (step.end_ns or 0) - step.start_ns
