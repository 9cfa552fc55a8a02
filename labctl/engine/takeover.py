"""Taking over a run by hand, and giving it back: what differs from the plan is told and judged.

While a person has it the run is held, its clock stands, and interlocks, guard and record go on.
What is typed goes through the same bench as a step, so nothing opens or heats that no step could.
The plan is what was asked of the rig at the moment of taking over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import cast

from labctl.bench import Bench
from labctl.engine.doses import Given
from labctl.engine.executor import Executor
from labctl.engine.machine import State
from labctl.engine.manual import Hands
from labctl.engine.verification import highest_setpoint_c
from labctl.errors import LabctlError, UsageError
from labctl.record import DoseRow
from labctl.units import parse, show

SAME_K, SAME_RPM = 0.5, 1.0
VALVES = ("n2", "vac_rough", "vac_fine")
SWITCHES = ("fine", "jack", "fan", "shutter")
NOT_GIVEN_BACK = frozenset({"stop", "quit"})


@dataclass(frozen=True, slots=True)
class Meant:
    """What the plan had asked of the rig: °C with K/min (None: no heat), rpm, outputs by name."""

    heat: tuple[float, float] | None
    stirring_rpm: float
    outputs: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Differs:
    """One thing that is not as the plan had it; `kind` says whether labctl can put it back."""

    kind: str
    text: str


class TakeOver:
    """Lets one person at a time work a held run by hand."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._run = executor.parts.run
        self._holding = executor.holding
        self._holding.taken_back = self._lost
        self._meant: Meant | None = None
        self._goes_on = False
        self._done: list[str] = []
        self._numbers = count(1)
        self._busy: asyncio.Task[None] | None = None

    def take(self, actor: str) -> str:
        """Hold the run and hand it to a person; return why not, or nothing."""
        holding, state = self._holding, self._run.machine.state
        if holding.taken:
            return f"{holding.taken} has taken over already"
        if holding.asks:
            return "something is asked about why the run stands: answer that first"
        self._goes_on = state is not State.HELD
        meant = self._now()
        if self._goes_on:
            reason = holding.hold("freeze", actor)
            if reason:
                return reason.replace("freeze", "take", 1)
        self._meant, self._done = meant, []
        holding.taken = actor
        self._run.deviation(f"taken over by {actor}")
        return ""

    def do(self, line: str, actor: str) -> str:
        """Begin a command of the console by hand; return why not, or nothing.

        What comes of it is an event, and a deviation.
        """
        words = line.split()
        if not words:
            return "do what? `labctl manual` and the docs list what can be done by hand"
        why = self._not_in_hand(actor) or self._not_by_hand(words[0])
        if why:
            return why
        self._begin(self._by_hand(line, actor), line)
        return ""

    def give(self, how: str, actor: str, by: Sequence[str]) -> str:
        """Give the run back; return why not, or nothing.

        Plain, only where nothing differs. `restore` has labctl put back what it can; `accept` goes
        on with what differs, signed, but never with another gas than the plan's.
        """
        why = self._not_in_hand(actor)
        if why:
            return why
        differs = self.differs()
        said = "; ".join(row.text for row in differs)
        if how == "restore":
            return self._restored(differs, actor)
        if how == "accept":
            return self._accepted(differs, actor, by)
        if how:
            return f"give {how}? write `give`, `give restore` or `give accept --by NAME`"
        if differs:
            return f"not as the plan has it: {said}; put it back, or give {_ways(differs)}"
        return self._back(actor)

    def differs(self) -> list[Differs]:
        """Return what is not as the plan has it, in words."""
        meant, now = self._meant, self._now()
        if meant is None:
            return []
        rows = [*_heat(meant, now), *_stirring(meant, now)]
        for name in (*VALVES, *SWITCHES):
            was, is_ = meant.outputs.get(name, False), now.outputs.get(name, False)
            if was is not is_:
                kind = "gas" if name in VALVES else "set"
                rows.append(Differs(kind, f"{name} is {_open(name, is_)}, not {_open(name, was)}"))
        return [*rows, *(Differs("done", text) for text in self._done)]

    def _now(self) -> Meant:
        run = self._run
        return Meant(run.heat.asked, run.stirring.asked_rpm, dict(run.commanded))

    def _not_in_hand(self, actor: str) -> str:
        holding, state = self._holding, self._run.machine.state
        if not holding.taken:
            return "nobody has taken over: `take` first"
        if holding.taken != actor:
            return f"{holding.taken} has taken over, not {actor}"
        if state is not State.HELD:
            return f"the run is {state.value}; say it again when it is held"
        if self._busy is not None and not self._busy.done():
            return "the last command is not done yet"
        return ""

    @staticmethod
    def _not_by_hand(verb: str) -> str:
        if verb == "jog":
            return "a held run gives no dose by pump: give it back, then `fixup` an inject step"
        if verb in NOT_GIVEN_BACK:
            return f"{verb} is a word of the console: `give` the run back, or `abort` it"
        return ""

    def _begin(self, job: Coroutine[object, object, None], name: str) -> None:
        self._holding.spoken()
        self._busy = self._holding.begin(job, f"by hand: {name}")

    async def _by_hand(self, line: str, actor: str) -> None:
        try:
            said = await self._typed(line)
        except LabctlError as error:
            self._run.event("by_hand.refused", f"{line}: {error}", level="warning")
            return
        self._run.deviation(f"by hand, {actor}: {said}")

    async def _typed(self, line: str) -> str:
        verb, _, rest = line.partition(" ")
        if verb == "added":
            return self._added(rest)
        bench = cast("Bench", self._executor.bench)
        said = await Hands(bench, self._numbers, high_c=highest_setpoint_c(self._run.plan)).do(line)
        if verb == "pump":
            self._done.append(f"the rough pump was told by hand: {said}")
        return said

    def _added(self, text: str) -> str:
        """Enter what a person has added by hand: `S 0.3 mL`.

        Raises:
            UsageError: no such reagent, or no volume above 0.
            UnitError: a volume without its unit.
        """
        name, _, volume = text.partition(" ")
        loads = self._run.plan.scene.loads
        if name not in loads:
            raise UsageError(f"added what? write it as `added S 0.3 mL`; known: {', '.join(loads)}")
        volume_ml = parse(volume, "volume").value
        if volume_ml <= 0:
            raise UsageError("what was added has a volume above 0")
        run = self._run
        known = {row.id for row, _, _ in self._executor.parts.doses.ledger()}
        dose = next(id_ for n in count(1) if (id_ := f"added.{n}") not in known)
        now_ns = run.clock.now_ns()
        at_c = run.signals.value("flask.T")
        row = DoseRow(dose, name, "hand", "injection", "flask", "done", now_ns, end_ns=now_ns,
                      flask_c=at_c, commanded_ml=volume_ml, delivered_ml=volume_ml)  # fmt: skip
        run.record.dose(row)
        self._executor.parts.doses.take_over(Given(row, volume_ml, volume_ml))
        said = f"{show(volume_ml, 'volume')} of {name} was added by hand"
        self._done.append(said)
        return said

    def _restored(self, differs: list[Differs], actor: str) -> str:
        left = [row.text for row in differs if row.kind == "done"]
        if left:
            return f"this cannot be put back: {'; '.join(left)}; give accept --by NAME"
        self._begin(self._restore(actor), "give restore")
        return ""

    async def _restore(self, actor: str) -> None:
        """Put everything back as the plan had it, shutting before opening, then give it back."""
        run, meant = self._run, cast("Meant", self._meant)
        bench = cast("Bench", self._executor.bench)
        try:
            for name in sorted(VALVES, key=lambda name: meant.outputs.get(name, False)):
                await bench.valve(name, open_=meant.outputs.get(name, False))
            for role in SWITCHES:
                if meant.outputs.get(role) is not run.commanded.get(role):
                    await bench.switch(role, on=meant.outputs.get(role, False))
            if run.stirring.asked_rpm != meant.stirring_rpm:
                await run.stirring.stir(meant.stirring_rpm)
            run.heat.recall(meant.heat)
            if meant.heat is None:
                await run.heat.off()
        except LabctlError as error:
            run.event("give.refused", f"not given back: {error}", level="warning")
            return
        why = self._back(actor)
        if why:
            run.event("give.refused", f"not given back: {why}", level="warning")

    def _accepted(self, differs: list[Differs], actor: str, by: Sequence[str]) -> str:
        gas = [row.text for row in differs if row.kind == "gas"]
        if gas:
            return f"the gas is not as the plan has it: {'; '.join(gas)}; put it back, or restore"
        if not any(name.strip() for name in by):
            return "what differs must be signed for: name who with --by"
        now, meant = self._now(), self._meant
        why = self._back(actor)
        if why:
            return why
        if differs:
            text = "; ".join(row.text for row in differs)
            self._run.deviation(f"goes on with: {text}; signed: {', '.join(by)}")
        if meant is not None and now.heat != meant.heat:
            self._holding.forget_temperature()
            if now.heat is not None:
                self._executor.parts.allow(now.heat[0])
        return ""

    def _back(self, actor: str) -> str:
        """Give the run back, and let it go on if it was taken while it went."""
        holding = self._holding
        holding.taken = ""
        why = holding.stays("resume") if self._goes_on else ""
        if why:
            holding.taken = actor
            return why
        self._meant = None
        self._run.deviation(f"given back by {actor}")
        return holding.release("resume", actor) if self._goes_on else ""

    def _lost(self) -> bool:
        """Hear that labctl parks the run: the plan counts again. Say whether its gas differed."""
        differs, meant = self.differs(), self._meant
        if self._busy is not None:
            self._busy.cancel()
        if meant is not None:
            self._run.heat.recall(meant.heat)
        self._meant = None
        told = "; ".join(row.text for row in differs) or "nothing differed"
        self._run.deviation(f"taken back by labctl to park: {told}")
        return any(row.kind == "gas" for row in differs)


def _heat(meant: Meant, now: Meant) -> list[Differs]:
    if meant.heat is None or now.heat is None:
        same = meant.heat is now.heat
    else:
        same = abs(meant.heat[0] - now.heat[0]) <= SAME_K
    if same:
        return []
    return [Differs("set", f"the heater is {_setpoint(now)}, not {_setpoint(meant)}")]


def _setpoint(meant: Meant) -> str:
    return "off" if meant.heat is None else f"set to {show(meant.heat[0], 'temperature')}"


def _stirring(meant: Meant, now: Meant) -> list[Differs]:
    if abs(meant.stirring_rpm - now.stirring_rpm) <= SAME_RPM:
        return []
    was, is_ = (show(rpm, "rotation") for rpm in (meant.stirring_rpm, now.stirring_rpm))
    return [Differs("set", f"the bar turns at {is_}, not {was}")]


def _open(name: str, state: bool) -> str:
    words = ("open", "shut") if name in VALVES else ("on", "off")
    return words[0] if state else words[1]


def _ways(differs: list[Differs]) -> str:
    kinds = {row.kind for row in differs}
    ways = [] if "done" in kinds else ["`restore`"]
    return " or ".join(ways if "gas" in kinds else [*ways, "`accept --by NAME`"])
