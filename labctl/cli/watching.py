"""`watch`: follows a live run in plain lines, and answers its questions from the terminal."""

from __future__ import annotations

import contextlib
import getpass
import os
import selectors
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from labctl.cli.options import Options, add_runs, options
from labctl.cli.text import Paint, wrapped
from labctl.control.client import Client
from labctl.control.server import FILE_NAME
from labctl.errors import ExitCode, UsageError
from labctl.record import find_run, open_run, summary

Json = Mapping[str, object]
QUIET = frozenset({"aliquot", "baseline.sample", "step.ended"})
COMMANDS = frozenset(
    {
        "pause",
        "freeze",
        "park",
        "resume",
        "skip",
        "retry",
        "extend",
        "ack",
        "note",
        "take",
        "do",
        "give",
        "abort",
    }
)
LEAVE = """
left the run alone: it goes on. `labctl watch` comes back, `labctl ctl abort` ends it"""
HELP = """\
type an answer to the question shown, or:
  NUMBER ANSWER   answer a question by its number
  sign NAME NAME  sign what is to be confirmed
  pause           hold when the running step is done
  freeze          hold now: temperature kept, doses and clock stopped
  park            hold under inert gas at the stage's park temperature
  resume          go on; refused while what stopped the run still stands
  skip, retry     leave out the running step, or begin it again
  extend 10 min   let the running wait last longer
  take            take over by hand; then `do set 60 C`, `do open n2`, … and
  give            give it back; what differs from the plan is told
  ack ID          acknowledge an interlock that was violated
  note TEXT       write something into the record
  abort           end the run: heater off, pumps stopped, inert gas
Ctrl-C leaves; the run goes on"""


def run(command: str, arguments: list[str]) -> int:
    """Follow the live run until it is over or Ctrl-C; return how it ended."""
    parser = options(command)
    parser.add_argument(
        "run", nargs="?", default="", metavar="RUN", help="the live one if left out"
    )
    add_operator(parser)
    add_runs(parser)
    asked = parser.read(arguments)
    return follow(live_run(asked.runs, asked.run), asked.operator)


def add_operator(parser: Options) -> None:
    """Add `--operator`."""
    who = "who answers and commands; your login unless given"
    parser.add_argument("--operator", default=getpass.getuser(), metavar="NAME", help=who)


def live_run(runs: Path, ref: str) -> Path:
    """Return the directory of a run that goes on now; without a name, of the only one.

    Raises:
        UsageError: no run goes on, or several do and none was named.
    """
    if ref:
        return find_run(runs, ref)
    live = sorted(file.parent for file in runs.glob(f"*/{FILE_NAME}"))
    if not live:
        raise UsageError(f"no run in {runs} is going on")
    if len(live) > 1:
        names = ", ".join(path.name for path in live)
        raise UsageError(f"several runs are going on; name one of {names}")
    return live[0]


def follow(directory: Path, operator: str) -> int:
    """Print what happens and send what is typed; return the run's exit code, or 0 when left."""
    with Client(directory) as client:
        watcher = Watcher(directory, operator)
        watcher.see(client.ask("watch"))
        try:
            for message in _either(client, watcher):
                watcher.see(message)
        except KeyboardInterrupt:
            print(LEAVE)
            return ExitCode.COMPLETE
    return ended(directory)


def ended(directory: Path, *, aloud: bool = True) -> int:
    """Return the exit code of a run that ended, and say how it did."""
    with open_run(directory) as found:
        told = summary(found)
        unflushed = any(e.code == "left" and "line of" in e.message for e in found.events)
    outcome = str(told["outcome"])
    if aloud:
        print(f"ended: {outcome.replace('_', ' ')}; `labctl show {directory.name}` tells more")
    if aloud and unflushed:
        print(f"lines are not flushed: `labctl shutdown RIG --after {directory.name}`")
    codes = {"complete": ExitCode.COMPLETE, "complete_with_deviations": ExitCode.DEVIATIONS}
    return codes.get(outcome, ExitCode.SAFE)


