"""The table of what is proven says what is so: nothing done that is not, nothing open that is."""

import datetime as dt
import importlib
import inspect
from pathlib import Path

import pytest

from drivers.quality import QUALITY, RULES
from labctl.capabilities import DeviceSettings
from labctl.clock import VirtualClock
from labctl.errors import DeviceError, OutOfRangeError
from labctl.loop import run_virtual
from labctl.registry import catalog, load
from labctl.rig.capturing import captured_devices
from labctl.transport import Port
from labctl.transport.capture import read_capture
from labctl.transport.memory import MemoryWire
from labctl.twin import TwinDevice
from tests.drivers.test_last_will import HARMS, ONLY_LOOKS
from tests.drivers.test_look import KINDS as LOOKED
from tests.drivers.test_same_bytes import CASES, THINGS
from tests.drivers.test_wire_faults import KINDS as LATE

ROOT = Path(__file__).parents[1]
KINDS = sorted(catalog("drivers"))
STATES = {"done", "todo", "exempt"}
CAPTURED = {
    device.kind
    for file in (ROOT / "tests/captures").glob("*.jsonl")
    for device in captured_devices(read_capture(file))
}


def module(shelf, kind):
    return catalog(shelf)[kind].target.partition(":")[0].partition(".")[2]


def test_text(shelf, kind):
    """The text of a kind's tests."""
    return (ROOT / f"tests/{shelf}/test_{module(shelf, kind)}.py").read_text(encoding="utf-8")


test_text.__test__ = False


def page(kind):
    return ROOT / f"docs/reference/instruments/{kind}.md"


def client(kind):
    """The test that the table names has the client in it, and the simulator of this kind."""
    name, _, file = QUALITY[kind]["client"].why.partition(" in ")
    if not (ROOT / file).is_file():
        return False
    text = (ROOT / file).read_text(encoding="utf-8")
    simulator = load("simulators", kind).__name__
    return name in text and (simulator in text or f'"{kind}"' in text)


def reads_its_unit(kind, still_plant):
    async def look(driver):
        return (await driver.look()).facts

    return "unit" in with_driver(kind, still_plant, look)[0]


def arms_its_watchdog(kind, still_plant):
    """Connecting with a watchdog says something that connecting without one does not."""

    async def connect(driver):
        await driver.connect()

    without = with_driver(kind, still_plant, connect, watchdog_s=0.0)[1]
    for seconds in (10.0, 20.0, 60.0):
        try:
            if with_driver(kind, still_plant, connect, watchdog_s=seconds)[1] != without:
                return True
        except OutOfRangeError:
            continue
    return False


def with_driver(kind, still_plant, main, **settings):
    """Have a driver do something on its simulator; return what came of it, and what it said."""
    case = CASES[kind]
    plant = still_plant(**THINGS, **{"heater.full": 80.0})
    made = DeviceSettings(**({"name": "unit"} | dict(case.settings) | settings))
    sim = load("simulators", kind)(TwinDevice("unit", kind, "line", made, case.touches), plant)
    said = []

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        await clock.sleep_until(2_000_000_000)
        port = Port("line", MemoryWire(sim, clock, baud=0), clock)
        port.trace = lambda t_ns, way, data: said.append(data) if way == ">" else None
        return await main(load("drivers", kind)(port, made))

    return run_virtual(body), said


def has_will(kind):
    tested = kind in HARMS or "last_will" in test_text("drivers", kind)
    same = {harmed for harmed in HARMS if module("drivers", harmed.partition(",")[0]) == module(
        "drivers", kind)}  # fmt: skip
    return kind not in ONLY_LOOKS and not only_looks(kind) and (tested or bool(same))


def only_looks(kind):
    return not load("drivers", kind).last_will.__code__.co_names and "()" in inspect.getsource(
        load("drivers", kind).last_will
    )


SEEN = {
    "page": lambda kind, plant: page(kind).exists(),
    "simulator": lambda kind, plant: kind in catalog("simulators"),
    "same_bytes": lambda kind, plant: kind in CASES,
    "look": lambda kind, plant: kind in LOOKED and hasattr(load("drivers", kind), "look"),
    "driver_fuzz": lambda kind, plant: "@given" in test_text("drivers", kind),
    "simulator_fuzz": lambda kind, plant: "@given" in test_text("simulators", kind),
    "late_reply": lambda kind, plant: kind in LATE,
    "client": lambda kind, plant: client(kind),
    "limits": lambda kind, plant: "OutOfRangeError" in inspect.getsource(
        importlib.import_module(load("drivers", kind).__module__)),
    "unit": reads_its_unit,
    "watchdog": arms_its_watchdog,
    "last_will": lambda kind, plant: has_will(kind),
    "capture": lambda kind, plant: kind in CAPTURED,
    "hardware": lambda kind, plant: "## Seen on hardware" in page(kind).read_text(encoding="utf-8"),
}  # fmt: skip


def test_every_kind_has_its_row_and_every_rule_its_sentence():
    assert sorted(QUALITY) == KINDS
    assert set(SEEN) == set(RULES)
    for row in QUALITY.values():
        assert list(row) == list(RULES)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_open_or_exempt_says_why(kind):
    for rule, proof in QUALITY[kind].items():
        assert proof.state in STATES, rule
        assert proof.state == "done" or len(proof.why) > 10, rule


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("kind", KINDS)
def test_the_table_says_what_is_so(kind, rule, still_plant):
    try:
        seen = SEEN[rule](kind, still_plant)
    except DeviceError as error:
        raise AssertionError(f"{kind}, {rule}: {error}") from None
    assert seen == (QUALITY[kind][rule].state == "done")
