"""The event loop of virtual time: it jumps to the next timer, exactly, and knows when it is stuck.

Time is an int in ns since the run began. Nothing else reads a clock: with no ready callback the
loop moves to the earliest timer (never by a delay, so nothing accumulates); with no timer either it
raises `DeadlockError` naming the tasks that wait. Timers of one instant fire in the order trip,
operator, command, poll, then in the order they were made. Sockets, descriptors and threads are
refused; the one way in from outside is the inbox, polled between events. SIGINT goes there too.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TypeVar, TypeVarTuple

from labctl.errors import DeadlockError
from labctl.priority import Priority

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NS = 1_000_000_000


class Inbox:
    """The thread-safe way into a running loop: any thread, or a signal handler, may `post`.

    `empty()` says whether no message waits; it is asked before every step of the clock.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._receiver: Callable[[object], None] | None = None
        self.empty = self._queue.empty

    def post(self, message: object) -> None:
        """Leave a message; it is delivered between two events of the loop."""
        self._queue.put(message)

    def receiver(self, receiver: Callable[[object], None] | None) -> None:
        """Name the one callback that gets the messages."""
        self._receiver = receiver

    def deliver(self, timeout_s: float = 0.0) -> bool:
        """Hand over what waits, waiting up to `timeout_s` of wall time for a first message."""
        delivered = False
        wait = timeout_s
        while self._receiver is not None or wait > 0:
            try:
                message = self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            wait = 0.0
            if self._receiver is not None:
                self._receiver(message)
                delivered = True
        return delivered


class Interrupt:
    """The message that SIGINT leaves in the inbox."""


