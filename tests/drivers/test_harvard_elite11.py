import contextlib
import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.harvard_elite11 import _RATE, HarvardElite11
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
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.memory import MemoryWire

SETTINGS = {"address": 3, "bore_mm": 14.57, "syringe_ml": 10.0}


@pytest.fixture(params=["elite", "phd"])
def on_pump(request, on_twin):
    def run(main, **settings):
        async def body(driver, sim, clock):
            sim.phd = request.param == "phd"
            return await main(driver, sim, clock)

        return on_twin("harvard_elite11", body, baud=115200, **(SETTINGS | settings))

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
        settings_ = DeviceSettings(**({"name": "pump"} | SETTINGS | {"address": 0} | settings))
        return await main(HarvardElite11(port, settings_), script)

    return run_virtual(body)


@pytest.mark.parametrize("address", [0, 3, 99])
def test_a_dose_runs_to_its_volume_at_any_address(on_pump, address):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        await driver.infuse(5.0, 1.0)
        started_ns = clock.now_ns()
        assert await driver.state() is PumpState.INFUSING
        await clock.sleep_until(started_ns + 150 * NS)
        dispensed_ml, infusing = await driver.poll()
        assert (dispensed_ml, infusing) == (pytest.approx(2.5, abs=0.01), 1.0)
        await clock.sleep_until(started_ns + 301 * NS)
        assert await driver.poll() == (pytest.approx(5.0, abs=1e-9), 0.0)
        assert await driver.state() is PumpState.IDLE
        await driver.reset_counter()
        return identity, await driver.dispensed_ml(), sim.phd

    identity, left_ml, phd = on_pump(main, address=address)
    model, firmware = ("PHD ULTRA I/W", "1.0.1") if phd else ("11 ELITE I/W Single", "3.0.4")
    assert identity == Identity("Harvard Apparatus", model, firmware=firmware)
    assert left_ml == 0.0


