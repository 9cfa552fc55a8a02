"""The simulated controller keeps the manual's rules: remote, echo, leading zeros, ten a second."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.twin import TwinDevice
from simulators.vacuubrand_cvc3000 import SimCvc3000
from tests.foreign import HEAVY_CLIENTS
from tests.strangers import drive

S = 1_000_000_000
TOUCHES = {"pump": "rough_pump", "pressure": "rough.P"}


class Bench:
    """Says one command every 200 ms."""

    def __init__(self, still_plant, pressure_mbar=1005.0, *, remote=True) -> None:
        self.plant = still_plant(rough__P=pressure_mbar)
        self.sim = SimCvc3000(
            TwinDevice("v", "vacuubrand_cvc3000", "p", DeviceSettings("v"), TOUCHES), self.plant
        )
        self.t_ns = 0
        if remote:
            self.say("REMOTE 1")
            self.say("ECHO 1")

    def say(self, text: str, end: str = "\r\n") -> str:
        self.t_ns += S // 5
        self.sim.advance(self.t_ns)
        replies = self.sim.feed((text + end).encode(), self.t_ns)
        return b"".join(chunk for _, chunk in replies).decode()

    def at(self, pressure_mbar: float) -> str:
        self.plant.things["rough.P"] = pressure_mbar
        return self.say("IN_STAT").strip()


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_any_of_the_three_terminators_ends_a_command(still_plant, end):
    bench = Bench(still_plant, 50.0)
    assert bench.say("IN_PV_1", end) == "0050 mbar\r\n"
    assert bench.say("IN_PV_1", end) == "0050 mbar\r\n"


@pytest.mark.parametrize(
    ("unit", "text"), [("mbar", "1005 mbar"), ("hPa", "1005 hPa"), ("Torr", "0754 Torr")]
)
def test_pressures_have_four_digits_and_the_displayed_unit(still_plant, unit, text):
    bench = Bench(still_plant)
    bench.sim.unit = unit
    assert bench.say("IN_PV_1") == text + "\r\n"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("IN_PV_2", "000%"),
        ("IN_PV_3", "00:00 h:m"),
        ("IN_SP_1", "0100 mbar"),
        ("IN_SP_2", "100%"),
        ("IN_SP_3", "0120 mbar"),
        ("IN_SP_4", "00:00 h:m"),
        ("IN_SP_5", "0000 mbar"),
        ("IN_SP_6", "00:00 h:m"),
        ("IN_CFG", "20000"),
        ("IN_STAT", "000020"),
        ("IN_ERR", "000000000"),
        ("IN_VER", "CVC 3000 V2.00"),
    ],
)
def test_reads_are_answered_in_local_operation_without_echo(still_plant, command, answer):
    assert Bench(still_plant, remote=False).say(command) == answer + "\r\n"


def test_writes_need_remote_operation_and_answer_only_with_echo(still_plant):
    bench = Bench(still_plant, remote=False)
    assert bench.say("OUT_SP_1 50") == ""
    assert bench.say("IN_ERR") == "000000001\r\n"
    assert bench.say("IN_SP_1") == "0100 mbar\r\n"
    assert bench.say("REMOTE 1") == ""
    assert bench.say("OUT_SP_1 50") == ""
    assert bench.say("IN_SP_1") == "0050 mbar\r\n"
    assert bench.say("ECHO 1") == "1\r\n"
    assert bench.say("OUT_SP_1 7") == "0007\r\n"
    assert bench.say("REMOTE 0") == "0\r\n"
    assert bench.say("START") == ""
    assert bench.say("STORE") == "1\r\n"


@pytest.mark.parametrize(
    "command",
    [
        "in_pv_1",
        "IN_PV_11",
        "IN_PV_1 3",
        "OUT_SP_1",
        "OUT_SP_1 0",
        "OUT_SP_1 1101",
        "OUT_SP_1  50",
        "OUT_SP_1 5.5",
        "OUT_SP_2 101",
        "OUT_SP_4 25",
        "OUT_SP_6 01:75",
        "OUT_MODE 5",
        "OUT_VENT 3",
        "OUT_CFG 222",
        "OUT_SENSOR 2",
        "START 1",
        "STOP 3",
        "CVC 4",
        "ECHO",
        "REMOTE 2",
        "STORE 1",
        "\x00\xff",
        "X" * 400,
    ],
)
def test_a_bad_command_is_silent_and_marked_until_the_next_good_one(still_plant, command):
    bench = Bench(still_plant)
    assert bench.say(command) == ""
    assert bench.say("IN_ERR")[-3] == "1"
    assert bench.say("IN_ERR")[-3] == "0"


@pytest.mark.parametrize(
    ("command", "answer", "read", "value"),
    [
        ("OUT_SP_2 50", "050", "IN_SP_2", "050%"),
        ("OUT_SP_2 HI", "HI", "IN_SP_2", "HI"),
        ("OUT_SP_3 30", "0030", "IN_SP_3", "0030 mbar"),
        ("OUT_SP_4 00:30", "00:30", "IN_SP_4", "00:30 h:m"),
        ("OUT_SP_5 12", "0012", "IN_SP_5", "0012 mbar"),
        ("OUT_SP_6 01:30", "01:30", "IN_SP_6", "01:30 h:m"),
        ("OUT_CFG 31100", "31100", "IN_CFG", "31101"),
        ("OUT_MODE 1", "1", "IN_STAT", "000010"),
    ],
)
def test_what_is_written_can_be_read(still_plant, command, answer, read, value):
    bench = Bench(still_plant)
    assert bench.say(command) == answer + "\r\n"
    assert bench.say(read) == value + "\r\n"


def test_status_follows_the_pressure_around_the_setpoint(still_plant):
    bench = Bench(still_plant)
    bench.say("OUT_SP_1 100")
    assert bench.say("START") == "1\r\n"
    assert bench.at(500) == "110021"
    assert bench.at(100) == "110022"
    assert bench.at(90) == "100023"  # below: the inlet closes, the pump stands by
    assert bench.say("OUT_MODE 1") == ""  # not while it runs
    assert bench.say("STOP 1") == "1\r\n"
    assert bench.at(90) == "000020"
    assert bench.plant.things == {"rough.P": 90, "rough_pump": 0, "rough_pump.setpoint": 100}


def test_a_setpoint_may_change_while_it_runs(still_plant):
    bench = Bench(still_plant)
    bench.say("START")
    bench.say("OUT_SP_1 30")
    assert bench.plant.things["rough_pump.setpoint"] == 30


def test_stop_2_takes_the_present_pressure_as_setpoint(still_plant):
    bench = Bench(still_plant, 333.0)
    bench.say("START")
    assert bench.say("STOP 2") == "2\r\n"
    assert bench.say("IN_SP_1") == "0333 mbar\r\n"


def test_pumping_down_ends_at_the_switch_off_pressure(still_plant):
    bench = Bench(still_plant)
    bench.say("OUT_MODE 1")
    bench.say("OUT_SP_5 20")
    bench.say("START")
    assert bench.plant.things["rough_pump.setpoint"] == 0
    assert bench.at(21) == "110011"
    assert bench.at(19) == "000010"


def test_the_process_runtime_ends_it(still_plant):
    bench = Bench(still_plant)
    bench.say("OUT_SP_6 00:02")
    bench.say("START")
    bench.t_ns += 119 * S
    assert bench.say("IN_PV_3") == "00:01 h:m\r\n"
    bench.t_ns += S
    bench.say("IN_STAT")
    assert bench.plant.things["rough_pump"] == 0


def test_venting_stops_the_process_and_closes_at_atmosphere(still_plant):
    bench = Bench(still_plant, 500.0)
    bench.say("START")
    assert bench.say("OUT_VENT 2") == "2\r\n"
    assert bench.at(500) == "000120"
    assert bench.at(1001) == "000020"
    bench.say("OUT_VENT 1")
    assert bench.at(1001) == "000120"
    bench.say("OUT_VENT 0")
    assert bench.at(1001) == "000020"


def test_a_setpoint_with_venting_opens_the_valve_below_it(still_plant):
    bench = Bench(still_plant, 500.0)
    bench.say("OUT_SP_V 100")
    bench.say("START")
    assert bench.at(50) == "100123"
    assert bench.at(200) == "110021"


def test_the_cvc_2000_set_has_other_layouts(still_plant):
    bench = Bench(still_plant)
    bench.sim.faults = "00001100"
    assert bench.say("IN_ERR") == "000011000\r\n"
    assert bench.say("CVC 2") == "2\r\n"
    assert bench.say("IN_ERR") == "0110\r\n"
    assert bench.say("IN_PV_2") == "00.0 Hz\r\n"
    bench.say("START")
    assert bench.say("IN_STAT") == "0021\r\n"
    bench.say("CVC 3")
    assert bench.say("IN_STAT") == "110021\r\n"


def test_stop_0_deletes_a_fault(still_plant):
    bench = Bench(still_plant)
    bench.sim.faults = "00000010"
    assert bench.say("STOP 0") == "0\r\n"
    assert bench.say("IN_ERR") == "000000000\r\n"


def test_the_eleventh_command_within_a_second_is_not_heard(still_plant):
    bench = Bench(still_plant, 50.0, remote=False)
    start_ns = 10 * S
    answers = [bench.sim.feed(b"IN_PV_1\r", start_ns + n * S // 20) for n in range(12)]
    assert [bool(answer) for answer in answers] == [True] * 10 + [False] * 2
    assert bench.sim.feed(b"IN_PV_1\r", start_ns + S)
    bench.t_ns = 20 * S
    assert bench.say("IN_ERR") == "000000000\r\n"


def test_a_power_cycle_ends_remote_echo_and_pumping(still_plant):
    bench = Bench(still_plant)
    bench.say("OUT_SP_1 55")
    bench.say("START")
    bench.sim.power_cycle(bench.t_ns)
    assert bench.plant.things["rough_pump"] == 0
    assert bench.say("START") == ""
    assert bench.say("IN_STAT") == "000020\r\n"
    assert bench.say("IN_SP_1") == "0055 mbar\r\n"


parts = st.lists(
    st.sampled_from([b"REMOTE 1\r", b"ECHO 1\r\n", b"START\n", b"IN_STAT\r\n", b"OUT_SP_1 9\r"])
    | st.binary(max_size=6)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts=parts)
def test_byte_by_byte_and_coalesced_input_get_the_same_answers(still_plant, parts):
    data = b"".join(parts)
    whole = Bench(still_plant, remote=False).sim.feed(data, 0)
    bench = Bench(still_plant, remote=False)
    single = [reply for n in range(len(data)) for reply in bench.sim.feed(data[n : n + 1], 0)]
    assert whole == single


FLOWCHEM = """
import asyncio, sys
import pint
from flowchem.devices.vacuubrand.cvc3000 import CVC3000

async def main():
    pump = CVC3000.from_config(sys.argv[1], "cvc")
    await pump.initialize()
    print(pump.device_info.version, await pump.get_pressure())
    await pump.set_pressure(pint.UnitRegistry().Quantity(100, "mbar"))
    status = await pump.status()
    print(status.is_pump_on, status.is_venting_valve_open, status.control.name, status.state.name)

asyncio.run(main())
"""


async def test_flowchem_cannot_tell(still_plant):
    bench = Bench(still_plant, 800.0, remote=False)
    lines = await drive(bench.sim, HEAVY_CLIENTS, FLOWCHEM, "pty")
    assert lines[0].endswith("800.0")
    assert lines[1] == "False False VAC_CONTROL OFF"
    bench.t_ns = 1 << 62
    assert bench.say("IN_SP_1") == "0100 mbar\r\n"
