"""The run's own clock, and what is known of the signals."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from labctl.clock import NS, VirtualClock
from labctl.engine.elapsed import Elapsed
from labctl.engine.signals import Signals
from labctl.loop import run_virtual
from labctl.readings import Channel, Quality, Reading


def in_virtual_time(body):
    async def main(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        return await body(clock, Elapsed(clock), loop)

    return run_virtual(main)


def test_a_wait_ends_when_its_condition_holds():
    async def body(clock, elapsed, loop):
        held = await elapsed.wait("x", lambda: clock.now_ns() >= 12.5 * NS, 100)
        return held, clock.now_ns() / NS

    held, at_s = in_virtual_time(body)
    assert held
    assert 12.5 <= at_s <= 13.5


def test_a_wait_ends_at_its_timeout_and_says_so():
    async def body(clock, elapsed, loop):
        held = await elapsed.wait("x", lambda: False, 7.3)
        return held, clock.now_ns() / NS

    assert in_virtual_time(body) == (False, pytest.approx(7.3, abs=1e-6))


def test_unknown_does_not_end_a_wait():
    async def body(clock, elapsed, loop):
        return await elapsed.wait("x", lambda: None, 5)

    assert in_virtual_time(body) is False


def test_frozen_time_counts_for_nothing():
    async def body(clock, elapsed, loop):
        loop.call_at_ns(10 * NS, elapsed.freeze)
        loop.call_at_ns(15 * NS, elapsed.freeze)
        loop.call_at_ns(70 * NS, elapsed.thaw)
        await elapsed.wait("x", lambda: False, 20)
        return clock.now_ns() / NS, elapsed.now_s(), elapsed.freezes

    at_s, elapsed_s, freezes = in_virtual_time(body)
    assert at_s == pytest.approx(80, abs=1.1)
    assert elapsed_s == pytest.approx(20, abs=1.1)
    assert freezes == 1


def test_while_frozen_the_clock_stands_and_no_condition_is_asked():
    async def body(clock, elapsed, loop):
        asked = []
        task = asyncio.create_task(elapsed.wait("x", lambda: asked.append(clock.now_ns()), 30))
        await clock.sleep_until(10 * NS)
        elapsed.freeze()
        stands = elapsed.now_s()
        await clock.sleep_until(40 * NS)
        still = elapsed.now_s()
        elapsed.thaw()
        await task
        return stands, still, [t for t in asked if 12 * NS < t < 40 * NS]

    stands, still, asked = in_virtual_time(body)
    assert stands == still == 10
    assert asked == []


def test_progress_says_what_is_waited_for_and_is_gone_afterwards():
    async def body(clock, elapsed, loop):
        seen = []
        loop.call_at_ns(3 * NS, lambda: seen.append(elapsed.progress))
        await elapsed.wait("the kettle", lambda: False, 5, ends_s=4.0)
        return seen[0], elapsed.progress

    during, after = in_virtual_time(body)
    assert (during.waits_for, during.began_s, during.ends_s) == ("the kettle", 0, 4.0)
    assert during.timeout_s == 5
    assert after is None


class Moved:
    """A clock that a test sets."""

    def __init__(self):
        self.t_ns = 0

    def now_ns(self):
        return self.t_ns


@pytest.fixture
def known():
    clock = Moved()
    signals = Signals(clock)
    signals.declare(Channel("flask.P", "pressure", 0.1, 1100.0))

    def read(value, quality=Quality.GOOD, signal="flask.P"):
        signals.latest[signal] = Reading(signal, value, quality, clock.t_ns)

    return signals, clock, read


def test_a_reading_is_known_until_it_is_stale(known):
    signals, clock, read = known
    assert signals.value("flask.P") is None
    assert signals.age_ns("flask.P") is None
    read(5.0)
    clock.t_ns = 10 * NS
    assert signals.value("flask.P") == 5.0
    assert signals.age_ns("flask.P") == 10 * NS
    clock.t_ns += 1
    assert signals.value("flask.P") is None


def test_what_is_read_rarely_stays_known_for_longer(known):
    signals, clock, read = known
    signals.patient("flask.P", 900)
    read(5.0)
    clock.t_ns = 900 * NS
    assert signals.value("flask.P") == 5.0


@pytest.mark.parametrize(
    ("value", "quality", "known_as", "bounds"),
    [
        (5.0, Quality.GOOD, 5.0, (5.0, 5.0)),
        (0.02, Quality.UNCERTAIN, 0.1, (0.0, 0.1)),
        (1300.0, Quality.UNCERTAIN, 1100.0, (1100.0, 1100.0)),
        (5.0, Quality.BAD, None, None),
        (None, Quality.BAD, None, None),
    ],
)
def test_beyond_its_range_the_end_of_it_stands_for_a_value(known, value, quality, known_as, bounds):
    signals, _, read = known
    read(value, quality)
    assert signals.value("flask.P") == known_as
    assert signals.bounds("flask.P") == bounds


def test_an_uncertain_value_of_a_channel_without_a_range_is_not_known(known):
    signals, _, read = known
    read(5.0, Quality.UNCERTAIN, "flask.T")
    assert signals.value("flask.T") is None
