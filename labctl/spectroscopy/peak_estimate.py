"""What one frame says about the 1S peak, and the landmarks a chemist reads off the spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.peak_fit import Window
from labctl.spectroscopy.temperature import HC_EV_NM

Floats = NDArray[np.float64]
Quality = Literal["GOOD", "UNCERTAIN", "BAD"]

SMOOTH_BINS = 5
MAXIMUM_HWHM = (-1.0, 1.0)
VALLEY_HWHM = 3.0
"""How far to the blue of the local maximum the valley is looked for."""
NO_LIGHT_AU = 10.0
"""A bin with a larger sigma has no good pixel in it."""
SIGNIFICANT = 3.0
GAUSSIAN_AREA = math.sqrt(math.pi / math.log(2.0))


@dataclass(frozen=True, slots=True)
class PeakEstimate:
    """One frame's 1S peak.

    `peak_nm` ± `sigma_nm`: centre of the component in energy, and its standard deviation from
    frame to frame, which is what a movement is judged by; `absolute_sigma_nm`: its standard
    uncertainty as a wavelength, the model's own error included; `hwhm_nm`: half-width at half
    maximum; `area`: of the 1S alone, AU eV; `optical_density`: absorbance (AU) at the peak, all
    that absorbs included; `local_maximum_nm` and `valley_depth` (1 - A(valley) / A(maximum), of
    the valley to the blue): NaN for a shoulder. All NaN where nothing was found. `quality`: GOOD
    may be used, UNCERTAIN shown, BAD neither; `flags` says why in words.
    """

    peak_nm: float
    sigma_nm: float
    quality: Quality
    flags: tuple[str, ...]
    hwhm_nm: float = math.nan
    optical_density: float = math.nan
    local_maximum_nm: float = math.nan
    absolute_sigma_nm: float = math.nan
    area: float = math.nan
    valley_depth: float = math.nan


@dataclass(frozen=True, slots=True)
class Landmarks:
    """What is read off a spectrum: AU at the centre; local maximum (nm) and valley or NaN."""

    optical_density: float
    local_maximum_nm: float
    valley_depth: float


def nothing(flags: tuple[str, ...]) -> PeakEstimate:
    """Give the estimate of a frame without a peak."""
    return PeakEstimate(math.nan, math.nan, "BAD", flags)


def gaussian_area(height_au: float, hwhm_ev: float) -> float:
    """Give the area of a Gaussian in AU eV."""
    return GAUSSIAN_AREA * height_au * hwhm_ev


def landmarks(window: Window | None, centre_ev: float, hwhm_ev: float) -> Landmarks:
    """Read a window that reaches past the valley; energies in eV, NaN where nothing is there."""
    if window is None:
        return Landmarks(math.nan, math.nan, math.nan)
    seen = window.sigma < NO_LIGHT_AU
    x, values = (centre_ev - window.energy_ev[seen]) / hwhm_ev, window.absorbance[seen]
    if x.size <= SMOOTH_BINS + 2:
        return Landmarks(math.nan, math.nan, math.nan)
    at_centre = float(np.interp(0.0, x, values))
    smooth = np.convolve(values, np.full(SMOOTH_BINS, 1.0 / SMOOTH_BINS), mode="valid")
    x = x[SMOOTH_BINS // 2 : -(SMOOTH_BINS // 2)]
    top = _highest(x, smooth)
    if top is None:
        return Landmarks(at_centre, math.nan, math.nan)
    left, middle, right = smooth[top - 1 : top + 2].tolist()
    offset = 0.5 * (left - right) / (left - 2.0 * middle + right)
    place = float(x[top]) + offset * 0.5 * float(x[top + 1] - x[top - 1])
    maximum_nm = HC_EV_NM / (centre_ev - place * hwhm_ev)
    first = int(np.searchsorted(x, x[top] - VALLEY_HWHM))
    valley = first + int(np.argmin(smooth[first : top + 1]))
    if valley == first:
        # The lowest point at the end of what is seen is the foot of something, not a valley.
        return Landmarks(at_centre, maximum_nm, math.nan)
    noise = float(window.sigma[seen].mean()) * math.sqrt(2.0 / SMOOTH_BINS)
    if middle - float(smooth[valley]) < SIGNIFICANT * noise:
        return Landmarks(at_centre, math.nan, math.nan)
    return Landmarks(at_centre, maximum_nm, 1.0 - float(smooth[valley]) / middle)


def _highest(x: Floats, smooth: Floats) -> int | None:
    """Give the index of the highest local maximum near the centre, or None."""
    inner = smooth[1:-1]
    top = (inner > smooth[:-2]) & (inner >= smooth[2:])
    top &= (x[1:-1] > MAXIMUM_HWHM[0]) & (x[1:-1] < MAXIMUM_HWHM[1])
    places = np.flatnonzero(top) + 1
    return int(places[np.argmax(smooth[places])]) if places.size else None
