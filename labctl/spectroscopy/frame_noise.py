"""Learns from the difference of frames how strong the noise is and how far it is smoothed.

What one frame's residuals have in common with those of the frame before is the model's fault and
cancels; the rest is noise. It is taken to be white noise behind a moving mean of unknown length, of
unknown scale, which is what a spectrometer does to it. Fitting has taken part of the noise out of
the residuals; how much of each lag is left is computed for every length and compared with what is
seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOXES = (1, 3, 5, 7, 9, 11, 15, 21, 31, 41)
"""Lengths of the moving mean that are tried, in pixels."""
LAGS = 8
MEMORY_FRAMES = 60.0
MATCH_EACH, MATCH_EVERY = 12, 4
"""The first frames are compared with the shapes one by one, later ones by fours."""


class FrameNoise:
    """Scale and correlation of the noise of one window, against the reported sigma.

    Until the first difference of two frames is in, the reported sigma is believed, enlarged by
    the fit's own chi² where that is above 1.
    """

    def __init__(self) -> None:
        self._sums = np.zeros(LAGS + 1)
        self._count = 0.0
        self._frames = 0
        self._last: Floats | None = None
        self._expected: _Expected | None = None
        self._correlation = np.ones(1)
        self.variance = 1.0

    @property
    def known(self) -> bool:
        """Whether a difference of two frames is in."""
        return self._count > 0.0

    def departure(self, residual: Floats) -> float:
        """Give the mean square of a frame's residuals (n,) less the last ones, 1 for good noise.

        NaN as long as the noise is not known.
        """
        if self._last is None or not self.known:
            return math.nan
        return _mean_square(_difference(residual, self._last)) / self.variance

    def learn(self, residual: Floats, rows: Sequence[Floats], size: int) -> None:
        """Take in a good frame's residuals (n,) in units of sigma.

        `rows` (p, n) span what the fit took out, in any number of parts; `size` is pixels per bin.
        """
        last, self._last = self._last, residual
        if last is None:
            return
        rest = _difference(residual, last)
        if self._expected is None or not self._expected.suits(rest.size, size):
            self._expected = _Expected(np.concatenate(rows)[:, : rest.size].T, size)
            self._sums, self._count, self._frames = np.zeros(LAGS + 1), 0.0, 0
        keep = 1.0 - 1.0 / MEMORY_FRAMES
        seen = _lag_sums(rest, LAGS) / rest.size
        self._sums = keep * self._sums + seen
        self._count = keep * self._count + 1.0
        self._frames += 1
        if self._frames < MATCH_EACH or self._frames % MATCH_EVERY == 0:
            self.variance, self._correlation = self._expected.match(self._sums / self._count)

    def factor(self, influence: Floats, chi2: float) -> float:
        """Give what to multiply the plain sd of a linear estimate with; `influence` is (n,)."""
        if not self.known:
            return math.sqrt(max(chi2, 1.0))
        lags = min(self._correlation.size, influence.size)
        sums = _lag_sums(influence, lags - 1)
        sums[1:] *= 2.0
        smoothed = float(self._correlation[:lags] @ sums) / float(sums[0])
        return math.sqrt(self.variance * max(smoothed, 0.0))


class _Expected:
    """The mean lag products of the residuals for each length of the moving mean."""

    def __init__(self, columns: Floats, size: int) -> None:
        self._bins, self._size = columns.shape[0], size
        taken, _ = np.linalg.qr(columns)
        self._correlations = [_correlation(box, size, self._bins) for box in BOXES]
        left = [_left(_covariance(c, self._bins), taken) for c in self._correlations]
        products = np.array(left)
        self._variances, self._shapes = products[:, 0], products[:, 1:] / products[:, :1]
        self._norms = np.square(self._shapes).sum(axis=1)

    def suits(self, bins: int, size: int) -> bool:
        return size == self._size and abs(bins - self._bins) <= 0.1 * self._bins

    def match(self, seen: Floats) -> tuple[float, Floats]:
        """Give the variance against the reported one and the correlations of the likeliest."""
        if not seen[0] > 0.0:
            return 1.0, np.ones(1)
        # The nearest shape, without the term that is the same for all.
        best = int((self._norms - self._shapes @ (seen[1:] * (2.0 / seen[0]))).argmin())
        return float(seen[0]) / float(self._variances[best]), self._correlations[best]


def _left(covariance: Floats, taken: Floats) -> Floats:
    """Give the mean lag products that a projection leaves of a covariance (n, n)."""
    half = covariance - taken @ (taken.T @ covariance)
    left = half - (half @ taken) @ taken.T
    return np.array([np.trace(left, k) / left.shape[0] for k in range(LAGS + 1)])


def _correlation(box: int, size: int, bins: int) -> Floats:
    """Give the correlation of bins of `size` pixels, (lags,), behind a mean of `box` pixels."""
    kernel = np.convolve(np.ones(box), np.ones(size))
    spread = np.convolve(kernel, kernel)[kernel.size - 1 :: size]
    return np.asarray(spread[:bins] / spread[0])


def _covariance(correlation: Floats, bins: int) -> Floats:
    padded = np.zeros(bins)
    padded[: correlation.size] = correlation
    return np.asarray(padded[np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))])


def _difference(residual: Floats, last: Floats) -> Floats:
    size = min(residual.size, last.size)
    return (residual[:size] - last[:size]) * math.sqrt(0.5)


def _mean_square(values: Floats) -> float:
    return float(values @ values) / values.size


def _lag_sums(values: Floats, lags: int) -> Floats:
    middle = values.size - 1
    return np.correlate(values, values, "full")[middle : middle + lags + 1]
