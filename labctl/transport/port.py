"""A port: one half-duplex line, one question at a time, every reply bound to its question.

Before each question what came unasked is drained and handed to `unsolicited`. After a question that
was given up (timeout, trip, cancellation) the line is in doubt: its reply is first awaited for a
moment, and if several replies then come to the next question, the last is its answer. So a late
reply answers nobody. Waiting questions go by priority, then in order.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from typing import Protocol

from labctl.clock import NS, Clock, Priority
from labctl.errors import AbandonedError, LabctlError, NoReplyError, PortLostError
from labctl.framing import Frame

Trace = Callable[[int, str, bytes], None]

_SETTLE_NS = NS // 10
_MOST_OWED = 8


class Wire(Protocol):
    """The raw channel under a port."""

    async def open(self) -> None:
        """Open the channel.

        Raises:
            PortLostError: it cannot be opened.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            PortLostError: the channel is gone.
        """
        ...

    def take(self) -> bytes:
        """Return and forget what has arrived by now."""
        ...

    async def receive(self, deadline_ns: int) -> bytes:
        """Return the next bytes, or none at the deadline or when interrupted.

        Raises:
            PortLostError: the channel is gone.
        """
        ...

    def interrupt(self) -> None:
        """Make a `receive` that waits return at once with nothing."""
        ...

    async def close(self) -> None:
        """Close the channel; closing twice is allowed."""
        ...


class Port:
    """One line with its lock; several instruments with addresses may share it."""

    def __init__(self, name: str, wire: Wire, clock: Clock, *, gap_ns: int = 0) -> None:
        self.name = name
        self.unsolicited: list[Callable[[bytes], None]] = []
        self.trace: Trace | None = None
        self.lost = False
        self._verifier: asyncio.Task[object] | None = None
        self._wire = wire
        self._clock = clock
        self._gap_ns = gap_ns
        self._free_at_ns = 0
        self._owed: list[Frame] = []
        self._holder: Priority | None = None
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    async def open(self) -> None:
        """Open the wire.

        Raises:
            PortLostError: it cannot be opened.
        """
        await self._wire.open()

    async def close(self) -> None:
        """Close the wire; closing twice is allowed."""
        await self._wire.close()

    async def reopen(self, verify: Callable[[], Awaitable[None]]) -> None:
        """Open a lost wire again; nobody but `verify` may ask before it has returned.

        `verify` makes sure that the same instruments answer.

        Raises:
            LabctlError: it cannot be opened, or `verify` refused; the port stays lost.
        """
        await self._wire.close()
        await self._wire.open()
        self._owed.clear()
        self._verifier = asyncio.current_task()
        try:
            await verify()
        except LabctlError:
            self.lost = True
            raise
        else:
            self.lost = False
        finally:
            self._verifier = None

    def _refuse_if_lost(self, device: str, data: bytes) -> None:
        if asyncio.current_task() is not self._verifier:
            got = "it was lost, and is not verified yet"
            raise PortLostError(device, repr(data), "an open port", got)

    async def ask(
        self,
        device: str,
        question: bytes,
        frame: Frame,
        *,
        timeout_s: float = 1.0,
        priority: Priority = Priority.COMMAND,
        gate: Callable[[], None] | None = None,
    ) -> bytes:
        """Send a question and return its whole reply, cut where `frame` says it ends.

        `gate` is called inside the lock, just before the bytes go out; it refuses by raising.

        Raises:
            NoReplyError: no whole frame within `timeout_s`, or the question was abandoned.
            PortLostError: the port is gone.
        """
        if self._holder is None:
            self._holder = priority
        else:
            await self._queue(priority)
        try:
            if self.lost:
                self._refuse_if_lost(device, question)
            await self._send(device, question, gate)
            owed = len(self._owed)
            self._owed.append(frame)
            reply = await self._reply(device, question, frame, timeout_s, owed)
            self._owed.clear()
        except PortLostError:
            self.lost = True
            raise
        finally:
            if self._gap_ns or self._waiting:
                self._release()
            else:
                self._holder = None
        return reply

    async def tell(
        self,
        data: bytes,
        *,
        priority: Priority = Priority.COMMAND,
        gate: Callable[[], None] | None = None,
    ) -> None:
        """Send bytes that have no reply.

        Raises:
            AbandonedError: given up for a trip before anything was sent.
            PortLostError: the port is gone.
        """
        if self._holder is None:
            self._holder = priority
        else:
            await self._queue(priority)
        try:
            if self.lost:
                self._refuse_if_lost(self.name, data)
            await self._send(self.name, data, gate)
        except PortLostError:
            self.lost = True
            raise
        finally:
            self._release()

    async def pause(self, seconds: float) -> None:
        """Let time pass between two questions, with the line free for others."""
        await self._clock.sleep_until(self._clock.now_ns() + round(seconds * NS))

    async def _queue(self, priority: Priority) -> None:
        if priority is Priority.TRIP and self._holder is not Priority.TRIP:
            self._wire.interrupt()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release()
            raise
        self._holder = priority

    def _release(self) -> None:
        if self._gap_ns:
            self._free_at_ns = self._clock.now_ns() + self._gap_ns
        while self._waiting:
            waiter = heapq.heappop(self._waiting)[2]
            if not waiter.done():
                waiter.set_result(None)
                return
        self._holder = None

    async def _send(self, device: str, data: bytes, gate: Callable[[], None] | None) -> None:
        if self._gap_ns and self._free_at_ns > self._clock.now_ns():
            await self._clock.sleep_until(self._free_at_ns)
        if self._owed:
            await self._settle()
        stray = self._wire.take()
        if stray:
            self._pass_on(stray)
        if self._waiting and self._trip_waits():
            raise AbandonedError(device, repr(data), "the line", "a trip; nothing was sent")
        if gate is not None:
            gate()
        if self.trace is not None:
            self.trace(self._clock.now_ns(), ">", data)
        await self._wire.write(data)

    async def _settle(self) -> None:
        del self._owed[:-_MOST_OWED]
        while self._owed:
            late, length = await self._collect(self._owed[0], self._clock.now_ns() + _SETTLE_NS)
            if late:
                self._pass_on(late)
            if length is None:
                return
            del self._owed[0]

    def _trip_waits(self) -> bool:
        if self._holder is Priority.TRIP:
            return False
        return any(row[0] is Priority.TRIP and not row[2].done() for row in self._waiting)

    def _pass_on(self, stray: bytes) -> None:
        for listener in self.unsolicited:
            listener(stray)

    async def _reply(
        self, device: str, question: bytes, frame: Frame, timeout_s: float, owed: int
    ) -> bytes:
        deadline_ns = self._clock.now_ns() + round(timeout_s * NS)
        got = await self._wire.receive(deadline_ns)
        length = frame(got) if got else None
        if got and length is None:
            got, length = await self._collect(frame, deadline_ns, got)
        if length is None:
            raise NoReplyError(device, repr(question), f"a reply within {timeout_s:g} s", repr(got))
        if owed:
            got, length = await self._last(device, question, frame, got, length, owed)
        if self.trace is not None:
            self.trace(self._clock.now_ns(), "<", got)
        if len(got) > length:
            self._pass_on(got[length:])
        return got[:length]

    async def _last(
        self, device: str, question: bytes, frame: Frame, got: bytes, length: int, owed: int
    ) -> tuple[bytes, int]:
        """Wait for what else comes after a first reply; the last whole frame is the answer.

        Raises:
            AbandonedError: a trip came meanwhile.
        """
        for _ in range(owed):
            settled_ns = self._clock.now_ns() + _SETTLE_NS
            later, end = await self._collect(frame, settled_ns, got[length:])
            if end is None:
                if self._waiting and self._trip_waits():
                    raise AbandonedError(device, repr(question), "its reply", "a trip before")
                return got[:length] + later, length
            self._pass_on(got[:length])
            got, length = later, end
        return got, length

    async def _collect(
        self, frame: Frame, deadline_ns: int, got: bytes = b""
    ) -> tuple[bytes, int | None]:
        length = frame(got) if got else None
        while length is None:
            chunk = await self._wire.receive(deadline_ns)
            if not chunk:
                break
            got += chunk
            length = frame(got)
        return got, length
