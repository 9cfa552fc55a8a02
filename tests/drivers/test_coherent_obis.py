"""The OBIS driver against its simulator in virtual time, and against replies made by hand."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.coherent_obis import CoherentObis
from labctl.capabilities import DeviceSettings, Identity
from labctl.clock import VirtualClock, WallClock
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
from labctl.twin import TwinDevice
from simulators.coherent_obis import SimObis

KIND = "coherent_obis"
RIG = {"power_high_mw": 20.0, "wavelength_nm": 405.0}
BEAM = {"laser": "beam"}
NS = 1_000_000_000


class Scripted:
    """Answers each line from a table, `OK` where it has none, and keeps the lines."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def feed(self, data, t_ns):
        if not data:
            return []
        line = data.decode().removesuffix("\r\n")
        self.asked.append(line)
        answer = self.answers.get(line, b"OK\r\n")
        if isinstance(answer, list):
            answer = answer.pop(0)
        return [(0, answer)] if answer else []


HEALTHY = {
    "*IDN?": b"Coherent, Inc-OBIS 405-50 LX-V1.0.1-Dec 14 2010\r\nOK\r\n",
    "SYST:INF:SNUM?": b"LM1\r\nOK\r\n",
    "SYST:INF:WAV?": b"405.2\r\nOK\r\n",
    "SOUR:AM:SOUR?": b"CWP\r\nOK\r\n",
    "SOUR:POW:LIM:LOW?": b"0.00100\r\nOK\r\n",
    "SOUR:POW:LIM:HIGH?": b"0.05500\r\nOK\r\n",
    "SYST:FAUL?": b"00000000\r\nOK\r\n",
    "SYST:LOCK?": b"ON\r\nOK\r\n",
    "SOUR:POW:LEV:IMM:AMPL?": b"0.02000\r\nOK\r\n",
    "SOUR:AM:STAT?": b"ON\r\nOK\r\n",
    "SOUR:POW:LEV?": b"0.01987\r\nOK\r\n",
    "SYST:STAT?": b"C8001002\r\nOK\r\n",
}


def drive(main, answers=(), **fields):
    scripted = Scripted(HEALTHY | dict(answers))

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(scripted, clock, baud=0), clock)
        return await main(CoherentObis(port, DeviceSettings("unit", **(RIG | fields))))

    return run_virtual(body), scripted


async def connect(driver):
    return await driver.connect()


async def shine(driver):
    await driver.connect()
    await driver.shine(20.0)


def test_the_twin_says_who_it_is_and_shines_when_its_delay_is_over(on_twin, still_plant):
    plant = still_plant()

    async def main(driver, sim, clock):
        identity = await driver.connect()
        await driver.shine(12.5)
        commanded_ns = clock.now_ns()
        waiting = await driver.poll()
        await clock.sleep_until(commanded_ns + 6 * NS)
        shining = await driver.poll()
        await driver.shine(0)
        return identity, commanded_ns, waiting, shining, await driver.poll()

    identity, commanded_ns, waiting, shining, dark = on_twin(KIND, main, plant, BEAM, 115200, **RIG)
    assert identity == Identity("Coherent", "OBIS 405nm 50mW C", "LM40521", "V1.0.1")
    assert commanded_ns < 0.2 * NS
    assert waiting == (0.0, 0.0)
    assert shining == (pytest.approx(12.5, rel=0.02), 1.0)
    assert dark == (0.0, 0.0)
    assert plant.things["beam"] == 0.0


@pytest.mark.parametrize("power_mw", [20.01, -1.0, 0.5, float("nan"), float("inf")])
def test_a_power_beyond_rig_or_laser_is_refused_before_anything_is_sent(on_twin, power_mw):
    async def main(driver, sim, clock):
        await driver.connect()
        before_ns = clock.now_ns()
        with pytest.raises(OutOfRangeError, match=r"0 or 1 mW \.\. 20 mW"):
            await driver.shine(power_mw)
        assert clock.now_ns() == before_ns

    on_twin(KIND, main, touches=BEAM, **RIG)


def test_without_a_limit_in_the_rig_file_the_lasers_own_holds():
    async def main(driver):
        await driver.connect()
        with pytest.raises(OutOfRangeError, match=r"55 mW"):
            await driver.shine(56.0)

    drive(main, power_high_mw=0.0)


