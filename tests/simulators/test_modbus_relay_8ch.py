import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.framing.modbus import is_whole, seal
from labctl.twin import TwinDevice
from simulators.modbus_relay_8ch import SimRelay8ch

S = 1_000_000_000
OUTPUTS = {"vac_rough": 1, "vac_fine": 2, "n2": 3}
INPUTS = {"hood_flow": 2, "button": 3}
TOUCHES = {"vac_rough": "valve.vac_rough", "n2": "valve.n2", "hood_flow": "hood_flow"}


@pytest.fixture
def plant(still_plant):
    return still_plant(hood_flow=1.0, button=1.0)


@pytest.fixture
def sim(plant):
    settings = DeviceSettings("valves", outputs=OUTPUTS, inputs=INPUTS)
    return SimRelay8ch(TwinDevice("valves", "modbus_relay_8ch", "bus", settings, TOUCHES), plant)


def ask(sim, text, t_ns=0):
    return [reply.hex(" ").upper() for _, reply in sim.feed(bytes.fromhex(text), t_ns)]


def sealed(sim, text, t_ns=0):
    (reply,) = [reply for _, reply in sim.feed(seal(bytes.fromhex(text)), t_ns)]
    assert is_whole(reply)
    return reply[:-2].hex(" ").upper()


def coils(sim, t_ns=0):
    return int(sealed(sim, "01 01 0000 0008", t_ns)[-2:], 16)


def test_the_vendors_bytes_come_out(sim):
    assert ask(sim, "01 05 00 00 FF 00 8C 3A") == ["01 05 00 00 FF 00 8C 3A"]
    assert ask(sim, "01 01 00 00 00 08 3D CC") == ["01 01 01 01 90 48"]
    assert ask(sim, "01 0F 00 00 00 08 01 AA 7E EA") == ["01 0F 00 00 00 08 54 0D"]
    assert coils(sim) == 0xAA
    assert ask(sim, "01 05 02 00 00 07 8D B0") == ["01 05 02 00 00 07 8D B0"]


def test_all_relays_are_off_after_power_up_and_drop_with_the_power(sim, plant):
    assert coils(sim) == 0
    sealed(sim, "01 0F 0000 0008 01 FF")
    assert plant.things["valve.n2"] == 1.0
    sim.power_cycle(S)
    assert coils(sim, S) == 0
    assert plant.things["valve.n2"] == plant.things["valve.vac_rough"] == 0.0


def test_a_relay_acts_on_what_its_output_touches(sim, plant):
    sealed(sim, "01 05 0002 FF00")
    assert plant.things["valve.n2"] == 1.0
    sealed(sim, "01 05 0001 FF00")  # an output that touches nothing
    assert "valve.vac_fine" not in plant.things


def test_inputs_are_what_they_see_and_nothing_where_nothing_is_wired(sim, plant):
    assert sealed(sim, "01 02 0000 0008") == "01 02 01 02"
    plant.things["hood_flow"] = 0.0
    assert sealed(sim, "01 02 0000 0008") == "01 02 01 00"


def test_part_of_the_coils_can_be_read_and_written(sim):
    sealed(sim, "01 0F 0002 0003 01 05")
    assert coils(sim) == 0b10100
    assert sealed(sim, "01 01 0002 0003") == "01 01 01 05"


def test_a_pulse_ends_by_itself(sim, plant):
    sealed(sim, "01 05 0202 0007", S)
    assert plant.things["valve.n2"] == 1.0
    sim.advance(S + 699_999_999)
    assert plant.things["valve.n2"] == 1.0
    sim.advance(S + 700_000_000)
    assert plant.things["valve.n2"] == 0.0


def test_a_pulse_off_ends_on_and_a_command_ends_a_pulse(sim):
    sealed(sim, "01 05 0002 FF00")
    sealed(sim, "01 05 0402 000A")
    assert coils(sim) == 0
    assert coils(sim, S) == 0b100
    sealed(sim, "01 05 0200 000A", S)
    sealed(sim, "01 05 0000 FF00", S)
    assert coils(sim, 3 * S) == 0b101


def test_all_at_once_and_toggle(sim):
    sealed(sim, "01 05 00FF FF00")
    assert coils(sim) == 0xFF
    sealed(sim, "01 05 0000 5500")
    assert coils(sim) == 0xFE
    sealed(sim, "01 05 00FF 0000")
    assert coils(sim) == 0


@pytest.mark.parametrize(
    ("question", "exception"),
    [
        ("01 16 0000 0008", "01 96 01"),
        ("01 05 0008 FF00", "01 85 02"),
        ("01 05 0000 0001", "01 85 03"),
        ("01 05 0200 0000", "01 85 03"),
        ("01 01 0004 0005", "01 81 02"),
        ("01 02 0000 0000", "01 82 03"),
        ("01 0F 0004 0005 01 FF", "01 8F 02"),
        ("01 0F 0000 0008 02 FF FF", "01 8F 03"),
        ("01 03 0000 0001", "01 83 02"),
        ("01 06 4000 0000", "01 86 03"),
    ],
)
def test_what_cannot_be_is_refused_with_its_exception(sim, question, exception):
    assert sealed(sim, question) == exception
    assert coils(sim) == 0


def test_its_address_can_be_read_and_changed(sim):
    assert sealed(sim, "01 03 4000 0001") == "01 03 02 00 01"
    assert sealed(sim, "01 03 8000 0001") == "01 03 02 00 C8"
    sim.feed(seal(bytes.fromhex("01 06 4000 000A")), 0)
    assert sim.feed(seal(bytes.fromhex("01 01 0000 0008")), 0) == []
    assert sealed(sim, "0A 01 0000 0008") == "0A 01 01 00"


def test_others_get_silence_and_everybody_is_obeyed_in_silence(sim):
    assert ask(sim, "02 01 00 00 00 08 3D FF") == []
    assert ask(sim, "01 05 00 00 FF 00 8C 3B") == []
    assert sim.feed(seal(bytes.fromhex("00 05 0000 FF00")), S) == []
    assert coils(sim, S) == 1


def test_byte_at_a_time_is_the_same_as_coalesced(sim):
    frame = bytes.fromhex("01 05 00 00 FF 00 8C 3A")
    singly = [reply for k, b in enumerate(frame) for reply in sim.feed(bytes((b,)), k * 1_041_667)]
    assert singly == sim.feed(frame, S)


@given(st.lists(st.binary(max_size=24), max_size=8))
def test_no_bytes_whatever_break_it(chunks):
    board = SimRelay8ch(TwinDevice("v", "modbus_relay_8ch", "bus", DeviceSettings("v")), None)
    for k, chunk in enumerate(chunks):
        for body in (chunk, seal(b"\x01" + chunk), seal(b"\x01\x0f\x00\x00\x00\x08" + chunk)):
            for _, reply in board.feed(body, k * 5_000_000):
                assert is_whole(reply)
