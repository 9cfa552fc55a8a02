"""`manual`: a console to work a rig by hand, under the interlocks and the guard of a run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from labctl.check import due
from labctl.cli.options import add_runs, options
from labctl.cli.watching import add_operator
from labctl.clock import WallClock, local_now, new_run_id
from labctl.engine.manual import HELP
from labctl.errors import ExitCode, UsageError
from labctl.hardware.manual import Console, conduct_manual, in_turn, manual_plan
from labctl.plan import Plan
from labctl.rig.load import load_rig
from labctl.session import exit_code
from labctl.units import parse


def run(command: str, arguments: list[str]) -> int:
    """Open a rig, do what is typed, and leave it safe.

    Raises:
        UsageError: the rig has no guard, or a pump it does not have is named.
    """
    parser = options(command)
    parser.add_argument("rig", type=Path, metavar="RIG", help="the rig's file")
    holds = "a pump that may be jogged, and what its content is kept at: pump_1=60C, pump_2=room"
    parser.add_argument("--holds", action="append", default=[], metavar="PUMP=T", help=holds)
    add_operator(parser)
    add_runs(parser)
    asked = parser.read(arguments)
    rig = load_rig(asked.rig)
    if rig.model.guard is None:
        raise UsageError("the rig file has no `guard`; nothing is heated on hardware without one")
    kept = dict(_held(text) for text in asked.holds)
    planned = manual_plan(rig, asked.operator, local_now(), kept)
    for finding in (*due.calibration(planned), *due.cutout(planned)):
        print(f"warning: {finding.message} [{finding.rule}]")
    directory = asked.runs / new_run_id("manual")
    return asyncio.run(_worked(planned, directory, asked.operator))


def _held(text: str) -> tuple[str, float | None]:
    """Read `pump_1=60C`.

    Raises:
        UsageError: no `=`, or neither `room` nor a temperature.
    """
    name, equals, at = text.partition("=")
    if not equals:
        raise UsageError(f"--holds {text!r}: write --holds {text or 'pump_1'}=room, or =60C")
    return name, None if at == "room" else parse(at, "temperature").value


async def _worked(planned: Plan, directory: Path, operator: str) -> ExitCode:
    clock = WallClock()
    console = Console(planned, clock, operator, lambda text: print(text, flush=True))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, console.interrupt)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, console.abort, f"told to end ({number.name})")
    lines: asyncio.Queue[str] = asyncio.Queue()
    keys = _Keys(lambda line: _line(line, console, lines))
    keys.begin(loop)
    doing = asyncio.create_task(in_turn(lines, console), name="console")
    print(f"manual on {planned.rig.model.name}; `help` lists the commands", flush=True)
    try:
        outcome, why, interrupted = await conduct_manual(planned, directory, console, clock)
    finally:
        keys.end(loop)
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    if why:
        print(f"ended in the safe state: {why}")
    print("\n".join(["left on:", *(f"  {row}" for row in console.left_on())])
          if console.left_on() else "nothing is left on")  # fmt: skip
    print(f"recorded: labctl show {directory.name}")
    return exit_code(outcome, interrupted=interrupted)


def _line(line: str, console: Console, lines: asyncio.Queue[str]) -> None:
    if line in {"help", "?"}:
        print("\n".join(f"  {what:<30} {does}" for what, does in HELP.items()), flush=True)
    elif line and not console.at_once(line):
        lines.put_nowait(line)


class _Keys:
    """What is typed or piped in, line by line; the end of the input is `quit`."""

    def __init__(self, typed: Callable[[str], None]) -> None:
        self._typed = typed
        self._part = b""

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen; a file is read at once, since it cannot be waited for."""
        try:
            loop.add_reader(sys.stdin, self._more, loop)
        except PermissionError:
            for line in (*sys.stdin, "quit"):
                self._typed(line.strip())

    def end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen no more."""
        loop.remove_reader(sys.stdin)

    def _more(self, loop: asyncio.AbstractEventLoop) -> None:
        data = os.read(sys.stdin.fileno(), 4096)
        *whole, self._part = (self._part + data).split(b"\n")
        for line in whole:
            self._typed(line.decode(errors="replace").strip())
        if not data:
            self.end(loop)
            self._typed("quit")
