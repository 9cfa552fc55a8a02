import contextlib
import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.cavro_xcalibur import CavroXCalibur
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
from labctl.framing.cavro import Answer, dt_answer, oem_answer, oem_command
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.memory import MemoryWire

HEAD = {"flask": "3", "reservoir": "1", "waste": "9"}
SETTINGS = {"address": 0, "bore_mm": 14.57, "syringe_ml": 5.0, "ports": HEAD}
READY = 0x60


@pytest.fixture(params=["oem", "dt"])
def on_pump(request, on_twin, still_plant):
    """A pump whose operator left 4 mL in its 5 mL syringe."""

    def run(main, drawn=4.0, **settings):
        settings_ = SETTINGS | {"protocol": request.param} | settings
        plant = still_plant(drawn=drawn)
        touches = {"drawn": "drawn"} if drawn is not None else {}
        return on_twin("cavro_xcalibur", main, plant, touches, **settings_)

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
        reply = self.replies.pop(0) if self.replies else b""
        return [(0, reply)] if reply else []


def on_script(main, *replies, script=None, **settings):
    script = script or Script(*replies)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(script, clock), clock)
        driver = CavroXCalibur(port, DeviceSettings(**({"name": "pump"} | SETTINGS | settings)))
        return await main(driver, script)

    return run_virtual(body)


def oem(data=b"", status=READY):
    return oem_answer(Answer(status, data))


def test_a_dose_goes_to_its_volume_and_the_counter_is_the_plungers_place(on_pump):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        await driver.reset_counter()
        await driver.infuse(1.0, 1.0)
        assert await driver.state() is PumpState.INFUSING
        started_ns = clock.now_ns()
        await clock.sleep_until(started_ns + 30 * NS)
        dispensed_ml, infusing = await driver.poll()
        assert (dispensed_ml, infusing) == (pytest.approx(0.5, abs=0.01), 1.0)
        await clock.sleep_until(started_ns + 61 * NS)
        assert await driver.poll() == (pytest.approx(1.0, abs=1e-9), 0.0)
        assert await driver.state() is PumpState.IDLE
        return identity, sum(ml for _, ml in sim._plant.moved)

    identity, pushed_ml = on_pump(main)
    assert identity == Identity("Tecan", "Cavro XCalibur", firmware="P/N 30042430-C")
    assert pushed_ml == pytest.approx(1.0, abs=1e-9)


def test_connecting_moves_nothing_and_does_not_initialise(on_pump):
    async def main(driver, sim, clock):
        with pytest.raises(RefusedByDeviceError, match=r"not initialised.*then `prepare` it"):
            await driver.connect()
        assert await driver.poll() == (None, 0.0)
        return sim._plant.moved, sim._port

    assert on_pump(main, drawn=None) == ([], "")


def test_preparing_pushes_into_the_waste_port_and_then_draws_from_the_reservoir(on_pump):
    async def main(driver, sim, clock):
        await driver.prepare()
        assert sim._port == "9"
        await driver.aspirate(2.0, 60.0)
        assert await driver.state() is PumpState.WITHDRAWING
        await clock.sleep_until(clock.now_ns() + 3 * NS)
        await driver.reset_counter()
        await driver.infuse(2.0, 60.0)
        await clock.sleep_until(clock.now_ns() + 3 * NS)
        return await driver.dispensed_ml(), sum(ml for _, ml in sim._plant.moved)

    assert on_pump(main, drawn=None) == (pytest.approx(2.0), pytest.approx(2.0))


def test_without_a_port_for_waste_nothing_prepares():
    async def main(driver, script):
        with pytest.raises(OutOfRangeError, match=r"head: \{waste"):
            await driver.prepare()
        return script.asked

    assert on_script(main, ports={"flask": "3"}) == []


