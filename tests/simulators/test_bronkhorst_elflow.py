import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.framing.propar import find_message, seal
from labctl.twin import TwinDevice
from simulators.bronkhorst_elflow import SimElflow
from tests.foreign import CLIENTS
from tests.strangers import drive_each

S = 1_000_000_000
TOUCHES = {"flow": "n2_flow", "supply": "n2_pressure"}


def made(plant, address=0):
    settings = DeviceSettings("mfc", address=address)
    return SimElflow(TwinDevice("mfc", "bronkhorst_elflow", "l", settings, TOUCHES), plant)


@pytest.fixture
def plant(still_plant):
    return still_plant(n2_pressure=1.0)


@pytest.fixture
def sim(plant):
    return made(plant)


def say(sim, data, t_s=0.0):
    replies = sim.feed(bytes.fromhex(data), round(t_s * S))
    return b"".join(reply for _, reply in replies).hex(" ")


def ask(sim, data, node=0x80):
    return b"".join(reply for _, reply in sim.feed(seal(9, node, bytes.fromhex(data)), 0))


def test_the_manuals_measure_and_setpoint(sim):
    measure = say(sim, "10 02 01 80 05 04 01 20 01 20 10 03")
    assert measure == "10 02 01 80 05 02 01 20 00 00 10 03"
    half = say(sim, "10 02 02 80 05 01 01 21 3E 80 10 03")
    assert half == "10 02 02 80 03 00 00 05 10 03"
    assert sim.setpoint == 16000


def test_escapes_go_both_ways(sim):
    say(sim, "10 02 10 10 80 05 01 01 21 10 10 10 10 10 03")
    assert sim.setpoint == 0x1010
    read = say(sim, "10 02 10 10 80 05 04 01 21 01 21 10 03")
    assert read == "10 02 10 10 80 05 02 01 21 10 10 10 10 10 03"


def test_the_flow_follows_and_acts_on_the_plant(sim, plant):
    sim.setpoint = 16000
    sim.advance(60 * S)
    assert plant.things["n2_flow"] == pytest.approx(50 * 298.15 / 273.15)
    plant.things["n2_pressure"] = 0.0
    sim.advance(120 * S)
    assert plant.things["n2_flow"] == 0.0
    assert sim.setpoint == 16000


@pytest.mark.parametrize(("share", "raw"), [(1.5, 41942), (-0.01, 0xFFFF - 320), (1.0, 32000)])
def test_overrange_ends_at_41942_and_below_zero_wraps(sim, share, raw):
    sim.share = share
    assert ask(sim, "04 01 20 01 20")[-4:-2] == struct.pack(">H", raw)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("04 07 20 07 20", 3),
        ("04 01 3e 01 3e", 4),
        ("04 01 00 01 00", 5),
        ("01 01 21 80 e8", 6),
        ("01 01 20 00 01", 13),
        ("09 01 21 00 01", 2),
    ],
)
def test_what_cannot_be_done_has_its_status(sim, data, status):
    assert find_message(ask(sim, data)).data[:2] == bytes((0, status))


def test_a_command_without_acknowledgement_is_obeyed_in_silence(sim):
    assert ask(sim, "02 01 21 3e 80") == b""
    assert sim.setpoint == 16000


def test_other_nodes_are_passed_over(plant):
    sim = made(plant, address=5)
    assert ask(sim, "04 01 20 01 20", node=5)
    assert ask(sim, "04 01 20 01 20", node=0x80)
    assert ask(sim, "04 01 20 01 20", node=6) == b""


def test_a_setpoint_from_elsewhere_passes_over_those_of_the_line(sim):
    sim.control_mode = 1
    assert find_message(ask(sim, "01 01 21 3e 80")).data == b"\0\0\x05"
    assert sim.setpoint == 0


def test_a_pause_within_a_message_drops_it(sim):
    whole = seal(1, 0x80, bytes.fromhex("0401200120"))
    assert sim.feed(whole[:4], 0) == []
    assert sim.feed(whole[4:], S) == []
    assert sim.feed(whole, S + 1)


def test_a_stall_and_a_power_cut(sim, plant):
    sim.setpoint = 16000
    sim.advance(60 * S)
    sim.stall()
    sim.power_cycle()
    sim.advance(120 * S)
    assert sim.setpoint == 0
    assert plant.things["n2_flow"] > 50


whole = st.sampled_from(
    [
        seal(1, 0x80, bytes.fromhex("0401200120")),
        seal(2, 3, bytes.fromhex("0101213e80")),
        seal(0x10, 0x80, bytes.fromhex("04716371630a")),
        seal(3, 0x80, bytes.fromhex("01716603414243")),
        seal(4, 0x80, bytes.fromhex("0481a00120a101212 1c02140432143".replace(" ", ""))),
    ]
)


@given(st.lists(whole | st.binary(max_size=8)))
def test_any_bytes_get_the_same_answers_whole_or_one_by_one(pieces):
    class Plant:
        def get(self, thing, t_ns):
            return 1.0

        def put(self, thing, value, t_ns):
            pass

    data = b"".join(pieces)
    single = made(Plant())
    one_by_one = [reply for n in range(len(data)) for reply in single.feed(data[n : n + 1], S)]
    assert made(Plant()).feed(data, S) == one_by_one
    assert all(find_message(reply) is not None for _, reply in one_by_one)


PROPAR = """
import sys, time, serial, propar

def opened(port, baud, **settings):
    return serial.serial_for_url(port, baud, **settings)

mfc = propar.instrument(sys.argv[1], serial_class=opened)
mfc.master.response_timeout = 2.0
print(mfc.setpoint, mfc.measure)
mfc.setpoint = 0x1010
print(mfc.setpoint)
mfc.setpoint = 16000
time.sleep(2)
print(mfc.measure, mfc.readParameter(206), mfc.readParameter(21))
print(mfc.readParameter(92), mfc.readParameter(115), mfc.readParameter(129).strip())
print(mfc.writeParameter(115, "HOOD 3"), mfc.readParameter(115))
print(mfc.writeParameter(206, 25.0), mfc.setpoint)
print(mfc.writeParameter(9, 33000), mfc.writeParameter(92, "x"))
(node,) = mfc.master.get_nodes()
print(node["address"], node["serial"], node["channels"])
print(*[row["status"] for row in mfc.read_parameters(mfc.db.get_parameters([8, 9, 205, 206, 115]))])
"""


async def test_the_vendors_client_drives_it(plant):
    for _, lines in await drive_each(
        lambda: made(plant), CLIENTS, PROPAR, ("pty", "socket"), hurry=4
    ):
        assert lines[:2] == ["0 0", str(0x1010)]
        measure, setpoint, capacity = lines[2].split()
        assert int(measure) == pytest.approx(16000, abs=30)
        assert (setpoint, capacity) == ("50.0", "100.0")
        assert lines[3:] == [
            "M14202209A USERTAG mln/min",
            "True HOOD 3",
            "True 8000",
            "False False",
            "3 M14202209A 1",
            "0 0 0 0 0",
        ]
