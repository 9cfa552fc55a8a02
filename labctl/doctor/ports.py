"""The ports of a rig, before anything is sent: where they are, who may open them, who has."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

from labctl.doctor.findings import Level, PortSeen, Remark
from labctl.doctor.processes import users_of
from labctl.errors import PortLostError, nearest
from labctl.registry import listing
from labctl.rig.model import LoadedRig, PortEntry
from labctl.rig.wires import SerialNumbers, adapter_path, line_settings
from labctl.twin import TwinDevice

BY_ID = Path("/dev/serial/by-id")


def seen(
    rig: LoadedRig, name: str, entry: PortEntry, numbers: SerialNumbers
) -> tuple[PortSeen, tuple[Remark, ...]]:
    """Look at one port without opening it; a remark that says unfit means: do not open it."""
    if entry.tcp or entry.visa:
        return PortSeen(name, entry.tcp.removeprefix("socket://") or entry.visa), ()
    settings = line_settings(rig, name, entry)
    line = f"{settings.baud} {settings.bits}"
    try:
        path = Path(entry.path or adapter_path(name, entry.usb, numbers()))
    except PortLostError as error:
        says = f"no adapter with USB serial number {entry.usb.split()[-1]} is plugged in"
        return PortSeen(name, entry.usb, line), (Remark(name, says, _plug(error.got)),)
    if "://" in str(path):
        return PortSeen(name, str(path), line), ()
    if not path.exists():
        return PortSeen(name, str(path), line), (Remark(name, f"there is no {path}", _near(path)),)
    port = PortSeen(name, str(path), line, tuple(also(path)), users_of(path))
    return port, (*_permitted(name, path), *_used(port), *_renamed(name, path, port.also))


def also(path: Path, by_id: Path = BY_ID) -> Iterator[str]:
    """Yield the names of a port that stay the same however adapters are plugged."""
    if by_id.is_dir():
        real = path.resolve()
        yield from (str(link) for link in sorted(by_id.iterdir()) if link.resolve() == real)


def clashes(devices: tuple[TwinDevice, ...]) -> Iterator[Remark]:
    """Say which devices cannot share their port."""
    for first, second in combinations(devices, 2):
        if first.port == second.port:
            yield from _apart(first, second)


def twins(rig: LoadedRig) -> Iterator[Remark]:
    """Say which ports of a rig are one and the same."""
    places = {
        name: entry.path or entry.usb or entry.tcp or entry.visa
        for name, entry in rig.model.ports.items()
    }
    for one, other in combinations(places, 2):
        if places[one] == places[other]:
            says = f"the ports {one} and {other} of the rig file are both {places[one]}"
            yield Remark(one, says, "correct the one that is wrong, or put all devices on one port")


def _apart(first: TwinDevice, second: TwinDevice) -> Iterator[Remark]:
    buses = [listing("drivers", device.kind).bus for device in (first, second)]
    both = f"{first.name} and {second.name} are both on port {first.port}"
    if "" in buses:
        alone = (first, second)[buses.index("")]
        says = f"{both}, but a {alone.kind} has no address and needs a port of its own"
        yield Remark(second.name, says, f"give {alone.name} a port of its own")
    elif buses[0] != buses[1]:
        says = f"{both}, but a {first.kind} and a {second.kind} do not speak alike"
        yield Remark(second.name, says, f"give {second.name} a port of its own")
    elif first.settings.address == second.settings.address:
        says = f"{both} with address {first.settings.address}: both would answer at once"
        do = "set another address at one of them, and in the rig file"
        yield Remark(second.name, says, do)


def _permitted(name: str, path: Path) -> Iterator[Remark]:
    if os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        return
    status = path.stat()
    group, user = _named(grp.getgrgid, status.st_gid), _named(pwd.getpwuid, os.geteuid())
    says = f"{user} may not open {path}"
    if status.st_mode & (stat.S_IRGRP | stat.S_IWGRP) == stat.S_IRGRP | stat.S_IWGRP:
        do = f"sudo usermod -aG {group} {user}, then log out and in again"
    else:
        do = f"its group {group} may not either: sudo chmod g+rw {path}"
    yield Remark(name, says, do)


def _named(find: Callable[[int], Sequence[object]], number: int) -> str:
    """Return the name of a user or group; the number where it has none."""
    try:
        return str(find(number)[0])
    except KeyError:
        return str(number)


def _used(port: PortSeen) -> Iterator[Remark]:
    for pid, command in port.users:
        says = f"{port.where} is open in another program: pid {pid}, {command or 'unknown'}"
        do = "end that program first: two on one line take each other's replies"
        yield Remark(port.name, says, do)


def _renamed(name: str, path: Path, names: tuple[str, ...]) -> Iterator[Remark]:
    if names and path.name.startswith(("ttyUSB", "ttyACM")):
        says = f"{path} may be another adapter after the next start"
        yield Remark(name, says, f"write `path: {names[0]}` in the rig file", Level.NOTE)


def _plug(got: str) -> str:
    return f"plug it in, or correct `usb`; plugged in: {got}"


def _near(path: Path) -> str:
    found = (*BY_ID.glob("*"), *Path("/dev").glob("ttyUSB*"), *Path("/dev").glob("ttyACM*"))
    others = sorted(map(str, found))
    there = ", ".join(others) or "none"
    return f"plug the adapter in, or correct `path`{nearest(str(path), others)}; there are: {there}"
