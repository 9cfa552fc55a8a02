"""The simulated gauge controller speaks the whole protocol, not only the driver's part of it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.twin import TwinDevice
from simulators.pfeiffer_tpg362 import CAPACITANCE, PIRANI, SimTpg361, SimTpg362, SimTpg366
from tests.foreign import HEAVY_CLIENTS
from tests.strangers import drive

S = 1_000_000_000
TOUCHES = {"1": "flask.P", "2": "line.P"}


def make(still_plant, touches=TOUCHES, **things):
    plant = still_plant(**{"flask__P": 1005.0, "line__P": 0.05, **things})
    return SimTpg362(TwinDevice("g", "pfeiffer_tpg362", "p", DeviceSettings("g"), touches), plant)


def say(sim, data, t_ns=0):
    return b"".join(chunk for _, chunk in sim.feed(data, t_ns))


def ask(sim, command, t_ns=0):
    assert say(sim, command + b"\r\n", t_ns) == b"\x06\r\n"
    return say(sim, b"\x05", t_ns)


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
@pytest.mark.parametrize("enquiry", [b"\x05", b"\x05\r\n", b"\x05\r"])
def test_the_handshake_takes_both_terminators(still_plant, end, enquiry):
    sim = make(still_plant)
    for _ in range(2):
        assert say(sim, b"PRX" + end) == b"\x06\r\n"
        status, flask, status2, _ = say(sim, enquiry).split(b",")
        assert (status, status2) == (b"0", b"0")
        assert float(flask) == pytest.approx(1005, rel=3e-3)


def test_enq_again_repeats_the_last_command_and_pr1_pr2_read_one_gauge(still_plant):
    sim = make(still_plant)
    assert ask(sim, b"PR1").startswith(b"0,1.00")
    assert say(sim, b"\x05").startswith(b"0,1.00")
    assert ask(sim, b"PR2").startswith(b"0,")


def test_a_logarithmic_gauge_has_two_decimals_and_two_zeros(still_plant):
    sim = make(still_plant, line__P=0.0133)
    number = ask(sim, b"PR2").strip().split(b",")[1]
    assert number[4:6] == b"00"
    assert number[6:] == b"E-02"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"TID", b"CMR/APR,TPR/PCR"),
        (b"SEN", b"0,0"),
        (b"SEN,2,2", b"0,0"),
        (b"UNI", b"0"),
        (b"UNI,1", b"1"),
        (b"U N I , 2", b"2"),
        (b"FSR", b"5,5"),
        (b"FSR,4,5", b"4,5"),
        (b"AYT", b"TPG 362,PTG28290,44990000,010300,010100"),
        (b"PNR", b"010300"),
        (b"ERR", b"0000"),
        (b"RES", b"0"),
        (b"RES,1", b"0"),
    ],
)
def test_parameters_and_identity(still_plant, command, answer):
    assert ask(make(still_plant), command) == answer + b"\r\n"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"XYZ", b"0001"),
        (b"", b"0001"),
        (b"prx", b"0001"),
        (b"UNI,x", b"0001"),
        (b"UNI,9", b"0010"),
        (b"UNI,1,1", b"0010"),
        (b"FSR,3", b"0010"),
        (b"SEN,1", b"0010"),
        (b"COM,3", b"0010"),
        (b"PRX,1", b"0010"),
        (b"RES,2", b"0010"),
        (b"P" * 500, b"0001"),
    ],
)
def test_a_bad_command_is_naked_and_the_error_word_is_read_once(still_plant, command, error):
    sim = make(still_plant)
    assert say(sim, command + b"\r\n") == b"\x15\r\n"
    assert say(sim, b"\x05") == error + b"\r\n"
    assert say(sim, b"\x05") == b"0000\r\n"


def test_the_error_word_can_also_be_asked_for(still_plant):
    sim = make(still_plant)
    say(sim, b"XYZ\r")
    assert ask(sim, b"ERR") == b"0001\r\n"
    assert ask(sim, b"ERR") == b"0000\r\n"


@pytest.mark.parametrize(("unit", "factor"), [(0, 1.0), (1, 0.75006), (2, 100.0)])
def test_values_come_in_the_displayed_unit(still_plant, unit, factor):
    sim = make(still_plant)
    ask(sim, b"UNI,%d" % unit)
    assert float(ask(sim, b"PR1")[2:]) == pytest.approx(1005 * factor, rel=3e-3)


def test_it_talks_at_power_up_until_the_first_character(still_plant):
    sim = make(still_plant)
    for tick in range(1, 13):
        sim.advance(tick * S // 4)
    assert say(sim, b"", 3 * S).count(b"\r\n") == 3
    assert say(sim, b"\x05", 3 * S) == b"0000\r\n"
    sim.advance(10 * S)
    assert say(sim, b"", 10 * S) == b""


@pytest.mark.parametrize(("mode", "lines"), [(b",0", 600), (b"", 60), (b",1", 60), (b",2", 1)])
def test_com_starts_the_continuous_output(still_plant, mode, lines):
    sim = make(still_plant)
    assert say(sim, b"COM" + mode + b"\r") == b"\x06\r\n"
    heard = b""
    for tick in range(1, 241):
        sim.advance(tick * S // 4)
        heard += say(sim, b"", tick * S // 4)
    assert heard.count(b"\r\n") == lines


def test_etx_clears_a_half_typed_command(still_plant):
    assert say(make(still_plant), b"GARB\x03PRX\r\n") == b"\x06\r\n"


def test_an_empty_input_says_no_sensor(still_plant):
    sim = make(still_plant, touches={"1": "flask.P"})
    assert ask(sim, b"PR2") == b"5,2.0000E-02\r\n"
    assert ask(sim, b"TID") == b"CMR/APR,noSENSOR\r\n"


def test_a_366_has_six_inputs(still_plant):
    sim = make(still_plant, touches={"1": "flask.P", "6": "line.P"})
    assert ask(sim, b"AYT").startswith(b"TPG 366,")
    assert ask(sim, b"PRX").count(b"5,2.0000E-02") == 4


@pytest.mark.parametrize("status", range(1, 7))
def test_a_gauge_can_be_broken(still_plant, status):
    sim = make(still_plant)
    sim.force[2] = status
    assert ask(sim, b"PR2").startswith(b"%d," % status)
    assert ask(sim, b"RES") == (b"11\r\n" if status == 3 else b"0\r\n")


def mean(gauge, pressure_mbar, still_plant):
    chance = still_plant().stream("x")
    return sum(gauge.see(pressure_mbar, chance)[1] for _ in range(400)) / 400


@pytest.mark.parametrize("pressure_mbar", [1e-3, 0.05, 1, 10])
def test_a_pirani_is_right_between_1e_3_and_10_mbar(still_plant, pressure_mbar):
    assert mean(PIRANI, pressure_mbar, still_plant) == pytest.approx(pressure_mbar, rel=3e-3)


def test_a_pirani_is_no_barometer_and_ends_at_5e_4(still_plant):
    chance = still_plant().stream("x")
    assert mean(PIRANI, 1000, still_plant) < 200
    assert mean(PIRANI, 21, still_plant) == pytest.approx(20.5, rel=1e-2)  # no step at 20 mbar
    assert PIRANI.see(4e-4, chance)[0] == 1


def test_a_capacitance_gauge_is_right_to_a_promille_and_ends_at_1100(still_plant):
    chance = still_plant().stream("x")
    assert mean(CAPACITANCE, 1005, still_plant) == pytest.approx(1005, rel=1e-3)
    assert CAPACITANCE.see(1110, chance)[0] == 2
    assert CAPACITANCE.see(0.13, chance) == (0, pytest.approx(0.13, abs=0.005))
    spread = [CAPACITANCE.see(1000, chance)[1] for _ in range(400)]
    assert 0.3 < (sum((x - 1000) ** 2 for x in spread) / 400) ** 0.5 < 0.7


commands = st.lists(
    st.sampled_from([b"PRX\r\n", b"\x05", b"\x05\r\n", b"UNI,1\r", b"X\r", b"\x03", b"TID\r\n"])
    | st.binary(max_size=6)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts=commands)
def test_byte_by_byte_and_coalesced_input_get_the_same_answers(still_plant, parts):
    data = b"".join(parts)
    whole, single = make(still_plant), make(still_plant)
    assert say(whole, data) == b"".join(say(single, data[n : n + 1]) for n in range(len(data)))


HVL = """
import sys
from hvl_ccb.dev.pfeiffer_tpg import PfeifferTPG, PfeifferTPGError
tpg = PfeifferTPG({"port": sys.argv[1], "timeout": 2}, {"model": "TPGx6x"})
tpg.start()
print(tpg.number_of_sensors, *tpg.sensors, sep="|")
print(tpg.measure(1)[0], round(tpg.measure(1)[1]), tpg.measure(tpg.number_of_sensors))
try:
    print([status for status, _ in tpg.measure_all()])
    full = [1000] + [0.1] * (tpg.number_of_sensors - 1)
    tpg.set_full_scale_mbar(full)
    print(tpg.get_full_scale_mbar() == full)
