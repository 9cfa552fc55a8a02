"""Holding a run: frozen where it stands, parked, or paused after a step; and how it goes on.

Frozen: the temperature kept, doses and the run's clock stopped, gas unchanged. Parked: besides, the
vacuum shut, inert gas on, the flask let down to the stage's park temperature, stirring. While an
interlock that froze the run stands violated, nobody can resume it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from labctl.bench import Answer, Question
from labctl.capabilities import Change, Device
from labctl.clock import NS
from labctl.engine.machine import State, Trigger
from labctl.engine.parts import Parts
from labctl.engine.standing import Standing
from labctl.errors import AbortedError, LabctlError
from labctl.rig.devices import HeaterEntry
from labctl.rules import Interlock, built_in

How = Literal["freeze", "park", "pause"]
SHOWS_S = 20.0


@dataclass(frozen=True)
class _Open:
    """A change that a person must decide about: which answer does what."""

    name: str
    choices: Mapping[str, Callable[[], Awaitable[None]]]


class Holding:
    """Holds a run for an interlock or a person; `ended_by` is told what ends the run then."""

    def __init__(self, parts: Parts, ended_by: Callable[[BaseException], None]) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.restarts: Callable[[str], None] = _nothing
        self.taken = ""
        self.taken_back: Callable[[], bool] = bool
        self.asks = False
        self._spoken_ns = 0
        self._parts = parts
        self._run = parts.run
        self._standing = Standing(parts)
        self._ended_by = ended_by
        self._causes: list[Interlock] = []
        self._choice: asyncio.Future[str] | None = None
        self._how: How = "freeze"
        self._before_c: float | None = None
        self._gas_changed = False
        self._open: _Open | None = None

    def ask_about(self, name: str, change: Change) -> bool:
        """Freeze the run since an instrument was changed behind its back, and ask what counts.

        False where the run cannot be frozen now, and nothing was done.
        """
        reason = f"{name} was changed: {change.text}"
        if not self._run.machine.fire(Trigger.FREEZE, reason):
            return False
        self._open = _Open(name, self._decisions(name, change))
        self._run.event("device.changed", reason, {"device": name}, "error")
        rule = built_in(f"changed_{name}", "freeze", f"{name} to do as it was told")
        self._begin(self._hold("freeze", reason, rule), f"change of {name}")
        return True

    def _decisions(self, name: str, change: Change) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return what may be answered: restore always, adopt only what the rig and run allow."""
        run, heater = self._run, self._run.plan.rig.entry("heater")[0]
        if name != heater:
            return {"restore": partial(_connect, run.rig.devices[name])}
        found_c, meant_c = change.found, change.meant
        restore = "restore" if meant_c is None else f"restore {meant_c:g} °C"
        made: dict[str, Callable[[], Awaitable[None]]] = {restore: run.heat.restore}
        low_c, high_c = cast("HeaterEntry", run.plan.rig.model.devices[name]).limits.setpoint
        if found_c is not None and run.heat.on and low_c <= found_c <= high_c:
            made[f"adopt {found_c:g} °C"] = partial(self._adopt, found_c)
        return made

    async def _adopt(self, setpoint_c: float) -> None:
        self._run.heat.adopt(setpoint_c)
        self._parts.allow(setpoint_c)

    def freeze(self, interlock: Interlock, message: str) -> None:
        """Freeze the run because of an interlock, then ask a person."""
        reason = f"{interlock.id} froze the run: {message}"
        self._causes.append(interlock)
        if self._run.machine.fire(Trigger.FREEZE, reason):
            self._begin(self._hold("freeze", reason, interlock), f"freeze {interlock.id}")
        else:
            self._begin(self._standing.act(interlock.action), f"action of {interlock.id}")

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
        """Let a held run go on (`resume`, `retry`, `skip`, `fixup`); return why not, or nothing."""
        why = self.stays(choice)
        if not why and self._choice is not None:
            self._run.deviation(f"{choice} by {actor} after: {self._run.machine.cause}")
            self._choice.set_result(choice)
        return why

    def stays(self, choice: str) -> str:
        """Say why the run cannot go on so now, or nothing."""
        state = self._run.machine.state
        if state is not State.HELD or self._choice is None or self._choice.done():
            return f"{choice} is not possible while the run is {state.value}"
        if self._how == "pause" and choice not in {"resume", "fixup"}:
            return f"{choice} is not possible between steps; resume, then say it"
        return self._still()

    def spoken(self) -> None:
        """Hear that a person is there: the time in which nobody speaks begins anew."""
        self._spoken_ns = self._run.clock.now_ns()

    def forget_temperature(self) -> None:
        """Go on without heating back to where the flask was."""
        self._before_c = None

    def _still(self) -> str:
        """Say what stands against going on, or nothing."""
        if self.taken:
            return f"{self.taken} has taken over: `give` the run back first"
        standing = [rule.id for rule in self._causes if self._parts.interlocks.stands(rule)]
        if standing:
            return f"{', '.join(standing)} is still violated"
        silent = self._parts.poller.silent()
        if silent:
            return f"{', '.join(silent)} does not answer"
        if self._open is not None:
            return f"{self._open.name} was changed: answer with {' or '.join(self._open.choices)}"
        return ""

    async def stands(
        self, how: Literal["freeze", "park"], reason: str, *, unanswered: bool = False
    ) -> str:
        """Bring the run to stand, outside of any step; return how a person lets it go on.

        `unanswered` says that a question was left unanswered: then somebody is called. Over a
        freeze a person is asked.

        Raises:
            StepFailedError: it cannot be brought to stand, or the flask does not come back.
            AbortedError: the person, or nobody in time, chose to end the run.
        """
        self._run.machine.fire(Trigger.PARK if how == "park" else Trigger.FREEZE, reason)
        await self._stand(how, reason, None)
        if unanswered:
            self._call(reason)
        choice = await self._chosen(reason, asks=how == "freeze")
        return await self._go_on(choice) or "resume"

    async def _hold(self, how: How, reason: str, interlock: Interlock | None) -> None:
        await self._stand(how, reason, interlock)
        choice = await self._go_on(await self._chosen(reason, asks=interlock is not None))
        if choice in {"skip", "retry", "fixup"}:
            self.restarts(choice)

    async def _stand(self, how: How, reason: str, interlock: Interlock | None) -> None:
        """Bring the run to stand, frozen or parked.

        Raises:
            StepFailedError: an instrument did not obey.
        """
        run = self._run
        run.elapsed.freeze()
        run.event("frozen", reason, {"from_ns": run.clock.now_ns()})
        self._how, self._gas_changed = how, False
        self._before_c = run.signals.value("flask.T")
        await self._standing.freeze()
        if interlock is not None:
            await self._standing.act(interlock.action)
        if how == "park":
            self._gas_changed = await self._standing.park()
        self._choice = asyncio.get_running_loop().create_future()
        run.machine.fire(Trigger.FROZEN, reason)

    async def _chosen(self, reason: str, *, asks: bool) -> str:
        """Wait for a command, or for the answer where a person is also asked.

        Raises:
            AbortedError: the person, or nobody in time, chose to end the run.
        """
        chosen = cast("asyncio.Future[str]", self._choice)
        if not asks:
            return await self._spoken(reason, chosen)
        self.asks = True
        try:
            return await self._answered(reason, chosen)
        finally:
            self.asks = False

    async def _answered(self, reason: str, chosen: asyncio.Future[str]) -> str:
        """Ask, and wait for the answer or a command.

        Raises:
            AbortedError: the person, or nobody in time, chose to end the run.
        """
        asking = asyncio.create_task(self._asked(reason), name="how to go on")
        either: set[asyncio.Future[Answer] | asyncio.Future[str]] = {asking, chosen}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
        if chosen.done():
            await asyncio.gather(asking, return_exceptions=True)
            return chosen.result()
        answer = asking.result()
        if answer.choice in {"park", "abort"}:
            return await self._parked_after(reason, answer, chosen)
        self._run.deviation(f"resumed by a person: {reason}")
        return "resume"

    @property
    def _silent_ns(self) -> int:
        """When a person has been silent for too long, in ns of the run."""
        return self._spoken_ns + round(self._run.plan.recipe.head.problem.unanswered * NS)

    async def _spoken(self, reason: str, chosen: asyncio.Future[str]) -> str:
        """Wait for a command; a run that nobody speaks to in time is parked, and stays so.

        Raises:
            AbortedError: in a dry run, where nobody would ever come.
        """
        run = self._run
        self.spoken()
        while not chosen.done() and run.clock.now_ns() < self._silent_ns:
            late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            timer = run.clock.alarm(self._silent_ns, late)
            either: set[asyncio.Future[str] | asyncio.Future[None]] = {late, chosen}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
        if chosen.done():
            return chosen.result()
        silence = f"park: nobody said how to go on after: {reason}"
        if not run.parks:
            raise AbortedError(silence)
        if self._how != "park" and run.machine.fire(Trigger.PARK, silence):
            await self._park_now(silence)
            self._call(reason)
        return await chosen

    async def _parked_after(self, reason: str, answer: Answer, chosen: asyncio.Future[str]) -> str:
        """Park a frozen run as was answered, and wait for a command.

        Raises:
            AbortedError: the answer, or in a dry run the silence, ends the run.
        """
        ends = f"{answer.choice}: {reason}"
        if answer.choice != "park" or not self._run.parks:
            raise AbortedError(ends)
        self._run.deviation(ends)
        if self._open is not None:
            await self._decide(reason, next(iter(self._open.choices)))
        if self._run.machine.fire(Trigger.PARK, ends):
            await self._park_now(ends)
        if answer.by_default:
            self._call(reason)
        return await chosen

    async def _asked(self, reason: str) -> Answer:
        """Ask until a person says anything but resume, or what froze the run holds again."""
        run = self._run
        unanswered_s = run.plan.recipe.head.problem.unanswered
        while True:
            proceeds = ("resume",) if self._open is None else tuple(self._open.choices)
            question = Question(reason, (*proceeds, "park", "abort"), "park", unanswered_s)
            answer = await self._parts.people.ask(question)
            if answer.choice not in proceeds:
                return answer
            if self._open is not None:
                await self._decide(reason, answer.choice)
                await self._shows()
            why = self._still()
            if not why:
                return answer
            run.event("resume.refused", f"not resumed: {why}", level="warning")
            await run.clock.sleep_until(run.clock.now_ns() + NS)

    def _call(self, reason: str) -> None:
        """Have somebody called: nobody answered, and the run stands parked."""
        self._run.call(f"the run is parked, and nobody answered: {reason}")

    async def _decide(self, reason: str, choice: str) -> None:
        """Do what is chosen about a change; the first choice is to restore, and always there."""
        if self._open is not None:
            await self._open.choices[choice]()
            self._run.deviation(f"{choice}: {reason}")
            self._open = None

    async def _shows(self) -> None:
        """Give what was put right the time of a few polls to show."""
        end_ns = self._run.clock.now_ns() + round(SHOWS_S * NS)
        while self._still() and self._run.clock.now_ns() < end_ns:
            await self._run.clock.sleep_until(self._run.clock.now_ns() + NS)

    async def _go_on(self, choice: str) -> str:
        """Let the run go on; return how, or nothing if it stands again."""
        run = self._run
        if not run.machine.fire(Trigger(choice)):
            return ""
        self._causes.clear()
        if choice in {"resume", "fixup"} or self._how == "park":
            await self._standing.back(self._before_c)
        if choice == "resume" and self._gas_changed:
            choice = "retry"
            run.event("resume.retries", f"{run.step_id} begins again: parking changed its gas")
        if run.machine.state is not State.RESUMING:
            return ""
        since_ns = run.elapsed.frozen_since_ns
        run.elapsed.thaw()
        if since_ns is not None:
            run.event("thawed", f"{choice} after a hold", {"from_ns": since_ns})
        run.machine.fire(Trigger.RESUMED)
        return choice

    def _taken_back(self) -> bool:
        """Take a run back from a person's hands to park it; say whether its gas differs."""
        if not self.taken:
            return False
        self.taken = ""
        return self.taken_back()

    async def _park_now(self, reason: str) -> None:
        self._how = "park"
        other_gas = self._taken_back()
        changed = await self._standing.park()
        self._gas_changed = self._gas_changed or changed or other_gas
        self._run.machine.fire(Trigger.FROZEN, reason)

    def _begin(self, job: Coroutine[object, object, None], name: str) -> None:
        self.begin(job, name)

    def begin(self, job: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Do something while the run is held; what it raises ends the run, as does its end."""
        task = asyncio.create_task(job, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._ended_by(error)
        if isinstance(error, LabctlError):
            self._run.elapsed.thaw()


async def _connect(device: Device) -> None:
    await device.connect()


def _nothing(choice: str) -> None:
    """Nobody restarts anything yet."""
