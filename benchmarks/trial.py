"""One case of the campaign: a short day on the twin, cut off and resumed, judged all the while."""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.day import planned_day
from benchmarks.invariants import NS, Broken, Findings
from benchmarks.lives import Agrees, DeadError, JumpingClock, Process, StepGuard, severed
from benchmarks.oracle import Oracle
from benchmarks.oracle_record import Told, judge
from benchmarks.oracle_wire import Wire
from benchmarks.swarm import Case, Said
from labctl.clock import VirtualClock
from labctl.engine.commands import Command
from labctl.engine.executor import Executor
from labctl.engine.past import Past, past_of
from labctl.engine.run import Run
from labctl.errors import LabctlError
from labctl.faults import parse_fault
from labctl.loop import Inbox, VirtualLoop, run_virtual
from labctl.readings import Event
from labctl.record import Record, open_run
from labctl.registry import build_world, fault_table
from labctl.rig.opening import OpenRig
from labctl.session import conduct, memory_wires, meta_of, twin_spec
from simulators.world import RigWorld

LATEST_S, AFTER_S = 3 * 3600, 10
Changed = Callable[[Run, Executor], None]


@dataclass
class Ran:
    """One case: how it ended, what was broken, which faults acted and when each was noticed."""

    case: Case
    outcome: str
    reason: str
    broken: list[Broken] = field(default_factory=list)
    acted: tuple[str, ...] = ()
    noticed: tuple[tuple[str, float], ...] = ()
    lives: int = 1
    rows: int = 0
    digest: str = ""

    @property
    def failed(self) -> bool:
        """Whether an invariant did not hold, or labctl itself failed."""
        return bool(self.broken) or self.outcome == "crashed"


