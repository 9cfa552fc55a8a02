"""Everything asked of a person: questions, signatures, work of hands; all of it recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.bench import Answer, Question
from labctl.capabilities import Reply, Task, TaskKind
from labctl.clock import NS
from labctl.engine.machine import State, Trigger
from labctl.engine.run import Run
from labctl.errors import AbortedError, StepFailedError
from labctl.readings import Quality, Reading
from labctl.rig.by_hand import HANDS_S, answered, nobody
from labctl.units import show

SPOKEN = frozenset({TaskKind.ANSWER, TaskKind.CONFIRM, TaskKind.READ})
ENDS = frozenset({"park", "abort"})
EARLY_NS = NS // 100
"""A deadline's timer may be this much early by the run's own clock."""


class People:
    """The operator's side of a run; while a person is asked the run is `waiting`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.unanswered = ""
        """The last question, if it was left to a default that ends the run."""

    async def do(self, task: Task) -> Reply:
        """Ask for one task and return the reply.

        A task without a deadline gets one: what is said, the recipe's `problem.unanswered`, work of
        hands half an hour more than it takes.

        Raises:
            AbortedError: a person refused to do it.
            StepFailedError: nobody answered in time, and the default does not end the run.
        """
        run, stated = self._run, task.after_s is not None
        after_s = self._patience_s(task)
        task = replace(task, after_s=after_s)
        asks = run.machine.state is State.RUNNING and run.machine.fire(Trigger.ASK, task.text)
        asked_ns = run.clock.now_ns()
        question = run.record.question(asked_ns, task.text, task.choices, task.default)
        try:
            reply = await answered(run.rig.operator, task)
            answered_ns = run.clock.now_ns()
        finally:
            if asks:
                run.machine.fire(Trigger.ANSWERED)
        if asks:
            await run.elapsed.gate()
        by = ", ".join(self.names(reply)) or ("default" if reply.by_default else "operator")
        text = _answered(task, reply)
        now_ns = run.clock.now_ns()
        run.record.answer(question, now_ns, text, by, simulated=run.simulated)
        if task.kind is TaskKind.ANSWER:
            run.event("answered", f"{task.text}: {text} ({by})", {"step": run.step_id})
        silent = reply.by_default and answered_ns - asked_ns >= round(after_s * NS) - EARLY_NS
        self.unanswered = task.text if silent and reply.text == "abort" else ""
        if silent and reply.text not in ENDS and not (stated and task.default):
            raise StepFailedError(nobody(task, after_s))
        if reply.text == "refused":
            raise AbortedError(f"a person refused: {task.text}")
        return reply

    def _patience_s(self, task: Task) -> float:
        """Return how long a person may take over a task, in s."""
        if task.after_s is not None:
            return task.after_s
        if task.kind in SPOKEN:
            return self._run.plan.recipe.head.problem.unanswered
        return HANDS_S + task.over_s

    async def ask(self, question: Question) -> Answer:
        """Put a question; an answer by default is told as such."""
        reply = await self.do(
            Task(
                TaskKind.ANSWER,
                question.text,
                question.subject,
                dimension=question.dimension,
                choices=question.choices,
                default=question.default,
                simulated=question.simulated,
                after_s=question.after_s,
            )
        )
        return Answer(reply.text, reply.value, reply.by_default)

    async def confirm(
        self, items: Sequence[str], signatures: int, subject: str, after_s: float | None = None
    ) -> None:
        """Have a list signed within so many s; signatures for a reagent release its pump.

        Raises:
            AbortedError: fewer people signed than must.
        """
        task = Task(
            TaskKind.CONFIRM,
            "; ".join(items),
            subject,
            items=tuple(items),
            signatures=signatures,
            after_s=after_s,
        )
        names = self.names(await self.do(task))
        if len(set(names)) < signatures:
            message = f"{signatures} people must sign, {len(set(names))} did: {task.text}"
            raise AbortedError(message)
        if subject:
            self._run.signed.setdefault(subject, set()).update(names)
            words = ", ".join(names)
            self._run.event("signed", f"{subject}: {words}", {"subject": subject, "names": words})
        if any("trap" in item and "cold" in item for item in items):
            self._run.trap_cold_ns = self._run.clock.now_ns()
            self._run.event("trap_cold", "the trap was said to be cold")
        if any("trap" in item and "warmed" in item for item in items):
            self._run.trap_cold_ns = None
            self._run.event("trap_warm", "the trap was said to be warmed")

    async def hand(self, text: str, subject: str, amount: float | None) -> None:
        """Have something done by hand."""
        await self.do(Task(TaskKind.SET, text, subject, 1.0 if amount is None else amount))

    async def read(self, signal: str) -> None:
        """Have a gauge read off; the value becomes a reading, typed by a person."""
        dimension = dimension_of_hand(signal)
        reply = await self.do(Task(TaskKind.READ, f"read {signal}", signal, dimension=dimension))
        quality = Quality.GOOD if reply.value is not None else Quality.BAD
        reading = Reading(signal, reply.value, quality, self._run.clock.now_ns())
        self._run.record.append(reading)
        self._run.signals.latest[signal] = reading
        self._run.bus.publish(reading)

    async def watch_trap(self) -> None:
        """Ask for the trap's level whenever the last answer is about to expire; until cancelled."""
        trap = self._run.plan.rig.model.trap
        if trap is None:
            return
        period_ns = round(max(60.0, trap.ask_level - 300.0) * NS)
        while True:
            since_ns = self._run.trap_cold_ns
            base_ns = self._run.clock.now_ns() if since_ns is None else since_ns
            await self._run.clock.sleep_until(base_ns + period_ns)
            if self._run.trap_cold_ns == since_ns and since_ns is not None:
                await self.confirm([f"trap cold: {trap.cools} topped up"], 1, "")

    def names(self, reply: Reply) -> list[str]:
        """Return who signed, with the names of the batch sheet for a simulated person's."""
        batch = self._run.plan.batch.model
        known = {"operator": batch.operator, "second": batch.second or "second"}
        return [known.get(name, name) for name in reply.signed]


def _answered(task: Task, reply: Reply) -> str:
    """Say an answer: a choice, a value with its unit, or that it was done."""
    if task.kind not in {TaskKind.ANSWER, TaskKind.READ}:
        return "refused" if reply.text == "refused" else "done"
    if reply.value is not None:
        return show(reply.value, task.dimension) if task.dimension else f"{reply.value:g}"
    return reply.text or "no answer"


def dimension_of_hand(signal: str) -> str:
    """Return the dimension of a signal that a person reads off.

    >>> dimension_of_hand("flask.P"), dimension_of_hand("stirrer.speed")
    ('pressure', 'rotation')
    """
    name = signal.rpartition(".")[2]
    return {"P": "pressure", "T": "temperature"}.get(name[:1], "rotation")
