"""Faults of heat, F18 to F22: probes, the heater and its switch, the mantle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from labctl.twin import TwinFault
from simulators.faults.kind import (
    Acts,
    Bench,
    Site,
    able,
    argument,
    either,
    kind,
    lasting,
    touching,
    vessel,
)

_NS: Final = 1_000_000_000
_PROBES: Final = {"flask.T": "contact_1", "flask.T2": "contact_2"}
_TEMPERATURES: Final = ("flask.T", "flask.T2", "warm.T")
_OUTPUTS: Final = ("heater", "warm")


def tc_open(site: Site) -> Acts:
    """Break a thermocouple: the controller sees its sensor fail."""
    sim = site.bench.devices[site.target]
    vars(sim)["sensor_broken"] = True
    site.acted += 1
    try:
        yield from lasting()
    finally:
        vars(sim)["sensor_broken"] = False


def _bent(site: Site, bend: Callable[[float], float]) -> Acts:
    site.acted += 1
    with site.touched.bending(_thing(site, _TEMPERATURES), bend):
        yield from lasting()


def tc_short(site: Site) -> Acts:
    """Short a thermocouple: it reads the temperature of its terminals."""
    ambient_c = site.bench.spec.vessel.ambient_c
    return _bent(site, lambda _: ambient_c)


def tc_reversed(site: Site) -> Acts:
    """Swap a thermocouple's wires: the hotter it is, the colder it reads."""
    ambient_c = site.bench.spec.vessel.ambient_c
    return _bent(site, lambda seen_c: 2.0 * ambient_c - seen_c)


def probe_out(site: Site) -> Acts:
    """Pull a probe out of the liquid: it hangs in the neck and sees an eighth of the heat."""
    return _slipping(site, 0.12, 0.0)


def probe_slip(site: Site) -> Acts:
    """Let a probe slip: a part of it is out of the liquid."""
    return _slipping(site, site.number("contact"), 0.0)


def probe_creep(site: Site) -> Acts:
    """Let a probe slip slowly, so that nothing jumps."""
    return _slipping(site, site.number("contact"), site.number("over"))


def _slipping(site: Site, contact: float, over_s: float) -> Acts:
    """Take a probe's contact from whole to a part of it, over a time."""
    thermal, attribute = site.bench.flask.thermal, _PROBES[_thing(site, tuple(_PROBES))]
    begins_ns = site.t_ns
    site.acted += 1
    try:
        while True:
            passed_s = (site.t_ns - begins_ns) / _NS
            done = 1.0 if over_s <= 0.0 else min(1.0, passed_s / over_s)
            setattr(thermal, attribute, 1.0 - (1.0 - contact) * done)
            yield
    finally:
        setattr(thermal, attribute, 1.0)


def _forced(site: Site, force: Callable[[float], float]) -> Acts:
    def counted(asked_w: float) -> float:
        given_w = force(asked_w)
        site.acted += given_w != asked_w
        return given_w

    with site.touched.forcing(_output(site), counted, site.now_ns):
        yield from lasting()


def ssr_stuck_on(site: Site) -> Acts:
    """Weld the heater's relay: it heats with all it has, whatever the controller says."""
    full_w = site.touched.get(f"{_output(site)}.full", site.t_ns)
    return _forced(site, lambda _: full_w)


def heater_open(site: Site) -> Acts:
    """Break the heater's wire: no heat, whatever the controller says."""
    return _forced(site, lambda _: 0.0)


def mantle_unplugged(site: Site) -> Acts:
    """Pull the mantle's plug."""
    return _forced(site, lambda _: 0.0)


def wrong_mantle(site: Site) -> Acts:
    """Put the flask into a mantle of another power than the rig file says."""
    factor, thermal = site.number("power"), site.bench.flask.thermal
    before = thermal.parameters
    largest_w = before.mantle_power_w * max(1.0, factor)
    thermal.parameters = replace(before, mantle_power_w=largest_w)
    try:
        yield from _forced(site, lambda asked_w: factor * asked_w)
    finally:
        thermal.parameters = before


def _output(site: Site) -> str:
    row = site.bench.row(site.target)
    if row is None:
        return "heater"
    return next(thing for thing in row.touches.values() if thing in _OUTPUTS)


def _thing(site: Site, among: tuple[str, ...]) -> str:
    row = site.bench.row(site.target)
    things = () if row is None else row.touches.values()
    return next(thing for thing in things if thing in among)


def _heats_flask(bench: Bench, fault: TwinFault) -> bool:
    return vessel(bench, fault) and bool(bench.toucher("heater"))


_BREAKS: Final = able("sensor_broken")
_READS: Final = touching(*_TEMPERATURES)
_PROBED: Final = touching(*_PROBES)
_HEATS: Final = touching(*_OUTPUTS)
_FLASK: Final = either(touching("heater"), _heats_flask)
_SECOND: Final = "R8 trips once two probes differ by 8 K for 10 s"
_BLIND: Final = (
    "R2 trips on a fall that no flask can make; near room temperature, where the step is small, "
    "R4 or R6 does, and R8 where there is a second probe"
)
_CONTACT: Final = argument("contact", 0.7, "how much of it is still in the liquid")
_PROBE: Final = "a device with a probe in the flask"
_HEATER: Final = "a temperature controller"

KINDS: Final = (
    kind("F18", "thermal", tc_open, _HEATER, _BREAKS,
         "the controller cuts its output; the reading is missing and too_hot trips", "interlock"),
    kind("F18", "thermal", tc_short, "a device with a temperature probe", _READS,
         _BLIND, "interlock",
         yet="for 3 min after a dose or a quench only recipe_max and the hardware limiter watch"),
    kind("F18", "thermal", tc_reversed, "a device with a temperature probe", _READS,
         _BLIND, "interlock",
         yet="for 3 min after a dose or a quench only recipe_max and the hardware limiter watch"),
    kind("F19", "thermal", probe_out, _PROBE, _PROBED,
         _BLIND, "interlock",
         yet="for 3 min after a dose or a quench only recipe_max and the hardware limiter watch"),
    kind("F19", "thermal", probe_slip, _PROBE, _PROBED,
         f"R2 trips where it slips far, {_SECOND}", "interlock", _CONTACT,
         yet="for 3 min after a dose or a quench only recipe_max and the hardware limiter watch"),
    kind("F19", "thermal", probe_creep, _PROBE, _PROBED,
         f"{_SECOND}; with one probe R6 sees it late or never", "interlock",
         _CONTACT, argument("over", 600.0, "how long it takes", unit="time", high=86400.0),
         yet="one probe alone: 2 of 10 creeping probes were missed"),
    kind("F20", "thermal", ssr_stuck_on, _HEATER, _HEATS,
         "R5 trips on heat that comes without output; heater off does nothing then: the guard's "
         "contactor cuts it", "interlock"),
    kind("F20", "thermal", heater_open, _HEATER, _HEATS,
         "R4 trips: full power, and no heat", "interlock"),
    kind("F21", "thermal", mantle_unplugged, "the vessel, or its heater", _FLASK,
         "R4 trips: full power, and no heat", "interlock"),
    kind("F22", "thermal", wrong_mantle, "the vessel, or its heater", _FLASK,
         "a weak one: the ramp does not arrive, its step times out and asks. A strong one: the "
         "controller holds its setpoint with less output and nobody notices", "step",
         argument("power", 0.5, "its power over the rig file's", low=0.05, high=3.0)),
)  # fmt: skip
