"""A look at an instrument reads who it is and how it is set, and leaves everything as it was."""

import contextlib
import datetime as dt
import random
from collections import deque
from types import ModuleType

import pytest

from labctl.capabilities import DeviceSettings
from labctl.clock import VirtualClock
from labctl.errors import DeviceError
from labctl.loop import run_virtual
from labctl.registry import catalog, load
from labctl.transport import Port
from labctl.transport.memory import MemoryWire
from labctl.twin import TwinDevice
from tests.drivers.test_same_bytes import CASES, THINGS

KINDS = sorted(catalog("drivers"))
PASSING = ("_ns", "buffer", "heard", "last", "noise", "chance", "plant", "count", "number")
"""Parts of a simulator that change with time or with any question at all."""

TOLD = {"_alarm"}  # the pump's alarm of its power-up is over once it is told
ENDED = {"_after_enq", "_spoken"}  # the controller says nothing unasked once it is spoken to
OF_THE_LINE = {
    "cavro_xcalibur": {"_oem_only", "_said"},  # it keeps to the protocol in which it was spoken to
    "horiba_icl": {"_stream"},  # the connection
    "newera_ne1000": TOLD,
    "pfeiffer_tpg361": ENDED,
    "pfeiffer_tpg362": ENDED,
    "pfeiffer_tpg366": ENDED,
    "wpi_al1000": TOLD,
}
"""What any conversation leaves behind, however harmless: it concerns the line alone."""


def state_of(thing, seen=None):
    """The whole state of an object as nested tuples of plain values; each object once."""
    seen = set() if seen is None else seen
    if isinstance(thing, int | float | str | bytes | bytearray | type(None)):
        return bytes(thing) if isinstance(thing, bytearray) else thing
    if id(thing) in seen or isinstance(thing, random.Random | ModuleType | type) or callable(thing):
        return None
    seen.add(id(thing))
    if isinstance(thing, dict):
        return {str(key): state_of(value, seen) for key, value in thing.items()}
    if isinstance(thing, list | tuple | set | frozenset | deque):
        return [state_of(value, seen) for value in thing]
    names = [*getattr(thing, "__dict__", {}), *getattr(type(thing), "__slots__", ())]
    return {name: state_of(getattr(thing, name, None), seen) for name in names}


def changed(before, after, path=""):
    """The names of the parts that differ, without those that pass by themselves."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            if not any(word in name for word in PASSING):
                yield from changed(before.get(name), after.get(name), f"{path}.{name}")
    elif before != after:
        yield path


@pytest.fixture
def looks(still_plant):
    """Look at a simulator within one tick of its clockwork; return looks and what has changed."""

    def run(kind, times=1):
        case = CASES[kind]
        plant = still_plant(**THINGS, **{"heater.full": 80.0})
        settings = DeviceSettings(**({"name": "unit"} | dict(case.settings)))
        sim = load("simulators", kind)(
            TwinDevice("unit", kind, "line", settings, case.touches), plant
        )
        for tick in range(9):
            sim.advance(tick * 250_000_000)
        before, things = state_of(sim), dict(plant.things)

        async def main(loop):
            clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
            await clock.sleep_until(2_000_000_000)
            port = Port("line", MemoryWire(sim, clock, baud=0), clock)
            driver = load("drivers", kind)(port, settings)
            return [await driver.look() for _ in range(times)]

        looks = run_virtual(main)
        assert (plant.things, plant.moved) == (things, [])
        return looks, {path.rpartition(".")[2] for path in changed(before, state_of(sim))}

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_says_who_it_is_and_leaves_no_trace(looks, kind):
    (look,), left = looks(kind)
    assert look.identity.maker
    assert look.identity.model
    assert look.facts
    assert all(isinstance(text, str) and text for text in look.facts.values())
    assert left <= OF_THE_LINE.get(kind, set())


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_may_be_repeated_and_says_the_same(looks, kind):
    several, _ = looks(kind, 3)
    assert len({look.identity for look in several}) == 1
    assert len({tuple(look.facts) for look in several}) == 1


class Noise:
    """A line on which something else talks: bytes at random, parts of words, nothing."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def feed(self, data, t_ns):
        chance = self._random
        pieces = [
            b"",
            chance.randbytes(chance.randrange(1, 90)),
            data,
            b"OK\r\n",
            b"\x06\r\n",
            b"24.7 1 \r\n",
            bytes(chance.choice(b"0123456789.,+-AEN \r\n\x02\x03:@;") for _ in range(30)),
        ]
        return [(chance.randrange(5_000_000), chance.choice(pieces)) for _ in range(2)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_at_something_else_ends_in_a_sentence(kind):
    case = CASES[kind]
    settings = DeviceSettings(**({"name": "unit"} | dict(case.settings)))

    async def main(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        for seed in range(60):
            port = Port("line", MemoryWire(Noise(seed), clock), clock)
            with contextlib.suppress(DeviceError):
                look = await load("drivers", kind)(port, settings).look()
                assert look.identity.maker

    run_virtual(main)
