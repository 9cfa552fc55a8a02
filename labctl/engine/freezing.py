"""A freeze: temperature and gas kept, doses and the clock stopped, a person asked how to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from labctl.bench import Question
from labctl.capabilities import SyringePump
from labctl.clock import NS
from labctl.engine.machine import Trigger
from labctl.engine.parts import Parts
from labctl.errors import AbortedError, LabctlError
from labctl.rules import Interlock


class Freezing:
    """Freezes a run when an interlock asks for it; `ended_by` is told what ends the run then."""

    def __init__(self, parts: Parts, ended_by: Callable[[BaseException], None]) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._parts = parts
        self._run = parts.run
        self._ended_by = ended_by

    def freeze(self, interlock: Interlock, message: str) -> None:
        """Freeze the run because of an interlock, then ask a person."""
        task = asyncio.create_task(
            self._freeze(interlock, f"{interlock.id} froze the run: {message}"),
            name=f"freeze {interlock.id}",
        )
        self.tasks.add(task)
        task.add_done_callback(self._done)

    async def _freeze(self, interlock: Interlock, reason: str) -> None:
        run = self._run
        if not run.machine.fire(Trigger.FREEZE, reason):
            return
        run.elapsed.freeze()
        await run.heat.freeze()
        for load in run.plan.scene.loads.values():
            if load.pump:
                await cast("SyringePump", run.rig.devices[load.pump]).stop()
        await self._act(interlock.action)
        run.machine.fire(Trigger.FROZEN, reason)
        await self._resumed(interlock, reason)
        run.deviation(f"resumed by a person: {reason}")
        run.machine.fire(Trigger.RESUME)
        await run.heat.resume()
        run.elapsed.thaw()
        run.machine.fire(Trigger.RESUMED)

    async def _resumed(self, interlock: Interlock, reason: str) -> None:
        """Ask until a person resumes and what froze the run holds again.

        Raises:
            AbortedError: the person, or nobody in time, chose to end the run.
        """
        run = self._run
        unanswered_s = run.plan.recipe.head.problem.unanswered
        question = Question(reason, ("resume", "park", "abort"), "park", unanswered_s)
        while True:
            answer = await self._parts.people.ask(question)
            if answer.choice != "resume":
                raise AbortedError(f"{answer.choice}: {reason}")
            if not self._parts.interlocks.stands(interlock):
                return
            message = f"not resumed: {interlock.id} is still violated"
            run.event("resume.refused", message, {"id": interlock.id}, "warning")
            await run.clock.sleep_until(run.clock.now_ns() + NS)

    async def _act(self, action: str) -> None:
        """Do what an interlock names: `close VALVE`, `stop PUMP`, `heater off`."""
        verb, _, name = action.partition(" ")
        if action == "heater off":
            await self._run.heat.off()
        elif verb == "close":
            output = self._run.rig.valve(name)
            await output.board.switch(output.name, False)
            self._run.commanded[name] = False
        elif verb == "stop" and name in self._run.rig.devices:
            await self._run.rig.devices[name].make_safe()

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._ended_by(error)
        if isinstance(error, LabctlError):
            self._run.elapsed.thaw()
