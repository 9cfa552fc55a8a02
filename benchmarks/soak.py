"""All instruments polled in real time: `python -m benchmarks.soak [--minutes 60]`.

Another process serves every kind on a pseudo-terminal or over TCP (see `benchmarks.soak_rig`); here
the real drivers poll them on one event loop, each at its own rate, and actuate now and then. Every
reading is compared with what the simulated instrument truly sees at that moment, or was told: one
that does not fit is counted as a desync. Printed are polls, errors, lateness against the schedule,
CPU seconds, and descriptors, tasks and memory at the beginning, the middle and the end. Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import time
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak_rig import Unit, descriptors, true_value, units
from benchmarks.soak_truth import ACTS, RATES_HZ, SEES, SHARED_HZ, USUAL_HZ, Act
from drivers.ocean_obp import OceanObp
from labctl.capabilities import Device
from labctl.clock import NS, WallClock
from labctl.errors import DeviceError
from labctl.registry import catalog, line_baud, load
from labctl.transport import Port
from labctl.transport.descriptor import LineSettings, SerialWire, TcpWire

ACT_EVERY_S = 20.0
_LAG_NS = 6 * NS // 10


@dataclass
class Tally:
    """What was counted at one unit; `late_ms` has one entry per poll."""

    period_ns: int
    polls: int = 0
    judged: int = 0
    skipped: int = 0
    acts: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    desyncs: list[str] = field(default_factory=list)
    late_ms: array[float] = field(default_factory=lambda: array("f"))


class Visit:
    """Polls one unit, acts on it now and then, and judges what it reads."""

    def __init__(self, unit: Unit, port: Port, clock: WallClock) -> None:
        self.unit, self._clock = unit, clock
        self.driver: Any = load("drivers", unit.kind)(port, unit.settings)
        self._names = [channel.name for channel in self.driver.channels]
        self._told, self._settled_ns, self._turn = Act(lambda _: clock.sleep_until(0)), 0, 0
        shared = unit.line != unit.kind
        rate_hz = SHARED_HZ if shared else RATES_HZ.get(unit.kind, USUAL_HZ)
        self.tally = Tally(round(NS / rate_hz))

    async def poll_until(self, end_ns: int) -> None:
        """Poll on schedule; what falls due while a poll lasts is skipped and counted."""
        tally, clock = self.tally, self._clock
        due_ns = clock.now_ns() + tally.period_ns
        while due_ns < end_ns:
            await clock.sleep_until(due_ns)
            began_ns = clock.now_ns()
            tally.late_ms.append((began_ns - due_ns) / 1e6)
            tally.polls += 1
            try:
                await self._look(began_ns)
            except DeviceError as error:
                tally.errors[f"{type(error).__name__}: {error!s:.160}"] += 1
            due_ns += tally.period_ns
            overdue = max(0, (clock.now_ns() - due_ns) // tally.period_ns)
            tally.skipped += overdue
            due_ns += overdue * tally.period_ns

    async def act_until(self, end_ns: int) -> None:
        """Do the next thing every 20 s."""
        acts = ACTS.get(self.unit.kind, ())
        due_ns = self._clock.now_ns() + NS
        while acts and due_ns < end_ns:
            await self._clock.sleep_until(due_ns)
            act = acts[self.tally.acts % len(acts)]
            self._turn += 1
            self._told, self._settled_ns = act, due_ns + round((act.after_s + ACT_EVERY_S) * NS)
            try:
                await act.do(self.driver)
                self._settled_ns = self._clock.now_ns() + round(act.after_s * NS)
            except DeviceError as error:
                self.tally.errors[f"acting, {type(error).__name__}: {error!s:.160}"] += 1
            self.tally.acts += 1
            due_ns += round(ACT_EVERY_S * NS)

    async def _look(self, began_ns: int) -> None:
        turn, settled = self._turn, began_ns >= self._settled_ns
        if self._names:
            values = dict(zip(self._names, await self.driver.poll(), strict=True))
            self._judge_senses(values, began_ns)
            if settled and turn == self._turn:
                self._judge_told(values)
        if isinstance(self.driver, OceanObp):
            began_ns = self._clock.now_ns()
            self._judge_spectrum((await self.driver.acquire(began_ns)).counts, began_ns)

    def _judge_senses(self, values: Mapping[str, float | None], began_ns: int) -> None:
        for name, sense in SEES.get(self.unit.kind, {}).items():
            low, high = self._range(self.unit.touches[sense.touch], began_ns)
            low, high = low * (1 - sense.share) - sense.off, high * (1 + sense.share) + sense.off
            self._expect(name, values[name], low, high)

    def _judge_told(self, values: Mapping[str, float | None]) -> None:
        for name, value in self._told.settles.items():
            self._expect(name, values[name], value - self._told.off, value + self._told.off)

    def _judge_spectrum(self, counts: Sequence[int], began_ns: int) -> None:
        low, high = self._range("counts", began_ns)
        for name, seen in (("least", min(counts)), ("most", max(counts))):
            self._expect(name, float(seen), low - 2.0, high + 2.0)

    def _range(self, thing: str, began_ns: int) -> tuple[float, float]:
        """Return the least and the greatest that was to be seen from a little before till now."""
        from_ns, to_ns = began_ns - _LAG_NS, self._clock.now_ns()
        steps = max(2, math.ceil((to_ns - from_ns) / (NS / 20)))
        times = (from_ns + (to_ns - from_ns) * n // steps for n in range(steps + 1))
        seen = [true_value(self.unit.name, thing, t_ns) for t_ns in times]
        margin = 0.0 if thing == "hood_flow" else 0.002 * max(seen)
        return min(seen) - margin, max(seen) + margin

    def _expect(self, name: str, value: float | None, low: float, high: float) -> None:
        self.tally.judged += 1
        if value is None or not low <= value <= high:
            at = self._clock.now_ns() / NS
            self.tally.desyncs.append(f"at {at:.1f} s {name} {value}, not {low:.5g} .. {high:.5g}")


@dataclass(frozen=True, slots=True)
class State:
    """What both processes hold at one moment: descriptors, tasks, MiB, and CPU s so far."""

    label: str
    client: tuple[int, int, float, float]
    server: tuple[int, int, float, float]


class Server:
    """The process with the simulated instruments."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, origin_ns: int) -> tuple[Server, dict[str, str]]:
        """Start it and read where the lines are."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "benchmarks.soak_rig", "--origin-ns", str(origin_ns))
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        self = cls(process)
        return self, await self._line()

    async def state(self, label: str) -> State:
        """Return what both processes hold now."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(b"\n")
        found = await self._line()
        mine = (descriptors(), len(asyncio.all_tasks()), *_used(os.getpid()))
        theirs = (found["descriptors"], found["tasks"], *_used(self._process.pid))
        return State(label, mine, theirs)

    async def stop(self) -> None:
        """End it by closing its stdin."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()

    async def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        said: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return said


def _used(pid: int) -> tuple[float, float]:
    """Return a process' resident MiB and its CPU seconds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = int(words[11]) + int(words[12])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, ticks / os.sysconf("SC_CLK_TCK")


