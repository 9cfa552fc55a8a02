"""The local physical fit from frame to frame, with error bars that its own residuals taught it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy import peak_seed
from labctl.spectroscopy.frame_noise import FrameNoise
from labctl.spectroscopy.peak_fit import Fit, Pixels, Window, cut, fit
from labctl.spectroscopy.peak_linear import Linear

Floats = NDArray[np.float64]

WARM_STEPS = 8
WINDOW_NOISE = 1.03
"""The window is cut around a noisy centre, and shifts the fit by a quarter of its sd."""


class LocalEstimator:
    """Fits a Gaussian on a cubic around the peak of each frame, warm from the last good one.

    `near_nm` is where a cold start looks (± 40 nm); None looks everywhere.
    """

    def __init__(self, near_nm: float | None = None) -> None:
        self._near_nm = near_nm
        self._noise = FrameNoise()
        self._linear: Linear | None = None
        self._fresh: tuple[Pixels, Window] | None = None
        self._size = 1
        self.last: Fit | None = None

    def look(self, pixels: Pixels) -> Fit | None:
        """Fit one frame, or give None; the fit need not be sound. No sample is remembered."""
        found = self._linear.read(pixels) if self._linear else None
        if found and found.converged:
            self._fresh = None
            return found
        window: Window | None
        if self.last is None:
            found, window = peak_seed.cold(pixels, self._near_nm)
        else:
            start = found or self.last
            span = (start.centre_ev, start.hwhm_ev)
            window = cut(pixels, span)
            found = fit(window, *span, steps=WARM_STEPS) if window else None
        self._fresh = (pixels, window) if window else None
        return found

    def learn(self, found: Fit) -> None:
        """Start the next frame from what `look` found last, and take its residuals for noise."""
        self.last = found
        if self._fresh:
            pixels, window = self._fresh
            self._size, self._fresh = window.size, None
            self._linear = Linear.of(pixels, window, found)
        self._noise.learn(found.residual, found.rows, self._size)

    def sd_ev(self, found: Fit) -> float:
        """Give the calibrated standard deviation of a fit's centre."""
        return WINDOW_NOISE * found.centre_sd_ev * self._noise.factor(found.influence, found.chi2)

    def departure(self, found: Fit) -> float:
        """Give by how much the residuals differ from the last ones, 1 for noise; NaN at first."""
        return self._noise.departure(found.residual)

    def in_noise(self, found: Fit) -> Floats:
        """Give the residuals (n,) in units of the noise as it is known."""
        return np.asarray(found.residual / math.sqrt(self._noise.variance))
