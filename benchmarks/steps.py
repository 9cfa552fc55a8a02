"""What labctl's own part of a step, an intent and an abort costs, beside its peers.

`python -m benchmarks.steps [--rounds 11]`, all in one run, taking turns:

- a step: one transition of the run's machine, the inhibits at the wire, a soft set, a soft read,
  the 40 rules of `benchmarks.interlocks` on what was read, one row queued; CPU time, the record's
  thread included. The peer is a step of Bluesky's RunEngine (set, wait, create, read, save) with
  an ophyd SynAxis, in an environment of its own that is made here.
- an awaited durable intent, against write and fdatasync, in the same directory, of what its commit
  puts on the disk (a page of SQLite's log) and of the row alone; wall time, median.
- an abort, from the command to the last byte of the safe state, on the bundled rig's instruments
  over the memory transport, in CPU time with the instruments' own part taken out and left in; the
  peer is the RunEngine's pause and abort of a plan that sleeps, in CPU time too.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.aborts import aborted_ms
from benchmarks.interlocks import CHANNELS, Facts, rules
from labctl.clock import WallClock
from labctl.engine.interlocks import Interlocks
from labctl.engine.machine import RunMachine, Trigger
from labctl.engine.signals import Signals
from labctl.readings import Channel, Quality, Reading
from labctl.record import Record, RunMeta
from labctl.rules import Interlock
from tests.foreign import python_with

PEER = ("bluesky==1.15.1", "ophyd==1.11.2")
STEPS, INTENTS = 400, 100
PAGE_BYTES, ROW_BYTES = 4120, 128
STEP_US, STEP_PART, INTENT_PART, ABORT_MS = 60.0, 0.08, 1.8, 5.0
OUTPUTS = 7
RUN_ENGINE = """
import logging, statistics, sys, threading, time
from bluesky import Msg, RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import SynAxis

logging.disable(logging.CRITICAL)
told, sys.stdout = sys.stdout, sys.stderr
engine, axis = RunEngine({}), SynAxis(name="axis")

def steps(count):
    yield Msg("open_run")
    for n in range(count):
        yield Msg("set", axis, n % 7, group="g")
        yield Msg("wait", None, group="g")
        yield Msg("create", name="primary")
        yield Msg("read", axis)
        yield Msg("save")
    yield Msg("close_run")

def sleeps():
    yield Msg("open_run")
    yield Msg("sleep", None, 60)
    yield Msg("close_run")

def stopped_ms():
    began = []
    def ask():
        began.append(time.process_time())
        engine.request_pause()
    timer = threading.Timer(0.05, ask)
    timer.start()
    try:
        engine(sleeps())
    except RunEngineInterrupted:
        engine.abort()
    return (time.process_time() - began[0]) * 1e3

for line in sys.stdin:
    what, count = line.split()
    if what == "steps":
        cpu = time.process_time()
        engine(steps(1))
        empty = time.process_time() - cpu
        cpu = time.process_time()
        engine(steps(int(count)))
        print((time.process_time() - cpu - empty) / (int(count) - 1) * 1e6, file=told, flush=True)
    else:
        print(statistics.median(stopped_ms() for _ in range(int(count))), file=told, flush=True)
