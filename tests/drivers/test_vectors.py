"""Every driver asks the vendors' own questions and understands the vendors' own replies.

Where no driver asks a question of tests/vectors.py, the framing that it would use is held to it.
"""

import datetime as dt

import pytest

from labctl.capabilities import DeviceSettings, PumpState
from labctl.clock import VirtualClock
from labctl.errors import RefusedByDeviceError
from labctl.framing import cavro, modbus, newera, obp, propar, until
from labctl.loop import run_virtual
from labctl.readings import Channel
from labctl.registry import load
from labctl.transport import Port
from labctl.transport.memory import MemoryWire
from labctl.twin import TwinDevice
from tests.conftest import StillPlant, TickedLine
from tests.vectors import VECTORS

HEATER = {"setpoint_low": 20.0, "setpoint_high": 345.0}
PUMP = {"address": 0, "bore_mm": 14.43, "syringe_ml": 10.0}
HEAD = {"address": 0, "bore_mm": 14.57, "syringe_ml": 5.0, "ports": {"flask": "3"}}
STIRRER = {"has_probe2": True, "speed_high_rpm": 1200.0, "watchdog_s": 60.0}
RELAYS = {"outputs": {"n2": 1}}


def gauge(number=1, **settings):
    return {"places": {number: Channel("place", "pressure")}, **settings}


async def polled(driver):
    return (await driver.poll())[0]


async def second(driver):
    return (await driver.poll())[1]


class Line:
    """Answers as the simulator does, but the vendor's questions with the vendor's replies."""

    def __init__(self, kind, settings):
        touches = {"probe": "flask.T", "output": "heater", "probe2": "flask.T2", "n2": "n2"}
        touches |= {"1": "flask.P", "drawn": "syringe.drawn"}
        plant = StillPlant(**{"flask.T": 20.0, "flask.P": 5.0, "heater.full": 80.0})
        plant.things["syringe.drawn"] = 5.0
        row = TwinDevice("unit", kind, "line", settings, touches)
        self._rest = TickedLine(load("simulators", kind)(row, plant))
        self.replies = {}
        self.asked = []

    def feed(self, data, t_ns):
        replies = self._rest.feed(data, t_ns)
        if data in self.replies:
            self.asked.append(data)
            return [(replies[0][0] if replies else 0, self.replies[data])]
        return replies


def on_line(kind, settings, replies, act=None, *, from_connect=False):
    """Connect, act with these replies on the line; return what came of it, and what was asked."""
    settings_ = DeviceSettings("unit", **settings)
    line = Line(kind, settings_)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(line, clock, baud=0), clock)
        driver = load("drivers", kind)(port, settings_)
        line.replies = replies if from_connect else {}
        identity = await driver.connect()
        line.replies = replies
        return await act(driver) if act else identity

    return run_virtual(body), set(line.asked)


async def state(driver):
    return await driver.state()


async def heats_to_120(driver):
    await driver.ramp(120.0, 0.0)


async def heats_to_100(driver):
    await driver.ramp(100.0, 0.0)


async def infuses(driver):
    await driver.infuse(1.0, 1.0)
    return await driver.state()


async def switches_on(driver):
    await driver.switch("n2", True)
    return await driver.poll()


SPOKEN = {
    ("eurotherm setpoint",): (heats_to_120, HEATER, None),
    ("watlow pv",): (polled, HEATER, 25.0),
    ("watlow setpoint",): (heats_to_100, HEATER, None),
    ("ika external probe",): (second, STIRRER, 24.7),
    ("new era diameter", "new era run"): (infuses, PUMP, PumpState.INFUSING),
    ("new era dispensed",): (lambda d: d.dispensed_ml(), PUMP, 1.234),
    ("cavro query in dt",): (state, HEAD | {"protocol": "dt"}, PumpState.IDLE),
    ("pfeiffer pr1", "pfeiffer enquiry"): (polled, gauge(), 0.0133),
    ("telegram pressure",): (polled, gauge(), 1000.0),
    ("alicat frame",): (
        lambda d: d.poll(), {"flow_high_sccm": 50.0},
        (2.5, 2.5, pytest.approx(1013.5, abs=0.1), 25.0),
    ),
    ("relay on", "relay states"): (switches_on, RELAYS, (1.0,)),
}  # fmt: skip


@pytest.mark.parametrize("names", SPOKEN, ids=" and ".join)
def test_the_driver_speaks_the_vendors_bytes(names):
    act, settings, expected = SPOKEN[names]
    replies = {VECTORS[name].asked: VECTORS[name].told for name in names}
    assert on_line(VECTORS[names[0]].kind, settings, replies, act) == (expected, set(replies))


CONNECTS = {
    "heidolph hello": ({"watchdog_s": 10.0}, lambda found: found.maker == "Heidolph"),
    "new era set diameter": (PUMP, lambda found: found.maker == "New Era"),
    "new era version": (PUMP, lambda found: (found.model, found.firmware) == ("NE1000", "3.928")),
    "mks unit": (gauge(4, address=253), lambda found: found.model == "901P"),
    "telegram type": (gauge(), lambda found: found.model == "PPT 100"),
}


