"""`devices`: the instruments that labctl can drive, and how far each is proven."""

from __future__ import annotations

import json
from collections.abc import Mapping

from labctl.capabilities import Listing, Proof
from labctl.cli.options import add_format, options
from labctl.cli.text import table
from labctl.errors import ExitCode
from labctl.registry import catalog, listing, quality


def run(command: str, arguments: list[str]) -> int:
    """List the kinds that a rig file may name, or what is proven of one.

    Raises:
        UnknownNameError: no such kind.
    """
    parser = options(command)
    one = "say of this one, rule by rule, what is proven"
    parser.add_argument("kind", nargs="?", metavar="KIND", help=one)
    add_format(parser)
    asked = parser.read(arguments)
    rows = (
        catalog("drivers") if asked.kind is None else {asked.kind: listing("drivers", asked.kind)}
    )
    if asked.format == "json":
        print(json.dumps([_object(kind, row) for kind, row in rows.items()], ensure_ascii=False))
    elif asked.kind is None:
        print("\n".join(_listed(rows)))
    else:
        print("\n".join(_proven(asked.kind, rows[asked.kind])))
    return ExitCode.COMPLETE


def _object(kind: str, row: Listing) -> dict[str, object]:
    proven = [
        {"rule": rule, "state": proof.state, "why": proof.why}
        for rule, proof in quality(kind).items()
    ]
    return {
        "kind": kind,
        "maker": row.maker,
        "model": row.model,
        "roles": list(row.roles),
        "quality": proven,
    }


def _listed(rows: Mapping[str, Listing]) -> list[str]:
    cells = [
        (kind, f"{row.maker} {row.model}", row.line, ", ".join(row.roles), summed(quality(kind)))
        for kind, row in rows.items()
    ]
    return table(cells, head=("kind", "instrument", "line", "plays", "proven"))


def summed(proven: Mapping[str, Proof]) -> str:
    """Say how many of the rules that apply are done, such as `11 of 12`; empty without a table."""
    apply = [proof for proof in proven.values() if proof.state != "exempt"]
    done = sum(proof.state == "done" for proof in apply)
    return f"{done} of {len(apply)}" if apply else ""


def _proven(kind: str, row: Listing) -> list[str]:
    cells = [(rule, proof.state, proof.why) for rule, proof in quality(kind).items()]
    head = f"{kind}: {row.maker} {row.model}, {row.line}, plays {', '.join(row.roles)}"
    said = table(cells, head=("rule", "", "")) if cells else ["nothing is said of its quality"]
    return [head, "", *said]
