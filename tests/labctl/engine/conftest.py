"""Short recipes on the bundled rig's twin: every byte through the real drivers, in virtual time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from labctl.capabilities import Reply, TaskKind
from labctl.check import check
from labctl.clock import VirtualClock
from labctl.errors import Severity
from labctl.faults import parse_fault
from labctl.loop import Inbox, run_virtual
from labctl.plan import plan
from labctl.recipe.load import recipe_of
from labctl.record import Record, open_run
from labctl.registry import build_world, fault_table
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import rig_of
from labctl.rig.opening import OpenRig
from labctl.session import conduct, memory_wires, meta_of, twin_spec
from labctl.source import compose, validate

ROOT = Path(__file__).parents[3]
RIG = (ROOT / "simulators/rig.yaml").read_text(encoding="utf-8")
HEAD = """
labctl: recipe/1
name: test
needs: {vessel: 50 mL, max_T: 100 C}
reagents:
  SQ: {is: squalane}
  S:  {is: TOP sulfide saturated, concentration: 2.17 mol/L}
park: {work: 25 C}
stages:
  work:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
"""
SHEET = """
labctl: batch/1
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
  S:  {lot: b, pump: pump_2, drawn: 1.0 mL}
accept: {thermal.air_exposure: {reason: nothing in it minds air, by: MT, date: 2025-11-03}}
"""


NS = 10**9


class Chooses:
    """A person who answers questions with given choices in turn, and does everything else."""

    def __init__(self, *choices):
        self.choices = list(choices)

    def __call__(self, simulated):
        self.simulated = simulated
        return self

    async def do(self, task):
        if task.kind is TaskKind.ANSWER and self.choices:
            return Reply(text=self.choices.pop(0))
        return await self.simulated.do(task)


class Ended:
    """What a test sees of a run: outcome, why, the record's rows, the world's truth."""

    def __init__(self, outcome, reason, interrupted, directory, world, trace, end_ns):
        self.outcome, self.reason, self.interrupted = outcome, reason, interrupted
        self.world, self.trace = world, trace
        self.truth, self.product = world.truth(end_ns), world.product(end_ns)
        self.directory = directory
        with open_run(directory) as run:
            self.meta, self.steps, self.doses = run.meta, run.steps, run.doses
            self.events, self.alarms, self.questions = run.events, run.alarms, run.questions
            self.intents, self.decisions = run.intents, run.decisions
            self.inputs = {row.id: run.inputs(row.id) for row in run.decisions}
            self.series = {name: run.series(name) for name in run.channels}
            self.digest = run.digest()
        self.faults = world.faults()

    def step(self, id_):
        return next(step for step in self.steps if step.id == id_)

    def codes(self):
        return [event.code for event in self.events]

    def dose(self, id_):
        return next(dose for dose in self.doses if dose.id == id_)

    def sent(self, port, after_ns=0):
        """What went out on a port: (ns, bytes)."""
        return [(t, data) for t, name, way, data in self.trace
                if name == port and way == ">" and t >= after_ns]  # fmt: skip


@pytest.fixture
def conducted(tmp_path):
    """`conducted(steps, rig=RIG, …)`: run steps after charging and stirring; see `Ended`."""

    def run(
        steps, *, head=HEAD, rig=RIG, sheet=SHEET, seed=1, during=None, operator=None,
        inline=True, watch=None, faults=(),
    ):  # fmt: skip
        loaded = compose(sheet, "sheet.yaml")
        planned = plan(
            recipe_of(compose(head + steps, "recipe.yaml"), {}),
            rig_of(compose(rig, "rig.yaml")),
            LoadedBatch(validate(Batch, loaded, ()), loaded),
        )
        assert not [f for f in check(planned) if f.severity is Severity.ERROR]
        befalls = [parse_fault(text, fault_table()) for text in faults]
        world = build_world(twin_spec(planned, seed, befalls))
        directory = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        inbox, trace, ended = Inbox(), [], []

        async def main(loop):
            loop.inline = inline
            clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
            world.follow(clock.now_ns)
            chosen = world.operator if operator is None else operator(world.operator)
            opened = OpenRig(planned.rig, chosen, memory_wires(planned.rig, world, clock), clock)
            for port in opened.ports.values():
                name = port.name
                port.trace = lambda t, way, data, name=name: trace.append((t, name, way, data))
            if during is not None:
                for at_s, action in during.items():
                    loop.call_at_ns(at_s * NS, action, world, inbox, opened)
            record = Record.create(directory, meta_of(planned, seed, "t"), durable=False)
            try:
                result = await conduct(planned, opened, clock, record, inbox, watch, world=world)
                ended.append(clock.now_ns())
                return result
            finally:
                record.close()

        outcome, reason, interrupted = run_virtual(main, inbox=inbox)
        return Ended(outcome, reason, interrupted, directory, world, trace, ended[0])

    return run


@pytest.fixture
def rig_text():
    return RIG


@pytest.fixture
def chooses():
    """`chooses("retry", "skip")` is an operator for `conducted`; see `Chooses`."""
    return Chooses
