"""Faults of gas, F23 to F28: leaks, gauges, valves, pumps, the trap, the inert gas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from labctl.twin import TwinFault
from simulators.faults.kind import (
    Acts,
    Bench,
    FaultKind,
    Site,
    able,
    argument,
    kind,
    lasting,
    touching,
    vessel,
)

_NS: Final = 1_000_000_000
_BACK_STREAM_S: Final = 30.0
_OVER, _OFF = 2, 4
_PUMPS: Final = ("fine_pump", "rough_pump")


def leak_step(site: Site) -> Acts:
    """Open a leak to the room."""
    vacuum, rate = site.bench.flask.vacuum, site.number("rate")
    vacuum.leak_mbar_l_s += rate
    site.acted += 1
    try:
        yield from lasting()
    finally:
        vacuum.leak_mbar_l_s -= rate


def _gauge(site: Site, status: int) -> Acts:
    force: dict[int, int] = vars(site.bench.devices[site.target])["force"]
    channel = round(site.number("channel"))
    force[channel] = status
    site.acted += 1
    try:
        yield from lasting()
    finally:
        force.pop(channel, None)


def gauge_off(site: Site) -> Acts:
    """Switch a gauge off: the controller says so instead of a pressure."""
    return _gauge(site, _OFF)


def gauge_out_of_range(site: Site) -> Acts:
    """Drive a gauge over its range: the controller says so."""
    return _gauge(site, _OVER)


def _stuck(site: Site, force: Callable[[float], float]) -> Acts:
    row = site.bench.row(site.target)
    thing = row.touches[site.word("valve")] if row else ""

    def counted(asked: float) -> float:
        given = force(asked)
        site.acted += given != asked
        return given

    with site.touched.forcing(thing, counted, site.now_ns):
        yield from lasting()


def valve_stuck_closed(site: Site) -> Acts:
    """Keep a valve, or whatever an output switches, off."""
    return _stuck(site, lambda _: 0.0)


def valve_stuck_open(site: Site) -> Acts:
    """Keep a valve, or whatever an output switches, on once it is on."""
    was = [False]

    def force(asked: float) -> float:
        was[0] = was[0] or asked > 0.0
        return 1.0 if was[0] else asked

    return _stuck(site, force)


def pump_off(site: Site) -> Acts:
    """Stop a vacuum pump; through the fine one air and oil stream back into its line."""
    row = site.bench.row(site.target)
    thing = next(thing for thing in row.touches.values() if thing in _PUMPS) if row else ""
    vacuum = site.bench.flask.vacuum
    before_ns = site.t_ns
    site.acted += 1
    with site.touched.forcing(thing, lambda _: 0.0, site.now_ns):
        while True:
            passed_s, before_ns = (site.t_ns - before_ns) / _NS, site.t_ns
            if thing == "fine_pump":
                missing = vacuum.parameters.ambient_mbar - vacuum.line_mbar
                vacuum.line_mbar += missing * -math.expm1(-passed_s / _BACK_STREAM_S)
            yield


def trap_warm(site: Site) -> Acts:
    """Let the cold trap warm up: it holds nothing back."""
    vacuum = site.bench.flask.vacuum
    vacuum.trap_cold = False
    site.acted += 1
    try:
        yield from lasting()
    finally:
        vacuum.trap_cold = True


def n2_empty(site: Site) -> Acts:
    """Empty the cylinder of inert gas."""
    vacuum = site.bench.flask.vacuum
    vacuum.n2_supply = False
    site.acted += 1
    try:
        yield from lasting()
    finally:
        vacuum.n2_supply = True


def _has_output(bench: Bench, fault: TwinFault) -> bool:
    """Fit a board with that output."""
    row = bench.row(fault.target)
    return row is not None and fault.arguments["valve"] in row.settings.outputs


def _has_gauge(bench: Bench, fault: TwinFault) -> bool:
    row = bench.row(fault.target)
    channel = str(round(float(fault.arguments["channel"])))
    return able("force")(bench, fault) and row is not None and channel in row.touches


_VALVE: Final = argument("valve", "", "the name of an output", unit="word")
_CHANNEL: Final = argument("channel", 1.0, "which gauge", low=1.0, high=6.0)
_BOARD: Final = "a board with that output"
_GAUGES: Final = "a gauge controller"
_VESSEL: Final = "the vessel"

KINDS: Final[tuple[FaultKind, ...]] = (
    kind("F23", "vacuum", leak_step, _VESSEL, vessel,
         "a leak test or a degassing fails its limit or times out, and asks; under inert gas "
         "nobody notices", "step",
         argument("rate", 0.05, "mbar L/s of air", high=100.0)),
    kind("F24", "vacuum", gauge_off, _GAUGES, _has_gauge,
         "the reading is missing; over_p trips", "interlock", _CHANNEL),
    kind("F24", "vacuum", gauge_out_of_range, _GAUGES, _has_gauge,
         "the reading is missing; over_p trips", "interlock", _CHANNEL),
    kind("F25", "vacuum", valve_stuck_closed, _BOARD, _has_output,
         "a vacuum valve: the step that pumps times out and asks. The valve of inert gas: "
         "backfilling times out. A pump's line: the pump stalls, the dose fails and asks", "step",
         _VALVE),
    kind("F25", "vacuum", valve_stuck_open, _BOARD, _has_output,
         "none by position: no feedback. Inert gas and vacuum open together show in the gauges "
         "only when a step waits for a pressure; then it times out and asks", "step", _VALVE,
         yet="the safe state opens the inert gas onto a valve that is stuck open to vacuum"),
    kind("F26", "vacuum", pump_off, "a device that runs a vacuum pump", touching(*_PUMPS),
         "air_in_trap freezes the run and shuts the fine valve, or the step that pumps times out "
         "and asks", "interlock"),
    kind("F27", "vacuum", trap_warm, _VESSEL, vessel,
         "none: labctl knows of the trap what a person says of it, and asks again after some hours",
         "nobody",
         yet="the trap has no thermometer"),
    kind("F28", "vacuum", n2_empty, _VESSEL, vessel,
         "n2_supply freezes the run and switches the heater off, where the rig has the switch; "
         "else backfilling times out and asks", "interlock"),
)  # fmt: skip
