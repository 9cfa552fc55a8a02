import datetime as dt
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ika_rct import IkaRct
from labctl.capabilities import DeviceSettings, Identity
from labctl.clock import NS, VirtualClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.memory import MemoryWire

SETTINGS = {"speed_high_rpm": 1200.0, "watchdog_s": 60.0, "has_probe2": True}
TOUCHES = {"speed": "stirrer", "probe2": "flask.T2"}


@pytest.fixture
def plant(still_plant):
    return still_plant(flask__T2=24.7)


@pytest.fixture
def on_stirrer(on_twin, plant):
    def run(main, **settings):
        return on_twin("ika_rct", main, plant=plant, touches=TOUCHES, **(SETTINGS | settings))

    return run


class Script:
    """Answers questions, and only those, with prepared replies; notes all it is told."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.told = []

    def feed(self, data, t_ns):
        if not data:
            return []
        self.told.append(data)
        answers = data.startswith(b"IN_") or b"@" in data
        return [(0, self.replies.pop(0))] if answers and self.replies else []


def on_script(main, *replies, **settings):
    script = Script(*replies)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(script, clock), clock)
        driver = IkaRct(port, DeviceSettings(**({"name": "stir"} | SETTINGS | settings)))
        return await main(driver, script)

    return run_virtual(body)


def test_it_stirs_reads_both_channels_and_stops(on_stirrer, plant):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        await driver.stir(600)
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        turning = await driver.poll()
        await driver.stir(0)
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        assert await driver.poll() == (0.0, 24.7)
        return identity, turning

    assert on_stirrer(main) == (Identity("IKA", "RCT digital"), (600.0, 24.7))
    assert plant.things["stirrer"] == 0.0


def test_polling_feeds_the_watchdog_for_as_long_as_it_goes_on(on_stirrer):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.stir(600)
        for _ in range(40):
            await clock.sleep_until(clock.now_ns() + 8 * NS)
            await driver.poll()
        fed = await driver.poll()
        await clock.sleep_until(clock.now_ns() + 70 * NS)
        starved = await driver.poll()
        await driver.connect()
        await driver.stir(600)
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        return fed[0], starved[0], (await driver.poll())[0]

    assert on_stirrer(main) == (600.0, pytest.approx(0.0, abs=0.1), 600.0)


def test_connecting_leaves_a_bar_turning(on_stirrer):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.stir(600)
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        await driver.connect()
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        return (await driver.poll())[0]

    assert on_stirrer(main) == 600.0


def test_make_safe_ends_heating_and_keeps_stirring(on_stirrer):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.stir(600)
        sim.feed(b"OUT_SP_1 300\r\nSTART_1\r\n", clock.now_ns())
        await clock.sleep_until(clock.now_ns() + 30 * NS)
        await driver.make_safe()
        await clock.sleep_until(clock.now_ns() + 1 * NS)
        heated = float(sim.feed(b"IN_PV_2\r\n", clock.now_ns())[0][1].split()[0])
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        left = float(sim.feed(b"IN_PV_2\r\n", clock.now_ns())[0][1].split()[0])
        assert left < heated
        return (await driver.poll())[0]

    assert on_stirrer(main) == 600.0


def test_the_last_will_sent_blind_ends_heating_and_keeps_stirring(on_stirrer):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.stir(600)
        sim.feed(b"OUT_SP_1 300\r\nSTART_1\r\n", clock.now_ns())
        for frame in driver.last_will():
            sim.feed(frame, clock.now_ns())
        return sim._heating, sim._stirring

    assert on_stirrer(main) == (False, True)


def test_nothing_it_ever_sends_starts_the_heating():
    async def main(driver, script):
        await driver.connect()
        await driver.stir(600)
        await driver.stir(0)
        await driver.make_safe()
        await driver.poll()
        return b"".join(script.told)

    replies = (b"RCT digital \r\n", b"0.0 4 \r\n", b"60 \r\n", b"600.0 4 \r\n", b"0.0 4 \r\n")
    told = on_script(main, *replies, b"0.0 1 \r\n", b"0.0 4 \r\n", b"20.0 1 \r\n")
    assert b"START_1" not in told
    assert b"OUT_SP_1" not in told
    assert told.count(b"STOP_1 \r\n") == 1


@pytest.mark.parametrize("end", [b"\r\n", b" \r\n", b" \r \n"])
def test_the_channel_is_no_digit_of_the_value(end):
    async def main(driver, script):
        return await driver.poll()

    assert on_script(main, b"0.0 4" + end, b"24.7 1" + end) == (0.0, 24.7)


@pytest.mark.parametrize(
    "reply",
    [
        b"24.7\r\n",
        b"24.71\r\n",
        b"24.7 2 \r\n",
        b"24,7 4 \r\n",
        b"4\r\n",
        b"x 24.7 4 \r\n",
        b"\r\n",
        b"24.7 4  \r\n",
        b"nan 4 \r\n",
        b"24.7 4 \n",
    ],
)
def test_replies_outside_the_grammar_or_of_another_channel_are_no_readings(reply):
    async def main(driver, script):
        with pytest.raises(GarbledError):
            await driver.poll()

    on_script(main, reply, reply)


def test_a_garbled_read_is_asked_for_once_more():
    async def main(driver, script):
        return await driver.poll()

    assert on_script(main, b"\xff00.0 4 \r\n", b"600.0 4 \r\n", has_probe2=False) == (600.0,)


def test_half_a_line_is_no_reply():
    async def main(driver, script):
        with pytest.raises(NoReplyError):
            await driver.poll()

    on_script(main, b"600.0 4 \r")


@pytest.mark.parametrize("speed_rpm", [-1, 1201, 600.5, math.nan, math.inf])
def test_a_speed_beyond_the_limits_is_refused_before_anything_is_sent(speed_rpm):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError, match="1200 rpm"):
            await driver.stir(speed_rpm)
        return script.told

    assert on_script(main) == []


def test_a_setpoint_that_reads_back_otherwise_is_an_error():
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match="600 rpm read back, got 300 rpm"):
            await driver.stir(600)
        return script.told

    assert on_script(main, b"300.0 4 \r\n") == [
        b"OUT_SP_4 600 \r\n",
        b"START_4 \r\n",
        b"IN_SP_4 \r\n",
    ]


def test_a_watchdog_that_comes_back_otherwise_is_an_error():
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match="60 echoed"):
            await driver.connect()

    on_script(main, b"RCT digital\r\n", b"600.0 4\r\n", b"20 \r\n")


@pytest.mark.parametrize("watchdog_s", [19.0, 1501.0, 30.5, -1.0])
def test_a_watchdog_it_does_not_have_is_refused(watchdog_s):
    async def main(driver, script):
        return driver

    with pytest.raises(OutOfRangeError, match="watchdog"):
        on_script(main, watchdog_s=watchdog_s)


def test_a_late_answer_never_answers_the_next_question():
    class Late:
        polls = 0

        def feed(self, data, t_ns):
            if data == b"IN_PV_4 \r\n":
                self.polls += 1
                late = self.polls == 2
                return [(600_000_000 if late else 0, b"%d.0 4 \r\n" % (100 * self.polls))]
            return [(0, b"24.7 1 \r\n")] if data else []

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(Late(), clock), clock)
        driver = IkaRct(port, DeviceSettings("stir", has_probe2=True))
        read = []
        for _ in range(4):
            try:
                read.append(await driver.poll())
            except NoReplyError:
                read.append(None)
        return read

    read = run_virtual(body)
    assert read[:2] == [(100.0, 24.7), None]
    assert read[2:] == [(300.0, 24.7), (400.0, 24.7)]


def test_of_flipped_bits_few_pass_for_a_speed():
    """No checksum: 2000 replies with one bit flipped; the share of wrong speeds is bounded."""
    draw = random.Random(5)
    wrong = 0
    for _ in range(2000):
        reply = bytearray(b"600.0 4 \r\n")
        reply[draw.randrange(len(reply))] ^= 1 << draw.randrange(8)

        async def main(driver, script):
            try:
                return (await driver.poll())[0]
            except DeviceError:
                return None

        said = bytes(reply)
        wrong += on_script(main, said, said, has_probe2=False) not in {None, 600.0}
    assert wrong / 2000 < 0.2


@given(st.binary(max_size=40))
def test_any_reply_gives_a_reading_or_a_device_error(reply):
    async def main(driver, script):
        try:
            return await driver.poll()
        except DeviceError:
            return None

    reading = on_script(main, reply + b"\n", reply, has_probe2=False)
    assert reading is None or len(reading) == 1
