import asyncio
import contextlib
from pathlib import Path

import pytest

from labctl.clock import NS, WallClock
from labctl.errors import NoReplyError, PortLostError, RefusedByDeviceError
from labctl.framing import until
from labctl.transport import Port, Priority
from labctl.transport.descriptor import LineSettings, SerialWire, TcpWire
from simulators.serve import serve_pty, serve_tcp

LINE = until(b"\n")
WIRES = ["pty", "tcp", "socket"]


class Clerk:
    """Answers each line with itself; a line may ask for a delay in ms, as in `late 80`."""

    def __init__(self):
        self._buffer = b""
        self.heard = []

    def feed(self, data, t_ns):
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self.heard += lines
        return [reply for line in lines for reply in self._replies(line)]

    def advance(self, t_ns):
        pass

    @staticmethod
    def _replies(line):
        word, _, delay_ms = line.partition(b" ")
        if word == b"silence":
            return []
        text = b"x" * 5000 if word == b"long" else b"re " + line
        return [(int(delay_ms or b"1") * 1_000_000, text + b"\n")]


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.asynccontextmanager
async def opened(kind, clerk=None):
    clock = WallClock()
    answering = clerk or Clerk()
    if kind == "pty":
        served = await serve_pty(answering, clock.now_ns)
        wire = SerialWire("line", served.path, LineSettings(9600, 7, "E", 1), clock)
    else:
        served = await serve_tcp(answering, clock.now_ns)
        if kind == "tcp":
            wire = TcpWire("line", served.host, served.port, clock)
        else:
            wire = SerialWire("line", served.url, LineSettings(), clock)
    port = Port("line", wire, clock)
    await port.open()
    try:
        yield port, served, clock
    finally:
        await port.close()
        await served.close()


@pytest.mark.parametrize("kind", WIRES)
async def test_every_question_gets_its_answer(kind):
    async with opened(kind) as (port, _, _):
        for number in range(50):
            question = b"number%d" % number
            assert await port.ask("clerk", question + b"\n", LINE) == b"re " + question + b"\n"


@pytest.mark.parametrize("kind", WIRES)
async def test_questions_asked_at_once_get_their_own_answers(kind):
    async with opened(kind) as (port, _, _):
        questions = [b"q%d\n" % number for number in range(10)]
        answers = await asyncio.gather(*(port.ask("clerk", q, LINE) for q in questions))
    assert answers == [b"re " + question for question in questions]


@pytest.mark.parametrize("kind", WIRES)
async def test_no_reply_is_said_after_the_timeout(kind):
    async with opened(kind) as (port, _, clock):
        began_ns = clock.now_ns()
        with pytest.raises(NoReplyError, match="silence"):
            await port.ask("clerk", b"silence\n", LINE, timeout_s=0.1)
        assert 0.1 * NS <= clock.now_ns() - began_ns < 1.0 * NS


@pytest.mark.parametrize("timeouts_s", [(5.0, 0.05, 0.15), (0.05, 0.15, 0.05), (0.15, 0.05, 5.0)])
async def test_each_question_has_its_own_deadline_whatever_the_one_before_had(timeouts_s):
    async with opened("pty") as (port, _, clock):
        for timeout_s in timeouts_s:
            answer = await port.ask("clerk", b"now\n", LINE, timeout_s=timeout_s)
            assert answer == b"re now\n"
            if timeout_s > 1:
                continue
            began_ns = clock.now_ns()
            with pytest.raises(NoReplyError):
                await port.ask("clerk", b"silence\n", LINE, timeout_s=timeout_s)
            assert timeout_s * NS <= clock.now_ns() - began_ns < 1.0 * NS


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize("late_ms", [60, 110, 150])
async def test_a_late_reply_is_never_the_answer_to_the_next_question(kind, late_ms):
    async with opened(kind) as (port, _, _):
        stray = []
        port.unsolicited.append(stray.append)
        with pytest.raises(NoReplyError):
            await port.ask("clerk", b"late %d\n" % late_ms, LINE, timeout_s=0.04)
        for number in range(3):
            reply = await port.ask("clerk", b"now %d\n" % (number + 1), LINE)
            assert reply == b"re now %d\n" % (number + 1)
    assert b"".join(stray) == b"re late %d\n" % late_ms


@pytest.mark.parametrize("kind", ["tcp", "socket"])
async def test_a_long_reply_comes_whole(kind):
    async with opened(kind) as (port, _, _):
        assert await port.ask("clerk", b"long\n", LINE) == b"x" * 5000 + b"\n"


