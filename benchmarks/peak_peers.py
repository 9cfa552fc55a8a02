"""What others use for the place of a peak: lmfit, second derivatives, the highest point."""

from __future__ import annotations

import math

import numpy as np
from lmfit.models import GaussianModel, PolynomialModel
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from benchmarks.spectra import HC_EV_NM, SD_TO_HWHM
from labctl.spectroscopy.peak_fit import BLUE_HWHM, RED_HWHM

Floats = NDArray[np.float64]


class Lmfit:
    """Gaussian on a cubic by Levenberg-Marquardt, warm from frame to frame, full pixels."""

    def __init__(self, peak_nm: float, hwhm_ev: float, height: float) -> None:
        self._model = GaussianModel(prefix="g_") + PolynomialModel(3, prefix="p_")
        self._centre, self._sd = HC_EV_NM / peak_nm, hwhm_ev / SD_TO_HWHM
        self._amplitude = height * self._sd * math.sqrt(2.0 * math.pi)
        self._hwhm = hwhm_ev
        self._cubic = [0.1, 0.0, 0.0, 0.0]

    def update(self, nm: Floats, absorbance: Floats, sigma: Floats) -> tuple[float, float]:
        """Give centre and its sd in nm, NaN where the fit fails."""
        x = HC_EV_NM / nm - self._centre
        inside = (x > -RED_HWHM * self._hwhm) & (x < BLUE_HWHM * self._hwhm)
        start = self._model.make_params(
            g_center=0.0, g_sigma=self._sd, g_amplitude=self._amplitude,
            **{f"p_c{i}": c for i, c in enumerate(self._cubic)},
        )  # fmt: skip
        start["g_sigma"].set(min=0.01, max=0.3)
        found = self._model.fit(
            absorbance[inside], start, x=x[inside], weights=1.0 / sigma[inside], scale_covar=False
        )
        centre = self._centre + float(found.params["g_center"].value)
        if not 1.0 < centre < 4.0:
            return math.nan, math.nan
        sd = found.params["g_center"].stderr or math.nan
        if abs(centre - self._centre) < 0.1:
            self._centre, self._sd = centre, float(found.params["g_sigma"].value)
            self._amplitude = float(found.params["g_amplitude"].value)
            self._cubic = [float(found.params[f"p_c{i}"].value) for i in range(4)]
        return HC_EV_NM / centre, sd * HC_EV_NM / centre**2


def argmax(nm: Floats, absorbance: Floats, near_nm: float, hwhm_nm: float) -> float:
    """Give the highest point of the smoothed spectrum within a half-width (nm)."""
    inside = np.abs(nm - near_nm) < hwhm_nm
    smooth = np.convolve(absorbance, np.full(9, 1 / 9), mode="same")[inside]
    return float(nm[inside][np.argmax(smooth)])


def derivative(nm: Floats, absorbance: Floats, near_nm: float, hwhm_nm: float) -> float:
    """Give the minimum of the Savitzky-Golay second derivative, refined by a parabola (nm)."""
    pitch = float(nm[1] - nm[0])
    size = max(7, int(0.8 * hwhm_nm / pitch) | 1)
    bend = savgol_filter(absorbance, size, 3, deriv=2)
    inside = np.flatnonzero(np.abs(nm - near_nm) < 0.7 * hwhm_nm)
    best = int(inside[np.argmin(bend[inside])])
    left, middle, right = bend[best - 1 : best + 2].tolist()
    return float(nm[best] + 0.5 * (left - right) / (left - 2 * middle + right) * pitch)
