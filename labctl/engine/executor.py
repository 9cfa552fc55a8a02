"""Runs a plan from the first step to the last, or to the safe state.

Each step is a task of its own, so that a trip, an abort or a closed window can abandon it at once.
Whatever ends a run, the safe-state sequence runs, outside any step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar, cast

from labctl.bench import Bench, Question
from labctl.clock import NS
from labctl.engine.bench import EngineBench
from labctl.engine.guarding import Guards
from labctl.engine.holding import Holding
from labctl.engine.machine import Trigger
from labctl.engine.parts import Parts
from labctl.engine.past import Past
from labctl.engine.resuming import Resumption
from labctl.engine.safe_state import ABORT, COMPLETE, SafeState, may_skip
from labctl.engine.wall import watch_wall_clock
from labctl.errors import (
    AbortedError,
    DeviceError,
    LabctlError,
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
    """A person wants the running step skipped, or begun again."""

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
        self._end: LabctlError | None = None
        self._redirect = ""
        self._pausing = ""
        self._step: Step | None = None
        self.holding = Holding(parts, self._ended_by)
        self.holding.restarts = self.redirect
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
            await SafeState(run).reach(COMPLETE)
            run.machine.fire(Trigger.FINISHED)
        except (AbortedError, TripError, StepFailedError, DeviceError, RecordError) as error:
            await self._secure(str(error))
            return "safe"
        except BaseException as error:
            await self._secure(f"a fault in labctl: {error!r}", ends=Trigger.FAULT)
            raise
        finally:
            await self._end_background()
            if self._guarding is not None:
                await self._guarding.end()
        return "complete_with_deviations" if run.deviations else "complete"

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
        self._finish_with(TripError(f"interlock {interlock.id} tripped: {message}"))

    @property
    def step(self) -> Step | None:
        """The step of the recipe that runs now; None between steps."""
        return self._step

    def pause(self, actor: str) -> None:
        """Hold the run when the running step is done."""
        self._pausing = actor

    def redirect(self, choice: str) -> None:
        """Abandon the running step, to `skip` it or to `retry` it from its beginning."""
        if self._step is not None and self._task is not None:
            self._redirect = choice
            self._task.cancel()

    def _finish_with(self, error: LabctlError) -> None:
        if self._end is None:
            self._end = error
            if self._guarding is not None:
                self._guarding.cut()
            # The step may be long in letting go; heat is not kept waiting for it.
            cut = asyncio.create_task(self._cut_heat(), name="cut heat")
            self._background.append(cut)
        if self._task is not None:
            self._task.cancel()

    async def _cut_heat(self) -> None:
        try:
            await self._run.heat.make_safe()
        except DeviceError as error:
            self._run.event("safe_state.failed", f"heater off: {error}", level="error")

    async def _stages(self) -> None:
        planned = list(self._top())
        for n, item in enumerate(planned):
            following = planned[n + 1] if n + 1 < len(planned) else None
            self._run.stage = item.stage
            if not await self._still_to_do(item):
                continue
            await self._paused()
            await self._with_policy(item, following)

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

    def _top(self) -> list[PlannedStep]:
        return [planned for planned in self._run.plan.steps if not planned.parent]

    async def _with_policy(self, planned: PlannedStep, following: PlannedStep | None) -> None:
        """Run a step; when it fails, hold the temperature and ask what to do.

        Raises:
            AbortedError: the person, or nobody in time, chose to end the run.
        """
        while True:
            try:
                await self._one(planned, following)
            except RedirectedError as redirected:
                if redirected.choice == "skip":
                    return
                continue
            except (StepFailedError, DeviceError) as error:
                if await self._asked_after(planned.step, str(error)) == "skip":
                    return
                continue
            return

    async def _asked_after(self, step: Step, reason: str) -> str:
        run = self._run
        problem = run.plan.recipe.head.problem
        run.event("step.failed", f"{step.id}: {reason}", {"step": step.id}, "error")
        if problem.do == "park":
            raise AbortedError(f"park: {reason}")
        await self._abandonable(run.elapsed.gate(), f"thaw before {step.id}")
        await run.heat.freeze()
        choices = (
            ("retry", "skip", "park", "abort") if may_skip(step) else ("retry", "park", "abort")
        )
        question = Question(f"{step.id} failed: {reason}", choices, "park", problem.unanswered)
        answer = await self._abandonable(self.parts.people.ask(question), f"question {step.id}")
        if answer.choice in {"retry", "skip"}:
            run.deviation(f"{step.id}: {answer.choice} after: {reason}")
            return answer.choice
        raise AbortedError(f"{answer.choice}: {step.id}: {reason}")

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
        """Run a step inside another one; its id carries the round."""
        inner = step.renamed(f"{step.id}#{name}")
        await self._recorded(inner, self._run.stage, 0.0, nested=True, plain=step.id)

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
        if self._end is not None:
            task.cancel()
        try:
            await asyncio.wait({task})
        finally:
            self._task = None
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._end is not None:
            if not task.cancelled():
                task.exception()
            raise self._end
        if self._redirect and task.cancelled():
            choice, self._redirect = self._redirect, ""
            raise RedirectedError(choice)
        return task.result()

    async def _secure(self, reason: str, ends: Trigger = Trigger.SECURED) -> None:
        run = self._run
        if self._guarding is not None:
            self._guarding.cut()
        run.record.give_up()
        run.machine.fire(Trigger.ABORT, reason)
        run.event("aborting", reason, level="error")
        run.elapsed.thaw()
        await SafeState(run).reach(ABORT)
        run.machine.fire(ends, reason)

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

    async def _end_background(self) -> None:
        tasks = [*self._background, *self.holding.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
