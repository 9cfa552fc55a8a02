"""Finds a 1S peak with no history: second-derivative filter, then fits from several widths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.peak_fit import Fit, Pixels, Window, cut, fit
from labctl.spectroscopy.temperature import HC_EV_NM

Floats = NDArray[np.float64]

NEAR_NM = 40.0
PITCH_EV = 0.005
FILTER_SD_EV = 0.05
START_HWHM_EV = (0.07, 0.11, 0.17)
REFITS = 3
SIGNIFICANT = 6.0
STRONG = 0.2
"""A bend weaker than this part of the strongest is not taken for a peak."""
NARROW_EV, WIDE_EV = 0.035, 0.28
MOST_SEEDS = 3


def cold(pixels: Pixels, near_nm: float | None) -> tuple[Fit | None, Window | None]:
    """Find the peak in one spectrum, or give (None, None).

    The 1S transition is the lowest in energy, so without `near_nm` the reddest bend that leads to
    a sound fit wins; with it only bends within 40 nm count, and the strongest wins.
    """
    for seed in seeds(pixels, near_nm):
        tried = [_settle(pixels, seed, hwhm) for hwhm in START_HWHM_EV]
        sound = [(f, w) for f, w in tried if f is not None and _sound(f, seed)]
        if sound:
            return min(sound, key=lambda pair: pair[0].chi2)
    return None, None


def seeds(pixels: Pixels, near_nm: float | None) -> list[float]:
    """Give energies (eV) where the spectrum bends down like a peak, most likely 1S first."""
    good = pixels.good
    if np.count_nonzero(good) < 2:
        return []
    energy, value = pixels.energy_ev[good][::-1], pixels.absorbance[good][::-1]
    spread = pixels.sigma[good][::-1]
    grid = np.arange(energy[0], energy[-1], PITCH_EV)
    half = int(3.5 * FILTER_SD_EV / PITCH_EV)
    if grid.size < 4 * half:
        return []
    offset = np.arange(-half, half + 1) * PITCH_EV / FILTER_SD_EV
    kernel = (1.0 - offset**2) * np.exp(-0.5 * offset**2)
    kernel -= kernel.mean()
    bend = np.convolve(np.interp(grid, energy, value), kernel, mode="valid")
    # Neighbouring grid points share pixels where the grid is finer than the pixels.
    per_point = np.maximum(np.interp(grid[1:], energy[1:], np.diff(energy)) / PITCH_EV, 1e-6)
    variance = np.interp(grid, energy, spread**2)
    variance[1:] *= per_point
    noise = np.sqrt(np.convolve(variance, kernel**2, mode="valid"))
    place = grid[half : half + bend.size]
    top = np.flatnonzero((bend[1:-1] > bend[:-2]) & (bend[1:-1] >= bend[2:])) + 1
    top = top[bend[top] > SIGNIFICANT * noise[top]]
    if near_nm is not None:
        top = top[np.abs(HC_EV_NM / place[top] - near_nm) <= NEAR_NM]
        return [float(place[i]) for i in top[np.argsort(-bend[top])][:MOST_SEEDS]]
    strong = top[bend[top] > STRONG * bend[top].max()] if top.size else top
    return [float(e) for e in place[strong][:MOST_SEEDS]]


def _settle(pixels: Pixels, centre_ev: float, hwhm_ev: float) -> tuple[Fit | None, Window | None]:
    """Fit, move the window to what was found, fit again."""
    found, window = None, None
    for _ in range(REFITS):
        window = cut(pixels, (centre_ev, hwhm_ev))
        if window is None:
            return None, None
        found = fit(window, centre_ev, hwhm_ev)
        centre_ev = found.centre_ev
        hwhm_ev = min(max(found.hwhm_ev, NARROW_EV), WIDE_EV)
    return found, window


def _sound(found: Fit, seed_ev: float) -> bool:
    """Tell a peak from what the cubic background leaves over."""
    near = abs(found.centre_ev - seed_ev) < 0.15
    wide = NARROW_EV < found.hwhm_ev < WIDE_EV
    high = found.height_au > SIGNIFICANT * found.height_sd_au
    return found.converged and near and wide and high
