"""The EZ-ZONE PM driver: recorded bytes, ramps in the instrument, and never a stale temperature."""

import asyncio
import datetime as dt
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.watlow_ezzone_pm import WatlowEzZonePm
from labctl.capabilities import DeviceSettings
from labctl.clock import NS, VirtualClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.framing.watlow import Frame, encode
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.memory import MemoryWire
from tests.conftest import StillPlant

KIND = "watlow_ezzone_pm"
LIMITS = {
    "setpoint_low": 20.0,
    "setpoint_high": 345.0,
    "rate_high_k_min": 15.0,
    "power_high_fraction": 0.85,
}
READ_PV = bytes.fromhex("55ff0510000006e8010301040101e399")


@pytest.fixture
def plant():
    return StillPlant(flask__T=25.0, heater__full=80.0)


@pytest.fixture
def on_heater(on_twin, plant):
    def run(main, **limits):
        touches = {"probe": "flask.T", "output": "heater"}
        return on_twin(KIND, main, plant, touches, 38400, **{**LIMITS, **limits})

    return run


class Says:
    """Answers the n-th question with the n-th reply, the last one again and again."""

    def __init__(self, *replies: bytes) -> None:
        self.replies = list(replies)
        self.heard: list[bytes] = []

    def feed(self, data, t_ns):
        if not data:
            return []
        self.heard.append(data)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return [(0, reply)] if reply else []


def told(line, main):
    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("bus", MemoryWire(line, clock, baud=0), clock)
        return await main(WatlowEzZonePm(port, DeviceSettings("heater", **LIMITS)))

    return run_virtual(body)


def reply(data, zone=0x10):
    return encode(Frame(6, 0, zone, data))


def value(parameter, data):
    return reply(bytes((2, 3, 1, *divmod(parameter, 1000), 1)) + data)


def f32(number):
    return b"\x08" + struct.pack(">f", number)


def enum(number):
    return b"\x0f\x01" + struct.pack(">H", number)


GOOD_POLL = (
    value(4001, f32(212.0)),
    value(4002, enum(61)),
    value(7001, f32(392.0)),
    value(7007, f32(302.0)),
    value(8033, f32(42.0)),
)


async def wait(clock, seconds):
    await clock.sleep_until(clock.now_ns() + round(seconds * NS))


async def until(driver, clock, seconds):
    await wait(clock, seconds)
    await driver.poll()


async def poll(driver):
    return await driver.poll()


def test_the_recorded_bytes_are_asked_and_understood():
    line = Says(*GOOD_POLL)
    assert told(line, poll) == pytest.approx((100.0, 200.0, 150.0, 0.42))
    assert line.heard[0] == READ_PV


