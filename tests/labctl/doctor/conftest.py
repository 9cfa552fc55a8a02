"""A small rig on served simulators, and every way in which it can be unfit."""

from __future__ import annotations

import contextlib

import pytest

from labctl.capabilities import DeviceSettings
from labctl.clock import WallClock
from labctl.doctor import examine
from labctl.registry import load
from labctl.rig.load import rig_of
from labctl.source import compose
from labctl.twin import TwinDevice
from simulators.lines import SharedLine
from simulators.serve import serve_pty, serve_tcp

RIG = """\
labctl: rig/1
name: small
ports:
  bus:   {bus}
  stir:  {stir}
  pumps: {pumps}
  gauge: {gauge}
vessels: {{flask50: {{is: RBF, volume: 50 mL, mantle: 80 W}}}}
roles: {{heater: heater, stirrer: stirrer, line_gauge: gauge.line, operator: person}}
devices:
  person:  {{kind: operator}}
  heater:  {{kind: eurotherm_3216, port: bus, unit: 1, limits: {{setpoint: 20 C .. 345 C}}}}
  stirrer: {{kind: ika_rct, port: stir, limits: {{speed: 0 rpm .. 1200 rpm}}, watchdog: 60 s}}
  pump_1:  {{kind: newera_ne1000, port: pumps, address: 1, watchdog: 20 s,
            syringe: {{is: gastight 10 mL, bore: 14.57 mm}},
            line: {{bore: 0.8 mm, length: 60 cm, dead: 302 uL}}}}
  gauge:   {{kind: pfeiffer_ppt100, port: gauge,
            channels: {{line: {{ch: 1, is: Pirani, trust: 0.001 mbar .. 5 mbar}}}}}}
{more}"""
SETTINGS = {
    "heater": ("eurotherm_3216", {"setpoint_low": 20.0, "setpoint_high": 345.0}),
    "stirrer": ("ika_rct", {"speed_high_rpm": 1200.0}),
    "pump_1": ("newera_ne1000", {"address": 1, "bore_mm": 14.57}),
    "gauge": ("pfeiffer_ppt100", {}),
}
TOUCHES = {
    "heater": {"probe": "flask.T", "output": "heater"},
    "stirrer": {"speed": "stirrer"},
    "gauge": {"1": "line.P"},
}
ON = {"heater": "bus", "stirrer": "stir", "pump_1": "pumps", "gauge": "gauge"}


class Garbling:
    """A line set to another baud rate: bytes come back, but never the right ones."""

    def __init__(self, sim):
        self._sim = sim

    def feed(self, data, t_ns):
        replies = self._sim.feed(data, t_ns)
        return [(delay, bytes(byte ^ 0x55 for byte in reply)) for delay, reply in replies]

    def advance(self, t_ns):
        self._sim.advance(t_ns)


class Hearing:
    """An instrument that also notes what it heard."""

    def __init__(self, sim):
        self._sim, self.heard = sim, b""

    def feed(self, data, t_ns):
        self.heard += data
        return self._sim.feed(data, t_ns)

    def advance(self, t_ns):
        self._sim.advance(t_ns)


class Mute(Hearing):
    """An instrument that is off."""

    def feed(self, data, t_ns):
        self.heard += data
        return []


class Bench:
    """The served instruments by name, and where each of their ports is."""

    def __init__(self, plant):
        self.plant = plant
        self.sims = {
            name: load("simulators", kind)(
                TwinDevice(
                    name, kind, ON[name], DeviceSettings(name, **more), TOUCHES.get(name, {})
                ),
                plant,
            )
            for name, (kind, more) in SETTINGS.items()
        }
        self.places = {}
        self.served = {}
        self._stack = contextlib.AsyncExitStack()

    async def serve(self, *, tcp=(), **instead):
        """Serve each instrument on a pty (or over TCP), or what is given for it."""
        clock = WallClock()
        for name, sim in (self.sims | instead).items():
            serve = serve_tcp if name in tcp else serve_pty
            served = await serve(sim, clock.now_ns)
            self._stack.push_async_callback(served.close)
            self.served[name] = served
            self.places[ON[name]] = (
                f'{{tcp: "{served.host}:{served.port}"}}' if name in tcp
                else f'{{path: "{served.path}"}}'
            )  # fmt: skip
        return self

    def rig(self, more="", **places):
        return rig_of(compose(RIG.format(**(self.places | places), more=more)))

    async def examined(self, more="", **places):
        return await examine(self.rig(more, **places), self.runs, WallClock())

    async def close(self):
        await self._stack.aclose()


@pytest.fixture
async def bench(still_plant, tmp_path):
    made = Bench(still_plant(flask__T=25.0, line__P=0.05, **{"heater.full": 80.0}))
    made.runs = tmp_path
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def shared_line():
    return SharedLine
