"""`degas`: heat under vacuum, rough then fine, until time and pressure both hold."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.acetate import pumped
from labctl.chemistry.flask import Atmosphere, Flask
from labctl.errors import StepFailedError
from labctl.fields import Duration, Pressure, Rate, Temperature
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.sequences import ROUGH_S, InBand, change_s, evacuate
from labctl.units import show

WITHIN_K = 3.0


class Degas(Step):
    """Degas: ends when `for` (from T in band, fine vacuum open) and `below` both hold."""

    verb: ClassVar[str] = "degas"
    uses: ClassVar[tuple[str, ...]] = (
        "heater", "manifold", "rough", "fine", "flask_gauge", "line_gauge",
    )  # fmt: skip
    resume: ClassVar[Resume] = Resume.CONTINUE
    protects: ClassVar[bool] = True

    at: Temperature
    rate: Rate = 0.0
    for_: Duration = Field(alias="for")
    below: Pressure
    read_at: Literal["line", "flask"] = "line"
    timeout: Duration

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """Hot and under vacuum; what boils below 160 °C is gone, an acetate's acetic acid too."""
        mixture = pumped(flask.mixture, self.at, self.for_)
        for name in ("toluene", "acetone", "water", "octane"):
            mixture = mixture.remove(name)
        return replace(flask, mixture=mixture, temperature_c=self.at, atmosphere=Atmosphere.VACUUM)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Heating and the time asked for."""
        return Estimate(
            change_s(flask, scene, self.at, self.rate) + ROUGH_S + self.for_, self.timeout
        )

    async def run(self, bench: Bench) -> None:
        """Pump rough, then fine; heat; wait for time and pressure.

        Raises:
            StepFailedError: the timeout comes first.
        """
        await evacuate(bench, fine=True)
        await bench.heater.ramp(self.at, self.rate)
        in_band = InBand(bench, self.at, WITHIN_K, self.for_)
        signal = f"{self.read_at}.P"

        def done() -> bool:
            pressure = bench.value(signal)
            return in_band() and pressure is not None and pressure < self.below

        waits_for = (
            f"{show(self.for_, 'time')} at {show(self.at, 'temperature')} "
            f"and {self.read_at} below {show(self.below, 'pressure')}"
        )
        if not await bench.wait(waits_for, done, self.timeout, reads=(signal,)):
            pressure = bench.value(signal)
            stands = "unknown" if pressure is None else show(pressure, "pressure")
            message = f"{waits_for} did not come in {show(self.timeout, 'time')}; it is {stands}"
            raise StepFailedError(message)

    def summary(self) -> str:
        """Say temperature and time."""
        return f"degas at {show(self.at, 'temperature')} for {show(self.for_, 'time')}"
