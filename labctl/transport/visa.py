"""A wire over pyvisa: one worker thread per session, its results handed to the event loop.

pyvisa blocks, so its thread reads in short slices and writes in between; a `receive` that is
interrupted, and a deadline, are met to within one slice of 20 ms. What arrived unasked is read
just before the next question goes out and given by the `take` after it, so that it can never be
mistaken for the answer. Limits of pyvisa-py 0.8: a peer that closes a socket is noticed at the
second write after it, for it tells no end of file from silence; and it cannot switch Nagle's
algorithm off, so that a question on a socket whose last question got no answer may leave up to
0.2 s late.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pyvisa
from pyvisa.constants import StatusCode
from pyvisa.resources import MessageBasedResource, SerialInstrument, TCPIPSocket

from labctl.clock import Clock
from labctl.errors import PortLostError

T = TypeVar("T")

_SLICE_MS = 20
_AT_ONCE_MS = 1
_WRITE_MS = 2000
_OPEN_MS = 5000
_LONGEST = 65536


class VisaWire:
    """A VISA session such as `TCPIP::host::5000::SOCKET` or `ASRL/dev/ttyUSB0::INSTR`.

    `backend` is pyvisa's: `@py` for pyvisa-py, empty for the maker's library. Only in real time:
    a thread has no place in virtual time. A serial session has VISA's 9600 baud, 8N1.
    """

    def __init__(self, name: str, resource: str, clock: Clock, backend: str = "@py") -> None:
        self._name = name
        self._resource = resource
        self._clock = clock
        self._backend = backend
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._session: _Session | None = None
        self._unasked = b""
        self._interrupted = False

    async def open(self) -> None:
        """Start the thread and open the session in it.

        Raises:
            PortLostError: the backend is not installed, or nothing answers there.
        """
        name = f"visa {self._name}"
        self._thread = threading.Thread(target=_serve, args=(self._jobs,), name=name, daemon=True)
        self._thread.start()
        try:
            self._session = await self._run(self._connect, f"to open {self._resource}")
        except PortLostError:
            await self.close()
            raise

    async def write(self, data: bytes) -> None:
        """Send bytes, having set aside what came before them.

        Raises:
            PortLostError: the session is gone.
        """
        session = self._opened(repr(data))
        self._unasked += await self._run(lambda: session.send(data), repr(data))

    def take(self) -> bytes:
        """Return and forget what is known to have arrived unasked."""
        taken, self._unasked = self._unasked, b""
        return taken

    async def receive(self, deadline_ns: int) -> bytes:
        """Return the next bytes, or none at the deadline or when interrupted.

        Raises:
            PortLostError: the session is gone.
        """
        session = self._opened("for a reply")
        self._interrupted = False
        received = b""
        while not received and not self._interrupted and self._clock.now_ns() < deadline_ns:
            received = await self._run(session.receive, "for a reply")
        return received

    def interrupt(self) -> None:
        """Make a `receive` that waits return with what it has, within one slice."""
        self._interrupted = True

    async def close(self) -> None:
        """Close the session and end the thread; closing twice is allowed."""
        thread, session = self._thread, self._session
        self._thread = self._session = None
        if thread is None:
            return
        if session is not None:
            await self._run(session.close, "to close")
        self._jobs.put(None)
        thread.join()

    def _opened(self, asked: str) -> _Session:
        if self._session is None:
            raise PortLostError(self._name, asked, "an open port", "a closed one")
        return self._session

    def _connect(self) -> _Session:
        try:
            manager = pyvisa.ResourceManager(self._backend)
        except (ValueError, OSError) as error:
            raise PortLostError(
                self._name,
                f"to open {self._resource}",
                f"the VISA backend {self._backend!r}",
                f"{error}; pip install 'labctl[visa]' brings pyvisa-py",
            ) from None
        return _Session(manager, self._resource)

    async def _run(self, work: Callable[[], T], asked: str) -> T:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        self._jobs.put(partial(_perform, work, loop, outcome))
        try:
            return await outcome
        except _SessionError as error:
            raise PortLostError(
                self._name, asked, f"an open session with {self._resource}", str(error)
            ) from None


class _SessionError(Exception):
    """What pyvisa raised in the thread, in words."""


class _Session:
    """The blocking half: a pyvisa resource that only the thread touches.

    A stream (socket, serial) has no message boundaries, and pyvisa-py drops what it holds when a
    read of several bytes times out; so a stream is read byte by byte up to a line feed or silence.
    """

    def __init__(self, manager: pyvisa.ResourceManager, name: str) -> None:
        resource = manager.open_resource(name, open_timeout=_OPEN_MS)
        if not isinstance(resource, MessageBasedResource):
            resource.close()
            raise _SessionError(f"{name} is a {type(resource).__name__}, which has no messages")
        self._resource = resource
        self._library = resource.visalib
        self._is_stream = isinstance(resource, SerialInstrument | TCPIPSocket)
        self._timeout_ms = 0
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(resource.ignore_warning(StatusCode.success_max_count_read))
        self._drain()  # a refused connection shows at the first read, not at the open

    def send(self, data: bytes) -> bytes:
        """Write all of `data`; return what had arrived before."""
        before = self._drain()
        self._set_timeout(_WRITE_MS)
        while data:
            count, _ = self._library.write(self._resource.session, data)
            data = data[count:]
        return before

    def receive(self) -> bytes:
        """Return the next bytes, or none after one slice."""
        if not self._is_stream:
            return self._read(_LONGEST, _SLICE_MS)
        received = self._read(1, _SLICE_MS)
        while received and not received.endswith(b"\n") and len(received) < _LONGEST:
            byte = self._read(1, _AT_ONCE_MS)
            if not byte:
                break
            received += byte
        return received

    def close(self) -> None:
        """Close the resource; its manager is shared with other sessions and stays."""
        self._quiet.close()
        self._resource.close()

    def _drain(self) -> bytes:
        drained = b""
        while self._is_stream and (byte := self._read(1, _AT_ONCE_MS)):
            drained += byte
        return drained

    def _read(self, count: int, timeout_ms: int) -> bytes:
        self._set_timeout(timeout_ms)
        try:
            data, _ = self._library.read(self._resource.session, count)
        except pyvisa.VisaIOError as error:
            if error.error_code != StatusCode.error_timeout:
                raise
            return b""
        return bytes(data)

    def _set_timeout(self, timeout_ms: int) -> None:
        if timeout_ms != self._timeout_ms:
            self._resource.timeout = self._timeout_ms = timeout_ms


def _serve(jobs: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()


def _perform(
    work: Callable[[], T], loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T]
) -> None:
    if outcome.cancelled():  # whoever asked has gone: an abandoned write must not go out late
        return
    settle: Callable[[], None]
    try:
        settle = partial(outcome.set_result, work())
    except PortLostError as error:
        settle = partial(outcome.set_exception, error)
    except Exception as error:  # noqa: BLE001 - pyvisa-py raises bare Exceptions
        settle = partial(outcome.set_exception, _SessionError(f"{type(error).__name__}: {error}"))
    with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
        loop.call_soon_threadsafe(_unless_cancelled, outcome, settle)


def _unless_cancelled(outcome: asyncio.Future[T], settle: Callable[[], None]) -> None:
    if not outcome.done():
        settle()
