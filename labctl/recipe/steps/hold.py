"""`hold`: stay at temperature for a time counted from an event or a condition."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import StepFailedError
from labctl.fields import Duration, Temperature
from labctl.recipe.steps.base import Step
from labctl.units import show

CLOCK_TIMEOUT_S = 3600.0


class Hold(Step):
    """Hold for a time; `since` is `ID.end`, `ID.start` or a condition such as `flask.T >= 318 C`.

    `keep_above` must hold meanwhile; a dip shorter than `grace` is forgiven.
    """

    verb: ClassVar[str] = "hold"
    shorthand: ClassVar[str] = "for"
    uses: ClassVar[tuple[str, ...]] = ("heater",)
    resume: ClassVar[Resume] = Resume.CONTINUE

    for_: Duration = Field(alias="for")
    since: str = ""
    keep_above: Temperature | None = None
    grace: Duration = 60.0

    def condition(self) -> str:
        """Return the condition that starts the clock, or nothing."""
        return "" if self.since.endswith((".start", ".end")) else self.since

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """The time asked for."""
        return Estimate(self.for_, self.for_ + CLOCK_TIMEOUT_S)

    async def run(self, bench: Bench) -> None:
        """Start the clock where it belongs, then wait.

        Raises:
            StepFailedError: the clock does not start, or the flask stays too cold.
        """
        before_s = bench.resumed_s()
        start_s = await self._clock(bench) if before_s is None else before_s
        bench.clock_started(start_s)
        end_s = start_s + self.for_
        cold = _Cold(bench, self.keep_above, self.grace)

        def over() -> bool:
            return bench.elapsed_s() >= end_s + bench.extra_s() or cold()

        left_s = max(0.0, end_s - bench.elapsed_s())
        waits_for = f"{show(self.for_, 'time')} to pass"
        await bench.wait(waits_for, over, left_s + 1, ends_s=end_s)
        if cold.failed and self.keep_above is not None:
            message = f"the flask was below {show(self.keep_above, 'temperature')} for more than "
            raise StepFailedError(message + show(self.grace, "time"))

    async def _clock(self, bench: Bench) -> float:
        if not self.since:
            return bench.elapsed_s()
        if not self.condition():
            return bench.since_s(self.since)
        condition = bench.condition(self.since)
        first = bench.first_true_s(self.since)
        if first is not None:
            return first
        began = await bench.wait(self.since, lambda: condition() is True, CLOCK_TIMEOUT_S)
        if not began:
            message = f"{self.since} did not come in {show(CLOCK_TIMEOUT_S, 'time')}"
            raise StepFailedError(message)
        return bench.elapsed_s()

    def summary(self) -> str:
        """Say how long."""
        return f"hold for {show(self.for_, 'time')}"


class _Cold:
    """Says whether the flask has been below a temperature for longer than the grace."""

    def __init__(self, bench: Bench, above_c: float | None, grace_s: float) -> None:
        self.failed = False
        self._bench = bench
        self._above_c = above_c
        self._grace_s = grace_s
        self._since_s: float | None = None

    def __call__(self) -> bool:
        if self._above_c is None:
            return False
        at_c = self._bench.value("flask.T")
        if at_c is not None and at_c >= self._above_c:
            self._since_s = None
            return False
        now_s = self._bench.elapsed_s()
        self._since_s = now_s if self._since_s is None else self._since_s
        self.failed = now_s - self._since_s > self._grace_s
        return self.failed
