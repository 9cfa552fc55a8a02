"""`baseline`: the level of peak and photoluminescence before a dose, kept under a name."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.fields import Duration, Name
from labctl.recipe.steps.base import Step


class Baseline(Step):
    """Measure tracks for a time and keep their mean as the point that shifts are counted from."""

    verb: ClassVar[str] = "baseline"
    resume: ClassVar[Resume] = Resume.IDEMPOTENT

    of: tuple[Literal["peak", "pl"], ...]
    as_: Name = Field(alias="as")
    for_: Duration = Field(alias="for")

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """The time asked for, or that of two aliquots."""
        planned_s = max(self.for_, 2 * scene.sample_every_s)
        return Estimate(planned_s, 2 * planned_s + 60)

    async def run(self, bench: Bench) -> None:
        """Measure."""
        await bench.baseline(self.of, self.as_, self.for_)

    def summary(self) -> str:
        """Say the name."""
        return f"baseline {self.as_}"
