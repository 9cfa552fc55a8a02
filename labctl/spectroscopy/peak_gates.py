"""Keeps odd frames out of the track, and knows when oddity has become the rule."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.peak_fit import Window
from labctl.spectroscopy.temperature import HC_EV_NM
from labctl.spectroscopy.template import Bell
from labctl.spectroscopy.track_noise import TrackNoise

Floats = NDArray[np.float64]

JUMP_SD = 6.0
JUMP_NM = 1.0
JUMPS = 3
SAME_PLACE = 3.0
"""Odd frames whose peaks lie within this many limits of each other may be the same thing."""
SAME_SHAPE = 4.0
"""So may those whose residuals differ in the mean square by no more than this many times noise."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one frame has the 1S, however it was found: sds calibrated, `window` past the valley.

    `misfit` is above 1 where the residuals are not those of the frames before; NaN: not known.
    `residual` is in units of the noise.
    """

    bell: Bell
    sd_ev: float
    absolute_sd_ev: float
    misfit: float
    residual: Floats
    window: Window | None

    @property
    def peak_nm(self) -> float:
        """Give the centre as a wavelength."""
        return nm_of(self.bell.centre_ev)

    @property
    def sigma_nm(self) -> float:
        """Give the sd of the centre as a wavelength."""
        return self.sd_ev * HC_EV_NM / self.bell.centre_ev**2


class Gates:
    """Keeps odd frames out: residuals unlike the last ones, peaks that jump.

    `settled` turns True when three odd frames in a row agree with each other in place and shape:
    that is what the sample is now.
    """

    def __init__(self) -> None:
        self.noise = TrackNoise()
        self.settled = False
        self._track: deque[float] = deque(maxlen=2)
        self._seen: deque[float] = deque(maxlen=2)
        self._odd: deque[Place] = deque(maxlen=JUMPS)

    def judge(self, place: Place) -> tuple[str, ...]:
        """Name what is odd about a frame, or take it in and give ()."""
        peak_nm, sigma_nm = place.peak_nm, place.sigma_nm
        limit = max(JUMP_NM, JUMP_SD * sigma_nm * self.noise.factor())
        misfit = place.misfit > 1.0
        step = self._step(peak_nm)
        self._seen.append(peak_nm)
        if not misfit and step <= limit:
            return self.take(place)
        self._odd.append(place)
        pairs = list(pairwise(self._odd))
        self.settled = len(pairs) == JUMPS - 1 and all(_alike(a, b, limit) for a, b in pairs)
        return (*(("misfit",) if misfit else ()), *(("jump",) if step > limit else ()))

    def take(self, place: Place) -> tuple[str, ...]:
        """Take a frame in; nothing is odd about it."""
        self._odd.clear()
        self.settled = False
        self._track.append(place.peak_nm)
        self.noise.learn(place.peak_nm, place.sigma_nm)
        return ()

    @property
    def last_nm(self) -> float | None:
        """Where the peak was last seen, be it odd."""
        return self._seen[-1] if self._seen else None

    def interrupt(self) -> None:
        """Take nothing for a trend across a gap."""
        self._odd.clear()
        self._seen.clear()
        while len(self._track) > 1:
            self._track.popleft()

    def _step(self, peak_nm: float) -> float:
        """Give the distance (nm) from the last place, or from where the last two lead."""
        if not self._track:
            return 0.0
        last = self._track[-1]
        expected = [last, 2.0 * last - self._track[0]]
        if len(self._seen) == 2:
            # Odd frames may lead on: the same new place three times over, or a steady move.
            expected.append(2.0 * self._seen[1] - self._seen[0])
        return min(abs(peak_nm - e) for e in expected)


def _alike(one: Place, other: Place, limit_nm: float) -> bool:
    """Tell whether two odd frames show the same thing, or one that moves on steadily."""
    size = min(one.residual.size, other.residual.size)
    change = one.residual[:size] - other.residual[:size]
    near = abs(one.peak_nm - other.peak_nm) <= SAME_PLACE * limit_nm
    return near and float(change @ change) <= 2.0 * SAME_SHAPE * size


def nm_of(energy_ev: float) -> float:
    """Turn a photon energy (eV) into a wavelength, and back."""
    return HC_EV_NM / energy_ev
