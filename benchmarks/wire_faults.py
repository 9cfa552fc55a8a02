"""What the wire can do to a value: late replies that answer the next question, flipped bits.

`python -m benchmarks.wire_faults` prints both tables for every kind of instrument. How a kind is
set up is its Case in tests/drivers/test_same_bytes.py; a new one falls in by it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import math
import random
import sys
from array import array
from collections.abc import Awaitable, Callable, Sequence
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
from labctl.twin import Exposure, SimDevice, TwinDevice, seed_of, stream

ROOT = Path(__file__).parents[1]
POLLS, FLIPS = 1000, 10_000
LATE_S = (0.6, 1.1, 1.3, 2.2, 5.3, 0.55, 1.05, 3.0)
APART = {"cavro_xcalibur", "harvard_elite11", "horiba_icl"}
"""A plunger that has a place, a counter that may not go back, a scan of many questions: their flips
are measured with a scene of their own, in their drivers' tests."""
FRESH_EVERY, SETTLES, AT_REST = 100, 300, 20
ALIKE = 1e-3
"""Values that differ by less than this share of them are alike: a bit at the end of a float."""
TICK_NS = NS // 4
Reply = tuple[int, bytes]
Look = Callable[[], Awaitable[tuple[object, ...]]]
Act = Callable[[], Awaitable[None]]


class Drifting:
    """A plant in which everything moves all the time, so that an old value is not the new one.

    With `moves` off it stands still at `level`, and nothing is noisy.
    """

    def __init__(self, things: dict[str, float]) -> None:
        self.moves, self.level = True, 1.0
        self.things = {name.replace("__", "."): value for name, value in things.items()}

    def get(self, thing: str, t_ns: int) -> float:
        """Return what is there; it drifts by a tenth."""
        drift = 0.1 * (t_ns / NS % 977.0) / 977.0 if self.moves else 0.0
        return self.things.get(thing, 0.0) * self.level * (1.0 + drift)

    def put(self, thing: str, value: float, t_ns: int) -> None:
        """Remember."""
        self.things[thing] = value

    def move(self, syringe: str, volume_ml: float, t_ns: int) -> float:
        """Move all that is asked."""
        return volume_ml

    def counts(self, which: str, exposure: Exposure, t_ns: int) -> array[int]:
        """Expose; the level drifts."""
        drift = t_ns // 1_000_000 % 977 if self.moves else round(977 * self.level)
        return array("I", [1000 + drift + n % 7 for n in range(len(exposure.wavelengths_nm))])

    def stream(self, name: str) -> random.Random:
        """Return a stream of the one seed."""
        return Noise(self, name)


class Noise(random.Random):  # noqa: S311 - a simulation, not a secret
    """A stream that gives its means while the plant stands still."""

    def __init__(self, plant: Drifting, name: str) -> None:
        self._plant = plant
        super().__init__(seed_of(1, name))

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        """Return a normal number, or the mean."""
        return super().gauss(mu, sigma) if self._plant.moves else mu


@dataclass
class Heard:
    """The simulator behind the wire; `late_s` delays its next reply, `said` is what it said.

    `flips` change the reply to come after `strike` others, once; `answered` counts the replies.

    An instrument answers in order: what follows a late reply comes after it.
    """

    sim: SimDevice
    plant: Drifting
    late_s: float = 0.0
    said: list[bytes] = field(default_factory=list)
    strike: int = 0
    answered: int = 0
    flips: Callable[[bytes], bytes] | None = None
    _ticked_ns: int = 0
    _free_ns: int = 0

    def feed(self, data: bytes, t_ns: int) -> list[Reply]:
        """Answer; late, or struck, if that was asked."""
        while self._ticked_ns + TICK_NS <= t_ns:
            self._ticked_ns += TICK_NS
            self.sim.advance(self._ticked_ns)
        replies = self.sim.feed(data, t_ns)
        if data:
            replies = [(delay_ns, self._struck(reply)) for delay_ns, reply in replies]
        self.said += [reply for _, reply in replies]
        if replies and self.late_s:
            self._free_ns = t_ns + replies[0][0] + round(self.late_s * NS)
            self.late_s = 0.0
        return [(max(delay_ns, self._free_ns - t_ns), reply) for delay_ns, reply in replies]

    def _struck(self, reply: bytes) -> bytes:
        self.answered += 1
        if self.flips is not None:
            self.strike -= 1
            if self.strike == -1:
                return self.flips(reply)
        return reply


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
    """Run `main(look, heard, port, clock, act)` at a connected driver.

    `look()` reads everything, `act()` does what the kind's Case does first.
    """
    module = cases()
    case = module.CASES[kind]
    settings = DeviceSettings(**({"name": "unit"} | dict(case.settings)))
    plant = Drifting({**module.THINGS, "heater.full": 80.0})
    row = TwinDevice("unit", kind, "line", settings, case.touches)
    listing = catalog("drivers")[kind]
    baud = 0 if listing.line == "tcp" else case.baud
    heard = Heard(load("simulators", kind)(row, plant), plant)

    async def body(loop: VirtualLoop) -> object:
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        gap_ns = listing.gap_ms * 1_000_000
        port = Port("line", MemoryWire(heard, clock, baud=baud), clock, gap_ns=gap_ns)
        driver = load("drivers", kind)(port, settings)
        await driver.connect()

        async def look() -> tuple[object, ...]:
            values = list(await driver.poll()) if driver.channels else []
            if hasattr(driver, "acquire"):
                values += (await driver.acquire(clock.now_ns())).counts
            return tuple(values)

        async def act() -> None:
            if case.acts:
                await case.acts[0](driver)

        return await main(look, heard, port, clock, act)

    return run_virtual(body)


