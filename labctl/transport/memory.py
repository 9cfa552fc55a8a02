"""The wire to a simulated instrument: bytes at the line's own pace, in virtual time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from labctl.clock import NS, Clock
from labctl.errors import PortLostError
from labctl.transport.port import Wire
from labctl.transport.simulated import Answering, Plug


class MemoryWire:
    """Carries bytes to something that answers bytes; a reply arrives when its last bit would.

    `baud` with 10 bits per byte sets the pace; 0 means no pace (a network). `speaks` tells whether
    something was said that nobody asked for; without it the line is listened to all the time.
    """

    def __init__(
        self,
        answering: Answering,
        clock: Clock,
        *,
        baud: int = 9600,
        speaks: Callable[[], bool] | None = None,
    ) -> None:
        self._answering = answering
        self._clock = clock
        self._byte_ns = 10 * NS // baud if baud else 0
        self._speaks = speaks or _always
        self._pending: list[tuple[int, int, bytes]] = []
        self._order = itertools.count()
        self._fed_ns = 0
        self._waiter: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Nothing to open."""

    async def write(self, data: bytes) -> None:
        """Send bytes; the replies are scheduled."""
        begins_ns = self._clock.now_ns()
        begins_ns = max(begins_ns, self._fed_ns)
        self._feed(data, begins_ns + len(data) * self._byte_ns)

    def take(self) -> bytes:
        """Return and forget what has arrived by now."""
        now_ns = self._clock.now_ns()
        if now_ns >= self._fed_ns and self._speaks():
            self._feed(b"", now_ns)
        pending = self._pending
        if not pending:
            return b""
        taken = b""
        while pending and pending[0][0] <= now_ns:
            taken += heapq.heappop(pending)[2]
        return taken

    async def receive(self, deadline_ns: int) -> bytes:
        """Return the next bytes when they arrive, or none at the deadline."""
        pending, now_ns = self._pending, self._clock.now_ns()
        due_ns = deadline_ns
        if pending and pending[0][0] < deadline_ns:
            due_ns = pending[0][0]
        if due_ns > now_ns:
            if self._clock.try_advance(due_ns):
                now_ns = due_ns
            else:
                await self._wait(due_ns)
                now_ns = self._clock.now_ns()
        return heapq.heappop(pending)[2] if pending and pending[0][0] <= now_ns else b""

    def interrupt(self) -> None:
        """Make a `receive` that waits return at once with nothing."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def close(self) -> None:
        """Forget what is on its way."""
        self._pending.clear()

    def _feed(self, data: bytes, t_ns: int) -> None:
        self._fed_ns = free_ns = t_ns
        pending = self._pending
        for delay_ns, chunk in self._answering.feed(data, t_ns):
            begins_ns = t_ns + delay_ns
            begins_ns = max(begins_ns, free_ns)
            if pending:
                begins_ns = self._idle(begins_ns)
            free_ns = begins_ns + len(chunk) * self._byte_ns
            heapq.heappush(pending, (free_ns, next(self._order), chunk))

    def _idle(self, t_ns: int) -> int:
        """Return when the line is free for a transmission that would begin at `t_ns`."""
        for arrival_ns, _, chunk in sorted(self._pending):
            if arrival_ns - len(chunk) * self._byte_ns <= t_ns < arrival_ns:
                t_ns = arrival_ns
        return t_ns

    async def _wait(self, due_ns: int) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        timer = self._clock.alarm(due_ns, self._waiter)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None


class PluggedWire:
    """A wire on a port whose plug may be pulled: what was opened before stays dead afterwards."""

    def __init__(self, name: str, wire: Wire, plug: Callable[[], Plug]) -> None:
        self._name = name
        self._wire = wire
        self._plug = plug
        self._pulled = 0
        self.interrupt = wire.interrupt
        self.close = wire.close

    async def open(self) -> None:
        """Open the wire.

        Raises:
            PortLostError: the port is gone, or another program has it.
        """
        plug = self._plug()
        if plug.lost or plug.busy:
            raise PortLostError(self._name, "to open", "a free port", plug.lost or plug.busy)
        self._pulled = plug.pulled
        await self._wire.open()

    async def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            PortLostError: the port is gone, or was since it was opened.
        """
        self._check(repr(data))
        await self._wire.write(data)

    def take(self) -> bytes:
        """Return and forget what has arrived by now."""
        return self._wire.take()

    async def receive(self, deadline_ns: int) -> bytes:
        """Return the next bytes, or none at the deadline or when interrupted.

        Raises:
            PortLostError: the port is gone, or was since it was opened.
        """
        received = await self._wire.receive(deadline_ns)
        if not received:
            self._check("for a reply")
        return received

    def _check(self, asked: str) -> None:
        plug = self._plug()
        if plug.lost or plug.pulled != self._pulled:
            lost = plug.lost or "the adapter came back under another name; it was not opened again"
            raise PortLostError(self._name, asked, "an open port", lost)


def _always() -> bool:
    """A line of which nothing is known."""
    return True
