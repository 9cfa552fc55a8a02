"""The local physical fit from frame to frame, with error bars that its own residuals taught it."""

from __future__ import annotations

from labctl.spectroscopy import peak_seed
from labctl.spectroscopy.frame_noise import FrameNoise
from labctl.spectroscopy.peak_fit import Fit, Pixels, Window, cut, fit

WARM_STEPS = 8


class LocalEstimator:
    """Fits a Gaussian on a cubic around the peak of each frame, warm from the last good one.

    `near_nm` is where a cold start looks (± 40 nm); None looks everywhere.
    """

    def __init__(self, near_nm: float | None = None) -> None:
        self._near_nm = near_nm
        self._noise = FrameNoise()
        self.last: Fit | None = None

    def look(self, pixels: Pixels) -> tuple[Fit | None, Window | None]:
        """Fit one frame; the fit need not be sound. Nothing is remembered."""
        if self.last is None:
            return peak_seed.cold(pixels, self._near_nm)
        span = (self.last.centre_ev, self.last.hwhm_ev)
        window = cut(pixels, span)
        return (None, None) if window is None else (fit(window, *span, steps=WARM_STEPS), window)

    def learn(self, found: Fit, window: Window) -> None:
        """Start the next frame from here, and take its residuals for noise."""
        self.last = found
        self._noise.learn(found.residual, found.rows, window.size)

    def sd_ev(self, found: Fit) -> float:
        """Give the calibrated standard deviation of a fit's centre."""
        return found.centre_sd_ev * self._noise.factor(found.influence, found.chi2)

    def departure(self, found: Fit) -> float:
        """Give by how much the residuals differ from the last ones, 1 for noise; NaN at first."""
        return self._noise.departure(found.residual)
