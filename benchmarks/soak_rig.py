"""The instruments of the soak, served in a process of their own: `python -m benchmarks.soak_rig`.

Every kind has a pseudo-terminal or a TCP port of its own, and some share lines by their addresses.
What their sensors see is a wave of time, another for each unit, so that who knows the time knows
what each must read, and an answer of a moment ago, or of another unit, is seen to be wrong. How a
kind is set up is its Case in tests/drivers/test_same_bytes.py.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import math
import random
import sys
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.wire_faults import cases
from labctl.capabilities import DeviceSettings
from labctl.clock import NS
from labctl.registry import catalog, load
from labctl.twin import Exposure, SimDevice, TwinDevice, seed_of, stream
from simulators.lines import SharedLine
from simulators.serve import Served, ServedPty, serve_pty, serve_tcp

SHARED = {
    "bus": (
        ("eurotherm_3216", 1),
        ("eurotherm_3216", 2),
        ("eurotherm_3504", 3),
        ("modbus_relay_8ch", 10),
        ("modbus_relay_8ch", 11),
    ),
    "pumps": (("newera_ne1000", 1), ("newera_ne1000", 2), ("wpi_al1000", 3)),
    "syringes": (("harvard_elite11", 1), ("harvard_elite11", 2)),
    "heads": (("cavro_xcalibur", 0), ("cavro_xcalibur", 1)),
    "gauges": (("pfeiffer_ppt100", 1), ("pfeiffer_ppt100", 2)),
    "transducers": (("mks_901p", 253), ("mks_974b", 2)),
    "zones": (("watlow_ezzone_pm", 1), ("watlow_ezzone_pm", 2)),
}
WAVES = {
    "flask.T": (25.0, 85.0, False),
    "flask.T2": (25.0, 85.0, False),
    "flask.P": (50.0, 1000.0, True),
    "line.P": (0.02, 4.0, True),
    "rough.P": (20.0, 900.0, True),
    "counts": (1000.0, 9000.0, False),
}
"""What sensors see: from, to, and whether it goes by decades."""
STEADY = {"heater.full": 80.0, "n2_pressure": 1.0, "syringe.drawn": 5.0}
PERIOD_S, BLINK_S = 60.0, 7.0


@dataclass(frozen=True, slots=True)
class Unit:
    """One instrument of the soak: its kind, its line, and what it touches of its own plant."""

    name: str
    kind: str
    line: str
    settings: DeviceSettings
    touches: Mapping[str, str]


def units() -> list[Unit]:
    """Return all instruments: each kind on a line of its own, then those that share one."""
    alone = [_unit(kind, kind, None) for kind in sorted(catalog("drivers"))]
    shared = [
        _unit(kind, line, address) for line, members in SHARED.items() for kind, address in members
    ]
    return alone + shared


def _unit(kind: str, line: str, address: int | None) -> Unit:
    case = cases().CASES[kind]
    name = kind if address is None else f"{line}.{kind}.{address}"
    own = {} if address is None else {"address": address}
    settings = DeviceSettings(**({"name": name} | dict(case.settings) | own))
    return Unit(name, kind, line, settings, case.touches)


def true_value(unit: str, thing: str, t_ns: int) -> float:
    """Return what a sensor of `unit` at `thing` sees at `t_ns`.

    A triangle of a minute between the ends of its wave; an input goes on and off every 7 s.
    """
    if thing in STEADY:
        return STEADY[thing]
    phase = _phase(unit, thing)
    if thing == "hood_flow":
        return float((t_ns / NS / BLINK_S + phase) % 2.0 < 1.0)
    low, high, by_decades = WAVES[thing]
    rise = abs((t_ns / NS / PERIOD_S + phase) % 1.0 * 2.0 - 1.0)
    if by_decades:
        return low * math.exp(rise * math.log(high / low))
    return low + rise * (high - low)


@functools.cache
def _phase(unit: str, thing: str) -> float:
    return seed_of(1, f"{unit}/{thing}") / 2**64


class WavingPlant:
    """The plant of one unit: its sensors follow their waves, and nothing done to it matters."""

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def get(self, thing: str, t_ns: int) -> float:
        """Return the wave."""
        return true_value(self._unit, thing, t_ns)

    def put(self, thing: str, value: float, t_ns: int) -> None:
        """Let it be."""

    def move(self, syringe: str, volume_ml: float, t_ns: int) -> float:
        """Move all that is asked."""
        return volume_ml

    def counts(self, which: str, exposure: Exposure, t_ns: int) -> array[int]:
        """Expose: all pixels alike."""
        level = round(true_value(self._unit, "counts", t_ns))
        return array("I", [level]) * len(exposure.wavelengths_nm)

    def stream(self, name: str) -> random.Random:
        """Return the stream of one component."""
        return stream(1, name)


def build(unit: Unit) -> SimDevice:
    """Make the simulated instrument of a unit."""
    row = TwinDevice(unit.name, unit.kind, unit.line, unit.settings, unit.touches)
    return cast("SimDevice", load("simulators", unit.kind)(row, WavingPlant(unit.name)))


async def serve(origin_ns: int) -> None:
    """Serve all lines, say where as JSON, answer each line of stdin with a count, end with it."""

    def now_ns() -> int:
        return time.monotonic_ns() - origin_ns

    lines: dict[str, list[Unit]] = {}
    for unit in units():
        lines.setdefault(unit.line, []).append(unit)
    served: dict[str, Served] = {}
    places: dict[str, str] = {}
    for line, members in lines.items():
        sims = [build(unit) for unit in members]
        sim = sims[0] if len(sims) == 1 else SharedLine(sims)
        if catalog("drivers")[members[0].kind].line == "tcp":
            network = await serve_tcp(sim, now_ns)
            served[line], places[line] = network, f"{network.host}:{network.port}"
        else:
            terminal: ServedPty = await serve_pty(sim, now_ns)
            served[line], places[line] = terminal, terminal.path
    print(json.dumps(places), flush=True)
    await _until_closed()
    for one in served.values():
        await one.close()


async def _until_closed() -> None:
    """Tell tasks and descriptors for each line of stdin, until there is no more."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.readline():
        counts = {"tasks": len(asyncio.all_tasks()), "descriptors": descriptors()}
        print(json.dumps(counts), flush=True)
    transport.close()


def descriptors() -> int:
    """Count the open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1


def main() -> None:
    """Serve until stdin closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--origin-ns", type=int, required=True, help="monotonic time of t = 0")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().origin_ns))


if __name__ == "__main__":
    main()
