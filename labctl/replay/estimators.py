"""Estimators of the peak that a replay can put in the place of the one recorded.

`tracker` is the one of a live run; `window` the same local fit on each frame by itself, with no
history; `argmax` the highest point near the last one, for comparison only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import UnknownNameError
from labctl.spectroscopy.absorbance import Absorbance
from labctl.spectroscopy.peak import PeakTracker

Floats = NDArray[np.float64]
NEAR_NM = 40.0
SMOOTH_NM = 5.0
HIGH = 0.2
"""A highest point below this part of the whole spectrum's is no peak."""


@dataclass(frozen=True, slots=True)
class Found:
    """One spectrum's peak as measured, with its sd, in nm; NaN where none is known."""

    raw_nm: float
    sigma_nm: float
    usable: bool


Estimator = Callable[[Absorbance], Found]
NOTHING = Found(math.nan, math.nan, usable=False)


def estimator(name: str, near_nm: float | None, *, afresh: bool = False) -> Estimator:
    """Make an estimator for spectra in the order measured; `near_nm` is where to begin to look.

    With `afresh` the tracker begins anew in each, near the one before, as a run does with aliquots.

    Raises:
        UnknownNameError: no such estimator.
    """
    if name not in ESTIMATORS:
        raise UnknownNameError("estimator", name, ESTIMATORS)
    if name == "tracker" and afresh:
        return _aliquots(near_nm)
    return ESTIMATORS[name](near_nm)


def _tracker(near_nm: float | None) -> Estimator:
    tracker = PeakTracker(near_nm)
    return lambda seen: _estimated(tracker, seen)


def _aliquots(near_nm: float | None) -> Estimator:
    last = [near_nm]

    def look(seen: Absorbance) -> Found:
        found = _estimated(PeakTracker(last[0]), seen)
        if found.usable:
            last[0] = found.raw_nm
        return found

    return look


def _window(near_nm: float | None) -> Estimator:
    return lambda seen: _estimated(PeakTracker(near_nm), seen)


def _estimated(tracker: PeakTracker, seen: Absorbance) -> Found:
    found = tracker.update(seen.wavelength_nm, seen.absorbance, seen.sigma, seen.flags)
    return Found(found.peak_nm, found.sigma_nm, found.quality == "GOOD")


def _argmax(near_nm: float | None) -> Estimator:
    last = [near_nm]

    def look(seen: Absorbance) -> Found:
        highest_nm = highest(seen, last[0])
        if math.isnan(highest_nm):
            return NOTHING
        last[0] = highest_nm
        return Found(highest_nm, math.nan, usable=True)

    return look


def highest(seen: Absorbance, near_nm: float | None) -> float:
    """Give a local maximum in nm: the highest near a place, else the reddest high one, or NaN."""
    good = seen.good
    if np.count_nonzero(good) < 8:
        return math.nan
    wavelength, value = seen.wavelength_nm[good], seen.absorbance[good]
    pixels = max(3, round(SMOOTH_NM / float(np.median(np.diff(wavelength)))))
    if 2 * pixels >= value.size:
        return math.nan
    smooth = np.convolve(value, np.full(pixels, 1.0 / pixels), mode="valid")
    place = np.convolve(wavelength, np.full(pixels, 1.0 / pixels), mode="valid")
    top = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])) + 1
    top = top[smooth[top] > HIGH * float(smooth.max())]
    if near_nm is not None:
        top = top[np.abs(place[top] - near_nm) <= NEAR_NM]
        return float(place[top[np.argmax(smooth[top])]]) if top.size else math.nan
    return float(place[top[-1]]) if top.size else math.nan


ESTIMATORS: dict[str, Callable[[float | None], Estimator]] = {
    "tracker": _tracker,
    "window": _window,
    "argmax": _argmax,
}
