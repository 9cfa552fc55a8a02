"""One question at a time, the trip first, and no reply ever answers another question."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque

import pytest

from labctl.clock import NS, VirtualClock
from labctl.errors import NoReplyError
from labctl.framing import until
from labctl.loop import run_virtual
from labctl.transport import Port, Priority
from labctl.transport.memory import MemoryWire

MS = NS // 1000
LINE = until(b"\n")


class Echo:
    """Answers `qN` with `aN` after `delay_ns`, in order; `slow` delays single questions."""

    def __init__(self, delay_ns: int = 10 * MS, slow: dict[bytes, int] | None = None) -> None:
        self.delay_ns = delay_ns
        self.slow = slow or {}
        self.heard: list[tuple[int, bytes]] = []
        self.chatter: deque[bytes] = deque()
        self.in_order = True
        self._busy_ns = 0

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        replies = [(0, self.chatter.popleft()) for _ in range(len(self.chatter))]
        for question in data.split(b"\n")[:-1]:
            self.heard.append((t_ns, question))
            if question.startswith(b"q"):
                starts_ns = max(t_ns, self._busy_ns) if self.in_order else t_ns
                ready_ns = starts_ns + self.slow.get(question, self.delay_ns)
                self._busy_ns = max(self._busy_ns, ready_ns)
                replies.append((ready_ns - t_ns, b"a" + question[1:] + b"\n"))
        return replies

    @property
    def questions(self) -> list[bytes]:
        return [question for _, question in self.heard]


def on_line(echo, main, *, gap_ns=0, baud=0):
    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(echo, clock, baud=baud), clock, gap_ns=gap_ns)
        return await main(port, clock)

    return run_virtual(body)


async def ask(port, number, priority=Priority.COMMAND, **options):
    return await port.ask("unit", b"q%d\n" % number, LINE, priority=priority, **options)


def test_waiting_questions_go_by_priority_and_then_in_order():
    echo = Echo()

    async def main(port, clock):
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(port, 0))
            await clock.sleep_until(MS)
            for number, priority in (
                (1, Priority.POLL),
                (2, Priority.COMMAND),
                (3, Priority.POLL),
                (4, Priority.OPERATOR),
                (5, Priority.COMMAND),
            ):
                group.create_task(ask(port, number, priority))

    on_line(echo, main)
    assert echo.questions == [b"q0", b"q4", b"q2", b"q5", b"q1", b"q3"]


def test_a_trip_interrupts_the_query_in_flight_and_gets_its_own_answer():
    echo = Echo(delay_ns=50 * MS)

    async def main(port, clock):
        polled = asyncio.create_task(ask(port, 1, Priority.POLL))
        await clock.sleep_until(20 * MS)
        answer = await ask(port, 2, Priority.TRIP)
        with pytest.raises(NoReplyError):
            await polled
        return answer, await ask(port, 3)

    assert on_line(echo, main) == (b"a2\n", b"a3\n")
    # The interrupted reply was awaited (half duplex: the device is still talking), no longer.
    assert echo.heard[1] == (50 * MS, b"q2")


def test_a_trip_waits_at_most_100_ms_for_a_dead_device():
    echo = Echo(slow={b"q1": 3600 * NS})
    echo.in_order = False

    async def main(port, clock):
        polled = asyncio.create_task(ask(port, 1, Priority.POLL))
        await clock.sleep_until(20 * MS)
        answer = await ask(port, 2, Priority.TRIP)
        with pytest.raises(NoReplyError):
            await polled
        return answer

    assert on_line(echo, main) == b"a2\n"
    assert echo.heard[1] == (120 * MS, b"q2")


def test_a_trip_overtakes_a_question_that_waits_for_the_gap_and_nothing_else_is_sent():
    echo = Echo(delay_ns=0)

    async def main(port, clock):
        await ask(port, 0)
        waits = asyncio.create_task(ask(port, 1))
        await clock.sleep_until(50 * MS)
        answer = await ask(port, 2, Priority.TRIP)
        with pytest.raises(NoReplyError, match="trip; nothing was sent"):
            await waits
        return answer

    assert on_line(echo, main, gap_ns=100 * MS) == b"a2\n"
    assert echo.questions == [b"q0", b"q2"]


def test_two_trips_do_not_interrupt_each_other():
    async def main(port, clock):
        async with asyncio.TaskGroup() as group:
            first = group.create_task(ask(port, 1, Priority.TRIP))
            second = group.create_task(ask(port, 2, Priority.TRIP))
        return first.result(), second.result()

    assert on_line(Echo(), main) == (b"a1\n", b"a2\n")


async def poll(port, clock, *, count, period_ns=0):
    stale = unanswered = 0
    for number in range(count):
        if period_ns:
            await clock.sleep_until(number * period_ns)
        try:
            stale += await ask(port, number, Priority.POLL) != b"a%d\n" % number
        except NoReplyError:
            unanswered += 1
    return stale, unanswered


# A device answers in order; only a gateway may overtake itself, and then the pause between polls
# has to hold what is later than the port waits (100 ms).
@pytest.mark.parametrize("late_ms", [1001, 1050, 1099, 1101, 1250, 1900])
@pytest.mark.parametrize(("in_order", "period_ns"), [(True, 0), (True, NS), (False, NS)])
def test_one_late_reply_in_1000_polls_answers_no_other_question(late_ms, period_ns, in_order):
    echo = Echo(slow={b"q400": late_ms * MS})
    echo.in_order = in_order

    async def main(port, clock):
        return await poll(port, clock, count=1000, period_ns=period_ns)

    assert on_line(echo, main) == (0, 1)


def test_what_comes_unasked_is_handed_over_and_answers_nothing():
    echo, strays = Echo(), []

    async def main(port, clock):
        port.unsolicited.append(strays.append)
        echo.chatter.append(b"a7\n")
        stale = []
        for number in range(3):
            await clock.sleep_until(number * NS)
            stale.append(await ask(port, number))
            echo.chatter.append(b"noise")
        return stale

    assert on_line(echo, main) == [b"a0\n", b"a1\n", b"a2\n"]
    assert strays == [b"a7\n", b"noise", b"noise"]


def test_bytes_after_the_frame_are_handed_over():
    strays = []

    async def main(port, clock):
        port.unsolicited.append(strays.append)
        return await port.ask("unit", b"q12\n", lambda got: 2 if len(got) >= 2 else None)

    assert on_line(Echo(), main) == b"a1"
    assert strays == [b"2\n"]


def test_cancelling_a_question_in_the_queue_leaves_the_line_free():
    echo = Echo()

    async def main(port, clock):
        first = asyncio.create_task(ask(port, 1))
        queued = asyncio.create_task(ask(port, 2))
        await clock.sleep_until(5 * MS)
        queued.cancel()
        await first
        return await ask(port, 3)

    assert on_line(echo, main) == b"a3\n"
    assert echo.questions == [b"q1", b"q3"]


def test_cancelling_a_question_that_was_just_granted_the_line_passes_it_on():
    echo = Echo()

    async def main(port, clock):
        queued = []

        async def first():
            await ask(port, 1)
            queued[0].cancel()

        held = asyncio.create_task(first())
        await clock.sleep_until(MS)
        queued.append(asyncio.create_task(ask(port, 2)))
        last = asyncio.create_task(ask(port, 3))
        await held
        return await last

    assert on_line(echo, main) == b"a3\n"
    assert echo.questions == [b"q1", b"q3"]


def test_the_reply_to_a_question_cancelled_in_flight_answers_nobody():
    async def main(port, clock):
        asked = asyncio.create_task(ask(port, 1))
        await clock.sleep_until(2 * MS)
        asked.cancel()
        return await ask(port, 2)

    assert on_line(Echo(), main) == b"a2\n"


def test_the_gap_lies_between_a_reply_and_the_next_question():
    echo = Echo(delay_ns=10 * MS)

    async def main(port, clock):
        for number in range(3):
            await ask(port, number)
        await port.tell(b"t\n")

    on_line(echo, main, gap_ns=100 * MS)
    assert [t_ns for t_ns, _ in echo.heard] == [0, 110 * MS, 220 * MS, 330 * MS]


def test_a_gate_that_refuses_lets_no_byte_out_and_frees_the_line():
    class RefusedHereError(Exception):
        pass

    def gate():
        raise RefusedHereError

    echo = Echo()

    async def main(port, clock):
        with pytest.raises(RefusedHereError):
            await ask(port, 1, gate=gate)
        with pytest.raises(RefusedHereError):
            await port.tell(b"t\n", gate=gate)
        return await ask(port, 2)

    assert on_line(echo, main) == b"a2\n"
    assert echo.questions == [b"q2"]


def test_a_gate_is_asked_when_its_turn_comes_and_not_before():
    asked_ns = []

    async def main(port, clock):
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(port, 1))
            group.create_task(ask(port, 2, gate=lambda: asked_ns.append(clock.now_ns())))

    on_line(Echo(delay_ns=10 * MS), main)
    assert asked_ns == [10 * MS]


def test_half_a_frame_is_no_reply_and_the_message_shows_it():
    class Half:
        def feed(self, data, t_ns):
            return [(0, b"12")] if data else []

    async def main(port, clock):
        with pytest.raises(NoReplyError, match="b'12'"):
            await ask(port, 1, timeout_s=0.5)
        return clock.now_ns()

    assert on_line(Half(), main) == NS // 2


def test_the_trace_sees_both_directions_with_their_times():
    seen = []

    async def main(port, clock):
        port.trace = lambda *row: seen.append(row)
        await ask(port, 1)

    on_line(Echo(), main, baud=1000)  # 10 ms a byte
    assert seen == [(0, ">", b"q1\n"), (70 * MS, "<", b"a1\n")]


def test_bytes_in_memory_never_overtake_each_other():
    class Burst:
        def __init__(self):
            self.times = []

        def feed(self, data, t_ns):
            self.times.append(t_ns)
            return [(0, b"long line\n"), (MS, b"a\n")] if data else []

    burst = Burst()

    async def main(port, clock):
        await port.tell(b"0123456789")
        return await port.ask("unit", b"q\n", until(b"a\n"))

    assert on_line(burst, main, baud=1000) == b"long line\na\n"
    assert burst.times == sorted(burst.times)  # the instrument's time never runs backwards


def test_what_the_device_says_by_itself_occupies_the_line_before_its_reply():
    echo = Echo(delay_ns=0)
    echo.chatter.extend([b"0123456789\n", b"abcdefghij\n"])

    async def main(port, clock):
        return await port.ask("unit", b"q1\n", until(b"a1\n")), clock.now_ns()

    # 10 ms a byte: two lines of 11 bytes, then the reply of 3.
    assert on_line(echo, main, baud=1000) == (b"0123456789\nabcdefghij\na1\n", 250 * MS)
