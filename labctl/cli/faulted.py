"""Faults as commands take and list them: `--fault`, `--list-faults`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from labctl.cli.options import Options
from labctl.cli.text import table
from labctl.faults import GRAMMAR, parse_fault
from labctl.registry import fault_table
from labctl.twin import FaultArgument, FaultListing, TwinFault
from labctl.units import show

_HEAD = ("fault", "", "targets", "arguments", "noticed by")


def add_faults(parser: Options) -> None:
    """Add `--fault` and `--list-faults`."""
    help_ = "let something go wrong, e.g. late_reply@gauge+20min; may be repeated"
    parser.add_argument("--fault", action="append", default=[], metavar="SPEC", help=help_)
    parser.add_argument("--list-faults", action="store_true", help="the faults by name, and end")


def faults_of(texts: Sequence[str]) -> tuple[TwinFault, ...]:
    """Read what `--fault` was given.

    Raises:
        UsageError: not the grammar, or an argument out of range.
        UnknownNameError: no such fault or argument.
    """
    known = fault_table() if texts else {}
    return tuple(parse_fault(text, known) for text in texts)


def listed(*, as_json: bool) -> str:
    """Return all faults: a table, or an object `{"faults": [...]}`."""
    rows = fault_table().values()
    if as_json:
        return json.dumps({"faults": [asdict(row) for row in rows]}, ensure_ascii=False)
    cells = [(row.name, row.number, row.targets, arguments(row), noticed(row)) for row in rows]
    lines = table(cells, head=_HEAD)
    return "\n".join((*lines, "", f"write --fault '{GRAMMAR}'", "* partly or not yet"))


def arguments(row: FaultListing) -> str:
    """Return the arguments of a fault with their defaults."""
    return ", ".join(f"{one.name}={_default(one)}" for one in row.arguments)


def noticed(row: FaultListing) -> str:
    """Return who notices; a star where labctl does not do enough yet."""
    return f"{row.noticed_by} *" if row.yet else row.noticed_by


def _default(one: FaultArgument) -> str:
    if isinstance(one.default, str):
        return one.default or "…"
    return show(one.default, one.dimension) if one.dimension else f"{one.default:g}"
