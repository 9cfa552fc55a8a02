"""A person at the terminal as the operator: asked in plain words, answering with units.

In a dry run virtual time stands still while somebody thinks; what hands do is done by the simulated
person once the real one has said so. No prompt proceeds on a bare Enter unless it shows a default.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TextIO

from labctl.capabilities import Operator, Reply, Task, TaskKind
from labctl.cli.text import wrapped
from labctl.errors import UnitError
from labctl.units import parse, show

REFUSED = Reply(text="refused")
_NO = frozenset({"no", "n", "refuse", "refused"})
_DONE = frozenset({"done", "d", "yes", "y"})
_POURED = frozenset({TaskKind.CHARGE, TaskKind.INJECT, TaskKind.SAMPLE})


class TerminalOperator:
    """Asks on `prompts`, reads from `answers`; `hands` do at the simulated rig what was agreed."""

    def __init__(
        self,
        hands: Operator,
        answers: TextIO,
        prompts: TextIO,
        clear: Callable[[], None] | None = None,
    ) -> None:
        self._hands = hands
        self._answers = answers
        self._prompts = prompts
        self._clear = clear

    async def do(self, task: Task) -> Reply:
        """Ask for one task; at the end of the input the default counts, or else a refusal."""
        if self._clear is not None:
            self._clear()
        asked = "confirm that" if task.items else task.text
        self._say("\n" + "\n".join(wrapped([asked])))
        try:
            with _interruptible():
                if task.kind is TaskKind.CONFIRM:
                    return self._signed(task)
                if task.kind in {TaskKind.ANSWER, TaskKind.READ}:
                    return await self._answered(task)
                return await self._worked(task)
        except EOFError:
            self._say("(no more input)")
            return Reply(task.default, by_default=True) if task.default else REFUSED
        except KeyboardInterrupt:
            await self._interrupt()
            return REFUSED

    def _signed(self, task: Task) -> Reply:
        for item in task.items:
            self._say(f"  - {item}")
        names: list[str] = []
        while len(names) < task.signatures:
            who = "your name" if task.signatures == 1 else f"name {len(names) + 1}"
            name = self._read(f"sign with {who}, or `no`: ")
            if name.lower() in _NO:
                return REFUSED
            if name in names:
                self._say(f"{name} has signed already; another person must")
            elif name:
                names.append(name)
        return Reply(signed=tuple(names))

    async def _answered(self, task: Task) -> Reply:
        if task.choices:
            return self._chosen(task)
        if not task.dimension:
            return self._text(task)
        seen = await self._hands.do(task)
        shown = None if seen.value is None else show(seen.value, task.dimension)
        hint = f" [{shown}, as the twin shows]" if shown else ""
        while True:
            text = self._read(f"value with unit{hint}: ")
            if not text and shown:
                return seen
            value = self._value(text, task.dimension)
            if value is not None:
                return Reply(value=value)

    def _chosen(self, task: Task) -> Reply:
        for n, choice in enumerate(task.choices, 1):
            mark = "  (default)" if choice == task.default else ""
            self._say(f"  {n}  {choice}{mark}")
        while True:
            text = self._read(f"choose [{task.default}]: " if task.default else "choose: ")
            if not text and task.default:
                return Reply(task.default, by_default=True)
            if text in task.choices:
                return Reply(text)
            if text.isascii() and text.isdigit() and 0 < int(text) <= len(task.choices):
                return Reply(task.choices[int(text) - 1])
            self._say(f"choose one of 1 to {len(task.choices)}")

    def _text(self, task: Task) -> Reply:
        while True:
            text = self._read(f"answer [{task.default}]: " if task.default else "answer: ")
            if text:
                return Reply(text)
            if task.default:
                return Reply(task.default, by_default=True)

    async def _worked(self, task: Task) -> Reply:
        poured = task.kind in _POURED and task.amount is not None
        how = "`done`, the volume you took, or `no`: " if poured else "`done` or `no`: "
        while True:
            text = self._read(how)
            if text.lower() in _NO:
                return REFUSED
            if text.lower() in _DONE:
                return await self._hands.do(task)
            if poured and text:
                volume_ml = self._value(text, "volume")
                if volume_ml is not None:
                    return await self._hands.do(replace(task, amount=volume_ml))

    def _value(self, text: str, dimension: str) -> float | None:
        try:
            return parse(text, dimension).value
        except UnitError as error:
            self._say(str(error))
            return None

    def _read(self, prompt: str) -> str:
        self._prompts.write(prompt)
        self._prompts.flush()
        line = self._answers.readline()
        if not line:
            raise EOFError
        return line.strip()

    def _say(self, text: str) -> None:
        self._prompts.write(f"{text}\n")

    async def _interrupt(self) -> None:
        """Hand the interrupt to whoever owns SIGINT, and let the loop deliver it first."""
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            handler(signal.SIGINT, None)
        delivered = asyncio.Event()
        asyncio.get_running_loop().call_soon(delivered.set)
        await delivered.wait()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a prompt: the loop's own handler would leave the reading undisturbed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
