"""`devices`: the instruments that labctl can drive."""

from __future__ import annotations

import json

from labctl.cli.options import add_format, options
from labctl.cli.text import table
from labctl.errors import ExitCode
from labctl.registry import catalog

QUALITY = "simulated"
"""Proven against its byte-exact simulator; nobody has reported a run on the real one."""


def run(command: str, arguments: list[str]) -> int:
    """List the kinds that a rig file may name."""
    parser = options(command)
    add_format(parser)
    asked = parser.read(arguments)
    listed = catalog("drivers")
    if asked.format == "json":
        rows = [
            {
                "kind": kind,
                "maker": row.maker,
                "model": row.model,
                "roles": list(row.roles),
                "quality": QUALITY,
            }
            for kind, row in listed.items()
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return ExitCode.COMPLETE
    cells = [
        (kind, f"{row.maker} {row.model}", row.line, ", ".join(row.roles))
        for kind, row in listed.items()
    ]
    print("\n".join(table(cells, head=("kind", "instrument", "line", "plays"))))
    return ExitCode.COMPLETE