"""


class RunEngine:
    """Bluesky in a process of its own; says what it costs each time it is asked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            [python_with(*PEER), "-c", RUN_ENGINE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def asked(self, what: str, count: int) -> float:
        """Return µs CPU of one of so many `steps`, or the median ms of so many `aborts`."""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018
        self._process.stdin.write(f"{what} {count}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


class Soft:
    """An instrument without a wire, as SynAxis is: takes a value, gives it back."""

    def __init__(self) -> None:
        self._value = 0.0

    async def set(self, value: float) -> None:
        """Take a value, a turn of the loop later."""
        await asyncio.sleep(0)
        self._value = value

    async def read(self) -> float:
        """Give it, a turn of the loop later."""
        await asyncio.sleep(0)
        return self._value


@dataclass
class Stepping:
    """The parts of the engine that a step goes through."""

    record: Record
    clock: WallClock

    def __post_init__(self) -> None:
        """Put 40 rules over 40 channels, three inhibits before each of seven outputs."""
        self._machine = RunMachine(lambda state, _: self.record.state(state.value))
        self._machine.fire(Trigger.START)
        self._machine.fire(Trigger.STARTED)
        self._signals = Signals(self.clock)
        self._locks = Interlocks(
            self._signals, Facts(), self.clock, lambda *_: None, lambda *_: None
        )
        self._locks.add(_gated(), {})
        self._names = [f"d.c{n}" for n in range(CHANNELS)]
        self._judged = [self._locks.rules_on([name]) for name in self._names]
        self.record.channels([Channel(name, "temperature") for name in self._names])
        self._soft = Soft()

    async def run(self, count: int) -> None:
        """Take so many steps."""
        for n in range(count):
            which = n % CHANNELS
            self._machine.fire(Trigger.ANSWERED if n % 2 else Trigger.ASK)
            await asyncio.create_task(self._one(which, f"out_{n % OUTPUTS}"))

    def fresh(self) -> None:
        """Let every channel have been read just now."""
        now_ns = self.clock.now_ns()
        for name in self._names:
            self._signals.latest[name] = Reading(name, 100.0, Quality.GOOD, now_ns)

    async def _one(self, which: int, output: str) -> None:
        gate = await self._locks.permit(output)
        if gate is not None:
            gate()
        await self._soft.set(100.0)
        name = self._names[which]
        reading = Reading(name, await self._soft.read(), Quality.GOOD, self.clock.now_ns())
        self._signals.latest[name] = reading
        self._locks.sampled(self._judged[which])
        self.record.append(reading)


def _gated() -> Iterator[Interlock]:
    for n, rule in enumerate(rules()):
        gates = (f"out_{n // 2 % OUTPUTS}",) if rule.gates else ()
        yield rule.model_copy(update={"gates": gates})


def _record(folder: Path) -> Record:
    meta = RunMeta("r", "n", "p", "t", 1, False, dt.datetime(2025, 11, 3, 9).isoformat())
    return Record.create(folder, meta, durable=True)


async def _steps(folder: Path, engine: RunEngine, rounds: int) -> tuple[list[float], list[float]]:
    record = _record(folder / "steps")
    stepping = Stepping(record, WallClock())
    ours, peer = [], []
    for n in range(rounds + 1):
        stepping.fresh()
        began_s = time.process_time()
        await stepping.run(STEPS)
        ours.append((time.process_time() - began_s) / STEPS * 1e6)
        peer.append(engine.asked("steps", STEPS))
        if not n:  # the first warms up
            ours.clear()
            peer.clear()
    record.close()
    return ours, peer


async def _intents(folder: Path, rounds: int) -> dict[int, list[float]]:
    """Return µs of each intent under 0, and of each write by its bytes."""
    record, found = _record(folder / "intents"), {0: [], PAGE_BYTES: [], ROW_BYTES: []}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    floors = {size: os.open(folder / f"floor{size}", flags) for size in (PAGE_BYTES, ROW_BYTES)}
    words = {"id": "s", "reagent": "S", "volume_ml": 0.3, "over_s": 20.0, "by": "pump_2"}
    for _ in range(rounds * INTENTS):
        began_s = time.perf_counter()
        await record.intent(0, "dose", words)
        found[0].append((time.perf_counter() - began_s) * 1e6)
        for size, file in floors.items():
            began_s = time.perf_counter()
            os.write(file, b"x" * size)
            os.fdatasync(file)
            found[size].append((time.perf_counter() - began_s) * 1e6)
    for file in floors.values():
        os.close(file)
    record.close()
    return found


def _line(name: str, ours: float, peer: float, unit: str, goal: str) -> str:
    return f"{name:38}{ours:9.1f}{peer:9.1f} {unit}{ours / peer:8.3f}   {goal}"


def main() -> None:
    """Print ours, the peer's and the ratio of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--aborts", type=int, default=100)
    asked = parser.parse_args()
    engine = RunEngine()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        ours, peer = asyncio.run(_steps(Path(name), engine, asked.rounds))
        intents = asyncio.run(_intents(Path(name), asked.rounds))
    median = statistics.median
    goal = f"goal {STEP_US:g} µs and {STEP_PART:g}"
    print(f"{'median':38}{'ours':>9}{'peer':>9}{'ratio':>12}")
    print(_line("step, CPU; RunEngine + ophyd", median(ours), median(peer), "µs", goal))
    goal = f"goal {INTENT_PART:g}"
    for words, size in (("of its page", PAGE_BYTES), ("of its row", ROW_BYTES)):
        name = f"intent; write + fdatasync {words}"
        print(_line(name, median(intents[0]), median(intents[size]), "µs", goal))
    whole, own = aborted_ms(asked.aborts)
    paused = engine.asked("aborts", 20)
    engine.close()
    print(_line("abort, CPU; RunEngine pause+abort", median(own), paused, "ms", ""))
    for said, some in (("labctl's own part", own), ("with the instruments", whole)):
        p99 = statistics.quantiles(some, n=100)[98]
        print(f"abort, p99, {said:26}{p99:9.2f} ms             goal {ABORT_MS:g} ms")


if __name__ == "__main__":
    main()
