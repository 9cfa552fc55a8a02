"""Faults of an instrument, F13 to F17: its protocol is alive, what it says or does is not right."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Final

from simulators.faults.kind import (
    Acts,
    Bench,
    Site,
    able,
    argument,
    device,
    kind,
    lasting,
    touching,
)
from simulators.faults.touched import ALL

_NS: Final = 1_000_000_000
_READ: Final = ("flask.T", "flask.T2", "warm.T", "flask.P", "line.P", "rough.P")


def reboot(site: Site) -> Acts:
    """Switch an instrument off and on: its power-up defaults are back, it is deaf meanwhile."""
    cycle: Callable[..., None] = site.bench.devices[site.target].power_cycle  # type: ignore[attr-defined]
    until_ns = site.t_ns + round(site.number("away") * _NS)
    tap = site.bench.taps[site.target]
    _call(cycle, site.t_ns)
    site.acted += 1
    with tap.hearing(lambda _: b""), tap.saying(lambda _question, _replies: []):
        while site.t_ns < until_ns:
            yield
    yield from lasting()


def stale_reading(site: Site) -> Acts:
    """Freeze all readings, to the last digit, while commands go on to work."""
    site.acted += 1
    with site.touched.freezing():
        yield from lasting()


def stuck_value(site: Site) -> Acts:
    """Show one value whatever there is; noise and digits go on."""
    value = site.number("value")
    things = _seen(site.bench, site.target)
    site.acted += 1
    with site.touched.bending(things[0] if things else ALL, lambda _: value):
        yield from lasting()


def busy(site: Site) -> Acts:
    """Have no time: questions are not heard."""
    count = site.number("count")

    def hear(data: bytes) -> bytes:
        if not data or (count and site.acted >= count):
            return data
        site.acted += 1
        return b""

    with site.bench.taps[site.target].hearing(hear):
        yield from lasting()


def front_panel(site: Site) -> Acts:
    """Let a person turn the instrument's main setting at its front."""
    turn: Callable[[float, int], None] = site.bench.devices[site.target].turn  # type: ignore[attr-defined]
    turn(site.number("value"), site.t_ns)
    site.acted += 1
    yield from lasting()


def _call(cycle: Callable[..., None], t_ns: int) -> None:
    if inspect.signature(cycle).parameters:
        cycle(t_ns)
    else:
        cycle()


def _seen(bench: Bench, name: str) -> list[str]:
    row = bench.row(name)
    return [] if row is None else [thing for thing in row.touches.values() if thing in _READ]


_SET: Final = "a device"
KINDS: Final = (
    kind("F13", "device", reboot, "a device that can be switched off", able("power_cycle"),
         "a pump's alarm or a heater's other setpoint freezes the run and asks: adopt or restore; "
         "silent for longer than a reading may be old, its interlock trips", "poll",
         argument("away", 3.0, "how long it does not answer", unit="time", high=3600.0),
         yet="a short reboot that leaves every setting as it was goes unnoticed"),
    kind("F14", "device", stale_reading, _SET, device,
         "a frozen reading looks fresh; of a heater's, R8 trips when the second probe moves on, R7 "
         "once the digits stand for longer than the sensor's `frozen`; else a step that waits for "
         "a change times out and asks", "interlock",
         yet="within a hold shorter than `frozen` nobody notices"),
    kind("F15", "device", stuck_value, "a device that reads a temperature or a pressure",
         touching(*_READ),
         "a step no flask can make trips R1, R2 or R3, others as interlocks see the value; where "
         "it is plausible, a step times out and asks", "interlock",
         argument("value", "", "in °C or mbar", low=-300.0, high=2000.0),
         yet="a value close to the true one shows only by R7, or to a second probe"),
    kind("F16", "device", busy, _SET, device,
         "the question times out, the value is missing; a command that cannot be confirmed fails "
         "its step, which asks", "transport",
         argument("count", 3.0, "how many questions, 0 for all", high=1e6)),
    kind("F17", "device", front_panel, "a device with a knob or keys", able("turn"),
         "a stirrer that stands, a pump that stops and a gauge in Torr are met by interlocks and "
         "counters; a heater's new setpoint freezes the run and asks: adopt or restore", "poll",
         argument("value", "", "the new setpoint, speed or unit; 0 stops a pump", low=-300.0,
                  high=3000.0),
         yet="only a heater's setpoint is compared, poll by poll"),
)  # fmt: skip
