"""Opens and closes a rig: ports, drivers, roles. The wires come from whoever composes the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from labctl.capabilities import (
    Device,
    Identity,
    LightSource,
    Operator,
    RelayBoard,
    Spectrometer,
    Stirrer,
    TemperatureController,
    VacuumPump,
)
from labctl.clock import Clock
from labctl.errors import RefusedByDeviceError
from labctl.registry import listing, load
from labctl.rig.by_hand import HandBoard, HandStirrer, HandVacuum
from labctl.rig.correcting import RAW, corrected
from labctl.rig.devices import PersonEntry, RelayEntry
from labctl.rig.model import LoadedRig, PortEntry
from labctl.rig.settings import settings_of
from labctl.transport import Port, Wire

WireMaker = Callable[[str, PortEntry], Wire]

RS485_GAP_NS = 20_000_000
SWITCH_THINGS = {"fine": "fine_pump"}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a board, bound to a role."""

    board: RelayBoard
    name: str
    by_person: bool


class OpenRig:
    """A rig's ports and drivers, and who plays each role."""

    def __init__(self, rig: LoadedRig, operator: Operator, wires: WireMaker, clock: Clock) -> None:
        self.rig = rig
        self.operator = operator
        self.ports = {
            name: Port(name, wires(name, entry), clock, gap_ns=gap_ns(rig, name, entry))
            for name, entry in rig.model.ports.items()
            if any(device.port == name for device in rig.model.devices.values())
        }
        self.devices: dict[str, Device] = {}
        self._known: dict[str, Identity] = {}
        for name, entry in rig.model.devices.items():
            if not isinstance(entry, PersonEntry):
                made = load("drivers", entry.kind)(self.ports[entry.port], settings_of(entry, name))
                self.devices[name] = corrected(made, entry)  # type: ignore[arg-type]

    async def connect(self) -> dict[str, Identity]:
        """Open the ports and connect every driver; nothing is actuated.

        Raises:
            DeviceError: a port that cannot be opened, or an instrument that does not answer.
        """
        for port in self.ports.values():
            await port.open()
        self._known = {name: await device.connect() for name, device in self.devices.items()}
        return self._known

    async def reopen(self, port: str) -> None:
        """Open a lost port again, under whatever name it has now, and connect what is on it.

        Raises:
            DeviceError: it cannot be opened yet, or somebody else answers on it; it stays lost.
        """

        async def verify() -> None:
            for name, device in self.devices.items():
                if self.rig.model.devices[name].port == port:
                    found, known = await device.connect(), self._known.get(name)
                    if known is not None and found != known:
                        raise RefusedByDeviceError(name, "who it is", str(known), str(found))

        await self.ports[port].reopen(verify)

    async def close(self) -> None:
        """Close the ports, last opened first."""
        async with contextlib.AsyncExitStack() as stack:
            for port in self.ports.values():
                stack.push_async_callback(port.close)

    def by_person(self, role: str) -> bool:
        """Say whether a person plays a role, or nobody."""
        return self.rig.entry(role)[0] not in self.devices

    def has(self, role: str) -> bool:
        """Say whether a role is bound."""
        return role in self.rig.model.roles

    @property
    def heater(self) -> TemperatureController:
        """Who heats the flask."""
        return self.devices[self.rig.entry("heater")[0]]  # type: ignore[return-value]

    @property
    def warm_line(self) -> TemperatureController | None:
        """Who warms the line of a pump, if there is one."""
        return self.devices.get(self.rig.entry("warm_line")[0])  # type: ignore[return-value]

    @property
    def stirrer(self) -> Stirrer:
        """Who stirs."""
        found = self.devices.get(self.rig.entry("stirrer")[0])
        return found or HandStirrer(self.operator, "stirrer")  # type: ignore[return-value]

    @property
    def laser(self) -> LightSource | None:
        """Who excites, if anybody."""
        return self.devices.get(self.rig.entry("excitation")[0])  # type: ignore[return-value]

    def vacuum(self) -> VacuumPump:
        """Return who pumps rough; kept by the caller, since a person is not asked twice."""
        found = self.devices.get(self.rig.entry("rough")[0])
        return found or HandVacuum(self.operator, "rough")  # type: ignore[return-value]

    def spectrometer(self, role: str) -> Spectrometer | None:
        """Return the spectrometer of a role, if a device plays it."""
        return self.devices.get(self.rig.entry(role)[0])  # type: ignore[return-value]

    def valve(self, name: str) -> Output:
        """Return a valve of the manifold."""
        board = self.devices.get(self.rig.entry("manifold")[0])
        if board is None:
            return Output(HandBoard(self.operator, "manifold", "valve."), name, by_person=True)
        return Output(board, name, by_person=False)  # type: ignore[arg-type]

    def output(self, role: str) -> Output:
        """Return the output bound to a role."""
        device, part = self.rig.entry(role)
        board = self.devices.get(device)
        if board is None or not isinstance(self.rig.model.devices[device], RelayEntry):
            thing = SWITCH_THINGS.get(role, role)
            return Output(HandBoard(self.operator, role, ""), thing, by_person=True)
        return Output(board, part, by_person=False)  # type: ignore[arg-type]

    def aliases(self) -> dict[str, str]:
        """Map every `device.channel` to the name the rig gives it under `signals`."""
        aliases: dict[str, str] = {}
        for signal, reference in self.rig.model.signals.items():
            name, _, part = reference.partition(".")
            device = self.devices.get(name)
            if device is not None:
                first = device.channels[0].name
                channel = f"{name}.{part or first}"
                aliases[channel] = signal
                aliases[channel + RAW] = signal + RAW
        return aliases


def gap_ns(rig: LoadedRig, port: str, entry: PortEntry) -> int:
    """Return the least time in ns between two questions on a port."""
    kinds = [device.kind for device in rig.model.devices.values() if device.port == port]
    gap_ns = max((listing("drivers", kind).gap_ms * 1_000_000 for kind in kinds), default=0)
    return max(gap_ns, RS485_GAP_NS if entry.mode == "RS-485" else 0)