except PfeifferTPGError as error:
    print(type(error).__name__)
tpg.stop()
"""


@pytest.mark.parametrize("way", ["pty", "socket"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (SimTpg361, ["1|APR/CMR Linear Gauge", "Ok 1005 ('Ok', 1005.0)", "PfeifferTPGError"]),
        (SimTpg362, ["2|APR/CMR Linear Gauge|None", "Ok 1005 ('No_sensor', 0.02)",
                     "['Ok', 'No_sensor']", "True"]),
        (SimTpg366, ["6|APR/CMR Linear Gauge" + 5 * "|None", "Ok 1005 ('No_sensor', 0.02)",
                     "['Ok', 'No_sensor', 'No_sensor', 'No_sensor', 'No_sensor', 'No_sensor']",
                     "True"]),
    ],
)  # fmt: skip
async def test_hvl_ccb_cannot_tell(still_plant, kind, said, way):
    plant = still_plant(flask__P=1005.0)
    plant.stream = lambda name: Still()
    device = TwinDevice("g", "pfeiffer_tpg362", "p", DeviceSettings("g"), {"1": "flask.P"})
    assert await drive(Quiet(kind(device, plant)), HEAVY_CLIENTS, HVL, way) == said


class Still:
    """A chance that is none."""

    def gauss(self, mu, sigma):
        return mu


class Quiet:
    """A controller that somebody has spoken to: its continuous output has ended."""

    def __init__(self, sim):
        sim.feed(b"\x03", 0)
        self.feed, self.advance = sim.feed, sim.advance
