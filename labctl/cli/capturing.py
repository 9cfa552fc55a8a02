"""`capture`: reads instruments for a while and keeps what crosses their ports, to be replayed."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from labctl.capabilities import Device
from labctl.cli.bare import bare_twin
from labctl.cli.options import Options, add_format, options
from labctl.cli.quantities import positive
from labctl.clock import Clock, WallClock
from labctl.errors import ExitCode, LabctlError, UsageError
from labctl.registry import listing, load
from labctl.rig.capturing import line_of, recorder_of
from labctl.rig.claim import Claim
from labctl.rig.load import load_rig
from labctl.rig.model import LoadedRig, PortEntry
from labctl.rig.opening import WireMaker, gap_ns
from labctl.rig.tapping import tap
from labctl.rig.twinning import devices_of, guard_of
from labctl.rig.wires import hardware_wires
from labctl.transport.capture import CapturingWire, Recorder
from labctl.transport.descriptor import LineSettings, SerialWire, TcpWire
from labctl.transport.port import Port
from labctl.twin import TwinDevice


@dataclass(frozen=True, slots=True)
class _Tapped:
    """One port to be tapped."""

    name: str
    entry: PortEntry
    line: str
    gap_ns: int
    devices: tuple[TwinDevice, ...]


def run(command: str, arguments: list[str]) -> int:
    """Tap all ports at once; exit 3 where an instrument did not do as asked.

    Raises:
        UsageError: neither a rig nor a kind with its port is named, or both; or another labctl has
            the rig.
    """
    parser = options(command)
    _add(parser)
    add_format(parser)
    asked = parser.read(arguments)
    if (asked.rig is None) == (asked.kind is None) or (asked.kind is None) != (asked.port is None):
        raise UsageError("name either a rig's file, or one --kind of instrument and its --port")
    times = positive(asked.for_, "time", "--for"), positive(asked.every, "time", "--every")
    with ExitStack() as stack:
        rig = None if asked.rig is None else load_rig(asked.rig)
        if rig is not None:
            stack.enter_context(Claim(rig, "a capture"))
        wrong = asyncio.run(_tapped(rig, asked, *times))
    _say(asked.output, wrong, as_json=asked.format == "json")
    return ExitCode.SAFE if wrong else ExitCode.COMPLETE


def _add(parser: Options) -> None:
    parser.add_argument("rig", type=Path, nargs="?", metavar="RIG", help="the rig's file")
    parser.add_argument("--kind", help="tap one instrument without a rig; `labctl devices`")
    where = "where that instrument is: /dev/… or HOST:PORT"
    parser.add_argument("--port", metavar="WHERE", help=where)
    folder = "where to write PORT.jsonl"
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help=folder)
    how_long = "how long to read; 10 s unless given"
    parser.add_argument("--for", dest="for_", default="10 s", metavar="TIME", help=how_long)
    how_often = "between readings; 1 s unless given"
    parser.add_argument("--every", default="1 s", metavar="TIME", help=how_often)


async def _tapped(
    rig: LoadedRig | None, asked: argparse.Namespace, for_s: float, every_s: float
) -> Mapping[str, list[str]]:
    clock = WallClock()
    if rig is None:
        make, taps = _bare_wires(clock), [_bare(asked.kind, asked.port)]
    else:
        make, taps = hardware_wires(rig, clock), _ports(rig)
    with ExitStack() as stack:
        recorders = [
            stack.enter_context(
                closing(recorder_of(asked.output, row.name, row.line, row.devices, clock))
            )
            for row in taps
        ]
        said = await asyncio.gather(
            *(
                _tap(row, make, recorder, clock, for_s, every_s)
                for row, recorder in zip(taps, recorders, strict=True)
            )
        )
    return {row.name: wrong for row, wrong in zip(taps, said, strict=True) if wrong}


async def _tap(
    row: _Tapped, make: WireMaker, recorder: Recorder, clock: Clock, for_s: float, every_s: float
) -> list[str]:
    try:
        wire = CapturingWire(make(row.name, row.entry), recorder)
        port = Port(row.name, wire, clock, gap_ns=row.gap_ns)
        drivers = [_driver(device, port) for device in row.devices]
        wrong = await tap(port, drivers, recorder.note, clock, for_s=for_s, every_s=every_s)
        return wrong + [f"{recorder.failed}: what followed is lost"] * bool(recorder.failed)
    except LabctlError as error:
        return [str(error)]


def _driver(device: TwinDevice, port: Port) -> Device:
    made: object = load("drivers", device.kind)(port, device.settings)
    return made  # type: ignore[return-value]


def _ports(rig: LoadedRig) -> list[_Tapped]:
    devices = (*devices_of(rig), *guard_of(rig))
    return [
        _Tapped(
            name,
            rig.model.ports[name],
            line_of(rig, name, rig.model.ports[name]),
            gap_ns(rig, name, rig.model.ports[name]),
            tuple(device for device in devices if device.port == name),
        )
        for name in dict.fromkeys(device.port for device in devices)
    ]


def _bare(kind: str, where: str) -> _Tapped:
    spec, _ = bare_twin(kind, 1)
    row = listing("drivers", kind)
    is_serial = where.startswith("/")
    entry = PortEntry(path=where, baud=0) if is_serial else PortEntry(tcp=where, baud=0)
    line = row.line if is_serial else "tcp"
    return _Tapped(kind, entry, line, row.gap_ms * 1_000_000, spec.devices)


def _bare_wires(clock: WallClock) -> WireMaker:
    def make(name: str, entry: PortEntry) -> SerialWire | TcpWire:
        if entry.tcp:
            host, _, port = entry.tcp.removeprefix("socket://").rpartition(":")
            return TcpWire(name, host, int(port), clock)
        word, _, form = listing("drivers", name).line.partition(" ")
        baud = int(word) if word.isdigit() else 9600
        form = form or "8N1"
        settings = LineSettings(baud, int(form[0]), form[1], int(form[2]))
        return SerialWire(name, entry.path, settings, clock)

    return make


def _say(folder: Path, wrong: Mapping[str, list[str]], *, as_json: bool) -> None:
    files = sorted(str(file) for file in folder.glob("*.jsonl"))
    if as_json:
        print(json.dumps({"files": files, "errors": wrong}, ensure_ascii=False))
        return
    print("\n".join(files))
    for port, sentences in wrong.items():
        for sentence in dict.fromkeys(sentences):
            print(f"{port}: {sentence}", file=sys.stderr)
