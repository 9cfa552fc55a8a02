"""The 3504's time units, a stranger's Modbus server as heater, and damaged replies."""

import random

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.eurotherm_3216 import Eurotherm3216
from labctl.capabilities import DeviceSettings
from labctl.clock import NS, WallClock
from labctl.errors import RefusedByDeviceError
from labctl.framing.modbus import answers, seal
from labctl.transport import Port
from labctl.transport.descriptor import TcpWire
from tests.conftest import StillPlant

LIMITS = {
    "setpoint_low": 20.0,
    "setpoint_high": 345.0,
    "rate_high_k_min": 15.0,
    "power_high_fraction": 0.85,
}
TOUCHES = {"probe": "flask.T", "output": "heater"}


def on_heater(on_twin, kind, main):
    plant = StillPlant(flask__T=25.0, heater__full=80.0)
    return on_twin(kind, main, plant, TOUCHES, **LIMITS)


@pytest.mark.parametrize("kind", ["eurotherm_3216", "eurotherm_3504"])
def test_a_ramp_takes_its_minutes_in_either_series(on_twin, kind):
    async def main(driver, sim, clock):
        who = await driver.connect()
        assert who.model == kind[-4:]
        await driver.ramp(125.0, 10.0)
        await clock.sleep_until(clock.now_ns() + 300 * NS)
        assert (await driver.poll())[2] == pytest.approx(70.0, abs=1.0)

    on_heater(on_twin, kind, main)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [("eurotherm_3504", 0), ("eurotherm_3504", 2), ("eurotherm_3216", 1), ("eurotherm_3216", 2)],
)
def test_seconds_and_hours_are_refused_in_either_series(on_twin, kind, unit):
    async def main(driver, sim, clock):
        sim._values[531] = unit
        with pytest.raises(RefusedByDeviceError, match="minutes"):
            await driver.connect()

    on_heater(on_twin, kind, main)


def registers():
    """A block of registers as somebody else's server holds it, set up as the page asks."""
    found = {1: 250, 2: 200, 5: 200, 11: -2000 & 0xFFFF, 12: 13720, 30: 1000, 107: 0x0211}
    found |= {111: 3450, 112: 0}
    words = [found.get(address, 0) for address in range(600)]
    wide = [0x43AC, 0x8000]  # 345.0 as IEEE 754
    return [
        SimData(0, values=words, datatype=DataType.REGISTERS),
        SimData(12550, values=0, datatype=DataType.REGISTERS),
        SimData(0x8000 + 2 * 111, values=wide, datatype=DataType.REGISTERS),
    ]


async def test_the_driver_cannot_tell_pymodbus_from_a_heater():
    server = ModbusTcpServer(
        SimDevice(1, simdata=registers()), framer=FramerType.RTU, address=("127.0.0.1", 0)
    )
    await server.serve_forever(background=True)
    host, number = server.transport.sockets[0].getsockname()[:2]
    clock = WallClock()
    port = Port("bus", TcpWire("bus", host, number, clock), clock)
    driver = Eurotherm3216(port, DeviceSettings("heater", **LIMITS))
    try:
        await port.open()
        assert (await driver.connect()).firmware == "2.11"
        assert await driver.poll() == (25.0, 20.0, 20.0, 0.0)
        await driver.ramp(120.0, 10.0)
        assert (await driver.poll())[1] == 120.0
        await driver.make_safe()
        assert (await driver.poll())[1] == 20.0
    finally:
        await port.close()
        await server.shutdown()


def damaged(frame, chance):
    """One bit flipped, a byte lost, doubled or replaced, or two neighbours swapped."""
    data, at = bytearray(frame), chance.randrange(len(frame) - 1)
    match chance.randrange(5):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            del data[at]
        case 2:
            data.insert(at, data[at])
        case 3:
            data[at] = chance.randrange(256)
        case _:
            data[at], data[at + 1] = data[at + 1], data[at]
    return bytes(data)


def test_of_ten_thousand_damaged_replies_no_wrong_temperature_is_believed():
    chance = random.Random(3)
    question = seal(bytes.fromhex("010300010005"))
    right = seal(bytes.fromhex("01030a04b0 05dc 0000 01a4 0514".replace(" ", "")))
    believed = [damaged(right, chance) for _ in range(10_000)]
    assert not [reply for reply in believed if answers(question, reply) and reply != right]
