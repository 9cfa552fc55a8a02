"""`ramp`: go to a temperature, at a rate or with a fan, and settle there."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import ClassVar, Literal

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.fields import Difference, Duration, Rate, Temperature
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.sequences import change_s, reach
from labctl.units import show


class Ramp(Step):
    """Ramp the flask; `learn: peak per K` uses a cool-down to learn the peak's coefficient."""

    verb: ClassVar[str] = "ramp"
    uses: ClassVar[tuple[str, ...]] = ("heater",)
    resume: ClassVar[Resume] = Resume.CONTINUE

    to: Temperature
    rate: Rate = 0.0
    cool: Literal["fan"] | None = None
    within: Difference = 2.0
    settle: Duration = 0.0
    learn: Literal["peak per K"] | None = None
    timeout: Duration | None = None

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The flask is at the temperature."""
        return replace(flask, temperature_c=self.to, setpoint_c=self.to)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Heating by rate and power, or cooling, and the settling time."""
        moving_s = change_s(flask, scene, self.to, self.rate, fan=self.cool == "fan")
        planned_s = moving_s + self.settle
        return Estimate(planned_s, self.timeout or 2 * planned_s + 600)

    def roles(self) -> tuple[str, ...]:
        """The heater, and the fan if it cools."""
        return (*self.uses, "fan") if self.cool else self.uses

    async def run(self, bench: Bench) -> None:
        """Go there, learning on the way if asked."""
        learning = bench.learning() if self.learn else nullcontext()
        timeout_s = self.estimate(bench.flask(), bench.scene).timeout_s
        with learning:
            await reach(
                bench,
                self.to,
                rate_k_min=self.rate,
                within_k=self.within,
                settle_s=self.settle,
                timeout_s=timeout_s,
                fan=self.cool == "fan",
            )

    def summary(self) -> str:
        """Say where to."""
        return f"{'cool' if self.cool else 'ramp'} to {show(self.to, 'temperature')}"
