"""`ask`: a value or a choice that only a person knows."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from labctl.bench import Answer, Bench, Estimate, Question, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import StepFailedError, UnitError
from labctl.fields import Duration
from labctl.recipe.steps.answers import Choices, check_default, end
from labctl.recipe.steps.base import Step
from labctl.units import UNITS, parse_range, show, spelling

MOST_TIMES = 20


class Ask(Step):
    """Ask for a measured value (`unit`, `range`) or a choice; the answer goes to the record.

    The choices `extend DURATION`, `retry`, `accept`, `go on`, `park` and `abort` wait and ask
    again, ask again, go on with a deviation or without, park or end the run. A choice of your own
    says which of them it stands for: `choices: {none: go on, some: park}`.
    """

    verb: ClassVar[str] = "ask"
    uses: ClassVar[tuple[str, ...]] = ("operator",)
    resume: ClassVar[Resume] = Resume.ASK

    for_: str = Field(alias="for")
    unit: str = ""
    range: str = ""
    choices: Choices = Field(default_factory=dict)
    default: str = ""
    after: Duration | None = None
    anchors: Literal["peak"] | None = None
    needed_before: str = ""
    simulated: str = ""

    @model_validator(mode="after")
    def _measured(self) -> Ask:
        if self.unit and spelling(self.unit) not in UNITS:
            text = f"unit {self.unit!r} is not known"
            raise PydanticCustomError("units.unknown_unit", "{text}", {"text": text})
        if self.range and not self.unit:
            text = "a range needs a `unit`"
            raise PydanticCustomError("units.bare_number", "{text}", {"text": text})
        if self.choices and self.default:
            check_default(self.choices, self.default)
        try:
            self.limits()
        except UnitError as error:
            raise PydanticCustomError(error.rule, "{text}", {"text": str(error)}) from None
        return self

    def dimension(self) -> str:
        """Return the dimension of the value asked for, or nothing for a choice."""
        return UNITS[spelling(self.unit)].dimension if self.unit else ""

    def limits(self) -> tuple[float, float] | None:
        """Return the range a value must lie in, in its canonical unit.

        Raises:
            UnitError: the range does not fit the unit.
        """
        if not self.range:
            return None
        low, high = parse_range(self.range, self.dimension())
        return low.value, high.value

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """A few minutes of a person's attention."""
        return Estimate(120.0, hands=f"answer: {self.for_}")

    async def run(self, bench: Bench) -> None:
        """Ask, act on the choice, judge the range, keep the answer.

        Raises:
            AbortedError: the answer was to park or to abort.
            StepFailedError: it was put off too often.
        """
        for _ in range(MOST_TIMES):
            answer = await self._put(bench)
            if not await self._again(bench, answer):
                self._judge(bench, answer)
                return
        raise StepFailedError(f"{self.for_}: put off {MOST_TIMES} times")

    async def _again(self, bench: Bench, answer: Answer) -> bool:
        """Act on a choice that means something; say whether to ask again.

        Raises:
            AbortedError: the choice is to park or to abort.
        """
        choice = answer.choice
        deed = self.choices.get(choice)
        if deed is None:
            return False
        said = self.for_ if choice == deed.does else f"{self.for_}: {choice}"
        if deed.ends:
            end(deed, said, unanswered=answer.by_default)
        if deed.does == "accept":
            bench.deviation(f"accepted by a person: {said}")
        if deed.does == "extend":
            bench.deviation(f"extended by {show(deed.for_s, 'time')}: {self.for_}")
            await bench.wait(f"{self.for_}, asked again", lambda: False, deed.for_s)
        return deed.does in {"retry", "extend"}

    async def _put(self, bench: Bench) -> Answer:
        subject = "peak_25c" if self.anchors else ""
        return await bench.ask(
            Question(
                self.for_,
                tuple(self.choices),
                self.default,
                self.after,
                self.simulated,
                self.dimension(),
                subject,
            )
        )

    def _judge(self, bench: Bench, answer: Answer) -> None:
        limits = self.limits()
        if answer.value is None or limits is None:
            return
        if not limits[0] <= answer.value <= limits[1]:
            bench.deviation(f"{self.for_}: {answer.value:g} is outside {self.range}")
        elif self.anchors:
            bench.anchor(answer.value)

    def summary(self) -> str:
        """Say what is asked."""
        return f"ask for {self.for_}"
