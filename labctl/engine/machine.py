"""The run's states as one table; the only module that imports transitions.

The machine decides what is legal and nothing else: it is synchronous, its guards are pure, and what
must happen on entering a state is queued for the executor. `AsyncMachine` swallows cancellation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from transitions import Machine, MachineError


class State(StrEnum):
    """Where a run is; MQTT, record and screen use these words."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    HOLDING = "holding"
    HELD = "held"
    RESUMING = "resuming"
    WAITING = "waiting"
    STOPPING = "stopping"
    ABORTING = "aborting"
    SAFE = "safe"
    COMPLETE = "complete"
    FAULTED = "faulted"


class Trigger(StrEnum):
    """What may happen to a run: commands of people, and events of its own."""

    START = "start"
    STARTED = "started"
    FREEZE = "freeze"
    PAUSE = "pause"
    PARK = "park"
    FROZEN = "frozen"
    RESUME = "resume"
    RESUMED = "resumed"
    ASK = "ask"
    ANSWERED = "answered"
    SKIP = "skip"
    RETRY = "retry"
    EXTEND = "extend"
    FIXUP = "fixup"
    CHANGE = "change"
    FINISH = "finish"
    FINISHED = "finished"
    ABORT = "abort"
    SECURED = "secured"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: what leads from where to where."""

    trigger: Trigger
    source: State
    target: State


_LIVE = (
    State.STARTING, State.RUNNING, State.HOLDING, State.HELD, State.RESUMING, State.WAITING,
    State.STOPPING,
)  # fmt: skip


def _rows() -> tuple[Transition, ...]:
    t, s = Trigger, State
    rows = [
        (t.START, s.IDLE, s.STARTING),
        (t.STARTED, s.STARTING, s.RUNNING),
        (t.FREEZE, s.RUNNING, s.HOLDING),
        (t.FREEZE, s.WAITING, s.HOLDING),
        (t.PAUSE, s.RUNNING, s.HOLDING),
        (t.PARK, s.RUNNING, s.HOLDING),
        (t.PARK, s.WAITING, s.HOLDING),
        (t.PARK, s.HELD, s.HOLDING),
        (t.FREEZE, s.RESUMING, s.HOLDING),
        (t.FROZEN, s.HOLDING, s.HELD),
        (t.RESUME, s.HELD, s.RESUMING),
        (t.RESUMED, s.RESUMING, s.RUNNING),
        (t.ASK, s.RUNNING, s.WAITING),
        (t.ANSWERED, s.WAITING, s.RUNNING),
        (t.SKIP, s.RUNNING, s.RUNNING),
        (t.SKIP, s.HELD, s.RESUMING),
        (t.RETRY, s.RUNNING, s.RUNNING),
        (t.RETRY, s.HELD, s.RESUMING),
        (t.EXTEND, s.RUNNING, s.RUNNING),
        (t.FIXUP, s.HELD, s.RESUMING),
        *((t.CHANGE, state, state) for state in (s.RUNNING, s.WAITING, s.HELD)),
        (t.FINISH, s.RUNNING, s.STOPPING),
        (t.FINISHED, s.STOPPING, s.COMPLETE),
        (t.ABORT, s.IDLE, s.SAFE),
        *((t.ABORT, state, s.ABORTING) for state in _LIVE),
        (t.ABORT, s.ABORTING, s.ABORTING),
        *((t.ABORT, state, state) for state in (s.SAFE, s.COMPLETE, s.FAULTED)),
        (t.SECURED, s.ABORTING, s.SAFE),
        *((t.FAULT, state, s.FAULTED) for state in (s.IDLE, *_LIVE, s.ABORTING)),
    ]
    return tuple(Transition(*row) for row in rows)


TABLE: tuple[Transition, ...] = _rows()
FINAL = frozenset({State.SAFE, State.COMPLETE, State.FAULTED})


class RunMachine:
    """The state of one run; `entered` is told of every change, with what caused it."""

    def __init__(self, entered: Callable[[State, str], None]) -> None:
        self.cause = ""
        self._entered = entered
        self._machine = Machine(
            states=[state.value for state in State],
            initial=State.IDLE.value,
            auto_transitions=False,
            queued=True,
            transitions=[[row.trigger.value, row.source.value, row.target.value] for row in TABLE],
        )

    @property
    def state(self) -> State:
        """Where the run is."""
        return State(self._machine.state)

    def may(self, trigger: Trigger) -> bool:
        """Say whether something is legal now."""
        return any(row.trigger is trigger and row.source is self.state for row in TABLE)

    def fire(self, trigger: Trigger, cause: str = "") -> bool:
        """Let something happen; False where it is not legal now, and nothing changed."""
        before = self.state
        try:
            self._machine.trigger(trigger.value)
        except MachineError:
            return False
        if self.state is not before:
            self.cause = cause
            self._entered(self.state, cause)
        return True
