"""`strip`: take a volatile solvent off in stages, warm, with the rough pump."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Atmosphere, Flask
from labctl.fields import Duration, Pressure, Temperature
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.sequences import change_s, evacuate, reach
from labctl.units import show


class Strip(Step):
    """Strip a solvent: heat, then lower the pressure in stages so that nothing bumps."""

    verb: ClassVar[str] = "strip"
    uses: ClassVar[tuple[str, ...]] = ("heater", "manifold", "rough", "flask_gauge")
    resume: ClassVar[Resume] = Resume.CONTINUE
    protects: ClassVar[bool] = True

    solvent: str
    at: Temperature
    down_to: Pressure
    over: Duration
    pump: Literal["rough"] = "rough"

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The solvent is gone; the flask is under vacuum."""
        mixture = flask.mixture.remove(self.solvent)
        return replace(flask, mixture=mixture, temperature_c=self.at, atmosphere=Atmosphere.VACUUM)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Heating and the staged pump-down."""
        planned_s = change_s(flask, scene, self.at) + self.over + 120
        return Estimate(planned_s, 2 * planned_s + 1800)

    async def run(self, bench: Bench) -> None:
        """Heat, pump in stages."""
        planned_s = self.estimate(bench.flask(), bench.scene).timeout_s
        await reach(bench, self.at, within_k=3.0, timeout_s=planned_s)
        await evacuate(bench, fine=False, down_to_mbar=self.down_to, over_s=self.over)

    def summary(self) -> str:
        """Say what is stripped."""
        return f"strip {self.solvent} at {show(self.at, 'temperature')}"