def run_case(case: Case, change: Changed | None = None, *, jump: bool = False) -> Ran:
    """Run one case.

    `change` may weaken every life of the run before it starts, to see that it is noticed; with
    `jump` the wall clock jumps an hour on the way.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Trial(case, Path(folder) / "run", change, jump=jump).ran()
        except LabctlError as error:
            return Ran(case, "crashed", repr(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the campaign wants to know
            return Ran(case, "crashed", repr(error))


class Trial:
    """One case while it runs."""

    def __init__(
        self, case: Case, directory: Path, change: Changed | None = None, *, jump: bool = False
    ) -> None:
        self.case = case
        self._plan = planned_day(case.day)
        befalls = [parse_fault(text, fault_table()) for text in case.faults]
        world = build_world(twin_spec(self._plan, case.seed, befalls))
        if not isinstance(world, RigWorld):
            raise LabctlError("the campaign judges the bundled world's truth")
        self._world = world
        self._directory = directory
        self._change = change
        self._jump = jump
        self._inbox = Inbox()
        self._findings = Findings()
        self._guards: list[StepGuard] = []
        self._process: Process | None = None
        self._oracle = Oracle(world, case.day, self._findings, self._beat_age_s)
        self._wire = Wire(self._findings, lambda: [f.text for f in world.faults() if f.acted])
        self._aborts_ns: list[int] = []
        self._endings_ns: list[int] = []
        self._warned_ns: list[int] = []
        self._lives = 0

    def ran(self) -> Ran:
        """Run it to its end, and judge what it left."""
        outcome, reason, end_ns = run_virtual(self._main, inbox=self._inbox)
        faults = self._world.faults()
        told = Told(
            self.case.day,
            end_ns,
            self._oracle.seen.stayed_s,
            self._lives,
            self._wire.runs,
            self._aborts_ns,
            self._endings_ns,
            faults,
        )
        digest = judge(self._directory, told, self._findings)
        acted = tuple(fault.text for fault in faults if fault.acted)
        rows = 0 if self._process is None else self._process.rows
        noticed = tuple(
            (fault.text, (min(after) - fault.began_ns) / NS)
            for fault in faults
            if fault.acted
            and fault.began_ns is not None
            and (after := [t for t in self._warned_ns if t >= fault.began_ns])
        )
        found = self._findings.all()
        return Ran(self.case, outcome, reason, found, acted, noticed, self._lives, rows, digest)

    async def _main(self, loop: VirtualLoop) -> tuple[str, str, int]:
        clock = (JumpingClock if self._jump else VirtualClock)(loop, dt.datetime(2025, 11, 3, 9))
        loop.set_exception_handler(_unless_dead)
        self._world.follow(clock.now_ns)
        self._world.contactor(0, closed=False)
        self._each_second(loop, 1)
        for said in (*self.case.said, Said(LATEST_S, "abort", "held for hours")):
            loop.call_at_ns(said.at_s * NS, self._say, said, clock)
        for row in self.case.turned:
            at_ns = row.at_s * NS
            loop.call_at_ns(at_ns, self._world.put, row.thing, row.value, at_ns)
        outcome, reason, past = "", "", None
        for cut in [*self.case.cuts, None]:
            outcome, reason = await self._life(clock, cut, past)
            if outcome:
                break
            await clock.sleep_until(clock.now_ns() + self.case.gap_s * NS)
            with open_run(self._directory) as run:
                past = past_of(run)
                if len(run.intents) < self._process_intents():
                    self._findings.add(23, clock.now_ns(), "an acknowledged intent is lost")
        self._oracle.look(clock.now_ns())
        self._oracle.end(clock.now_ns())
        self._wire.close(end_ns := clock.now_ns())
        await clock.sleep_until(end_ns + AFTER_S * NS)
        self._oracle.rest(clock.now_ns())
        return outcome, reason, end_ns

    async def _life(
        self, clock: VirtualClock, cut: int | None, past: Past | None
    ) -> tuple[str, str]:
        world, plan = self._world, self._plan
        meta = meta_of(plan, self.case.seed, "c")
        record = (
            Record.create(self._directory, meta, durable=False)
            if past is None
            else Record.reopen(self._directory, durable=False)
        )
        process = self._process = Process(record, cut)
        guard = StepGuard(world, clock, process)
        self._guards.append(guard)
        person = (
            world.operator
            if past is None
            else Agrees(world.operator, lambda: self._wire.agreed(clock.now_ns()))
        )
        wires = memory_wires(plan.rig, world, clock)
        rig = OpenRig(plan.rig, person, lambda n, e: severed(wires(n, e), process), clock)
        self._lives += 1
        self._wire.begin(resumed=past is not None)
        for port in rig.ports.values():
            port.trace = self._traced(port.name, process)
        conducting = asyncio.ensure_future(
            conduct(
                plan,
                rig,
                clock,
                record,
                self._inbox,
                self._attach,
                world=world,
                past=past,
                guarding=guard,
                attend=self._attend,
            )
        )
        process.end = conducting.cancel
        await asyncio.wait({conducting})
        self._oracle.detach()
        process.leave()
        if not process.alive:
            if not conducting.cancelled():
                conducting.exception()
            return "", ""
        outcome, reason, _ = conducting.result()
        return outcome, reason

    def _traced(self, port: str, process: Process) -> Callable[[int, str, bytes], None]:
        saw = self._wire.saw

        def trace(t_ns: int, way: str, data: bytes) -> None:
            if process.alive:
                saw(port, t_ns, way, data)

        return trace

    def _attach(self, run: Run) -> None:
        self._oracle.attach(run)
        run.bus.subscribe(self._heard)

    def _attend(self, executor: Executor, _commands: object) -> None:
        if self._change is not None:
            self._change(executor.parts.run, executor)

    def _heard(self, message: object) -> None:
        if not isinstance(message, Event):
            return
        if message.code == "aborting":
            self._wire.ended(message.t_ns)
            self._endings_ns.append(message.t_ns)
        if message.level in {"warning", "error"} and not message.code.startswith("fault."):
            self._warned_ns.append(message.t_ns)

    def _say(self, said: Said, clock: VirtualClock) -> None:
        process = self._process
        if process is None or not process.alive or process.left:
            return
        if said.verb == "abort" and said.at_s < LATEST_S:
            self._aborts_ns.append(clock.now_ns())
        self._inbox.post(Command(said.verb, "MT", said.text))

    def _each_second(self, loop: VirtualLoop, at_s: int) -> None:
        def look() -> None:
            process = self._process
            if process is not None and not process.alive:
                self._oracle.detach()
            self._oracle.look(at_s * NS)
            self._each_second(loop, at_s + 1)

        loop.call_at_ns(at_s * NS, look)

    def _beat_age_s(self, t_ns: int) -> float:
        return min((guard.beat_age_s(t_ns) for guard in self._guards), default=1e9)

    def _process_intents(self) -> int:
        return 0 if self._process is None else self._process.intents


def _unless_dead(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Tell of what went wrong in a task, unless its process was dead by then."""
    if not isinstance(context.get("exception"), DeadError):
        loop.default_exception_handler(context)
