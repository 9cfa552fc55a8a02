"""Going on with a run that was cut off: heat off and pumps stopped first, then look, then ask.

Nothing else is actuated before a person has seen what was found against what was expected. Only
what the record and the pumps' own counters say counts as given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from labctl.bench import Question, Resume
from labctl.capabilities import SyringePump
from labctl.clock import NS
from labctl.engine.bench import EngineBench
from labctl.engine.doses import HF_SIGNERS, Given
from labctl.engine.parts import Parts
from labctl.engine.past import CUT_OFF, RESUMING, Past, PastDose
from labctl.engine.restoring import take_over
from labctl.engine.safe_state import STILL, SafeState
from labctl.errors import AbortedError, DeviceError, StepFailedError
from labctl.plan import PlannedStep
from labctl.readings import Scalar
from labctl.recipe.steps.base import Step, flattened
from labctl.recipe.steps.inject import Inject
from labctl.units import show

SETTLE_S = 1.0
COLD_C = 40.0
WITHIN_K = 5.0
WARM_S = 1800.0
TRIES = 3


class Resumption:
    """Takes a run over from its record; `past` is what that record says."""

    def __init__(self, parts: Parts, past: Past) -> None:
        self.past = past
        self._parts = parts
        self._run = parts.run
        run = self._run
        run.elapsed.begin_at(past.elapsed_s)
        run.elapsed.freeze()
        run.deviations.extend(past.deviations)
        run.event(RESUMING, f"resuming {past.run_id}", {"from_ns": past.stands_ns}, "warning")

    async def still(self) -> None:
        """Switch the heater off and stop the pumps, before anything else is said to the rig.

        Raises:
            AbortedError: one of them does not confirm it.
        """
        failed = await SafeState(self._run).reach(STILL)
        if failed:
            raise AbortedError(f"the rig does not stand still: {'; '.join(failed)}")

    async def inspect(self) -> None:
        """Show what is found against what is expected; go on only if a person says so.

        Raises:
            AbortedError: nobody did, or an unknown dose was not judged.
        """
        run = self._run
        await self._ledger()
        rows = self._compared()
        gap_s = (run.clock.now_ns() - self.past.last_ns) / NS
        run.event("resume.found", "\n".join(rows), {"gap_s": gap_s})
        text = "\n".join([f"go on with {self.past.run_id} after {show(gap_s, 'time')}?", *rows])
        await self._chosen(text, ("go on", "park", "abort"))

    async def restore(self, bench: EngineBench) -> None:
        """Take over what else the run had: signatures, the lamp's reference, its valves.

        Raises:
            AbortedError: nobody let it, or a valve does not go back.
        """
        await take_over(self._parts, self.past.kept, self.past.last, bench)

    async def warm_again(self) -> None:
        """Bring the flask back to where it was, and let the run's own clock go on.

        Raises:
            StepFailedError: it does not get there.
        """
        run = self._run
        setpoint_c, before_c = self._was_at()
        if setpoint_c is not None:
            await run.heat.ramp(setpoint_c, 0.0)
            await self._until_warm(min(setpoint_c, before_c) - WITHIN_K)
        run.elapsed.thaw()
        run.elapsed.begin_at(self.past.elapsed_s)
        gap_s = (run.clock.now_ns() - self.past.last_ns) / NS
        data = {"from_ns": self.past.stands_ns, "gap_s": gap_s}
        run.event(CUT_OFF, f"cut off for {show(gap_s, 'time')}, which does not count", data)
        now_c = run.signals.value("flask.T")
        hottest = max((t for t in (before_c, now_c) if t is not None), default=math.nan)
        words = f"{show(gap_s, 'time')} at up to {hottest:.0f} °C while nobody conducted the run"
        run.event("exposure", words, {"gap_s": gap_s, "hottest_c": hottest})
        run.deviation(f"cut off in {self.past.interrupted or 'no step'}, resumed by a person")

    async def begins_again(self, planned: PlannedStep) -> bool:
        """Say whether the interrupted step runs again; a person decides where the step says so.

        Raises:
            AbortedError: nobody let it.
        """
        step = planned.step
        if step.id != self.past.interrupted:
            return True
        if step.resume in {Resume.IDEMPOTENT, Resume.CONTINUE}:
            return True
        known = self._parts.doses.said(step.id)
        text = f"{known}{step.id} ({step.summary()}) was cut off; run it again?"
        again = await self._chosen(text, ("again", "done", "park", "abort")) == "again"
        for name in self._with_hf(step) if again else ():
            item = f"{known}{name} contains HF: go on with {step.id}"
            await self._parts.people.confirm((item,), HF_SIGNERS, name)
        return again

    def _with_hf(self, step: Step) -> list[str]:
        """Return the reagents of a step, and of the steps inside it, that contain HF."""
        scene = self._run.plan.scene
        found = []
        for inner in flattened((step,)):
            parts = inner.parts() if isinstance(inner, Inject) else (inner,)
            names = (getattr(part, "reagent", "") for part in parts)
            found += [name for name in names if name and "HF" in scene.contents(name, 1.0)]
        return sorted(set(found))

    async def _chosen(self, text: str, choices: Sequence[str]) -> str:
        unanswered_s = self._run.plan.recipe.head.problem.unanswered
        question = Question(text, tuple(choices), "park", unanswered_s)
        answer = await self._parts.people.ask(question)
        if answer.choice in {"park", "abort"}:
            raise AbortedError(f"{answer.choice}: not resumed")
        return answer.choice

    async def _ledger(self) -> None:
        now_ns = self._run.clock.now_ns()
        for intent in self.past.never_begun:
            self._run.record.settle(intent, now_ns, "refused", {"why": "cut off before it began"})
        for intent, like in self.past.left_open:
            self._run.record.settle(intent, now_ns, like.state, _scalars(like.result))
        for pump, known in self.past.lines.items():
            self._parts.doses.lines.restore(pump, known)
        drawn = list(self.past.kept.drawn)
        for dose in self.past.doses.values():
            given = await self._known(dose)
            while drawn and drawn[0][0] < dose.row.start_ns:
                self._run.shrink(drawn.pop(0)[1])
            self._parts.doses.take_over(given)
        for _, volume_ml in drawn:
            self._run.shrink(volume_ml)

    async def _known(self, dose: PastDose) -> Given:
        """Return a dose as it is known now: counted by its pump, or judged by a person."""
        given = Given(dose.row, dose.pushed_ml, dose.delivered_ml)
        if not dose.open_intents and not dose.unknown:
            if dose.row.state not in {"done", "refused"}:
                self._settle(dose, given, "done")
            return given
        if not dose.started and dose.row.by != "hand" and not dose.unknown:
            self._settle(dose, given, "refused")
            return given
        counted_ml = None if dose.row.by == "hand" else await self._counted_ml(dose)
        if counted_ml is None or dose.unknown:
            return await self._judged(dose, given, counted_ml)
        given.pushed_ml += counted_ml
        given.delivered_ml += self._parts.doses.arrived_ml(dose.row, counted_ml)
        self._settle(dose, given, "done")
        return given

    async def _counted_ml(self, dose: PastDose) -> float | None:
        """Return what the pump counted since it was started, None if its counter says nothing.

        A counter at its baseline is that of a dose that never began, or of a pump switched off.
        """
        pump = cast("SyringePump", self._run.rig.devices[dose.row.by])
        for _ in range(TRIES):
            try:
                counted_ml = await pump.dispensed_ml() - dose.baseline_ml
            except DeviceError:
                continue
            return counted_ml if counted_ml > 0 else None
        return None

    async def _judged(self, dose: PastDose, given: Given, counted_ml: float | None) -> Given:
        row = dose.row
        asked_ml = row.commanded_ml or 0.0
        counted = "nothing" if counted_ml is None else show(counted_ml, "volume")
        text = (
            f"what became of dose {row.id} is unknown: {show(asked_ml, 'volume')} of {row.reagent} "
            f"asked, {counted} counted by {row.by}; look at the syringe. Treat it as"
        )
        unanswered_s = self._run.plan.recipe.head.problem.unanswered
        question = Question(text, ("given in full", "not given"), "given in full", unanswered_s)
        answer = await self._parts.people.ask(question)
        if answer.choice != "not given":
            missing_ml = max(0.0, asked_ml - given.pushed_ml)
            given.pushed_ml = asked_ml
            given.delivered_ml += self._parts.doses.arrived_ml(row, missing_ml)
        self._run.deviation(f"dose {row.id} was unknown and is treated as {answer.choice}")
        self._settle(dose, given, "unknown")
        return given

    def _settle(self, dose: PastDose, given: Given, outcome: str) -> None:
        run, now_ns = self._run, self._run.clock.now_ns()
        data: dict[str, Scalar] = {"counted_ml": given.pushed_ml - dose.pushed_ml, "by": "resume"}
        data |= {"delivered_ml": given.delivered_ml, **self._parts.doses.line_state(dose.row)}
        for intent in dose.open_intents:
            run.record.settle(intent, now_ns, outcome, data)
        state = "done" if given.pushed_ml > 0.0 else "refused"
        row = replace(dose.row, state=state, end_ns=now_ns, delivered_ml=given.delivered_ml)
        given.row = row
        run.record.dose(row)

    def _compared(self) -> list[str]:
        """Lay out every channel: expected is the last value before, found is the value now."""
        rows = []
        rows.append(f"the flask holds {show(self._run.flask.volume_ml(), 'volume')} by the ledger")
        for subject, names in self.past.kept.signed.items():
            rows.append(f"signed for {subject}: {', '.join(sorted(names))}")
        for name, before in self.past.last.items():
            now = self._run.signals.value(name)
            found = "no reading" if now is None else f"{now:.4g}"
            rows.append(f"{name}: {before:.4g} before, {found} now")
        return rows

    def _was_at(self) -> tuple[float | None, float]:
        """Return the last setpoint and flask temperature before, in °C; None where none heated."""
        heater = self._run.plan.rig.entry("heater")[0]
        setpoint_c = self.past.last.get(f"{heater}.setpoint")
        before_c = self.past.last.get("flask.T", math.nan)
        heated = self.past.heated and setpoint_c is not None and setpoint_c > COLD_C
        return (setpoint_c if heated else None), before_c

    async def _until_warm(self, at_c: float) -> None:
        run = self._run
        end_ns = run.clock.now_ns() + round(WARM_S * NS)
        while run.clock.now_ns() < end_ns:
            now_c = run.signals.value("flask.T")
            if now_c is not None and now_c >= at_c:
                return
            await run.clock.sleep_until(run.clock.now_ns() + round(SETTLE_S * NS))
        raise StepFailedError(f"the flask does not come back to {show(at_c, 'temperature')}")


def _scalars(result: object) -> dict[str, Scalar]:
    items = result.items() if isinstance(result, Mapping) else ()
    return {name: value for name, value in items if isinstance(value, str | int | float)}
