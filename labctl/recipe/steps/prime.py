"""`prime`: fill a reagent's line to the needle, into a waste bottle."""

from __future__ import annotations

from typing import ClassVar

from labctl.bench import Bench, DoseRequest, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import StepFailedError
from labctl.recipe.steps.base import Step
from labctl.units import show

SPARE = 1.1
WARM_TIMEOUT_S = 3600.0
WARM_MARGIN_K = 3.0


class Prime(Step):
    """Prime lines; reagents added by hand have no line and are passed over."""

    verb: ClassVar[str] = "prime"
    resume: ClassVar[Resume] = Resume.ASK
    once: ClassVar[bool] = True

    reagents: tuple[str, ...]
    into: str

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """A minute a line, with a person at the needle."""
        lines = [name for name in self.reagents if scene.loads[name].pump]
        return Estimate(90.0 * len(lines), hands="needle to waste and back" if lines else "")

    async def run(self, bench: Bench) -> None:
        """Warm the line if it must be warm, then push its volume through.

        Raises:
            StepFailedError: a warm line does not get warm.
        """
        for name in self.reagents:
            load = bench.scene.loads[name]
            if not load.pump:
                continue
            await self._warm(bench, name)
            await bench.hand(f"needle of {name} into {self.into}", f"tip.{load.pump}", 0.0)
            volume_ml = SPARE * load.dead_ml + load.hold_up_ml
            over_s = 60 * volume_ml / (load.rates_ml_min[1] / 4)
            await bench.dose(
                DoseRequest(
                    f"{bench.step_id}.{name}",
                    name,
                    volume_ml,
                    None,
                    over_s,
                    False,
                    "prime",
                    self.into,
                )
            )
            await bench.hand(f"needle of {name} through the septum", f"tip.{load.pump}", 1.0)

    async def _warm(self, bench: Bench, name: str) -> None:
        load = bench.scene.loads[name]
        if load.keep_at_c is None or not load.warmed_by:
            return
        warm_c = load.keep_at_c - WARM_MARGIN_K

        def warm() -> bool:
            at_c = bench.value("warm.T")
            return at_c is not None and at_c >= warm_c

        waits_for = f"line of {name} above {show(warm_c, 'temperature')}"
        if not await bench.wait(waits_for, warm, WARM_TIMEOUT_S):
            raise StepFailedError(f"{waits_for} did not come in {show(WARM_TIMEOUT_S, 'time')}")

    def summary(self) -> str:
        """Say which lines."""
        return f"prime {', '.join(self.reagents)} into {self.into}"
