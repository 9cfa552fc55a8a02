import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.twin import TwinDevice
from simulators.alicat_mc import SimAlicatMc
from tests.foreign import CLIENTS
from tests.strangers import drive_each

S = 1_000_000_000
TOUCHES = {"flow": "n2_flow", "supply": "n2_pressure", "pressure": "flask.P"}


class Bench:
    """One controller on a plant at 1013.25 mbar with gas in its cylinder."""

    def __init__(self, still_plant, dialect="5v", address=0) -> None:
        self.plant = still_plant(flask__P=1013.25, n2_pressure=1.0)
        settings = DeviceSettings("mfc", address=address)
        self.sim = SimAlicatMc(TwinDevice("mfc", "alicat_mc", "l", settings, TOUCHES), self.plant)
        self.sim.dialect = dialect

    def say(self, text: str, t_s: float = 0.0) -> str:
        replies = self.sim.feed(text.encode() + b"\r", round(t_s * S))
        return b"".join(reply for _, reply in replies).decode()


@pytest.fixture
def bench(still_plant):
    return Bench(still_plant)


@pytest.fixture
def modern(still_plant):
    return Bench(still_plant, "10v")


def test_the_primers_frame_in_the_modern_dialect(modern):
    assert modern.say("AS2.50") == "A +014.70 +025.00 +000.00 +000.00 +002.50     N2\r"
    assert modern.say("A", 60.0) == "A +014.70 +025.00 +002.50 +002.50 +002.50     N2\r"
    assert modern.plant.things["n2_flow"] == 2.5


def test_an_old_one_writes_its_setpoint_without_a_sign(bench):
    bench.say("AS2.50")
    assert bench.say("A", 60.0) == "A +014.70 +025.00 +002.50 +002.50 002.50     N2\r"


def test_the_flow_follows_its_setpoint_with_a_lag_of_half_a_second(modern):
    modern.say("AS 100")
    assert modern.say("A", 0.5).split()[4] == "+063.21"
    assert modern.plant.things["n2_flow"] == pytest.approx(63.21, abs=0.01)


def test_an_empty_cylinder_ends_the_flow_and_not_the_setpoint(modern):
    modern.say("AS50")
    modern.say("A", 10.0)
    modern.plant.things["n2_pressure"] = 0.0
    assert modern.say("A", 30.0).split()[4:6] == ["+000.00", "+050.00"]


@pytest.mark.parametrize(("units", "sccm"), [("64000", 100.0), ("32000", 50.0), ("49408", 77.2)])
def test_a_letter_and_digits_are_the_legacy_setpoint(bench, units, sccm):
    bench.say("A" + units)
    assert bench.sim.setpoint_sccm == pytest.approx(sccm)


@pytest.mark.parametrize("text", ["AS200", "AS100"])
def test_a_setpoint_is_kept_within_the_range(bench, text):
    bench.say(text)
    assert bench.sim.setpoint_sccm == 100.0


@pytest.mark.parametrize("text", ["ASx", "AS1e2", "AS", "AZZ", "A$$X", "AW46", "A$$R999", "AS٣"])
def test_what_it_does_not_know_is_answered_with_a_question_mark(bench, text):
    assert bench.say(text) == "?\r"
    assert bench.sim.setpoint_sccm == 0.0


@pytest.mark.parametrize("text", ["B", "BS5", "", " ", "1A"])
def test_another_letter_is_passed_over(bench, text):
    assert bench.say(text) == ""


def test_the_letter_is_the_address_and_can_be_changed(still_plant):
    bench = Bench(still_plant, address=3)
    assert bench.say("A") == ""
    assert bench.say("c").startswith("C ")
    assert bench.say("C@ D").startswith("D ")
    assert bench.say("C") == ""


def test_registers_are_there_in_the_old_dialect_only(bench, modern):
    assert bench.say("AR122") == "A   122 = 37\r"
    assert bench.say("AW122=34") == "A   122 = 34\r"
    bench.say("A$$W46=1")
    register = int(bench.say("A$$R46").split()[-1])
    assert register & 0x1FF == 1
    assert bench.say("A").split()[-1] == "Ar"
    for text in ("AR122", "A$$R46", "A$$W46=1"):
        assert modern.say(text) == "?\r"


def test_words_are_there_in_the_modern_dialect_only(bench, modern):
    assert modern.say("ALS 7.5") == "A +007.50 +007.50 12 SCCM\r"
    assert modern.say("ALSS") == "A S\r"
    assert modern.say("AGS 1") == "A 1 Ar Argon\r"
    assert modern.say("AFPF 5") == "A +100.00 12 SCCM\r"
    assert modern.say("ADCU 5") == "A 12 SCCM\r"
    assert bench.say("ALS").startswith("A +014.70 ")  # a frame instead, as an old one does
    assert bench.say("AFPF 5") == "?\r"


def test_the_tables_have_the_columns_of_their_time(bench, modern):
    old = bench.say("A??D*").split("\r")
    assert old[5] == "A  D05 Mass        signed    +0000.0  +0100.0     SCCM"
    assert old[-2] == "A  D14 Status      string         na      MOV       na"
    new = modern.say("A??D*").split("\r")
    assert new[5] == "A D05 005 Mass Flow                  s decimal     7/2 012 02 SCCM"
    assert new[-3] == "A D21 702 *Status                    string          3 LCK"
    assert new[-2:] == ["", ""]
    made = modern.say("A??M*").split("\r")
    assert made[4] == "A  M04 Model Number MC-100SCCM-D"
    assert made[9] == "A  M09 Software Revision 10v20.0-R24"


