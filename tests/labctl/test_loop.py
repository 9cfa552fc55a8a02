"""Virtual time jumps exactly, names who is stuck, and lets nothing else decide the order."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.clock import NS, Priority, VirtualClock
from labctl.errors import DeadlockError
from labctl.loop import Inbox, Interrupt, VirtualLoop, run_virtual

START = dt.datetime(2025, 11, 3, 9)


def test_ten_hours_of_sleeps_end_at_exactly_ten_hours():
    async def main(loop: VirtualLoop) -> int:
        clock = VirtualClock(loop, START)
        for n in range(36_000):
            await clock.sleep_until((n + 1) * NS)
        return clock.now_ns()

    assert run_virtual(main) == 36_000 * NS


@pytest.mark.parametrize("inline", [True, False])
def test_order_and_times_do_not_depend_on_inline_advance(inline):
    log = []

    async def ticker(clock: VirtualClock, name: str, period_ns: int) -> None:
        for n in range(1, 50):
            await clock.sleep_until(n * period_ns)
            log.append((clock.now_ns(), name))

    async def main(loop: VirtualLoop) -> None:
        loop.inline = inline
        clock = VirtualClock(loop, START)
        async with asyncio.TaskGroup() as group:
            for name, period in (("a", 3 * NS), ("b", 5 * NS), ("c", 7 * NS)):
                group.create_task(ticker(clock, name, period))

    run_virtual(main)
    times = [t for t, _ in log]
    assert times == sorted(times)
    assert sorted(log) == sorted(
        [(n * p * NS, name) for name, p in (("a", 3), ("b", 5), ("c", 7)) for n in range(1, 50)]
    )


class _AsyncioSelector:
    def __init__(self, loop):
        self.loop = loop

    def select(self, timeout):
        self.loop.turn(idle=timeout is None or timeout > 0)
        return []

    def close(self):
        pass


class AsyncioTurns(VirtualLoop):
    """The virtual loop with the turn that asyncio itself takes."""

    _run_once = asyncio.BaseEventLoop._run_once

    def __init__(self):
        super().__init__()
        self._selector = _AsyncioSelector(self)

    def _process_events(self, event_list):
        pass


def history(loop, plan):
    """Run callbacks that schedule others, some cancelled; return who ran when."""
    happened, handles = [], []

    def run(number, depth):
        happened.append((loop.now_ns, number))
        if depth:
            schedule(depth - 1)

    def schedule(depth):
        for number, (delay_ns, priority, cancels) in enumerate(plan):
            if priority is None:
                handles.append(loop.call_soon(run, number, depth))
            else:
                at_ns = loop.now_ns + delay_ns
                handles.append(loop.call_at_ns(at_ns, run, number, depth, priority=priority))
            if cancels:
                handles[len(handles) // 2].cancel()

    loop.call_soon(schedule, 2)
    loop.call_at_ns(10 * NS, loop.stop)
    try:
        loop.run_forever()
    finally:
        loop.close()
    return happened


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1000, NS, 2 * NS]),
            st.sampled_from([None, *Priority]),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_turns_go_as_asyncios_own_do(plan):
    assert history(VirtualLoop(), plan) == history(AsyncioTurns(), plan)


def test_one_instant_goes_trip_operator_command_poll():
    order = []

    async def main(loop: VirtualLoop) -> None:
        for priority in (Priority.POLL, Priority.COMMAND, Priority.TRIP, Priority.OPERATOR):
            loop.call_at_ns(NS, order.append, priority, priority=priority)
        await VirtualClock(loop, START).sleep_until(2 * NS)

    run_virtual(main)
    assert order == sorted(Priority)


def test_a_run_in_which_everyone_waits_says_who():
    async def main(loop: VirtualLoop) -> None:
        async def never() -> None:
            await loop.create_future()

        await asyncio.create_task(never(), name="step hf")

    with pytest.raises(DeadlockError, match=r"nothing scheduled; waiting: .*step hf"):
        run_virtual(main)


def test_asyncio_timeout_fires_in_virtual_time():
    async def main(loop: VirtualLoop) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await loop.create_future()
        return loop.time()

    assert run_virtual(main) == 3600.0


def test_threads_are_refused():
    async def main(loop: VirtualLoop) -> None:
        with pytest.raises(RuntimeError, match="inbox"):
            loop.run_in_executor(None, print)

    run_virtual(main)


def test_sigint_becomes_a_message_at_full_speed():
    inbox = Inbox()
    got = []

    async def main(loop: VirtualLoop) -> None:
        inbox.receiver(got.append)
        clock = VirtualClock(loop, START)
        for n in range(200_000):
            if n == 1000:
                os.kill(os.getpid(), signal.SIGINT)
            if got:
                return
            await clock.sleep_until((n + 1) * NS)

    run_virtual(main, inbox=inbox)
    assert isinstance(got[0], Interrupt)


def test_a_pace_holds_virtual_time_back():
    async def main(loop: VirtualLoop) -> None:
        await VirtualClock(loop, START).sleep_until(2 * NS)

    before = time.perf_counter()  # noqa: TID251 - the pace is measured in wall time
    run_virtual(main, speed=20)
    assert time.perf_counter() - before >= 0.095  # noqa: TID251 - same