class _Ready(asyncio.Handle):
    """A callback of the next turn; made at half the cost, since it does not ask for debugging."""

    __slots__ = ()
    _context: contextvars.Context
    _loop: asyncio.AbstractEventLoop
    _callback: Callable[..., object]
    _repr: str | None
    _source_traceback: None

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[object, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class _Timer(_Ready, asyncio.TimerHandle):
    """A timer with the instant in ns and the tie rule."""

    __slots__ = ("key",)
    _scheduled: bool
    _when: float

    def __init__(
        self,
        key: tuple[int, int, int],
        callback: Callable[..., object],
        args: tuple[object, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        _Ready.__init__(self, callback, args, loop, context)
        self._when = key[0] * 1e-9
        self._scheduled = False
        self.key = key

    def __lt__(self, other: object) -> bool:
        return self.key < other.key if isinstance(other, _Timer) else NotImplemented

    __hash__ = asyncio.TimerHandle.__hash__


class _NoSelector:
    """Stands where asyncio keeps its selector; nothing is ever selected."""

    def close(self) -> None:
        """Nothing to close."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop on virtual time, optionally paced to `speed` × real time.

    `speed=None` runs as fast as the machine can; 60 shows an hour in a minute; 1 is real time.
    """

    _ready: deque[asyncio.Handle]
    _closed: bool
    _debug: bool
    _timer_cancelled_count: int
    _stopping: bool

    def __init__(self, speed: float | None = None, inbox: Inbox | None = None) -> None:
        super().__init__()
        self.inbox = inbox if inbox is not None else Inbox()
        self.inline = True
        self.horizon_ns: int | None = None
        self._now_ns = 0
        self._speed = speed
        self._started_s = time.monotonic()
        self._sequence = itertools.count()
        self._clock_resolution = 1e-9
        self._scheduled: list[_Timer] = []
        self._selector = _NoSelector()

    @property
    def now_ns(self) -> int:
        """Virtual ns since the loop was made."""
        return self._now_ns

    def time(self) -> float:
        """Return virtual seconds, for asyncio's own timeouts."""
        return self._now_ns * 1e-9

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Run a callback in the next turn."""
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        handle = _Ready(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule at a virtual time in seconds, as asyncio's own code does."""
        return self._schedule(round(when * 1e9), Priority.COMMAND, callback, args, context)

    def call_at_ns(
        self,
        t_ns: int,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        priority: Priority = Priority.COMMAND,
    ) -> asyncio.TimerHandle:
        """Schedule at a virtual instant in ns, with the tie rule's class."""
        return self._schedule(t_ns, priority, callback, args, None)

    def try_advance(self, t_ns: int) -> bool:
        """Set the clock to `t_ns` here and now if nothing else can happen before or at it.

        What the caller itself will do next, and holds no timer for yet, is the horizon.
        """
        horizon_ns, scheduled = self.horizon_ns, self._scheduled
        if horizon_ns is not None and horizon_ns <= t_ns:
            return False
        if self._ready or not self.inline or self._speed is not None or not self.inbox.empty():
            return False
        if scheduled and scheduled[0]._cancelled:
            self._prune()
        if scheduled and scheduled[0].key[0] <= t_ns:
            return False
        self._now_ns = max(self._now_ns, t_ns)
        return True

    def turn(self, *, idle: bool) -> None:
        """Deliver the inbox; if `idle`, move to the next timer, waiting for the pace if one is set.

        Raises:
            DeadlockError: idle with no timer.
        """
        if (not self.inbox.empty() and self.inbox.deliver()) or not idle or self._ready:
            return
        if not self._prune():
            raise DeadlockError(self._stuck())
        due_ns = self._scheduled[0].key[0]
        if self._speed is not None:
            behind_s = due_ns / 1e9 / self._speed - (time.monotonic() - self._started_s)
            if behind_s > 0 and self.inbox.deliver(behind_s):
                return
        self._now_ns = max(self._now_ns, due_ns)

    def _schedule(
        self,
        t_ns: int,
        priority: Priority,
        callback: Callable[..., object],
        args: tuple[object, ...],
        context: contextvars.Context | None,
    ) -> asyncio.TimerHandle:
        if self.is_closed():
            raise RuntimeError("the loop is closed")
        timer = _Timer((t_ns, priority, next(self._sequence)), callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def _stuck(self) -> str:
        waiting = sorted(task.get_name() for task in asyncio.all_tasks(self))
        return (
            f"virtual time stands at {self.time():.3f} s with nothing scheduled; "
            f"waiting: {', '.join(waiting) or 'nobody'}"
        )

    def _prune(self) -> bool:
        """Forget cancelled timers at the head; say whether one is left."""
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False
        return bool(scheduled)

    def _run_once(self) -> None:
        """Take one turn: move on if nothing is ready, wake what is due, run what is ready.

        In the order of asyncio's own, which this stands for at half the cost: no selector is asked
        and no callback is timed. What a callback makes ready runs in the next turn.
        """
        ready, scheduled = self._ready, self._scheduled
        if not (ready and self.inbox.empty()):
            self.turn(idle=not (ready or self._stopping))
        now_ns = self._now_ns
        while scheduled and scheduled[0].key[0] <= now_ns:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _write_to_self(self) -> None:
        """Nothing to wake: no other thread may schedule here; use the inbox."""

    def run_in_executor(self, *_: object, **__: object) -> asyncio.Future[object]:  # type: ignore[override]
        """Refuse: a thread would bring wall time into virtual time.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("threads do not exist in virtual time; use the inbox")


def run_virtual(
    main: Callable[[VirtualLoop], Coroutine[object, object, T]],
    *,
    speed: float | None = None,
    inbox: Inbox | None = None,
) -> T:
    """Run `main(loop)` in virtual time to its end; SIGINT becomes an `Interrupt` in the inbox.

    Raises:
        DeadlockError: every task waits and nothing is scheduled.
    """
    loop = VirtualLoop(speed, inbox)
    restore = _own_sigint(loop.inbox)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main(loop))
    finally:
        restore()
        _cancel_all(loop)
        asyncio.set_event_loop(None)
        loop.close()


def _own_sigint(inbox: Inbox) -> Callable[[], object]:
    try:
        before = signal.signal(signal.SIGINT, lambda *_: inbox.post(Interrupt()))
    except ValueError:  # not the main thread: whoever owns it owns SIGINT
        return lambda: None
    return lambda: signal.signal(signal.SIGINT, before)


def _cancel_all(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
