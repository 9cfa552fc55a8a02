"""Compares a run with what was expected of it, step by step, and names each departure once.

Pure: fed with what is measured, it answers with warnings. It never stops anything; a departure is
for a person to judge.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labctl.engine.expected import FRAMES_APART_S, Curve, Expected, Shift, Trace

LASTING_S = 60.0
"""A departure is named when it has lasted this long."""
SLOWEST, LEAST_RAMP_K, EDGE_K, LATE_S = 0.75, 25.0, 5.0, 60.0
IDLE_S = 180.0
FLAT_K, LEVEL_K, FLAT_S = 2.0, 5.0, 60.0
PEAK_NM, AROUND_S, FRAMES = 1.5, 90.0, 3
NO_SHIFT_S, LEAST_SHIFT_NM, NO_SHIFT_PART = 300.0, 1.2, 0.25


@dataclass(frozen=True, slots=True)
class Departure:
    """One way in which a run is not as expected: what kind, the sentence, the numbers behind."""

    kind: str
    message: str
    data: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is measured now: s on the run's clock and in the step, °C, a new peak at 25 °C in nm.

    NaN is what is not known, or not new.
    """

    now_s: float
    step: str
    in_step_s: float
    flask_c: float
    peak_nm: float


class Shadow:
    """Walks beside one run; feed it every few seconds, in order."""

    def __init__(self, expected: Expected) -> None:
        self.expected = expected
        self._step = ""
        self._ramp: _Ramp | None = None
        self._level: _Level | None = None
        self._peak = _Peak(expected.label)
        self._reaction = _Reaction(expected.shifts)

    def look(self, seen: Seen) -> list[Departure]:
        """Say what departs from the expected now, each once in a step."""
        trace = self.expected.steps.get(seen.step)
        if seen.step != self._step:
            self._step = seen.step
            self._ramp = None if trace is None else _ramp(trace.flask_c)
            self._level = None if trace is None else _Level(trace.flask_c)
            self._peak.step()
        said: list[Departure | None] = [self._reaction.look(seen)]
        if trace is not None:
            said.append(self._peak.look(seen, trace))
        if math.isfinite(seen.flask_c):
            said += [part.look(seen) for part in (self._ramp, self._level) if part is not None]
        return [departure for departure in said if departure is not None]


class _Recent:
    """The last few peaks, each with its time."""

    def __init__(self) -> None:
        self._rows: deque[tuple[float, float]] = deque(maxlen=FRAMES)

    def add(self, t_s: float, peak_nm: float) -> None:
        if math.isfinite(peak_nm):
            if self._rows and t_s - self._rows[-1][0] > FRAMES_APART_S:
                self._rows.clear()
            self._rows.append((t_s, peak_nm))

    def clear(self) -> None:
        self._rows.clear()

    def median(self, now_s: float) -> tuple[float, float]:
        """Give the time and the level of the last frames, NaN where they are few or long ago."""
        if len(self._rows) < FRAMES or now_s - self._rows[-1][0] > FRAMES_APART_S:
            return math.nan, math.nan
        times, levels = zip(*self._rows, strict=True)
        return float(np.median(times)), float(np.median(levels))


class _Lasting:
    """Tells when something has been so for long enough, once."""

    def __init__(self) -> None:
        self._since_s = math.nan
        self.told = False

    def tells(self, now_s: float, so: bool) -> bool:
        if not so:
            self._since_s = math.nan
        elif math.isnan(self._since_s):
            self._since_s = now_s
        elif now_s - self._since_s >= LASTING_S and not self.told:
            self.told = True
            return True
        return False


class _Ramp:
    """Compares how long the flask takes between the same two temperatures."""

    def __init__(self, expected: Curve, *, rising: bool) -> None:
        self._sign = 1.0 if rising else -1.0
        # Only the way there: what comes after the turn is a hold, or another ramp.
        turn = int(np.argmax(self._sign * expected.values))
        self._times = expected.t_s[: turn + 1]
        self._way = np.maximum.accumulate(self._sign * expected.values[: turn + 1])
        self._low = math.nan
        self._low_s = math.nan
        self._highest = -math.inf
        self._lasting = _Lasting()

    def look(self, seen: Seen) -> Departure | None:
        here = self._sign * seen.flask_c
        self._highest = max(self._highest, here)
        if math.isnan(self._low):
            self._low = max(float(self._way[0]), here) + EDGE_K
        end = float(self._way[-1]) - EDGE_K
        if self._low >= end:
            return None
        if math.isnan(self._low_s):
            if self._highest < self._low:
                return self._idle(seen)
            self._low_s = seen.in_step_s
        if self._highest >= end and self._lasting.told:
            return None
        high = min(self._highest, end)
        took_s = seen.in_step_s - self._low_s
        if took_s < LASTING_S or self._highest >= end:
            return None
        usual_s = self._reached_s(high) - self._reached_s(self._low)
        slow = took_s - usual_s > LATE_S and usual_s < SLOWEST * took_s
        fast = usual_s - took_s > LATE_S and took_s < SLOWEST * usual_s
        if not self._lasting.tells(seen.now_s, slow or fast):
            return None
        verb = "heats" if self._sign > 0 else "cools"
        part = 1.0 - usual_s / took_s if slow else usual_s / took_s - 1.0
        word = "slower" if slow else "faster"
        data = {"took_s": took_s, "expected_s": usual_s, "flask_c": seen.flask_c}
        kind = "heating" if self._sign > 0 else "cooling"
        return Departure(kind, f"flask {verb} {100 * part:.0f} % {word} than expected", data)

    def _idle(self, seen: Seen) -> Departure | None:
        late_s = seen.in_step_s - self._reached_s(self._low)
        if not self._lasting.tells(seen.now_s, late_s > IDLE_S):
            return None
        verb = "heat" if self._sign > 0 else "cool"
        minutes = seen.in_step_s / 60.0
        message = f"flask does not {verb}: still {seen.flask_c:.0f} °C after {minutes:.0f} min"
        data = {"flask_c": seen.flask_c, "late_s": late_s}
        return Departure("heating" if self._sign > 0 else "cooling", message, data)

    def _reached_s(self, level: float) -> float:
        index = min(int(np.searchsorted(self._way, level)), self._way.size - 1)
        return float(self._times[index])


