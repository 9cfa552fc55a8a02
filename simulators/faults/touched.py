"""The plant as one instrument touches it, when faults may stand between: bent, forced, frozen."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labctl.twin import Exposure, Plant

Bend = Callable[[float], float]
Look = Callable[[Exposure], Exposure]
ALL = ""


class TouchedPlant:
    """Passes everything on, through whatever faults are at work; `chance` is still while `quiet`.

    `bending` bends what a sensor sees, `forcing` what an actuator does, `looking` how long a
    spectrometer exposes, `freezing` holds every reading.
    """

    def __init__(self, plant: Plant) -> None:
        self.quiet = False
        self._plant = plant
        self._bends: dict[str, list[Bend]] = {}
        self._forces: dict[str, list[Bend]] = {}
        self._looks: list[Look] = []
        self._asked: dict[str, float] = {}
        self._held: dict[str, float] | None = None
        self._held_counts: dict[str, array[int]] = {}

    def get(self, thing: str, t_ns: int) -> float:
        """Return what the instrument's sensor sees at a thing."""
        value = self._plant.get(thing, t_ns)
        for bend in (*self._bends.get(thing, ()), *self._bends.get(ALL, ())):
            value = bend(value)
        return value if self._held is None else self._held.setdefault(thing, value)

    def put(self, thing: str, value: float, t_ns: int) -> None:
        """Act on a thing, as far as the faults let it."""
        self._asked[thing] = value
        for force in self._forces.get(thing, ()):
            value = force(value)
        self._plant.put(thing, value, t_ns)

    def move(self, syringe: str, volume_ml: float, t_ns: int) -> float:
        """Push a plunger."""
        return self._plant.move(syringe, volume_ml, t_ns)

    def counts(self, which: str, exposure: Exposure, t_ns: int) -> array[int]:
        """Expose a spectrometer."""
        for look in self._looks:
            exposure = look(exposure)
        counts = self._plant.counts(which, exposure, t_ns)
        return counts if self._held is None else self._held_counts.setdefault(which, counts)

    def stream(self, name: str) -> random.Random:
        """Return the random stream of a component."""
        return _Quietable(self._plant.stream(name), self)

    @contextmanager
    def bending(self, thing: str, bend: Bend) -> Iterator[None]:
        """Bend what is seen at a thing, or at `ALL` of them."""
        bends = self._bends.setdefault(thing, [])
        bends.append(bend)
        try:
            yield
        finally:
            bends.remove(bend)

    @contextmanager
    def forcing(self, thing: str, force: Bend, now_ns: Callable[[], int]) -> Iterator[None]:
        """Force what is done to a thing; afterwards it does again what was last asked."""
        forces = self._forces.setdefault(thing, [])
        forces.append(force)
        self._again(thing, now_ns())
        try:
            yield
        finally:
            forces.remove(force)
            self._again(thing, now_ns())

    @contextmanager
    def looking(self, look: Look) -> Iterator[None]:
        """Change how the spectrometer looks."""
        self._looks.append(look)
        try:
            yield
        finally:
            self._looks.remove(look)

    @contextmanager
    def freezing(self) -> Iterator[None]:
        """Hold every reading where it is, noise and all."""
        self._held, self.quiet = {}, True
        try:
            yield
        finally:
            self._held, self.quiet = None, False
            self._held_counts.clear()

    def _again(self, thing: str, t_ns: int) -> None:
        asked = self._asked.get(thing)
        self.put(thing, self._plant.get(thing, t_ns) if asked is None else asked, t_ns)


class _Quietable(random.Random):  # noqa: S311 - a simulation, not a secret
    """A stream that gives its means while the plant is quiet; else what the inner one gives."""

    def __init__(self, inner: random.Random, touched: TouchedPlant) -> None:
        self._inner, self._touched = inner, touched
        super().__init__(0)

    def random(self) -> float:
        return self._inner.random()

    def getrandbits(self, k: int, /) -> int:
        return self._inner.getrandbits(k)

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        return mu if self._touched.quiet else self._inner.gauss(mu, sigma)
