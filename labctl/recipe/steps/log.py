"""`log`: values a person measures afterwards, kept with the run."""

from __future__ import annotations

from typing import ClassVar

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from labctl.bench import Bench, Estimate, Question, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.recipe.steps.base import Step
from labctl.units import UNITS, spelling


class Log(Step):
    """Log values by name and unit; `makes` names what the run adds to the stock book."""

    verb: ClassVar[str] = "log"
    uses: ClassVar[tuple[str, ...]] = ("operator",)
    resume: ClassVar[Resume] = Resume.ASK

    fields: dict[str, str]
    makes: str = ""

    @field_validator("fields")
    @classmethod
    def _units(cls, value: dict[str, str]) -> dict[str, str]:
        for unit in value.values():
            if spelling(unit) not in UNITS:
                text = f"unit {unit!r} is not known"
                raise PydanticCustomError("units.unknown_unit", "{text}", {"text": text})
        return value

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """A few minutes of a person's attention."""
        return Estimate(60.0 * len(self.fields), hands="measured values to enter")

    async def run(self, bench: Bench) -> None:
        """Ask for each value."""
        for name, unit in self.fields.items():
            dimension = UNITS[spelling(unit)].dimension
            answer = await bench.ask(Question(name, dimension=dimension, subject=name))
            if answer.value is not None:
                bench.note("log", f"{name}: {answer.value:g}", name=name, value=answer.value)

    def summary(self) -> str:
        """Say which."""
        return f"log {', '.join(self.fields)}"
