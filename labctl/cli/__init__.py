"""The only place that prints: a static help table, and one module per family of commands.

Nothing heavy is imported before a command is chosen; a command's options are built for it alone.
"""

from __future__ import annotations

import sys

from labctl.cli import help as helping


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return what the process ends with (`labctl.errors.ExitCode`)."""
    given = sys.argv[1:] if arguments is None else arguments
    command = given[0] if given else "--help"
    if command in {"--help", "-h", "help"}:
        print(helping.text())
        return 0
    if command == "--version":
        print(helping.version())
        return 0
    if command not in helping.COMMANDS:
        print(f"labctl: {helping.unknown(command)}", file=sys.stderr)
        return 2
    from labctl.cli.guard import guarded

    return guarded(command, given[1:])
