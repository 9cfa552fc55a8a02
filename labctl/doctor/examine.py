"""The examination: ports first, then instruments, then what was found put into words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labctl.clock import Clock
from labctl.doctor.asking import Asked, advice, ask_line, exchanged, unlooked
from labctl.doctor.findings import Level, PortSeen, Remark, Report
from labctl.doctor.machine import machine
from labctl.doctor.ports import clashes, seen, twins
from labctl.errors import UsageError
from labctl.rig.claim import Claim
from labctl.rig.model import LoadedRig
from labctl.rig.opening import gap_ns
from labctl.rig.twinning import devices_of, guard_of
from labctl.rig.wires import SerialNumbers, hardware_wires, serial_numbers
from labctl.transport import Port


async def examine(
    rig: LoadedRig | None, runs: Path, clock: Clock, numbers: SerialNumbers = serial_numbers
) -> Report:
    """Look at the machine and, where one is named, at a rig; nothing is set or actuated."""
    said, remarks = machine(runs)
    if rig is None:
        return Report(machine=said, remarks=remarks)
    begun = Report(rig.model.name, machine=said, remarks=(*remarks, *twins(rig)))
    if len(begun.remarks) > len(remarks):
        return begun  # two ports at one place cannot both be opened
    try:
        claim = Claim(rig, "the doctor")
    except UsageError as error:
        held = Remark(rig.model.name, str(error), "nothing was opened; ask again when it is over")
        return replace(begun, remarks=(*begun.remarks, held))
    with claim:
        return await Examination(rig, clock, numbers).report(begun)


class Examination:
    """One look at all ports and instruments of a rig."""

    def __init__(self, rig: LoadedRig, clock: Clock, numbers: SerialNumbers) -> None:
        self._rig = rig
        self._clock = clock
        self._numbers = numbers
        self._devices = (*devices_of(rig), *guard_of(rig))
        self._wires = hardware_wires(rig, clock, numbers)

    async def report(self, begun: Report) -> Report:
        """Look at everything; `begun` is what was found before."""
        remarks = [*begun.remarks, *clashes(self._devices)]
        ports: dict[str, PortSeen] = {}
        for name in dict.fromkeys(device.port for device in self._devices):
            ports[name], found = seen(self._rig, name, self._rig.model.ports[name], self._numbers)
            remarks += found
        shut = {remark.of for remark in remarks if remark.level is Level.UNFIT}
        asked = await self._ask([name for name in ports if name not in shut])
        remarks += await self._explained(asked, ports)
        answered = {row.device.name: row.seen for row in asked}
        opened = {row.device.port for row in asked if not row.is_shut}
        return replace(
            begun,
            devices=tuple(answered[d.name] for d in self._devices if d.name in answered),
            ports=tuple(replace(port, opened=name in opened) for name, port in ports.items()),
            remarks=tuple(remarks),
        )

    async def _ask(self, names: Sequence[str]) -> list[Asked]:
        lines = [[device for device in self._devices if device.port == name] for name in names]
        ports = [self._port(name, name) for name in names]
        answers = await asyncio.gather(*map(ask_line, ports, lines))
        return [row for line in answers for row in line]

    async def _explained(self, asked: Sequence[Asked], ports: dict[str, PortSeen]) -> list[Remark]:
        failed = [row for row in asked if row.error is not None]
        swapped = await exchanged([row for row in failed if not row.is_shut], self._port)
        told = [advice(row, ports[row.device.port], swapped.get(row.device.name)) for row in failed]
        return told + [unlooked(row.device) for row in asked if not row.can_look]

    def _port(self, name: str, as_for: str) -> Port:
        """Make the port `name`, with the line settings of the port `as_for`."""
        here, entry = self._rig.model.ports[name], self._rig.model.ports[as_for]
        place = {way: getattr(here, way) for way in ("usb", "path", "tcp", "visa")}
        moved = entry.model_copy(update=place)
        wire = self._wires(as_for, moved)
        return Port(name, wire, self._clock, gap_ns=gap_ns(self._rig, as_for, entry))
