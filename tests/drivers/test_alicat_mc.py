import asyncio
import contextlib
import datetime as dt
import math
import random
import re
from asyncio.subprocess import PIPE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.alicat_mc import AlicatMc
from labctl.capabilities import DeviceSettings, Identity
from labctl.clock import NS, VirtualClock, WallClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.descriptor import TcpWire
from labctl.transport.memory import MemoryWire
from tests.foreign import python_with

TOUCHES = {"flow": "n2_flow", "supply": "n2_pressure", "pressure": "flask.P"}
FRAME = b"A +014.70 +025.00 +002.50 +002.50 +002.50     N2\r"


@pytest.fixture
def plant(still_plant):
    return still_plant(flask__P=1013.25, n2_pressure=1.0)


@pytest.fixture
def on_mfc(on_twin, plant):
    def run(main, dialect="10v", **settings):
        async def body(driver, sim, clock):
            sim.dialect = dialect
            return await main(driver, sim, clock)

        return on_twin("alicat_mc", body, plant=plant, touches=TOUCHES, baud=19200, **settings)

    return run


class Script:
    """Answers each question with the next prepared reply; notes all it is told."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.told = []

    def feed(self, data, t_ns):
        if not data:
            return []
        self.told.append(data)
        return [(0, self.replies.pop(0))] if self.replies else []


def on_script(main, *replies, **settings):
    script = Script(*replies)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(script, clock), clock)
        driver = AlicatMc(
            port, DeviceSettings(**({"name": "mfc", "flow_high_sccm": 50} | settings))
        )
        return await main(driver, script)

    return run_virtual(body)


async def polled(driver, script):
    return tuple(await driver.poll())


@pytest.mark.parametrize("dialect", ["5v", "10v"])
def test_it_connects_sets_reads_and_shuts_in_both_dialects(on_mfc, plant, dialect):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        assert (driver.full_scale_sccm, driver.gas) == (100.0, "N2")
        await driver.set_flow(25.5)
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        flowing = await driver.poll()
        await driver.close()
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        assert tuple(await driver.poll())[:2] == (0.0, 0.0)
        return identity, flowing

    identity, flowing = on_mfc(main, dialect)
    assert identity.maker == "Alicat"
    assert identity.model == "MC-100SCCM-D"
    assert identity.serial == "122161"
    assert tuple(flowing) == pytest.approx((25.5, 25.5, 1013.5, 25.0), abs=0.1)
    assert plant.things["n2_flow"] == 0.0


def test_connecting_actuates_nothing_and_knows_no_register():
    seen = []

    async def main(driver, script):
        with pytest.raises(DeviceError):
            await driver.connect()
        seen.extend(script.told)

    on_script(main, FRAME)
    assert seen[0] == b"A\r"
    assert not any(b"R122" in told or b"S" in told[1:2] for told in seen)


def test_the_primers_frame_is_read_and_psia_become_mbar():
    async def main(driver, script):
        driver._mbar_per_unit = 68.947573
        return await polled(driver, script)

    read = on_script(main, FRAME)
    assert read == pytest.approx((2.5, 2.5, 1013.53, 25.0), abs=0.01)


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        (b"A +014.52 +021.50 +0000.1 +0000.2 0116.3      N2\r", (0.2, 116.3, 14.52, 21.5)),
        (b"A +014.70 +025.00 +002.50 +002.50 +002.50 +00012.345     N2\r", (2.5, 2.5, 14.7, 25)),
        (b"A +014.70 +025.00 +002.50 +002.50 +002.50     N2 LCK\r", (2.5, 2.5, 14.7, 25.0)),
        (b"A +014.70 +025.00 +002.50 +002.50 +002.50     N2 MOV\r", (None, 2.5, 14.7, 25.0)),
        (b"A +014.70 +025.00 +002.50 +002.50 +002.50     N2 HLD POV\r", (2.5, None, None, 25.0)),
        (b"A +014.70 +025.00 +002.50 +002.50 +002.50     N2 TOV VOV\r", (None, 2.5, 14.7, None)),
        (b"A +014.70 +025.00 +002.50 +002.50 +002.50     N2 ADC\r", (None,) * 4),
        (b"A +014.70 +025.00 +002.50 +002.50 +002.50     Ar\r", (None, 2.5, 14.7, 25.0)),
    ],
)
def test_what_a_flag_or_another_gas_makes_untrue_is_no_number(frame, read):
    assert on_script(polled, frame) == read


@pytest.mark.parametrize(
    "reply",
    [
        b"B +014.70 +025.00 +002.50 +002.50 +002.50     N2\r",
        b"A +014.70 +025.00 +002.50 +002.50     N2\r",
        b"A +014.70 +025.00 +002.50 +0025.0a +002.50     N2\r",
        b"A +014.70 +025.00 +002.50 +02.50 +002.50     N2\r",
        b"A +014.70 +025.00 +002.50 +002.50 +002.50     N2 XYZ\r",
        b"A +014.70 +025.00 +002.50 +1e9.50 +002.50     N2\r",
        b"\xff\xfe\r",
    ],
)
def test_what_is_no_frame_is_no_reading(reply):
    async def main(driver, script):
        with pytest.raises(GarbledError):
            await driver.poll()

    on_script(main, reply, reply)


def test_a_garbled_frame_is_asked_for_once_more():
    assert on_script(polled, b"A +014.70\r", FRAME)[0] == 2.5


def test_a_setpoint_is_written_as_the_instrument_writes_it_and_read_back():
    async def main(driver, script):
        await driver.set_flow(2.5)
        return script.told

    assert on_script(main, FRAME, FRAME) == [b"AS 2.50\r", b"A\r"]


@pytest.mark.parametrize("flow_sccm", [-1.0, 50.1, math.nan, math.inf, 0.001])
def test_a_flow_beyond_the_limits_is_refused_before_anything_is_sent(flow_sccm):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError, match="50 sccm"):
            await driver.set_flow(flow_sccm)
        return script.told

    assert on_script(main) == []


def test_the_gate_is_asked_at_the_wire():
    def gate():
        raise OutOfRangeError("mfc", "n2", "shut", "open")

    async def main(driver, script):
        with pytest.raises(OutOfRangeError, match="shut"):
            await driver.set_flow(2.5, gate)
        return script.told

    assert on_script(main) == []


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 3))
def test_a_letter_is_never_followed_by_a_number(flow_sccm, decimals):
    async def main(driver, script):
        driver._decimals = decimals
        with contextlib.suppress(DeviceError):
            await driver.set_flow(flow_sccm)
        return b"".join((*script.told, *driver.last_will()))

    told = on_script(main, FRAME, FRAME, rests_closed=True, flow_high_sccm=1e9)
    assert not re.search(rb"(?:^|\r)[A-Z][^A-Z?$\r]", told)


@pytest.mark.parametrize("body", ["49408", "+5", "-1", ".5", " 5", "$$W46=8"])
def test_a_command_that_is_no_word_cannot_be_built(body):
    async def main(driver, script):
        with pytest.raises(OutOfRangeError):
            driver._command(body)

    on_script(main)


@pytest.mark.parametrize("dialect", ["5v", "10v"])
def test_a_setpoint_that_is_passed_over_is_an_error(on_mfc, dialect):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.source = "A"
        with pytest.raises(RefusedByDeviceError, match="setpoint source"):
            await driver.set_flow(10.0)

    on_mfc(main, dialect)


def test_an_analog_source_is_refused_on_connecting(on_mfc):
    async def main(driver, sim, clock):
        sim.source = "A"
        with pytest.raises(RefusedByDeviceError, match="serial line"):
            await driver.connect()

    on_mfc(main)


def test_a_setpoint_on_its_way_is_what_was_asked_for():
    on_its_way = FRAME.replace(b"+002.50  ", b"+000.10  ")

    async def main(driver, script):
        await driver.set_flow(2.5)
        return script.told[-1]

    assert on_script(main, on_its_way, on_its_way, b"A +000.20 +002.50 12 SCCM\r") == b"ALS\r"


def test_a_held_valve_obeys_no_setpoint(on_mfc):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.feed(b"A$$H\r", clock.now_ns())
        with pytest.raises(RefusedByDeviceError, match="HLD"):
            await driver.set_flow(10.0)

    on_mfc(main, "5v")


def test_another_gas_is_refused_on_connecting(on_mfc):
    async def main(driver, sim, clock):
        sim.gas = 1
        with pytest.raises(RefusedByDeviceError, match="expected N2, got Ar"):
            await driver.connect()

    on_mfc(main)


def test_a_limit_above_full_scale_is_refused_on_connecting(on_mfc):
    async def main(driver, sim, clock):
        with pytest.raises(RefusedByDeviceError, match="full scale"):
            await driver.connect()

    on_mfc(main, flow_high_sccm=200.0)


TABLE = (
    "A D00 ID_ NAME______________________ TYPE_______ WIDTH NOTES___________________\r"
    "A D02 002 Abs Press                  s decimal     7/2 {pressure}\r"
    "A D03 003 Flow Temp                  s decimal     7/2 002 02 {temperature}\r"
    "A D05 005 Mass Flow                  s decimal     7/1 007 02 {flow}\r"
    "A D06 {code} Mass Flow Setpt            decimal       6/1 007 02 {flow}\r"
    "A D18 702 *Status                    string          3 LCK\r\r"
)
MADE = (
    b"A  M04 Model Number MC-5SLPM-D\rA  M05 Serial Number 1\rA  M09 Software Revision 8v30.0-R23\r"
)
UNITS = {"pressure": "010 02 PSIA", "temperature": "`C", "flow": "SLPM", "code": "037"}


def connected(main, frame=FRAME, scale=b"A +005.00 7 SLPM\r", **units):
    table = TABLE.format(**(UNITS | units)).encode()
    return on_script(main, frame, MADE, table, scale, *[frame] * 4, flow_high_sccm=4000.0)


def test_litres_become_sccm_both_ways():
    async def main(driver, script):
        identity = await driver.connect()
        assert identity == Identity("Alicat", "MC-5SLPM-D", "1", "8v30.0-R23")
        assert driver.full_scale_sccm == 5000.0
        await driver.set_flow(2500.0)
        assert script.told[-2:] == [b"AS 2.50\r", b"A\r"]
        return await polled(driver, script)

    assert connected(main)[:2] == (2500.0, 2500.0)


def test_a_normal_litre_is_more_at_25_degrees():
    async def main(driver, script):
        await driver.connect()
        return driver.full_scale_sccm

    assert connected(main, flow="NLPM", scale=b"A +005.00 34 NLPM\r") == pytest.approx(
        5457.6, abs=1
    )


def test_a_table_ends_with_an_empty_line_that_answers_nothing():
    async def main(driver, script):
        await driver.connect()
        return await polled(driver, script)

    assert connected(main)[2] == pytest.approx(1013.53, abs=0.01)


@pytest.mark.parametrize(
    "units",
    [
        {"pressure": "010 02 inHg"},
        {"temperature": "`F"},
        {"flow": "CFM"},
        {"code": "034"},
    ],
)
def test_units_and_loops_not_known_here_are_refused(units):
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match=re.escape("??D*")):
            await driver.connect()

    connected(main, **units)


def test_the_safe_state_leaves_a_purge_unless_the_rig_shuts_it(on_mfc, plant):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.set_flow(10.0)
        await driver.make_safe()
        await driver.make_safe()
        return sim.setpoint_sccm, driver.last_will()

    assert on_mfc(main) == (10.0, ())
    assert on_mfc(main, rests_closed=True) == (0.0, (b"A$$C\r", b"AS 0.00\r"))


@pytest.mark.parametrize("dialect", ["5v", "10v"])
def test_a_held_valve_is_let_go_and_shut_in_the_safe_state(on_mfc, plant, dialect):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.set_flow(10.0)
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        sim.feed(b"A$$H\r", clock.now_ns())
        await driver.make_safe()
        await clock.sleep_until(clock.now_ns() + 20 * NS)
        await driver.poll()

    on_mfc(main, dialect, rests_closed=True)
    assert plant.things["n2_flow"] == 0.0


def test_the_last_will_sent_blind_shuts_a_held_valve(on_mfc):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.set_flow(10.0)
        sim.feed(b"A$$H\r", clock.now_ns())
        for frame in driver.last_will():
            sim.feed(frame, clock.now_ns())
        return sim.setpoint_sccm, sim._hold

    assert on_mfc(main, rests_closed=True) == (0.0, "")


def test_a_late_answer_never_answers_the_next_question(on_twin, plant):
    class Late:
        def __init__(self):
            self.asked = 0

        def feed(self, data, t_ns):
            if not data:
                return []
            self.asked += 1
            flow = b"+%06.2f" % self.asked
            delay_ns = 900_000_000 if self.asked == 2 else 0
            return [(delay_ns, FRAME.replace(b"+002.50 +002.50 ", b"+002.50 " + flow + b" ", 1))]

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(Late(), clock), clock)
        driver = AlicatMc(port, DeviceSettings("mfc"))
        answers = []
        for _ in range(5):
            try:
                answers.append((await driver.poll())[0])
            except NoReplyError:
                answers.append(None)
            await clock.sleep_until(clock.now_ns() + 500_000_000)
        return answers

    assert run_virtual(body) == [1.0, None, 3.0, 4.0, 5.0]


@given(st.binary(max_size=80))
def test_any_reply_gives_readings_or_a_device_error(reply):
    async def main(driver, script):
        try:
            return await driver.poll()
        except DeviceError:
            return None

    read = on_script(main, reply + b"\r", reply)
    assert read is None or len(read) == 4


def test_of_flipped_bits_few_pass_for_a_flow():
    """No checksum: 2000 frames with one bit flipped; the share of wrong flows is bounded."""
    draw = random.Random(5)
    wrong = 0
    for _ in range(2000):
        frame = bytearray(FRAME)
        frame[draw.randrange(len(frame) - 1)] ^= 1 << draw.randrange(8)

        async def main(driver, script):
            try:
                return (await driver.poll())[0]
            except DeviceError:
                return None

        read = on_script(main, bytes(frame), bytes(frame))
        wrong += read not in {None, 2.5}
    assert wrong / 2000 < 0.08


SIMULATOR = """
import socketserver, sys
from labmcp_alicat.simulator import AlicatSimulator

