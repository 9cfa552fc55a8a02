"""Runs a plan from the first step to the last, or to the safe state.

Each step is a task of its own, so that a trip, an abort or a closed window can abandon it at once.
Whatever ends a run, the safe-state sequence runs, outside any step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar, cast

from labctl.bench import Bench, Resume
from labctl.clock import NS
from labctl.engine.bench import EngineBench
from labctl.engine.course import Course
from labctl.engine.ending import Ending, through
from labctl.engine.failing import Failing
from labctl.engine.guarding import Guards
from labctl.engine.holding import Holding
from labctl.engine.left import left_over
from labctl.engine.machine import State, Trigger
from labctl.engine.parts import Parts
from labctl.engine.past import Past
from labctl.engine.resuming import Resumption
from labctl.engine.safe_state import SafeState, at_the_end
from labctl.engine.sequences import ABORT, WAYS, Action
from labctl.engine.wall import watch_wall_clock
from labctl.errors import (
    AbortedError,
    DeviceError,
    LabctlError,
    ParkError,
    RecordError,
    StepFailedError,
    TripError,
)
from labctl.plan import PlannedStep
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.hold import Hold
from labctl.rules import Interlock

T = TypeVar("T")
FULL = "the disk with the run's record is full: make room, then resume"


class RedirectedError(LabctlError):
    """A person wants the running step skipped, or begun again, at once or after an extra step."""

    def __init__(self, choice: str) -> None:
        self.choice = choice
        super().__init__(f"{choice} by a person")


class Executor:
    """Executes one run; `interrupt`, `abort` and trips end it from outside a step."""

    def __init__(
        self, parts: Parts, guarding: Guards | None = None, past: Past | None = None
    ) -> None:
        self._resumption = None if past is None else Resumption(parts, past)
        self.parts = parts
        self.interrupted = False
        self._guarding = guarding
        self._run = parts.run
        self._bench: EngineBench | None = None
        self._task: asyncio.Task[object] | None = None
        self._ending = Ending(parts.run, guarding)
        self._redirect = ""
        self._pausing = ""
        self._step: Step | None = None
        self.holding = Holding(parts, self._ended_by)
        self.holding.restarts = self.redirect
        self._failing = Failing(parts, self.holding, self._abandonable)
        self.course = Course(parts.run)
        self._extra: PlannedStep | None = None
        self._background: list[asyncio.Task[None]] = []
        parts.tripped = self.trip
        parts.froze = self.holding.freeze
        parts.changed = self.holding.ask_about

    async def execute(self) -> str:
        """Run everything; return the outcome: complete, complete_with_deviations, safe, faulted."""
        run = self._run
        run.machine.fire(Trigger.START)
        try:
            await self._abandonable(run.rig.connect(), "connect")
            resumed = self._resumption
            if resumed is not None:
                await self._abandonable(resumed.still(), "stand still")
            if self._guarding is not None:
                await self._abandonable(self._guarding.start(self.parts.beat), "guard")
            self.parts.declare()
            self._begin(self.parts.polling())
            self._bench = await self._started()
            self._begin(self.parts.watchers(self._bench.anchors))
            if not run.simulated:
                self._begin([("record", self._watch_record())])
                self._begin([("wall clock", watch_wall_clock(run))])
            run.machine.fire(Trigger.STARTED)
            if resumed is not None:
                await self._abandonable(resumed.warm_again(), "warm again")
            await self._stages()
            run.machine.fire(Trigger.FINISH)
            await self._abandonable(SafeState(run).reach(at_the_end(run)), "stop")
            await self._rest()
            run.machine.fire(Trigger.FAULT if self._ending.faults else Trigger.FINISHED)
        except (AbortedError, TripError, StepFailedError, DeviceError, RecordError) as error:
            await self._secure(error)
        except BaseException as error:
            await self._secure(LabctlError(f"a fault in labctl: {error!r}"), Trigger.FAULT)
            raise
        finally:
            await self._rest()
            self._say_what_is_left()
            if self._guarding is not None:
                await self._guarding.end()
        return self._outcome()

    def _say_what_is_left(self) -> None:
        run = self._run
        if self._resumption is not None:
            self._resumption.leave()
        for left in left_over(run, self.parts.doses):
            run.event("left", str(left), {"place": left.place, "holds": left.holds, "do": left.do})

    def _outcome(self) -> str:
        state = self._run.machine.state
        if state is not State.COMPLETE:
            return "safe" if state is State.SAFE else "faulted"
        return "complete_with_deviations" if self._run.deviations else "complete"

    async def _started(self) -> EngineBench:
        """Get the rig ready; of a run that was cut off, only once a person has agreed."""
        resumed = self._resumption
        if resumed is None:
            return await self._abandonable(self.parts.start(self._nested), "start")
        await self._abandonable(self.parts.first_readings(), "first readings")
        await self._abandonable(resumed.inspect(), "inspect")
        past = resumed.past
        start = self.parts.start(self._nested, past.ambient_mbar or self._run.ambient_mbar)
        bench = await self._abandonable(start, "start")
        await self._abandonable(resumed.restore(bench), "restore")
        bench.anchors.update(past.anchors)
        bench.resumed.update(past.clocks)
        return bench

    async def _watch_record(self) -> None:
        """Hold the run when its disk is full; end it when nothing can be written any more."""
        run, held = self._run, False
        while True:
            await run.clock.sleep_until(run.clock.now_ns() + NS)
            if run.record.failed is not None:
                raise run.record.failed
            if run.record.full and not held:
                run.event("record.full", FULL, level="error")
                held = not self.holding.hold("freeze", "labctl")

    def interrupt(self) -> None:
        """End the run as the operator's Ctrl-C does: to the safe state, exit 130."""
        self.interrupted = True
        self.abort("interrupted by the operator")

    def abort(self, reason: str) -> None:
        """End the run to the safe state."""
        self._finish_with(AbortedError(reason))

    def trip(self, interlock: Interlock, message: str) -> None:
        """End the run because an interlock tripped."""
        error = TripError(f"interlock {interlock.id} tripped: {message}")
        self._finish_with(error, WAYS[interlock.sequence])

    @property
    def step(self) -> Step | None:
        """The step of the recipe that runs now; None between steps."""
        return self._step or self._failing.step

    @property
    def bench(self) -> EngineBench | None:
        """The bench that steps run on; None before the rig is ready."""
        return self._bench

    def pause(self, actor: str) -> None:
        """Hold the run when the running step is done."""
        self._pausing = actor

    def fixup(self, text: str, by: Sequence[str], actor: str) -> str:
        """Do one extra step before a held run goes on; return why not, or nothing.

        Raises:
            RefusedError: the step is not allowed.
        """
        why = self.holding.stays("fixup")
        if why:
            return why
        before = self.step or self.course.coming()[0].step
        self._extra = self.course.fixup(text, by, before)
        return self.holding.release("fixup", actor)

    def redirect(self, choice: str) -> None:
        """Abandon the running step: to `skip` it, to `retry` it, or for an extra step."""
        if self.step is not None and self._task is not None:
            self._redirect = choice
            self._task.cancel()

    def _way(self) -> tuple[Action, ...]:
        """Return the way to the safe state that what stands violated asks for."""
        interlocks = self.parts.interlocks
        stand = [rule.source for rule in interlocks.rules if interlocks.stands(rule.source)]
        asked = [WAYS[rule.sequence] for rule in stand if rule.sequence != "abort"]
        return asked[0] if asked else ABORT

    def _finish_with(self, error: LabctlError, also: tuple[Action, ...] = ABORT) -> None:
        """End the run for an error; `also` is what it adds if the run is ending already."""
        ending = self._ending.error is not None
        if not self._ending.begin(error, also if ending else self._way()):
            return
        self.holding.stop()
        # What is letting go already is not cancelled again: it may be stopping a pump.
        if self._task is not None and not self._task.cancelling():
            self._task.cancel()

    async def _stages(self) -> None:
        while coming := self.course.coming():
            self._run.stage = coming[0].stage
            if not await self._still_to_do(coming[0]):
                self.course.begun.append(coming[0].step.id)
                continue
            await self._paused()
            await self._next()

    async def _next(self) -> None:
        """Run the next step, if what comes was not changed so that there is none."""
        coming = self.course.coming()
        if coming:
            self._run.stage = coming[0].stage
            self.course.begun.append(coming[0].step.id)
            await self._with_policy(coming[0], coming[1] if len(coming) > 1 else None)

    async def _still_to_do(self, planned: PlannedStep) -> bool:
        resumed = self._resumption
        if resumed is None:
            return True
        if planned.step.id in resumed.past.over:
            return False
        return await self._abandonable(resumed.begins_again(planned), "again?")

    async def _paused(self) -> None:
        """Hold between two steps if somebody asked for it."""
        if self._pausing:
            actor, self._pausing = self._pausing, ""
            self.holding.hold("pause", actor)
        await self._abandonable(self._run.elapsed.gate(), "pause")

    async def _with_policy(self, planned: PlannedStep, following: PlannedStep | None) -> None:
        """Run a step until it is done or skipped.

        Raises:
            AbortedError: a person, or nobody in time, chose to end the run.
        """
        how = "retry" if self._extra is None else "fixup"
        while how not in {"done", "skip"}:
            if how == "fixup" and self._extra is not None:
                how = await self._do_extra(planned)
            else:
                how = await self._attempt(planned, following)

    async def _do_extra(self, planned: PlannedStep) -> str:
        """Do the extra step, and stand until a person says how another goes on; return how."""
        extra, self._extra = cast("PlannedStep", self._extra), None
        await self._with_policy(extra, None)
        try:
            return await self._failing.after_fixup(planned.step, extra.step)
        except RedirectedError as redirected:
            return redirected.choice

    async def _attempt(self, planned: PlannedStep, following: PlannedStep | None) -> str:
        """Run a step once; return `done`, or how it goes on: `skip`, or begun again."""
        step = planned.step
        try:
            try:
                await self._one(planned, following)
            except ParkError as park:
                return await self._failing.parked(step, park)
            except (StepFailedError, DeviceError) as error:
                return await self._failing.after(step, str(error))
        except RedirectedError as redirected:
            if redirected.choice == "fixup":
                self._keep_clock(step)
            return redirected.choice
        return "done"

    def _keep_clock(self, step: Step) -> None:
        """Let a step that is interrupted for an extra one go on with the time it had."""
        bench = cast("EngineBench", self._bench)
        if step.resume is Resume.CONTINUE and step.id in bench.clocks:
            bench.resumed[step.id] = bench.clocks[step.id]

    async def _one(self, planned: PlannedStep, following: PlannedStep | None) -> None:
        bench = cast("EngineBench", self._bench)
        watched = following.step if following is not None else None
        condition = watched.condition() if isinstance(watched, Hold) else ""
        if condition:
            self._watch(bench, condition)
        self._step = planned.step
        try:
            await self._recorded(planned.step, planned.stage, planned.estimate.duration_s)
        finally:
            self._step = None

    def _watch(self, bench: EngineBench, text: str) -> None:
        """Note when a condition first holds, from now on; the following step asks for it."""
        condition = bench.condition(text)
        bench.first_true.pop(text, None)

        def look() -> None:
            if text not in bench.first_true and condition() is True:
                bench.first_true[text] = bench.elapsed_s()

        self._run.elapsed.ticked = look

    async def _nested(self, step: Step, name: str) -> None:
        """Run a step inside another one; its id carries the round.

        What it does by itself when it fails it does here; else the step around it has failed.

        Raises:
            StepFailedError: it failed.
            DeviceError: an instrument of it failed.
        """
        inner = step.renamed(f"{step.id}#{name}")
        again = True
        while again:
            try:
                await self._recorded(inner, self._run.stage, 0.0, nested=True, plain=step.id)
                again = False
            except (StepFailedError, DeviceError) as error:
                how = self._failing.at_once(inner, str(error))
                if not how:
                    raise
                again = how == "retry"

    async def _recorded(
        self, step: Step, stage: str, planned_s: float, *, nested: bool = False, plain: str = ""
    ) -> None:
        run, bench = self._run, cast("EngineBench", self._bench)
        outer = (bench.step_id, bench.step_key)
        parent = outer[0] if nested else ""
        key = run.record.step_started(
            run.clock.now_ns(),
            step.id,
            step.verb,
            stage,
            parent=parent,
            summary=step.summary(),
            planned_s=planned_s,
        )
        run.step_id = bench.step_id = step.id
        bench.step_key = key
        bench.anchors[f"{plain or step.id}.start"] = bench.elapsed_s()
        run.event("step.started", step.summary(), {"step": step.id, "stage": stage})
        state = "cancelled"
        try:
            running = self._when_thawed(step, bench)
            await (running if nested else self._abandonable(running, f"step {step.id}"))
            state = "done"
        except RedirectedError as redirected:
            state = "skipped" if redirected.choice == "skip" else state
            raise
        except (StepFailedError, DeviceError):
            state = "failed"
            raise
        finally:
            run.record.step_ended(key, run.clock.now_ns(), state)
            bench.anchors[f"{plain or step.id}.end"] = bench.elapsed_s()
            run.event("step.ended", state, {"step": step.id})
            bench.step_id, bench.step_key = outer
            run.step_id = bench.step_id

    async def _when_thawed(self, step: Step, bench: EngineBench) -> None:
        await self._run.elapsed.gate()
        await step.run(cast("Bench", bench))

    async def _abandonable(self, coroutine: Coroutine[object, object, T], name: str) -> T:
        """Run something as a task that a trip, an abort or an interrupt can abandon.

        Raises:
            LabctlError: what ended the run meanwhile.
            RedirectedError: a person wants it skipped or begun again.
        """
        task = asyncio.create_task(coroutine, name=name)
        self._task = task
        if self._ending.error is not None:
            task.cancel()
        try:
            await self._ending.done(task)
        finally:
            self._task = None
            if not task.done() and not task.cancelling():
                task.cancel()
                await self._ending.let_go([task])
        if self._ending.error is not None:
            if task.done() and not task.cancelled():
                task.exception()
            raise self._ending.error
        if self._redirect and task.cancelled():
            choice, self._redirect = self._redirect, ""
            raise RedirectedError(choice)
        return task.result()

    async def _secure(self, error: LabctlError, ends: Trigger = Trigger.SECURED) -> None:
        """Go to the safe state, whatever else is cancelled meanwhile; say how it ended."""
        if self._ending.error is None:
            self._finish_with(error)
        self._ending.say(str(error))
        self._run.elapsed.thaw()
        await through(asyncio.create_task(self._to_safety(), name="to the safe state"))
        if self.parts.people.unanswered:
            self._run.call(f"the run was ended: nobody answered: {self.parts.people.unanswered}")
        faults = self._ending.faults
        if faults:
            ends, error = Trigger.FAULT, LabctlError("; ".join(faults))
        self._run.machine.fire(ends, str(error))

    async def _to_safety(self) -> None:
        await self._ending.safe.reach()
        await self._rest()

    def _begin(self, jobs: list[tuple[str, Coroutine[object, object, None]]]) -> None:
        for name, job in jobs:
            task = asyncio.create_task(job, name=name)
            task.add_done_callback(self._crashed)
            self._background.append(task)

    def _crashed(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._ended_by(error)

    def _ended_by(self, error: BaseException) -> None:
        wrapped = error if isinstance(error, LabctlError) else LabctlError(repr(error))
        wrapped.__cause__ = error
        self._finish_with(wrapped)

    async def _rest(self) -> None:
        tasks = [*self._background, *self.holding.tasks]
        self._background.clear()
        await self._ending.rest(tasks)
