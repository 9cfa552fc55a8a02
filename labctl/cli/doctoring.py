"""`doctor`: is the rig fit today? Asks every instrument who it is; sets and actuates nothing."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from labctl.cli.options import add_format, add_runs, options
from labctl.cli.text import table, wrapped
from labctl.clock import WallClock
from labctl.doctor import DeviceSeen, PortSeen, Remark, Report, examine
from labctl.doctor.machine import shadowed
from labctl.errors import ExitCode
from labctl.rig.load import load_rig


def run(command: str, arguments: list[str]) -> int:
    """Look, and say what was found; exit 3 where something speaks against a run."""
    parser = options(command)
    parser.add_argument("rig", type=Path, nargs="?", metavar="RIG", help="the rig's file; without "
                        "one only the machine is looked at")  # fmt: skip
    add_runs(parser)
    add_format(parser)
    asked = parser.read(arguments)
    report = asyncio.run(_examined(asked.rig, asked.runs))
    if asked.format == "json":
        print(json.dumps(_object(report), ensure_ascii=False))
    else:
        print("\n".join(_lines(report)))
    return ExitCode.COMPLETE if report.fit else ExitCode.SAFE


async def _examined(rig: Path | None, runs: Path) -> Report:
    hidden = tuple(shadowed())
    if hidden:  # their kinds would only make the rig file look wrong
        return Report(remarks=hidden)
    return await examine(None if rig is None else load_rig(rig), runs, WallClock())


def _object(report: Report) -> dict[str, object]:
    return {
        "rig": report.rig or None,
        "fit": report.fit,
        "devices": [_device(device) for device in report.devices],
        "ports": [
            asdict(port) | {"users": [{"pid": p, "command": c} for p, c in port.users]}
            for port in report.ports
        ],
        "machine": dict(report.machine),
        "remarks": [asdict(remark) for remark in report.remarks],
    }


def _device(seen: DeviceSeen) -> dict[str, object]:
    look, latency = seen.look, seen.latency
    return {
        "name": seen.name,
        "kind": seen.kind,
        "port": seen.port,
        "answers": look is not None,
        "identity": None if look is None else asdict(look.identity),
        "facts": {} if look is None else dict(look.facts),
        "latency": None if latency is None else asdict(latency),
    }


def _lines(report: Report) -> list[str]:
    lines = []
    if report.devices:
        head = ("device", "kind", "port", "answers", "ms", "worst")
        rows = [_cells(device) for device in report.devices]
        lines += [*table(rows, head=head, right=[4, 5]), ""]
        lines += wrapped(_facts(device) for device in report.devices if device.look)
        lines += ["", *table(map(_port, report.ports), head=("port", "where", "line", "")), ""]
    lines += wrapped(f"{what}: {says}" for what, says in report.machine.items())
    lines += ["", *wrapped(map(_remark, report.remarks))] if report.remarks else []
    verdict = "fit" if report.fit else "not fit"
    return [*lines, "", f"{report.rig or 'this machine'}: {verdict}"]


def _cells(seen: DeviceSeen) -> tuple[str, ...]:
    who, times = "no", ("", "")
    if seen.look is not None:
        known = seen.look.identity
        parts = [f"{known.maker} {known.model}".strip()]
        parts += [f"no. {known.serial}"] * bool(known.serial)
        parts += [f"firmware {known.firmware}"] * bool(known.firmware)
        who = ", ".join(parts)
    if seen.latency is not None:
        times = (f"{seen.latency.median_ms:.1f}", f"{seen.latency.worst_ms:.1f}")
    return (seen.name, seen.kind, seen.port, who, *times)


def _facts(seen: DeviceSeen) -> str:
    facts = seen.look.facts if seen.look else {}
    return f"{seen.name}: " + "; ".join(f"{what} {value}" for what, value in facts.items())


def _port(port: PortSeen) -> tuple[str, ...]:
    names = [f"also {name}" for name in port.also]
    names += [f"open in pid {pid} ({command})" for pid, command in port.users]
    return port.name, port.where, port.line, "; ".join(names)


def _remark(remark: Remark) -> str:
    do = f": {remark.do}" if remark.do else ""
    return f"{remark.level.value}: {remark.of}: {remark.says}{do}"
