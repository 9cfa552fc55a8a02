"""A run as on a rig, in virtual time, on a machine whose disk fills up or whose clock is set."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3

import pytest

from labctl.clock import NS, VirtualClock
from labctl.engine.commands import Command
from labctl.errors import RecordError
from labctl.loop import Inbox, run_virtual
from labctl.plan import plan
from labctl.recipe.load import recipe_of
from labctl.record import Record, open_run
from labctl.registry import build_world
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import rig_of
from labctl.rig.opening import OpenRig
from labctl.session import conduct, memory_wires, meta_of, twin_spec
from labctl.source import compose, validate
from tests.labctl.engine.conftest import HEAD, RIG, SHEET

STEPS = """
  - ramp: {to: 40 C, rate: 15 K/min, within: 4 K}
  - prime: {id: p, reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}
  - inject: {id: next, reagent: S, volume: 0.1 mL, over: 10 s}
"""
FULL = "database or disk is full"


class Clock(VirtualClock):
    """Virtual time on a machine whose clock can be set."""

    by_s = 0.0

    def set_by_s(self):
        return self.by_s


class Machine:
    """What a run stands on, for a test to spoil: its record's disk and its clock."""

    def __init__(self, record, clock, world):
        self.record, self.clock, self.world = record, clock, world
        self.sent = []
        self._write = record._sink._write

    def fill_the_disk(self, for_good=False):
        """Let nothing be written while the reserve is there, or ever again."""
        sink = self.record._sink

        def write(statements, readings):
            if for_good or sink._reserve.exists():
                raise sqlite3.OperationalError(FULL)
            self._write(statements, readings)

        sink._write = write


@pytest.fixture
def on_a_rig(tmp_path):
    """Run as on real instruments, with `during` = {s: what to do to the machine}."""

    def run(during, commands, name="run"):
        sheet = compose(SHEET, "sheet.yaml")
        planned = plan(
            recipe_of(compose(HEAD + STEPS, "recipe.yaml"), {}),
            rig_of(compose(RIG, "rig.yaml")),
            LoadedBatch(validate(Batch, sheet, ()), sheet),
        )
        world, inbox, seen = build_world(twin_spec(planned, 1)), Inbox(), []

        async def main(loop):
            clock = Clock(loop, dt.datetime(2025, 11, 3, 9))
            world.follow(clock.now_ns)
            wires = memory_wires(planned.rig, world, clock)
            rig = OpenRig(planned.rig, world.operator, wires, clock)
            record = Record.create(tmp_path / name, meta_of(planned, 1, "t"), durable=False)
            record._sink._reserve = tmp_path / "reserve"
            record._sink._reserve.touch()
            machine = Machine(record, clock, world)
            seen.append(machine)
            rig.ports["pumps"].trace = lambda t, way, data: machine.sent.append((t, way, data))
            for at_s, spoil in during.items():
                loop.call_at_ns(at_s * NS, spoil, machine)
            for at_s in range(1, 900):  # as the record's thread does in real time
                loop.call_at_ns(at_s * NS, record._sink._commit)
            for at_s, verb in commands.items():
                loop.call_at_ns(at_s * NS, inbox.post, Command(verb, "MT", "the disk"))
            try:
                return await conduct(planned, rig, clock, record, inbox)
            finally:
                machine.truth = world.truth(clock.now_ns())
                with contextlib.suppress(RecordError):  # said by the process that conducts
                    record.close()

        outcome, reason, _ = run_virtual(main, inbox=inbox)
        with open_run(tmp_path / name) as found:
            return outcome, reason, found.events, found.anchors, seen[0]

    return run


def test_a_full_disk_holds_the_run_at_once_gives_no_dose_and_its_end_is_on_record(on_a_rig):
    full_s, abort_s = 150, 210
    outcome, _, events, _, machine = on_a_rig({full_s: Machine.fill_the_disk}, {abort_s: "abort"})
    assert outcome == "safe"
    told = {event.code: event for event in events}
    assert "make room, then resume" in told["record.full"].message
    assert told["frozen"].t_ns - full_s * NS <= 2 * NS
    assert told["aborting"].message == "aborted by MT: the disk"
    after = [data for t, way, data in machine.sent if way == ">" and t > told["frozen"].t_ns + NS]
    assert after, "the pumps are still asked"
    assert not [data for data in after if b"RUN" in data]
    assert 0.0 < machine.truth["pump_2.delivered_ml"] < 0.3, "it was in the middle of a dose"
    assert machine.truth["heater_w"] == 0.0


def test_a_record_that_cannot_be_written_at_all_ends_the_run_in_the_safe_state(on_a_rig):
    outcome, reason, _, _, machine = on_a_rig({150: lambda m: m.fill_the_disk(for_good=True)}, {})
    assert outcome == "safe"
    assert reason == f"the run's record cannot be written: {FULL}"
    assert machine.truth["heater_w"] == 0.0
    assert not [d for t, way, d in machine.sent if way == ">" and t > 153 * NS and b"RUN" in d]


def test_a_clock_that_is_set_is_noted_and_changes_no_time_of_the_run(on_a_rig):
    def set_back(machine):
        machine.clock.by_s = -3600.0

    _, _, plain, _, _ = on_a_rig({}, {}, "plain")
    assert "clock.set" not in [event.code for event in plain]
    outcome, _, events, anchors, _ = on_a_rig({30: set_back}, {})
    assert outcome == "complete"
    (noted,) = [event for event in events if event.code == "clock.set"]
    assert noted.message.startswith("the machine's clock was set back by 1 h")
    assert 30 <= noted.t_ns / NS <= 32
    assert [anchor.t_ns for anchor in anchors] == [0, noted.t_ns]
    others = [(event.t_ns, event.code) for event in events if event.code != "clock.set"]
    assert others == [(event.t_ns, event.code) for event in plain]
