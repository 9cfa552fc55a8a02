"""`backfill`: fill the flask with inert gas, in cycles of vacuum and gas if asked."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Atmosphere, Flask
from labctl.errors import StepFailedError
from labctl.fields import Temperature
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.sequences import FILL_S, ROUGH_S, change_s, evacuate, fill
from labctl.units import show


class Backfill(Step):
    """Backfill with inert gas to ambient; each cycle after the first pumps down before.

    `keep_N2_until` keeps the gas on while the flask cools to a temperature.
    """

    verb: ClassVar[str] = "backfill"
    uses: ClassVar[tuple[str, ...]] = ("manifold", "flask_gauge")
    resume: ClassVar[Resume] = Resume.IDEMPOTENT
    protects: ClassVar[bool] = True

    cycles: int = Field(0, ge=0, le=10)
    keep_N2_until: Temperature | None = None

    @model_validator(mode="after")
    def _something(self) -> Backfill:
        if not self.cycles and self.keep_N2_until is None:
            text = "backfill needs `cycles` or `keep_N2_until`"
            raise PydanticCustomError("schema.missing_key", "{text}", {"text": text})
        return self

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The flask is under inert gas."""
        cooled = flask if self.keep_N2_until is None else self._cooled(flask)
        since = flask.inert_since_s if flask.inert_since_s is not None else 0.0
        return replace(cooled, atmosphere=Atmosphere.INERT, inert_since_s=since)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Cycles, and the cooling that is waited for."""
        planned_s = self.cycles * FILL_S + max(0, self.cycles - 1) * ROUGH_S
        if self.keep_N2_until is not None and self.keep_N2_until < flask.temperature_c:
            planned_s += change_s(flask, scene, self.keep_N2_until)
        return Estimate(planned_s, 2 * planned_s + 1200)

    async def run(self, bench: Bench) -> None:
        """Cycle and fill; keep the gas on while cooling.

        Raises:
            StepFailedError: pressure or temperature is not reached in time.
        """
        for cycle in range(self.cycles):
            if cycle or not await self._under_vacuum(bench):
                await evacuate(bench, fine=False)
            await fill(bench)
        if self.keep_N2_until is not None:
            await self._keep(bench, self.keep_N2_until)

    async def _keep(self, bench: Bench, until_c: float) -> None:
        await bench.off()
        await fill(bench)
        timeout_s = 2 * change_s(bench.flask(), bench.scene, until_c) + 7200
        waits_for = f"flask below {show(until_c, 'temperature')} under inert gas"

        def cool() -> bool:
            at_c = bench.value("flask.T")
            return at_c is not None and at_c < until_c

        if not await bench.wait(waits_for, cool, timeout_s):
            raise StepFailedError(f"{waits_for} did not come in {show(timeout_s, 'time')}")

    def _cooled(self, flask: Flask) -> Flask:
        return replace(flask, temperature_c=min(flask.temperature_c, self.keep_N2_until or 0))

    @staticmethod
    async def _under_vacuum(bench: Bench) -> bool:
        pressure = await bench.measure("flask.P")
        return pressure is not None and pressure < bench.scene.ambient_mbar / 2

    def summary(self) -> str:
        """Say cycles or until when."""
        if self.keep_N2_until is not None:
            return f"keep inert gas until {show(self.keep_N2_until, 'temperature')}"
        return f"backfill, {self.cycles} cycle{'s' if self.cycles != 1 else ''}"
