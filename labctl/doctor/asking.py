"""The instruments of a rig, asked: who answers, how fast, and what it means when nobody does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from labctl.capabilities import Device
from labctl.doctor.findings import DeviceSeen, Latency, Level, PortSeen, Remark
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    PortLostError,
    RefusedByDeviceError,
)
from labctl.registry import listing, load
from labctl.transport import Port
from labctl.twin import TwinDevice

_ROUNDS = 5
_SILENCE = repr(b"")

MakePort = Callable[[str, str], Port]
"""Makes the port that the first name stands for, its line set as for the second; opens nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking one device: what was seen, and the error where it failed.

    `can_look` is False where its driver, a stranger's, has no way to look.
    """

    device: TwinDevice
    seen: DeviceSeen
    error: DeviceError | None = None
    can_look: bool = True

    @property
    def is_shut(self) -> bool:
        """Whether the port could not be opened at all."""
        return isinstance(self.error, PortLostError)


class Stopwatch:
    """The trace of a port: how long each reply took, in ns."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self._asked_ns = 0

    def __call__(self, t_ns: int, way: str, data: bytes) -> None:
        """Note one direction of an exchange."""
        if way == ">":
            self._asked_ns = t_ns
        else:
            self.times_ns.append(t_ns - self._asked_ns)


async def ask_line(port: Port, devices: Sequence[TwinDevice]) -> list[Asked]:
    """Open a port, look at its devices one after the other, and close it."""
    try:
        await port.open()
    except PortLostError as error:
        return [Asked(device, _unseen(device), error) for device in devices]
    try:
        return [await _ask(port, device) for device in devices]
    finally:
        await port.close()


async def _ask(port: Port, device: TwinDevice) -> Asked:
    port.trace = watch = Stopwatch()
    try:
        made = load("drivers", device.kind)(port, device.settings)
        if not isinstance(made, Device):
            return Asked(device, _unseen(device), can_look=False)
        look = await made.look()
        for _ in range(_ROUNDS - 1):
            await made.look()
    except DeviceError as error:
        return Asked(device, replace(_unseen(device), latency=Latency.of(watch.times_ns)), error)
    latency = Latency.of(watch.times_ns)
    return Asked(device, DeviceSeen(device.name, device.kind, device.port, look, latency))


def _unseen(device: TwinDevice) -> DeviceSeen:
    return DeviceSeen(device.name, device.kind, device.port)


async def exchanged(failed: Sequence[Asked], port: MakePort) -> dict[str, TwinDevice]:
    """Ask at the port of each device that failed for the others that failed; name who answers.

    Only questions that a look asks anyway are sent, and only where nothing sensible answered.
    """
    found: dict[str, TwinDevice] = {}
    for here in failed:
        for other in failed:
            if other.device.port == here.device.port:
                continue
            if await _answers(port, here.device.port, other.device):
                found[here.device.name] = other.device
                break
    return found


async def _answers(port: MakePort, at: str, device: TwinDevice) -> bool:
    """Ask twice: what was asked there before may still stand in the way of the first question."""
    for _ in range(2):
        (asked,) = await ask_line(port(at, device.port), [device])
        if asked.error is None:
            return asked.can_look
    return False


def advice(asked: Asked, port: PortSeen, instead: TwinDevice | None) -> Remark:
    """Say in a sentence why a device does not answer as it should, and what to do."""
    device, error = asked.device, asked.error
    row = listing("drivers", device.kind)
    what = f"a {row.maker} {row.model}"
    if instead is not None:
        says = f"{instead.name} ({instead.kind}) answers on port {device.port}, where {what} should"
        do = f"exchange the plugs, or the ports {device.port} and {instead.port} in the rig file"
        return Remark(device.name, says, do)
    at = f"{port.where} ({port.line})" if port.line else port.where
    says, do = _explained(error, device, what, at)
    return Remark(device.name, says, do)


def _explained(
    error: DeviceError | None, device: TwinDevice, what: str, at: str
) -> tuple[str, str]:
    usual = listing("drivers", device.kind).line
    if isinstance(error, PortLostError):
        return f"its port cannot be opened: {error.got}", _reopen(error.got)
    if isinstance(error, NoReplyError) and error.got == _SILENCE:
        address = f", its address {device.settings.address}" if _has_address(device) else ""
        do = f"is it on, its cable in{address}, its line as the rig file has it (usual: {usual})?"
        return f"nothing answers at {at}", do
    if isinstance(error, GarbledError | NoReplyError):
        do = f"set `baud` and `format` to what its panel says (usual: {usual}); else find the plug"
        says = f"what comes back at {at} is not {what}: {error.got[:60]}"
        return f"{says}; the line is set otherwise, or another instrument is there", do
    if isinstance(error, RefusedByDeviceError):
        return f"asked {error.asked}, got {error.got}", f"expected: {error.expected}"
    if isinstance(error, OutOfRangeError):
        return f"{error.asked} does not fit: {error.got}", f"in the rig file: {error.expected}"
    return str(error), ""


def _has_address(device: TwinDevice) -> bool:
    return bool(listing("drivers", device.kind).bus)


def _reopen(got: str) -> str:
    if "refused" in got or "Connect call failed" in got:
        return "nothing listens there: is the instrument on, is that its address and port?"
    if "no answer" in got or "Name or service" in got or "resolution" in got:
        return "is it on, in this network, and its name or address right?"
    return "end what uses it, or look at the cable"


def unlooked(device: TwinDevice) -> Remark:
    """Say that a device cannot be looked at without being set up."""
    says = f"the driver of {device.kind} cannot look without setting up; it was left alone"
    return Remark(device.name, says, "ask its author for `look`", Level.NOTE)