@pytest.mark.parametrize("name", CONNECTS)
def test_the_driver_connects_with_the_vendors_bytes(name):
    settings, fits = CONNECTS[name]
    replies = {VECTORS[name].asked: VECTORS[name].told}
    found, asked = on_line(VECTORS[name].kind, settings, replies, from_connect=True)
    assert fits(found)
    assert asked == set(replies)


# the vendor's reply, given to another question than the vendor's: what the driver makes of it
TOLD = {
    "new era unknown": (b"0DIS\r", lambda d: d.dispensed_ml(), PUMP, RefusedByDeviceError),
    "new era alarm": (b"0DIS\r", lambda d: d.dispensed_ml(), PUMP, RefusedByDeviceError),
    "cavro not initialised": (b"/1Q\r", state, HEAD | {"protocol": "dt"}, PumpState.ALARM),
    "pfeiffer nak": (b"PR1\r\n", polled, gauge(), RefusedByDeviceError),
    "mks unrecognised": (b"@253PR4?;FF", polled, gauge(4, address=253), RefusedByDeviceError),
}


@pytest.mark.parametrize("name", TOLD)
def test_the_driver_understands_the_vendors_refusals(name):
    question, act, settings, expected = TOLD[name]
    vector = VECTORS[name]

    async def main(driver):
        if isinstance(expected, PumpState):
            return await act(driver)
        with pytest.raises(expected):
            await act(driver)
        return expected

    result, asked = on_line(vector.kind, settings, {question: vector.told}, main)
    assert (result, asked) == (expected, {question})


def test_an_input_without_a_sensor_has_no_value():
    replies = {b"\x05": VECTORS["pfeiffer no sensor"].told}
    assert on_line("pfeiffer_tpg361", gauge(), replies, polled) == (None, {b"\x05"})


MODBUS = {
    "eurotherm pv and setpoint", "eurotherm pv as a float", "eurotherm setpoint as a float",
    "eurotherm bad address", "relay all",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MODBUS))
def test_the_framing_makes_and_takes_what_no_driver_asks(name):
    asked, told = VECTORS[name].asked, VECTORS[name].told
    assert (modbus.seal(asked[:-2]), modbus.seal(told[:-2])) == (asked, told)
    assert modbus.reply_length(told) == len(told)
    assert modbus.answers(asked, told)
    assert modbus.exception_code(told) == (2 if name == "eurotherm bad address" else 0)


LINES = {"heidolph setpoint", "pfeiffer enquiry with crlf"}


@pytest.mark.parametrize("name", sorted(LINES))
def test_a_line_ends_where_the_vendors_does(name):
    told = VECTORS[name].told
    assert until(b"\r\n")(told + told) == len(told)


def test_the_pumps_own_frame_is_made_and_taken():
    vector = VECTORS["cavro query"]
    assert cavro.oem_command(0x31, b"Q", 1) == vector.asked
    assert cavro.oem_frame(vector.told) == len(vector.told)
    assert cavro.read_oem(vector.told) == cavro.Answer(0x60, b"")


def test_the_packet_that_leaves_the_safe_mode_is_the_manuals():
    vector = VECTORS["new era leave safe mode"]
    assert newera.seal(b"SAF0") == vector.asked
    assert newera.reply_from(0)(vector.told) == len(vector.told)


@pytest.mark.parametrize(("name", "sequence"), [("propar measure", 1), ("propar setpoint", 2)])
def test_the_vendors_messages_are_wrapped_and_found(name, sequence):
    asked, told = VECTORS[name].asked, VECTORS[name].told
    assert propar.seal(sequence, 0x80, asked[5:-2]) == asked
    assert propar.reply_to(sequence, 0x80)(told) == len(told)
    assert propar.find_message(told).data == told[5:-2]


def test_the_data_sheets_message_is_written_and_its_acknowledgement_read():
    vector = VECTORS["ocean set 10 ms"]
    micros = (10_000).to_bytes(4, "little")
    asked = obp.Message(0x110010, micros, obp.Flag.REQUEST_ACK)
    assert obp.encode(asked) == vector.asked
    assert obp.length(vector.told) == len(vector.told)
    told = obp.decode(vector.told)
    assert (told.kind, told.flags, told.data) == (0x110010, obp.Flag.RESPONSE | obp.Flag.ACK, b"")


def test_no_vector_is_left_out():
    spoken = {name for names in SPOKEN for name in names}
    own = {"pfeiffer no sensor", "new era leave safe mode", "ocean set 10 ms"}
    own |= {"cavro query", "propar measure", "propar setpoint"}
    assert spoken | set(CONNECTS) | set(TOLD) | MODBUS | LINES | own == set(VECTORS)