simulator = AlicatSimulator(layout_dialect=sys.argv[1], firmware=sys.argv[2])

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = b""
        while byte := self.rfile.read(1):
            if byte != b"\\r":
                line += byte
                continue
            said = simulator.handle(line.decode())
            line = b""
            for row in [said] if isinstance(said, str) else said or []:
                self.wfile.write(row.encode() + b"\\r")

server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.handle_request()
"""


@pytest.mark.parametrize(
    "variant",
    [("canonical", "10v20.0-R24"), ("canonical", "8v30.0-R23"), ("legacy", "5v12.0-R22")],
)
async def test_it_drives_a_strangers_simulator(variant):
    python = python_with("labmcp-alicat==0.1.2")
    server = await asyncio.create_subprocess_exec(python, "-c", SIMULATOR, *variant, stdout=PIPE)
    number = int(await server.stdout.readline())
    clock = WallClock()
    port = Port("line", TcpWire("line", "127.0.0.1", number, clock), clock)
    driver = AlicatMc(port, DeviceSettings("mfc", rests_closed=True))
    try:
        await port.open()
        identity = await driver.connect()
        assert (identity.model, identity.serial) == ("MC-500SCCM-D", "521641")
        assert driver.full_scale_sccm == 500.0
        await driver.set_flow(123.45)
        await clock.sleep_until(clock.now_ns() + 3 * NS // 2)
        flow, setpoint, pressure, temperature = await driver.poll()
        assert flow == pytest.approx(123.45, abs=3)
        assert setpoint == 123.45
        assert pressure == pytest.approx(14.6 * 68.95, rel=0.01)
        assert temperature == pytest.approx(21.9, abs=0.2)
        await driver.make_safe()
        assert (await driver.poll())[1] == 0.0
    finally:
        await port.close()
        await asyncio.wait_for(server.wait(), 10)
        server._transport.close()
