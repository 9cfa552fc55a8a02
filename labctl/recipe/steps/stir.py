"""`stir`: turn the stir bar."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import StepFailedError
from labctl.fields import Rotation
from labctl.recipe.steps.base import Step

TIMEOUT_S = 60.0


class Stir(Step):
    """Stir at a speed, and wait until it is reached within 10 %."""

    verb: ClassVar[str] = "stir"
    shorthand: ClassVar[str] = "speed"
    uses: ClassVar[tuple[str, ...]] = ("stirrer",)
    resume: ClassVar[Resume] = Resume.IDEMPOTENT

    speed: Rotation

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The bar turns."""
        return replace(flask, stirring_rpm=self.speed)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """A few seconds."""
        return Estimate(5.0, TIMEOUT_S)

    async def run(self, bench: Bench) -> None:
        """Set the speed and see it reached.

        Raises:
            StepFailedError: the bar does not come to speed.
        """
        await bench.stirrer.stir(self.speed)

        def turning() -> bool:
            speed = bench.value("stirrer.speed")
            return speed is not None and abs(speed - self.speed) <= 0.1 * self.speed + 5

        waits_for = f"stirring at {self.speed:g} rpm"
        if not await bench.wait(waits_for, turning, TIMEOUT_S, reads=("stirrer.speed",)):
            raise StepFailedError(f"{waits_for} was not reached; is the bar coupled?")

    def summary(self) -> str:
        """Say the speed."""
        return f"stir at {self.speed:g} rpm"