def _port(line: str, place: str, kind: str, clock: WallClock) -> Port:
    row = catalog("drivers")[kind]
    if row.line == "tcp":
        host, _, number = place.rpartition(":")
        wire: Any = TcpWire(line, host, int(number), clock)
    else:
        bits = row.line.split()[1]
        settings = LineSettings(line_baud(kind), int(bits[0]), bits[1], int(bits[2]))
        wire = SerialWire(line, place, settings, clock)
    return Port(line, wire, clock, gap_ns=row.gap_ms * 1_000_000)


async def soak(minutes: float) -> tuple[list[Visit], list[State]]:
    """Poll all for so many minutes; return what was counted."""
    clock = WallClock()
    origin_ns = time.monotonic_ns() - clock.now_ns()
    server, places = await Server.start(origin_ns)
    states = [await server.state("before")]
    ports: dict[str, Port] = {}
    visits = []
    for unit in units():
        if unit.line not in ports:
            ports[unit.line] = _port(unit.line, places[unit.line], unit.kind, clock)
            await ports[unit.line].open()
        visits.append(Visit(unit, ports[unit.line], clock))
        await visits[-1].driver.connect()
        await _expose_shortly(visits[-1].driver)
    start_ns = clock.now_ns()
    length_ns = round(minutes * 60 * NS)
    end_ns = start_ns + length_ns
    async with asyncio.TaskGroup() as group:
        for visit in visits:
            group.create_task(visit.poll_until(end_ns))
            if visit.unit.kind in ACTS:
                group.create_task(visit.act_until(end_ns))
        for label, share in (("beginning", 0.05), ("middle", 0.5), ("end", 0.95)):
            await clock.sleep_until(start_ns + round(share * length_ns))
            states.append(await server.state(label))
            _progress(visits, label)
    for visit in visits:
        await visit.driver.make_safe()
    for port in ports.values():
        await port.close()
    await clock.sleep_until(clock.now_ns() + NS)
    states.append(await server.state("after"))
    await server.stop()
    return visits, states