def _ramp(expected: Curve) -> _Ramp | None:
    """Make what watches the first ramp of a step, if it has one."""
    if expected.t_s.size < 2:
        return None
    away = expected.values - expected.values[0]
    far = np.flatnonzero(np.abs(away) >= LEAST_RAMP_K)
    return _Ramp(expected, rising=bool(away[far[0]] > 0.0)) if far.size else None


class _Level:
    """Compares where the flask stands, while it stands here and there."""

    def __init__(self, expected: Curve) -> None:
        self._expected = expected
        self._recent: deque[tuple[float, float]] = deque()
        self._lasting = _Lasting()

    def look(self, seen: Seen) -> Departure | None:
        self._recent.append((seen.in_step_s, seen.flask_c))
        while self._recent[0][0] < seen.in_step_s - FLAT_S:
            self._recent.popleft()
        around = self._expected.within(seen.in_step_s - FLAT_S, seen.in_step_s + FLAT_S)
        usual_c = self._expected.at(seen.in_step_s)
        off_k = seen.flask_c - usual_c
        stands = (
            seen.in_step_s >= FLAT_S
            and around.size > 1
            and float(np.ptp(around)) < FLAT_K
            and max(c for _, c in self._recent) - min(c for _, c in self._recent) < FLAT_K
        )
        if not self._lasting.tells(seen.now_s, stands and abs(off_k) > LEVEL_K):
            return None
        where = "above" if off_k > 0 else "below"
        message = (
            f"flask stands at {seen.flask_c:.0f} °C, {abs(off_k):.0f} K {where} what was expected"
        )
        return Departure("temperature", message, {"flask_c": seen.flask_c, "expected_c": usual_c})


class _Peak:
    """Compares where the peak stands; an offset once named is not named again."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._recent = _Recent()
        self._known_nm = 0.0
        self._lasting = _Lasting()

    def step(self) -> None:
        self._recent.clear()
        self._lasting = _Lasting()

    def look(self, seen: Seen, trace: Trace) -> Departure | None:
        self._recent.add(seen.in_step_s, seen.peak_nm)
        at_s, level_nm = self._recent.median(seen.in_step_s)
        usual_nm = trace.peak_nm.at(at_s, FRAMES_APART_S)
        if math.isnan(usual_nm):
            return None
        off_nm = level_nm - usual_nm
        around = trace.peak_nm.within(at_s - AROUND_S, at_s + AROUND_S)
        # Where the peak moves fast, a little earlier or later is no departure.
        band_nm = max(PEAK_NM, float(np.ptp(around)) if around.size else 0.0)
        if abs(off_nm) < 0.5 * band_nm:
            self._known_nm = 0.0
        if not self._lasting.tells(seen.now_s, abs(off_nm - self._known_nm) > band_nm):
            return None
        self._known_nm = off_nm
        where = "red" if off_nm > 0 else "blue"
        message = f"peak {abs(off_nm):.1f} nm to the {where} of {self._label}"
        data = {"off_nm": off_nm, "expected_nm": usual_nm, "band_nm": band_nm}
        return Departure("peak", message, data)


class _Reaction:
    """Watches that an injection does something by the time it should have."""

    def __init__(self, shifts: Mapping[str, Shift]) -> None:
        self._shifts = shifts
        self._recent = _Recent()
        self._step = ""
        self._before_nm = math.nan
        self._shift: Shift | None = None
        self._ended_s = math.nan
        self._lasting = _Lasting()

    def look(self, seen: Seen) -> Departure | None:
        if seen.step != self._step:
            self._turn(seen)
        self._recent.add(seen.now_s, seen.peak_nm)
        if self._shift is None:
            return None
        at_s, level_nm = self._recent.median(seen.now_s)
        since_s, moved_nm = at_s - self._ended_s, level_nm - self._before_nm
        usual_nm = self._shift.nm.at(since_s, FRAMES_APART_S)
        if not (since_s >= NO_SHIFT_S and abs(usual_nm) >= LEAST_SHIFT_NM):
            return None
        none = abs(moved_nm) < NO_SHIFT_PART * abs(usual_nm)
        if not self._lasting.tells(seen.now_s, none):
            return None
        minutes = since_s / 60.0
        message = (
            f"no shift {minutes:.0f} min after the injection of {self._shift.reagent}; "
            f"{usual_nm:+.1f} nm expected by now"
        )
        return Departure("reaction", message, {"shift_nm": moved_nm, "expected_nm": usual_nm})

    def _turn(self, seen: Seen) -> None:
        """Note where an injection begins and ends: with its step."""
        if self._step in self._shifts:
            self._ended_s = seen.now_s
        if seen.step in self._shifts:
            self._shift, self._ended_s = self._shifts[seen.step], math.nan
            self._lasting = _Lasting()
            self._before_nm = self._recent.median(seen.now_s)[1]
        self._step = seen.step
