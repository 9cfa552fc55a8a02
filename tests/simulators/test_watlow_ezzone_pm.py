"""The simulated EZ-ZONE PM: recorded bytes, strangers' clients, its ramp and its faults."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.clock import NS
from labctl.framing.watlow import Frame, encode, find_frame
from labctl.twin import TwinDevice
from simulators.watlow_ezzone_pm import SimEzZonePm
from tests.conftest import StillPlant
from tests.foreign import CLIENTS
from tests.strangers import drive, drive_each

READ_PV = bytes.fromhex("55ff0510000006e8010301040101e399")
SET_212 = bytes.fromhex("55ff051000000aec010407010108435400 0092fe".replace(" ", ""))
SET_212_DONE = bytes.fromhex("55ff060010000a7602040701010843540000fb8a")


def sim_of(**things):
    plant = StillPlant(**{"flask__T": 25.0, "heater__full": 80.0, **things})
    settings = DeviceSettings("heater", setpoint_low=20.0, setpoint_high=345.0)
    touches = {"probe": "flask.T", "output": "heater"}
    sim = SimEzZonePm(TwinDevice("heater", "watlow_ezzone_pm", "bus", settings, touches), plant)
    return sim, plant


def ask(sim, data, t_ns=NS):
    return b"".join(reply for _, reply in sim.feed(data, t_ns))


def read(sim, parameter, t_ns=NS, instance=1):
    body = bytes((1, 3, 1, *divmod(parameter, 1000), instance))
    return find_frame(ask(sim, encode(Frame(5, 0x10, 0, body)), t_ns)).frame.data


def write(sim, parameter, value, t_ns=NS):
    body = bytes((1, 4, *divmod(parameter, 1000), 1)) + value
    return find_frame(ask(sim, encode(Frame(5, 0x10, 0, body)), t_ns)).frame.data


def enum(value):
    return b"\x0f\x01" + value.to_bytes(2, "big")


def encode_float(value):
    return b"\x08" + struct.pack(">f", value)


def celsius(data):
    return (struct.unpack(">f", data[-4:])[0] - 32.0) / 1.8


def test_the_recorded_bytes_come_out():
    sim, _ = sim_of()
    reply = ask(sim, READ_PV)
    assert reply.startswith(bytes.fromhex("55ff060010000b88 02030104010108".replace(" ", "")))
    assert len(reply) == 21
    assert celsius(reply[:-2]) == pytest.approx(25.0, abs=0.3)
    assert ask(sim, SET_212) == SET_212_DONE
    assert sim.values[7001] == pytest.approx(100.0)


def test_it_is_silent_to_other_addresses_and_to_what_is_not_whole():
    sim, _ = sim_of()
    assert ask(sim, encode(Frame(5, 0x11, 0, READ_PV[8:14]))) == b""
    assert ask(sim, encode(Frame(6, 0x10, 0, READ_PV[8:14]))) == b""
    for at in range(len(READ_PV)):
        broken = bytearray(READ_PV)
        broken[at] ^= 0x04
        assert ask(sim, bytes(broken), (at + 2) * NS) == b""


def test_garbage_before_a_frame_is_skipped_and_half_a_frame_is_forgotten():
    sim, _ = sim_of()
    assert len(ask(sim, b"\x55\x00\xff\x55" + READ_PV)) == 21
    assert ask(sim, READ_PV[:9], 2 * NS) == b""
    assert len(ask(sim, READ_PV, 3 * NS)) == 21


def test_byte_at_a_time_is_the_same_as_coalesced():
    together, _ = sim_of()
    apart, _ = sim_of()
    data = READ_PV + SET_212 + READ_PV
    assert b"".join(ask(apart, bytes((byte,))) for byte in data) == ask(together, data)


@pytest.mark.parametrize(
    ("parameter", "instance", "code"), [(99001, 1, 0x81), (4200, 1, 0x83), (4001, 3, 0x84)]
)
def test_what_it_does_not_have_gets_its_error(parameter, instance, code):
    assert read(sim_of()[0], parameter, instance=instance) == bytes((2, code))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [(4001, encode_float(1.0)), (7001, encode_float(1000.0)), (8001, enum(11)),
     (7001, encode_float(float("nan"))), (7001, enum(62))],
)  # fmt: skip
def test_a_write_that_cannot_be_is_an_error_and_changes_nothing(parameter, value):
    sim, _ = sim_of()
    before = dict(sim.values)
    assert write(sim, parameter, value)[1] & 0x80
    assert sim.values == before


def test_degrees_celsius_may_be_chosen_for_the_wire():
    sim, _ = sim_of()
    assert write(sim, 17050, enum(15)) == bytes((2, 4, 17, 50, 1)) + enum(15)
    assert write(sim, 7001, encode_float(100.0))[1] == 4
    assert sim.values[7001] == 100.0


def test_a_ramp_takes_its_time_from_what_is_measured():
    sim, _ = sim_of()
    ask(sim, READ_PV, 0)
    for parameter, value in ((7017, encode_float(18.0)), (7014, enum(85))):
        write(sim, parameter, value, NS)
    write(sim, 7001, encode_float(212.0), NS)
    assert celsius(read(sim, 7007, 61 * NS)) == pytest.approx(35.0, abs=0.5)
    assert celsius(read(sim, 7007, 1200 * NS)) == pytest.approx(100.0)


def test_without_a_ramp_the_setpoint_jumps():
    sim, _ = sim_of()
    ask(sim, SET_212)
    assert celsius(read(sim, 7007)) == pytest.approx(100.0)


def test_off_and_a_broken_sensor_end_the_heat_and_the_last_value_stays():
    sim, plant = sim_of()
    ask(sim, READ_PV, 0)
    ask(sim, SET_212, NS)
    sim.advance(3 * NS)
    assert plant.things["heater"] > 0.0
    sim.sensor_broken = True
    plant.things["flask.T"] = 300.0
    assert celsius(read(sim, 4001, 5 * NS)) == pytest.approx(25.0, abs=0.3)
    assert read(sim, 4002, 5 * NS)[-2:] == (65).to_bytes(2, "big")
    assert plant.things["heater"] == 0.0
    sim.sensor_broken, plant.things["flask.T"] = False, 25.0
    write(sim, 8001, enum(62), 6 * NS)
    sim.advance(8 * NS)
    assert plant.things["heater"] == 0.0


def test_manual_power_and_the_high_scale_are_percent_of_the_heater():
    sim, plant = sim_of()
    ask(sim, READ_PV, 0)
    for parameter, value in ((7002, encode_float(50.0)), (8001, enum(54))):
        write(sim, parameter, value, NS)
    sim.advance(2 * NS)
    assert plant.things["heater"] == pytest.approx(40.0)
    write(sim, 6010, encode_float(25.0), 2 * NS)
    sim.advance(4 * NS)
    assert plant.things["heater"] == pytest.approx(20.0)


def test_power_up_keeps_the_settings_and_ramps_if_told_so():
    sim, _ = sim_of()
    ask(sim, READ_PV, 0)
    for parameter, value in ((7001, encode_float(212.0)), (7017, encode_float(18.0)),
                             (7014, enum(88))):  # fmt: skip
        write(sim, parameter, value, NS)
    sim.power_cycle()
    assert celsius(read(sim, 7007, 2 * NS)) == pytest.approx(25.0, abs=0.5)
    assert sim.values[7001] == pytest.approx(100.0)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([READ_PV, SET_212]), max_size=6))
def test_no_bytes_whatever_break_it(chunks):
    sim, _ = sim_of()
    for t, chunk in enumerate(chunks):
        sim.feed(chunk, t * NS // 100)


PYWATLOW = """
import sys, serial
from pywatlow.watlow import Watlow
if sys.argv[1].startswith("socket:"):
    unit = Watlow(serial=serial.serial_for_url(sys.argv[1], timeout=0.5), address=1)
else:
    unit = Watlow(port=sys.argv[1], address=1)
print(round(unit.read()["data"]), unit.write(212.0)["data"], unit.readSetpoint()["data"])
print(unit.readParam(8001, int)["data"], unit.writeParam(8001, 62, int)["data"])
print(type(unit.writeParam(4001, 1.0, float)["error"]).__name__)
print(Watlow(serial=unit.serial, address=2).read()["error"])
unit.close()
"""


async def test_pywatlow_cannot_tell():
    for sim, lines in await drive_each(lambda: sim_of()[0], CLIENTS, PYWATLOW, ("pty", "socket")):
        assert lines[:3] == ["77 212.0 212.0", "10 62", "Exception"]
        assert "No response from address 2" in lines[3]
        assert sim.values[8001] == 62


WATLOW = """
import sys
from watlow import TemperatureController
unit = TemperatureController(sys.argv[1])
unit.set(100.0)
got = unit.get()
print(round(got["actual"]), round(got["setpoint"], 3))
unit.close()
"""


async def test_numats_watlow_cannot_tell():
    sim, _ = sim_of()
    assert await drive(sim, ("watlow==0.9.0",), WATLOW, "pty") == ["25 100.0"]