def stale_answers(kind: str, polls: int = POLLS) -> tuple[int, int]:
    """Poll once a second with some replies past their timeout; (stale answers, polls that failed).

    An answer is stale if its bytes are not among those that the instrument said since the poll
    began, and the poll nevertheless gave values.
    """

    async def main(
        look: Look, heard: Heard, port: Port, clock: VirtualClock, _act: Act
    ) -> tuple[int, int]:
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
                continue
            stale += not all(_fresh(reply, heard.said) for reply in taken)
        return stale, failed

    return _at_bench(kind, main)


def _fresh(reply: bytes, said: Sequence[bytes]) -> bool:
    """Say whether a reply, or what it ends with (a driver may cut off old ones), was said now."""
    return reply in b"".join(said) or any(one and reply.endswith(one) for one in said)


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
        elif len(seen) != len(clean) or not all(map(_alike, seen, clean)):
            self.wrong += 1
        elif None in seen:
            self.refused += 1
        else:
            self.harmless += 1

    @property
    def total(self) -> int:
        """How many replies were struck."""
        return self.refused + self.harmless + self.wrong

    @property
    def share(self) -> float:
        """The share of wrong values accepted."""
        return self.wrong / max(1, self.total)


def _alike(seen: object, clean: object) -> bool:
    """Say whether a value is missing or, to within a rounding, what it was."""
    if isinstance(seen, float) and isinstance(clean, float):
        return math.isclose(seen, clean, rel_tol=ALIKE, abs_tol=1e-9)
    return seen is None or seen == clean


def flipped_replies(kind: str, flips: int = FLIPS, seed: int = 1, bits: int = 1) -> Flips:
    """Flip `bits` bits in one reply of a reading, so many times, and see what the driver reads.

    What the kind does first in its Case (a flow, a speed, a setpoint) it does before.
    The plant stands still meanwhile and nothing is noisy, so that every other reading than the
    clean one is wrong. A question asked again, as a driver does after garbled bytes, is answered
    in order.

    Raises:
        RuntimeError: readings change by themselves, so that nothing can be judged.
    """
    chance = stream(seed, kind)

    async def main(look: Look, heard: Heard, port: Port, clock: VirtualClock, act: Act) -> Flips:
        found = Flips()
        heard.plant.moves = False
        await act()
        while found.total < flips:
            heard.plant.level = chance.uniform(0.85, 1.0)
            clean, replies = await _clean(look, heard, clock)
            for _ in range(min(FRESH_EVERY, flips - found.total)):
                heard.strike = chance.randrange(replies)
                heard.flips = lambda reply: _flipped(reply, chance, bits)
                try:
                    found.count(await look(), clean)
                except DeviceError:
                    found.refused += 1
                await clock.sleep_until(clock.now_ns() + 5 * NS)
            heard.flips = None
            again, _ = await _clean(look, heard, clock)
            if again != clean:
                raise RuntimeError(f"{kind} reads {again[:5]} where it read {clean[:5]}: noise?")
        return found

    return _at_bench(kind, main)


async def _clean(look: Look, heard: Heard, clock: VirtualClock) -> tuple[tuple[object, ...], int]:
    """Read until it is at rest, with nothing flipped; the values and how many replies that took.

    Raises:
        RuntimeError: it does not come to rest.
    """
    before: object = None
    alike = 0
    for _ in range(SETTLES):
        heard.strike = 0
        answered = heard.answered
        seen: tuple[object, ...] = ()
        with contextlib.suppress(DeviceError):
            seen = await look()
        alike = alike + 1 if seen and seen == before else 0
        if alike == AT_REST:
            return seen, heard.answered - answered
        before = seen
        await clock.sleep_until(clock.now_ns() + 5 * NS)
    raise RuntimeError(f"the reading does not come to rest: {before!s:.80}")


def _flipped(data: bytes, chance: random.Random, bits: int) -> bytes:
    flipped = bytearray(data)
    for bit in chance.sample(range(8 * len(data)), bits):
        flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def main() -> None:
    """Print both tables."""
    print(f"{'kind':24}{'stale of ' + str(POLLS):>16}{'failed':>8}{'wrong of ' + str(FLIPS):>18}")
    for kind in sorted(catalog("drivers")):
        stale, failed = stale_answers(kind)
        share = "apart" if kind in APART else f"{flipped_replies(kind).share:.2%}"
        print(f"{kind:24}{stale:>16}{failed:>8}{share:>18}")


if __name__ == "__main__":
    main()
