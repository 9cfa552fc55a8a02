"""Where time comes from: one protocol, a wall clock for rigs, a virtual clock for dry runs.

Time is int ns since the run began; UTC is for people and anchors only. Nothing outside this module
and `loop` reads a clock or sleeps.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import secrets
import time
from typing import Protocol

from labctl.loop import NS, VirtualLoop
from labctl.priority import Priority

__all__ = ["NS", "Clock", "Priority", "VirtualClock", "WallClock", "cpu_s", "new_run_id", "wall_s"]


class Clock(Protocol):
    """What a run knows of time."""

    def now_ns(self) -> int:
        """Return ns since the run began."""
        ...

    async def sleep_until(self, t_ns: int, priority: Priority = Priority.COMMAND) -> None:
        """Return at `t_ns`; at once if it has passed."""
        ...

    def alarm(self, t_ns: int, waiter: asyncio.Future[None]) -> asyncio.TimerHandle:
        """Resolve `waiter` at `t_ns` unless it is done before; cancel the handle when it is."""
        ...

    def try_advance(self, t_ns: int) -> bool:
        """Move to `t_ns` at once if nothing can happen before; always False in real time."""
        ...

    def horizon(self, t_ns: int | None) -> None:
        """Tell when a scheduler that runs something now has its next thing due; None: no more."""
        ...

    def local(self, t_ns: int) -> dt.datetime:
        """Return the rig's local wall time at a run time."""
        ...

    def set_by_s(self) -> float:
        """Return by how many s the machine's clock was set since the run began; no run time is."""
        ...


class VirtualClock:
    """The clock of a dry run: the loop's virtual time, starting at a given local time."""

    def __init__(self, loop: VirtualLoop, start: dt.datetime) -> None:
        self._loop = loop
        self._start = start

    def now_ns(self) -> int:
        """Return virtual ns since the run began."""
        return self._loop._now_ns

    async def sleep_until(self, t_ns: int, priority: Priority = Priority.COMMAND) -> None:
        """Return at `t_ns`, moving the clock inline when nothing else can happen before."""
        if t_ns <= self.now_ns() or self._loop.try_advance(t_ns):
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        timer = self._loop.call_at_ns(t_ns, _wake, waiter, priority=priority)
        try:
            await waiter
        except BaseException:
            timer.cancel()
            raise

    def alarm(self, t_ns: int, waiter: asyncio.Future[None]) -> asyncio.TimerHandle:
        """Resolve `waiter` at `t_ns` unless it is done before."""
        return self._loop.call_at_ns(t_ns, _wake, waiter)

    def try_advance(self, t_ns: int) -> bool:
        """Move to `t_ns` at once if nothing can happen before."""
        return self._loop.try_advance(t_ns)

    def horizon(self, t_ns: int | None) -> None:
        """Let nothing advance inline to or past `t_ns`; None lifts it."""
        self._loop.horizon_ns = t_ns

    def local(self, t_ns: int) -> dt.datetime:
        """Return the virtual wall time at a run time."""
        return self._start + dt.timedelta(microseconds=t_ns // 1000)

    def set_by_s(self) -> float:
        """Return 0: nobody sets virtual time."""
        return 0.0


class WallClock:
    """The clock of a rig: monotonic time, `origin_ns` at construction.

    A run that goes on after it was cut off begins where the gap ends.
    """

    def __init__(self, origin_ns: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._zero_ns = time.monotonic_ns() - origin_ns
        now = dt.datetime.now().astimezone().replace(tzinfo=None)
        self._start = now - dt.timedelta(microseconds=origin_ns // 1000)
        self._apart_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return monotonic ns since the run began."""
        return time.monotonic_ns() - self._zero_ns

    async def sleep_until(self, t_ns: int, priority: Priority = Priority.COMMAND) -> None:
        """Return at `t_ns`; at once if it has passed."""
        delay_s = (t_ns - self.now_ns()) / NS
        if delay_s > 0:
            await asyncio.sleep(delay_s)

    def alarm(self, t_ns: int, waiter: asyncio.Future[None]) -> asyncio.TimerHandle:
        """Resolve `waiter` at `t_ns` unless it is done before."""
        return self._loop.call_later(max(0.0, (t_ns - self.now_ns()) / NS), _wake, waiter)

    def try_advance(self, t_ns: int) -> bool:
        """Return False: real time passes by itself."""
        return False

    def horizon(self, t_ns: int | None) -> None:
        """Nothing to tell: real time passes by itself."""

    def local(self, t_ns: int) -> dt.datetime:
        """Return the machine's local time at a run time."""
        return self._start + dt.timedelta(microseconds=t_ns // 1000)

    def set_by_s(self) -> float:
        """Return how far UTC and monotonic time have come apart; asleep, a machine counts none."""
        return (time.time_ns() - time.monotonic_ns() - self._apart_ns) / NS


def new_run_id(recipe: str) -> str:
    """Name a run: local date and time, the recipe's stem, four letters against collisions."""
    stamp = dt.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{recipe}-{secrets.token_hex(2)}"


def today() -> dt.date:
    """Return the machine's local date, for what a person fills in today."""
    return dt.datetime.now().astimezone().date()


def local_now() -> dt.datetime:
    """Return the machine's local time, to the second, without a zone as on a batch sheet."""
    return dt.datetime.now().astimezone().replace(tzinfo=None, microsecond=0)


def utc_now() -> str:
    """Return the machine's UTC as ISO 8601, for anchors in the record."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def since_utc_ns(utc: str) -> int:
    """Return ns of the machine's UTC since an anchor, ISO 8601; a set clock makes it wrong."""
    passed = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(utc)
    return round(passed.total_seconds() * NS)


def wall_s() -> float:
    """Return monotonic wall seconds, to say how long something took."""
    return time.perf_counter()


def pause_s(duration_s: float) -> None:
    """Let wall time pass; for a terminal that waits for another process, never for a run."""
    time.sleep(duration_s)


def cpu_s() -> float:
    """Return CPU seconds used by this process."""
    times = os.times()
    return times.user + times.system


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
