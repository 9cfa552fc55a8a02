"""`charge`: put a solvent or a reagent into the flask before the reaction."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from labctl.bench import Bench, DoseRequest, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.fields import Amount, Volume
from labctl.recipe.steps.base import Step

HOT_C = 60.0


class Charge(Step):
    """Charge a reagent by hand or by its pump; give a volume or an amount."""

    verb: ClassVar[str] = "charge"
    resume: ClassVar[Resume] = Resume.NEVER
    once: ClassVar[bool] = True

    reagent: str
    amount: Amount | None = None
    volume: Volume | None = None
    by: Literal["hand"] | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Charge:
        if (self.amount is None) == (self.volume is None):
            text = f"charge of {self.reagent} needs either `amount` or `volume`, and not both"
            raise PydanticCustomError("dose.one_measure", "{text}", {"text": text})
        return self

    def gives(self) -> tuple[str, ...]:
        """The one reagent."""
        return (self.reagent,)

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """Add what the volume brings; dots mark the flask."""
        volume_ml = scene.volume_ml(self.reagent, self.amount, self.volume)
        dots = scene.loads[self.reagent].composition.brings_dots
        return replace(flask.add(scene.contents(self.reagent, volume_ml)), dots=flask.dots or dots)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Two minutes of a person's hands."""
        return Estimate(120.0, hands=f"charge {self.reagent}")

    def over_s(self, scene: Scene) -> float:
        """Return how long the pump takes at half its greatest rate, in s; 0 by hand."""
        load = scene.loads[self.reagent]
        if self.by == "hand" or not load.pump:
            return 0.0
        volume_ml = scene.volume_ml(self.reagent, self.amount, self.volume)
        return 60 * volume_ml / (load.rates_ml_min[1] / 2)

    async def run(self, bench: Bench) -> None:
        """Give the dose, by hand or by pump."""
        volume_ml = bench.scene.volume_ml(self.reagent, self.amount, self.volume)
        over_s = self.over_s(bench.scene)
        by_hand = self.by == "hand" or not bench.scene.loads[self.reagent].pump
        request = DoseRequest(
            bench.step_id, self.reagent, volume_ml, self.amount, over_s, by_hand, "charge"
        )
        at_c = bench.value("flask.T")
        # A hot flask falls by what is poured in cold; the rules on its temperature expect it.
        hot = at_c is not None and at_c > HOT_C
        with bench.token("injection") if hot else nullcontext():
            await bench.dose(request)

    def summary(self) -> str:
        """Say what is charged."""
        return f"charge {self.reagent}"
