"""Every simulator gives the replies of the vendors' own exchanges, whole and byte by byte."""

import random

import pytest

from labctl.capabilities import DeviceSettings
from labctl.clock import NS
from labctl.readings import Channel
from labctl.registry import load
from labctl.twin import TwinDevice
from tests.conftest import StillPlant
from tests.vectors import VECTORS

SETTINGS = {
    "setpoint_low": 20.0, "setpoint_high": 345.0, "bore_mm": 14.57, "syringe_ml": 5.0,
    "ports": {"flask": "3"}, "has_probe2": True,
}  # fmt: skip
TOUCHES = {
    "probe": "flask.T", "probe2": "flask.T2", "output": "heater", "flow": "n2_flow",
    "pressure": "flask.P", "spectrum": "absorbance", "speed": "stirrer",
}  # fmt: skip
GAUGES = {"1": "line.P"}


class Mean(random.Random):
    """Noise that gives its means."""

    def gauss(self, mu=0.0, sigma=1.0):
        return mu


class QuietPlant(StillPlant):
    def stream(self, name):
        return Mean(1)


def sim_of(vector):
    things = {"flask.T": 25.0, "flask.T2": 25.0, "heater.full": 80.0} | dict(vector.things)
    plant = QuietPlant(**{"flask.P": 1005.0, "line.P": 0.05, **things})
    places = {1: Channel("line", "pressure")}
    settings = DeviceSettings("unit", **({"places": places} | SETTINGS | dict(vector.settings)))
    touches = dict(GAUGES if vector.kind.startswith("pfeiffer") else TOUCHES)
    if "syringe.drawn" in things:
        touches["drawn"] = "syringe.drawn"
    sim = load("simulators", vector.kind)(
        TwinDevice("unit", vector.kind, "line", settings, touches), plant
    )
    if vector.kind == "alicat_mc":
        sim.dialect = "10v"
    return sim


@pytest.mark.parametrize("piece", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", VECTORS)
def test_the_vendors_question_gets_the_vendors_reply(name, piece):
    vector = VECTORS[name]
    sim = sim_of(vector)
    t_ns = NS
    for said in vector.before:
        sim.feed(said, t_ns)
        t_ns += NS
    for _ in range(round(vector.rest_s * 4)):
        t_ns += NS // 4
        sim.advance(t_ns)
    told = b""
    size = piece or len(vector.asked)
    for at in range(0, len(vector.asked), size):
        told += b"".join(reply for _, reply in sim.feed(vector.asked[at : at + size], t_ns + at))
    assert told == vector.told
