"""`weigh`: shots of a pump into a vial on a balance, to learn what the syringe delivers."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from labctl.bench import Bench, DoseRequest, Estimate, Question, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import StepFailedError
from labctl.fields import Duration, Volume
from labctl.recipe.steps.base import Step
from labctl.units import show

WEIGHING_S = 60.0


class Weigh(Step):
    """Weigh equal shots of a liquid; `labctl calibrate RIG PUMP --from RUN` makes use of them.

    The vial stays on the balance and is not emptied: each time the balance is read.
    """

    verb: ClassVar[str] = "weigh"
    uses: ClassVar[tuple[str, ...]] = ("operator",)
    resume: ClassVar[Resume] = Resume.NEVER
    once: ClassVar[bool] = True

    reagent: str
    volume: Volume = Field(gt=0)
    over: Duration = Field(gt=0)
    shots: int = Field(5, ge=3, le=20)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Shot and balance, each time."""
        planned_s = self.shots * (self.over + WEIGHING_S)
        return Estimate(planned_s, 4 * planned_s + 1200, "needle over the balance, and read it")

    async def run(self, bench: Bench) -> None:
        """Read the balance, then push and read it again, as often as asked.

        Raises:
            StepFailedError: the reagent is in no pump, a shot fell short, or a mass is no number.
        """
        load = bench.scene.loads[self.reagent]
        if not load.pump:
            raise StepFailedError(f"{self.reagent} is in no pump; there is nothing to weigh")
        vial = f"needle of {self.reagent} into a vial on the balance"
        await bench.hand(vial, f"tip.{load.pump}", 0.0)
        before_g = await self._balance(bench, load.pump)
        for shot in range(1, self.shots + 1):
            name = f"{bench.step_id}.{shot}"
            await bench.dose(
                DoseRequest(
                    name, self.reagent, self.volume, None, self.over, False, "prime", "vial"
                )
            )
            after_g = await self._balance(bench, load.pump)
            commanded_ml = self.volume / load.fraction
            told = f"{load.pump}: {show(commanded_ml, 'volume')} asked, {after_g - before_g:.4f} g"
            substance = load.composition.substance
            bench.note("weighed", told, pump=load.pump, liquid=substance.name,
                       density_g_ml=substance.density_g_ml, commanded_ml=commanded_ml,
                       mass_g=after_g - before_g)  # fmt: skip
            before_g = after_g
        await bench.hand(f"needle of {self.reagent} through the septum", f"tip.{load.pump}", 1.0)

    async def _balance(self, bench: Bench, pump: str) -> float:
        text = f"mass that the balance shows under {pump}"
        answer = await bench.ask(Question(text, dimension="mass", subject=f"balance.{pump}"))
        if answer.value is None:
            raise StepFailedError(f"{text}: no mass was given")
        return answer.value

    def summary(self) -> str:
        """Say what."""
        return f"weigh {self.shots} shots of {show(self.volume, 'volume')} {self.reagent}"
