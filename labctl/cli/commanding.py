"""`ctl`: one command to a live run, for scripts and a second terminal."""

from __future__ import annotations

import json
from pathlib import Path

from labctl.cli.options import add_format, add_runs, options
from labctl.cli.watching import add_operator, asked, live_run
from labctl.control.client import Client
from labctl.errors import ExitCode, UsageError

VERBS = (
    "status", "pause", "freeze", "park", "resume", "skip", "retry", "extend", "ack", "answer",
    "note", "fixup", "change", "take", "do", "give", "abort",
)  # fmt: skip


def run(command: str, arguments: list[str]) -> int:
    """Send one command; 0 if it was accepted, 2 with the reason if not."""
    parser = options(command)
    parser.add_argument("words", nargs="+", metavar="[RUN] VERB …", help=", ".join(VERBS))
    by = "who signs, where names are wanted; may be repeated"
    parser.add_argument("--by", action="append", default=[], metavar="NAME", help=by)
    add_operator(parser)
    add_runs(parser)
    add_format(parser)
    found = parser.read(arguments)
    ref, verb, rest = _parts(found.words)
    with Client(live_run(found.runs, ref)) as client:
        if verb == "answer":
            number, text = _answer(rest)
            names = found.by or [found.operator]
            answer = client.ask(verb, actor=found.operator, question=number, text=text, by=names)
        else:
            text = str(Path(rest[0]).resolve()) if verb == "change" and rest else " ".join(rest)
            answer = client.ask(verb, actor=found.operator, text=text, by=found.by)
    if found.format == "json":
        print(json.dumps(answer, ensure_ascii=False))
    elif not answer.get("accepted"):
        print(f"labctl: {verb} was refused: {answer.get('reason')}")
    elif verb == "status":
        print("\n".join(_status(answer.get("status"))))
    else:
        print(f"{verb}: accepted")
    return ExitCode.COMPLETE if answer.get("accepted") else ExitCode.REFUSED


def _parts(words: list[str]) -> tuple[str, str, list[str]]:
    """Split what was typed into run, verb and the rest.

    Raises:
        UsageError: no known verb among the first two words.
    """
    for n in (0, 1):
        if n < len(words) and words[n] in VERBS:
            return words[0] if n else "", words[n], words[n + 1 :]
    raise UsageError(f"{words[-1]!r} is no command; known: {', '.join(VERBS)}")


def _answer(rest: list[str]) -> tuple[int, str]:
    """Read number and text of an answer.

    Raises:
        UsageError: no number, or no text.
    """
    if len(rest) < 2 or not rest[0].isdigit():
        raise UsageError("write `answer NUMBER TEXT`; `status` shows what is asked")
    return int(rest[0]), " ".join(rest[1:])


def _status(status: object) -> list[str]:
    if not isinstance(status, dict):
        return []
    flask = status.get("flask_c")
    lines = [
        f"{status['recipe']}: {status['state']}, {status['step'] or 'not begun'}",
        f"waits for {status['waits_for'] or 'nothing'}",
        f"flask {flask:.1f} °C" if isinstance(flask, float) else "flask temperature unknown",
    ]
    if status.get("taken_by"):
        lines.append(f"in the hands of {status['taken_by']}")
        lines += [f"  not as the plan has it: {text}" for text in status["differs"]]
    for row in status["questions"]:
        lines += asked(row)
    return lines
