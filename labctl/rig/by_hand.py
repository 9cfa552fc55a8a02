"""A person in the place of a device: the same capabilities, done by asking."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from labctl.capabilities import Gate, Identity, Look, Operator, Reply, Task, TaskKind
from labctl.errors import AbortedError, StepFailedError
from labctl.readings import Channel
from labctl.units import show

PERSON = Identity("", "person")
HANDS_S: Final = 1800.0
"""How long work of hands may take, beyond what the task says, before nobody is taken to do it."""


async def answered(operator: Operator, task: Task) -> Reply:
    """Put a task to a person; nobody at its deadline is its default, or else a refusal.

    Bounded here as well, for an operator that minds no deadline.

    Raises:
        TimeoutError: one of the operator's own.
    """
    try:
        async with asyncio.timeout(task.after_s) as limit:
            return await operator.do(task)
    except TimeoutError:
        if not limit.expired():
            raise
        return Reply(task.default or "refused", by_default=True)


def nobody(task: Task, after_s: float) -> str:
    """Say that nobody answered.

    >>> nobody(Task(TaskKind.SWITCH, "open n2"), 1800.0)
    'nobody answered within 30 min: open n2'
    """
    return f"nobody answered within {show(after_s, 'time')}: {task.text}"


class _ByHand:
    """The common part: nothing to connect, nothing to poll, nothing to make safe by wire."""

    channels: tuple[Channel, ...] = ()

    def __init__(self, operator: Operator, name: str) -> None:
        self.name = name
        self._operator = operator

    async def connect(self) -> Identity:
        """Nobody to connect."""
        return PERSON

    async def look(self) -> Look:
        """Nobody to look at."""
        return Look(PERSON)

    async def poll(self) -> Sequence[float | None]:
        """A person is never polled."""
        return ()

    async def make_safe(self) -> None:
        """A person is asked by the safe-state sequence itself."""

    def last_will(self) -> tuple[bytes, ...]:
        """Say nothing: no bytes reach a person."""
        return ()

    async def _have_done(self, task: Task) -> None:
        """Have a task done.

        Raises:
            AbortedError: a person refused to do it.
            StepFailedError: nobody did it in time.
        """
        reply = await answered(self._operator, replace(task, after_s=HANDS_S))
        if reply.text == "refused" and reply.by_default:
            raise StepFailedError(nobody(task, HANDS_S))
        if reply.text == "refused":
            raise AbortedError(f"a person refused: {task.text}")


class HandStirrer(_ByHand):
    """A stirrer that a person sets."""

    async def stir(self, speed_rpm: float) -> None:
        """Have the speed set."""
        text = f"set the stirrer to {show(speed_rpm, 'rotation')}"
        task = Task(TaskKind.SET, text, "stirrer", speed_rpm, "rotation")
        await self._have_done(task)


class HandVacuum(_ByHand):
    """A rough pump that a person runs; the same pressure is not asked for twice."""

    def __init__(self, operator: Operator, name: str) -> None:
        super().__init__(operator, name)
        self._asked_mbar: float | None = None

    async def pump_to(self, pressure_mbar: float) -> None:
        """Have it pump to a pressure."""
        if self._asked_mbar != pressure_mbar:
            self._asked_mbar = pressure_mbar
            text = f"pump down slowly to {show(pressure_mbar, 'pressure')} with the rough pump"
            subject = "rough_pump.setpoint"
            await self._have_done(Task(TaskKind.SET, text, subject, pressure_mbar, "pressure"))
            await self._switch(on=True)

    async def stop(self) -> None:
        """Have it stopped."""
        if self._asked_mbar is not None:
            self._asked_mbar = None
            await self._switch(on=False)

    async def _switch(self, *, on: bool) -> None:
        text = f"{'start' if on else 'stop'} the rough pump"
        await self._have_done(Task(TaskKind.SWITCH, text, "rough_pump", float(on)))


class HandBoard(_ByHand):
    """Valves or switches that a person turns; `prefix` names them to a simulated person."""

    def __init__(self, operator: Operator, name: str, prefix: str) -> None:
        super().__init__(operator, name)
        self._prefix = prefix

    async def switch(self, output: str, on: bool, gate: Gate | None = None) -> None:
        """Have one turned; the gate is asked first."""
        if gate is not None:
            gate()
        verb = "open" if on else "close"
        if not self._prefix:
            verb = "switch on" if on else "switch off"
        text = f"{verb} {output.replace('_', ' ')}"
        await self._have_done(Task(TaskKind.SWITCH, text, self._prefix + output, float(on)))