def test_connecting_sets_the_syringe_and_moves_nothing(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await clock.sleep_until(clock.now_ns() + 10 * NS)
        return sim._bore_mm, sim._syringe_ml, sim._plant.moved

    assert on_pump(main) == (14.57, 10.0, [])


def test_a_stopped_dose_goes_on_to_the_same_end(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(2.0, 1.0)
        await clock.sleep_until(clock.now_ns() + 30 * NS)
        await driver.make_safe()
        await driver.make_safe()
        counted_ml = await driver.dispensed_ml()
        assert await driver.state() is PumpState.IDLE
        await driver.infuse(2.0 - counted_ml, 1.0)
        await clock.sleep_until(clock.now_ns() + 100 * NS)
        return await driver.dispensed_ml(), sum(ml for _, ml in sim._plant.moved)

    assert on_pump(main) == (pytest.approx(2.0, abs=1e-9), pytest.approx(2.0, abs=1e-9))


def test_run_sent_again_by_another_program_gives_nothing_more(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(1.0, 6.0)
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        sim.feed(b"3:irun\r\n", clock.now_ns())
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        return await driver.dispensed_ml()

    assert on_pump(main) == pytest.approx(1.0, abs=1e-9)


def test_a_pump_that_moves_takes_no_second_dose(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(2.0, 6.0)
        with pytest.raises(RefusedByDeviceError, match="stop it first"):
            await driver.infuse(1.0, 1.0)
        with pytest.raises(RefusedByDeviceError, match="stop it first"):
            await driver.reset_counter()

    on_pump(main)


def test_a_stalled_motor_is_told_and_the_counter_stays(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(2.0, 6.0)
        await clock.sleep_until(clock.now_ns() + 5 * NS)
        await driver.poll()
        sim.stall()
        counted = await driver.poll()
        return counted, await driver.state()

    assert on_pump(main) == ((pytest.approx(0.5, abs=0.01), 0.0), PumpState.STALLED)


def test_after_a_power_cut_the_lost_counter_is_no_reading(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(2.0, 6.0)
        await clock.sleep_until(clock.now_ns() + 5 * NS)
        await driver.poll()
        sim.power_cycle()
        with pytest.raises(RefusedByDeviceError, match="its counter is lost"):
            await driver.dispensed_ml()
        await driver.reset_counter()
        return await driver.dispensed_ml()

    assert on_pump(main) == 0.0


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


@pytest.mark.parametrize("half_said", [b"", b"3:tvol", b"3:irun"])
def test_the_last_will_stops_the_plunger_also_after_half_a_question(on_pump, half_said):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.infuse(5.0, 1.0)
        sim.feed(half_said, clock.now_ns())
        for frame in driver.last_will():
            sim.feed(frame, clock.now_ns())
        return sim._prompt

    assert on_pump(main) == ":"


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("bore_mm", [4.69, 14.57, 26.59])
def test_the_pump_takes_the_rates_at_both_limits(on_pump, bore_mm, end):
    async def main(driver, sim, clock):
        rates = driver.rates_ml_min(bore_mm)
        await driver.connect()
        await driver.infuse(0.5, rates[end])
        return await driver.state()

    assert on_pump(main, bore_mm=bore_mm) is PumpState.INFUSING


def test_the_limits_are_those_of_the_pumps_own_metrics():
    low, high = HarvardElite11.rates_ml_min(14.57)
    # 68.9 nm per microstep: 2.55 nm/s to 2.65 mm/s.
    assert (low, high) == (pytest.approx(2.5526e-5, rel=5e-3), pytest.approx(26.51, rel=5e-3))


@pytest.mark.parametrize(
    ("said", "low", "high"),
    [
        (b"1.5261 nl/min to 7.9495 ml/min", 1.5261e-6, 7.9495),
        (b".0404 nl/min to 26.0035 ml/min", 0.0404e-6, 26.0035),
        (b"12 ul/hr to 900 ul/s", 0.2e-3, 54.0),
    ],
)
def test_limits_are_read_in_whatever_unit_the_pump_writes(said, low, high):
    async def main(driver, script):
        await driver.connect()
        return driver.rate_limits_ml_min()

    head = b"\n00:"
    replies = [head + b"11 ELITE I/W Single 3.0.4\r\n00:", b"\n00>", head + said + b"\r\n00>"]
    assert on_script(main, *replies) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(
    ("prompt", "state"),
    [
        (b":", PumpState.IDLE),
        (b"T*", PumpState.IDLE),
        (b">", PumpState.INFUSING),
        (b"<", PumpState.WITHDRAWING),
        (b"*", PumpState.STALLED),
        (b">*", PumpState.ALARM),
    ],
)
@pytest.mark.parametrize("own", [b"", b"00"])
def test_every_prompt_is_a_state_with_and_without_the_address(own, prompt, state):
    async def main(driver, script):
        return await driver.state()

    assert on_script(main, b"\n" + own + prompt) is state


@pytest.mark.parametrize(
    "text",
    [
        b"Command error: foo\r\n   Unknown command",
        b"Argument error: 99 m/m\r\n   Out of range",
        b"Unknown command",
        b"Range error: 9",
    ],
)
def test_errors_are_texts_and_become_the_sentence(text):
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match=r"(?i)error|unknown"):
            await driver._chain.ask("irate 99 m/m")

    on_script(main, b"\n" + text + b"\r\n:")


def test_an_error_whose_line_comes_late_does_not_answer_the_next_question(on_twin):
    async def main(driver, sim, clock):
        await driver.connect()
        feed = sim.feed

        def in_pieces(data, t_ns):
            pieces = []
            for delay, reply in feed(data, t_ns):
                pieces += [(delay, reply[:4]), (delay + 20_000_000, reply[4:])]
            return pieces

        sim.feed = in_pieces
        await driver._chain.ask("irate 999 m/m")
        with pytest.raises((RefusedByDeviceError, GarbledError)):
            await driver._chain.query("irate", _RATE)
        return [await driver.poll() for _ in range(4)]

    assert on_twin("harvard_elite11", main, **SETTINGS) == [(0.0, 0.0)] * 4


def test_what_still_comes_after_a_garbled_reply_is_heard_out_before_the_next_question():
    class Torn(Script):
        def feed(self, data, t_ns):
            if not data:
                return []
            self.asked.append(data)
            if len(self.asked) == 1:
                return [(0, b"\n00:what\r\n00:"), (20_000_000, b"   is this\r\n00:")]
            return [(30_000_000, b"\n00:0 0 500000000000 i...I.\r\n00:")]

    async def main(driver, script):
        return await driver.poll()

    assert on_script(main, script=Torn()) == (0.5, 0.0)


@pytest.mark.parametrize(("volume_ml", "rate_ml_min"), [(0.0, 1.0), (10.1, 1.0), (1.0, 99.0)])
@pytest.mark.parametrize("bad", ["as it is", "nan"])
def test_what_the_pump_cannot_do_is_refused_before_anything_is_sent(volume_ml, rate_ml_min, bad):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError):
            await driver.infuse(float("nan") if bad == "nan" else volume_ml, rate_ml_min)
        return script.asked

    assert on_script(main) == []


@pytest.mark.parametrize(
    "settings",
    [{"address": 100}, {"bore_mm": 0.0}, {"watchdog_s": 20.0}, {"protocol": "oem"}],
)
def test_settings_the_pump_cannot_have_are_refused(settings):
    async def main(driver, script):
        return driver

    with pytest.raises(OutOfRangeError, match="correct it"):
        on_script(main, **settings)


def test_the_manual_writes_the_address_with_a_colon_and_none_for_zero():
    async def main(driver, script):
        return driver._chain.written("irat 3.2 ul/min"), driver.last_will()

    assert on_script(main, address=12)[0] == b"12:irat 3.2 ul/min\r\n"
    assert on_script(main)[1] == (b"stp\r\n", b"stp\r\n")


def test_irun_is_never_sent_twice():
    status = b"\n0 0 0 i...I.\r\n:"
    settings = [status, b"\n14.57 mm\r\n:", b"\n:", b"\n1 ml/min\r\n:", b"\n:", b"\n1 ml\r\n:"]

    async def main(driver, script):
        with pytest.raises(NoReplyError):
            await driver.infuse(1.0, 1.0)
        return script.asked.count(b"irun\r\n")

    assert on_script(main, *settings) == 1


def test_a_target_that_reads_back_otherwise_stops_the_dose_before_it_starts():
    status = b"\n0 0 0 i...I.\r\n:"
    settings = [status, b"\n14.57 mm\r\n:", b"\n:", b"\n1 ml/min\r\n:", b"\n:", b"\n9 ml\r\n:"]

    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match="1 read back, got 9"):
            await driver.infuse(1.0, 1.0)
        return b"irun\r\n" in script.asked

    assert on_script(main, *settings) is False


def test_a_pump_that_withdraws_is_asked_for_what_it_infused():
    async def main(driver, script):
        return await driver.poll()

    withdraws = b"\n00:41666666666 1000 700000000000 W...I.\r\n00<"
    assert on_script(main, withdraws, b"\n00:250 ul\r\n00<") == (0.25, 0.0)


def test_the_five_flags_of_a_phd_are_read():
    async def main(driver, script):
        return await driver.poll()

    assert on_script(main, b"\n41666666667 12 500000000000 i...I\r\n>") == (0.5, 1.0)


def test_a_late_reply_never_answers_the_next_question(on_pump):
    async def main(driver, sim, clock):
        await driver.connect()
        feed = sim.feed
        late = [True]

        def late_once(data, t_ns):
            replies = feed(data, t_ns)
            if replies and late:
                late.clear()
                return [(550_000_000, reply) for _, reply in replies]
            return replies

        sim.feed = late_once
        with pytest.raises(NoReplyError):
            await driver._chain.ask("tvolume 7 m")
        return [await driver.poll() for _ in range(5)]

    assert on_pump(main) == [(0.0, 0.0)] * 5


class Damaging:
    """Answers the first `status` damaged, the next soundly."""

    def __init__(self):
        self.rng, self.damages = random.Random(1), True

    def feed(self, data, t_ns):
        if not data:
            return []
        reply = bytearray(b"\n00:41666666667 12000 500000000000 I...I.\r\n00:")
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


@pytest.mark.parametrize(("read", "most"), [("poll", 0.25), ("dispensed_ml", 0.0)])
def test_of_damaged_counters_few_are_polled_and_none_is_booked(read, most):
    line, wrong, count = Damaging(), 0, 1000

    async def main(driver, script):
        nonlocal wrong
        for _ in range(count):
            line.damages, driver._seen_ml = True, 0.0
            with contextlib.suppress(DeviceError):
                got = await getattr(driver, read)()
                wrong += abs((got[0] if read == "poll" else got) - 0.5) > 1e-9

    on_script(main, script=line)
    assert wrong / count <= most


@given(st.binary(max_size=40))
def test_any_reply_gives_a_reading_or_a_device_error(reply):
    async def main(driver, script):
        try:
            return await driver.poll()
        except DeviceError:
            return None

    reading = on_script(main, b"\n" + reply + b"\r\n:", reply, reply + b"\n:")
    assert reading is None or len(reading) == 2


def test_another_pumps_reply_is_garbled():
    async def main(driver, script):
        with pytest.raises(GarbledError):
            await driver.state()

    on_script(main, b"\n04:", address=3)
