"""Syringe pumps served to clients that nobody here wrote, on ptys and over TCP, in real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess

import pytest

from labctl.capabilities import DeviceSettings, PumpState
from labctl.clock import WallClock
from labctl.registry import load
from labctl.transport import Port
from labctl.transport.descriptor import TcpWire
from labctl.twin import TwinDevice
from simulators.serve import serve_pty, serve_tcp
from tests.foreign import HEAVY_CLIENTS, PUMP_CLIENTS, python_with

HEAD = {"flask": "3", "reservoir": "1", "waste": "9"}


class Plunger:
    """A plant that counts what is pushed."""

    def __init__(self):
        self.pushed_ml = 0.0

    def move(self, syringe, volume_ml, t_ns):
        self.pushed_ml += volume_ml
        return volume_ml


def made(kind, plant, **settings):
    settings_ = DeviceSettings("pump", **({"address": 0, "syringe_ml": 5.0} | settings))
    return load("simulators", kind)(TwinDevice("pump", kind, "line", settings_), plant)


async def visited(sim, clients, script, wire="pty"):
    """Serve a simulator, let a stranger's script visit it, and return what it printed as JSON."""
    python = python_with(*clients)
    serve = serve_pty if wire == "pty" else serve_tcp
    served = await serve(sim, WallClock().now_ns)
    at = served.path if wire == "pty" else served.url
    try:
        process = await asyncio.create_subprocess_exec(
            *(python, "-c", script, at), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        async with asyncio.timeout(60):
            said, wrong = await process.communicate()
    finally:
        await served.close()
    assert process.returncode == 0, wrong.decode()[-3000:]
    return json.loads(said.splitlines()[-1])


FLOWCHEM = """
import asyncio, json, sys
from flowchem.devices.harvardapparatus.elite11 import Elite11

async def main():
    pump = Elite11.from_config(
        sys.argv[1], syringe_diameter="14.57 mm", syringe_volume="10 ml", address=ADDRESS
    )
    await pump.initialize()
    said = {
        "version": await pump.version(), "diameter": await pump.get_syringe_diameter(),
        "volume": await pump.get_syringe_volume(), "force": await pump.get_force(),
        "component": type(pump.components[0]).__name__, "address": pump.address,
        "info": (await pump.pump_info()).pump_description,
    }
    await pump.set_flow_rate("6 ml/min")
    said["rate"] = await pump.get_flow_rate()
    await pump.set_target_volume("0.05 ml")
    await pump.infuse()
    said["now"] = await pump.get_current_flow_rate()
    await asyncio.wait_for(pump.wait_until_idle(), 10)
    said["nonsense"] = await pump._send_command_and_read_reply("nonsense")
    await pump.set_withdrawing_flow_rate("6 ml/min")
    await pump.set_target_volume("0 ml")
    await pump.withdraw()
    said["back"] = await pump.get_current_flow_rate()
    await pump.stop()
    said["idle"] = await pump.is_idle()
    print(json.dumps(said))

asyncio.run(main())
"""


async def test_flowchem_drives_the_harvard_whatever_its_address():
    await asyncio.gather(flowchem_drives_the_harvard(0), flowchem_drives_the_harvard(7))


async def flowchem_drives_the_harvard(address):
    plant = Plunger()
    sim = made("harvard_elite11", plant, address=address)
    asked = FLOWCHEM.replace("ADDRESS", "-1" if address == 0 else str(address))
    said = await visited(sim, HEAVY_CLIENTS, asked)
    assert said == {
        "version": "11 ELITE I/W Single 3.0.4",
        "diameter": "14.5700 mm",
        "volume": "10 ml",
        "force": 30,
        "component": "Elite11PumpWithdraw",
        "address": address,
        "info": "11 ELITE I/W Single",
        "rate": pytest.approx(6.0),
        "now": pytest.approx(6.0),
        "nonsense": "Command error: nonsense",
        "back": pytest.approx(-6.0),
        "idle": True,
    }
    assert plant.pushed_ml < 0.05


LEGATO = """
import asyncio, json, sys
import aioserial
from quantiphy import Quantity
from syringe_pump import Pump
from syringe_pump.exceptions import PumpError, TargetReachedError

async def main():
    async with Pump(aioserial.AioSerial(sys.argv[1], timeout=2)) as pump:
        version = await pump.version()
        said = {"firmware": version.firmware, "address": version.address}
        said["target"] = await pump.target_volume.get()
        await pump.infusion_rate.set(Quantity("6 ml/min"))
        said["rate"] = float(await pump.infusion_rate.get())
        said["limits"] = [float(limit) for limit in await pump.infusion_rate.get_limits()]
        await pump.target_volume.set(Quantity("50 ul"))
        said["wanted"] = float(await pump.target_volume.get())
        try:
            await pump.target_volume.set(Quantity("1 l"))
        except PumpError as error:
            said["refused"] = type(error).__name__
        except ValueError as error:
            said["refused"] = str(error)
        await pump.run()
        await asyncio.sleep(0.8)
        said["infused"] = float(await pump.infusion_volume.get())
        try:
            await pump.run()
        except TargetReachedError:
            said["reached"] = True
    print(json.dumps(said))

asyncio.run(main())
"""


async def test_the_legato_client_drives_the_harvard_in_its_polling_mode():
    sim = made("harvard_elite11", Plunger())
    sim.phd = True
    said = await visited(sim, PUMP_CLIENTS, LEGATO)
    low, high = said.pop("limits")
    assert low < 1e-6
    assert high > 1e-2
    assert said == {
        "firmware": "v1.0.1",
        "address": 0,
        "target": None,
        "rate": pytest.approx(6e-3),
        "wanted": pytest.approx(50e-6),
        "refused": said["refused"],
        "infused": pytest.approx(50e-6),
        "reached": True,
    }


CAVRO = """
import json, sys
from labmcp.transports.serial import SerialTransport
from labmcp.transports.tcp import TCPTransport
from labmcp_cavro.driver import CavroError, CavroPump

words = {"read_termination": "\\x03\\r\\n", "write_termination": "\\r", "timeout": 2.0}
at = sys.argv[1]
if at.startswith("socket://"):
    host, port = at.removeprefix("socket://").split(":")
    wire = TCPTransport(host, int(port), **words)
else:
    wire = SerialTransport(at, **words)
pump = CavroPump(wire, address="1", syringe_ul=5000, model="xcalibur", resolution_mode=0)
said = {}
try:
    pump.move_plunger("A", 100, 1400, 10.0)
except CavroError as error:
    said["before"] = error.code
pump.initialize("Z", input_port=1, output_port=9)
said["port"], said["firmware"] = pump.valve_position(), pump.identify()["firmware"]
said["drawn"] = pump.move_plunger("P", 1500, 6000, 10.0).position_steps
said["to"] = pump.move_valve("O3")
moved = pump.move_plunger("D", 300, 1000, 10.0)
said["left"], said["speed"] = moved.position_steps, pump.top_speed()
try:
    pump.command("A3001R")
except CavroError as error:
    said["beyond"] = error.code
said["stopped"] = pump.terminate().ready
print(json.dumps(said))
"""


async def test_labmcp_drives_the_cavro_in_dt_over_either_wire():
    await asyncio.gather(labmcp_drives_the_cavro("pty"), labmcp_drives_the_cavro("tcp"))


async def labmcp_drives_the_cavro(wire):
    plant = Plunger()
    sim = made("cavro_xcalibur", plant, bore_mm=14.57, ports=HEAD)
    said = await visited(sim, PUMP_CLIENTS, CAVRO, wire)
    assert said == {
        "before": 7,
        "port": "9",
        "firmware": "P/N 30042430-C",
        "drawn": 1500,
        "to": "3",
        "left": 1200,
        "speed": 1000,
        "beyond": 3,
        "stopped": True,
    }
    assert plant.pushed_ml == pytest.approx(0.5)


NESP = """
import json, sys, time
import nesp_lib, serial
opened = serial.serial_for_url
if sys.argv[1].startswith("socket://"):
    nesp_lib.port.serial.Serial = lambda *a, **k: opened(sys.argv[1], timeout=2)
with nesp_lib.Port(sys.argv[1], 19200) as port:
    pump = nesp_lib.Pump(port, safe_mode_timeout_s=SAFE)
    pump.syringe_diameter_mm = 14.43
    pump.pumping_direction = nesp_lib.PumpingDirection.INFUSE
    pump.pumping_rate_ml_per_min = 6.0
    pump.pumping_volume_ml = 0.02
    pump.run()
    said = {
        "model": pump.model_number, "firmware": list(pump.firmware_version),
        "infused": pump.volume_infused_ml, "status": pump.status.name,
    }
    pump.safe_mode_timeout_s = 0
print(json.dumps(said))
"""


@pytest.mark.parametrize("wire", ["pty", "tcp"])
@pytest.mark.parametrize("safe_s", [0, 10])
async def test_nesp_lib_drives_the_new_era_in_both_modes_over_either_wire(wire, safe_s):
    plant = Plunger()
    sim = made("newera_ne1000", plant)
    said = await visited(sim, PUMP_CLIENTS, NESP.replace("SAFE", str(safe_s)), wire)
    assert said == {
        "model": 1000,
        "firmware": [3, 928],
        "infused": pytest.approx(0.02),
        "status": "STOPPED",
    }
    assert plant.pushed_ml == pytest.approx(0.02)


NEW_ERA = """
import json, sys, time
from labmcp.transports.serial import SerialTransport
from labmcp.transports.tcp import TCPTransport
from labmcp_new_era.driver import NewEraPump

words = {"read_termination": "\\x03", "write_termination": "\\r", "timeout": 2.0}
at = sys.argv[1]
if at.startswith("socket://"):
    host, port = at.removeprefix("socket://").split(":")
    wire = TCPTransport(host, int(port), **words)
else:
    wire = SerialTransport(at, baudrate=19200, **words)
pump = NewEraPump(wire)
said = {"who": pump.identify(), "reset": pump.reset_alarm_seen}
pump.set_diameter(14.43)
said["diameter"] = pump.diameter_mm()
plan = pump.start_pumping("INF", 0.05, 6.0)
said["rate"], said["now"] = plan.rate_ml_min, pump.status().state
time.sleep(0.8)
said["then"], said["dispensed"] = pump.status().state, pump.dispensed()
pump.clear_dispensed()
try:
    pump.start_pumping("INF", 0.05, 60.0)
except Exception as error:
    said["too_fast"] = "out of range" in str(error)
said["stopped"] = pump.stop().state
print(json.dumps(said))
"""


@pytest.mark.parametrize("wire", ["pty", "tcp"])
async def test_labmcp_drives_the_new_era_in_basic_mode(wire):
    said = await visited(made("newera_ne1000", Plunger()), PUMP_CLIENTS, NEW_ERA, wire)
    who = said.pop("who")
    assert (who["model"], who["firmware"]) == ("NE-1000", "3.928")
    assert said == {
        "reset": True,
        "diameter": 14.43,
        "rate": pytest.approx(6.0),
        "now": "infusing",
        "then": "stopped",
        "dispensed": [0.05, 0.0, "ML"],
        "too_fast": True,
        "stopped": "stopped",
    }


STRANGERS_CAVRO = """
import socket
from labmcp_cavro.simulator import CavroSimulator

pump = CavroSimulator(standard_steps=3000, valve_ports=9, speed=4.0)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
client, _ = server.accept()
heard = b""
while data := client.recv(4096):
    heard += data
    while b"\\r" in heard:
        line, _, heard = heard.partition(b"\\r")
        reply = pump.handle(line.decode("latin-1"))
        if reply is not None:
            client.sendall(reply.encode("latin-1") + b"\\x03\\r\\n")
"""


@contextlib.asynccontextmanager
async def strangers_cavro():
    """Serve a pump that a stranger simulates; yield a port to it."""
    process = await asyncio.create_subprocess_exec(
        *(python_with(*PUMP_CLIENTS), "-c", STRANGERS_CAVRO), stdout=subprocess.PIPE
    )
    number = int(await process.stdout.readline())
    clock = WallClock()
    port = Port("line", TcpWire("line", "127.0.0.1", number, clock), clock)
    await port.open()
    try:
        yield port
    finally:
        await port.close()
        await process.wait()
        process._transport.close()


async def at_rest(driver, clock):
    async with asyncio.timeout(20):
        while (await driver.poll())[1]:
            await clock.sleep_until(clock.now_ns() + 50_000_000)


async def test_our_driver_prepares_draws_and_doses_with_a_strangers_cavro():
    clock = WallClock()
    async with strangers_cavro() as port:
        settings = DeviceSettings(
            "pump", address=0, syringe_ml=5.0, bore_mm=14.57, ports=HEAD, protocol="dt"
        )
        driver = load("drivers", "cavro_xcalibur")(port, settings)
        await driver.prepare()
        assert (await driver.connect()).firmware == "XLP6000 V1.2.3 sim"
        await driver.aspirate(2.0, 120.0)
        async with asyncio.timeout(20):
            while await driver.state() is not PumpState.IDLE:
                pass
        await driver.reset_counter()
        await driver.infuse(1.0, 60.0)
        await at_rest(driver, clock)
        assert await driver.dispensed_ml() == pytest.approx(1.0)
        await driver.infuse(1.0, 6.0)
        await driver.make_safe()
        assert 1.0 <= await driver.dispensed_ml() < 2.0
