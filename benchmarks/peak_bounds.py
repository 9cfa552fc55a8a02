"""Cramér-Rao bounds of a 1S centre, from the full Fisher information, and the model they match."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.spectra import HC_EV_NM, SD_TO_HWHM, Core, Spectrometer
from labctl.spectroscopy.peak_fit import BLUE_HWHM, RED_HWHM

Floats = NDArray[np.float64]

HAZE_NM = 500.0
TEMPLATE_REACH = (3.0, 2.5)


def bound(columns: Floats, sigma: Floats) -> float:
    """Give the least sd of the first of the parameters whose derivatives are `columns` (n, p)."""
    rows = columns / sigma[:, None]
    size = np.linalg.norm(rows, axis=0)
    information = (rows / size).T @ (rows / size)
    return float(math.sqrt(np.linalg.inv(information)[0, 0]) / size[0])


@dataclass(frozen=True, slots=True)
class Matched:
    """Spectra that are exactly what the local fit assumes: a Gaussian in energy on a cubic.

    The cubic is the best one under the higher states of `core`, and stays when the peak moves.
    """

    core: Core
    spectrometer: Spectrometer

    def _x(self) -> Floats:
        energy = HC_EV_NM / self.spectrometer.wavelength_nm
        away = (energy - HC_EV_NM / self.core.peak_nm) / self.core.hwhm_ev
        return np.clip(away, -4.0, 3.0)

    def cubic(self) -> Floats:
        """Give the background's coefficients over (E - E0) / hwhm, lowest power first."""
        bare = replace(self.core, second=0.0, edge=0.0)
        rest = self.core.absorbance(self.spectrometer.wavelength_nm)
        rest = rest - bare.absorbance(self.spectrometer.wavelength_nm)
        x = self._x()
        inside = (x > -RED_HWHM - 0.5) & (x < BLUE_HWHM + 0.5)
        return np.polynomial.polynomial.polyfit(x[inside], rest[inside], 3)

    def absorbance(self, peak_nm: float, cubic: Floats) -> Floats:
        """Give a clean spectrum with its 1S centre at a place, (n,)."""
        bare = replace(self.core, peak_nm=peak_nm, second=0.0, edge=0.0)
        background = np.polynomial.polynomial.polyval(self._x(), cubic)
        return np.asarray(bare.absorbance(self.spectrometer.wavelength_nm) + 0.03 + background)

    def bound_nm(self, peak_nm: float, sigma: Floats) -> float:
        """Give the bound with all seven parameters free, in the window of the fit."""
        energy, centre = HC_EV_NM / self.spectrometer.wavelength_nm, HC_EV_NM / peak_nm
        x = (energy - centre) / self.core.hwhm_ev
        inside = (x > -RED_HWHM) & (x < BLUE_HWHM)
        x = x[inside]
        sd = self.core.hwhm_ev / SD_TO_HWHM
        away = x * SD_TO_HWHM
        bell = self.core.optical_density * np.exp(-0.5 * away**2)
        columns = [bell * away / sd, bell * away**2 / sd, bell, *(x**p for p in range(4))]
        return bound(np.stack(columns, axis=1), sigma[inside]) * HC_EV_NM / centre**2


def template_bounds_nm(
    core: Core, nm: Floats, sigma: Floats, reach: tuple[float, float] = TEMPLATE_REACH
) -> tuple[float, float]:
    """Give the bounds for a known shape: rigid, and with its width free too.

    Shift, scale, offset, slope and turbidity are free in both; `reach` in half-widths to the red
    and to the blue.
    """
    away = (HC_EV_NM / nm - HC_EV_NM / core.peak_nm) / core.hwhm_ev
    inside = (away > -reach[0]) & (away < reach[1])
    nm, sigma = nm[inside], sigma[inside]

    def at(**changes: float) -> Floats:
        return replace(core, **changes).absorbance(nm)

    step = 0.05
    slope = (at(peak_nm=core.peak_nm + step) - at(peak_nm=core.peak_nm - step)) / (2 * step)
    wider = (at(widen=core.widen + 1e-3) - at(widen=core.widen - 1e-3)) / 2e-3
    background = [np.ones(nm.size), HC_EV_NM / nm - 2.0, (HAZE_NM / nm) ** 4]
    rigid = np.stack([slope, at(), *background], axis=1)
    return bound(rigid, sigma), bound(np.column_stack([rigid, wider]), sigma)
