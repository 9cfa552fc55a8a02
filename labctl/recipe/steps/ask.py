"""`ask`: a value or a choice that only a person knows."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from labctl.bench import Bench, Estimate, Question, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import UnitError
from labctl.fields import Duration
from labctl.recipe.steps.base import Step
from labctl.units import UNITS, parse_range, spelling


class Ask(Step):
    """Ask for a measured value (`unit`, `range`) or a choice; the answer goes to the record."""

    verb: ClassVar[str] = "ask"
    uses: ClassVar[tuple[str, ...]] = ("operator",)
    resume: ClassVar[Resume] = Resume.ASK

    for_: str = Field(alias="for")
    unit: str = ""
    range: str = ""
    choices: tuple[str, ...] = ()
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
        """Ask, judge the range, keep the answer."""
        subject = "peak_25c" if self.anchors else ""
        answer = await bench.ask(
            Question(
                self.for_,
                self.choices,
                self.default,
                self.after,
                self.simulated,
                self.dimension(),
                subject,
            )
        )
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
