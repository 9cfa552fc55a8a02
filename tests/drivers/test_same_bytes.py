"""The same driver and the same simulator exchange the same bytes in memory, on a pty, over TCP.

Time is stepped by the exchange: each question advances the simulator's clock by 100 ms, so that
the bytes may not depend on the wire, its chunks or the wall clock.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from labctl.capabilities import DeviceSettings, ScanSettings
from labctl.clock import WallClock
from labctl.errors import DeviceError
from labctl.readings import Channel
from labctl.registry import catalog, load
from labctl.transport import Port
from labctl.transport.descriptor import LineSettings, SerialWire, TcpWire
from labctl.twin import TwinDevice
from simulators.serve import Ticked, serve_pty, serve_tcp

STEP_NS = 100_000_000
EXCHANGES = 1000
THINGS = {
    "flask__T": 25.0,
    "flask__T2": 25.0,
    "flask__P": 1005.0,
    "line__P": 0.05,
    "rough__P": 800.0,
    "hood_flow": 1.0,
    "n2_pressure": 1.0,
    "syringe__drawn": 5.0,
}
MFC = {"flow": "n2_flow", "supply": "n2_pressure", "pressure": "flask.P"}


@dataclass(frozen=True)
class Case:
    """How a kind is set up, and the harmless things it does between polls."""

    settings: Mapping[str, object] = field(default_factory=dict)
    touches: Mapping[str, str] = field(default_factory=dict)
    acts: tuple[Callable, ...] = ()
    baud: int = 9600


CASES = {
    "alicat_mc": Case(
        {"flow_high_sccm": 50.0, "rests_closed": True},
        MFC,
        (lambda mfc: mfc.set_flow(25.5), lambda mfc: mfc.close(), lambda mfc: mfc.make_safe()),
        19200,
    ),
    "bronkhorst_elflow": Case(
        {"address": 0, "flow_high_sccm": 50.0, "rests_closed": True},
        MFC,
        (lambda mfc: mfc.set_flow(25.5), lambda mfc: mfc.close(), lambda mfc: mfc.make_safe()),
        38400,
    ),
    "cavro_xcalibur": Case(
        {"bore_mm": 14.57, "syringe_ml": 5.0, "ports": {"flask": "3", "waste": "9"}},
        {"drawn": "syringe.drawn"},
        (lambda pump: pump.infuse(0.2, 6.0), lambda pump: pump.stop()),
    ),
    "coherent_obis": Case(
        {"power_high_mw": 20.0, "wavelength_nm": 405.0},
        {"laser": "beam"},
        (lambda laser: laser.shine(5.0), lambda laser: laser.shine(0.0)),
    ),
    "eurotherm_3216": Case(
        {"setpoint_low": 20.0, "setpoint_high": 345.0, "power_high_fraction": 0.85},
        {"probe": "flask.T", "output": "heater"},
        (
            lambda heater: heater.ramp(120.0, 10.0),
            lambda heater: heater.freeze(),
            lambda heater: heater.off(),
            lambda heater: heater.ramp(60.0, 0.0),
        ),
    ),
    "horiba_icl": Case(
        {"scan": ScanSettings(550.0, 556.0, 2.0, 0.05, 4e6)},
        {"spectrum": "pl"},
        (lambda pl: pl.set_exposure(0.02, 2), lambda pl: pl.set_exposure(0.05, 1)),
    ),
    "heidolph_heiconnect": Case(
        {"speed_high_rpm": 1200.0, "watchdog_s": 10.0, "has_probe2": True},
        {"speed": "stirrer", "probe2": "flask.T2"},
        (lambda stirrer: stirrer.stir(600.0), lambda stirrer: stirrer.stir(0.0)),
    ),
    "harvard_elite11": Case(
        {"bore_mm": 14.57, "syringe_ml": 10.0},
        {},
        (
            lambda pump: pump.infuse(1.0, 1.0),
            lambda pump: pump.stop(),
            lambda pump: pump.reset_counter(),
        ),
        115200,
    ),
    "ika_rct": Case(
        {"speed_high_rpm": 1200.0, "watchdog_s": 60.0, "has_probe2": True},
        {"speed": "stirrer", "probe2": "flask.T2"},
        (lambda stirrer: stirrer.stir(600.0), lambda stirrer: stirrer.stir(0.0)),
    ),
    "mks_901p": Case(
        {"address": 253, "places": {4: Channel("flask", "pressure", 0.1, 1100.0)}},
        {"4": "flask.P"},
    ),
    "mks_974b": Case(
        {"address": 2, "places": {4: Channel("line", "pressure"), 5: Channel("high", "pressure")}},
        {"4": "line.P", "5": "line.P"},
    ),
    "modbus_relay_8ch": Case(
        {"outputs": {"n2": 3, "fan": 2}, "inputs": {"hood_flow": 2}},
        {"n2": "valve.n2", "hood_flow": "hood_flow"},
        (lambda board: board.switch("n2", True), lambda board: board.switch("n2", False)),
    ),
    "newera_ne1000": Case(
        {"address": 1, "bore_mm": 14.57, "syringe_ml": 10.0, "watchdog_s": 20.0},
        {},
        (
            lambda pump: pump.infuse(1.0, 1.0),
            lambda pump: pump.stop(),
            lambda pump: pump.reset_counter(),
        ),
        19200,
    ),
    "ocean_fx": Case({}, {"spectrum": "absorbance"}, (lambda uvvis: uvvis.set_exposure(0.02, 2),)),
    "ocean_sts": Case({}, {"spectrum": "pl"}, (lambda pl: pl.set_exposure(0.02, 2),)),
    "ocean_hdx": Case({}, {"spectrum": "absorbance"}, (lambda uvvis: uvvis.set_exposure(0.02, 2),)),
    "ocean_qepro": Case(
        {"detector_c": -10.0},
        {"spectrum": "pl"},
        (lambda pl: pl.set_exposure(0.02, 1),),
        115200,
    ),
    "pfeiffer_ppt100": Case(
        {"places": {1: Channel("line", "pressure", 0.001, 5.0)}}, {"1": "line.P"}
    ),
    "pfeiffer_tpg361": Case({"places": {1: Channel("flask", "pressure")}}, {"1": "flask.P"}),
    "pfeiffer_tpg366": Case({"places": {5: Channel("line", "pressure")}}, {"5": "line.P"}),
    "pfeiffer_tpg362": Case(
        {
            "places": {
                1: Channel("flask", "pressure", 0.1, 1100.0),
                2: Channel("line", "pressure", 0.001, 5.0),
            }
        },
        {"1": "flask.P", "2": "line.P"},
    ),
    "vacuubrand_cvc3000": Case(
        {},
        {"pump": "rough_pump", "pressure": "rough.P"},
        (lambda pump: pump.pump_to(100.0), lambda pump: pump.stop()),
        19200,
    ),
    "watlow_ezzone_pm": Case(
        {"setpoint_low": 20.0, "setpoint_high": 345.0, "power_high_fraction": 0.85},
        {"probe": "flask.T", "output": "heater"},
        (
            lambda heater: heater.ramp(120.0, 10.0),
            lambda heater: heater.freeze(),
            lambda heater: heater.off(),
            lambda heater: heater.ramp(60.0, 0.0),
        ),
        38400,
    ),
}
CASES["eurotherm_3504"] = CASES["eurotherm_3216"]
CASES["wpi_al1000"] = CASES["newera_ne1000"]
SERIAL = [kind for kind, row in catalog("drivers").items() if "tcp" not in row.line]


class Steps:
    """The clock that questions advance, and the log of the bytes; the trace of a port."""

    def __init__(self) -> None:
        self.now = 0
        self.log: list[tuple[str, bytes]] = []

    def __call__(self, t_ns: int, way: str, data: bytes) -> None:
        self.now += STEP_NS if way == ">" else 0
        self.log.append((way, data))

    def now_ns(self) -> int:
        return self.now


class SteppedPort(Port):
    """A port whose pauses step the clock too."""

    def __init__(self, wire, clock, steps: Steps) -> None:
        super().__init__("line", wire, clock)
        self.trace = self._steps = steps

    async def pause(self, seconds: float) -> None:
        self._steps.now += round(seconds * 1e9)


class Heard:
    """The simulator with its clockwork going, and a count of the bytes it was fed."""

    def __init__(self, sim, steps: Steps) -> None:
        self._ticked, self._steps = Ticked(sim), steps
        self.count = 0
        self.more = asyncio.Event()

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        replies = self._ticked.feed(data, t_ns)
        self.count += len(data)
        self.more.set()
        return replies

    def advance(self, t_ns: int) -> None:
        self._ticked.advance(t_ns)


class HeardWire:
    """Any wire; what was written has been heard before anything else is said."""

    def __init__(self, wire, heard: Heard) -> None:
        self._wire, self._heard, self._written = wire, heard, 0
        self.open, self.close, self.interrupt = wire.open, wire.close, wire.interrupt
        self.take, self.receive = wire.take, wire.receive

    async def write(self, data: bytes) -> None:
        await self._wire.write(data)
        self._written += len(data)
        while self._heard.count < self._written:
            self._heard.more.clear()
            await self._heard.more.wait()


class StepWire:
    """A wire in memory on the stepped clock; every reply is there at once."""

    def __init__(self, heard: Heard, steps: Steps) -> None:
        self._heard, self._steps, self._arrived = heard, steps, b""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def interrupt(self) -> None: ...

    async def write(self, data: bytes) -> None:
        replies = self._heard.feed(data, self._steps.now)
        self._arrived += b"".join(reply for _, reply in replies)

    def take(self) -> bytes:
        arrived, self._arrived = self._arrived, b""
        return arrived

    async def receive(self, deadline_ns: int) -> bytes:
        return self.take()


@contextlib.asynccontextmanager
async def memory(heard, steps, line, clock):
    yield StepWire(heard, steps)


@contextlib.asynccontextmanager
async def tcp(heard, steps, line, clock):
    served = await serve_tcp(heard, steps.now_ns, paced=False)
    try:
        yield TcpWire("line", served.host, served.port, clock)
    finally:
        await served.close()


@contextlib.asynccontextmanager
async def terminal(heard, steps, line, clock):
    served = await serve_pty(heard, steps.now_ns, paced=False)
    try:
        yield SerialWire("line", served.path, line, clock)
    finally:
        await served.close()


async def exchange(kind, case, plant, wire_of):
    """Connect, then poll and act until so many exchanges are logged; return the log."""
    steps, clock = Steps(), WallClock()
    settings = DeviceSettings(**({"name": "unit"} | dict(case.settings)))
    sim = load("simulators", kind)(TwinDevice("unit", kind, "line", settings, case.touches), plant)
    line = LineSettings(case.baud, *line_format(kind))
    heard = Heard(sim, steps)
    async with wire_of(heard, steps, line, clock) as wire:
        port = SteppedPort(HeardWire(wire, heard), clock, steps)
        driver = load("drivers", kind)(port, settings)
        await port.open()
        try:
            await driver.connect()
            await talk(driver, case.acts, steps)
        finally:
            await port.close()
    return steps.log


async def talk(driver, acts, steps):
    turn = 0
    polls = bool(driver.channels)
    while len(steps.log) < 2 * EXCHANGES:
        if acts and (turn % 30 == 0 or not polls):
            with contextlib.suppress(DeviceError):
                await acts[turn // 30 % len(acts)](driver)
        elif hasattr(driver, "acquire") and turn % 30 == 1:
            await driver.acquire(steps.now)
        else:
            await driver.poll()
        turn += 1


def line_format(kind):
    line = catalog("drivers")[kind].line
    if line == "tcp":
        return 8, "N", 1
    bits = line.split()[1]
    return int(bits[0]), bits[1], int(bits[2])


@pytest.mark.parametrize("kind", sorted(catalog("drivers")))
async def test_the_wire_makes_no_difference_to_the_bytes(kind, still_plant):
    assert kind in CASES, f"say above how {kind} is exercised"
    wires = [memory, tcp] + [terminal] * (kind in SERIAL)
    logs = []
    for wire_of in wires:
        plant = still_plant(**THINGS, **{"heater.full": 80.0})
        async with asyncio.timeout(30):
            logs.append(await exchange(kind, CASES[kind], plant, wire_of))
    assert len(logs[0]) >= 2 * EXCHANGES - 200
    for log in logs[1:]:
        assert log == logs[0]