class Watcher:
    """What a terminal shows of a run, and what it makes of what is typed there."""

    def __init__(self, directory: Path, operator: str) -> None:
        self._directory = directory
        self._operator = operator
        self._paint = Paint(sys.stdout)
        self._questions: dict[int, Json] = {}

    def see(self, message: Json) -> None:
        """Print one message of the run."""
        event, status = message.get("event"), message.get("status")
        if isinstance(event, dict) and event.get("code") not in QUIET:
            line = "  ".join(str(event[k]) for k in ("at", "stage", "step", "message") if event[k])
            print(line, flush=True)
        if isinstance(status, dict):
            self._ask(status.get("questions"))

    def _ask(self, questions: object) -> None:
        rows = {row["number"]: row for row in questions} if isinstance(questions, list) else {}
        for number, row in rows.items():
            if number not in self._questions:
                print("\n".join(asked(row)), flush=True)
        self._questions = rows

    def typed(self, line: str) -> None:
        """Do what was typed."""
        words = line.split()
        if not words:
            return
        if words[0] in {"help", "?"}:
            print(HELP)
            return
        try:
            answer = self._send(words, line.strip())
        except UsageError as error:
            print(f"  {error}")
            return
        if not answer.get("accepted"):
            print(f"  not done: {answer.get('reason')}", flush=True)

    def _send(self, words: Sequence[str], line: str) -> Json:
        """Send a typed line over a connection of its own.

        Raises:
            UsageError: nothing is asked, or several things are and none was named.
        """
        with Client(self._directory) as client:
            actor = self._operator
            if words[0] in COMMANDS:
                return client.ask(words[0], actor=actor, text=line[len(words[0]) :].strip())
            number, text, by = self._answer(words, line)
            return client.ask("answer", actor=actor, question=number, text=text, by=by)

    def _answer(self, words: Sequence[str], line: str) -> tuple[int, str, list[str]]:
        if words[0].isdigit() and int(words[0]) in self._questions and len(words) > 1:
            number, words = int(words[0]), words[1:]
            line = line.partition(" ")[2].strip()
        elif len(self._questions) == 1:
            number = next(iter(self._questions))
        elif self._questions:
            known = ", ".join(map(str, self._questions))
            raise UsageError(f"several things are asked; begin with one of {known}")
        else:
            raise UsageError("nothing is asked now; `help` tells what can be typed")
        if words[0] == "sign":
            return number, "done", list(words[1:])
        return number, line, [self._operator]


def asked(row: Json) -> list[str]:
    """Lay out a question for a terminal."""
    signatures, choices = row.get("signatures"), row.get("choices")
    text = "confirm that" if row.get("items") else str(row.get("text"))
    lines = ["", *wrapped([f"[{row.get('number')}] {text}"])]
    items = row.get("items")
    lines += [f"    - {item}" for item in items] if isinstance(items, list) else []
    if isinstance(choices, list) and choices:
        default = row.get("default")
        lines.append("    " + " | ".join(f"{c} (default)" if c == default else c for c in choices))
    elif row.get("kind") == "confirm":
        names = " ".join(["NAME"] * (signatures if isinstance(signatures, int) else 1))
        lines.append(f"    sign {names}, or no")
    elif row.get("dimension") and row.get("kind") in {"answer", "read"}:
        lines.append(f"    a {row.get('dimension')} with its unit")
    elif row.get("kind") != "answer":
        lines.append("    done, or no")
    return lines


class _Keys:
    """What is typed at a terminal, or piped in, line by line."""

    def __init__(self, waiting: selectors.BaseSelector) -> None:
        self._waiting = waiting
        self._part = b""
        # A file or /dev/null cannot be waited for.
        with contextlib.suppress(PermissionError, ValueError):
            waiting.register(sys.stdin, selectors.EVENT_READ)

    def lines(self) -> list[str]:
        """Return the lines that are whole now."""
        data = os.read(sys.stdin.fileno(), 4096)
        if not data:
            self._waiting.unregister(sys.stdin)
        *whole, self._part = (self._part + data).split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def _either(client: Client, watcher: Watcher) -> Iterator[Json]:
    """Give the run's messages; hand what is typed to the watcher meanwhile."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with selectors.DefaultSelector() as waiting:
        waiting.register(client, selectors.EVENT_READ)
        keys = _Keys(waiting)
        while not client.over:
            for message in client.held():
                if message.get("over"):
                    return
                yield message
            for key, _ in waiting.select():
                if key.fileobj is client:
                    client.receive()
                    continue
                for line in keys.lines():
                    watcher.typed(line)
