"""`when`: steps that belong to the recipe only for some values of a choice."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.fields import Name
from labctl.recipe.steps.base import Step


class When(Step):
    """Keep the steps where `choice` has the value `is` (or one of several), else drop them.

    Settled when the recipe is loaded: the plan holds the steps themselves, or nothing.
    """

    verb: ClassVar[str] = "when"
    resume: ClassVar[Resume] = Resume.ASK

    choice: Name
    is_: str | tuple[str, ...] = Field(alias="is", min_length=1)
    steps: tuple[Step, ...] = Field(min_length=1)

    @property
    def values(self) -> tuple[str, ...]:
        """The values that keep the steps."""
        return (self.is_,) if isinstance(self.is_, str) else self.is_

    def children(self) -> tuple[Step, ...]:
        """The steps kept or dropped."""
        return self.steps

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """What the steps do, one after the other."""
        for step in self.steps:
            flask = step.effect(flask, scene)
        return flask

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """The sum of the steps."""
        parts = [step.estimate(flask, scene) for step in self.steps]
        return Estimate(
            sum(part.duration_s for part in parts), sum(part.timeout_s for part in parts)
        )

    async def run(self, bench: Bench) -> None:
        """Run the steps."""
        await bench.children(self.steps, "when")

    def summary(self) -> str:
        """Say for which values."""
        return f"when {self.choice} is {' or '.join(self.values)}"
