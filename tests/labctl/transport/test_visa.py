"""The VISA wire over a real socket and a real pseudo-terminal, through pyvisa-py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import socket
import threading
import tty

import pytest

pytest.importorskip("pyvisa_py", reason="pyvisa-py (the visa extra) is not installed")

from labctl.clock import NS, WallClock
from labctl.errors import NoReplyError, PortLostError
from labctl.framing import until
from labctl.transport import Port, Priority
from labctl.transport.visa import VisaWire

LINE = until(b"\r\n")


@contextlib.asynccontextmanager
async def opened(resource):
    clock = WallClock()
    wire = VisaWire("laser", resource, clock)
    await wire.open()
    try:
        yield wire, Port("laser", wire, clock), clock
    finally:
        await wire.close()


@contextlib.asynccontextmanager
async def peer(handle):
    """Serve each line over TCP with `handle(line) -> reply`; yield the VISA resource's name."""
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        while line := await reader.readline():
            reply = handle(line)
            if reply is None:
                break
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"TCPIP::127.0.0.1::{server.sockets[0].getsockname()[1]}::SOCKET"
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await server.wait_closed()


async def test_questions_get_their_answers_over_tcp():
    async with (
        peer(lambda line: b"you said " + line) as resource,
        opened(resource) as (_, port, _),
    ):
        for word in (b"one", b"two", b"three"):
            assert await port.ask("laser", word + b"\r\n", LINE) == b"you said " + word + b"\r\n"


async def test_a_reply_longer_than_a_line_comes_whole():
    reply = bytes(byte for byte in range(256) if byte != 10) * 8 + b"\r\n"
    async with peer(lambda _: reply) as resource, opened(resource) as (_, port, _):
        assert await port.ask("laser", b"?\r\n", LINE) == reply


async def test_a_reply_split_by_a_pause_longer_than_a_slice_loses_nothing():
    async with peer(lambda _: b"12") as resource, opened(resource) as (_, port, clock):
        question = asyncio.create_task(port.ask("laser", b"?\r\n", until(b"1212")))
        await clock.sleep_until(clock.now_ns() + 60_000_000)
        await port._wire.write(b"more\r\n")
        assert await question == b"1212"


async def test_silence_ends_at_the_deadline():
    async with peer(lambda _: b"") as resource, opened(resource) as (_, port, clock):
        before_ns = clock.now_ns()
        with pytest.raises(NoReplyError, match=r"0\.1 s"):
            await port.ask("laser", b"?\r\n", LINE, timeout_s=0.1)
        assert 0.1 <= (clock.now_ns() - before_ns) / NS < 0.4


async def test_a_late_reply_is_not_the_answer_to_the_next_question():
    def handle(line):
        return b"" if line == b"slow\r\n" else b"fast " + line

    async with peer(handle) as resource, opened(resource) as (wire, port, clock):
        heard = []
        port.unsolicited.append(heard.append)
        with pytest.raises(NoReplyError):
            await port.ask("laser", b"slow\r\n", LINE, timeout_s=0.05)
        await wire.write(b"the late one\r\n")
        await clock.sleep_until(clock.now_ns() + 50_000_000)
        assert await port.ask("laser", b"?\r\n", LINE) == b"fast ?\r\n"
        await port.ask("laser", b"!\r\n", LINE)
        assert heard == [b"fast the late one\r\n"]


async def test_a_trip_does_not_wait_for_a_silent_instrument():
    answers = {b"wait\r\n": b"", b"off\r\n": b"OK\r\n"}
    async with peer(answers.__getitem__) as resource, opened(resource) as (_, port, clock):
        waiting = asyncio.create_task(port.ask("laser", b"wait\r\n", LINE, timeout_s=30))
        await clock.sleep_until(clock.now_ns() + 30_000_000)
        before_ns = clock.now_ns()
        assert await port.ask("laser", b"off\r\n", LINE, priority=Priority.TRIP) == b"OK\r\n"
        assert (clock.now_ns() - before_ns) / NS < 0.5
        with pytest.raises(NoReplyError):
            await waiting


