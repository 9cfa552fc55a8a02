"""What people may tell a running run: each command accepted, or refused with the reason.

The state machine decides what is legal; besides, no step is skipped that makes the flask inert or
clean, and no HF goes on for longer than the recipe says. Every command is on the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from labctl.engine.executor import Executor
from labctl.engine.machine import Trigger
from labctl.engine.safe_state import may_skip
from labctl.engine.takeover import TakeOver
from labctl.errors import RefusedError, UnitError
from labctl.recipe.steps.base import Step
from labctl.units import parse, show


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what, by whom, and what goes with it (a duration, a reason), who signs."""

    verb: str
    actor: str = "operator"
    text: str = ""
    by: tuple[str, ...] = ()


class Commands:
    """Obeys commands on one executor, and writes down which and why not."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._run = executor.parts.run
        self._takeover = TakeOver(executor)
        self._table: Mapping[str, Callable[[Command], str]] = {
            "pause": self._pause,
            "freeze": self._hold,
            "park": self._hold,
            "resume": self._release,
            "skip": self._skip,
            "retry": self._retry,
            "extend": self._extend,
            "fixup": self._fixup,
            "change": self._change,
            "take": lambda command: self._takeover.take(command.actor),
            "do": lambda command: self._takeover.do(command.text, command.actor),
            "give": lambda c: self._takeover.give(c.text, c.actor, c.by),
            "abort": self._abort,
            "ack": self._ack,
            "note": self._note,
        }

    @property
    def verbs(self) -> tuple[str, ...]:
        """The commands that there are."""
        return tuple(self._table)

    def in_hand(self) -> Mapping[str, object]:
        """Return who has taken the run over, if anybody, and what differs from the plan."""
        who = self._executor.holding.taken
        differs = [row.text for row in self._takeover.differs()] if who else []
        return {"taken_by": who, "differs": differs}

    def obey(self, command: Command) -> str:
        """Obey a command; return why it is refused, or nothing."""
        do = self._table.get(command.verb)
        if do is None:
            reason = f"there is no command {command.verb!r}; known: {', '.join(self._table)}"
        else:
            reason = do(command)
        run = self._run
        run.record.command(
            run.clock.now_ns(), command.actor, command.verb, accepted=not reason, reason=reason
        )
        if not reason:
            text = f": {command.text}" if command.text else ""
            run.event("command", f"{command.verb} by {command.actor}{text}")
        return reason

    def _illegal(self, command: Command, trigger: Trigger) -> str:
        machine = self._run.machine
        if machine.may(trigger):
            return ""
        return f"{command.verb} is not possible while the run is {machine.state.value}"

    def _pause(self, command: Command) -> str:
        reason = self._illegal(command, Trigger.PAUSE)
        if not reason:
            self._executor.pause(command.actor)
        return reason

    def _hold(self, command: Command) -> str:
        how = cast("Literal['freeze', 'park']", command.verb)
        return self._executor.holding.hold(how, command.actor)

    def _release(self, command: Command) -> str:
        return self._executor.holding.release("resume", command.actor)

    def _skip(self, command: Command) -> str:
        step = self._executor.step
        if step is not None and not may_skip(step):
            return f"{step.id} ({step.verb}) is never skipped: it makes the flask inert or clean"
        return self._restart(command, Trigger.SKIP, step)

    def _retry(self, command: Command) -> str:
        return self._restart(command, Trigger.RETRY, self._executor.step)

    def _restart(self, command: Command, trigger: Trigger, step: Step | None) -> str:
        reason = self._illegal(command, trigger)
        if reason:
            return reason
        if self._run.elapsed.frozen:
            return self._executor.holding.release(command.verb, command.actor)
        if step is None:
            return f"{command.verb} is not possible between steps"
        self._run.deviation(f"{step.id}: {command.verb} by {command.actor}{self._given(step)}")
        self._executor.redirect(command.verb)
        return ""

    def _given(self, step: Step) -> str:
        """Say what a step has delivered so far: it is not given again."""
        doses = self._executor.parts.doses.given(step.id)
        return "".join(f"; {name} has had {show(ml, 'volume')}" for name, ml in doses.items())

    def _extend(self, command: Command) -> str:
        step = self._executor.step
        reason = self._illegal(command, Trigger.EXTEND)
        if reason:
            return reason
        if step is None or step.once:
            what = "between steps" if step is None else f"in a {step.verb} step"
            return f"extend is not possible {what}"
        try:
            duration_s = parse(command.text, "time").value
        except UnitError as error:
            return f"extend by how long? {error}"
        if not 0.0 < duration_s <= MOST_S:
            return f"extend takes up to {show(MOST_S, 'time')} at once, not {command.text}"
        reason = self._run.elapsed.extend(duration_s)
        if not reason:
            self._run.deviation(f"{step.id}: {command.text} longer, by {command.actor}")
        return reason

    def _fixup(self, command: Command) -> str:
        return self._illegal(command, Trigger.FIXUP) or self._asked(
            lambda: self._executor.fixup(command.text, command.by, command.actor)
        )

    def _change(self, command: Command) -> str:
        return self._illegal(command, Trigger.CHANGE) or self._asked(
            lambda: self._executor.course.change(Path(command.text), command.by)
        )

    def _asked(self, do: Callable[[], str | None]) -> str:
        try:
            return do() or ""
        except RefusedError as error:
            return str(error)

    def _abort(self, command: Command) -> str:
        why = command.text or "no reason given"
        self._executor.abort(f"aborted by {command.actor}: {why}")
        return ""

    def _ack(self, command: Command) -> str:
        if not command.text:
            return "ack wants the id of an interlock"
        return self._executor.parts.interlocks.acknowledge(command.text)

    def _note(self, command: Command) -> str:
        if not command.text:
            return "a note wants a text"
        self._run.event("note", f"{command.actor}: {command.text}")
        return ""


MOST_S = 4 * 3600.0
