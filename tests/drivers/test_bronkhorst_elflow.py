import datetime as dt
import json
import math
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import bronkhorst_elflow as module
from drivers.bronkhorst_elflow import BronkhorstElflow
from labctl.capabilities import DeviceSettings, Identity
from labctl.clock import NS, VirtualClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.framing.propar import find_message, seal
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.memory import MemoryWire
from tests.foreign import CLIENTS, python_with
from tests.strangers import foreign_lines

TOUCHES = {"flow": "n2_flow", "supply": "n2_pressure"}
SCCM_PER_NORMAL_ML = 298.15 / 273.15


@pytest.fixture
def plant(still_plant):
    return still_plant(n2_pressure=1.0)


@pytest.fixture
def on_mfc(on_twin, plant):
    def run(main, **settings):
        kept = {"address": 0, "flow_high_sccm": 50.0} | settings
        return on_twin("bronkhorst_elflow", main, plant=plant, touches=TOUCHES, baud=38400, **kept)

    return run


class Script:
    """Answers each question with the next prepared data under its own number."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.told = []

    def feed(self, data, t_ns):
        if not data:
            return []
        asked = find_message(data)
        self.told.append(asked.data)
        if not self.replies:
            return []
        return [(0, seal(asked.sequence, asked.node, self.replies.pop(0)))]


def on_script(main, *replies, script=None, **settings):
    script = script or Script(*replies)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(script, clock), clock)
        kept = {"name": "mfc", "address": 0, "flow_high_sccm": 50.0} | settings
        driver = BronkhorstElflow(port, DeviceSettings(**kept))
        driver.full_scale_sccm = driver._capacity = 100.0
        return await main(driver, script)

    return run_virtual(body)


def answer(measure, setpoint, alarm, in_units, set_units):
    values = struct.pack(">BHBHBB", 0xA0, measure, 0xA1, setpoint, 0x14, alarm)
    return b"\x02\x81" + values + struct.pack(">BBfBf", 0x21, 0xC0, in_units, 0x43, set_units)


HALF = answer(16000, 16000, 0, 50.0, 50.0)


def test_it_connects_sets_reads_and_shuts(on_mfc, plant):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        assert identity == Identity("Bronkhorst", "F-201CV-100-RAD-33-V", "M14202209A", "V1.12")
        assert (driver.tag, driver.gas) == ("USERTAG", "N2")
        assert driver.full_scale_sccm == pytest.approx(100 * SCCM_PER_NORMAL_ML)
        assert plant.things.get("n2_flow", 0.0) == 0.0
        await driver.set_flow(25.0)
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        flowing = tuple(await driver.poll())
        await driver.close()
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        return flowing, tuple(await driver.poll())

    flowing, shut = on_mfc(main)
    assert flowing == pytest.approx((25.0, 25.0), abs=0.01)
    assert shut == (0.0, 0.0)
    assert plant.things["n2_flow"] == 0.0


def test_half_of_full_scale_is_the_manuals_message():
    told = []

    class Wire(Script):
        def feed(self, data, t_ns):
            if data:
                told.append(data)
            return super().feed(data, t_ns)

    async def main(driver, script):
        driver._sequence = 1
        await driver.set_flow(50.0)

    on_script(main, script=Wire(b"\0\0\x05", bytes.fromhex("0201213e80")))
    assert told[0] == bytes.fromhex("1002028005010121 3e80 1003")


def test_a_question_is_the_manuals_message():
    asked = seal(1, 0x80, module._question((module._MEASURE,)))
    assert asked == bytes.fromhex("1002018005 0401200120 1003")


def test_a_setpoint_full_of_escapes_arrives(on_mfc):
    async def main(driver, sim, clock):
        await driver.connect()
        driver._high_sccm = driver.full_scale_sccm
        await driver.set_flow(driver.full_scale_sccm * 0x1010 / 32000)
        return sim.setpoint

    assert on_mfc(main) == 0x1010


def test_a_poll_asks_for_everything_twice_in_one_message():
    async def main(driver, script):
        return tuple(await driver.poll()), script.told

    read, told = on_script(main, HALF)
    assert read == (50.0, 50.0)
    assert told == [bytes.fromhex("04 81 a00120 a10121 140114 21 c02140 432143")]


@pytest.mark.parametrize(
    "said",
    [
        answer(16000, 16000, 0, 60.0, 50.0),
        answer(24192, 16000, 0, 50.0, 50.0),
        answer(16000, 16000, 0, math.nan, 50.0),
        HALF[:-1],
        HALF + b"\0",
        b"\x02",
        b"\x01" + HALF[1:],
        HALF.replace(b"\xa1", b"\xa2"),
    ],
)
def test_numbers_that_disagree_or_do_not_fit_are_no_reading(said):
    async def main(driver, script):
        with pytest.raises(GarbledError):
            await driver.poll()

    on_script(main, said, said, said, said)


def test_a_garbled_answer_is_asked_for_once_more():
    async def main(driver, script):
        return tuple(await driver.poll())

    assert on_script(main, answer(16000, 16000, 0, 60.0, 50.0), HALF) == (50.0, 50.0)


def test_below_zero_is_below_zero():
    async def main(driver, script):
        return (await driver.poll())[0]

    assert on_script(main, answer(0xFFFF - 320, 0, 0, -1.0, 0.0)) == pytest.approx(-1.0)


def test_an_error_of_the_instrument_is_no_number(on_mfc):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.alarm = 0b10
        warned = tuple(await driver.poll())
        sim.alarm = 0b01
        return warned, tuple(await driver.poll())

    assert on_mfc(main) == ((0.0, 0.0), (None, None))


@pytest.mark.parametrize("flow_sccm", [-1.0, 50.1, math.nan, math.inf, 1e-4])
def test_a_flow_beyond_the_limits_is_refused_before_anything_is_sent(flow_sccm):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError, match="50 sccm"):
            await driver.set_flow(flow_sccm)
        return script.told

    assert on_script(main) == []


def test_a_status_says_why_it_was_refused():
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match=r"value out of range \(6\)"):
            await driver.set_flow(10.0)

    on_script(main, b"\0\x06\x03")


def test_a_setpoint_that_reads_back_otherwise_is_an_error():
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match="16000 read back, got 0"):
            await driver.set_flow(50.0)

    on_script(main, b"\0\0\x05", bytes.fromhex("0201210000"))


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("fluid", "Ar", "expected N2, got Ar"),
        ("unit", "kg/h", "mln/min"),
        ("control_mode", 1, "setpoints from the line"),
        ("capacity", 10.0, "full scale"),
    ],
)
def test_what_does_not_fit_the_rig_is_refused_on_connecting(on_mfc, setting, value, text):
    async def main(driver, sim, clock):
        setattr(sim, setting, value)
        with pytest.raises(RefusedByDeviceError, match=text):
            await driver.connect()

    on_mfc(main)


@pytest.mark.parametrize(
    ("unit", "sccm"), [("mln/min", 109.15), ("ln/min", 109152.5), ("mls/min", 101.71)]
)
def test_a_unit_of_the_instrument_becomes_sccm(on_mfc, unit, sccm):
    async def main(driver, sim, clock):
        sim.unit = unit
        await driver.connect()
        return driver.full_scale_sccm

    assert on_mfc(main) == pytest.approx(sccm, rel=1e-4)


def test_the_safe_state_leaves_a_purge_unless_the_rig_shuts_it(on_mfc):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.set_flow(25.0)
        await driver.make_safe()
        await driver.make_safe()
        left = sim.setpoint
        for frame in driver.last_will():
            sim.feed(frame, clock.now_ns())
        return left, sim.setpoint

    left, after = on_mfc(main)
    assert left == after > 0
    assert on_mfc(main, rests_closed=True) == (0, 0)


def test_the_last_will_sent_blind_shuts_the_valve(on_mfc):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.set_flow(25.0)
        sim.feed(b"\x10\x02\x05\x80", clock.now_ns())
        for frame in driver.last_will():
            sim.feed(frame, clock.now_ns())
        return sim.setpoint

    assert on_mfc(main, rests_closed=True) == 0


def test_a_late_answer_never_answers_the_next_question():
    class Late(Script):
        def feed(self, data, t_ns):
            late = len(self.told) == 1
            return [(700_000_000 if late else 0, said) for _, said in super().feed(data, t_ns)]

    said = [answer(n * 320, 16000, 0, float(n), 50.0) for n in range(1, 6)]

    async def main(driver, script):
        read = []
        for _ in range(4):
            try:
                read.append((await driver.poll())[0])
            except NoReplyError:
                read.append(None)
        return read

    assert on_script(main, script=Late(*said)) == [1.0, None, 3.0, 4.0]


@given(st.binary(max_size=60))
def test_any_reply_gives_readings_or_a_device_error(reply):
    class Raw(Script):
        def feed(self, data, t_ns):
            return [(0, reply)] if data else []

    async def main(driver, script):
        try:
            return await driver.poll()
        except DeviceError:
            return None

    assert on_script(main, script=Raw()) is None


def test_of_flipped_bits_none_passes_for_a_flow_further_off_than_a_hundredth():
    """No checksum, but everything twice: 2000 answers with one bit flipped."""
    draw = random.Random(5)
    wrong = 0

    class Flipped(Script):
        def feed(self, data, t_ns):
            return [(0, flip(said)) for _, said in super().feed(data, t_ns)]

    def flip(said):
        said = bytearray(said)
        said[draw.randrange(len(said))] ^= 1 << draw.randrange(8)
        return bytes(said)

    async def main(driver, script):
        try:
            return (await driver.poll())[0]
        except DeviceError:
            return 50.0

    for _ in range(2000):
        read = on_script(main, script=Flipped(*[HALF] * 4))
        wrong += read is not None and abs(read - 50.0) > 1.0
    assert wrong == 0


BUILDER = """
import json, propar
build = propar._propar_builder()
def asked(*rows):
    rows = [dict(zip(("proc_nr", "parm_nr", "parm_type"), row)) for row in rows]
    for row in rows:
        row |= {"proc_index": row["proc_nr"], "parm_index": row["parm_nr"], "parm_size": 0}
    message = build.build_pp_request_parameter_message({"seq": 1, "node": 128}, rows)
    return bytes(message["data"]).hex()
print(json.dumps([
    asked((1, 0, 0x20)),
    asked((1, 0, 0x20), (1, 1, 0x20), (1, 20, 0), (33, 0, 0x41), (33, 3, 0x41)),
    asked((113, 6, 0x60)),
]))
"""


async def test_its_questions_are_those_that_the_vendors_client_builds():
    built = json.loads(await foreign_lines(python_with(*CLIENTS), BUILDER))
    ours = [(module._MEASURE,), module._POLLED, (module._TAG,)]
    assert [module._question(parameters).hex() for parameters in ours] == built
