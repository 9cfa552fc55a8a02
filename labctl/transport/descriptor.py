"""Wires over a file descriptor on the event loop: serial ports, ptys and sockets.

pyserial opens and configures the serial port (and `socket://` URLs); its descriptor then goes on
the loop, so that no thread and no poll stands between the line and the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import termios
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import serial

from labctl.clock import Clock
from labctl.errors import PortLostError


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How a serial line is set: baud, data bits, parity (N, E, O), stop bits."""

    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: int = 1

    @property
    def bits(self) -> str:
        """The format in the usual short form, such as 8N1."""
        return f"{self.data_bits}{self.parity}{self.stop_bits}"


class DescriptorWire(ABC):
    """The common part: a non-blocking descriptor read by the loop into a buffer."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._fd = -1
        self._buffer = bytearray()
        self._lost = ""
        self._waiter: asyncio.Future[None] | None = None
        self._deadline_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._arrivals = select.poll()

    async def open(self) -> None:
        """Open the channel and put it on the running loop.

        Raises:
            PortLostError: it cannot be opened.
        """
        self._fd = await self._connect()
        os.set_blocking(self._fd, False)
        self._arrivals.register(self._fd, select.POLLIN)
        self._lost = ""
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    async def write(self, data: bytes) -> None:
        """Send all bytes, waiting while the line's buffer is full.

        Raises:
            PortLostError: the channel is gone.
        """
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                self._lost = str(error)
            if self._lost:
                raise PortLostError(self._name, repr(data), "an open port", self._lost)

    def take(self) -> bytes:
        """Return and forget what has arrived by now."""
        # Asking first is a third of the cost of a read that finds nothing, as most do.
        if self._fd >= 0 and self._arrivals.poll(0):
            self._readable()
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    async def receive(self, deadline_ns: int) -> bytes:
        """Return the next bytes, or none at the deadline or when interrupted.

        Raises:
            PortLostError: the channel is gone.
        """
        if not self._buffer and not self._lost and self._clock.now_ns() < deadline_ns:
            self._waiter = asyncio.get_running_loop().create_future()
            self._deadline_ns = deadline_ns
            self._set_timer()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._lost and not self._buffer:
            raise PortLostError(self._name, "for a reply", "an open port", self._lost)
        received = bytes(self._buffer)
        self._buffer.clear()
        return received

    def interrupt(self) -> None:
        """Make a `receive` that waits return at once with nothing."""
        self._wake()

    async def close(self) -> None:
        """Take the descriptor off the loop and close it; closing twice is allowed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._arrivals.unregister(self._fd)
            self._fd = -1
            self._disconnect()

    @abstractmethod
    async def _connect(self) -> int:
        """Open the channel and return its descriptor."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close what `_connect` opened."""

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        except OSError as error:
            data, self._lost = b"", str(error)
        if data:
            self._buffer += data
        else:
            self._lost = self._lost or "closed by the other side"
            asyncio.get_running_loop().remove_reader(self._fd)
        self._wake()

    def _set_timer(self) -> None:
        """Have the deadline noticed.

        One timer runs on from question to question and is set anew when it rings: replies come
        long before their deadlines, and a timer for each would cost as much as reading them.
        """
        if self._timer is not None:
            if self._timer_ns <= self._deadline_ns:
                return
            self._timer.cancel()
        ringing = asyncio.get_running_loop().create_future()
        ringing.add_done_callback(self._ring)
        self._timer = self._clock.alarm(self._deadline_ns, ringing)
        self._timer_ns = self._deadline_ns

    def _ring(self, _ringing: asyncio.Future[None]) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._clock.now_ns() < self._deadline_ns:
            self._set_timer()
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            _resolve(self._waiter)

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._fd, _resolve, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self._fd)


class SerialWire(DescriptorWire):
    """A serial port, a pty or a pyserial URL such as `socket://host:port`.

    `url` may be a function that finds the port anew whenever it is opened: an adapter that was
    unplugged comes back under another name.

    A pseudo-terminal cannot do 7 data bits or parity on Linux; there the line is relaxed to 8N1.
    """

    def __init__(
        self, name: str, url: str | Callable[[], str], settings: LineSettings, clock: Clock
    ) -> None:
        super().__init__(name, clock)
        self._find = url
        self._settings = settings
        self._serial: serial.SerialBase | None = None

    async def _connect(self) -> int:
        settings = self._settings
        url = self._find if isinstance(self._find, str) else self._find()
        if url.startswith("/dev/pts/"):
            settings = LineSettings(settings.baud)
        try:
            port = serial.serial_for_url(
                url,
                baudrate=settings.baud,
                bytesize=settings.data_bits,
                parity=settings.parity,
                stopbits=settings.stop_bits,
                timeout=0,
                exclusive=None if "://" in url else True,
            )
        except (serial.SerialException, ValueError, termios.error) as error:
            raise PortLostError(self._name, f"to open {url}", "a free port", str(error)) from None
        self._serial = port
        if "://" not in url:
            _tell_silence_from_loss(port.fileno())
        return int(port.fileno())

    def _disconnect(self) -> None:
        if self._serial is not None:
            self._serial.close()
            self._serial = None


class TcpWire(DescriptorWire):
    """A TCP connection."""

    def __init__(self, name: str, host: str, port: int, clock: Clock) -> None:
        super().__init__(name, clock)
        self._address = (host, port)
        self._socket: socket.socket | None = None

    async def _connect(self) -> int:
        loop = asyncio.get_running_loop()
        last = "no address"
        try:
            found = await loop.getaddrinfo(*self._address, type=socket.SOCK_STREAM)
        except OSError as error:
            found, last = [], str(error)
        for family, kind, protocol, _, address in found:
            candidate = socket.socket(family, kind, protocol)
            candidate.setblocking(False)
            try:
                async with asyncio.timeout(5):
                    await loop.sock_connect(candidate, address)
            except OSError as error:
                last = str(error) or "no answer within 5 s"
                candidate.close()
                continue
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = candidate
            return candidate.fileno()
        where = "{}:{}".format(*self._address)
        raise PortLostError(self._name, f"to connect to {where}", "a connection", last)

    def _disconnect(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _tell_silence_from_loss(fd: int) -> None:
    """Make an empty read of a tty mean that it is gone: pyserial sets VMIN 0, for silence."""
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
