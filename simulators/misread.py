"""The plant as an instrument with wrong sensors sees it: each as wrong as its calibration says."""

from __future__ import annotations

import random
from array import array

from labctl.twin import Exposure, Plant, TwinDevice


class Misread:
    """A plant of which one instrument reads some things in the scale of its own sensors."""

    def __init__(self, plant: Plant, device: TwinDevice) -> None:
        self._plant = plant
        self._wrong = {device.touches[part]: error for part, error in device.misreads.items()}

    def get(self, thing: str, t_ns: int) -> float:
        """Return what the instrument's own sensor makes of a thing."""
        value = self._plant.get(thing, t_ns)
        error = self._wrong.get(thing)
        return value if error is None else error.raw(value)

    def put(self, thing: str, value: float, t_ns: int) -> None:
        """Act on a thing."""
        self._plant.put(thing, value, t_ns)

    def move(self, syringe: str, volume_ml: float, t_ns: int) -> float:
        """Turn a pump."""
        return self._plant.move(syringe, volume_ml, t_ns)

    def counts(self, which: str, exposure: Exposure, t_ns: int) -> array[int]:
        """Expose a spectrometer."""
        return self._plant.counts(which, exposure, t_ns)

    def stream(self, name: str) -> random.Random:
        """Return a random stream."""
        return self._plant.stream(name)
