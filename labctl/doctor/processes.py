"""Who has what open on this machine, read from /proc (Linux); elsewhere nothing is known."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_LISTENS = "0A"
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Listening:
    """A TCP port on which one of our processes listens."""

    pid: int
    command: str
    address: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.address).is_loopback


def users_of(path: Path, proc: Path = PROC) -> tuple[tuple[int, str], ...]:
    """Return (pid, command) of other processes that have a file open; what serves a pty is none."""
    real = str(path.resolve())
    found = []
    for pid, files in _open_files(proc):
        serves = real.startswith("/dev/pts/") and "/dev/ptmx" in files
        if real in files and not serves and pid != os.getpid():
            found.append((pid, command_of(pid, proc)[:_SHOWN]))
    return tuple(found)


def command_of(pid: int, proc: Path = PROC) -> str:
    """Return how a process was started; empty where it is gone or somebody else's."""
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return b" ".join(words).decode("utf-8", "replace").strip()


def listening(word: str = "labctl", proc: Path = PROC) -> tuple[Listening, ...]:
    """Return the TCP ports on which processes listen whose command has that word."""
    sockets = {inode: at for name in ("tcp", "tcp6") for inode, at in _sockets(proc / "net" / name)}
    found = []
    for pid, files in _open_files(proc):
        inodes = {file.removeprefix("socket:[").rstrip("]") for file in files} & sockets.keys()
        command = command_of(pid, proc) if inodes else ""
        if word in command:
            shown = command[:_SHOWN]
            found += [Listening(pid, shown, *sockets[inode]) for inode in sorted(inodes)]
    return tuple(found)


def _open_files(proc: Path) -> Iterator[tuple[int, set[str]]]:
    try:
        entries = sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    except OSError:
        return
    for pid in entries:
        try:
            links = list((proc / str(pid) / "fd").iterdir())
        except OSError:
            continue
        yield pid, set(_targets(links))


def _targets(links: list[Path]) -> Iterator[str]:
    for link in links:
        try:
            yield str(link.readlink())
        except OSError:
            continue


def _sockets(table: Path) -> Iterator[tuple[str, tuple[str, int]]]:
    try:
        rows = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for row in rows:
        cells = row.split()
        if cells[3] == _LISTENS:
            address, _, port = cells[1].partition(":")
            yield cells[9], (_address(address), int(port, 16))


def _address(text: str) -> str:
    """Read an address as the kernel prints it: words of 32 bits, each little end first.

    >>> _address("0100007F"), _address("00000000000000000000000001000000")
    ('127.0.0.1', '::1')
    """
    words = [bytes.fromhex(text[n : n + 8])[::-1] for n in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))
