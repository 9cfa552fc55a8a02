"""What an abort costs, from the command to the last byte of the safe state, in virtual time.

A run on the bundled rig is aborted in a hold, each time at another moment. Virtual time takes no
time, so CPU time is all that an abort takes but for the pace of the lines. What the simulated
instruments reckon meanwhile is measured apart: on a real rig they do it for themselves.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.day import HEAD, SHEET
from labctl.clock import NS, Clock, VirtualClock
from labctl.engine.commands import Commands
from labctl.engine.executor import Executor
from labctl.loop import Inbox, VirtualLoop, run_virtual
from labctl.plan import Plan, plan
from labctl.recipe.load import recipe_of
from labctl.record import Record
from labctl.registry import build_world, bundled_rig
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import load_rig
from labctl.rig.opening import OpenRig
from labctl.session import conduct, memory_wires, meta_of, twin_spec
from labctl.source import compose, validate
from labctl.transport.capture import OUT
from labctl.transport.simulated import Answering
from labctl.twin import World

STEPS = """\
  gas:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - hold: {for: 600 s}
  heat:
  - hold: {for: 1 s}
"""
FIRST_S, APART_S = 60.0, 0.37


@dataclass
class Meter:
    """CPU seconds: at the abort and at the last byte, and of the instruments until each."""

    instruments_s: float = 0.0
    began: tuple[float, float] | None = None
    last: tuple[float, float] = (0.0, 0.0)

    def now(self) -> tuple[float, float]:
        """Return CPU s of this process, and of the instruments within."""
        return time.process_time(), self.instruments_s

    def sent(self) -> None:
        """Note that a byte went out."""
        self.last = self.now()


class Metered:
    """A world's line whose reckoning is metered."""

    def __init__(self, line: Answering, meter: Meter) -> None:
        self._line = line
        self._meter = meter

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Pass bytes on."""
        began_s = time.process_time()
        try:
            return self._line.feed(data, t_ns)
        finally:
            self._meter.instruments_s += time.process_time() - began_s


class MeteredWorld:
    """A world whose lines are metered."""

    def __init__(self, world: World, meter: Meter) -> None:
        self._world = world
        self._meter = meter

    def __getattr__(self, name: str) -> object:
        """Be the world in all else."""
        return getattr(self._world, name)

    def line(self, port: str) -> Answering:
        """Return what answers on a port."""
        return Metered(self._world.line(port), self._meter)


def planned() -> Plan:
    """Plan ten minutes of nothing on the bundled rig."""
    sheet = compose(SHEET, "sheet.yaml")
    batch = LoadedBatch(validate(Batch, sheet, ()), sheet)
    return plan(recipe_of(compose(HEAD + STEPS, "day.yaml"), {}), load_rig(bundled_rig()), batch)


def _one(plan_: Plan, at_s: float, directory: Path) -> Meter:
    meter, inbox = Meter(), Inbox()
    world = build_world(twin_spec(plan_, 1))

    async def main(loop: VirtualLoop) -> tuple[str, str, bool]:
        clock: Clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        world.follow(clock.now_ns)
        wires = memory_wires(plan_.rig, MeteredWorld(world, meter), clock)  # type: ignore[arg-type]
        rig = OpenRig(plan_.rig, world.operator, wires, clock)
        for port in rig.ports.values():
            port.trace = lambda _, way, __: meter.sent() if way == OUT else None
        record = Record.create(directory, meta_of(plan_, 1, "a"), durable=False)

        def attend(executor: Executor, _: Commands) -> None:
            def abort() -> None:
                meter.began = meter.now()
                executor.abort("a measured one")

            loop.call_at_ns(round(at_s * NS), abort)

        try:
            return await conduct(plan_, rig, clock, record, inbox, world=world, attend=attend)
        finally:
            record.close()

    outcome, reason, _ = run_virtual(main, inbox=inbox)
    if outcome != "safe" or meter.began is None:
        raise ValueError(f"the run ended {outcome} ({reason})")
    return meter


def aborted_ms(count: int) -> tuple[list[float], list[float]]:
    """Return CPU ms of so many aborts: with the instruments' own part, and without."""
    whole, own, plan_ = [], [], planned()
    for n in range(count):
        with tempfile.TemporaryDirectory() as folder:
            meter = _one(plan_, FIRST_S + n * APART_S, Path(folder) / "run")
        assert meter.began is not None  # noqa: S101 - _one says so
        whole_s, theirs_s = (b - a for a, b in zip(meter.began, meter.last, strict=True))
        whole.append(whole_s * 1e3)
        own.append((whole_s - theirs_s) * 1e3)
    return whole, own
