"""`quench`: cool fast, mantle down and fan on; never water on hot glass."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import ClassVar, Literal

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.chemistry.heating import cooling_s
from labctl.errors import StepFailedError
from labctl.fields import Rate, Strict, Temperature
from labctl.recipe.steps.base import Step
from labctl.units import show


class Exposure(Strict):
    """What is told of a reaction that the quench ends: the time from a step to a temperature."""

    since: str
    above: Temperature


class Quench(Step):
    """Quench to a temperature; a rate below `at_least` down to `down_to` is a deviation.

    `exposure` tells how long after `since` the quench began, and when the flask fell to `above`.
    """

    verb: ClassVar[str] = "quench"
    uses: ClassVar[tuple[str, ...]] = ("heater",)
    resume: ClassVar[Resume] = Resume.IDEMPOTENT
    once: ClassVar[bool] = True

    to: Temperature
    by: tuple[Literal["jack", "fan"], ...]
    at_least: Rate = 0.0
    down_to: Temperature | None = None
    water_bath: Literal["never"] = "never"
    exposure: Exposure | None = None

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The flask is cold."""
        return replace(flask, temperature_c=self.to, setpoint_c=20.0)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Cooling with what is used."""
        planned_s = cooling_s(
            flask.heat_capacity_j_k(scene.glass_j_k),
            flask.temperature_c,
            self.to,
            fan="fan" in self.by,
            mantle_down="jack" in self.by,
        )
        return Estimate(planned_s, 3 * planned_s + 1800)

    def roles(self) -> tuple[str, ...]:
        """The heater and what cools."""
        return (*self.uses, *self.by)

    async def run(self, bench: Bench) -> None:
        """Heater off, mantle down, fan on, wait.

        Raises:
            StepFailedError: not cold in time.
        """
        timeout_s = self.estimate(bench.flask(), bench.scene).timeout_s
        start_s, start_c = bench.elapsed_s(), bench.value("flask.T")
        with ExitStack() as expected:
            expected.enter_context(bench.token("quench"))
            await bench.off()
            for role in self.by:
                await bench.switch(role, on=role != "jack")
            await self._expose(bench, start_s, timeout_s)
            down_to = self.down_to
            if down_to is not None and start_c is not None and start_c > down_to:
                await self._below(bench, down_to, timeout_s)
                self._judge(bench, start_c - down_to, bench.elapsed_s() - start_s)
            await self._below(bench, self.to, timeout_s)
        if "fan" in self.by:
            await bench.switch("fan", on=False)
        bench.landed()

    async def _expose(self, bench: Bench, start_s: float, timeout_s: float) -> None:
        if self.exposure is None:
            return
        since_s = bench.since_s(self.exposure.since)
        await self._below(bench, self.exposure.above, timeout_s)
        began_s, over_s = start_s - since_s, bench.elapsed_s() - since_s
        limit = show(self.exposure.above, "temperature")
        bench.note(
            "exposure",
            f"quench began {began_s:.1f} s after {self.exposure.since}; "
            f"the flask fell to {limit} at {over_s:.1f} s",
            began_s=began_s,
            exposed_s=over_s,
        )

    async def _below(self, bench: Bench, limit_c: float, timeout_s: float) -> None:
        def cold() -> bool:
            at_c = bench.value("flask.T")
            return at_c is not None and at_c <= limit_c

        waits_for = f"flask below {show(limit_c, 'temperature')}"
        if not await bench.wait(waits_for, cold, timeout_s):
            raise StepFailedError(f"{waits_for} did not come in {show(timeout_s, 'time')}")

    def _judge(self, bench: Bench, fell_k: float, took_s: float) -> None:
        rate = fell_k / max(took_s, 1.0) * 60
        bench.note("quench", f"{show(rate, 'temperature rate')} over {fell_k:.0f} K", rate=rate)
        if rate < self.at_least:
            asked = show(self.at_least, "temperature rate")
            bench.deviation(f"quenched at {show(rate, 'temperature rate')}, not {asked}")

    def summary(self) -> str:
        """Say where to."""
        return f"quench to {show(self.to, 'temperature')} by {' and '.join(self.by)}"
