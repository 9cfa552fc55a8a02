"""`resume`: goes on with a run on real instruments that was cut off, in the same record."""

from __future__ import annotations

import json
import sys

from labctl.cli.options import add_format, add_runs, options
from labctl.cli.running import silently
from labctl.cli.watching import add_operator, follow
from labctl.control.server import FILE_NAME
from labctl.errors import ExitCode, UsageError
from labctl.hardware.launch import await_guard, launch
from labctl.hardware.order import FILE_NAME as ORDER
from labctl.hardware.order import again
from labctl.record import find_run, open_run
from labctl.record.held import is_held


def run(command: str, arguments: list[str]) -> int:
    """Launch the run again; it stands still, shows what it finds, and asks before it goes on.

    Raises:
        UsageError: the run goes on, has ended, was simulated, or was not launched here.
    """
    parser = options(command)
    parser.add_argument(
        "run", metavar="RUN", help="a run id, its beginning, `last`, or a directory"
    )
    parser.add_argument("--detach", action="store_true", help="launch, and do not watch")
    add_operator(parser)
    add_runs(parser)
    add_format(parser)
    asked = parser.read(arguments)
    directory = find_run(asked.runs, asked.run)
    with open_run(directory) as found:
        meta, step = found.meta, next((s.id for s in reversed(found.steps)), "no step")
    if meta.simulated or not (directory / ORDER).is_file():
        raise UsageError(f"{directory.name} is a dry run; begin it again")
    if meta.outcome and meta.outcome != "faulted":
        raise UsageError(f"{directory.name} has ended ({meta.outcome}); nothing is left to resume")
    if is_held(directory):
        raise UsageError(f"{directory.name} is going on; `labctl watch` follows it")
    (directory / FILE_NAME).unlink(missing_ok=True)
    quiet = asked.format == "json"
    if not quiet:
        print(f"{directory.name} was cut off in {step}; heater off and pumps stopped come first,")
        print("then you are shown what is found and asked whether to go on.", file=sys.stdout)
    await_guard(directory)
    again(directory, asked.operator)
    launch(directory)
    if asked.detach:
        print(json.dumps({"run": directory.name, "directory": str(directory)}) if quiet
              else f"launched {directory.name}; `labctl watch` follows it")  # fmt: skip
        return ExitCode.COMPLETE
    return silently(directory) if quiet else follow(directory, asked.operator)
