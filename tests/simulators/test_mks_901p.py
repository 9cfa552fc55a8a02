"""The simulated MKS transducers: the manuals' answers, NAKs, addresses, a stranger's client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.clock import NS
from labctl.twin import TwinDevice
from simulators.mks_901p import SimMks901p, SimMks974b
from tests.conftest import StillPlant
from tests.foreign import CLIENTS
from tests.strangers import drive_each


class Exact(StillPlant):
    """A plant whose noise is none."""

    def stream(self, name):
        chance = super().stream(name)
        chance.gauss = lambda mu, sigma: mu
        return chance


def sim_of(mbar=0.02, kind=SimMks901p, address=253):
    settings = DeviceSettings("gauge", address=address)
    touches = {"4": "flask.P"}
    return kind(TwinDevice("gauge", "mks", "mks", settings, touches), Exact(flask__P=mbar))


def ask(sim, data, t_ns=NS):
    return b"".join(reply for _, reply in sim.feed(data, t_ns))


@pytest.mark.parametrize(
    ("query", "answer"),
    [("BR", "9600"), ("AD", "253"), ("MD", "901P"), ("MF", "MKS"), ("U", "TORR"), ("T", "O"),
     ("SS1", "CLEAR"), ("SP1", "1.00E-2"), ("EN1", "OFF"), ("SD1", "BELOW"), ("TEM", "2.50E+1"),
     ("PR1", "1.50E-2"), ("PR3", "1.50E-2"), ("PR4", "1.500E-2")],
)  # fmt: skip
def test_queries_have_the_manuals_answers(query, answer):
    assert ask(sim_of(), f"@253{query}?;FF".encode()) == f"@253ACK{answer};FF".encode()


@pytest.mark.parametrize(
    ("unit", "answer"), [("TORR", "1.500E-2"), ("MBAR", "2.000E-2"), ("PASCAL", "2.000E+0")]
)
def test_pressures_come_in_the_unit_that_is_set(unit, answer):
    sim = sim_of()
    assert ask(sim, f"@253U!{unit};FF".encode()) == f"@253ACK{unit};FF".encode()
    assert ask(sim, b"@253PR4?;FF") == f"@253ACK{answer};FF".encode()


@pytest.mark.parametrize(
    ("message", "code"),
    [("PX?", 160), ("PR9?", 160), ("PR5?", 160), ("PR1", 175), ("PR1!1", 175), ("U!BAR", 169),
     ("SP1!abc", 169), ("SP1!9E9", 172), ("AD!254", 172), ("VAC!", 8), ("ATM!", 9), ("MD!X", 175)],
)  # fmt: skip
def test_what_is_wrong_is_naked(message, code):
    assert ask(sim_of(), f"@253{message};FF".encode()) == f"@253NAK{code};FF".encode()


def test_a_command_is_acknowledged_with_what_was_set():
    sim = sim_of()
    assert ask(sim, b"@253SP1!0.05;FF") == b"@253ACK5.00E-2;FF"
    assert ask(sim, b"@253EN1!ON;FF") == b"@253ACKON;FF"
    assert ask(sim, b"@253SS1?;FF") == b"@253ACKSET;FF"
    assert ask(sim, b"@253AD!7;FF") == b"@253ACK007;FF"
    assert ask(sim, b"@253U?;FF") == b""
    assert ask(sim, b"@007u?;FF") == b"@007ACKTORR;FF"


def test_others_are_not_answered_254_is_and_255_is_obeyed_in_silence():
    sim = sim_of(address=3)
    assert ask(sim, b"@253PR1?;FF") == b""
    assert ask(sim, b"@254U?;FF") == b"@003ACKTORR;FF"
    assert ask(sim, b"@255U!MBAR;FF") == b""
    assert sim.values["U"] == "MBAR"


def test_the_cold_cathode_burns_in_a_good_vacuum_only():
    good, bad = sim_of(1e-5, SimMks974b), sim_of(1.0, SimMks974b)
    assert ask(good, b"@253T?;FF@253PR5?;FF") == b"@253ACKG;FF@253ACK7.50E-6;FF"
    assert ask(bad, b"@253T?;FF@253PR5?;FF") == b"@253ACKO;FF@253ACK0.00E+0;FF"


@pytest.mark.parametrize("state", "MCZR")
def test_a_failed_sensor_shows_in_the_status(state):
    sim = sim_of(1e-5, SimMks974b)
    sim.state = state
    assert ask(sim, b"@253T?;FF") == f"@253ACK{state};FF".encode()


def test_byte_at_a_time_is_the_same_as_coalesced_and_garbage_is_skipped():
    together, apart = sim_of(), sim_of()
    data = b"\xff;FF@25@253PR1?;FF@253U?;FF"
    replies = ask(together, data)
    assert replies == b"@253ACK1.50E-2;FF@253ACKTORR;FF"
    assert b"".join(ask(apart, bytes((byte,))) for byte in data) == replies


def test_a_power_cut_forgets_half_a_message_and_keeps_the_settings():
    sim = sim_of()
    ask(sim, b"@253U!PASCAL;FF@253PR")
    sim.power_cycle()
    assert ask(sim, b"4?;FF") == b""
    assert ask(sim, b"@253U?;FF") == b"@253ACKPASCAL;FF"


@given(st.lists(st.binary(max_size=20) | st.just(b"@253PR1?;FF"), max_size=6))
def test_no_bytes_whatever_break_it(chunks):
    sim = sim_of()
    for t, chunk in enumerate(chunks):
        sim.feed(chunk, t * NS)


PYMEASURE = """
import sys, serial
from pymeasure.adapters import SerialAdapter
from pymeasure.instruments.mksinst import MKS974B
from pymeasure.instruments.mksinst.mks974b import Unit
port = serial.serial_for_url(sys.argv[1], 9600, timeout=1)
line = SerialAdapter(port, read_termination=";", write_termination=";FF")
gauge = MKS974B(line)
print(gauge.manufacturer, gauge.model, gauge.serial_number, gauge.status, gauge.operation_hours)
print(gauge.unit, gauge.pressure, gauge.pirani_pressure, gauge.coldcathode_pressure)
gauge.unit = Unit.Pa
print(gauge.unit, gauge.pressure)
gauge.relay_1.setpoint = 5.0
gauge.relay_1.enabled = True
print(gauge.relay_1.setpoint, gauge.relay_1.direction, gauge.relay_1.status)
gauge.user_tag = "LINE"
print(gauge.user_tag, gauge.switch_enabled)
try:
    gauge.relay_1.setpoint = "x"
except ValueError as error:
    print("NAK169" in str(error))
line.close()
"""


async def test_pymeasure_cannot_tell():
    for _, lines in await drive_each(
        lambda: sim_of(1e-5, SimMks974b), CLIENTS, PYMEASURE, ("pty", "socket")
    ):
        assert lines == [
            "MKS 974B 08350123456 Cold Cathode On 0",
            "TORR 7.501e-06 7.5e-06 7.5e-06",
            "PASCAL 0.001",
            "5.0 BELOW SET",
            "LINE False",
            "True",
        ]