def test_an_analog_source_passes_over_setpoints(bench):
    bench.sim.source = "A"
    assert bench.say("AS50").split()[5] == "000.00"


def test_a_held_valve_stays_where_it_is_and_says_so(bench):
    bench.say("AS50")
    bench.say("A$$H", 20.0)
    bench.say("AS0", 20.0)
    frame = bench.say("A", 40.0).split()
    assert frame[4] == "+050.00"
    assert frame[-1] == "HLD"
    bench.say("A$$C", 40.0)
    assert bench.say("A", 60.0).split()[4] == "+000.00"


def test_locks_tares_totals_and_flags_show(bench):
    assert bench.say("A$$L").split()[-1] == "LCK"
    assert bench.say("A$$U").split()[-1] == "N2"
    bench.sim.zero_sccm = 0.9
    assert bench.say("A").split()[4] == "+000.90"
    assert bench.say("A$$V").split()[4] == "+000.00"
    bench.sim.totaliser = True
    assert len(bench.say("A").split()) == 8
    bench.sim.flags = {"MOV", "POV"}
    assert bench.say("A").split()[-2:] == ["MOV", "POV"]


def test_a_stalled_valve_and_a_power_cut(bench):
    bench.say("AS50")
    bench.say("A", 20.0)
    bench.sim.stall()
    bench.say("AS0", 20.0)
    assert bench.say("A", 40.0).split()[4] == "+050.00"
    bench.sim.stall(stalled=False)
    bench.say("AS50", 40.0)
    bench.sim.power_cycle()
    assert bench.say("A", 60.0).split()[4:6] == ["+000.00", "000.00"]


pieces = st.lists(
    st.sampled_from([b"A\r", b"AS5\r", b"A??D*\r", b"A$$H\r", b"A64000\r", b"B\r", b"\n"])
    | st.binary(max_size=6)
)


@given(pieces=pieces, dialect=st.sampled_from(["5v", "10v"]))
def test_any_bytes_get_the_same_answers_whole_or_one_by_one(pieces, dialect):
    class Plant:
        def get(self, thing, t_ns):
            return 1.0

        def put(self, thing, value, t_ns):
            pass

    def made():
        settings = DeviceSettings("mfc")
        sim = SimAlicatMc(TwinDevice("mfc", "alicat_mc", "l", settings, TOUCHES), Plant())
        sim.dialect = dialect
        return sim

    data = b"".join(pieces)
    single = made()
    one_by_one = [reply for n in range(len(data)) for reply in single.feed(data[n : n + 1], S)]
    assert made().feed(data, S) == one_by_one
    assert all(reply.endswith(b"\r") for _, reply in one_by_one)


ALICAT = """
import asyncio, sys
from alicat import FlowController

async def main():
    async with FlowController(sys.argv[1], "A", timeout=2.0) as mfc:
        print((await mfc.get_firmware()).split()[1])
        await mfc.set_flow_rate(25.5)
        await asyncio.sleep(1.5)
        state = await mfc.get()
        print(state["mass_flow"], state["setpoint"], state["pressure"], state["control_point"])
        await mfc.set_gas("Ar")
        print((await mfc.get())["gas"])
        await mfc.lock()
        print(await mfc.is_locked())
        await mfc.unlock()
        await mfc.hold()
        await mfc.cancel_hold()
        await mfc.tare_volumetric()
        print((await mfc.get_pid())["loop_type"])
        await mfc.set_flow_rate(0)
        await mfc.close()

asyncio.run(main())
"""


async def test_the_alicat_client_drives_it(still_plant):
    for _, lines in await drive_each(
        lambda: Bench(still_plant).sim, CLIENTS, ALICAT, ("pty", "tcp"), hurry=4
    ):
        firmware, state, gas, locked, loop = lines
        assert firmware == "5v08.0-R22"
        flow, setpoint, pressure, point = state.split(" ", 3)
        assert float(flow) == pytest.approx(25.5, abs=0.02)
        assert (setpoint, pressure, point) == ("25.5", "14.7", "mass flow")
        assert (gas, locked, loop) == ("Ar", "True", "PD/PDF")


LABMCP = """
import sys
from labmcp.transports.serial import SerialTransport
from labmcp.transports.tcp import TCPTransport
from labmcp_alicat.driver import AlicatDevice

ends = dict(read_termination="\\r", write_termination="\\r")
if sys.argv[1].startswith("/"):
    device = AlicatDevice(SerialTransport(sys.argv[1], baudrate=19200, **ends))
else:
    host, port = sys.argv[1].split(":")
    device = AlicatDevice(TCPTransport(host, int(port), **ends))
device.initialise()
print(device.layout.source, device.identify()["model"], device.is_controller)
print(device.set_setpoint(7.5).requested)
print(device.poll().number("setpoint"), device.full_scale(5), device.setpoint_source())
print(device.set_gas(1)[0])
device.hold_closed()
print(device.poll().status_codes)
device.cancel_hold()
"""


async def test_a_second_client_drives_the_modern_dialect(still_plant):
    for _, lines in await drive_each(
        lambda: Bench(still_plant, "10v").sim, ("labmcp-alicat==0.1.2",), LABMCP, ("pty", "tcp")
    ):
        assert lines == [
            "??D* MC-100SCCM-D True",
            "7.5",
            "7.5 (100.0, 'SCCM') S",
            "1",
            "['HLD']",
        ]
