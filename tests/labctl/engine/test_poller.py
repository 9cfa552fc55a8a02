"""The poller: each instrument in its slot, and one that hangs holds up nobody."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from labctl.clock import NS, VirtualClock
from labctl.engine.poller import Poller
from labctl.errors import AbandonedError, NoReplyError
from labctl.loop import run_virtual


class Instrument:
    """Answers after `takes_s`, or raises what `fails` holds for that poll; notes its polls."""

    def __init__(self, clock, takes_s=0.0, fails=()):
        self.clock, self.takes_s, self.fails = clock, takes_s, dict(fails)
        self.began, self.sunk, self.at_once, self.most_at_once = [], [], 0, 0

    async def poll(self):
        self.began.append(self.clock.now_ns() / NS)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.takes_s:
                await self.clock.sleep_until(self.clock.now_ns() + round(self.takes_s * NS))
            if len(self.began) in self.fails:
                raise self.fails[len(self.began)]
        finally:
            self.at_once -= 1
        return (1.0,)

    def sink(self, values):
        self.sunk.append((self.clock.now_ns() / NS, tuple(values)))


@pytest.fixture
def polled():
    """`polled(until_s, during, a={…}, b={…})`: poll instruments; return them and what was told."""

    def run(until_s, during=None, **instruments):
        told, made = [], {}

        async def main(loop):
            clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
            poller = Poller(clock, lambda *row: told.append(row))
            for name, settings in instruments.items():
                period_s = settings.pop("period_s", 1.0)
                made[name] = Instrument(clock, **settings)
                poller.add(name, made[name].poll, made[name].sink, 1, period_s)
            task = asyncio.create_task(poller.run())
            for at_s, action in (during or {}).items():
                loop.call_at_ns(at_s * NS, action, poller)
            await clock.sleep_until(until_s * NS)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return {t.get_name() for t in asyncio.all_tasks()} - {asyncio.current_task().get_name()}

        left = run_virtual(main)
        assert not left, "polls outlive the poller"
        return made, told

    return run


def test_each_instrument_keeps_its_own_slot_within_the_second(polled):
    made, _ = polled(10, a={}, b={}, c={})
    phases = [device.began[0] % 1 for device in made.values()]
    assert len(set(phases)) == 3
    for device in made.values():
        assert len(device.began) in {9, 10}
        gaps = [b - a for a, b in zip(device.began, device.began[1:], strict=False)]
        assert gaps == pytest.approx([1.0] * len(gaps))


def test_one_that_hangs_delays_nobody_and_is_not_asked_twice_at_a_time(polled):
    made, _ = polled(30, slow={"takes_s": 4.5}, quick={})
    assert made["slow"].most_at_once == 1
    assert len(made["slow"].sunk) >= 4
    gaps = [b - a for a, b in zip(made["quick"].began, made["quick"].began[1:], strict=False)]
    assert gaps == pytest.approx([1.0] * len(gaps))
    assert len(gaps) >= 27


def test_a_silent_instrument_is_told_once_and_gives_no_reading(polled):
    silence = NoReplyError("a", "DIS", "a reply within 1 s", "b''")
    made, told = polled(10, a={"fails": dict.fromkeys((3, 4, 5), silence)})
    assert [(name, silent) for name, _, silent in told] == [("a", True), ("a", False)]
    assert "DIS" in told[0][1]
    assert [values for _, values in made["a"].sunk][:7] == [
        (1.0,), (1.0,), (None,), (None,), (None,), (1.0,), (1.0,),
    ]  # fmt: skip


def test_a_poll_given_up_for_a_trip_is_no_silence(polled):
    given_up = AbandonedError("a", "DIS", "its reply", "a trip before")
    made, told = polled(6, a={"fails": {2: given_up}})
    assert told == []
    assert [values for _, values in made["a"].sunk].count((None,)) == 0
    assert len(made["a"].sunk) == len(made["a"].began) - 1


def test_a_poll_that_waits_can_fail_too(polled):
    silence = NoReplyError("a", "DIS", "a reply within 1 s", "b''")
    made, told = polled(10, a={"takes_s": 0.4, "fails": {2: silence}}, b={})
    assert [silent for *_, silent in told] == [True, False]
    assert made["a"].sunk[1][1] == (None,)


def test_an_instrument_can_be_hurried_and_slowed(polled):
    hurry = {10: lambda poller: poller.hurry("a", 1.0), 20: lambda poller: poller.hurry("a", 8.0)}
    made, _ = polled(40, hurry, a={"period_s": 8.0})
    began = made["a"].began
    assert len([t for t in began if t < 10]) <= 2
    assert len([t for t in began if 17 <= t < 20]) == 3
    assert len([t for t in began if t >= 22]) <= 3
