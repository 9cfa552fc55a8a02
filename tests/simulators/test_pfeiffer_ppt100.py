"""The simulated PPT 100: the vendor's telegrams, a stranger's client, silence and refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.clock import NS
from labctl.framing.pfeiffer import seal
from labctl.twin import TwinDevice
from simulators.pfeiffer_ppt100 import MEMORY, TRANSMITTER, SimPpt100
from tests.conftest import StillPlant
from tests.foreign import CLIENTS
from tests.strangers import drive

P740 = b"0010074002=?106\r"


class Exact(StillPlant):
    """A plant whose noise is none."""

    def stream(self, name):
        chance = super().stream(name)
        chance.gauss = lambda mu, sigma: mu
        return chance


def sim_of(mbar=1000.0, address=1):
    settings = DeviceSettings("gauge", address=address)
    device = TwinDevice("gauge", "pfeiffer_ppt100", "ppt", settings, {"1": "line.P"})
    return SimPpt100(device, Exact(line__P=mbar))


def ask(sim, data, t_ns=NS):
    return b"".join(reply for _, reply in sim.feed(data, t_ns))


def test_the_vendors_telegrams_come_out():
    sim = sim_of()
    assert ask(sim, P740) == b"0011074006100023025\r"
    assert ask(sim, seal(b"0010030302=?")) == b"0011030306000000014\r"
    assert ask(sim, seal(b"0010031202=?")) == b"0011031206010100016\r"
    assert ask(sim, seal(b"0010034902=?")) == b"0011034906    A3236\r"
    assert ask(sim, seal(b"0010074202=?")) == b"0011074206000100022\r"


@pytest.mark.parametrize(
    ("mbar", "data"),
    [(1042.0, b"104223"), (7.5e-4, b"750016"), (0.0133, b"133018"), (9.9996, b"100021"),
     (0.0, b"100016"), (2000.0, b"120023")],
)  # fmt: skip
def test_pressures_have_a_mantissa_of_four_digits_and_an_exponent_plus_20(mbar, data):
    assert ask(sim_of(mbar), P740)[10:16] == data


@pytest.mark.parametrize("code", [TRANSMITTER, MEMORY])
def test_a_gauge_that_failed_says_so_in_303_and_goes_on_sending_pressures(code):
    sim = sim_of()
    sim.error = code
    assert ask(sim, seal(b"0010030302=?"))[10:16] == code
    assert ask(sim, P740) == b"0011074006100023025\r"


@pytest.mark.parametrize(
    "telegram",
    [b"0010074002=?107\r", seal(b"0020074002=?"), seal(b"0010074003=?"), seal(b"001007400 =?"),
     seal(b"0010074002=!"), seal(b"0011074105001"), b"\r", b"106\r"],
)  # fmt: skip
def test_what_is_not_for_it_or_not_whole_gets_silence(telegram):
    assert ask(sim_of(), telegram) == b""


@pytest.mark.parametrize(
    ("body", "data"),
    [(b"0010099902=?", b"NO_DEF"), (b"0011074103002", b"_RANGE"), (b"0011074003002", b"_LOGIC"),
     (b"0011074103001", b"001"), (b"0011074206000080", b"000080"), (b"00110741021a", b"NO_DEF")],
)  # fmt: skip
def test_writes_and_unknown_parameters_are_answered_in_the_data(body, data):
    reply = ask(sim_of(), seal(body))
    assert reply[10:-4] == data
    assert reply[8:10] == b"%02d" % len(data)


def test_byte_at_a_time_is_the_same_as_coalesced_and_garbage_is_skipped():
    together, apart = sim_of(), sim_of()
    data = b"\xff10@253PR1?;FF" + P740 + seal(b"0010030302=?")
    replies = ask(together, data)
    assert replies == b"0011074006100023025\r0011030306000000014\r"
    assert b"".join(ask(apart, bytes((byte,))) for byte in data) == replies


def test_half_a_telegram_is_forgotten_after_a_while():
    sim = sim_of()
    assert ask(sim, P740[:7]) == b""
    assert ask(sim, P740, 3 * NS) == b"0011074006100023025\r"


def test_the_settings_outlast_a_power_cut():
    sim = sim_of()
    ask(sim, seal(b"0011074206000080") + P740[:5])
    sim.power_cycle()
    assert ask(sim, seal(b"0010074202=?"))[10:16] == b"000080"


@given(st.lists(st.binary(max_size=30) | st.just(P740), max_size=6))
def test_no_bytes_whatever_break_it(chunks):
    sim = sim_of()
    for t, chunk in enumerate(chunks):
        sim.feed(chunk, t * NS // 10)


CLIENT = """
import sys, serial
import pfeiffer_vacuum_protocol as pvp
with serial.serial_for_url(sys.argv[1], 9600, timeout=1) as port:
    print(pvp.read_gauge_type(port, 1), pvp.read_software_version(port, 1))
    print(pvp.read_error_code(port, 1).name, round(pvp.read_pressure(port, 1), 6))
    pvp.write_correction_value(port, 1, 0.8)
    pvp.write_pressure_setpoint(port, 1, 1)
    print(pvp.read_correction_value(port, 1))
    acts = (pvp.write_pressure_setpoint, 1, 7), (pvp.read_pressure, 2)
    for act, *arguments in acts:
        try:
            act(port, *arguments)
        except ValueError as error:
            print(error)
"""


@pytest.mark.parametrize("way", ["pty", "socket"])
async def test_pfeiffer_vacuum_protocol_cannot_tell(way):
    assert await drive(sim_of(), CLIENTS, CLIENT, way) == [
        "PPT 100 (1, 1, 0)",
        "NO_ERROR 1.0",
        "0.8",
        "data is out of range",
        "gauge response too short to be valid",
    ]