def test_after_a_power_cut_no_counter_is_told_and_no_dose_is_given(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(1.0, 1.0)
        sim.power_cycle()
        with pytest.raises(RefusedByDeviceError, match="place is unknown"):
            await driver.dispensed_ml()
        with pytest.raises(RefusedByDeviceError, match="not initialised"):
            await driver.infuse(1.0, 1.0)
        return await driver.poll()

    assert on_pump(main) == (None, 0.0)


@pytest.mark.parametrize(
    ("fault", "state", "why"),
    [
        ("stall", PumpState.STALLED, "plunger was blocked"),
        ("jam_valve", PumpState.ALARM, "valve is blocked"),
    ],
)
def test_a_blocked_motor_is_told_in_a_sentence(on_pump, fault, state, why):
    async def main(driver, sim, clock):
        await driver.connect()
        sim._port = "1"
        getattr(sim, fault)()
        with pytest.raises(RefusedByDeviceError, match=why):
            await driver.infuse(1.0, 1.0)
        assert await driver.state() is state
        return (await driver.poll())[1]

    assert on_pump(main) == 0.0


def test_a_blocked_line_stops_the_dose_and_what_went_in_is_known(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        sim._plant.move = lambda plunger, ml, t_ns: ml / 2
        await driver.infuse(1.0, 60.0)
        await clock.sleep_until(clock.now_ns() + NS)
        assert await driver.state() is PumpState.STALLED
        return await driver.poll()

    dispensed_ml, infusing = on_pump(main)
    assert (0.0 < dispensed_ml < 1.0, infusing) == (True, 0.0)


def test_a_pump_that_moves_takes_no_second_dose_and_stops_where_it_is(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(2.0, 6.0)
        await clock.sleep_until(clock.now_ns() + 10 * NS)
        with pytest.raises(RefusedByDeviceError, match="still moves"):
            await driver.infuse(1.0, 1.0)
        await driver.make_safe()
        await driver.make_safe()
        stopped_ml = await driver.dispensed_ml()
        await clock.sleep_until(clock.now_ns() + 10 * NS)
        assert await driver.dispensed_ml() == stopped_ml == pytest.approx(1.0, abs=0.02)
        assert await driver.state() is PumpState.IDLE
        with pytest.raises(OutOfRangeError, match=r"at most the 2\.9\d* mL in its syringe"):
            await driver.infuse(3.5, 6.0)

    on_pump(main)


def test_the_gate_is_asked_once_and_refuses_before_the_plunger_moves(on_pump):
    asked = []

    def gate():
        asked.append(True)
        raise TripError("line_1 is shut")

    async def main(driver, sim, clock):
        await driver.connect()
        with pytest.raises(TripError):
            await driver.infuse(1.0, 1.0, gate)
        return await driver.state(), sim._plant.moved

    assert on_pump(main) == (PumpState.IDLE, [])
    assert asked == [True]


def test_a_lost_acknowledgement_is_asked_for_with_rep_and_nothing_is_given_twice(
    on_twin, still_plant
):
    async def main(driver, sim, clock):
        await driver.connect()
        hear = sim._hear
        lost = []

        def lose_the_move(command):
            reply = hear(command)
            if b"A" in command.data and not lost:
                lost.append(command)
                return b""
            return reply

        sim._hear = lose_the_move
        await driver.infuse(1.0, 6.0)
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        return lost, await driver.dispensed_ml(), sim._moves

    plant = still_plant(drawn=4.0)
    lost, given_ml, moves = on_twin(
        "cavro_xcalibur", main, plant, {"drawn": "drawn"}, protocol="oem", **SETTINGS
    )
    assert (len(lost), given_ml, moves) == (1, pytest.approx(1.0), 1)


def test_a_repetition_keeps_its_number_and_sets_rep():
    async def main(driver, script):
        with pytest.raises(NoReplyError):
            await driver._line.act("A100R")
        return script.asked

    first, *again = on_script(main)
    assert first == oem_command(0x31, b"A100R", 1)
    assert again == [oem_command(0x31, b"A100R", 1, repeated=True)] * 3


def test_in_dt_a_move_is_sent_once():
    async def main(driver, script):
        with pytest.raises(NoReplyError):
            await driver._line.act("A100R")
        return script.asked

    assert on_script(main, protocol="dt") == [b"/1A100R\r"]


def test_the_manuals_frames_are_what_is_asked():
    async def main(driver, script):
        await driver.state()
        return script.asked

    assert on_script(main, bytes.fromhex("02 30 60 03 51")) == [bytes.fromhex("02 31 31 51 03 50")]
    assert on_script(main, b"/0\x60\x03\r\n", protocol="dt") == [b"/1Q\r"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0x60, PumpState.IDLE),
        (0x40, PumpState.INFUSING),
        (0x67, PumpState.ALARM),
        (0x69, PumpState.STALLED),
        (0x6A, PumpState.ALARM),
        (0x6B, PumpState.ALARM),
        (0x4F, PumpState.INFUSING),
    ],
)
def test_the_status_byte_says_what_the_pump_does(status, state):
    async def main(driver, script):
        return await driver.state()

    assert on_script(main, oem(status=status)) is state


@pytest.mark.parametrize("code", [7, 9, 10, 11, 15])
def test_an_error_in_the_acknowledgement_refuses_with_its_number(code):
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match=f"error {code}: "):
            await driver._line.act("A100R")
        return len(script.asked)

    assert on_script(main, oem(status=READY | code)) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"address": 15},
        {"protocol": "basic"},
        {"watchdog_s": 20.0},
        {"syringe_ml": 10.0},
        {"bore_mm": 0.0},
        {"ports": {}},
        {"ports": {"flask": "output", "waste": "2"}},
        {"ports": {"flask": "output", "waste": "input"}},
    ],
)
def test_settings_the_pump_cannot_have_are_refused(settings):
    async def main(driver, script):
        return driver

    with pytest.raises(OutOfRangeError, match="correct it"):
        on_script(main, **settings)


