"""`hf_treat`: HF at temperature under a still blanket, time to react, then vacuum in stages."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from labctl.bench import Bench, DoseRequest, Estimate, Resume, Scene
from labctl.chemistry.flask import Atmosphere, Flask
from labctl.errors import StepFailedError
from labctl.fields import Amount, Difference, Duration, Pressure, Strict, Temperature
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.sequences import FINE_S, evacuate, reach
from labctl.units import show

LINE_BELOW_MBAR = 5.0


class OpenVacuum(Strict):
    """How the vacuum is opened over hot acetone: rough pump, staged."""

    pump: Literal["rough"] = "rough"
    down_to: Pressure
    over: Duration


class FineVacuum(Strict):
    """The vacuum that follows."""

    pump: Literal["fine"] = "fine"
    for_: Duration = Field(alias="for")


class HfTreat(Step):
    """Treat with HF: needs the inert blanket, the temperature, and people who confirmed it."""

    verb: ClassVar[str] = "hf_treat"
    uses: ClassVar[tuple[str, ...]] = ("heater", "manifold", "rough", "fine", "flask_gauge")
    resume: ClassVar[Resume] = Resume.NEVER
    protects: ClassVar[bool] = True
    once: ClassVar[bool] = True

    reagent: str
    amount: Amount
    at: Temperature
    within: Difference
    over: Duration
    blanket: Literal["still N2 on bubbler"]
    react: Duration
    open_vacuum: OpenVacuum
    vacuum: FineVacuum

    def gives(self) -> tuple[str, ...]:
        """The one reagent."""
        return (self.reagent,)

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """HF is consumed; what carried it leaves; the flask is under vacuum."""
        volume_ml = scene.volume_ml(self.reagent, self.amount, None)
        mixture = flask.add(scene.contents(self.reagent, volume_ml)).mixture
        for name in ("acetone", "water", "HF"):
            mixture = mixture.remove(name)
        return replace(flask, mixture=mixture, temperature_c=self.at, atmosphere=Atmosphere.VACUUM)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Dose, reaction time, staged opening, vacuum."""
        planned_s = self.over + self.react + self.open_vacuum.over + FINE_S + self.vacuum.for_
        return Estimate(planned_s, 2 * planned_s + 1800, hands="two people at the rig")

    async def run(self, bench: Bench) -> None:
        """Dose, react, open the vacuum slowly, pump.

        Raises:
            StepFailedError: wrong temperature, no blanket, or the vacuum does not come.
        """
        await reach(bench, self.at, within_k=self.within, timeout_s=1800.0)
        pressure = await bench.measure("flask.P")
        if pressure is None or pressure < bench.scene.ambient_mbar - 30:
            raise StepFailedError("HF needs the flask at ambient under a still blanket")
        volume_ml = bench.scene.volume_ml(self.reagent, self.amount, None)
        by_hand = not bench.scene.loads[self.reagent].pump
        with bench.token("injection"):
            await bench.dose(
                DoseRequest(bench.step_id, self.reagent, volume_ml, self.amount, self.over, by_hand)
            )
        await bench.wait("HF to react", lambda: False, self.react)
        stage = self.open_vacuum
        await evacuate(bench, fine=False, down_to_mbar=stage.down_to, over_s=stage.over)
        await self._pump(bench)

    async def _pump(self, bench: Bench) -> None:
        await evacuate(bench, fine=True)
        began_s = bench.elapsed_s()
        end_s = began_s + self.vacuum.for_

        def done() -> bool:
            pressure = bench.value("line.P")
            low = pressure is not None and pressure < LINE_BELOW_MBAR
            return low and bench.elapsed_s() >= end_s

        waits_for = f"{show(self.vacuum.for_, 'time')} of vacuum"
        timeout_s = 2 * self.vacuum.for_ + 600
        if not await bench.wait(waits_for, done, timeout_s, reads=("line.P",), ends_s=end_s):
            raise StepFailedError(f"{waits_for} could not be had; is the line pumping?")

    def summary(self) -> str:
        """Say how much and where."""
        return f"HF {show(self.amount, 'amount')} at {show(self.at, 'temperature')}"
