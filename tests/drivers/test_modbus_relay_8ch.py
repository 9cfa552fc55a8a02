import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_relay_8ch import ModbusRelay8ch
from labctl.capabilities import DeviceSettings, Identity
from labctl.clock import VirtualClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
    StepFailedError,
    UnknownNameError,
)
from labctl.framing.modbus import seal
from labctl.loop import run_virtual
from labctl.readings import Kind
from labctl.transport import Port
from labctl.transport.memory import MemoryWire

OUTPUTS = {"vac_rough": 1, "n2": 3}
INPUTS = {"hood_flow": 2}
TOUCHES = {"vac_rough": "valve.vac_rough", "n2": "valve.n2", "hood_flow": "hood_flow"}


@pytest.fixture
def on_board(on_twin, still_plant):
    def run(main, plant=None, **settings):
        settings = {"outputs": OUTPUTS, "inputs": INPUTS} | settings
        return on_twin("modbus_relay_8ch", main, plant or still_plant(), TOUCHES, **settings)

    return run


class Script:
    """Answers each question with the next of some prepared replies; notes the questions."""

    def __init__(self, *replies):
        self.replies = [bytes.fromhex(r) if isinstance(r, str) else r for r in replies]
        self.asked = []

    def feed(self, data, t_ns):
        if not data:
            return []
        self.asked.append(data.hex(" ").upper())
        return [(0, self.replies.pop(0))] if self.replies else []


def on_script(main, *replies, **settings):
    script = Script(*replies)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(script, clock), clock)
        driver = ModbusRelay8ch(
            port, DeviceSettings(**({"name": "v", "outputs": OUTPUTS} | settings))
        )
        return await main(driver, script)

    return run_virtual(body)


def test_it_switches_and_reads_what_it_switched(on_board, still_plant):
    plant = still_plant(hood_flow=1.0)

    async def main(driver, sim, clock):
        assert await driver.connect() == Identity("Waveshare", "Modbus RTU Relay 8CH")
        assert await driver.poll() == (0.0, 0.0, 1.0)
        await driver.switch("n2", True)
        assert plant.things["valve.n2"] == 1.0
        assert await driver.poll() == (0.0, 1.0, 1.0)
        await driver.switch("n2", False)
        return await driver.poll()

    assert on_board(main, plant) == (0.0, 0.0, 1.0)
    assert plant.things["valve.n2"] == 0.0


def test_connecting_switches_nothing(on_board):
    async def main(driver, sim, clock):
        sim.coils[2] = True
        await driver.connect()
        return list(sim.coils)

    assert on_board(main) == [False, False, True, *[False] * 5]


def test_channels_say_what_was_commanded_and_what_was_measured(on_board):
    async def main(driver, sim, clock):
        return [(c.name, c.dimension, c.kind) for c in driver.channels]

    assert on_board(main) == [
        ("vac_rough", "truth", Kind.COMMANDED),
        ("n2", "truth", Kind.COMMANDED),
        ("hood_flow", "truth", Kind.MEASURED),
    ]


def test_make_safe_is_one_frame_and_drops_all(on_board):
    async def main(driver, sim, clock):
        sim.coils[:] = [True] * 8
        sent = []
        driver._port.trace = lambda t_ns, way, data: sent.append((way, data))
        await driver.make_safe()
        await driver.make_safe()
        return sim.coils, [data.hex(" ") for way, data in sent if way == ">"]

    frame = seal(bytes.fromhex("010f0000000801 00")).hex(" ")
    assert on_board(main) == ([False] * 8, [frame, frame])


def test_the_vendors_bytes_go_out():
    async def main(driver, script):
        await driver.switch("vac_rough", True)
        return script.asked

    echo = "01 05 00 00 FF 00 8C 3A"
    assert on_script(main, echo, seal(bytes.fromhex("01010101"))) == [
        "01 05 00 00 FF 00 8C 3A",
        "01 01 00 00 00 08 3D CC",
    ]


def test_the_gate_refuses_at_the_wire(on_board):
    def gate():
        raise StepFailedError("inhibited")

    async def main(driver, sim, clock):
        with pytest.raises(StepFailedError):
            await driver.switch("n2", True, gate)
        return sim.coils[2]

    assert on_board(main) is False


def test_a_name_it_does_not_have_is_refused_before_anything_is_sent():
    async def main(driver, script):
        with pytest.raises(UnknownNameError, match="vac_rough"):
            await driver.switch("vac_rouhg", True)
        return script.asked

    assert on_script(main) == []


def test_a_number_it_does_not_have_is_refused():
    with pytest.raises(OutOfRangeError, match=r"1 \.\. 8"):
        ModbusRelay8ch(None, DeviceSettings("v", outputs={"fan": 9}))


def test_a_coil_that_does_not_follow_is_an_error():
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match="n2"):
            await driver.switch("n2", True)

    on_script(main, seal(bytes.fromhex("01050002FF00")), seal(bytes.fromhex("01010100")))


def test_a_garbled_echo_is_settled_by_the_read_back():
    async def main(driver, script):
        await driver.switch("n2", True)
        return len(script.asked)

    assert on_script(main, "01 05 00 02 FF 00 00 00", seal(bytes.fromhex("01010104"))) == 2


def test_a_garbled_read_is_asked_once_more_and_a_command_never():
    async def main(driver, script):
        first = await driver.poll()
        with pytest.raises(GarbledError):
            await driver.poll()
        return first, len(script.asked)

    good, bad = seal(bytes.fromhex("01010104")), bytes.fromhex("010101040000")
    assert on_script(main, bad, good, bad, bad) == ((0.0, 1.0), 4)


def test_another_units_reply_is_not_believed():
    async def main(driver, script):
        with pytest.raises(GarbledError):
            await driver.poll()

    other = seal(bytes.fromhex("02010104"))
    on_script(main, other, other)


def test_an_exception_is_a_refusal():
    async def main(driver, script):
        for ask in (driver.poll(), driver.switch("n2", True), driver.make_safe()):
            with pytest.raises(RefusedByDeviceError, match="exception 2"):
                await ask

    on_script(main, *[seal(bytes((1, f | 0x80, 2))) for f in (1, 5, 15)])


def test_no_reply_to_a_command_is_an_error_and_is_not_repeated():
    async def main(driver, script):
        with pytest.raises(NoReplyError):
            await driver.switch("n2", True)
        return len(script.asked)

    assert on_script(main) == 1


@given(st.binary(min_size=1, max_size=12), st.binary(max_size=12))
def test_no_bytes_whatever_are_read_as_something_else(first, second):
    async def main(driver, script):
        try:
            return await driver.poll()
        except DeviceError:
            return None

    reading = on_script(main, first, second)
    assert reading is None or seal(b"\x01\x01\x01")[:3] in {first[:3], second[:3]}


def test_a_normally_open_valve_is_open_while_its_relay_is_off(on_twin, still_plant):
    plant = still_plant()

    async def main(driver, sim, clock):
        at_start = await driver.poll()
        await driver.switch("n2", False)
        shut = (list(await driver.poll()), sim.coils[2], plant.things["valve.n2"])
        await driver.make_safe()
        return at_start, shut, plant.things["valve.n2"]

    at_start, shut, safe = on_twin(
        "modbus_relay_8ch",
        main,
        plant,
        {"vac_rough": "valve.vac_rough", "n2": "valve.n2"},
        outputs={"vac_rough": 1, "n2": 3},
        rests_on=("n2",),
    )
    assert list(at_start) == [0.0, 1.0]
    assert shut == ([0.0, 0.0], True, 0.0)
    assert safe == 1.0
