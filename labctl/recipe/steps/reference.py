"""`reference`: the lamp's reference in the solvent, before the dots go in."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.recipe.steps.base import Step


class Reference(Step):
    """Take dark and lamp reference of a spectrometer, in the flask."""

    verb: ClassVar[str] = "reference"
    resume: ClassVar[Resume] = Resume.ASK

    of: Literal["absorbance"]
    in_: Literal["flask"] = Field("flask", alias="in")

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The reference is taken."""
        return replace(flask, referenced=True)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Half a minute of exposures."""
        return Estimate(30.0, 120.0)

    async def run(self, bench: Bench) -> None:
        """Take dark and reference."""
        await bench.reference(self.of)

    def summary(self) -> str:
        """Say of what."""
        return f"reference of {self.of} in the solvent"