def test_with_the_shield_open_nothing_is_switched_on(on_twin, still_plant):
    plant = still_plant()

    async def main(driver, sim, clock):
        await driver.connect()
        sim.interlock_closed = False
        with pytest.raises(RefusedByDeviceError, match="closed shield"):
            await driver.shine(10.0)
        await clock.sleep_until(20 * NS)
        await driver.poll()

    on_twin(KIND, main, plant, BEAM, **RIG)
    assert "beam" not in plant.things


def test_making_safe_darkens_it_from_any_state_as_often_as_asked(on_twin, still_plant):
    plant = still_plant()

    async def main(driver, sim, clock):
        await driver.make_safe()
        await driver.connect()
        await driver.shine(10.0)
        await clock.sleep_until(10 * NS)
        assert (await driver.poll())[1] == 1.0
        await driver.make_safe()
        await driver.make_safe()
        assert await driver.poll() == (0.0, 0.0)

    on_twin(KIND, main, plant, BEAM, **RIG)
    assert plant.things["beam"] == 0.0


def test_making_safe_works_on_a_laser_whose_handshaking_was_switched_off(on_twin, still_plant):
    plant = still_plant(beam=20.0)

    async def main(driver, sim, clock):
        sim.feed(b"SYST:CDRH OFF\rSOUR:AM:STAT ON\rSYST:COMM:HAND OFF\r", 0)
        assert plant.things["beam"] == 50.0
        await driver.make_safe()

    on_twin(KIND, main, plant, BEAM, **RIG)
    assert plant.things["beam"] == 0.0


def test_making_safe_survives_the_late_answer_to_the_question_it_cut_short():
    async def main(driver):
        await driver.make_safe()

    answers = {
        "SOUR:AM:STAT OFF": [b"0.01987\r\nOK\r\n", b"OK\r\n"],
        "SOUR:AM:STAT?": b"OFF\r\nOK\r\n",
    }
    _, scripted = drive(main, answers)
    assert scripted.asked == [
        "SOUR:AM:STAT OFF",
        "SYST:COMM:HAND ON",
        "SOUR:AM:STAT OFF",
        "SOUR:AM:STAT?",
    ]


def test_the_level_is_set_and_seen_before_the_light_is_switched_on():
    _, scripted = drive(shine)
    level = scripted.asked.index("SOUR:POW:LEV:IMM:AMPL 0.020000")
    assert scripted.asked[level:] == [
        "SOUR:POW:LEV:IMM:AMPL 0.020000",
        "SOUR:POW:LEV:IMM:AMPL?",
        "SOUR:AM:STAT ON",
        "SOUR:AM:STAT?",
    ]


def test_connecting_actuates_nothing_and_keeps_what_the_laser_says():
    async def main(driver):
        identity = await driver.connect()
        return identity, driver.wavelength_nm

    (identity, wavelength_nm), scripted = drive(main)
    assert identity == Identity("Coherent", "OBIS 405-50 LX", "LM1", "V1.0.1")
    assert wavelength_nm == 405.2
    assert [line for line in scripted.asked if "?" not in line] == ["SYST:COMM:HAND ON"]


@pytest.mark.parametrize(
    ("line", "answer", "error", "says"),
    [
        ("SYST:INF:WAV?", b"488\r\nOK\r\n", RefusedByDeviceError, "405 nm as in the rig, got 488"),
        ("SOUR:AM:SOUR?", b"DIGITAL\r\nOK\r\n", RefusedByDeviceError, "SOUR:AM:INT CWP"),
        ("SYST:FAUL?", b"00000002\r\nOK\r\n", RefusedByDeviceError, "00000002"),
        ("*IDN?", b"Thorlabs, S1FC405\r\nOK\r\n", GarbledError, "Coherent, Inc"),
        ("*IDN?", b"ERR-100\r\n", RefusedByDeviceError, "ERR-100"),
        ("SOUR:POW:LIM:LOW?", b"1 mW\r\nOK\r\n", GarbledError, "a number"),
        ("SYST:FAUL?", b"0\r\nOK\r\n", GarbledError, "eight hexadecimal"),
        ("SYST:INF:WAV?", b"OK\r\n", GarbledError, "one line and OK"),
        ("SYST:INF:WAV?", b"4e999\r\nOK\r\n", GarbledError, "a number"),
        ("SYST:COMM:HAND ON", b"ON\r\nOK\r\n", GarbledError, "expected OK"),
        ("SYST:INF:WAV?", b"405\r\n", NoReplyError, "within 1 s"),
    ],
)
def test_a_laser_that_is_not_the_rigs_or_not_fit_is_refused(line, answer, error, says):
    async def main(driver):
        with pytest.raises(error, match=says):
            await driver.connect()

    drive(main, {line: answer})


