import asyncio
import contextlib
import os
import socket
import threading
import tty

import minimalmodbus
import pytest
import serial
from pymodbus import FramerType, ModbusException
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from labctl.capabilities import DeviceSettings
from labctl.clock import WallClock
from labctl.framing.modbus import seal
from labctl.twin import TwinDevice
from simulators.eurotherm_3216 import SimEurotherm3216
from simulators.ika_rct import SimIkaRct
from simulators.lines import SharedLine
from simulators.modbus_relay_8ch import SimRelay8ch
from simulators.serve import Ticked, serve_pty, serve_tcp

READ_TARGET = seal(bytes.fromhex("01 03 0002 0001"))


@pytest.fixture
def plant(still_plant):
    return still_plant(flask__T=25.0, hood_flow=1.0, **{"heater.full": 80.0})


@pytest.fixture
def heater(plant):
    settings = DeviceSettings("heater", setpoint_high=345.0)
    touches = {"probe": "flask.T", "output": "heater"}
    return SimEurotherm3216(TwinDevice("heater", "eurotherm_3216", "bus", settings, touches), plant)


@pytest.fixture
def board(plant):
    settings = DeviceSettings("valves", address=10, outputs={"n2": 3}, inputs={"hood": 2})
    touches = {"n2": "valve.n2", "hood": "hood_flow"}
    device = TwinDevice("valves", "modbus_relay_8ch", "bus", settings, touches)
    return SimRelay8ch(device, plant)


class Parrot:
    """Says back what it hears, after a delay, and something by itself; notes its ticks."""

    def __init__(self, *delays_ns, says=b""):
        self.delays_ns, self.says = delays_ns or (0,), says
        self.ticks = []

    def feed(self, data, t_ns):
        if not data:
            return [(0, self.says)] if self.says else []
        return [(delay, data + b"%d" % k) for k, delay in enumerate(self.delays_ns)]

    def advance(self, t_ns):
        self.ticks.append(t_ns)


