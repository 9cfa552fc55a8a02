"""The things of the rig by name: what a sensor sees of them, and what an actuator does to them.

Canonical units; switches and valves are 0 or 1. The whole list with its units is in
docs/explanations/simulated-world.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from labctl.errors import UsageError
from simulators.plant.thermal import LineHeater
from simulators.world_flask import Flask
from simulators.world_light import Light

_HEAT: Final = {
    "heater": "heater_power_w",
    "contactor": "contactor_closed",
    "jack": "mantle_up",
    "fan": "fan",
    "flask.T": "probe_1_c",
    "flask.T2": "probe_2_c",
}
_WARM_LINE: Final = {"warm": "heater_power_w", "warm.T": "temperature_c"}
_GAS: Final = {
    "valve.n2": "n2_open",
    "valve.vac_rough": "rough_open",
    "valve.vac_fine": "fine_open",
    "rough_pump": "rough_on",
    "rough_pump.setpoint": "rough_setpoint_mbar",
    "fine_pump": "fine_pump_on",
    "n2_pressure": "n2_supply",
    "n2_flow": "inlet_sccm",
    "trap_cold": "trap_cold",
    "leak": "leak_mbar_l_s",
    "flask.P": "flask_mbar",
    "line.P": "line_mbar",
}
_LIGHT: Final = {"shutter": "shutter_closed", "laser": "laser_mw"}
_FLASK: Final = {
    "stirrer": "stirring_rpm",
    "stirrer.speed": "stirring_rpm",
    "rough.P": "inlet_mbar",
}
_MEASURED: Final = frozenset({"flask.T", "flask.T2", "warm.T", "flask.P", "line.P", "rough.P"})


class Things:
    """Every thing an instrument may touch; one that the plant has no part of is remembered.

    `settle` brings the gas to the present time; it is called before anything turns on its line.
    """

    def __init__(
        self, flask: Flask, warm: LineHeater, light: Light, settle: Callable[[], None]
    ) -> None:
        self._settle = settle
        self._remembered = {
            "hood_flow": 1.0,
            "heater.full": flask.thermal.parameters.mantle_power_w,
            "warm.full": warm.parameters.power_w,
        }
        self._inputs: dict[str, tuple[object, str]] = {}
        for owner, table in (
            (flask.thermal, _HEAT),
            (warm, _WARM_LINE),
            (flask.vacuum, _GAS),
            (light, _LIGHT),
            (flask, _FLASK),
        ):
            self._inputs |= {thing: (owner, attribute) for thing, attribute in table.items()}
        self._sensors: dict[str, Callable[[], float]] = {
            thing: partial(getattr, owner, attribute)
            for thing, (owner, attribute) in self._inputs.items()
        }

    def get(self, thing: str) -> float:
        """Return what is there; 0 for what nobody ever touched."""
        sensor = self._sensors.get(thing)
        return float(sensor()) if sensor is not None else self._remembered.get(thing, 0.0)

    def put(self, thing: str, value: float) -> None:
        """Act on a thing, or remember the value of one that the plant has no part of.

        Raises:
            UsageError: the thing is measured, or a heater is given more than it takes.
        """
        if thing in _MEASURED:
            raise UsageError(f"asked to put {value:g} to {thing}; it is measured, wire an actuator")
        if thing not in self._inputs:
            self._remembered[thing] = float(value)
            return
        owner, attribute = self._inputs[thing]
        before = getattr(owner, attribute)
        after = value > 0.0 if isinstance(before, bool) else value
        if after != before:
            if thing in _GAS:
                self._settle()
            setattr(owner, attribute, after)

    def knows(self, thing: str) -> bool:
        """Say whether a thing can be read off the rig."""
        return thing in self._sensors or thing in self._remembered

    def valves(self) -> dict[str, float]:
        """Every valve that was turned or that stands on the vacuum line, by name: 1 is open."""
        names = sorted({*self._sensors, *self._remembered})
        return {name: self.get(name) for name in names if name.startswith("valve.")}
