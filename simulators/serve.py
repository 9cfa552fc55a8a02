"""Serves simulated instruments in real time: on pseudo-terminals and over TCP.

Any program that talks to the real instrument can open them. The caller says what time it is; with
`paced=False` nothing is left to the wall clock: replies go out at once and nothing is said unasked,
so that a test that steps the time gets the same bytes every time. Linux and other POSIX systems.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable
from typing import Final

from labctl.twin import SimDevice

TICK_NS: Final = 250_000_000
_LISTEN_S: Final = 0.1
_TURN_S: Final = 0.1
_NS: Final = 1_000_000_000
_CHUNK: Final = 65536

Send = Callable[[bytes], None]


class Ticked:
    """An instrument whose clockwork is kept going, every 250 ms of its time; a `SimDevice` too.

    Serve the same one on several endpoints to have them share the instrument.
    """

    def __init__(self, device: SimDevice) -> None:
        self._device = device
        self._ticked_ns = 0

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Bring the instrument to `t_ns`, then let it hear what arrived."""
        self.advance(t_ns)
        return self._device.feed(data, t_ns)

    def advance(self, t_ns: int) -> None:
        """Tick until `t_ns`."""
        while self._ticked_ns + TICK_NS <= t_ns:
            self._ticked_ns += TICK_NS
            self._device.advance(self._ticked_ns)


class Served:
    """One served instrument; close it when done. What is heard goes in, in order of arrival."""

    def __init__(self, answering: SimDevice, now_ns: Callable[[], int], *, paced: bool) -> None:
        self._ticked = answering if isinstance(answering, Ticked) else Ticked(answering)
        self._now_ns = now_ns
        self._paced = paced
        self._loop = asyncio.get_running_loop()
        self._timers: set[asyncio.TimerHandle] = set()
        self._free_s = 0.0
        self._listener: asyncio.TimerHandle | None = None
        if paced:
            self._listen()

    async def close(self) -> None:
        """Stop serving and close every channel; closing twice is allowed."""
        if self._listener is not None:
            self._listener.cancel()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _hear(self, data: bytes, send: Send) -> bool:
        """Let the instrument hear something; say whether it answered."""
        replies = self._ticked.feed(data, self._now_ns())
        for delay_ns, reply in replies:
            if self._paced:
                self._send_later(delay_ns, reply, send)
            else:
                send(reply)
        return bool(replies)

    def _send_later(self, delay_ns: int, reply: bytes, send: Send) -> None:
        # Timers of one instant have no order: each reply is due a little after the one before.
        due_s = max(self._loop.time() + delay_ns / _NS, self._free_s + 1e-6)
        self._free_s = due_s
        self._timers = {timer for timer in self._timers if timer.when() > self._loop.time()}
        self._timers.add(self._loop.call_at(due_s, send, reply))

    def _listen(self) -> None:
        """Let the instrument's time pass and pass on what it says by itself."""
        self._hear(b"", self._send_to_all)
        self._listener = self._loop.call_later(_LISTEN_S, self._listen)

    def _send_to_all(self, data: bytes) -> None:
        """Pass on what nobody asked for."""


class ServedPty(Served):
    """An instrument on a pseudo-terminal, opened by its `path` like a serial port.

    Clients may open and close it around every command: the other end is kept open here. What is
    said while nobody reads is lost when the terminal's buffer is full, as on a line.
    """

    def __init__(self, answering: SimDevice, now_ns: Callable[[], int], *, paced: bool) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        super().__init__(answering, now_ns, paced=paced)
        self._loop.add_reader(self._master, self._readable)

    async def close(self) -> None:
        """Stop serving and close the terminal; closing twice is allowed."""
        await super().close()
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._hear(os.read(self._master, _CHUNK), self._send_to_all)

    def _send_to_all(self, data: bytes) -> None:
        if self._master >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)


class ServedTcp(Served):
    """An instrument behind a TCP port, for any number of clients; a reply goes to who asked.

    Clients take turns, so that the half question of one is not mixed with another's: who spoke has
    the instrument until it answers, or for 100 ms. `url` is what pyserial opens.
    """

    def __init__(self, answering: SimDevice, now_ns: Callable[[], int], *, paced: bool) -> None:
        self.host, self.port = "", 0
        self._clients: set[_Client] = set()
        self._speaker: _Client | None = None
        self._waiting: dict[_Client, bytes] = {}
        self._turn: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._closed = False
        super().__init__(answering, now_ns, paced=paced)

    @property
    def url(self) -> str:
        """The address as a pyserial URL."""
        return f"socket://{self.host}:{self.port}"

    async def listen(self, host: str, port: int) -> None:
        """Begin to accept clients."""
        self._server = await self._loop.create_server(self._meet, host, port)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def close(self) -> None:
        """Stop serving and hang up on all clients; closing twice is allowed."""
        await super().close()
        self._closed = True
        self._waiting.clear()
        if self._turn is not None:
            self._turn.cancel()
        if self._server is not None:
            self._server.close()
            clients = list(self._clients)
            for client in clients:
                client.hang_up()
            await asyncio.gather(*(client.gone for client in clients))
            await self._server.wait_closed()

    def _meet(self) -> _Client:
        client = _Client(self._told)
        self._clients.add(client)
        client.gone.add_done_callback(lambda _: self._forget(client))
        if self._closed:
            client.hang_up()
        return client

    def _told(self, client: _Client, data: bytes) -> None:
        if self._speaker not in {None, client}:
            self._waiting[client] = self._waiting.get(client, b"") + data
            return
        answered = self._hear(data, client.send)
        if self._speaker is None and not answered:
            self._speaker = client
            self._turn = self._loop.call_later(_TURN_S, self._next_turn)
        elif self._speaker is not None and answered:
            self._next_turn()

    def _next_turn(self) -> None:
        """End a turn; who waits longest is heard next."""
        if self._turn is not None:
            self._turn.cancel()
        self._speaker = self._turn = None
        while self._waiting and self._speaker is None:
            client = next(iter(self._waiting))
            self._told(client, self._waiting.pop(client))

    def _forget(self, client: _Client) -> None:
        self._clients.discard(client)
        if self._speaker is client and not self._closed:
            self._next_turn()

    def _send_to_all(self, data: bytes) -> None:
        for client in self._clients:
            client.send(data)


class _Client(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, tell: Callable[[_Client, bytes], None]) -> None:
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tell = tell
        self._transport: asyncio.Transport | None = None
        self._wanted = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back; who comes while the service ends is sent away."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        if not self._wanted:
            self.hang_up()

    def data_received(self, data: bytes) -> None:
        """Pass on what the client asks."""
        self._tell(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._transport = None
        if not self.gone.done():
            self.gone.set_result(None)

    def send(self, data: bytes) -> None:
        """Send, if the client is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def hang_up(self) -> None:
        """Close the connection at once, or as soon as there is one."""
        self._wanted = False
        if self._transport is not None:
            self._transport.abort()


async def serve_pty(
    answering: SimDevice, now_ns: Callable[[], int], *, paced: bool = True
) -> ServedPty:
    """Serve an instrument, or a line of several, on a new pseudo-terminal."""
    return ServedPty(answering, now_ns, paced=paced)


async def serve_tcp(
    answering: SimDevice,
    now_ns: Callable[[], int],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    paced: bool = True,
) -> ServedTcp:
    """Serve an instrument, or a line of several, over TCP; port 0 takes any free one."""
    served = ServedTcp(answering, now_ns, paced=paced)
    await served.listen(host, port)
    return served
