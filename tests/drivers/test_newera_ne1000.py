import contextlib
import datetime as dt
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.newera_ne1000 import NewEraNe1000
from labctl.capabilities import DeviceSettings, Identity, PumpState
from labctl.clock import NS, VirtualClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
    TripError,
)
from labctl.framing.newera import seal
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.memory import MemoryWire

SETTINGS = {"address": 1, "bore_mm": 14.57, "syringe_ml": 10.0, "watchdog_s": 20.0}


@pytest.fixture
def on_pump(on_twin):
    def run(main, **settings):
        return on_twin("newera_ne1000", main, baud=19200, **(SETTINGS | settings))

    return run


class Script:
    """Answers each question with the next of some prepared replies; notes the questions."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.asked = []

    def feed(self, data, t_ns):
        if not data:
            return []
        self.asked.append(data)
        return [(0, self.replies.pop(0))] if self.replies else []


def on_script(main, *replies, script=None, **settings):
    script = script or Script(*replies)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(script, clock), clock)
        settings_ = DeviceSettings(**({"name": "pump"} | SETTINGS | settings))
        return await main(NewEraNe1000(port, settings_), script)

    return run_virtual(body)


def test_a_dose_of_the_paper_runs_to_its_volume(on_pump):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        await driver.infuse(5.0, 1.0)
        started_ns = clock.now_ns()
        assert await driver.state() is PumpState.INFUSING
        for second in range(10, 300, 10):
            await clock.sleep_until(started_ns + second * NS)
            dispensed_ml, infusing = await driver.poll()
            assert infusing == 1.0
            assert dispensed_ml == pytest.approx(second / 60, abs=2e-3)
        await clock.sleep_until(started_ns + 300 * NS)
        assert await driver.poll() == (5.0, 0.0)
        assert await driver.state() is PumpState.IDLE
        await driver.reset_counter()
        return identity, await driver.dispensed_ml()

    assert on_pump(main) == (Identity("New Era", "NE1000", firmware="3.928"), 0.0)


@pytest.mark.parametrize("watchdog_s", [0.0, 20.0])
def test_small_doses_keep_four_digits_in_either_mode(on_pump, watchdog_s):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(0.07368, 0.5)
        await clock.sleep_until(clock.now_ns() + 10 * NS)
        return await driver.poll()

    assert on_pump(main, watchdog_s=watchdog_s) == (pytest.approx(0.07368, abs=1e-9), 0.0)


@pytest.mark.parametrize(
    ("asked_ml", "given_ml"),
    [(5.0, 5.0), (1.23456, 1.235), (0.999951, 1.0), (0.0123456, 0.01235), (0.0073684, 0.007368)],
)
def test_the_volume_that_four_digits_can_say_is_told_beforehand(asked_ml, given_ml):
    async def main(driver, script):
        return driver.rounded_volume_ml(asked_ml)

    assert on_script(main) == pytest.approx(given_ml, rel=1e-12)


@given(st.floats(1e-3, 10.0))
def test_rounding_never_changes_a_volume_by_more_than_a_thousandth(volume_ml):
    async def main(driver, script):
        return driver.rounded_volume_ml(volume_ml)

    assert on_script(main) == pytest.approx(volume_ml, rel=1e-3)


@pytest.mark.parametrize("volume_ml", [0.0, -1.0, 10.01, 1e5, 1.2344e-4, math.nan, math.inf])
def test_a_volume_it_cannot_dispense_is_refused_before_anything_is_sent(volume_ml):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError):
            await driver.infuse(volume_ml, 1.0)
        return script.asked

    assert on_script(main) == []


@pytest.mark.parametrize("rate_ml_min", [0.0, -1.0, 6.30, 1.1e-4, math.nan])
def test_a_rate_beyond_the_plunger_is_refused_before_anything_is_sent(rate_ml_min):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError, match="bore"):
            await driver.infuse(1.0, rate_ml_min)
        return script.asked

    assert on_script(main) == []


@pytest.mark.parametrize(
    ("bore_mm", "least_ul_h", "most_ml_min"), [(14.43, 6.876, 6.172), (26.59, 23.35, 20.95)]
)
def test_the_limits_are_those_of_the_manuals_table(bore_mm, least_ul_h, most_ml_min):
    async def main(driver, script):
        low, high = driver.rate_limits_ml_min()
        return low * 60e3, high

    low, high = on_script(main, bore_mm=bore_mm)
    assert high == pytest.approx(most_ml_min, rel=2e-3)
    assert low == pytest.approx(least_ul_h, rel=2e-3)
    assert high < most_ml_min


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("bore_mm", [4.69, 10.30, 14.57, 26.59])
def test_the_pump_takes_the_rates_at_both_limits(on_pump, bore_mm, end):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(0.5, driver.rate_limits_ml_min()[end])
        return await driver.state()

    assert on_pump(main, bore_mm=bore_mm) is PumpState.INFUSING


def test_the_gate_is_asked_once_and_refuses_before_the_plunger_moves(on_pump):
    asked = []

    def gate():
        asked.append(True)
        raise TripError("line_1 is shut")

    async def main(driver, sim, clock):
        await driver.connect()
        with pytest.raises(TripError):
            await driver.infuse(1.0, 1.0, gate)
        return await driver.state()

    assert on_pump(main) is PumpState.IDLE
    assert asked == [True]


def test_stopping_keeps_the_counter_and_the_next_dose_starts_afresh(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.make_safe()
        await driver.infuse(2.0, 1.0)
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        await driver.stop()
        assert await driver.state() is PumpState.PAUSED
        stopped_ml = await driver.dispensed_ml()
        await driver.make_safe()
        assert await driver.dispensed_ml() == stopped_ml == pytest.approx(0.25, abs=0.002)
        await driver.infuse(1.0, 1.0)
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        await driver.poll()
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        await driver.poll()
        await clock.sleep_until(clock.now_ns() + 15 * NS)
        await driver.poll()
        await clock.sleep_until(clock.now_ns() + 16 * NS)
        assert await driver.dispensed_ml() == pytest.approx(stopped_ml + 1.0, abs=0.001)

    on_pump(main)


def test_a_pump_that_moves_takes_no_second_dose_and_keeps_its_first(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(2.0, 6.0)
        with pytest.raises(RefusedByDeviceError, match="stop it first"):
            await driver.infuse(2.0, 6.0)
        await driver.connect()
        await clock.sleep_until(clock.now_ns() + 19 * NS)
        return await driver.dispensed_ml()

    assert on_pump(main) == pytest.approx(1.9, abs=0.02)


def test_connecting_again_does_not_clear_the_counter(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(0.5, 5.0)
        await clock.sleep_until(clock.now_ns() + 10 * NS)
        await driver.connect()
        return await driver.dispensed_ml()

    assert on_pump(main) == 0.5


def test_an_older_program_does_not_go_on_after_the_dose(on_pump):
    async def main(driver, sim, clock):
        for command in ("", "PHN2", "FUNRAT", "RAT5.000MM", "VOL5.000"):
            sim.feed(f"1{command}\r".encode(), clock.now_ns())
        await driver.connect()
        await driver.infuse(0.5, 5.0)
        await clock.sleep_until(clock.now_ns() + 19 * NS)
        return await driver.poll()

    assert on_pump(main) == (0.5, 0.0)


def test_a_stall_is_told_once_as_an_error_and_kept_as_the_state(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(2.0, 1.0)
        await clock.sleep_until(clock.now_ns() + 6 * NS)
        await driver.poll()
        sim.stall()
        with pytest.raises(RefusedByDeviceError, match="motor stalled"):
            await driver.poll()
        assert await driver.poll() == (pytest.approx(0.1, abs=0.002), 0.0)
        assert await driver.state() is PumpState.STALLED
        await driver.infuse(0.5, 5.0)
        assert await driver.state() is PumpState.INFUSING

    on_pump(main)


def test_without_polling_the_watchdog_stops_the_pump(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(5.0, 1.0)
        await clock.sleep_until(clock.now_ns() + 60 * NS)
        assert await driver.state() is PumpState.ALARM
        return await driver.dispensed_ml()

    assert on_pump(main) == pytest.approx(20 / 60, abs=0.002)


def test_make_safe_stops_a_pump_whose_alarm_waits_to_be_told(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.power_cycle()
        await driver.make_safe()
        return await driver.state()

    assert on_pump(main) is PumpState.ALARM


def test_the_first_packets_of_connecting_are_the_manuals():
    async def main(driver, script):
        with pytest.raises(NoReplyError):
            await driver.connect()
        return script.asked

    assert on_script(main, address=0, watchdog_s=0.0)[0] == seal(b"0SAF0")


def test_a_bore_that_reads_back_otherwise_stops_the_dose_before_it_starts():
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match=r"14\.57 read back, got 10\.30"):
            await driver.infuse(1.0, 1.0)
        return script.asked[-1]

    assert on_script(main, seal(b"01S"), seal(b"01S10.30")) == seal(b"1DIA")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (seal(b"01S?NA"), RefusedByDeviceError),
        (seal(b"01A?T"), RefusedByDeviceError),
        (seal(b"01S?COM"), GarbledError),
        (seal(b"01SI0.000W0.000"), GarbledError),
        (seal(b"01SI0.000W0.000UL "), GarbledError),
        (seal(b"01SI.W0.000ML"), GarbledError),
        (seal(b"01S"), GarbledError),
        (seal(b"02SI1.000W0.000ML"), NoReplyError),
        (b"\x0201SI1.000W0.000", NoReplyError),
    ],
)
def test_replies_outside_the_grammar_are_no_readings(reply, error):
    async def main(driver, script):
        with pytest.raises(error):
            await driver.poll()

    on_script(main, reply, reply)


def test_a_damaged_reply_to_a_read_is_asked_for_once_more():
    damaged = bytearray(seal(b"01SI1.000W0.000ML"))
    damaged[5] ^= 1

    async def main(driver, script):
        return await driver.poll(), len(script.asked)

    sound = seal(b"01SI1.234W0.000ML")
    assert on_script(main, bytes(damaged), sound) == ((1.234, 0.0), 2)


class Damaging:
    """Answers the first question damaged, and all that follow it soundly."""

    def __init__(self, sound):
        self.rng, self.sound, self.damages = random.Random(1), sound, True

    def feed(self, data, t_ns):
        if not data:
            return []
        reply = bytearray(self.sound)
        if self.damages:
            self.damages = False
            at = self.rng.randrange(len(reply))
            change = self.rng.randrange(3)
            if change == 0:
                reply[at] ^= 1 << self.rng.randrange(8)
            elif change == 1:
                del reply[at]
            else:
                reply.insert(at, self.rng.randrange(256))
        return [(0, bytes(reply))]


def share_of_wrong_counters(sound, count, read="poll", **settings):
    """Of `count` damaged answers to DIS, the share that was taken for another volume."""
    line, wrong = Damaging(sound), 0

    async def main(driver, script):
        nonlocal wrong
        driver._pump._agreed = True
        for _ in range(count):
            line.damages = True
            with contextlib.suppress(DeviceError):
                got = await getattr(driver, read)()
                wrong += (got[0] if read == "poll" else got) != 1.234
        return wrong / count

    return on_script(main, script=line, **settings)


def test_of_damaged_packets_none_is_taken_for_another_volume_in_safe_mode():
    assert share_of_wrong_counters(seal(b"01SI1.234W0.000ML"), 10_000) == 0.0


@pytest.mark.parametrize(("read", "most"), [("poll", 0.15), ("dispensed_ml", 0.0)])
def test_of_damaged_lines_few_are_polled_and_none_is_booked_in_basic_mode(read, most):
    basic = b"\x0201SI1.234W0.000ML\x03"
    assert share_of_wrong_counters(basic, 2_000, read, watchdog_s=0.0) <= most


def test_run_is_never_sent_twice():
    settings = [b"01S", b"01S14.57", b"01S", b"01S1", b"01S", b"01SINF", b"01S", b"01S1.000MM"]
    settings += [b"01S", b"01S", b"01S1.000ML"]

    async def main(driver, script):
        with pytest.raises(NoReplyError):
            await driver.infuse(1.0, 1.0)
        return script.asked.count(seal(b"1RUN"))

    assert on_script(main, *map(seal, settings)) == 1


def test_alarms_of_pumps_on_the_same_line_reach_their_own_drivers():
    async def main(driver, script):
        other = NewEraNe1000(
            driver._pump._port, DeviceSettings("other", **(SETTINGS | {"address": 2}))
        )
        reading = await driver.poll()
        script.replies += [seal(b"02S")]
        return reading, await driver.state(), await other.state()

    stray = seal(b"02A?S") + seal(b"01SI1.000W0.000ML")
    reading, own, others = on_script(main, stray, seal(b"01S"), seal(b"02S"))
    assert (reading, own, others) == ((1.0, 0.0), PumpState.IDLE, PumpState.STALLED)


@pytest.mark.parametrize("kind", ["newera_ne1000", "wpi_al1000"])
def test_each_kind_takes_its_own_model_only(on_twin, kind):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        sim.version = "XX1000V3.9"
        with pytest.raises(RefusedByDeviceError, match="correct the kind"):
            await driver.connect()
        return identity.maker, identity.model

    made = on_twin(kind, main, baud=19200, **SETTINGS)
    assert made == {"newera_ne1000": ("New Era", "NE1000"), "wpi_al1000": ("WPI", "AL1000")}[kind]


@pytest.mark.parametrize(
    ("protocol", "watchdog_s"), [("safe", 0.0), ("basic", 20.0), ("oem", 0.0), ("dt", 20.0)]
)
def test_a_protocol_that_contradicts_the_watchdog_is_refused(protocol, watchdog_s):
    async def main(driver, script):
        return driver

    with pytest.raises(OutOfRangeError, match="safe with a watchdog"):
        on_script(main, protocol=protocol, watchdog_s=watchdog_s)


@pytest.mark.parametrize(("protocol", "watchdog_s"), [("safe", 20.0), ("basic", 0.0)])
def test_a_dose_runs_in_the_protocol_that_the_rig_names(on_pump, protocol, watchdog_s):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(0.5, 5.0)
        await clock.sleep_until(clock.now_ns() + 7 * NS)
        return sim._safe_s, await driver.dispensed_ml()

    assert on_pump(main, protocol=protocol, watchdog_s=watchdog_s) == (watchdog_s, 0.5)


@pytest.mark.parametrize(
    "settings", [{"address": 100}, {"bore_mm": 0.0}, {"watchdog_s": 256.0}, {"watchdog_s": 2.5}]
)
def test_settings_the_pump_cannot_have_are_refused(settings):
    async def main(driver, script):
        return driver

    with pytest.raises(OutOfRangeError):
        on_script(main, **settings)


@given(st.binary(max_size=40))
def test_any_reply_gives_a_reading_or_a_device_error(reply):
    async def main(driver, script):
        try:
            return await driver.poll()
        except DeviceError:
            return None

    reading = on_script(main, reply + b"\x03", reply)
    assert reading is None or len(reading) == 2