def test_its_last_will_switches_it_off(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(200.0, 0.0)
        await until(driver, clock, 5.0)
        assert plant.things["heater"] > 0.0
        sim.feed(READ_PV[:11], clock.now_ns())
        for frame in driver.last_will():
            sim.feed(frame, clock.now_ns())
        sim.advance(clock.now_ns() + 2 * NS)
        assert plant.things["heater"] == 0.0
        assert sim.values[8001] == 62

    on_heater(main)


@pytest.mark.parametrize("error", [65, 127, 140, 139, 9, 141, 32, 246, 0])
def test_with_any_input_error_the_last_value_is_no_reading(error):
    line = Says(GOOD_POLL[0], value(4002, enum(error)), *GOOD_POLL[2:])
    assert told(line, poll)[0] is None


def test_a_sensor_that_breaks_reads_none_until_it_is_whole_again(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.sensor_broken = True
        assert (await driver.poll())[0] is None
        await driver.off()
        with pytest.raises(RefusedByDeviceError, match="sensor"):
            await driver.ramp(100.0, 5.0)
        sim.sensor_broken = False
        await wait(clock, 1.0)
        assert (await driver.poll())[0] == pytest.approx(25.0, abs=0.3)

    on_heater(main)


def test_it_says_who_it_is_and_limits_the_power(on_heater):
    async def main(driver, sim, clock):
        who = await driver.connect()
        assert (who.maker, who.model, who.serial) == ("Watlow", "EZ-ZONE PM", "123456")
        assert sim.values[6010] == pytest.approx(85.0)
        assert sim.writes == {6010: 1}

    on_heater(main)


@pytest.mark.parametrize("unit", [30, 15])
def test_both_units_of_the_wire_are_degrees_celsius_here(on_heater, unit):
    async def main(driver, sim, clock):
        sim.values[17050] = unit
        await driver.connect()
        await driver.ramp(120.0, 10.0)
        assert sim.values[7001] == pytest.approx(120.0)
        assert sim.values[7017] == pytest.approx(10.0)
        pv, setpoint, _, _ = await driver.poll()
        assert pv == pytest.approx(25.0, abs=0.3)
        assert setpoint == pytest.approx(120.0, abs=0.01)

    on_heater(main)


@pytest.mark.parametrize(
    ("parameter", "found", "says"),
    [
        (17050, 62, "units"),
        (7021, 106, "remote"),
        (7013, 100, "input error"),
        (7004, 200.0, "room"),
    ],
)
def test_a_setting_that_would_change_the_meaning_is_refused(on_heater, parameter, found, says):
    async def main(driver, sim, clock):
        sim.values[parameter] = found
        with pytest.raises(RefusedByDeviceError, match=says):
            await driver.connect()

    on_heater(main)


def test_an_address_that_is_none_is_refused_before_anything_is_sent(on_heater):
    async def main(driver, sim, clock):
        with pytest.raises(OutOfRangeError, match="its address"):
            await driver.connect()

    on_heater(main, address=17)


def test_a_ramp_runs_in_the_instrument_and_wears_it_once(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(125.0, 10.0)
        await wait(clock, 300.0)
        working = (await driver.poll())[2]
        assert working == pytest.approx(75.0, abs=1.0)
        await driver.ramp(125.0, 10.0)
        await wait(clock, 400.0)
        assert (await driver.poll())[2] == pytest.approx(125.0, abs=0.01)
        assert sim.writes[7001] == 1
        assert max(sim.writes.values()) == 1

    on_heater(main)


def test_nothing_jumps_between_ramps(on_heater, monkeypatch):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(200.0, 5.0)
        await wait(clock, 60.0)
        seen = []
        store = sim._store

        def watched(number, value):
            store(number, value)
            seen.append(sim._loop.working_c)

        monkeypatch.setattr(sim, "_store", watched)
        await driver.ramp(60.0, 0.0)
        assert max(seen) < 62.0
        await driver.ramp(200.0, 2.0)
        assert max(seen) < 62.0

    on_heater(main)


def test_freeze_stops_a_ramp_where_it_is(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(200.0, 10.0)
        await wait(clock, 120.0)
        await driver.freeze()
        first = (await driver.poll())[1:3]
        await wait(clock, 60.0)
        assert (await driver.poll())[1:3] == first
        assert first[0] == pytest.approx(45.0, abs=1.0)
        assert first[1] == pytest.approx(first[0])

    on_heater(main)


def test_off_cuts_the_power_keeps_the_reading_and_may_be_asked_again(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(200.0, 0.0)
        await until(driver, clock, 2.0)
        assert plant.things["heater"] > 0.0
        for switch_off in (driver.off, driver.make_safe, driver.make_safe):
            await switch_off()
        await until(driver, clock, 1.0)
        assert plant.things["heater"] == 0.0
        assert (await driver.poll())[0] == pytest.approx(25.0, abs=0.3)
        assert sim.values[7001] == pytest.approx(20.0, abs=0.01)

    on_heater(main)


def test_after_off_a_warm_flask_is_picked_up_where_it_is(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.off()
        plant.things["flask.T"] = 150.0
        await wait(clock, 1.0)
        await driver.ramp(200.0, 5.0)
        await wait(clock, 60.0)
        assert (await driver.poll())[2] == pytest.approx(155.0, abs=1.0)
        assert sim.values[8001] == 10

    on_heater(main)


def test_make_safe_goes_before_what_waits(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        polls = [asyncio.create_task(driver.poll()) for _ in range(5)]
        await wait(clock, 0.001)
        await driver.make_safe()
        assert sim.values[8001] == 62
        await asyncio.gather(*polls, return_exceptions=True)

    on_heater(main)


@pytest.mark.parametrize(
    ("setpoint_c", "rate_k_min"), [(346.0, 5.0), (19.0, 5.0), (100.0, 16.0), (100.0, 0.05)]
)
def test_what_the_rig_does_not_allow_is_refused_before_anything_is_sent(setpoint_c, rate_k_min):
    line = Says(b"")

    async def main(driver):
        with pytest.raises(OutOfRangeError):
            await driver.ramp(setpoint_c, rate_k_min)

    told(line, main)
    assert line.heard == []


def test_silence_and_an_error_reply_are_errors():
    async def main(driver):
        await driver.poll()

    with pytest.raises(NoReplyError):
        told(Says(b""), main)
    with pytest.raises(RefusedByDeviceError, match="no such attribute"):
        told(Says(reply(b"\x02\x83")), main)


@pytest.mark.parametrize(
    "wrong",
    [
        value(7001, f32(300.0)),
        value(4001, enum(62)),
        value(4001, f32(float("nan"))),
        value(4001, f32(20.0) + b"\0"),
        GOOD_POLL[0][:-1] + b"\0",
    ],
)
def test_a_reply_to_something_else_is_not_believed(wrong):
    with pytest.raises(GarbledError):
        told(Says(wrong), poll)


def test_what_others_say_on_the_line_is_passed_over():
    line = Says(b"\x55\xff\x00" + READ_PV + reply(b"\x02\x83", 0x11) + GOOD_POLL[0], *GOOD_POLL[1:])
    assert told(line, poll)[0] == pytest.approx(100.0)


def test_a_late_reply_never_answers_the_next_question(on_heater, plant, monkeypatch):
    async def main(driver, sim, clock):
        await driver.connect()
        answer = sim.feed
        monkeypatch.setattr(
            sim, "feed", lambda data, t_ns: [(650_000_000, r) for _, r in answer(data, t_ns)]
        )
        with pytest.raises(NoReplyError):
            await driver.poll()
        monkeypatch.setattr(sim, "feed", answer)
        plant.things["flask.T"] = 90.0
        await wait(clock, 1.0)
        assert (await driver.poll())[0] == pytest.approx(90.0, abs=0.3)

    on_heater(main)


def mutated(frame, chance):
    """One bit flipped, a byte lost, doubled or replaced, or two neighbours swapped."""
    data, at = bytearray(frame), chance.randrange(len(frame) - 1)
    match chance.randrange(5):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            del data[at]
        case 2:
            data.insert(at, data[at])
        case 3:
            data[at] = chance.randrange(256)
        case _:
            data[at], data[at + 1] = data[at + 1], data[at]
    return bytes(data)


def test_of_ten_thousand_damaged_replies_no_wrong_temperature_is_believed():
    chance = random.Random(5)
    driver = WatlowEzZonePm(None, DeviceSettings("heater", **LIMITS))
    right = GOOD_POLL[0]
    wrong = 0
    for _ in range(10_000):
        damaged = mutated(right, chance)
        data = driver._data_of(damaged)
        wrong += bool(data) and data != right[8:-2]
    assert wrong == 0


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_no_bytes_whatever_are_read_as_a_temperature(replies):
    async def main(driver):
        try:
            await driver.poll()
        except DeviceError:
            return
        raise AssertionError("read something")

    told(Says(*replies), main)
