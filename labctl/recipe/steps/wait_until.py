"""`wait_until`: wait for the chemistry, or for a condition; never without a bound."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from labctl.bench import Answer, Bench, Criterion, Estimate, Question, Resume, Ruling, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import ParkError, StepFailedError
from labctl.fields import Duration, Strict, Wavelength, WavelengthRate
from labctl.recipe.steps.answers import Choices, Deed, check_default, end
from labctl.recipe.steps.base import Step
from labctl.units import parse, show

_REACHES = re.compile(r"(peak)\s*(>=|<=)\s*(.+)")


class OnTimeout(Strict):
    """What a person is asked when the time is over; the default never proceeds."""

    ask: str
    choices: Choices
    default: str
    after: Duration
    simulated: str = ""

    @model_validator(mode="after")
    def _safe_default(self) -> OnTimeout:
        check_default(self.choices, self.default)
        return self


class WaitUntil(Step):
    """Wait until a track has saturated, reached a value or become steady, or a condition holds.

    `lead` is how long growth goes on after `reaches`, counted at the rate of the moment: the
    decision falls so early that the peak at 25 °C comes to rest on its target. `on_no_data` is for
    a track that gives no usable peaks or a frozen one; not written, it is as `on_timeout`, and
    never goes on by itself.
    """

    verb: ClassVar[str] = "wait_until"
    resume: ClassVar[Resume] = Resume.CONTINUE

    saturated: Literal["peak"] | None = None
    reaches: str = ""
    steady: Literal["peak"] | None = None
    condition: str = ""
    also_flat: Literal["pl"] | None = None
    since: str = ""
    delta: Wavelength = 0.5
    tau_max: Duration = 1500.0
    alpha: float = 1e-3
    min_shift: Wavelength = 1.2
    min_plateau: Duration = 0.0
    lead: Duration = 0.0
    slower_than: WavelengthRate = 0.3
    not_before: Duration = 0.0
    timeout: Duration
    on_timeout: Literal["continue", "freeze", "park"] | OnTimeout = "freeze"
    on_no_data: Literal["freeze", "park"] | OnTimeout | None = None

    @model_validator(mode="after")
    def _one_goal(self) -> WaitUntil:
        goals = [self.saturated, self.reaches, self.steady, self.condition]
        if sum(map(bool, goals)) != 1:
            text = "wait_until needs one of `saturated`, `reaches`, `steady`, `condition`"
            raise PydanticCustomError("schema.one_goal", "{text}", {"text": text})
        if self.reaches and not _REACHES.fullmatch(self.reaches):
            text = f"reaches: {self.reaches!r} is written like 'peak >= 470 nm'"
            raise PydanticCustomError("expression.reaches", "{text}", {"text": text})
        return self

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """A third of the time allowed: the chemistry decides."""
        return Estimate(self.timeout / 3, self.timeout)

    async def run(self, bench: Bench) -> None:
        """Wait; at the timeout follow `on_timeout`, without usable peaks `on_no_data`.

        Raises:
            StepFailedError: the instrument failed, nothing reacted, or the timeout means failure.
            ParkError: the person chose, or by silence left it, to park.
            AbortedError: the person chose to end the run.
        """
        allowed_s = self.timeout
        while True:
            ruling = await self._once(bench, allowed_s)
            if ruling.state in {"saturated", "reached", "steady", "true"}:
                return
            if ruling.state == "timeout" and self.on_timeout == "continue":
                bench.note("wait_until.timeout", f"went on without it: {ruling.reason}")
                return
            answer = await self._ask(bench, ruling)
            asks = self._asks(ruling)
            choices = asks.choices if isinstance(asks, OnTimeout) else {}
            deed = choices.get(answer.choice, Deed("park"))
            if deed.ends:
                end(deed, ruling.reason, unanswered=answer.by_default)
            if deed.does in {"accept", "go on"}:
                bench.deviation(f"accepted by a person: {ruling.reason}")
                return
            allowed_s = deed.for_s or self.timeout
            bench.deviation(f"extended by {show(allowed_s, 'time')}: {ruling.reason}")

    async def _once(self, bench: Bench, timeout_s: float) -> Ruling:
        if self.condition:
            condition = bench.condition(self.condition)
            held = await bench.wait(self.condition, lambda: condition() is True, timeout_s)
            return Ruling("true" if held else "timeout", f"{self.condition} did not come")
        return await bench.decide(self.criterion(timeout_s))

    def criterion(self, timeout_s: float) -> Criterion:
        """Return what is waited for on the track, for so long.

        Raises:
            StepFailedError: a target that cannot be read.
        """
        if self.reaches:
            match = _REACHES.fullmatch(self.reaches)
            if match is None:
                raise StepFailedError(f"{self.reaches!r} is no target")
            target_nm = parse(match[3], "wavelength").value
            return Criterion(
                "reaches",
                match[1],
                timeout_s,
                target_nm=target_nm,
                rising=match[2] == ">=",
                lead_s=self.lead,
            )
        if self.steady:
            return Criterion(
                "steady",
                self.steady,
                timeout_s,
                slower_than_nm_min=self.slower_than,
                not_before_s=self.not_before,
            )
        return Criterion(
            "saturated",
            self.saturated or "peak",
            timeout_s,
            self.since,
            also_flat=self.also_flat or "",
            settings={
                "delta_nm": self.delta,
                "tau_max_s": self.tau_max,
                "alpha": self.alpha,
                "min_shift_nm": self.min_shift,
                "min_plateau_s": self.min_plateau,
            },
        )

    def _asks(self, ruling: Ruling) -> str | OnTimeout:
        if ruling.state == "fault" and self.on_no_data is not None:
            return self.on_no_data
        return self.on_timeout

    async def _ask(self, bench: Bench, ruling: Ruling) -> Answer:
        rule = self._asks(ruling)
        if not isinstance(rule, OnTimeout):
            if rule == "park":
                raise ParkError(f"park: {ruling.reason}")
            raise StepFailedError(ruling.reason)
        text = f"{rule.ask} ({ruling.reason})"
        return await bench.ask(
            Question(text, tuple(rule.choices), rule.default, rule.after, rule.simulated)
        )

    def summary(self) -> str:
        """Say what is waited for."""
        if self.saturated:
            return f"wait until {self.saturated} is saturated"
        if self.steady:
            return f"wait until {self.steady} is steady"
        return f"wait until {self.reaches or self.condition}"
