"""The ways to safety as data, and what runs them: in order, each bounded, going on past failures.

Heat goes first because it acts slowest; pumps stop before pressures change; vacuum is shut, and
seen to be shut, before inert gas comes in. No air, no water on hot glass.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from labctl.engine.run import Run
from labctl.errors import LabctlError

LET_GO_S = 2.0
BY_HAND_S = 120.0


@dataclass(frozen=True, slots=True)
class Action:
    """One action: its key in the table of who does it, what it does in words, its bound in s."""

    key: str
    words: str
    timeout_s: float = 10.0


HEATER = Action("heater", "heater off")
CONTACTOR = Action("contactor", "the heater's contactor told to open")
PUMPS = Action("pumps", "syringe pumps stopped")
LASER = Action("laser", "laser off")
STIR = Action("stir", "stirring goes on")
VACUUM = Action("vacuum", "both vacuum valves shut")
RISE = Action("rise", "pressure looked at behind the shut valves", 15.0)
INERT = Action("inert", "inert gas on", 45.0)
FLOOD = Action("flood", "inert gas on at once")
SHUT_IN = Action("shut_in", "the flask shut in: no inert gas comes, and none of the bubbler's oil")
FLOW = Action("flow", "gas flows left open or shut, as the rig file rests them")
MANTLE = Action("mantle", "mantle down, fan on")
ROUGH = Action("rough", "rough pump stopped")
FINE = Action("fine", "fine pump stopped behind its shut valve")
WARM = Action("warm", "warm line off")
ALARM = Action("alarm", "beacon on")

ABORT: tuple[Action, ...] = (
    HEATER, CONTACTOR, PUMPS, LASER, STIR, VACUUM, RISE, INERT, FLOW, MANTLE, ROUGH, FINE, WARM,
    ALARM,
)  # fmt: skip
LEAK: tuple[Action, ...] = tuple(
    FLOOD if action is INERT else action for action in ABORT if action is not RISE
)
N2_LOSS: tuple[Action, ...] = tuple(
    SHUT_IN if action is INERT else action for action in ABORT if action not in {RISE, FLOW}
)
COMPLETE: tuple[Action, ...] = (HEATER, PUMPS, LASER, VACUUM, FLOW, ROUGH, FINE, WARM)
SUCK_BACK: tuple[Action, ...] = (INERT,)
"""Besides, when a run ends over a warm flask: gas flows until it is cold, or it draws oil in."""
STILL: tuple[Action, ...] = (HEATER, PUMPS)
"""What is said to a rig before it is looked at."""

KEEP = Action("keep", "the temperature kept")
PAUSE = Action("pause", "doses stopped")
BLANKET = Action("blanket", "the vacuum shut, inert gas on", 600.0)
LET_DOWN = Action("let_down", "the flask let down to its park temperature")

FREEZE: tuple[Action, ...] = (KEEP, PAUSE)
PARK: tuple[Action, ...] = (BLANKET, STIR, LET_DOWN)

WAYS: Mapping[str, tuple[Action, ...]] = {"abort": ABORT, "leak": LEAK, "n2_loss": N2_LOSS}

Do = Callable[[], Awaitable[None]]


class Sequencer:
    """Runs actions one after the other; what is wanted meanwhile is added, never begun anew.

    `failed` says what was not confirmed; `faults` what hung on past its bound or broke, which no
    instrument does: labctl itself is at fault then.
    """

    def __init__(self, run: Run, code: str, do: Mapping[str, Do]) -> None:
        self.failed: list[str] = []
        self.faults: list[str] = []
        self.left_behind: list[asyncio.Task[None]] = []
        self._run = run
        self._code = code
        self._do = do
        self._wanted: deque[Action] = deque()
        self._known: set[str] = set()
        self._running = False

    def want(self, sequence: Sequence[Action]) -> None:
        """Add what a sequence has that is neither done nor waiting."""
        for action in sequence:
            if action.key not in self._known:
                self._known.add(action.key)
                self._wanted.append(action)

    async def reach(self, sequence: Sequence[Action] = ()) -> list[str]:
        """Do all that is wanted; return what failed, in words.

        Called while it runs already, it only adds to what is wanted.
        """
        self.want(sequence)
        if self._running:
            return []
        self._running = True
        try:
            while self._wanted:
                await self._one(self._wanted.popleft())
        finally:
            self._running = False
        return self.failed

    def done(self, key: str) -> bool:
        """Say whether an action is done, or was tried."""
        return key in self._known and all(action.key != key for action in self._wanted)

    async def _one(self, action: Action) -> None:
        task = asyncio.ensure_future(self._do[action.key]())
        try:
            await asyncio.wait({task}, timeout=action.timeout_s)
        finally:
            hung = not task.done()
            if hung:
                task.cancel()
                await asyncio.wait({task}, timeout=LET_GO_S)
        if not task.done():
            self.left_behind.append(task)
            self._fail(f"{action.words}: it hangs and does not let go", fault=True)
        elif hung or task.cancelled():
            self._fail(f"{action.words}: not done within {action.timeout_s:g} s")
        elif (error := task.exception()) is not None:
            broken = not isinstance(error, LabctlError | TimeoutError)
            said = repr(error) if broken else str(error) or "no answer in time"
            self._fail(f"{action.words}: {said}", fault=broken)
        else:
            self._run.event(self._code, action.words)

    def _fail(self, said: str, *, fault: bool = False) -> None:
        self.failed.append(said)
        if fault:
            self.faults.append(said)
        self._run.event(f"{self._code}.failed", said, level="error")
