"""The local fit of a frame that looks like the one before, as one matrix times its absorbances.

Near a solution the fit is linear in the data, and its matrix can be kept as long as pixels, noise
and peak stay where they were.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.peak_fit import Fit, Pixels, Window

Floats = NDArray[np.float64]

CURVATURE = 0.3
"""Largest move², over the half-width, in units of the sd: what curvature could add at worst. A
Gaussian's own is even about its centre, so next to nothing of it reaches the centre."""
WIDTH_EASE = 0.05
START = 0.1
SIGMA_CHANGE = 0.1


class Linear:
    """A fit of a window turned into a matrix, for the frames that follow."""

    def __init__(self, pixels: Pixels, window: Window, found: Fit) -> None:
        count, size = window.energy_ev.size, window.size
        self._part = slice(window.first, window.first + count * size)
        self._shape = (count, size)
        sigma = pixels.sigma[self._part]
        self._per_sigma = 1.0 / (sigma * sigma.size)
        self._root = 1.0 / window.sigma
        # The mean over a bin by the weights of its pixels, times the root of the bin's weight.
        self._weight = sigma**-2.0 * np.repeat(window.sigma, size)
        self._ones = np.ones(size)
        background, bell = found.rows
        # The bell's rows have the background taken out already; made orthonormal they complete it.
        root = np.linalg.inv(np.linalg.cholesky(bell @ bell.T))
        own = root @ bell
        self._solve = root.T @ own
        self._sds = np.sqrt(np.square(root).sum(axis=0)).tolist()
        self._taken = np.concatenate((background, own))
        self._start = found

    @classmethod
    def of(cls, pixels: Pixels, window: Window, found: Fit) -> Linear | None:
        """Make the matrix of a sound fit, or None where its window has bad pixels."""
        part = slice(window.first, window.first + window.energy_ev.size * window.size)
        if not found.converged or not pixels.good[part].all():
            return None
        try:
            return cls(pixels, window, found)
        except np.linalg.LinAlgError:
            return None

    def read(self, pixels: Pixels) -> Fit | None:
        """Fit a frame, or give None where it is too unlike the one this was made of.

        A fit that has not `converged` is a start for a full one.
        """
        part, start = self._part, self._start
        if pixels.good.size < part.stop or not pixels.good[part].all():
            return None
        if not abs(float(pixels.sigma[part] @ self._per_sigma) - 1.0) < SIGMA_CHANGE:
            return None
        data = (pixels.absorbance[part] * self._weight).reshape(self._shape) @ self._ones
        height, by_centre, by_width = (self._solve @ data).tolist()
        if not height > 0.0:
            return None
        move, wider = by_centre / height, by_width / height
        height_sd, centre_sd, width_sd = self._sds
        limit = CURVATURE * start.hwhm_ev * centre_sd / height
        if not max(abs(move), abs(wider)) < START * start.hwhm_ev:
            return None
        # A wrong width is even about the centre and moves it only together with a wrong centre.
        near = max(move * move, abs(move * wider), WIDTH_EASE * wider * wider) < limit
        residual = data - (self._taken @ data) @ self._taken
        return Fit(
            start.centre_ev + move,
            centre_sd / height,
            start.hwhm_ev + wider,
            width_sd / height,
            height,
            height_sd,
            float(residual @ residual) / max(residual.size - 7, 1),
            residual,
            self._solve[1] / height,
            start.rows,
            converged=near and math.isfinite(centre_sd),
        )
