"""What the guard is handed: the frames that make each instrument of an open rig safe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from labctl.capabilities import HoldsContactor
from labctl.errors import UsageError
from labctl.guard.will import Bequest, Contactor, Line, Will
from labctl.registry import listing, load
from labctl.rig.model import LoadedRig, PortEntry
from labctl.rig.opening import OpenRig
from labctl.rig.wires import adapter_path, line_settings, serial_numbers

FIRST = ("heater", "warm_line", "pump", "excitation", "manifold", "rough")
"""Heat first because it acts slowest; pumps before pressures change; the rest as it comes."""

_SOCKET = re.compile(r"TCPIP\d*::([^:]+)::(\d+)::SOCKET", re.IGNORECASE)


def will_of(opened: OpenRig, pid: int) -> Will:
    """Return the last will of a rig whose instruments are connected, for the process `pid`.

    Raises:
        UsageError: the rig file has no guard.
    """
    rig = opened.rig
    lines: dict[str, Line] = {}
    bequests, unreachable = [], []
    for name, device in sorted(opened.devices.items(), key=lambda row: _rank(rig, row[0])):
        frames = device.last_will()
        if not frames:
            continue
        port = rig.model.devices[name].port
        line = line_of(rig, port)
        if line is None:
            unreachable.append(name)
            continue
        lines[port] = line
        bequests.append(Bequest(name, port, frames))
    guard = rig.model.guard
    if guard is None:
        raise UsageError("the rig file has no `guard`; nothing is heated on hardware without one")
    return Will(
        pid,
        contactor_of(rig),
        tuple(lines.values()),
        tuple(bequests),
        guard.heartbeat,
        guard.flask_T_age,
        tuple(unreachable),
    )


def contactor_of(rig: LoadedRig) -> Contactor:
    """Return the contactor on the guard's port.

    Raises:
        UsageError: the rig has no guard, its kind switches nothing, or its port cannot be opened.
    """
    guard = rig.model.guard
    if guard is None:
        raise UsageError("the rig file has no `guard`")
    board: object = load("drivers", guard.kind)
    if not isinstance(board, HoldsContactor):
        raise UsageError(f"guard: a {guard.kind} has no outputs that could hold a contactor")
    frames = board.switching(guard.unit, guard.coil)
    line = line_of(rig, guard.port, guard.kind)
    if line is None:
        raise UsageError(f"guard: port {guard.port} is none that the guard can open by itself")
    return Contactor(line, frames.off, frames.is_off, frames.on, frames.is_on)


def line_of(
    rig: LoadedRig,
    name: str,
    kind: str = "",
    numbers: Callable[[], Mapping[str, str]] = serial_numbers,
) -> Line | None:
    """Return how the guard opens a port; None where pyserial cannot (a VISA resource).

    Raises:
        PortLostError: an adapter is not plugged in.
    """
    entry = rig.model.ports[name]
    url = _url(name, entry, numbers)
    if not url:
        return None
    settings = line_settings(rig, name, entry, kind)
    return Line(name, url, settings.baud, settings.data_bits, settings.parity, settings.stop_bits)


def _url(name: str, entry: PortEntry, numbers: Callable[[], Mapping[str, str]]) -> str:
    if entry.tcp:
        return f"socket://{entry.tcp.removeprefix('socket://')}"
    if entry.visa:
        found = _SOCKET.fullmatch(entry.visa)
        return f"socket://{found[1]}:{found[2]}" if found else ""
    return entry.path or adapter_path(name, entry.usb, numbers())


def _rank(rig: LoadedRig, device: str) -> tuple[int, str]:
    roles = [role for role, bound in rig.model.roles.items() if bound.partition(".")[0] == device]
    roles += listing("drivers", rig.model.devices[device].kind).roles[:1]
    return min((FIRST.index(role) for role in roles if role in FIRST), default=len(FIRST)), device
