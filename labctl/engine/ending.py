"""How a run ends before its time: heard at once, heat cut first, and never kept waiting for long.

The first reason counts; a trip that comes later adds what its own way to the safe state has
besides. What does not let go when it is told to is left behind, can move nothing any more, and
makes the run faulted: labctl cannot say what it still does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from labctl.engine.guarding import Guards
from labctl.engine.machine import State, Trigger
from labctl.engine.run import Run
from labctl.engine.safe_state import SafeState
from labctl.engine.sequences import Action
from labctl.errors import DeviceError, LabctlError

LET_GO_S = 10.0


class Ending:
    """What ends one run, and its way to the safe state."""

    def __init__(self, run: Run, guarding: Guards | None) -> None:
        self.error: LabctlError | None = None
        self.safe = SafeState(run, None if guarding is None else guarding.cut)
        self._run = run
        self._guarding = guarding
        self._come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cut: asyncio.Task[None] | None = None
        self._said = False
        self._wedged: list[str] = []

    @property
    def faults(self) -> list[str]:
        """What hung on or broke on the way, in words: with any of it the run is faulted."""
        return [*self._wedged, *self.safe.faults]

    def begin(self, error: LabctlError, sequence: tuple[Action, ...]) -> bool:
        """Begin to end the run by a way to the safe state; False if it is ending already."""
        self.safe.want(sequence)
        if self.error is not None:
            self._run.event("aborting.also", str(error), level="error")
            return False
        self.error = error
        self.say(str(error))
        # The step may be long in letting go; heat is not kept waiting for it.
        self._cut = asyncio.create_task(self._cut_heat(), name="cut heat")
        if not self._come.done():
            self._come.set_result(None)
        return True

    def say(self, reason: str) -> None:
        """Say that the run is ending; from now on nothing heats."""
        run = self._run
        run.record.give_up()
        run.heat.forbid()
        if self._guarding is not None:
            self._guarding.cut()
        if run.machine.state is not State.IDLE:
            run.machine.fire(Trigger.ABORT, reason)
        if not self._said:
            self._said = True
            run.event("aborting", reason, level="error")

    async def _cut_heat(self) -> None:
        try:
            await self._run.heat.make_safe()
        except DeviceError as error:
            self._run.event("safe_state.failed", f"heater off: {error}", level="error")

    async def done(self, task: asyncio.Task[object]) -> None:
        """Wait for a task; once the run is ending, only as long as it may take to let go."""
        either: set[asyncio.Future[object] | asyncio.Future[None]] = {task, self._come}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        await self.let_go([task])

    async def let_go(self, tasks: Iterable[asyncio.Task[object]]) -> None:
        """Wait for tasks that were told to end; what hangs on is said and left behind."""
        waiting = {task for task in tasks if not task.done()}
        if waiting:
            await asyncio.wait(waiting, timeout=LET_GO_S)
        for task in sorted(waiting, key=lambda task: task.get_name()):
            if not task.done():
                said = f"{task.get_name()} did not let go within {LET_GO_S:g} s"
                self._wedged.append(said)
                self._run.event("wedged", said, level="error")
            elif not task.cancelled():
                task.exception()

    async def rest(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """End what goes on beside the steps."""
        beside = [*tasks, *([] if self._cut is None else [self._cut])]
        for task in beside:
            if not task.done() and not task.cancelling():
                task.cancel()
        await self.let_go(beside)


async def through(job: asyncio.Task[None]) -> None:
    """See a job through to its end, though this task is cancelled meanwhile; that comes after.

    Raises:
        CancelledError: it was cancelled meanwhile.
    """
    cancelled: asyncio.CancelledError | None = None
    while not job.done():
        try:
            await asyncio.shield(job)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    job.result()
