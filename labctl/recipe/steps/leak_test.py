"""`leak_test`: pump the cold flask down, isolate it, and judge the rise of its pressure."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Atmosphere, Flask
from labctl.errors import StepFailedError
from labctl.fields import Duration, Pressure, PressureRate, Temperature
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.sequences import (
    FINE_S,
    PUMP_DOWN_TIMEOUT_S,
    ROUGH_S,
    below,
    evacuate,
    isolate,
)
from labctl.units import show


class LeakTest(Step):
    """Test for leaks, cold: hot solvent has a vapour pressure that looks like a leak."""

    verb: ClassVar[str] = "leak_test"
    uses: ClassVar[tuple[str, ...]] = ("manifold", "rough", "fine", "flask_gauge", "line_gauge")
    resume: ClassVar[Resume] = Resume.IDEMPOTENT
    protects: ClassVar[bool] = True

    T_below: Temperature
    pump_to: Pressure
    isolate: Duration
    rise_below: PressureRate

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The flask is left under vacuum."""
        return replace(flask, atmosphere=Atmosphere.VACUUM)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Pump-down and isolation."""
        planned_s = ROUGH_S + FINE_S + self.isolate
        return Estimate(planned_s, 2 * planned_s + PUMP_DOWN_TIMEOUT_S)

    async def run(self, bench: Bench) -> None:
        """Pump, isolate, measure the rise.

        Raises:
            StepFailedError: too hot to test, no vacuum, no reading, or a leak.
        """
        rise = await self.rise_mbar_min(bench)
        if rise >= self.rise_below:
            message = (
                f"the isolated flask rises by {show(rise, 'pressure rate')}; "
                f"less than {show(self.rise_below, 'pressure rate')} is asked for: find the leak"
            )
            raise StepFailedError(message)

    async def rise_mbar_min(self, bench: Bench) -> float:
        """Pump, isolate, and return by how much the pressure rises at most, in mbar/min.

        Raises:
            StepFailedError: too hot to test, no vacuum, or no reading.
        """
        at_c = bench.value("flask.T")
        if at_c is None or at_c >= self.T_below:
            message = f"a leak test needs the flask below {show(self.T_below, 'temperature')}"
            raise StepFailedError(message)
        await evacuate(bench, fine=True)
        if not await bench.wait(
            f"line below {show(self.pump_to, 'pressure')}",
            below(bench, "line.P", self.pump_to),
            PUMP_DOWN_TIMEOUT_S,
            reads=("line.P",),
        ):
            raise StepFailedError(f"the line did not reach {show(self.pump_to, 'pressure')}")
        await isolate(bench)
        return await self._rise(bench)

    async def _rise(self, bench: Bench) -> float:
        settle_s = min(30.0, self.isolate / 4)
        await bench.wait("the pressure to even out", lambda: False, settle_s)
        await bench.measure("flask.P")
        start = bench.bounds("flask.P")
        wait_s = self.isolate - settle_s
        await bench.wait(f"the rise over {show(self.isolate, 'time')}", lambda: False, wait_s)
        await bench.measure("flask.P")
        end = bench.bounds("flask.P")
        if start is None or end is None:
            raise StepFailedError("the flask's pressure could not be read during the leak test")
        # Below its trusted range the gauge gives only a bound; the worst case is judged.
        rise = (end[1] - start[0]) / wait_s * 60
        bench.note("leak_test", f"rise at most {show(rise, 'pressure rate')}", rise_mbar_min=rise)
        return rise

    def summary(self) -> str:
        """Say what is allowed."""
        return f"leak test, rise below {show(self.rise_below, 'pressure rate')}"
