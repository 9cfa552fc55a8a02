"""The simulated laser as its clients know it: handshakes, forms, delay, interlock, faults."""

from __future__ import annotations

import asyncio
import itertools

import pytest
import pyvisa
import pyvisa_py  # noqa: F401 - its USB library opens a socket when it is first imported
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.twin import TwinDevice
from simulators.coherent_obis import SimObis
from simulators.serve import serve_pty, serve_tcp
from tests.foreign import HEAVY_CLIENTS, python_with, run_foreign

NS = 1_000_000_000


@pytest.fixture
def plant(still_plant):
    return still_plant()


@pytest.fixture
def laser(plant):
    return make(plant)


def make(plant):
    settings = DeviceSettings("unit")
    return SimObis(TwinDevice("unit", "coherent_obis", "line", settings, {"laser": "beam"}), plant)


def ask(laser, line, t_ns=0):
    return b"".join(reply for _, reply in laser.feed(line.encode() + b"\r\n", t_ns))


def test_queries_are_answered_by_value_and_ok_settings_by_ok(laser):
    assert ask(laser, "SYSTem:INFormation:WAVelength?") == b"405\r\nOK\r\n"
    assert ask(laser, "SOURce:POWer:LIMit:HIGH?") == b"0.05500\r\nOK\r\n"
    assert ask(laser, "SOURce:AM:STATe OFF") == b"OK\r\n"
    assert ask(laser, "SOURce:AM:STATe?") == b"OFF\r\nOK\r\n"
    assert ask(laser, "*IDN?").startswith(b"Coherent, Inc-OBIS 405nm")


@pytest.mark.parametrize(
    "form",
    [
        "SOURce:POWer:LEVel:IMMediate:AMPLitude?",
        "SOUR:POW:LEV:IMM:AMPL?",
        "source:power:level:immediate:amplitude?",
        "Sour:Power:Lev:Immediate:Ampl?",
    ],
)
def test_long_and_short_forms_in_any_case_are_one_command(laser, form):
    assert ask(laser, form) == b"0.05000\r\nOK\r\n"


@pytest.mark.parametrize("form", ["SOURC:POW:LEV?", "SOUR:POWE:LEV?", "SOUR:POW?", "POW:LEV?"])
def test_forms_between_long_and_short_are_not_understood(laser, form):
    assert ask(laser, form) == b"ERR-100\r\n"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("NONSENSE", b"ERR-100\r\n"),
        ("SYST:INF:WAV 532", b"ERR-100\r\n"),
        ("SOUR:AM:INT?", b"ERR-100\r\n"),
        ("SOUR:AM:STAT PERHAPS", b"ERR-220\r\n"),
        ("SOUR:POW:LEV:IMM:AMPL much", b"ERR-220\r\n"),
        ("SOUR:POW:LEV:IMM:AMPL nan", b"ERR-220\r\n"),
        ("SOUR:POW:LEV:IMM:AMPL 0.0551", b"ERR-220\r\n"),
        ("SOUR:POW:LEV:IMM:AMPL 0.0009", b"ERR-220\r\n"),
    ],
)
def test_what_cannot_be_done_is_refused_and_queued(laser, line, error):
    assert ask(laser, line) == error
    assert ask(laser, "SYST:ERR:COUN?") == b"1\r\nOK\r\n"
    assert ask(laser, "SYST:ERR:NEXT?") == error[3:] + b"OK\r\n"
    assert ask(laser, "SYST:ERR:NEXT?") == b"0\r\nOK\r\n"


def test_without_handshaking_only_values_come_back(laser):
    assert ask(laser, "SYST:COMM:HAND OFF") == b""
    assert ask(laser, "SYST:INF:WAV?") == b"405\r\n"
    assert ask(laser, "NONSENSE") == b""
    assert ask(laser, "SYST:COMM:HAND ON") == b"OK\r\n"
    assert ask(laser, "SYST:ERR:COUN?") == b"1\r\nOK\r\n"


