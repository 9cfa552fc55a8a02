"""What a run does when one of its steps fails: what the step's `on_fail` says, else the recipe.

Nothing goes on over a failure in silence: each retry, skip and park is a deviation, and at the end
of all retries a person is asked. A dose that was given is not given again by a retry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from typing import Literal, Protocol, TypeVar

from labctl.bench import Question
from labctl.engine.holding import Holding
from labctl.engine.parts import Parts
from labctl.engine.safe_state import may_skip
from labctl.errors import AbortedError, ParkError
from labctl.recipe.steps.base import Step

T = TypeVar("T")


class Within(Protocol):
    """Runs something that a trip, an abort or an interrupt can abandon."""

    async def __call__(self, coroutine: Coroutine[object, object, T], name: str) -> T:
        """Run it, under a name.

        Raises:
            LabctlError: what ended the run meanwhile.
        """
        ...


class Failing:
    """Decides how a run goes on after a step failed; `step` is the one that stands meanwhile."""

    def __init__(self, parts: Parts, holding: Holding, within: Within) -> None:
        self.step: Step | None = None
        self._parts = parts
        self._run = parts.run
        self._holding = holding
        self._within = within
        self._tries: Counter[str] = Counter()

    async def after(self, step: Step, reason: str) -> str:
        """Return how it goes on: `retry`, `resume` (both begin the step again), `skip`, `fixup`.

        Raises:
            AbortedError: the recipe, a person, or nobody in time, chose to end the run.
        """
        run = self._run
        run.event("step.failed", f"{step.id}: {reason}", {"step": step.id}, "error")
        how = self.at_once(step, reason)
        if how:
            return how
        try:
            return await self._as_said(step, reason)
        except ParkError as park:
            return await self.parked(step, park)

    def at_once(self, step: Step, reason: str) -> str:
        """Return `retry` or `skip` where the step says so and nobody need be asked, or nothing."""
        if step.on_fail == "skip" and may_skip(step):
            self._run.deviation(f"{step.id}: skipped, as its on_fail says, after: {reason}")
            return "skip"
        if step.on_fail == "retry" and self._tries[step.id] < step.retries:
            self._tries[step.id] += 1
            count = f"{self._tries[step.id]} of {step.retries}"
            self._run.deviation(f"{step.id}: begun again, {count}, after: {reason}")
            return "retry"
        return ""

    async def _as_said(self, step: Step, reason: str) -> str:
        """Do what step or recipe say.

        Raises:
            ParkError: the run is to be parked.
            AbortedError: the run is to end.
        """
        problem = self._run.plan.recipe.head.problem
        how = step.on_fail or ("park" if problem.do == "park" else "ask")
        if how == "safe":
            raise AbortedError(f"{step.id}: {reason}")
        if how == "park":
            raise ParkError(f"park: {reason}")
        await self._within(self._run.elapsed.gate(), f"thaw before {step.id}")
        if how == "freeze":
            return await self._stands(step, "freeze", f"{step.id} failed: {reason}")
        return await self._asked(step, reason)

    async def _asked(self, step: Step, reason: str) -> str:
        run = self._run
        await run.heat.freeze()
        choices = (
            ("retry", "skip", "park", "abort") if may_skip(step) else ("retry", "park", "abort")
        )
        after_s = run.plan.recipe.head.problem.unanswered
        text = f"{self._parts.doses.said(step.id)}{step.id} failed: {reason}"
        question = Question(text, choices, "park", after_s)
        answer = await self._within(self._parts.people.ask(question), f"question {step.id}")
        if answer.choice in {"retry", "skip"}:
            run.deviation(f"{step.id}: {answer.choice} after: {reason}")
            return answer.choice
        ends = f"{answer.choice}: {step.id}: {reason}"
        if answer.choice == "park":
            raise ParkError(ends, unanswered=answer.by_default)
        raise AbortedError(ends)

    async def parked(self, step: Step, park: ParkError) -> str:
        """Park the run and wait for a person; return how the step goes on.

        Raises:
            AbortedError: a dry run ends here, for nobody would ever come.
        """
        run = self._run
        if not run.parks:
            raise AbortedError(str(park))
        await self._within(run.elapsed.gate(), f"thaw before parking {step.id}")
        run.deviation(f"{step.id}: {park}")
        return await self._stands(step, "park", str(park), unanswered=park.unanswered)

    async def after_fixup(self, step: Step, extra: Step) -> str:
        """Stand after an extra step until a person says how the run goes on; return how.

        Raises:
            AbortedError: the person, or nobody in time, chose to end the run.
        """
        return await self._stands(step, "freeze", f"{extra.id} ({extra.summary()}) is done")

    async def _stands(
        self, step: Step, how: Literal["freeze", "park"], reason: str, *, unanswered: bool = False
    ) -> str:
        self.step = step
        try:
            stands = self._holding.stands(how, reason, unanswered=unanswered)
            choice = await self._within(stands, f"{how} {step.id}")
            await self._within(self._run.elapsed.gate(), f"thaw after {step.id}")
        finally:
            self.step = None
        return choice
