"""Makes a decision again, and says what a timer in its place would have missed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from labctl.engine.deciding import areas_are_flat
from labctl.replay.watch import LEVEL_S, PLATEAU_S, Frame, Watch
from labctl.spectroscopy.saturation import SaturationDetector, SaturationSettings, Verdict

SETTLED = frozenset({"saturated", "no_reaction", "fault"})
By = Literal["plateau", "estimate", "unknown"]


@dataclass(frozen=True, slots=True)
class ToCome:
    """Movement still to come, in nm (signed), and how it is known.

    `plateau`: the last minutes of the frames less the level at that time; `estimate`: the
    detector's own; `unknown`: NaN.
    """

    nm: float
    by: By


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision came to: the detector's last state, at the frame (s) it came with."""

    verdict: str
    at_s: float
    reason: str
    frames: int
    last: Verdict | None


@dataclass(frozen=True, slots=True)
class Timer:
    """What a timer would have done: started after `after` at `started_s`, done at `at_s`."""

    after: str
    started_s: float
    at_s: float
    to_come: ToCome


@dataclass(frozen=True, slots=True)
class Replayed:
    """A decision as recorded and as made again, what was left then, and what timers missed."""

    watch: Watch
    settings: SaturationSettings
    outcome: Outcome
    to_come: ToCome
    recorded_to_come: ToCome
    timers: Sequence[Timer]


def replayed(watch: Watch, settings: Mapping[str, float], timer_s: float) -> Replayed:
    """Make a decision again with settings that replace the recorded ones.

    Raises:
        UsageError: a setting outside its range.
    """
    chosen = SaturationSettings(**{**watch.settings, **settings})
    outcome, course = _decide(watch, chosen)
    recorded = watch.recorded
    rests = outcome.verdict == "saturated" or (recorded and recorded.verdict == "saturated")
    plateau_nm = watch.plateau_nm() if rests else math.nan
    ended_s = watch.seen[-1].t_s if watch.seen else watch.started_s

    def left(t_s: float) -> ToCome:
        return _left(watch, plateau_nm, course, t_s)

    starts = [("the start of the wait", watch.started_s)]
    if watch.injected is not None:
        starts.append((f"the injection of {watch.injected[0]}", watch.injected[1]))
    timers = [Timer(name, at_s, at_s + timer_s, left(at_s + timer_s)) for name, at_s in starts]
    return Replayed(watch, chosen, outcome, left(outcome.at_s), left(ended_s), timers)


def _decide(
    watch: Watch, settings: SaturationSettings
) -> tuple[Outcome, list[tuple[float, Verdict]]]:
    """Feed a fresh detector as the run fed its own."""
    detector = SaturationDetector(settings)
    if watch.baseline is not None:
        detector.set_baseline(*watch.baseline)
    flat = not watch.also_flat or watch.areas is None
    course: list[tuple[float, Verdict]] = []
    settled: Outcome | None = None
    reason, band_nm = "no frame came in", 0.0
    for number, frame in enumerate(watch.frames, 1):
        band_nm = frame.band_nm if math.isfinite(frame.band_nm) else band_nm
        verdict = _fed(detector, frame, band_nm, by_samples=watch.by_samples)
        course.append((frame.t_s, verdict))
        if settled is not None:
            continue  # what it thinks afterwards tells what a later timer would have missed
        reason = verdict.reason
        if verdict.state == "saturated" and not flat:
            flat = areas_are_flat([row for row in watch.areas or () if row[0] <= frame.t_s])
            reason = reason if flat else "1S is saturated, PL is still moving"
        if verdict.state in SETTLED and (flat or verdict.state != "saturated"):
            settled = Outcome(verdict.state, frame.t_s, reason, number, verdict)
    at_s, last = course[-1] if course else (watch.started_s, None)
    return settled or Outcome("not decided", at_s, reason, len(course), last), course


def _fed(
    detector: SaturationDetector, frame: Frame, band_nm: float, *, by_samples: bool
) -> Verdict:
    return detector.update(
        frame.t_s,
        frame.peak_nm if frame.usable else math.nan,
        frame.sigma_nm,
        None if by_samples else frame.temperature_c,
        frame.hold and not by_samples,
        frame.raw_nm,
        band_nm,
    )


def _left(
    watch: Watch, plateau_nm: float, course: Sequence[tuple[float, Verdict]], t_s: float
) -> ToCome:
    left_nm = plateau_nm - watch.level_nm(t_s)
    # A plateau that holds the time itself would always say that nothing was left.
    frames = watch.frames
    early = bool(frames) and t_s < frames[-1].t_s - PLATEAU_S - LEVEL_S
    if early and math.isfinite(left_nm):
        return ToCome(left_nm, "plateau")
    before = [verdict.remaining_nm for at_s, verdict in course if at_s <= t_s]
    if before and math.isfinite(before[-1]) and t_s <= course[-1][0] + 60.0:
        return ToCome(before[-1], "estimate")
    return ToCome(math.nan, "unknown")
