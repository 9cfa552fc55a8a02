"""A desk for a run without a terminal: it holds what people are asked until somebody answers.

An `Operator`. Answers come from whoever holds the run's token; nothing waits for ever where the
task has a deadline: then its default counts, which is never the choice that proceeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from labctl.capabilities import Reply, Task, TaskKind
from labctl.clock import NS, Clock
from labctl.errors import UnitError
from labctl.units import parse

_NO = frozenset({"no", "n", "refuse", "refused"})
_DONE = frozenset({"done", "yes", "y", "d"})


@dataclass(frozen=True, slots=True)
class Pending:
    """One thing that is asked now: its number, the task, when it was asked and when it falls due.

    Times in ns since the run began; `due_ns` None has no deadline.
    """

    number: int
    task: Task
    asked_ns: int
    due_ns: int | None


class Desk:
    """Keeps questions open; `changed` is told whenever one comes or goes."""

    def __init__(self, clock: Clock, changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._numbers = count(1)
        self._open: dict[int, tuple[Pending, asyncio.Future[None]]] = {}
        self._replies: dict[int, Reply] = {}

    @property
    def pending(self) -> tuple[Pending, ...]:
        """What is asked now, oldest first."""
        return tuple(row[0] for row in self._open.values())

    async def do(self, task: Task) -> Reply:
        """Hold a task until it is answered; at its deadline its default is the answer."""
        number, now_ns = next(self._numbers), self._clock.now_ns()
        due_ns = None if task.after_s is None else now_ns + round(task.after_s * NS)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = None if due_ns is None else self._clock.alarm(due_ns, waiter)
        self._open[number] = Pending(number, task, now_ns, due_ns), waiter
        self._changed()
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            del self._open[number]
            self._changed()
        return self._replies.pop(number, Reply(task.default or "refused", by_default=True))

    def answer(self, number: int, text: str, by: Sequence[str]) -> str:
        """Answer a question; return why the answer is refused, or nothing."""
        if number not in self._open:
            known = ", ".join(map(str, self._open)) or "none"
            return f"question {number} is not open; open: {known}"
        pending, waiter = self._open[number]
        reply = reply_of(pending.task, text.strip(), by)
        if isinstance(reply, str):
            return reply
        if not waiter.done():
            self._replies[number] = reply
            waiter.set_result(None)
        return ""


def reply_of(task: Task, text: str, by: Sequence[str]) -> Reply | str:
    """Turn what somebody typed into a reply, or say why it cannot be one.

    >>> ask = Task(TaskKind.ANSWER, "go on?", choices=("extend 10 min", "park"), default="park")
    >>> reply_of(ask, "extend 10 min", ["YK"]).text
    'extend 10 min'
    >>> reply_of(ask, "yes", ["YK"])
    "'yes' is none of: extend 10 min, park"
    """
    if task.kind is TaskKind.CONFIRM:
        return _signed(task, text, by)
    if text.lower() in _NO and not task.choices:
        return Reply(text="refused", signed=tuple(by))
    if task.choices:
        if text not in task.choices:
            return f"{text!r} is none of: {', '.join(task.choices)}"
        return Reply(text, signed=tuple(by))
    if task.dimension and task.kind in {TaskKind.ANSWER, TaskKind.READ}:
        return _measured(task, text, by)
    if task.kind is TaskKind.ANSWER:
        return Reply(text, signed=tuple(by)) if text else "an answer is wanted"
    if text.lower() not in _DONE:
        return f"say `done` once it is, or `no`: {task.text}"
    return Reply(signed=tuple(by))


def _signed(task: Task, text: str, by: Sequence[str]) -> Reply | str:
    if text.lower() in _NO:
        return Reply(text="refused", signed=tuple(by))
    names = tuple(dict.fromkeys(name for name in by if name))
    if text.lower() not in _DONE:
        return "say `done` if all of it is so, or `no`"
    if len(names) < task.signatures:
        return f"{task.signatures} people must sign; {len(names)} did: name each with --by"
    return Reply(signed=names)


def _measured(task: Task, text: str, by: Sequence[str]) -> Reply | str:
    try:
        return Reply(value=parse(text, task.dimension).value, signed=tuple(by))
    except UnitError as error:
        return str(error)