def test_light_comes_five_seconds_after_on(laser, plant):
    ask(laser, "SOUR:POW:LEV:IMM:AMPL 0.02")
    ask(laser, "SOUR:AM:STAT ON", 10 * NS)
    assert ask(laser, "SOUR:AM:STAT?", 10 * NS) == b"ON\r\nOK\r\n"
    assert ask(laser, "SYST:STAT?", 14 * NS) == b"C8001010\r\nOK\r\n"
    laser.advance(15 * NS - 1)
    assert "beam" not in plant.things
    laser.advance(15 * NS)
    assert plant.things["beam"] == pytest.approx(20.0)
    assert ask(laser, "SYST:STAT?", 15 * NS) == b"C8001002\r\nOK\r\n"
    assert float(ask(laser, "SOUR:POW:LEV?", 15 * NS).split()[0]) == pytest.approx(0.02, rel=0.01)
    ask(laser, "SOUR:AM:STAT OFF", 16 * NS)
    assert plant.things["beam"] == 0.0
    assert ask(laser, "SYST:STAT?", 16 * NS) == b"C8000008\r\nOK\r\n"
    assert ask(laser, "SOUR:POW:LEV?", 16 * NS) == b"0.00000\r\nOK\r\n"


def test_without_the_delay_light_comes_at_once_and_follows_its_level(laser, plant):
    ask(laser, "SYST:CDRH OFF")
    ask(laser, "SOUR:AM:STAT ON")
    assert plant.things["beam"] == pytest.approx(50.0)
    ask(laser, "SOUR:POW:LEV:IMM:AMPL 0.01")
    assert plant.things["beam"] == pytest.approx(10.0)


@pytest.mark.parametrize("cause", ["interlock", "fault"])
def test_an_opened_shield_or_a_fault_stops_the_light_until_it_is_asked_for_again(
    laser, plant, cause
):
    ask(laser, "SYST:CDRH OFF")
    ask(laser, "SOUR:AM:STAT ON")
    laser.interlock_closed, laser.fault = cause != "interlock", 2 * (cause == "fault")
    laser.advance(NS)
    assert plant.things["beam"] == 0.0
    ask(laser, "SOUR:AM:STAT ON", NS)
    assert ask(laser, "SOUR:AM:STAT?", NS) == b"OFF\r\nOK\r\n"
    laser.interlock_closed, laser.fault = True, 0
    laser.advance(2 * NS)
    assert plant.things["beam"] == 0.0
    ask(laser, "SOUR:AM:STAT ON", 2 * NS)
    assert plant.things["beam"] == pytest.approx(50.0)


def test_the_dialogue_of_python_microscope_holds(laser):
    # the questions of its ObisLaser: construction, enable, set power, shutdown
    queries = (
        "SYSTem:INFormation:MODel? SYSTem:INFormation:SNUMber? SYSTem:CDRH? *TST? "
        "SOURce:TEMPerature:APRobe? SYSTem:AUTostart? SOURce:POWer:LIMit:HIGH? SYSTem:STATus? "
        "SYSTem:FAULt? SYSTem:HOURs? SOURce:POWer:LEVel? SOURce:POWer:LEVel:IMMediate:AMPLitude?"
    )
    for query in queries.split():
        value, ok, end = ask(laser, query).split(b"\r\n")
        assert (bool(value), ok, end) == (True, b"OK", b"")
    for setting in (
        "SYSTem:COMMunicate:HANDshaking ON",
        "SOURce:AM:EXTernal DIGital",
        "SOURce:TEMPerature:APRobe ON",
        "SOURce:AM:STATe ON",
        "SOURce:POWer:LEVel:IMMediate:AMPLitude 0.00200",
        "SOURce:AM:INTernal CWP",
        "SOURce:TEMPerature:APRobe OFF",
    ):
        assert ask(laser, setting) == b"OK\r\n"
    assert ask(laser, "SOURce:AM:STATe?") == b"ON\r\nOK\r\n"


def test_a_fault_shows_in_both_words(laser):
    laser.fault = 0x02
    assert ask(laser, "SYST:FAUL?") == b"00000002\r\nOK\r\n"
    assert ask(laser, "SYST:STAT?") == b"C8001001\r\nOK\r\n"


def test_the_interlock_says_on_while_closed(laser):
    assert ask(laser, "SYST:LOCK?") == b"ON\r\nOK\r\n"
    laser.interlock_closed = False
    assert ask(laser, "SYST:LOCK?") == b"OFF\r\nOK\r\n"


quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
LINES = [b"*IDN?", b"SYST:INF:WAV?", b"sour:am:stat on", b"SYST:STAT?", b"what", b""]


@quick
@given(
    lines=st.lists(st.sampled_from(LINES), max_size=6),
    end=st.sampled_from([b"\r", b"\n", b"\r\n"]),
    cuts=st.lists(st.integers(0, 120), max_size=6),
)
def test_the_same_bytes_however_cut_give_the_same_replies(still_plant, lines, end, cuts):
    stream = b"".join(line + end for line in lines)
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:stop] for start, stop in itertools.pairwise(bounds)]
    at_once = collect(still_plant(), [stream])
    assert collect(still_plant(), pieces) == at_once
    assert collect(still_plant(), [bytes((byte,)) for byte in stream]) == at_once
    assert at_once.count(b"OK\r\n") + at_once.count(b"ERR") == sum(map(bool, lines))


def collect(plant, chunks):
    laser = make(plant)
    return b"".join(reply for chunk in chunks for _, reply in laser.feed(chunk, 0))


@quick
@given(noise=st.binary(max_size=600))
def test_no_bytes_break_it(still_plant, noise):
    laser = make(still_plant())
    laser.feed(noise + b"\r\n", 0)
    laser.feed(b"SYST:COMM:HAND ON\r\n", 0)
    assert ask(laser, "SYST:INF:WAV?") == b"405\r\nOK\r\n"


MICROSCOPE = """
import sys
from microscope.lights.obis import ObisLaser
laser = ObisLaser(sys.argv[1], timeout=2.0)
assert not laser.get_is_on()
laser.power = 0.4
laser.enable()
print(laser.get_is_on(), *laser.get_status(), sep="|")
laser.disable()
print(laser.get_is_on())
laser.shutdown()
"""


async def test_python_microscope_switches_it_on_and_off_over_a_pty(plant):
    laser, loop = make(plant), asyncio.get_running_loop()
    started = loop.time()
    served = await serve_pty(laser, lambda: round((loop.time() - started) * NS))
    python = python_with(*HEAVY_CLIENTS)
    try:
        said = await loop.run_in_executor(None, run_foreign, python, MICROSCOPE, served.path)
    finally:
        await served.close()
    on, state, level, measured, status, fault, hours = said.splitlines()[0].split("|")
    assert (on, state) == ("True", "Emission on? ON")
    assert (level, fault) == ("Target power: 0.02200", "Fault code? 00000000")
    assert measured == "Measured power: 0.00000"  # its delay of 5 s is not over
    assert status == "Status code? C8001010"
    assert hours == "Head operating hours: 1204.60"
    assert said.splitlines()[1] == "False"
    assert plant.things.get("beam", 0.0) == 0.0


@pytest.mark.parametrize("way", ["pty", "tcp"])
async def test_pyvisa_asks_it_over_either_wire(laser, way):
    loop = asyncio.get_running_loop()
    started = loop.time()
    serve = serve_pty if way == "pty" else serve_tcp
    served = await serve(laser, lambda: round((loop.time() - started) * NS))
    if way == "pty":
        name = f"ASRL{served.path}::INSTR"
    else:
        name = f"TCPIP::{served.host}::{served.port}::SOCKET"

    def work():
        manager = pyvisa.ResourceManager("@py")
        try:
            client = manager.open_resource(
                name, read_termination="\r\n", write_termination="\r\n", timeout=2000
            )
            said = []
            for line in ("*IDN?", "SYST:INF:WAV?", "SOUR:POW:LIM:HIGH?"):
                said += [client.query(line), client.read()]
            return [*said, client.query("SOUR:AM:STAT OFF"), client.query("nonsense")]
        finally:
            manager.close()

    try:
        said = await loop.run_in_executor(None, work)
    finally:
        await served.close()
    assert said[0].startswith("Coherent, Inc-OBIS 405nm")
    assert said[1:7] == ["OK", "405", "OK", "0.05500", "OK", "OK"]
    assert said[7].startswith("ERR")
