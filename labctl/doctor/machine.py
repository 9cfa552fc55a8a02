"""The machine under a rig: does it sleep, is there room, who listens, whose instruments load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from labctl.doctor.findings import Level, Remark
from labctl.doctor.processes import listening
from labctl.registry import shelves
from labctl.rig.wires import serial_numbers

SLEEPS = ("sleep", "suspend", "hibernate", "hybrid-sleep")
LEAST_MB = 200
"""A long run with two spectrometers takes some tens of MB; a full disk freezes the run."""
FEW_MB = 2000

Said = Mapping[str, str]


def machine(runs: Path, root: Path = Path("/")) -> tuple[Said, tuple[Remark, ...]]:
    """Look at the machine: in words what is there, and what to say of it."""
    sleep, adapters = _asleep(root), serial_numbers()
    free_mb = shutil.disk_usage(_existing(runs)).free // 1_000_000
    ours = listening()
    said = {
        "sleep": "cannot happen, its targets are masked" if not sleep else sleep[0].says,
        "room for runs": f"{free_mb} MB in {runs}",
        "serial adapters": ", ".join(f"{n} at {path}" for n, path in adapters.items()) or "none",
        "labctl listens": ", ".join(f"{row.address}:{row.port} (pid {row.pid})" for row in ours)
        or "nowhere",
        "instruments from": ", ".join(
            dict.fromkeys(f"{shelf.name} in {shelf.place}" for shelf in shelves())
        ),
    }
    remarks = [*sleep, *_room(free_mb, runs), *_naps(root), *shadowed()]
    for row in ours:
        if not row.is_local:
            says = f"pid {row.pid} ({row.command}) listens on {row.address}:{row.port}"
            do = "have it listen on 127.0.0.1, or know who may reach this machine"
            remarks.append(Remark("machine", says, do, Level.NOTE))
    return said, tuple(remarks)


def shadowed() -> Iterator[Remark]:
    """Say which instruments are not those that came with this labctl."""
    for shelf in shelves():
        if shelf.is_ours:
            continue
        says = f"the instruments of `{shelf.name}` are loaded from {shelf.place}, not labctl's own"
        do = "start labctl elsewhere, or rename that folder; it hides the one that was installed"
        yield Remark("machine", says, do)


def _asleep(root: Path) -> list[Remark]:
    if not (root / "run/systemd/system").exists():
        says = "whether this machine may fall asleep cannot be read: no systemd runs here"
        return [Remark("machine", says, "see to it that it does not", Level.NOTE)]
    folder = root / "etc/systemd/system"
    awake = [name for name in SLEEPS if not _masked(folder / f"{name}.target")]
    if not awake:
        return []
    says = f"this machine may fall asleep ({', '.join(awake)}), and a run with it"
    do = "sudo systemctl mask " + " ".join(f"{name}.target" for name in SLEEPS)
    return [Remark("machine", says, do, Level.NOTE)]


def _masked(unit: Path) -> bool:
    return unit.is_symlink() and str(unit.readlink()) == "/dev/null"


def _naps(root: Path) -> Iterator[Remark]:
    """Say which USB serial adapters the kernel may switch off to save power."""
    for control in sorted(root.glob("sys/bus/usb/devices/*/power/control")):
        device = control.parent.parent
        is_serial = any(device.glob("*:*/ttyUSB*")) or any(device.glob("*:*/tty/ttyACM*"))
        if is_serial and control.read_text(encoding="ascii").strip() == "auto":
            says = f"the serial adapter at USB {device.name} may be suspended when it is idle"
            yield Remark("machine", says, f"echo on | sudo tee {control}", Level.NOTE)


def _room(free_mb: int, runs: Path) -> Iterator[Remark]:
    says = f"only {free_mb} MB are free where runs go ({runs})"
    do = "make room, or name another place with --runs or $LABCTL_RUNS"
    if free_mb < LEAST_MB:
        yield Remark("machine", says, do)
    elif free_mb < FEW_MB:
        yield Remark("machine", says, do, Level.NOTE)


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
