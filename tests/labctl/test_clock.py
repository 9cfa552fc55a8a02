"""The two clocks: exact in virtual time, monotonic in real time, and alike to who waits."""

from __future__ import annotations

import asyncio
import datetime as dt
import re

import pytest

from labctl.clock import NS, Priority, VirtualClock, WallClock, new_run_id, today, utc_now, wall_s
from labctl.loop import run_virtual

START = dt.datetime(2025, 11, 3, 9)


def virtually(body):
    async def main(loop):
        return await body(VirtualClock(loop, START), loop)

    return run_virtual(main)


def test_virtual_sleep_ends_at_its_very_nanosecond():
    async def body(clock, loop):
        seen = []
        for t_ns in (1, 333_333_333, 36_000 * NS + 7):
            await clock.sleep_until(t_ns)
            seen.append(clock.now_ns())
        await clock.sleep_until(5)
        return [*seen, clock.now_ns()]

    assert virtually(body) == [1, 333_333_333, 36_000 * NS + 7, 36_000 * NS + 7]


@pytest.mark.parametrize("inline", [True, False])
def test_those_who_wake_at_one_instant_come_by_priority(inline):
    async def body(clock, loop):
        loop.inline = inline
        order = []

        async def wait(priority):
            await clock.sleep_until(NS, priority)
            order.append(priority)

        await asyncio.gather(*(wait(priority) for priority in reversed(Priority)))
        return order

    assert virtually(body) == list(Priority)


def test_time_is_not_moved_past_what_somebody_waits_for():
    async def body(clock, loop):
        waiter = asyncio.create_task(clock.sleep_until(5 * NS))
        await clock.sleep_until(1)
        refused, passed = clock.try_advance(5 * NS), clock.try_advance(5 * NS - 1)
        now_ns = clock.now_ns()
        await waiter
        return refused, passed, now_ns

    assert virtually(body) == (False, True, 5 * NS - 1)


def test_the_horizon_of_a_scheduler_is_respected():
    async def body(clock, loop):
        clock.horizon(3 * NS)
        refused = clock.try_advance(3 * NS)
        clock.horizon(None)
        return refused, clock.try_advance(3 * NS)

    assert virtually(body) == (False, True)


def test_an_alarm_rings_once_and_can_be_cancelled():
    async def body(clock, loop):
        rung, never = loop.create_future(), loop.create_future()
        clock.alarm(2 * NS, rung)
        clock.alarm(3 * NS, never).cancel()
        await rung
        at_ns = clock.now_ns()
        await clock.sleep_until(10 * NS)
        return at_ns, never.done()

    assert virtually(body) == (2 * NS, False)


def test_virtual_wall_time_follows_virtual_time():
    async def body(clock, loop):
        await clock.sleep_until(3600 * NS)
        return clock.local(clock.now_ns())

    assert virtually(body) == START + dt.timedelta(hours=1)


async def test_real_time_passes_by_itself():
    clock = WallClock()
    before_ns = clock.now_ns()
    due_ns = before_ns + NS // 50
    assert not clock.try_advance(due_ns)
    assert clock.now_ns() < due_ns
    clock.horizon(due_ns)
    await clock.sleep_until(due_ns)
    assert due_ns <= clock.now_ns() < due_ns + 2 * NS


async def test_a_real_alarm_rings():
    clock = WallClock()
    waiter = asyncio.get_running_loop().create_future()
    clock.alarm(clock.now_ns() + NS // 100, waiter)
    async with asyncio.timeout(5):
        await waiter
    assert clock.now_ns() >= NS // 100


def test_runs_are_named_by_time_recipe_and_four_letters():
    first, second = new_run_id("inp"), new_run_id("inp")
    assert re.fullmatch(r"\d{8}-\d{6}-inp-[0-9a-f]{4}", first)
    assert first != second


def test_stamps_for_people_are_utc_and_monotonic():
    assert dt.datetime.fromisoformat(utc_now()).utcoffset() == dt.timedelta(0)
    assert wall_s() <= wall_s()


def test_today_is_the_day_of_the_machine():
    utc = dt.datetime.fromisoformat(utc_now()).date()
    assert abs(today() - utc) <= dt.timedelta(days=1)