@pytest.mark.parametrize(
    ("line", "answer", "says"),
    [
        ("SOUR:POW:LEV:IMM:AMPL 0.020000", b"ERR-220\r\n", "ERR-220"),
        ("SOUR:POW:LEV:IMM:AMPL?", b"0.05000\r\nOK\r\n", "expected 20 mW, got 50 mW"),
        ("SOUR:AM:STAT?", b"OFF\r\nOK\r\n", "emission; expected ON, got OFF"),
        ("SYST:LOCK?", b"OFF\r\nOK\r\n", "closed shield"),
    ],
)
def test_a_laser_that_does_not_obey_is_noticed(line, answer, says):
    async def main(driver):
        with pytest.raises(RefusedByDeviceError, match=says):
            await shine(driver)

    _, scripted = drive(main, {line: answer})
    if "STAT" not in line:
        assert "SOUR:AM:STAT ON" not in scripted.asked


def test_more_power_than_the_laser_can_give_is_no_reading():
    async def main(driver):
        await driver.connect()
        with pytest.raises(GarbledError, match=r"at most 68\.75 mW.*9019\.87 mW"):
            await driver.poll()

    drive(main, {"SOUR:POW:LEV?": b"9.01987\r\nOK\r\n"})


def test_polling_reads_milliwatts_and_whether_it_emits():
    async def main(driver):
        return await driver.poll()

    assert drive(main)[0] == (pytest.approx(19.87), 1.0)
    assert drive(main, {"SYST:STAT?": b"C8001010\r\nOK\r\n"})[0][1] == 0.0


@settings(max_examples=60)
@given(answer=st.binary(max_size=30), line=st.sampled_from(sorted(HEALTHY)), ended=st.booleans())
def test_whatever_comes_back_ends_in_a_device_error_or_in_light(answer, line, ended):
    async def main(driver):
        try:
            async with asyncio.timeout(60):
                await shine(driver)
                await driver.poll()
        except DeviceError as error:
            return str(error)
        return "unit: asked and obeyed"

    said, _ = drive(main, {line: answer + b"\r\nOK\r\n" if ended else answer})
    assert said.startswith("unit: asked")


@pytest.fixture(scope="module")
def visa_backend():
    """Begin with the backend loaded: libusb, where there is one, keeps its sockets to the end."""
    pytest.importorskip("pyvisa_py", reason="pyvisa-py (the visa extra) is not installed")
    importlib.import_module("pyvisa").ResourceManager("@py").close()


async def test_over_visa_the_same_driver_meets_the_same_laser(visa_backend, still_plant):
    visa = importlib.import_module("labctl.transport.visa")
    clock = WallClock()
    fields = DeviceSettings("unit", **RIG)
    sim = SimObis(TwinDevice("unit", KIND, "line", fields, BEAM), still_plant())

    async def serve(reader, writer):
        while data := await reader.read(1000):
            for _, reply in sim.feed(data, clock.now_ns()):
                writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    resource = f"TCPIP::127.0.0.1::{server.sockets[0].getsockname()[1]}::SOCKET"
    port = Port("obis", visa.VisaWire("obis", resource, clock), clock)
    driver = CoherentObis(port, fields)
    await port.open()
    try:
        assert (await driver.connect()).serial == "LM40521"
        await driver.shine(10.0)
        assert await driver.poll() == (0.0, 0.0)  # the CDRH delay
        await driver.make_safe()
    finally:
        await port.close()
        server.close()
        await server.wait_closed()
