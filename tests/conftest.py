"""What every test gets: no leaked task or descriptor, a still plant, drivers in virtual time."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import os
import random
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from labctl.capabilities import DeviceSettings
from labctl.clock import VirtualClock
from labctl.loop import VirtualLoop, run_virtual
from labctl.registry import load
from labctl.transport import Port
from labctl.transport.memory import MemoryWire
from labctl.twin import Exposure, SimDevice, TwinDevice, stream


def pytest_addoption(parser):
    parser.addoption("--rig", action="store_true", help="run tests that drive real hardware")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--rig"):
        return
    for item in items:
        if item.get_closest_marker("rig"):
            item.add_marker(pytest.mark.skip(reason="drives real hardware; needs --rig"))


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """In CI a skipped test is a failure: what it needs must be installed there."""
    reports = terminalreporter.stats.get("skipped", [])
    skipped = [report for report in reports if "--rig" not in str(report.longrepr)]
    if os.environ.get("CI") and skipped:
        for report in skipped:
            terminalreporter.write_line(f"SKIPPED IN CI: {report.nodeid}: {report.longrepr}")
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def no_leaked_descriptors():
    before = _descriptors()
    yield
    if _descriptors() - before:
        gc.collect()
    leaked = _descriptors() - before
    assert not leaked, f"the test left descriptors open: {sorted(leaked)}"


@pytest.fixture(autouse=True)
async def no_leaked_tasks(request):
    if not asyncio.iscoroutinefunction(getattr(request.node, "obj", None)):
        yield
        return
    before = asyncio.all_tasks()
    yield
    leaked = {task.get_name() for task in asyncio.all_tasks() - before if not task.done()}
    leaked -= {asyncio.current_task().get_name()}
    assert not leaked, f"the test left tasks running: {sorted(leaked)}"


def _descriptors():
    if not Path("/proc/self/fd").exists():
        return set()
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found.add((fd.name, str(fd.readlink())))
        except OSError:
            continue
    return {(fd, to) for fd, to in found if not to.startswith(("anon_inode", "/proc", "/dev/null"))}


class StillPlant:
    """A plant that only remembers: `things` holds what sensors see and what was put."""

    def __init__(self, **things: float) -> None:
        self.things: dict[str, float] = {name.replace("__", "."): v for name, v in things.items()}
        self.moved: list[tuple[str, float]] = []

    def get(self, thing: str, t_ns: int) -> float:
        return self.things.get(thing, 0.0)

    def put(self, thing: str, value: float, t_ns: int) -> None:
        self.things[thing] = value

    def move(self, syringe: str, volume_ml: float, t_ns: int) -> float:
        self.moved.append((syringe, volume_ml))
        return volume_ml

    def counts(self, which: str, exposure: Exposure, t_ns: int) -> array:
        return array("I", [round(1000 + nm) for nm in exposure.wavelengths_nm])

    def stream(self, name: str) -> random.Random:
        return stream(1, name)


class TickedLine:
    """Ticks a simulated instrument every 250 ms before its bytes, as the world does."""

    def __init__(self, sim: SimDevice) -> None:
        self.sim = sim
        self._ticked_ns = 0

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        while self._ticked_ns + 250_000_000 <= t_ns:
            self._ticked_ns += 250_000_000
            self.sim.advance(self._ticked_ns)
        return self.sim.feed(data, t_ns)


@pytest.fixture
def still_plant():
    return StillPlant


@pytest.fixture
def on_twin():
    """Run `main(driver, sim, clock)` in virtual time against the kind's simulator."""

    def run(
        kind: str,
        main: Callable[..., Awaitable[object]],
        plant: StillPlant | None = None,
        touches: dict[str, str] | None = None,
        baud: int = 9600,
        **settings: object,
    ) -> object:
        settings_ = DeviceSettings(**{"name": "unit", **settings})
        device = TwinDevice(settings_.name, kind, "line", settings_, touches or {})
        sim = load("simulators", kind)(device, plant or StillPlant())

        async def body(loop: VirtualLoop) -> object:
            clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
            port = Port("line", MemoryWire(TickedLine(sim), clock, baud=baud), clock)
            driver = load("drivers", kind)(port, settings_)
            return await main(driver, sim, clock)

        return run_virtual(body)

    return run
