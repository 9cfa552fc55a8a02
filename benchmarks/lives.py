"""What makes a run mortal: a process that dies at a row of its record, its guard, a person."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import cast

from labctl.capabilities import Operator, Reply, Task, TaskKind
from labctl.clock import NS, VirtualClock
from labctl.engine.guarding import WAS_CUT, Says
from labctl.errors import PortLostError, StepFailedError
from labctl.guard.logic import Beat, Limits, Logic
from labctl.record import Record
from labctl.record.schema import Cell
from labctl.transport import Wire
from simulators.world import RigWorld

CHOICES = ("go on", "again", "given in full")
BEAT_NS = NS
JUMPS_AT_NS = 300 * NS


class JumpingClock(VirtualClock):
    """A virtual clock whose wall time is put forward by an hour after five minutes."""

    def local(self, t_ns: int) -> dt.datetime:
        """Return the local time at `t_ns`."""
        jump = dt.timedelta(hours=1 if t_ns > JUMPS_AT_NS else 0)
        return super().local(t_ns) + jump


class Process:
    """One life of a run: dies before it writes row `cut`, leaving what was committed.

    `end` is called then.
    """

    def __init__(self, record: Record, cut: int | None) -> None:
        self.alive, self.left = True, False
        self.rows = self.intents = 0
        self.end: Callable[[], object] = lambda: None
        self._cut = cut
        self._record = record
        self._sink = record._sink
        self._put = self._sink.put
        self._sink.put = self.put  # type: ignore[method-assign]

    def put(self, sql: str, cells: tuple[Cell, ...], *, urgent: bool = False) -> None:
        """Take a row; a dead process writes nothing."""
        if self.alive and self._cut is not None and self.rows >= self._cut:
            self.die()
        if self.alive:
            self.rows += 1
            self.intents += sql.startswith("INSERT INTO intent")
            self._put(sql, cells, urgent=urgent)

    def die(self) -> None:
        """Leave what was written by now; nothing more is written, said or waited for."""
        if self.alive and not self.left:
            self.alive = False
            self._sink.flush()
            self.end()

    def leave(self) -> None:
        """Close the record; of a dead process, let go of the file and of nothing else."""
        self.left = True
        if self.alive:
            self._record.close()
        else:
            self._record._connection.close()
            self._record._held()


class DeadError(PortLostError):
    """A dead process wanted to write."""


class Severed:
    """The wire of a process that may die: what it says then reaches nobody."""

    def __init__(self, wire: Wire, process: Process) -> None:
        self._wire, self._process = wire, process

    def __getattr__(self, name: str) -> object:
        return getattr(self._wire, name)

    async def write(self, data: bytes) -> None:
        """Write, while the process lives.

        Raises:
            DeadError: it is dead.
        """
        if not self._process.alive:
            raise DeadError("severed", repr(data), "a live process", "a dead one")
        await self._wire.write(data)


def severed(wire: Wire, process: Process) -> Wire:
    """Return a wire that falls silent with its process."""
    return cast("Wire", Severed(wire, process))


class StepGuard:
    """The guard's own logic, stepped on the virtual clock beside a life of the run.

    When it cuts, the contactor opens and the process is killed, as on hardware.
    """

    def __init__(self, world: RigWorld, clock: VirtualClock, process: Process) -> None:
        self._world, self._clock, self._process = world, clock, process
        self._logic = Logic(Limits())
        self._beat: Says | None = None
        self._heard_ns: int | None = None
        self._was_cut = False
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    def beat_age_s(self, t_ns: int) -> float:
        """Return how long ago the last heartbeat was, in s."""
        return 1e9 if self._heard_ns is None else (t_ns - self._heard_ns) / NS

    async def start(self, beat: Says) -> None:
        """Begin to guard; the contactor is open."""
        self._beat = beat
        self._contactor(closed=False)
        self._task = asyncio.create_task(self._guards(), name="guard")

    async def permit(self) -> None:
        """Close the contactor.

        Raises:
            StepFailedError: the heat was cut.
        """
        if self._was_cut:
            raise StepFailedError(WAS_CUT)
        self._contactor(closed=True)

    def cut(self) -> None:
        """Open the contactor now, for good."""
        if self._process.alive:
            self._was_cut = True
            self._contactor(closed=False)

    async def end(self) -> None:
        """Open the contactor, if a living run says so."""
        if self._process.alive:
            self._ended = True
            self._contactor(closed=False)

    def _contactor(self, *, closed: bool) -> None:
        self._world.contactor(self._clock.now_ns(), closed=closed)

    async def _guards(self) -> None:
        seq = 0
        while not self._ended:
            now_ns = self._clock.now_ns()
            if self._process.alive and self._beat is not None:
                seq += 1
                state, age_s, heating = self._beat()
                self._logic.hear(Beat(seq, state, age_s, heating), now_ns / NS)
                self._heard_ns = now_ns
            if self._logic.judge(now_ns / NS):
                self._contactor(closed=False)
                self._process.die()
                return
            await self._clock.sleep_until(now_ns + BEAT_NS)


class Agrees:
    """A person who lets a run go on after a crash, and takes an unknown dose for given."""

    def __init__(self, simulated: Operator, agreed: Callable[[], None]) -> None:
        self._simulated, self._agreed = simulated, agreed

    async def do(self, task: Task) -> Reply:
        """Do one task."""
        for choice in CHOICES:
            if task.kind is TaskKind.ANSWER and choice in task.choices:
                if choice == "go on":
                    self._agreed()
                return Reply(text=choice)
        return await self._simulated.do(task)
