import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.eurotherm_3216 import Eurotherm3216
from labctl.capabilities import DeviceSettings, Identity
from labctl.clock import NS, VirtualClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.framing.modbus import seal
from labctl.loop import run_virtual
from labctl.transport import Port, Priority
from labctl.transport.memory import MemoryWire

SETTINGS = {
    "setpoint_low": 20.0,
    "setpoint_high": 345.0,
    "rate_high_k_min": 15.0,
    "power_high_fraction": 0.85,
}
TOUCHES = {"probe": "flask.T", "output": "heater"}
WEARS_OUT = (2, 24, 25)


@pytest.fixture
def plant(still_plant):
    return still_plant(flask__T=25.0, **{"heater.full": 80.0})


@pytest.fixture
def on_heater(on_twin, plant):
    def run(main, **settings):
        return on_twin("eurotherm_3216", main, plant, TOUCHES, **(SETTINGS | settings))

    return run


class Script:
    """Answers each question with the next of some prepared replies; notes the questions."""

    def __init__(self, *replies):
        self.replies = [bytes.fromhex(r) if isinstance(r, str) else r for r in replies]
        self.asked = []

    def feed(self, data, t_ns):
        if not data:
            return []
        self.asked.append(data.hex(" ").upper())
        return [(0, self.replies.pop(0))] if self.replies else []


def on_script(main, *replies, **settings):
    script = Script(*replies)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(script, clock), clock)
        driver = Eurotherm3216(port, DeviceSettings(**({"name": "h"} | SETTINGS | settings)))
        return await main(driver, script)

    return run_virtual(body)


async def pass_s(clock, seconds):
    await clock.sleep_until(clock.now_ns() + round(seconds * NS))


def wears(sim):
    return sum(sim.writes[address] for address in WEARS_OUT)


def questions(driver):
    sent = []
    driver._port.trace = lambda t_ns, way, data: sent.append(data) if way == ">" else None
    return sent


def status(bits):
    return seal(bytes((1, 3, 2, bits >> 8, bits & 0xFF)))


def five(pv, target=250, manual=0, output=0, working=250):
    words = (pv, target, manual, output, working)
    return seal(bytes((1, 3, 10)) + b"".join((w & 0xFFFF).to_bytes(2, "big") for w in words))


def test_it_says_who_it_is_and_limits_the_power(on_heater):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        await driver.connect()
        return identity, dict(sim.writes), sim._values[30]

    assert on_heater(main) == (Identity("Eurotherm", "3216", firmware="2.11"), {30: 1}, 85.0)


def test_a_lower_power_limit_at_the_instrument_stays(on_heater):
    async def main(driver, sim, clock):
        sim._values[30] = 60.0
        await driver.connect()
        return dict(sim.writes)

    assert on_heater(main) == {}


@pytest.mark.parametrize(
    ("address", "value", "says"),
    [
        (12550, 1, "resolution"),
        (516, 1, "units"),
        (531, 1, "minutes"),
        (199, 1, "mode"),
        (23, 1, "reset"),
        (276, 1, "local"),
        (525, 0, "decimal"),
        (111, 300, "limits"),
        (112, 30, "limits"),
    ],
)
def test_a_setting_that_would_change_the_meaning_is_refused(on_heater, address, value, says):
    async def main(driver, sim, clock):
        sim._values[address] = value
        with pytest.raises(RefusedByDeviceError, match=says):
            await driver.connect()
        return dict(sim.writes)

    assert on_heater(main) == {}


def test_a_poll_is_one_question_with_the_status_every_second_time(on_heater, plant):
    plant.things["flask.T"] = 99.0

    async def main(driver, sim, clock):
        await driver.connect()
        sent = questions(driver)
        values = [await driver.poll() for _ in range(10)]
        return values, len(sent)

    values, asked = on_heater(main)
    assert asked == 15
    for measured_c, target_c, working_c, output in values:
        assert measured_c == pytest.approx(99.0, abs=0.4)
        assert (target_c, working_c, output) == (20.0, 20.0, 0.0)


def test_the_vendors_bytes_are_understood():
    async def main(driver, script):
        return await driver.poll(), script.asked

    reading, asked = on_script(main, status(0), five(250, 1200, 0, 425, 1005))
    assert reading == (25.0, 120.0, 100.5, 0.425)
    assert asked[1] == seal(bytes.fromhex("010300010005")).hex(" ").upper()


def test_negative_temperatures_are_negative():
    async def main(driver, script):
        return (await driver.poll())[0]

    assert on_script(main, status(0), five(-123)) == -12.3


