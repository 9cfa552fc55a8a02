"""`aliquot`: a labelled sample drawn by hand under inert gas."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.fields import Name, Volume
from labctl.recipe.steps.base import Step
from labctl.units import show


class Aliquot(Step):
    """Draw an aliquot; the ledger shrinks by it.

    Beside a spectrometer in the loop, a label that begins with `anchor` ties the 25 °C scale of the
    peak to the aliquot's cuvette spectrum.
    """

    verb: ClassVar[str] = "aliquot"
    resume: ClassVar[Resume] = Resume.ASK

    volume: Volume
    by: Literal["hand"]
    label: Name
    into: str

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The flask holds that much less."""
        whole_ml = flask.volume_ml()
        left = 1 - self.volume / whole_ml if whole_ml > self.volume else 0.0
        return replace(flask, mixture=flask.mixture.scaled(left))

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """A minute of a person's hands."""
        return Estimate(60.0, hands=f"aliquot {self.label}")

    async def run(self, bench: Bench) -> None:
        """Have it drawn."""
        await bench.aliquot(self.label, self.volume, self.into)

    def summary(self) -> str:
        """Say label and volume."""
        return f"aliquot {self.label}, {show(self.volume, 'volume')}"