async def beside(work):
    """Run blocking client code in a thread of its own while the loop serves."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def run():
        try:
            result, error = work(), None
        except Exception as raised:  # noqa: BLE001 - handed to the test
            result, error = None, raised
        loop.call_soon_threadsafe(finish, result, error)

    def finish(result, error):
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        return await done
    finally:
        thread.join()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            turn = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.005, turn.set_result, None)
            await turn


def exchange(port, question, size):
    port.write(question)
    return port.read(size)


@pytest.mark.parametrize("way", ["pty", "socket"])
async def test_minimalmodbus_drives_the_heater(heater, plant, way):
    served = await (serve_pty if way == "pty" else serve_tcp)(heater, WallClock().now_ns)

    def work():
        where = served.path if way == "pty" else serial.serial_for_url(served.url)
        client = minimalmodbus.Instrument(where, 1)
        client.serial.timeout = 0.3
        try:
            client.write_register(2, 120.0, number_of_decimals=1, functioncode=6, signed=True)
            client.write_float(0x8000 + 2 * 35, 10.0)
            client.write_register(273, 1, functioncode=6)
            with pytest.raises(minimalmodbus.IllegalRequestError):
                client.read_register(9000)
            return (
                client.read_register(1, 1, signed=True),
                client.read_register(2, 1, functioncode=4),
                client.read_float(0x8000 + 2 * 2),
                client.read_register(35, 1),
                client.read_registers(1, 5)[2:4],
            )
        finally:
            client.serial.close()

    try:
        measured_c, *rest = await beside(work)
    finally:
        await served.close()
    assert measured_c == pytest.approx(25.0, abs=0.4)
    assert rest == [120.0, 120.0, 10.0, [0, 0]]


async def test_pymodbus_drives_heater_and_relays_on_one_line_over_tcp(heater, board, plant):
    line = SharedLine([heater, board])
    served = await serve_tcp(line, WallClock().now_ns)

    def work():
        with ModbusTcpClient(
            served.host, port=served.port, framer=FramerType.RTU, timeout=0.3, retries=0
        ) as client:
            assert client.write_register(2, 1200, device_id=1).registers == [1200]
            assert client.read_holding_registers(1, count=5, device_id=1).registers[1] == 1200
            assert client.write_registers(24, [1000, 2000], device_id=1).count == 2
            assert client.read_input_registers(2, count=1, device_id=1).registers == [1000]
            assert client.read_holding_registers(9000, device_id=1).exception_code == 2
            assert client.write_coil(2, True, device_id=10).bits[0]
            assert (
                client.read_coils(0, count=8, device_id=10).bits
                == [False] * 2 + [True] + [False] * 5
            )
            assert client.read_discrete_inputs(0, count=8, device_id=10).bits[1]
            assert client.write_coils(0, [True] * 8, device_id=10).count == 8
            assert client.read_coils(8, count=1, device_id=10).exception_code == 2
            with pytest.raises(ModbusException):
                client.read_coils(0, count=1, device_id=77)

    try:
        await beside(work)
    finally:
        await served.close()
    assert plant.things["valve.n2"] == 1.0


async def test_minimalmodbus_switches_the_relays_on_a_pty(board, plant):
    served = await serve_pty(board, WallClock().now_ns)

    def work():
        client = minimalmodbus.Instrument(served.path, 10)
        client.serial.timeout = 0.3
        try:
            client.write_bit(2, 1)
            states = client.read_bits(0, 8, functioncode=1)
            inputs = client.read_bits(0, 8, functioncode=2)
            client.write_bits(0, [1, 1, 0, 0, 0, 0, 0, 0])
            with pytest.raises(minimalmodbus.IllegalRequestError):
                client.read_bit(8, functioncode=1)
            return states, inputs, client.read_bits(0, 8, functioncode=1)
        finally:
            client.serial.close()

    try:
        states, inputs, after = await beside(work)
    finally:
        await served.close()
    assert states == [0, 0, 1, 0, 0, 0, 0, 0]
    assert inputs == [0, 1, 0, 0, 0, 0, 0, 0]
    assert after == [1, 1, 0, 0, 0, 0, 0, 0]
    assert plant.things["valve.n2"] == 0.0


@pytest.mark.parametrize("way", ["pty", "socket"])
async def test_pymodbus_drives_heater_and_relays_as_a_serial_port(heater, board, plant, way):
    serve = serve_pty if way == "pty" else serve_tcp
    served = await serve(SharedLine([heater, board]), WallClock().now_ns)
    where = served.path if way == "pty" else served.url

    def work():
        with ModbusSerialClient(
            where, framer=FramerType.RTU, baudrate=9600, timeout=0.5, retries=0
        ) as client:
            assert client.write_register(2, 1200, device_id=1).registers == [1200]
            assert client.read_holding_registers(1, count=5, device_id=1).registers[1] == 1200
            assert client.read_holding_registers(9000, device_id=1).exception_code == 2
            assert client.write_coil(2, True, device_id=10).bits[0]
            assert client.read_coils(0, count=8, device_id=10).bits[2]
            assert client.read_discrete_inputs(0, count=8, device_id=10).bits[1]
            assert client.write_coils(0, [False] * 8, device_id=10).count == 8
            assert not any(client.read_coils(0, count=8, device_id=10).bits)
            assert client.write_coil(9, True, device_id=10).exception_code == 2

    try:
        await beside(work)
    finally:
        await served.close()
    assert plant.things["valve.n2"] == 0.0


async def test_clients_that_open_and_close_around_every_command_are_served(heater):
    served = await serve_pty(heater, WallClock().now_ns)

    def work():
        replies = set()
        for _ in range(10):
            with serial.Serial(served.path, 9600, timeout=2) as port:
                replies.add(exchange(port, READ_TARGET, 7))
        return replies

    try:
        assert await beside(work) == {seal(bytes.fromhex("01 03 02 0000"))}
    finally:
        await served.close()


async def test_garbage_and_half_frames_do_not_end_the_service(heater):
    served = await serve_pty(heater, WallClock().now_ns)

    def work():
        with serial.Serial(served.path, 9600, timeout=2) as port:
            port.write(bytes(range(256)) * 20)
            port.write(READ_TARGET[:5])
            return exchange(port, READ_TARGET, 7)

    try:
        assert await beside(work) == seal(bytes.fromhex("01 03 02 0000"))
    finally:
        await served.close()


async def test_a_terminal_that_nobody_reads_does_not_block(heater):
    served = await serve_pty(Parrot(says=b"x" * 3000), WallClock().now_ns, paced=False)
    for _ in range(10):
        served._hear(b"", served._send_to_all)
    await served.close()


async def test_the_terminal_passes_every_byte_as_it_is(heater):
    served = await serve_pty(Parrot(), WallClock().now_ns)
    every = bytes(range(256))

    def work():
        client = os.open(served.path, os.O_RDWR | os.O_NOCTTY)
        try:
            tty.setraw(client)
            os.write(client, every)
            got = b""
            while len(got) < 257:
                got += os.read(client, 1000)
            return got
        finally:
            os.close(client)

    try:
        assert await beside(work) == every + b"0"
    finally:
        await served.close()


async def test_ten_clients_at_once_each_get_their_own_replies():
    served = await serve_tcp(Parrot(3_000_000), WallClock().now_ns)

    async def ask(number):
        reader, writer = await asyncio.open_connection(served.host, served.port)
        heard = []
        for k in range(20):
            writer.write(b"client %d question %d;" % (number, k))
            heard.append(await reader.readuntil(b";0"))
        writer.close()
        await writer.wait_closed()
        return heard

    try:
        said = await asyncio.gather(*(ask(number) for number in range(10)))
    finally:
        await served.close()
    for number, heard in enumerate(said):
        assert heard == [b"client %d question %d;0" % (number, k) for k in range(20)]


async def test_half_a_question_of_one_client_is_not_mixed_with_anothers(heater):
    served = await serve_tcp(heater, WallClock().now_ns)
    halves, whole = await asyncio.open_connection(served.host, served.port), []
    other = await asyncio.open_connection(served.host, served.port)
    try:
        for _ in range(5):
            halves[1].write(READ_TARGET[:5])
            await halves[1].drain()
            await until(lambda: served._speaker is not None)
            other[1].write(READ_TARGET)
            await other[1].drain()
            await until(lambda: served._waiting)
            halves[1].write(READ_TARGET[5:])
            async with asyncio.timeout(2):
                whole += [await reader.readexactly(7) for reader, _ in (halves, other)]
    finally:
        for _, writer in (halves, other):
            writer.close()
        await served.close()
    assert whole == [seal(bytes.fromhex("01 03 02 0000"))] * 10


async def test_who_leaves_in_the_middle_of_a_question_keeps_nobody_waiting(heater):
    served = await serve_tcp(heater, WallClock().now_ns)
    for _ in range(3):
        _, leaver = await asyncio.open_connection(served.host, served.port)
        leaver.write(READ_TARGET[:5])
        await until(lambda: served._speaker is not None)
        leaver.close()
        reader, writer = await asyncio.open_connection(served.host, served.port)
        async with asyncio.timeout(2):
            reply = b""
            while not reply:  # the half question spoils the first, as on any line
                writer.write(READ_TARGET)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        reply = await reader.readexactly(7)
        writer.close()
        assert reply == seal(bytes.fromhex("01 03 02 0000"))
    await served.close()


async def test_ten_clients_that_set_and_ask_are_all_heard_and_answered(plant):
    settings = DeviceSettings("stirrer", speed_high_rpm=1200.0)
    device = TwinDevice("stirrer", "ika_rct", "line", settings, {"speed": "stirrer"})
    served = await serve_tcp(SimIkaRct(device, plant), WallClock().now_ns)

    async def ask(number):
        reader, writer = await asyncio.open_connection(served.host, served.port)
        heard = []
        for question in (b"IN_NAME \r\n", b"OUT_SP_4 600 \r\n", b"IN_SP_4 \r\n", b"IN_PV_4 \r\n"):
            writer.write(question)
            if question.startswith(b"IN_"):  # what sets has no reply
                heard.append(await reader.readuntil(b"\n"))
        writer.close()
        return heard

    try:
        async with asyncio.timeout(20):
            said = await asyncio.gather(*(ask(number) for number in range(10)))
    finally:
        await served.close()
    for name, setpoint, speed in said:
        assert name == b"RCT digital \r\n"
        assert setpoint == b"600.0 4 \r\n"
        assert speed.endswith(b" 4 \r\n")


async def test_delays_are_kept_and_so_is_the_order():
    clock = WallClock()
    served = await serve_tcp(Parrot(30_000_000, 30_000_000, 10_000_000), clock.now_ns)
    reader, writer = await asyncio.open_connection(served.host, served.port)
    began_ns = clock.now_ns()
    writer.write(b"x")
    assert await reader.readexactly(6) == b"x0x1x2"
    assert clock.now_ns() - began_ns >= 30_000_000
    writer.close()
    await writer.wait_closed()
    await served.close()


async def test_unpaced_nothing_waits_and_nothing_is_said_unasked():
    now_ns = 0
    parrot = Parrot(3600 * 1_000_000_000, says=b"!")
    served = await serve_tcp(parrot, lambda: now_ns, paced=False)
    reader, writer = await asyncio.open_connection(served.host, served.port)
    now_ns = 1_000_000_000
    writer.write(b"x")
    assert await reader.readexactly(2) == b"x0"
    assert parrot.ticks == [250_000_000, 500_000_000, 750_000_000, 1_000_000_000]
    writer.close()
    await writer.wait_closed()
    await served.close()


async def test_what_it_says_by_itself_reaches_all_clients():
    served = await serve_tcp(Parrot(says=b"!"), WallClock().now_ns)
    ends = [await asyncio.open_connection(served.host, served.port) for _ in range(2)]
    async with asyncio.timeout(5):
        assert [await reader.readexactly(2) for reader, _ in ends] == [b"!!"] * 2
    for _, writer in ends:
        writer.close()
        await writer.wait_closed()
    await served.close()


async def test_its_time_passes_while_nobody_asks():
    now_ns = 0
    parrot = Parrot()
    served = await serve_pty(parrot, lambda: now_ns)
    now_ns = 1_100_000_000
    await until(lambda: len(parrot.ticks) == 4)
    await served.close()


async def test_two_endpoints_share_one_instrument(board):
    ticked = Ticked(board)
    clock = WallClock()
    first, second = await serve_tcp(ticked, clock.now_ns), await serve_pty(ticked, clock.now_ns)

    def work():
        with socket.create_connection((first.host, first.port), timeout=2) as client:
            client.sendall(seal(bytes.fromhex("0A 05 0002 FF00")))
            client.recv(8)
        with serial.Serial(second.path, 9600, timeout=2) as port:
            return exchange(port, seal(bytes.fromhex("0A 01 0000 0008")), 6)

    try:
        assert await beside(work) == seal(bytes.fromhex("0A 01 01 04"))
    finally:
        await first.close()
        await second.close()


async def test_closing_hangs_up_and_may_be_repeated():
    served = await serve_tcp(Parrot(10_000_000_000), WallClock().now_ns)
    reader, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(b"x")
    await until(lambda: served._timers)
    await served.close()
    await served.close()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(1)
    writer.close()
    with pytest.raises(OSError):  # noqa: PT011 - nobody listens any more
        await asyncio.open_connection(served.host, served.port)
