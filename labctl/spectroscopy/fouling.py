"""The clear band: what is left where the sample absorbs nothing tells of windows and lamp.

Scattering falls with the fourth power of the wavelength and belongs to the sample; what stays the
same at all wavelengths is a film or a bubble on the window, or a lamp that changed.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from labctl.spectroscopy.absorbance import Absorbance

SCATTERING_POWER = 4.0
CLEAR_HWHM = 4.0
"""So many half-widths to the red of the peak a Gaussian leaves 2^-16 of its height."""
LEAST_SPAN_NM = 80.0
LEAST_PIXELS = 20
KEPT_FRAMES = 15
SIGNIFICANT = 5.0
QUARTILES_TO_SD = 1.349

What = Literal["fouling", "lamp"]


@dataclass(frozen=True, slots=True)
class ClearBand:
    """Absorbance at a wavelength where nothing absorbs, in AU.

    `flat_au` ± `sigma_au` is what does not depend on the wavelength, `scattered_au` the scattering.
    """

    flat_au: float
    sigma_au: float
    scattered_au: float


def clear_band(found: Absorbance, at_nm: float, peak_nm: float, hwhm_nm: float) -> ClearBand | None:
    """Part the absorbance at `at_nm` into flat and scattered; None where the spectrum cannot tell.

    The sample absorbs up to four half-widths beyond its peak; from there to the red end
    A = flat + scattered (at / wavelength)^4 is fitted, weighted by the noise.
    """
    first_nm = peak_nm + CLEAR_HWHM * hwhm_nm
    if not first_nm < at_nm:
        return None
    used = found.good & (found.wavelength_nm >= first_nm)
    axis_nm = found.wavelength_nm[used]
    if axis_nm.size < LEAST_PIXELS or float(np.ptp(axis_nm)) < LEAST_SPAN_NM:
        return None
    weight = 1.0 / found.white_sigma[used]
    design = np.stack((np.ones(axis_nm.size), (at_nm / axis_nm) ** SCATTERING_POWER), axis=1)
    weighted = design * weight[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    values = covariance @ (weighted.T @ (found.absorbance[used] * weight))
    left = (found.absorbance[used] - design @ values) * weight
    inflation = max(1.0, float(left @ left) / (axis_nm.size - 2))
    sigma_au = math.sqrt(float(covariance[0, 0]) * inflation)
    return ClearBand(float(values[0]), sigma_au, float(values[1]))


@dataclass(frozen=True, slots=True)
class Foul:
    """What the clear band shows for good: `level_au` off zero, and what that speaks of."""

    what: What
    level_au: float
    sigma_au: float


class FoulingWatch:
    """Tells once, per reference, that the clear band has left zero by more than `limit_au`.

    Up is a dirty window (or a fading lamp), down a brighter lamp. The median of fifteen frames
    decides, so that bubbles which come and go are no news.
    """

    def __init__(self, limit_au: float) -> None:
        self._limit_au = limit_au
        self._recent: deque[ClearBand] = deque(maxlen=KEPT_FRAMES)
        self._told: set[What] = set()

    def update(self, band: ClearBand | None) -> Foul | None:
        """Take one frame's clear band; give what is new, mostly nothing."""
        if band is None or not math.isfinite(band.flat_au) or not math.isfinite(band.sigma_au):
            return None
        self._recent.append(band)
        if len(self._recent) < KEPT_FRAMES:
            return None
        flats = np.array([b.flat_au for b in self._recent])
        level_au = float(np.median(flats))
        low, high = np.percentile(flats, (25.0, 75.0))
        scatter_au = max(float(high - low) / QUARTILES_TO_SD, band.sigma_au)
        sigma_au = scatter_au / math.sqrt(KEPT_FRAMES)
        what: What = "fouling" if level_au > 0.0 else "lamp"
        if abs(level_au) < max(self._limit_au, SIGNIFICANT * sigma_au) or what in self._told:
            return None
        self._told.add(what)
        return Foul(what, level_au, sigma_au)
