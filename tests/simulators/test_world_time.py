"""The simulated rig's promises about time, names and refusals; no chemistry."""

import sys
import types
from array import array
from dataclasses import replace

import pytest

from labctl.capabilities import DeviceSettings, Listing
from labctl.errors import UnknownNameError, UsageError
from labctl.twin import (
    Exposure,
    TwinDevice,
    TwinFault,
    TwinReagent,
    TwinSpec,
    TwinSyringe,
    TwinVessel,
)
from simulators import CATALOG
from simulators.world import build_world

TICK = 250_000_000
EMPTY = TwinSpec(
    seed=1,
    devices=(),
    vessel=TwinVessel(volume_ml=50.0, mantle_w=80.0, glass_j_k=30.0),
    reagents=(TwinReagent("ZN", "zinc oleate in ODE", 0.5),),
)


@pytest.mark.parametrize("thing", ["valve.spare", "beacon", "hood_flow", "estop", "anything"])
def test_what_the_plant_has_no_part_of_is_remembered(thing):
    world = build_world(EMPTY)
    assert world.get(thing, 0) == (1.0 if thing == "hood_flow" else 0.0)
    world.put(thing, 0.25, 0)
    assert world.get(thing, 0) == 0.25


def test_things_have_their_defaults():
    world = build_world(EMPTY)
    expected = {"jack": 1, "fan": 0, "heater.full": 80, "warm.full": 20, "n2_pressure": 1}
    expected |= {"flask.P": 1005, "flask.T": 22, "warm.T": 22, "rough.P": 1005}
    assert {thing: world.get(thing, 0) for thing in expected} == expected


def test_what_is_measured_cannot_be_put():
    with pytest.raises(UsageError, match=r"flask\.T"):
        build_world(EMPTY).put("flask.T", 30.0, 0)


def test_too_much_power_is_refused():
    with pytest.raises(UsageError, match="100"):
        build_world(EMPTY).put("heater", 100.0, 0)


class Bell:
    """An instrument that writes down when it is advanced and fed, and answers its name."""

    log: list[tuple[str, str, int]]

    def __init__(self, device, plant):
        self.name, self._plant = device.name, plant

    def feed(self, data, t_ns):
        self.log.append((self.name, "feed", t_ns))
        return [(1000, self.name.encode())] if data else []

    def advance(self, t_ns):
        self.log.append((self.name, "advance", t_ns))
        self._plant.put(f"{self.name}.advanced", t_ns, t_ns)


@pytest.fixture
def bells(monkeypatch):
    module = types.ModuleType("bells_for_this_test")
    module.Bell = Bell
    Bell.log = []
    monkeypatch.setitem(sys.modules, "bells_for_this_test", module)
    monkeypatch.setitem(CATALOG, "bell", Listing("bells_for_this_test:Bell"))
    names = [("b", "bus"), ("a", "bus"), ("c", "own")]
    devices = tuple(TwinDevice(name, "bell", port, DeviceSettings(name)) for name, port in names)
    return build_world(replace(EMPTY, devices=devices))


def test_instruments_advance_every_tick_by_name_before_they_are_fed(bells):
    bells.line("own").feed(b"x", 3 * TICK + 1)
    ticks = [(name, "advance", n * TICK) for n in (1, 2, 3) for name in "abc"]
    assert Bell.log == [*ticks, ("c", "feed", 3 * TICK + 1)]


def test_a_shared_line_is_heard_by_all_and_answers_in_order(bells):
    assert bells.line("bus").feed(b"x", 0) == [(1000, b"a"), (1000, b"b")]
    assert bells.line("bus").feed(b"", 0) == []


def test_time_never_goes_back(bells):
    bells.line("own").feed(b"x", 2 * TICK)
    bells.line("bus").feed(b"x", TICK)
    assert [row for row in Bell.log if row[1] == "advance"][-1] == ("c", "advance", 2 * TICK)
    assert bells.get("a.advanced", 0) == 2 * TICK


def test_device_and_line_are_found_by_name(bells):
    assert bells.device("a").name == "a"
    with pytest.raises(UnknownNameError, match="own"):
        bells.line("owm")
    with pytest.raises(UnknownNameError, match="instrument"):
        bells.device("z")


def test_unknown_kind_fault_and_reagent_are_refused():
    device = TwinDevice("x", "eurotherm_3217", "bus", DeviceSettings("x"))
    with pytest.raises(UnknownNameError, match="eurotherm_3216"):
        build_world(replace(EMPTY, devices=(device,)))
    with pytest.raises(UnknownNameError, match="leak_step"):
        build_world(replace(EMPTY, faults=(TwinFault("leak", "flask"),)))
    with pytest.raises(UnknownNameError, match="ZM"):
        build_world(replace(EMPTY, syringes=(TwinSyringe("pump_1", "ZM", 1.0, 0.1, 0.005, 1.0),)))
    dots = TwinReagent("NC", "InP-OA in toluene", 50e-6)
    with pytest.raises(UsageError, match="size"):
        build_world(replace(EMPTY, reagents=(dots,)))
    with pytest.raises(UnknownNameError, match="syringe"):
        build_world(EMPTY).move("syringe.pump_9", 1.0, 0)
    with pytest.raises(UnknownNameError, match="reagent"):
        build_world(EMPTY).charge("OA", 1.0, 0)


def test_one_stream_per_name():
    world = build_world(EMPTY)
    assert world.stream("pump_1") is world.stream("pump_1")
    assert world.stream("pump_1").random() != world.stream("pump_2").random()


def test_counts_are_unsigned_integers_of_four_bytes():
    exposure = Exposure((400.0, 500.0, 600.0), 0.05, 20, 0, 65535, 500.0, 6.0)
    counts = build_world(EMPTY).counts("pl", exposure, 0)
    assert isinstance(counts, array)
    assert counts.typecode == "I"
    assert len(counts) == 3
