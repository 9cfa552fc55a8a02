"""Where a run stands in its plan: what is behind it, what is left, when hands are needed."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.plan import Plan, PlannedStep


@dataclass(frozen=True, slots=True)
class Hands:
    """When a person is needed next, in s from now, and for what; 0 s is now."""

    in_s: float
    what: str


class Course:
    """Follows the steps of a plan as they start; times are s since the run began."""

    def __init__(self, plan: Plan) -> None:
        self.total_s = plan.total_s
        self._steps = [planned for planned in plan.steps if not planned.parent]
        self._index = {planned.step.id: n for n, planned in enumerate(self._steps)}
        self._stages = list(dict.fromkeys(planned.stage for planned in self._steps))
        self._at = 0
        self._since_s = 0.0

    def started(self, step: str, now_s: float) -> None:
        """Take note that a step started; steps inside others leave the course as it is."""
        if step in self._index:
            self._at, self._since_s = self._index[step], now_s

    @property
    def step(self) -> PlannedStep:
        """The step that runs, or the first one."""
        return self._steps[self._at]

    def stage(self) -> tuple[str, int, int]:
        """Return the stage's name, its number from 1, and how many there are."""
        name = self.step.stage
        return name, self._stages.index(name) + 1, len(self._stages)

    def behind_s(self, now_s: float) -> float:
        """Return how much of the planned duration is behind the run, in s."""
        spent_s = min(now_s - self._since_s, self.step.estimate.duration_s)
        return self.step.start_s + spent_s

    def left_s(self, now_s: float) -> float:
        """Return how much of the planned duration is left, in s."""
        return self.total_s - self.behind_s(now_s)

    def hands(self, now_s: float) -> Hands | None:
        """Return when a person is needed next; None when not any more."""
        if self.step.estimate.hands:
            return Hands(0.0, self.step.estimate.hands)
        behind_s = self.behind_s(now_s)
        for planned in self._steps[self._at + 1 :]:
            if planned.estimate.hands:
                return Hands(planned.start_s - behind_s, planned.estimate.hands)
        return None
