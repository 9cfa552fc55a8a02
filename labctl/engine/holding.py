"""Holding a run: frozen where it stands, parked, or paused after a step; and how it goes on.

Frozen: the temperature kept, doses and the run's clock stopped, gas unchanged. Parked: besides, the
vacuum shut, inert gas on, the flask let down to the stage's park temperature, stirring. While an
interlock that froze the run stands violated, nobody can resume it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Literal, cast

from labctl.bench import Question
from labctl.capabilities import SyringePump
from labctl.clock import NS
from labctl.engine.machine import State, Trigger
from labctl.engine.parts import Parts
from labctl.errors import AbortedError, LabctlError, StepFailedError
from labctl.rules import Interlock

How = Literal["freeze", "park", "pause"]
BACK_WITHIN_K = 3.0
BACK_S = 3600.0
VACUUM = ("vac_fine", "vac_rough")


class Holding:
    """Holds a run for an interlock or a person; `ended_by` is told what ends the run then."""

    def __init__(self, parts: Parts, ended_by: Callable[[BaseException], None]) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.restarts: Callable[[str], None] = _nothing
        self._parts = parts
        self._run = parts.run
        self._ended_by = ended_by
        self._causes: list[Interlock] = []
        self._choice: asyncio.Future[str] | None = None
        self._how: How = "freeze"
        self._before_c: float | None = None
        self._gas_changed = False

    def freeze(self, interlock: Interlock, message: str) -> None:
        """Freeze the run because of an interlock, then ask a person."""
        reason = f"{interlock.id} froze the run: {message}"
        self._causes.append(interlock)
        if self._run.machine.fire(Trigger.FREEZE, reason):
            self._begin(self._hold("freeze", reason, interlock), f"freeze {interlock.id}")
        else:
            self._begin(self._act(interlock.action), f"action of {interlock.id}")

    def hold(self, how: How, actor: str) -> str:
        """Hold the run because a person said so; return why not, or nothing."""
        trigger = {"freeze": Trigger.FREEZE, "park": Trigger.PARK, "pause": Trigger.PAUSE}[how]
        reason = f"{how} by {actor}"
        state = self._run.machine.state
        if how == "park" and state is State.HELD:
            self._run.machine.fire(trigger, reason)
            self._begin(self._park_now(reason), reason)
            return ""
        if not self._run.machine.fire(trigger, reason):
            return f"{how} is not possible while the run is {state.value}"
        self._begin(self._hold(how, reason, None), reason)
        return ""

    def stop(self) -> None:
        """Hold nothing any more: the run is ending, and nothing is heated back or opened."""
        for task in self.tasks:
            task.cancel()

    def release(self, choice: str, actor: str) -> str:
        """Let a held run go on (`resume`, `retry`, `skip`); return why not, or nothing."""
        state = self._run.machine.state
        if state is not State.HELD or self._choice is None or self._choice.done():
            return f"{choice} is not possible while the run is {state.value}"
        if self._how == "pause" and choice != "resume":
            return f"{choice} is not possible between steps; resume, then say it"
        why = self._still()
        if why:
            return why
        self._run.deviation(f"{choice} by {actor} after: {self._run.machine.cause}")
        self._choice.set_result(choice)
        return ""

    def _still(self) -> str:
        """Say what stands against going on, or nothing."""
        standing = [rule.id for rule in self._causes if self._parts.interlocks.stands(rule)]
        if standing:
            return f"{', '.join(standing)} is still violated"
        silent = self._parts.poller.silent()
        if silent:
            return f"{', '.join(silent)} does not answer"
        return ""

    async def _hold(self, how: How, reason: str, interlock: Interlock | None) -> None:
        run = self._run
        run.elapsed.freeze()
        self._how, self._gas_changed = how, False
        self._before_c = run.signals.value("flask.T")
        await run.heat.freeze()
        await self._stop_pumps()
        if interlock is not None:
            await self._act(interlock.action)
        if how == "park":
            await self._park()
        self._choice = asyncio.get_running_loop().create_future()
        run.machine.fire(Trigger.FROZEN, reason)
        choice = await self._chosen(reason, interlock)
        await self._go_on(choice)

    async def _chosen(self, reason: str, interlock: Interlock | None) -> str:
        """Wait for a command; an interlock's freeze is also asked about.

        Raises:
            AbortedError: the person, or nobody in time, chose to end the run.
        """
        chosen = cast("asyncio.Future[str]", self._choice)
        if interlock is None:
            return await chosen
        asking = asyncio.create_task(self._asked(reason), name="how to go on")
        either: set[asyncio.Future[str] | asyncio.Future[None]] = {asking, chosen}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not chosen.done():
            asking.result()
            self._run.deviation(f"resumed by a person: {reason}")
            return "resume"
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return chosen.result()

    async def _asked(self, reason: str) -> None:
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
            why = self._still()
            if not why:
                return
            run.event("resume.refused", f"not resumed: {why}", level="warning")
            await run.clock.sleep_until(run.clock.now_ns() + NS)

    async def _go_on(self, choice: str) -> None:
        run = self._run
        trigger = {"resume": Trigger.RESUME, "skip": Trigger.SKIP, "retry": Trigger.RETRY}[choice]
        if not run.machine.fire(trigger):
            return
        self._causes.clear()
        if choice == "resume":
            await self._back()
        if choice == "resume" and self._gas_changed:
            choice = "retry"
            run.event("resume.retries", f"{run.step_id} begins again: parking changed its gas")
        if run.machine.state is not State.RESUMING:
            return
        run.elapsed.thaw()
        run.machine.fire(Trigger.RESUMED)
        if choice != "resume":
            self.restarts(choice)

    async def _back(self) -> None:
        """Heat as before, and wait until the flask is where it was.

        Raises:
            StepFailedError: it does not come back.
        """
        run, before_c = self._run, self._before_c
        await run.heat.resume()
        if before_c is None or not run.heat.on:
            return
        end_ns = run.clock.now_ns() + round(BACK_S * NS)
        while run.clock.now_ns() < end_ns:
            now_c = run.signals.value("flask.T")
            if now_c is not None and now_c > before_c - BACK_WITHIN_K:
                return
            await run.clock.sleep_until(run.clock.now_ns() + NS)
        message = f"the flask did not come back to {before_c:.0f} °C within {BACK_S / 60:.0f} min"
        raise StepFailedError(message)

    async def _park_now(self, reason: str) -> None:
        await self._park()
        self._run.machine.fire(Trigger.FROZEN, reason)

    async def _park(self) -> None:
        """Shut the vacuum, let in inert gas, let the flask down to the stage's park temperature."""
        run = self._run
        self._gas_changed = not run.commanded.get("n2")
        for valve in VACUUM:
            if run.commanded.get(valve):
                await self._valve(valve, open_=False)
        await self._valve("n2", open_=True)
        target_c = run.plan.recipe.head.park.get(run.stage)
        flask_c = run.signals.value("flask.T")
        if target_c is None:
            await run.heat.off_for_now()
        elif run.heat.on and (flask_c is None or flask_c > target_c):
            await run.heat.stay_at(target_c)
        run.event("parked", f"parking at {target_c:g} °C" if target_c else "parked without heat")

    async def _stop_pumps(self) -> None:
        for load in self._run.plan.scene.loads.values():
            if load.pump:
                await cast("SyringePump", self._run.rig.devices[load.pump]).stop()

    async def _act(self, action: str) -> None:
        """Do what an interlock names: `close VALVE`, `stop PUMP`, `heater off`."""
        verb, _, name = action.partition(" ")
        if action == "heater off":
            await self._run.heat.off()
        elif verb == "close":
            await self._valve(name, open_=False)
        elif verb == "stop" and name in self._run.rig.devices:
            await self._run.rig.devices[name].make_safe()

    async def _valve(self, name: str, *, open_: bool) -> None:
        output = self._run.rig.valve(name)
        gate = self._parts.interlocks.gate(name) if open_ else None
        await output.board.switch(output.name, open_, gate)
        self._run.commanded[name] = open_

    def _begin(self, job: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(job, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._ended_by(error)
        if isinstance(error, LabctlError):
            self._run.elapsed.thaw()


def _nothing(choice: str) -> None:
    """Nobody restarts anything yet."""