@pytest.mark.parametrize(("volume_ml", "rate_ml_min"), [(0.0, 1.0), (5.1, 1.0), (1.0, 0.2)])
@pytest.mark.parametrize("bad", ["as it is", "nan"])
def test_what_the_pump_cannot_do_is_refused_before_anything_is_sent(volume_ml, rate_ml_min, bad):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError):
            await driver.infuse(float("nan") if bad == "nan" else volume_ml, rate_ml_min)
        return script.asked

    assert on_script(main) == []


def test_the_limits_are_twenty_minutes_and_a_second_for_a_stroke():
    low, high = CavroXCalibur.rates_ml_min(14.57)
    assert (low, high) == (pytest.approx(5 / 20, rel=0.04), pytest.approx(5 * 60, rel=0.04))


@pytest.mark.parametrize("half_said", [b"", b"/1", b"\x02\x311A0"])
def test_the_last_will_stops_the_plunger_also_after_half_a_question(on_pump, half_said):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(2.0, 1.0)
        sim.feed(half_said, clock.now_ns())
        for frame in driver.last_will():
            sim.feed(frame, clock.now_ns())
        return sim._target, sim._program

    assert on_pump(main) == (None, [])


@pytest.mark.parametrize("end", [0, 1])
def test_the_pump_takes_the_rates_at_both_limits(on_pump, end):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(1.0, driver.rate_limits_ml_min()[end])
        return await driver.state()

    assert on_pump(main) is PumpState.INFUSING


@given(st.floats(1e-3, 5.0))
def test_rounding_is_at_most_half_a_place(volume_ml):
    async def main(driver, script):
        return driver.rounded_volume_ml(volume_ml)

    assert on_script(main) == pytest.approx(volume_ml, abs=5.0 / 48_000 + 1e-12)


def test_a_late_answer_never_answers_the_next_question(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        feed = sim.feed
        late = [(250_000_000, None)]

        def late_once(data, t_ns):
            replies = feed(data, t_ns)
            if replies and late:
                late.clear()
                return [(700_000_000, reply) for _, reply in replies]
            return replies

        sim.feed = late_once
        before = await driver.poll()
        return [before] + [await driver.poll() for _ in range(5)]

    assert on_pump(main) == [(0.0, 0.0)] * 6


def mutated(rng, reply):
    data = bytearray(reply)
    at = rng.randrange(len(data))
    kind = rng.randrange(3)
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[at]
    else:
        data.insert(at, rng.randrange(256))
    return bytes(data)


class Damaging:
    """Answers `?6` soundly and the first `?` with a damaged place, the next with the sound one."""

    def __init__(self, wrap, truth):
        self.rng, self.wrap, self.truth, self.damages = random.Random(1), wrap, truth, True

    def feed(self, data, t_ns):
        if b"?6" in data:
            return [(0, self.wrap(Answer(READY, b"3")))]
        if b"?" not in data:
            return []
        sound = self.wrap(Answer(READY, b"%d" % self.truth))
        damages, self.damages = self.damages, False
        return [(0, mutated(self.rng, sound) if damages else sound)]


def share_of_wrong_places(protocol, wrap, count):
    """Of `count` damaged answers to `?`, the share that was taken for another place."""
    truth, wrong = 12_345, 0
    line = Damaging(wrap, truth)

    async def main(driver, script):
        nonlocal wrong
        for _ in range(count):
            line.damages = True
            with contextlib.suppress(DeviceError):
                wrong += await driver._resting_place() != truth

    on_script(main, script=line, protocol=protocol)
    return wrong / count


def test_of_damaged_answers_none_is_taken_for_another_place_in_oem():
    assert share_of_wrong_places("oem", oem_answer, 10_000) == 0.0


def test_what_a_dose_starts_from_is_read_twice_since_dt_has_no_checksum():
    assert share_of_wrong_places("dt", dt_answer, 2_000) == 0.0


@given(st.binary(max_size=40), st.sampled_from(["oem", "dt"]))
def test_any_reply_gives_a_reading_or_a_device_error(reply, protocol):
    async def main(driver, script):
        try:
            return await driver.poll()
        except DeviceError:
            return None

    reading = on_script(main, reply, reply, reply, reply, protocol=protocol)
    assert reading is None or len(reading) == 2


def test_a_place_beyond_the_stroke_is_garbled():
    async def main(driver, script):
        with pytest.raises(GarbledError):
            await driver.dispensed_ml()

    on_script(main, oem(), oem(b"24001"), oem(b"3"))
