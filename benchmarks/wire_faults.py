"""What the wire can do to a value: late replies that answer the next question, flipped bits.

`python -m benchmarks.wire_faults` prints both tables for every kind of instrument. How a kind is
set up is its Case in tests/drivers/test_same_bytes.py; a new one falls in by it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import random
import sys
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from labctl.capabilities import DeviceSettings
from labctl.clock import NS, VirtualClock
from labctl.errors import DeviceError
from labctl.loop import VirtualLoop, run_virtual
from labctl.registry import catalog, load
from labctl.transport import Port
from labctl.transport.memory import MemoryWire
from labctl.twin import Exposure, SimDevice, TwinDevice, stream

ROOT = Path(__file__).parents[1]
POLLS, FLIPS = 1000, 10_000
LATE_S = (0.6, 1.1, 1.3, 2.2, 5.3, 0.55, 1.05, 3.0)
FRESH_EVERY = 100
TICK_NS = NS // 4
Reply = tuple[int, bytes]
Look = Callable[[], Awaitable[tuple[object, ...]]]
Log = list[tuple[bytes, list[Reply]]]


class Drifting:
    """A plant in which everything moves all the time, so that an old value is not the new one."""

    def __init__(self, things: dict[str, float]) -> None:
        self.things = {name.replace("__", "."): value for name, value in things.items()}

    def get(self, thing: str, t_ns: int) -> float:
        """Return what is there; it drifts by a tenth."""
        return self.things.get(thing, 0.0) * (1.0 + 0.1 * (t_ns / NS % 977.0) / 977.0)

    def put(self, thing: str, value: float, t_ns: int) -> None:
        """Remember."""
        self.things[thing] = value

    def move(self, syringe: str, volume_ml: float, t_ns: int) -> float:
        """Move all that is asked."""
        return volume_ml

    def counts(self, which: str, exposure: Exposure, t_ns: int) -> array[int]:
        """Expose; the level drifts."""
        drift = t_ns // 1_000_000 % 977
        return array("I", [1000 + drift + n % 7 for n in range(len(exposure.wavelengths_nm))])

    def stream(self, name: str) -> random.Random:
        """Return a stream of the one seed."""
        return stream(1, name)


@dataclass
class Heard:
    """The simulator behind the wire; `late_s` delays its next reply, `said` is what it said.

    An instrument answers in order: what follows a late reply comes after it.
    """

    sim: SimDevice
    late_s: float = 0.0
    said: list[bytes] = field(default_factory=list)
    script: Callable[[bytes], list[Reply]] | None = None
    _ticked_ns: int = 0
    _free_ns: int = 0

    def feed(self, data: bytes, t_ns: int) -> list[Reply]:
        """Answer, late if that was asked, or from the script."""
        while self._ticked_ns + TICK_NS <= t_ns:
            self._ticked_ns += TICK_NS
            self.sim.advance(self._ticked_ns)
        if self.script is not None and data:
            return self.script(data)
        replies = self.sim.feed(data, t_ns)
        self.said += [reply for _, reply in replies]
        if replies and self.late_s:
            self._free_ns = t_ns + replies[0][0] + round(self.late_s * NS)
            self.late_s = 0.0
        return [(max(delay_ns, self._free_ns - t_ns), reply) for delay_ns, reply in replies]


def cases() -> ModuleType:
    """Return the module with the Cases of all kinds."""
    name = "same_bytes_cases"
    if name not in sys.modules:
        path = ROOT / "tests/drivers/test_same_bytes.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def _at_bench(kind: str, main: Callable[..., Awaitable[object]]) -> object:
    """Run `main(look, heard, port, clock)` at a connected driver; `look()` reads everything."""
    module = cases()
    case = module.CASES[kind]
    settings = DeviceSettings(**({"name": "unit"} | dict(case.settings)))
    plant = Drifting({**module.THINGS, "heater.full": 80.0})
    row = TwinDevice("unit", kind, "line", settings, case.touches)
    baud = 0 if catalog("drivers")[kind].line == "tcp" else case.baud
    heard = Heard(load("simulators", kind)(row, plant))

    async def body(loop: VirtualLoop) -> object:
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(heard, clock, baud=baud), clock)
        driver = load("drivers", kind)(port, settings)
        await driver.connect()

        async def look() -> tuple[object, ...]:
            if driver.channels:
                return tuple(await driver.poll())
            return tuple((await driver.acquire(clock.now_ns())).counts)

        return await main(look, heard, port, clock)

    return run_virtual(body)


def stale_answers(kind: str, polls: int = POLLS) -> tuple[int, int]:
    """Poll once a second with some replies past their timeout; (stale answers, polls that failed).

    An answer is stale if its bytes are not among those that the instrument said since the poll
    began.
    """

    async def main(look: Look, heard: Heard, port: Port, clock: VirtualClock) -> tuple[int, int]:
        taken: list[bytes] = []
        port.trace = lambda _t, way, data: taken.append(data) if way == "<" else None
        stale = failed = 0
        every = max(1, polls // (len(LATE_S) + 1))
        for n in range(polls):
            await clock.sleep_until(clock.now_ns() // NS * NS + NS)
            taken.clear()
            heard.said.clear()
            if n and n % every == 0:
                heard.late_s = LATE_S[(n // every - 1) % len(LATE_S)]
            try:
                await look()
            except DeviceError:
                failed += 1
            said = b"".join(heard.said)
            stale += any(reply not in said for reply in taken)
        return stale, failed

    return _at_bench(kind, main)


@dataclass
class Flips:
    """How many flipped replies were refused, did no harm, or gave a wrong value."""

    refused: int = 0
    harmless: int = 0
    wrong: int = 0

    def count(self, seen: tuple[object, ...], clean: tuple[object, ...]) -> None:
        """Judge what was read against the clean reading; a missing value is a refusal."""
        if seen == clean:
            self.harmless += 1
        elif len(seen) == len(clean) and all(
            a is None or a == b for a, b in zip(seen, clean, strict=True)
        ):
            self.refused += 1
        else:
            self.wrong += 1

    @property
    def share(self) -> float:
        """The share of wrong values accepted."""
        return self.wrong / max(1, self.refused + self.harmless + self.wrong)


def flipped_replies(kind: str, flips: int = FLIPS, seed: int = 1) -> Flips:
    """Flip one bit in one reply of a reading, so many times, and see what the driver makes of it.

    A question asked again, as a driver does after garbled bytes, gets the clean reply.
    """
    chance = stream(seed, kind)

    async def main(look: Look, heard: Heard, port: Port, clock: VirtualClock) -> Flips:
        found = Flips()
        for n in range(flips):
            if n % FRESH_EVERY == 0:
                heard.script = None
                await clock.sleep_until(clock.now_ns() + 7 * NS)
                with contextlib.suppress(DeviceError):  # a watchdog may have an alarm to tell
                    await look()
                clean, log = await _recorded(look, heard, clock)
            strike = chance.randrange(len(log))
            heard.script = _played(log, strike, chance)
            try:
                seen = await look()
            except DeviceError:
                found.refused += 1
            else:
                found.count(seen, clean)
            await clock.sleep_until(clock.now_ns() + 5 * NS)
        return found

    return _at_bench(kind, main)


async def _recorded(
    look: Look, heard: Heard, clock: VirtualClock
) -> tuple[tuple[object, ...], Log]:
    """Look once and write down every question with its replies."""
    log: Log = []

    def script(question: bytes) -> list[Reply]:
        replies = heard.sim.feed(question, clock.now_ns())
        log.append((question, replies))
        return replies

    heard.script = script
    clean = await look()
    return clean, [row for row in log if row[1]]


def _played(log: Log, strike: int, chance: random.Random) -> Callable[[bytes], list[Reply]]:
    """Answer as recorded, but for one reply with a flipped bit, once."""
    waiting = list(range(len(log)))

    def script(question: bytes) -> list[Reply]:
        at = next((n for n in waiting if log[n][0] == question), None)
        if at is None:
            return next((replies for asked, replies in log if asked == question), [])
        waiting.remove(at)
        replies = log[at][1]
        return [_flipped(replies[0], chance), *replies[1:]] if at == strike else replies

    return script


def _flipped(reply: Reply, chance: random.Random) -> Reply:
    bit = chance.randrange(8 * len(reply[1]))
    data = bytearray(reply[1])
    data[bit // 8] ^= 1 << bit % 8
    return reply[0], bytes(data)


def main() -> None:
    """Print both tables."""
    print(f"{'kind':24}{'stale of ' + str(POLLS):>16}{'failed':>8}{'wrong of ' + str(FLIPS):>18}")
    for kind in sorted(catalog("drivers")):
        stale, failed = stale_answers(kind)
        found = flipped_replies(kind)
        print(f"{kind:24}{stale:>16}{failed:>8}{found.share:>17.2%}")


if __name__ == "__main__":
    main()
