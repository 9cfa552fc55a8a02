"""The sequences that several verbs share: heat, cool, evacuate in stages, fill with inert gas."""

from __future__ import annotations

import math
from collections.abc import Callable

from labctl.bench import Bench, Scene
from labctl.chemistry.flask import Flask
from labctl.chemistry.heating import cooling_s, heating_s
from labctl.errors import StepFailedError
from labctl.units import show

ROUGH_ENOUGH_MBAR = 12.0
ROUGH_S, FINE_S, FILL_S = 120.0, 240.0, 60.0
PUMP_DOWN_TIMEOUT_S = 1800.0
STAGE_S = 5.0
AMBIENT_LOW_MBAR, AMBIENT_HIGH_MBAR = 20.0, 60.0


class InBand:
    """Counts how long the flask has been within `within_k` of a temperature without leaving it."""

    def __init__(self, bench: Bench, centre_c: float, within_k: float, for_s: float) -> None:
        self._bench = bench
        self._centre_c = centre_c
        self._within_k = within_k
        self._for_s = for_s
        self._since_s: float | None = None

    def __call__(self) -> bool:
        """Say whether the time in the band is complete."""
        at_c = self._bench.value("flask.T")
        if at_c is None or abs(at_c - self._centre_c) > self._within_k:
            self._since_s = None
            return False
        now_s = self._bench.elapsed_s()
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s >= self._for_s


def change_s(
    flask: Flask, scene: Scene, to_c: float, rate: float = 0.0, *, fan: bool = False
) -> float:
    """Estimate the time to heat or cool to a temperature, in s."""
    capacity = flask.heat_capacity_j_k(scene.glass_j_k)
    if to_c >= flask.temperature_c:
        return heating_s(capacity, scene.heater_w, flask.temperature_c, to_c, rate)
    return cooling_s(capacity, flask.temperature_c, to_c, fan=fan, mantle_down=False)


async def reach(
    bench: Bench,
    to_c: float,
    *,
    rate_k_min: float = 0.0,
    within_k: float = 2.0,
    settle_s: float = 0.0,
    timeout_s: float,
    fan: bool = False,
) -> None:
    """Go to a temperature and stay within the band for the settling time.

    Raises:
        StepFailedError: not reached within `timeout_s`.
    """
    await bench.heater.ramp(to_c, rate_k_min)
    if fan:
        await bench.switch("fan", on=True)
    band = f"flask within {within_k:g} K of {show(to_c, 'temperature')}"
    settle = f" for {show(settle_s, 'time')}" if settle_s else ""
    try:
        there = await bench.wait(band + settle, InBand(bench, to_c, within_k, settle_s), timeout_s)
    finally:
        if fan:
            await bench.switch("fan", on=False)
    if not there:
        at_c = bench.value("flask.T")
        stands = "unknown" if at_c is None else show(at_c, "temperature")
        message = f"{band} was not reached in {show(timeout_s, 'time')}; the flask is at {stands}"
        raise StepFailedError(message)


async def evacuate(
    bench: Bench, *, fine: bool, down_to_mbar: float = ROUGH_ENOUGH_MBAR, over_s: float = 0.0
) -> None:
    """Pump the flask down: always rough first, in stages over `over_s`, then the fine pump.

    Raises:
        StepFailedError: the pressure does not fall in time.
    """
    await bench.valve("n2", open_=False)
    pressure = await bench.measure("flask.P")
    if pressure is None or pressure > ROUGH_ENOUGH_MBAR or not fine:
        await _rough(bench, down_to_mbar, over_s)
    if fine:
        await bench.valve("vac_rough", open_=False)
        await bench.rough.stop()
        await bench.switch("fine", on=True)
        await bench.valve("vac_fine", open_=True)


async def _rough(bench: Bench, down_to_mbar: float, over_s: float) -> None:
    await bench.valve("vac_fine", open_=False)
    start_mbar = bench.value("flask.P") or bench.scene.ambient_mbar
    began_s = bench.elapsed_s()
    setpoint = start_mbar if over_s else down_to_mbar
    await bench.rough.pump_to(max(setpoint * 0.9, down_to_mbar) if over_s else down_to_mbar)
    await bench.valve("vac_rough", open_=True)
    while over_s and bench.elapsed_s() - began_s < over_s:
        await bench.wait("the staged pump-down", lambda: False, STAGE_S, ends_s=began_s + over_s)
        share = min(1.0, (bench.elapsed_s() - began_s) / over_s)
        staged = start_mbar * math.exp(share * math.log(down_to_mbar / start_mbar))
        await bench.rough.pump_to(max(staged, down_to_mbar))
    goal = down_to_mbar * 1.1
    reached = await bench.wait(
        f"flask below {show(goal, 'pressure')}",
        below(bench, "flask.P", goal),
        PUMP_DOWN_TIMEOUT_S,
        reads=("flask.P",),
    )
    if not reached:
        message = f"the flask did not fall below {show(goal, 'pressure')} with the rough pump"
        raise StepFailedError(message)


async def fill(bench: Bench) -> None:
    """Isolate the vacuum and fill the flask with inert gas to ambient.

    Raises:
        StepFailedError: ambient pressure is not reached in time.
    """
    await isolate(bench)
    await bench.valve("n2", open_=True)
    low = bench.scene.ambient_mbar - AMBIENT_LOW_MBAR
    filled = await bench.wait(
        f"flask above {show(low, 'pressure')}",
        lambda: (p := bench.value("flask.P")) is not None and p >= low,
        PUMP_DOWN_TIMEOUT_S / 3,
        reads=("flask.P",),
    )
    if not filled:
        raise StepFailedError(f"the flask was not filled above {show(low, 'pressure')}")


async def isolate(bench: Bench) -> None:
    """Shut both ways to vacuum and rest the pumps that need no cold trap running."""
    await bench.valve("vac_fine", open_=False)
    await bench.valve("vac_rough", open_=False)
    await bench.rough.stop()


def below(bench: Bench, signal: str, limit: float) -> Callable[[], bool]:
    """Make a condition: the signal has a good reading under a limit."""

    def holds() -> bool:
        value = bench.value(signal)
        return value is not None and value < limit

    return holds
