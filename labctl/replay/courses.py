"""Makes decisions on a target, or on steadiness, again from the frames that the run saw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labctl.bench import Criterion
from labctl.engine.aiming import Aim, is_steady
from labctl.engine.past import stood
from labctl.record import Run
from labctl.replay.decide import Outcome
from labctl.replay.watch import Frame, Watch, step_of


@dataclass(frozen=True, slots=True)
class Remade:
    """A decision as recorded, what it waited for, and what it came to when made again."""

    watch: Watch
    criterion: Criterion
    outcome: Outcome
    evidence: Mapping[str, float | None]


def remade(run: Run, watch: Watch) -> Remade | None:
    """Make a decision on a course again; None where the record does not say what it waited for.

    Raises:
        RecordError: the record is damaged.
    """
    criterion = _criterion(run, watch)
    if criterion is None:
        return None
    course = _Course(criterion, watch, stood(run))
    for number, frame in enumerate(watch.frames, 1):
        if course.take(frame):
            verdict = "reached" if criterion.kind == "reaches" else "steady"
            outcome = Outcome(verdict, frame.t_s, course.reason, number, None)
            break
    else:
        ended_s = watch.frames[-1].t_s if watch.frames else watch.started_s
        outcome = Outcome("not decided", ended_s, course.reason, len(watch.frames), None)
    return Remade(watch, criterion, outcome, course.evidence())


class _Course:
    """Takes frames one by one, as the run did."""

    def __init__(
        self, criterion: Criterion, watch: Watch, stood_s: Sequence[tuple[float, float]]
    ) -> None:
        self.reason = "no usable frame came in"
        self._criterion = criterion
        self._aim = Aim(criterion, by_samples=watch.by_samples)
        self._rows: list[tuple[float, ...]] = []
        self._started_s = watch.started_s
        self._stood_s = stood_s

    def take(self, frame: Frame) -> bool:
        """Take in a frame; say whether that decides."""
        seen = (frame.t_s, frame.peak_nm, frame.sigma_nm, frame.raw_nm)
        if frame.usable:
            self._rows.append(seen)
        if self._criterion.kind == "reaches":
            there = frame.usable and self._aim.look(*seen)
            self.reason = self._aim.reason
            return there
        waited_s = frame.t_s - self._started_s - self._stands_s(frame.t_s)
        steady, reason = is_steady(self._rows, frame.t_s, waited_s, self._criterion)
        self.reason = reason or self.reason
        return steady

    def evidence(self) -> Mapping[str, float | None]:
        """Give what a target was judged on; nothing for steadiness."""
        return self._aim.evidence() if self._criterion.kind == "reaches" else {}

    def _stands_s(self, until_s: float) -> float:
        """Return how long the run's own clock stood since the watch began."""
        from_s = self._started_s
        return sum(max(0.0, min(until_s, b) - max(from_s, a)) for a, b in self._stood_s)


def _criterion(run: Run, watch: Watch) -> Criterion | None:
    """Return what was waited for: as the decision wrote it down, else as the recipe says."""
    row = watch.recorded
    facts = row.evidence if row is not None and isinstance(row.evidence, Mapping) else {}
    if row is not None and isinstance(facts.get("rising"), bool):
        return Criterion(
            "reaches" if row.kind == "reaches" else "steady",
            row.track,
            math.inf,
            target_nm=_number(facts.get("target_nm")),
            rising=facts.get("rising") is True,
            lead_s=_number(facts.get("lead_s")),
            slower_than_nm_min=_number(facts.get("slower_than_nm_min")),
            not_before_s=_number(facts.get("not_before_s")),
        )
    step = step_of(run, watch.step)
    return None if step is None or step.condition else step.criterion(step.timeout)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