def test_a_broken_sensor_is_no_reading_until_it_is_whole_again(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.poll()
        sim.sensor_broken = True
        await pass_s(clock, 1)
        broken = [(await driver.poll())[0] for _ in range(7)]
        sim.sensor_broken = False
        await pass_s(clock, 1)
        return broken, (await driver.poll())[0]

    broken, whole = on_heater(main)
    assert broken == [None] * 7
    assert whole == pytest.approx(25.0, abs=0.4)


def test_the_status_word_alone_takes_the_reading_away():
    async def main(driver, script):
        return [(await driver.poll())[0] for _ in range(2)]

    assert on_script(main, status(1 << 5), five(250), status(0), five(250)) == [None, 25.0]


def test_a_ramp_runs_in_the_instrument_and_wears_it_once(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(120.0, 10.0)
        seen = []
        for _ in range(600):
            await pass_s(clock, 1)
            seen.append((await driver.poll())[2])
        return seen, wears(sim), sim.writes[35]

    seen, worn, rates = on_heater(main)
    assert (worn, rates) == (1, 1)
    assert seen[59] == pytest.approx(30.0, abs=0.7)
    assert seen[-1] == 120.0
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert max(steps) < 0.4


def test_the_same_ramp_again_writes_nothing(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(120.0, 10.0)
        before = dict(sim.writes)
        await driver.ramp(120.0, 10.0)
        return before == dict(sim.writes)

    assert on_heater(main)


@pytest.mark.parametrize(("first", "then"), [((300, 10), (50, 5)), ((300, 10), (100, 0))])
def test_nothing_jumps_on_the_way_into_another_ramp(on_heater, monkeypatch, first, then):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(*first)
        await pass_s(clock, 300)
        working_c = (await driver.poll())[2]
        seen = []
        step = type(sim._loop).step

        def noting(loop, measured_c, dt_s):
            step(loop, measured_c, dt_s)
            seen.append(loop.working_c)
            return loop.output

        monkeypatch.setattr(type(sim._loop), "step", noting)
        await driver.ramp(*then)
        await pass_s(clock, 5)
        await driver.poll()
        return working_c, seen

    working_c, seen = on_heater(main)
    assert len(seen) >= 20
    if then[1]:
        assert all(abs(c - working_c) < 1.0 for c in seen)
    else:
        assert max(seen) <= then[0]
        assert seen[-1] == then[0]


def test_zero_is_as_fast_as_it_can(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(200.0, 0.0)
        await pass_s(clock, 1)
        return (await driver.poll())[1:], wears(sim)

    (target_c, working_c, output), worn = on_heater(main)
    assert (target_c, working_c, worn) == (200.0, 200.0, 1)
    assert output == 0.85
    assert plant.things["heater"] == pytest.approx(68.0)


def test_freeze_stops_a_ramp_where_it_is(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(200.0, 10.0)
        await pass_s(clock, 120)
        await driver.freeze()
        at_c = (await driver.poll())[1]
        await pass_s(clock, 60)
        await driver.freeze()
        return at_c, await driver.poll(), wears(sim)

    at_c, (_, target_c, working_c, _), worn = on_heater(main)
    assert at_c == pytest.approx(40.0, abs=0.8)
    assert target_c == working_c == at_c
    assert worn == 2


def test_off_cuts_the_power_and_keeps_the_reading(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(200.0, 0.0)
        await pass_s(clock, 5)
        await driver.off()
        await pass_s(clock, 1)
        return await driver.poll()

    measured_c, target_c, _, output = on_heater(main)
    assert measured_c == pytest.approx(25.0, abs=0.4)
    assert (target_c, output) == (20.0, 0.0)
    assert plant.things["heater"] == 0.0


def test_make_safe_goes_first_and_may_be_asked_again(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.ramp(200.0, 0.0)
        await pass_s(clock, 5)
        seen = []
        ask = driver._port.ask

        async def noting(*args, priority=Priority.COMMAND, **named):
            seen.append(priority)
            return await ask(*args, priority=priority, **named)

        driver._port.ask = noting
        await driver.make_safe()
        worn = wears(sim)
        await driver.make_safe()
        return set(seen), wears(sim) - worn

    assert on_heater(main) == ({Priority.TRIP}, 0)
    assert plant.things["heater"] == 0.0


def test_after_off_a_warm_flask_is_picked_up_where_it_is(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.off()
        plant.things["flask.T"] = 150.0
        await pass_s(clock, 10)
        worn = wears(sim)
        await driver.ramp(200.0, 10.0)
        await pass_s(clock, 1)
        return await driver.poll(), wears(sim) - worn

    (_, target_c, working_c, output), worn = on_heater(main)
    assert target_c == 200.0
    assert working_c == pytest.approx(150.5, abs=1.0)
    assert output < 0.3
    assert worn == 2


def test_after_off_a_cold_flask_costs_one_write(on_heater, plant):
    plant.things["flask.T"] = 20.5

    async def main(driver, sim, clock):
        await driver.connect()
        await driver.off()
        await pass_s(clock, 1)
        worn = wears(sim)
        await driver.ramp(200.0, 10.0)
        await pass_s(clock, 1)
        return wears(sim) - worn, (await driver.poll())[2:]

    worn, (working_c, output) = on_heater(main)
    assert worn == 1
    assert working_c == pytest.approx(20.2, abs=0.2)
    assert output < 0.1


def test_a_working_setpoint_that_does_not_move_is_an_error(on_heater, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.off()
        plant.things["flask.T"] = 150.0
        await pass_s(clock, 1)
        sim._control = lambda t_ns: None
        with pytest.raises(RefusedByDeviceError, match="where the flask is"):
            await driver.ramp(200.0, 10.0)
        return sim._loop.manual

    assert on_heater(main)


@pytest.mark.parametrize(
    ("setpoint_c", "rate_k_min"),
    [(345.1, 10), (19.9, 10), (float("nan"), 10), (100, 15.1), (100, -1), (100, 0.05)],
)
def test_what_the_rig_does_not_allow_is_refused_before_anything_is_sent(setpoint_c, rate_k_min):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError, match="h: asked"):
            await driver.ramp(setpoint_c, rate_k_min)
        return script.asked

    assert on_script(main) == []


def test_with_no_sensor_heating_does_not_begin(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.off()
        sim.sensor_broken = True
        await pass_s(clock, 1)
        with pytest.raises(RefusedByDeviceError, match="sensor"):
            await driver.ramp(100.0, 10.0)
        return (await driver.poll())[3]

    assert on_heater(main) == 0.0


def test_a_setpoint_that_reads_back_differently_is_an_error(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        sim._write = lambda write, t_ns: None
        with pytest.raises(RefusedByDeviceError, match="read back"):
            await driver.ramp(100.0, 10.0)

    on_heater(main)


def test_a_garbled_poll_is_asked_once_more():
    async def main(driver, script):
        first = (await driver.poll())[0]
        with pytest.raises(GarbledError):
            await driver.poll()
        return first

    bad = five(250)[:-1] + b"\x00"
    assert on_script(main, status(0), bad, five(260), bad, bad) == 26.0


@pytest.mark.parametrize(
    "reply",
    [
        seal(b"\x02" + five(250)[1:-2]),  # another unit
        seal(bytes.fromhex("01 04 0A") + bytes(10)),  # another function
        seal(bytes.fromhex("01 03 04 00FA 00FA")),  # fewer registers
    ],
)
def test_a_reply_to_something_else_is_not_believed(reply):
    async def main(driver, script):
        with pytest.raises(GarbledError):
            await driver.poll()

    on_script(main, status(0), reply, reply)


def test_an_exception_is_a_refusal():
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match="exception 2"):
            await driver.poll()

    on_script(main, "01 83 02 C0 F1")


def test_silence_is_an_error():
    async def main(driver, script):
        with pytest.raises(NoReplyError):
            await driver.make_safe()
        return len(script.asked)

    assert on_script(main) == 1


@given(st.binary(min_size=1, max_size=16), st.binary(max_size=16))
def test_no_bytes_whatever_are_read_as_a_temperature(first, second):
    async def main(driver, script):
        try:
            return await driver.poll()
        except DeviceError:
            return None

    assert on_script(main, status(0), first, second) is None


def test_what_is_turned_at_the_panel_is_seen_by_the_next_two_polls(on_heater):
    async def main(driver, sim, clock):
        await driver.connect()
        sim._write((2, 77.0), clock.now_ns())
        await driver.poll()
        before = driver.changed()
        await driver.ramp(120.0, 10.0)
        await driver.poll()
        await driver.poll()
        own = driver.changed()
        sim._write((2, 77.0), clock.now_ns())
        await driver.poll()
        turned = driver.changed()
        await driver.ramp(120.0, 10.0)
        sim._write((273, 1.0), clock.now_ns())
        await driver.poll()
        await driver.poll()
        by_hand = driver.changed()
        await driver.off()
        await driver.poll()
        await driver.poll()
        return before, own, turned, by_hand, driver.changed()

    before, own, turned, by_hand, off = on_heater(main)
    assert before is None, "nothing was commanded yet"
    assert own is None
    assert (turned.found, turned.meant) == (77.0, 120.0)
    assert by_hand.text == "it was put to manual at its panel"
    assert off is None
