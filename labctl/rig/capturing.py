"""Wires that keep what crosses them, one file a port, with what a replay must know."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from labctl.capabilities import DeviceSettings
from labctl.clock import Clock, utc_now
from labctl.errors import UsageError
from labctl.rig.model import LoadedRig, PortEntry
from labctl.rig.opening import WireMaker
from labctl.rig.twinning import devices_of
from labctl.rig.wires import line_settings
from labctl.transport import Wire
from labctl.transport.capture import Capture, CapturingWire, Recorder
from labctl.twin import TwinDevice

_SETTINGS = TypeAdapter(DeviceSettings)


def capturing(rig: LoadedRig, make: WireMaker, clock: Clock, folder: Path) -> WireMaker:
    """Return what makes the wires of a rig so that each keeps `PORT.jsonl` in a folder."""
    devices = devices_of(rig)

    def wire(name: str, entry: PortEntry) -> Wire:
        here = [device for device in devices if device.port == name]
        recorder = recorder_of(folder, name, line_of(rig, name, entry), here, clock)
        return CapturingWire(make(name, entry), recorder)

    return wire


def recorder_of(
    folder: Path, port: str, line: str, devices: Sequence[TwinDevice], clock: Clock
) -> Recorder:
    """Begin the capture of a port in a folder, which is made.

    Raises:
        UsageError: there is one already, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from None
    header = {
        "port": port,
        "line": line,
        "devices": [_written(device) for device in devices],
        "versions": {"labctl": version("labctl"), "python": platform.python_version()},
        "at": utc_now(),
    }
    return Recorder(folder / f"{port}.jsonl", header, clock)


def line_of(rig: LoadedRig, name: str, entry: PortEntry) -> str:
    """Return how a port is set, such as `9600 8N1`; `tcp` or `visa` on a network."""
    if entry.tcp or entry.visa:
        return "tcp" if entry.tcp else "visa"
    settings = line_settings(rig, name, entry)
    return f"{settings.baud} {settings.bits}"


def captured_devices(capture: Capture) -> tuple[TwinDevice, ...]:
    """Return the devices that were on a captured port, as the rig file had them.

    Raises:
        UsageError: the capture says them in another way.
    """
    return tuple(_read(row, capture.port) for row in capture.devices)


def _written(device: TwinDevice) -> dict[str, object]:
    settings = _SETTINGS.dump_python(device.settings, mode="json", exclude_defaults=True)
    touches = dict(device.touches)
    return {"name": device.name, "kind": device.kind, "settings": settings, "touches": touches}


def _read(row: Mapping[str, object], port: str) -> TwinDevice:
    try:
        settings = _SETTINGS.validate_python(row["settings"])
        touches = TypeAdapter(dict[str, str]).validate_python(row["touches"])
    except (KeyError, ValidationError) as error:
        raise UsageError(f"the capture of port {port} has no usable devices: {error}") from None
    return TwinDevice(str(row["name"]), str(row["kind"]), port, settings, touches)
