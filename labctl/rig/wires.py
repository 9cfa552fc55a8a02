"""The wires of a real rig: what a rig file says of its ports, opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from serial.tools.list_ports import comports

from labctl.clock import Clock
from labctl.errors import PortLostError, nearest
from labctl.registry import listing
from labctl.rig.model import LoadedRig, PortEntry
from labctl.source import Document, Place
from labctl.transport import Wire
from labctl.transport.descriptor import LineSettings, SerialWire, TcpWire
from labctl.transport.visa import VisaWire

SerialNumbers = Callable[[], Mapping[str, str]]
"""Gives the path of each adapter by its USB serial number."""


def serial_numbers() -> dict[str, str]:
    """Return the path of every serial adapter that is plugged in, by its USB serial number."""
    return {port.serial_number: port.device for port in comports() if port.serial_number}


def hardware_wires(
    rig: LoadedRig, clock: Clock, numbers: SerialNumbers = serial_numbers
) -> Callable[[str, PortEntry], Wire]:
    """Return what makes the wire of each port of a rig; nothing is opened yet."""

    def make(name: str, entry: PortEntry) -> Wire:
        if entry.tcp:
            host, _, port = entry.tcp.removeprefix("socket://").rpartition(":")
            return TcpWire(name, host, int(port), clock)
        if entry.visa:
            return VisaWire(name, entry.visa, clock)
        settings = line_settings(rig, name, entry)
        if entry.path:
            return SerialWire(name, entry.path, settings, clock)

        def plugged_in() -> str:
            return adapter_path(name, entry.usb, numbers())

        plugged_in()
        return SerialWire(name, plugged_in, settings, clock)

    return make


def line_settings(rig: LoadedRig, name: str, entry: PortEntry, kind: str = "") -> LineSettings:
    """Return how a serial line is set: as the rig file says, else as its instruments are made.

    `kind` is that of an instrument which is not among the rig's devices: the guard's contactor.
    """
    kinds = [kind] if kind else []
    kinds += [device.kind for device in rig.model.devices.values() if device.port == name]
    factory = [listing("drivers", kind).line for kind in kinds]
    bauds = [int(line.partition(" ")[0]) for line in factory if line[:1].isdigit()]
    forms = [line.partition(" ")[2] for line in factory if line[:1].isdigit()]
    form = entry.format if "format" in entry.model_fields_set or not forms else forms[0]
    return LineSettings(entry.baud or max(bauds, default=9600), int(form[0]), form[1], int(form[2]))


def at_endpoints(document: Document, endpoints: Mapping[str, str]) -> str:
    """Return a rig file's text with some of its ports somewhere else: a path, or `host:port`.

    All else stays as its author wrote it, comments included.
    """
    text = document.text
    places: dict[str, Place] = {name: ("ports", name) for name in endpoints}
    for name in sorted(places, key=lambda name: document.span(places[name]), reverse=True):
        kept = document.mapping(places[name])
        way = "path" if endpoints[name].startswith("/") else "tcp"
        words = {way: f'"{endpoints[name]}"'}
        words |= {key: str(kept[key]) for key in ("baud", "format", "mode") if key in kept}
        start, end = document.span(places[name])
        entry = ", ".join(f"{key}: {value}" for key, value in words.items())
        text = f"{text[:start]}{{{entry}}}{text[end:]}"
    return text


def adapter_path(name: str, usb: str, found: Mapping[str, str]) -> str:
    """Return the path of the adapter with a USB serial number.

    Raises:
        PortLostError: it is not plugged in.
    """
    number = usb.rsplit(maxsplit=1)[-1] if usb else ""
    for serial_number, path in found.items():
        if serial_number == number:
            return path
    got = ", ".join(sorted(found)) or "none"
    expected = "an adapter with that number plugged in"
    asked = f"for the adapter with USB serial number {number}"
    raise PortLostError(name, asked, expected, f"{got}{nearest(number, found)}")