async def test_an_abandoned_write_does_not_go_out_late():
    heard = []

    def handle(line):
        heard.append(line)
        return b""

    async with peer(handle) as resource, opened(resource) as (wire, _, clock):
        reading = asyncio.create_task(wire.receive(clock.now_ns() + 60_000_000))
        await clock.sleep_until(clock.now_ns() + 5_000_000)
        writing = asyncio.create_task(wire.write(b"emit\r\n"))
        await clock.sleep_until(clock.now_ns() + 1_000_000)
        writing.cancel()
        assert await reading == b""
        await wire.write(b"off\r\n")
        await clock.sleep_until(clock.now_ns() + 30_000_000)
    assert heard == [b"off\r\n"]


async def test_a_peer_that_hangs_up_is_reported_by_the_second_write():
    async with peer(lambda _: None) as resource, opened(resource) as (_, port, _):
        with pytest.raises(NoReplyError):
            await port.ask("laser", b"?\r\n", LINE, timeout_s=0.05)
        with contextlib.suppress(PortLostError):
            await port.tell(b"first\r\n")
        with pytest.raises(PortLostError, match="laser: asked"):
            await port.tell(b"second\r\n")


async def test_nobody_there_is_a_lost_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    wire = VisaWire("laser", f"TCPIP::127.0.0.1::{free}::SOCKET", WallClock())
    with pytest.raises(PortLostError, match="refused"):
        await wire.open()
    assert not [thread for thread in threading.enumerate() if thread.name == "visa laser"]


@pytest.mark.parametrize("resource", ["ASRL/dev/no_such_line::INSTR", "a laser", "TCPIP::"])
async def test_what_cannot_be_opened_is_a_lost_port(resource):
    with pytest.raises(PortLostError, match="laser: asked to open"):
        await VisaWire("laser", resource, WallClock()).open()


async def test_a_missing_backend_says_what_to_install():
    wire = VisaWire("laser", "ASRL1::INSTR", WallClock(), backend="@absent")
    with pytest.raises(PortLostError, match=r"pip install 'labctl\[visa\]'"):
        await wire.open()


async def test_a_closed_wire_is_closed_for_good():
    async with peer(lambda line: line) as resource, opened(resource) as (wire, _, clock):
        await wire.close()
        await wire.close()
        with pytest.raises(PortLostError, match="a closed one"):
            await wire.write(b"?")
        with pytest.raises(PortLostError, match="a closed one"):
            await wire.receive(clock.now_ns() + NS)
        await wire.open()
        await wire.write(b"again\r\n")
        assert await wire.receive(clock.now_ns() + NS) == b"again\r\n"


async def test_two_wires_have_a_thread_and_a_session_each():
    async with (
        peer(lambda _: b"one\r\n") as first,
        peer(lambda _: b"two\r\n") as second,
        opened(first) as (_, port_1, _),
        opened(second) as (wire_2, port_2, _),
    ):
        both = await asyncio.gather(
            port_1.ask("laser", b"?\r\n", LINE), port_2.ask("laser", b"?\r\n", LINE)
        )
        assert both == [b"one\r\n", b"two\r\n"]
        await wire_2.close()
        assert await port_1.ask("laser", b"?\r\n", LINE) == b"one\r\n"


async def test_questions_get_their_answers_over_a_pseudo_terminal():
    ours, theirs = pty.openpty()
    tty.setraw(theirs)

    def serve():
        asked = b""
        while not asked.endswith(b"\r\n"):
            asked += os.read(ours, 100)
        os.write(ours, b"405\r\nOK\r\n" if asked == b"WAV?\r\n" else b"?\r\n")

    instrument = threading.Thread(target=serve)
    instrument.start()
    try:
        async with opened(f"ASRL{os.ttyname(theirs)}::INSTR") as (_, port, _):
            assert await port.ask("laser", b"WAV?\r\n", until(b"OK\r\n")) == b"405\r\nOK\r\n"
    finally:
        instrument.join(5)
        os.close(ours)
        os.close(theirs)