async def _expose_shortly(driver: Device) -> None:
    if isinstance(driver, OceanObp):
        await driver.set_exposure(0.02, 1)


def _progress(visits: Sequence[Visit], label: str) -> None:
    tallies = [visit.tally for visit in visits]
    polls, wrong = sum(t.polls for t in tallies), sum(len(t.desyncs) for t in tallies)
    errors = sum(t.errors.total() for t in tallies)
    print(f"{label}: {polls} polls, {errors} errors, {wrong} desyncs so far", flush=True)


def report(visits: Sequence[Visit], states: Sequence[State], minutes: float) -> None:
    """Print a row per unit, what went wrong, the sums, and what the processes held."""
    head = f"{'unit':32}{'Hz':>5}{'polls':>8}{'skipped':>8}{'acts':>6}{'judged':>8}{'wrong':>6}"
    print(f"{head}{'errors':>7}   late p50 p95 p99 max, ms")
    for visit in visits:
        t = visit.tally
        row = f"{visit.unit.name:32}{NS / t.period_ns:5.0f}{t.polls:8}{t.skipped:8}{t.acts:6}"
        print(f"{row}{t.judged:8}{len(t.desyncs):6}{t.errors.total():7}   {_late(t.late_ms)}")
    for visit in visits:
        for text, count in visit.tally.errors.items():
            print(f"{visit.unit.name}: {count} x {text}")
        for text in visit.tally.desyncs[:3]:
            print(f"{visit.unit.name}: {text}")
    tallies = [visit.tally for visit in visits]
    late_ms = array("f")
    for tally in tallies:
        late_ms.extend(tally.late_ms)
    polls, judged = sum(t.polls for t in tallies), sum(t.judged for t in tallies)
    print(f"{minutes:g} min, {len(visits)} units: {polls} polls, {judged} values judged,")
    print(f"{sum(t.errors.total() for t in tallies)} errors,", end=" ")
    print(
        f"{sum(len(t.desyncs) for t in tallies)} desyncs, {sum(t.skipped for t in tallies)}", end=""
    )
    print(f" skipped; late p50 p95 p99 max {_late(late_ms)} ms")
    for state in states:
        print(f"{state.label:10}{_held('client', state.client)}{_held('server', state.server)}")


def _late(late_ms: array[float]) -> str:
    if not late_ms:
        return "-"
    seen = np.frombuffer(late_ms, np.float32)
    p50, p95, p99 = np.percentile(seen, (50, 95, 99))
    return f"{p50:6.2f} {p95:6.2f} {p99:6.2f} {seen.max():7.2f}"


def _held(who: str, held: tuple[int, int, float, float]) -> str:
    count, tasks, memory_mib, cpu_s = held
    return f"  {who}: {count} descriptors, {tasks} tasks, {memory_mib:.1f} MiB, {cpu_s:.2f} s CPU;"


def main() -> None:
    """Soak and report; the exit status says whether anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    visits, states = asyncio.run(soak(minutes))
    report(visits, states, minutes)
    wrong = any(visit.tally.desyncs or visit.tally.errors for visit in visits)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
