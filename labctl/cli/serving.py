"""`simulate`: serves a rig's simulated instruments, or one kind, on ptys and TCP in real time."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from labctl.cli.bare import bare_twin, rig_twin
from labctl.cli.faulted import add_faults, faults_of, listed
from labctl.cli.options import add_format, options
from labctl.cli.text import table
from labctl.clock import WallClock, local_now
from labctl.errors import ExitCode, UsageError
from labctl.registry import build_world, listing, serving
from labctl.rig.load import load_rig
from labctl.rig.model import LoadedRig, PortEntry
from labctl.rig.rewriting import in_date
from labctl.rig.wires import at_endpoints
from labctl.source import compose
from labctl.twin import SimDevice, TwinFault, TwinSpec

NOT_SERVED = frozenset({"usb_unplug", "port_busy"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one port is served; empty where it is not served that way."""

    pty: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A rig's file to be written again with its ports where they are served, if that was asked."""

    rig: LoadedRig | None = None
    file: Path | None = None

    def write(self, served: Mapping[str, Endpoint]) -> None:
        """Write the file."""
        if self.rig is None or self.file is None:
            return
        places = {name: at.pty or at.url.removeprefix("socket://") for name, at in served.items()}
        moved = compose(at_endpoints(self.rig.document, places), str(self.file))
        self.file.write_text(in_date(moved, local_now().date()), encoding="utf-8")


class _Served(Protocol):
    """What `labctl.registry.serving` gives for one endpoint."""

    async def close(self) -> None: ...


def run(command: str, arguments: list[str]) -> int:
    """Serve until interrupted.

    Raises:
        UsageError: neither a rig nor a kind is named, or both.
    """
    parser = options(command)
    parser.add_argument("rig", type=Path, nargs="?", metavar="RIG", help="the rig's file")
    parser.add_argument("--kind", help="serve one instrument without a rig; `labctl devices`")
    parser.add_argument("--tcp", action="store_true", help="serve every port over TCP")
    parser.add_argument("--pty", action="store_true", help="serve every port on a pty")
    parser.add_argument("--seed", type=int, default=1, help="of everything random; 1 unless given")
    add_faults(parser)
    parser.add_argument(
        "--write-rig", type=Path, metavar="FILE", help="write the rig's file with these endpoints"
    )
    add_format(parser)
    asked = parser.read(arguments)
    if asked.list_faults:
        print(listed(as_json=asked.format == "json"))
        return ExitCode.COMPLETE
    if (asked.rig is None) == (asked.kind is None):
        raise UsageError("name either a rig's file or one --kind of instrument")
    if asked.write_rig is not None and asked.rig is None:
        raise UsageError("--write-rig needs a rig's file to copy")
    if asked.kind is not None:
        spec, ports = bare_twin(asked.kind, asked.seed)
        written = _Copy()
    else:
        rig = load_rig(asked.rig)
        spec, ports = rig_twin(rig, asked.seed), rig.model.ports
        written = _Copy(rig, asked.write_rig)
    spec = replace(spec, faults=_served_faults(faults_of(asked.fault)))
    ways = {name: _ways(entry, tcp=asked.tcp, pty=asked.pty) for name, entry in ports.items()}
    asyncio.run(_serve(spec, ports, ways, written, as_json=asked.format == "json"))
    return ExitCode.COMPLETE


def _served_faults(faults: tuple[TwinFault, ...]) -> tuple[TwinFault, ...]:
    """Refuse what has no place where no recipe runs, or on a pty.

    Raises:
        UsageError: an anchor, or a fault of the port itself.
    """
    for fault in faults:
        if fault.anchor:
            raise UsageError(
                f"--fault {fault.text!r}: nothing runs here; time counts from the start"
            )
        if fault.name in NOT_SERVED:
            raise UsageError(
                f"--fault {fault.text!r}: a served port is neither pulled nor held by others; "
                "half_open@PORT keeps silent, `labctl dry-run` pulls plugs"
            )
    return faults


def _ways(entry: PortEntry, *, tcp: bool, pty: bool) -> tuple[str, ...]:
    """Say how a port is served: as its own line is, unless one way is asked for."""
    asked = tuple(way for way, wanted in (("pty", pty), ("tcp", tcp)) if wanted)
    return asked or (("tcp",) if entry.tcp or entry.visa else ("pty",))


async def _serve(
    spec: TwinSpec,
    ports: Mapping[str, PortEntry],
    ways: Mapping[str, tuple[str, ...]],
    copy: _Copy,
    *,
    as_json: bool,
) -> None:
    clock = WallClock()
    world = build_world(spec)
    world.follow(clock.now_ns)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        used = dict.fromkeys(device.port for device in spec.devices)
        served = {
            name: await _endpoint(stack, world.line(name), clock, ways[name]) for name in used
        }
        copy.write(served)
        print(_told(spec, ports, served, as_json=as_json), flush=True)
        if not as_json:
            print("serving until Ctrl-C", file=sys.stderr)
        await stop.wait()


async def _endpoint(
    stack: AsyncExitStack, line: SimDevice, clock: WallClock, ways: tuple[str, ...]
) -> Endpoint:
    serve = serving()
    shared = serve.Ticked(line)
    pty, url = "", ""
    if "pty" in ways:
        on_pty = await serve.serve_pty(shared, clock.now_ns)
        _close_with(stack, on_pty)
        pty = on_pty.path
    if "tcp" in ways:
        on_tcp = await serve.serve_tcp(shared, clock.now_ns)
        _close_with(stack, on_tcp)
        url = on_tcp.url
    return Endpoint(pty, url)


def _close_with(stack: AsyncExitStack, served: _Served) -> None:
    stack.push_async_callback(served.close)


def _told(
    spec: TwinSpec,
    ports: Mapping[str, PortEntry],
    served: Mapping[str, Endpoint],
    *,
    as_json: bool,
) -> str:
    found = {
        device.name: {
            "kind": device.kind,
            "pty": served[device.port].pty or None,
            "url": served[device.port].url or None,
            "settings": _settings(device.kind, ports[device.port]),
        }
        for device in spec.devices
    }
    if as_json:
        return json.dumps({"devices": found}, ensure_ascii=False)
    rows = [
        (name, row["kind"] or "", row["pty"] or row["url"] or "", row["settings"] or "")
        for name, row in found.items()
    ]
    return "\n".join(table(rows, head=("device", "kind", "open", "settings")))


def _settings(kind: str, entry: PortEntry) -> str | None:
    """Return baud rate and format of a serial line; None on a network."""
    if entry.tcp or entry.visa:
        return None
    baud, _, form = listing("drivers", kind).line.partition(" ")
    return f"{entry.baud or baud} {form or entry.format}"