@pytest.mark.parametrize("kind", WIRES)
async def test_a_trip_overtakes_what_waits_for_a_reply(kind):
    async with opened(kind) as (port, _, clock):
        began_ns = clock.now_ns()
        slow = asyncio.create_task(port.ask("clerk", b"silence\n", LINE, timeout_s=5))
        await clock.sleep_until(began_ns + NS // 50)
        answer = await port.ask("clerk", b"safe\n", LINE, priority=Priority.TRIP)
        with pytest.raises(NoReplyError):
            await slow
        assert answer == b"re safe\n"
        assert clock.now_ns() - began_ns < NS


# pyserial leaves its socket to the collector when the other side hung up first
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["tcp", "socket"])
async def test_the_other_side_hanging_up_is_a_lost_port(kind):
    async with opened(kind) as (port, served, _):
        waiting = asyncio.create_task(port.ask("clerk", b"silence\n", LINE, timeout_s=5))
        await served.close()
        with pytest.raises(PortLostError):
            await waiting
        with pytest.raises(PortLostError):
            await port.ask("clerk", b"hello\n", LINE, timeout_s=0.2)


async def test_a_terminal_that_goes_away_is_a_lost_port():
    async with opened("pty") as (port, served, _):
        waiting = asyncio.create_task(port.ask("clerk", b"silence\n", LINE, timeout_s=0.5))
        await port._clock.sleep_until(port._clock.now_ns() + NS // 50)
        await served.close()
        with pytest.raises(PortLostError):
            await waiting


@pytest.mark.parametrize(
    "wire_of",
    [
        lambda clock: SerialWire("line", "/dev/nothing", LineSettings(), clock),
        lambda clock: SerialWire("line", "socket://127.0.0.1:9", LineSettings(), clock),
        lambda clock: TcpWire("line", "127.0.0.1", 9, clock),
    ],
)
async def test_what_cannot_be_opened_is_a_lost_port(wire_of):
    wire = wire_of(WallClock())
    with pytest.raises(PortLostError, match="line: asked"):
        await wire.open()
    await wire.close()


async def test_ten_clients_talk_at_once():
    clock = WallClock()
    clerk = Clerk()
    served = await serve_tcp(clerk, clock.now_ns)
    ports = [Port("p", TcpWire("p", served.host, served.port, clock), clock) for _ in range(10)]
    for port in ports:
        await port.open()

    async def talk(number, port):
        for k in range(20):
            question = b"c%d-%d\n" % (number, k)
            assert await port.ask("clerk", question, LINE) == b"re " + question

    try:
        await asyncio.gather(*(talk(number, port) for number, port in enumerate(ports)))
    finally:
        for port in ports:
            await port.close()
        await served.close()
    assert len(clerk.heard) == 200


@pytest.mark.parametrize("kind", WIRES)
async def test_opening_and_closing_leaks_nothing(kind):
    async with opened(kind) as (port, _, _):
        await port.close()
        await port.open()
        before = descriptors()
        for _ in range(2):
            await port.close()
            await port.open()
            assert await port.ask("clerk", b"again\n", LINE) == b"re again\n"
        assert descriptors() <= before + 1


async def test_an_adapter_that_comes_back_under_another_name_is_verified_before_anybody_asks():
    clock, clerk = WallClock(), Clerk()
    first = await serve_pty(clerk, clock.now_ns)
    where = [first.path]
    port = Port("line", SerialWire("line", lambda: where[0], LineSettings(), clock), clock)
    await port.open()
    second = None
    try:
        assert await port.ask("clerk", b"one\n", LINE) == b"re one\n"
        await first.close()
        with pytest.raises(PortLostError):
            await port.ask("clerk", b"two\n", LINE, timeout_s=0.3)
        assert port.lost
        second = await serve_pty(clerk, clock.now_ns)
        where[0] = second.path
        refused = []

        async def verify():
            with pytest.raises(PortLostError, match="not verified yet"):
                await asyncio.create_task(port.ask("clerk", b"STOP\n", LINE))
            refused.append(await port.ask("clerk", b"who\n", LINE))

        await port.reopen(verify)
        assert refused == [b"re who\n"]
        assert await port.ask("clerk", b"three\n", LINE) == b"re three\n"
        assert clerk.heard == [b"one", b"who", b"three"]
    finally:
        await port.close()
        await first.close()
        if second is not None:
            await second.close()


async def test_a_port_on_which_somebody_else_answers_stays_lost():
    async with opened("pty") as (port, _, _):

        async def verify():
            raise RefusedByDeviceError("clerk", "who it is", "the clerk", "a stranger")

        with pytest.raises(RefusedByDeviceError):
            await port.reopen(verify)
        with pytest.raises(PortLostError, match="not verified yet"):
            await port.ask("clerk", b"one\n", LINE)
