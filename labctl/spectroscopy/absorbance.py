"""From detector counts to absorbance, with the standard deviation and the fitness of each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from labctl.errors import UsageError
from labctl.spectroscopy.linearity import Linearity

Floats = NDArray[np.float64]
LN10 = math.log(10.0)


class PixelFlag(IntFlag):
    """Why a pixel must not be used; 0 is a good one.

    SATURATED: at the top of the converter, in the sample or in the reference. DARK: too few counts
    above dark to mean anything. OPAQUE: more absorbance than stray light lets one measure.
    INVALID: a count that is no number.
    """

    SATURATED = 1
    DARK = 2
    OPAQUE = 4
    INVALID = 8


@dataclass(frozen=True, slots=True)
class Detector:
    """Noise and limits of an array detector, in counts.

    `electrons_per_count` sets the shot noise, `read_counts` the noise of one readout; `averages`
    is the number of scans averaged in a frame, `reference_averages` in dark and reference;
    `boxcar` the pixels to each side that the instrument averaged, in all of them. `stray` is the
    part of the mean light on the array that every pixel gets besides its own.
    """

    saturation_counts: float = 64_000.0
    electrons_per_count: float = 2.44
    read_counts: float = 8.0
    averages: int = 1
    reference_averages: int = 10
    boxcar: int = 0
    stray: float = 0.0
    linearity: Linearity | None = None
    opaque_au: float = 2.0
    dark_sigmas: float = 5.0

    @property
    def top_counts(self) -> float:
        """The count from which a pixel says nothing: full, or beyond the linearity known."""
        if self.linearity is None:
            return self.saturation_counts
        return min(self.saturation_counts, self.linearity.up_to_counts)

    def light(self, counts: Floats, dark: Floats) -> Floats:
        """Give counts in proportion to the light, above dark, without the stray part.

        Pixels that are no number stay so, and add no stray light.
        """
        above = counts - dark
        linear = above if self.linearity is None else self.linearity.linear(above)
        if not self.stray or not bool(np.isfinite(linear).any()):
            return linear
        # The mean holds the stray light too: m' = m (1 + stray).
        return linear - self.stray / (1.0 + self.stray) * float(np.nanmean(linear))

    def variance(self, signal_counts: Floats, averages: int) -> Floats:
        """Give the variance in counts² of raw counts above dark, once made linear; no boxcar.

        Shot noise, readout and rounding; `averages` scans are averaged.
        """
        light = np.maximum(signal_counts, 0.0)
        readout: float | Floats = self.read_counts**2 + 1.0 / 12.0
        if self.linearity is not None:
            readout = readout * self.linearity.slope(light) ** 2
            light = self.linearity.linear(light)
        return (light / self.electrons_per_count + readout) / averages


@dataclass(frozen=True, slots=True)
class Absorbance:
    """One spectrum; all arrays have shape (n,) and `wavelength_nm` ascends.

    `absorbance` in AU (decadic, over the path as it is); `sigma` is each pixel's standard
    deviation; both are NaN where `flags` (of PixelFlag) is not 0, but for OPAQUE pixels, which
    keep their value. With a `boxcar` (pixels to each side) neighbours share their noise.
    """

    wavelength_nm: Floats
    absorbance: Floats
    sigma: Floats
    flags: NDArray[np.uint8]
    boxcar: int = 0

    @property
    def good(self) -> NDArray[np.bool_]:
        """Tell which pixels may be used, shape (n,)."""
        return np.equal(self.flags, 0)

    @property
    def white_sigma(self) -> Floats:
        """The sigma of independent pixels that say as much of anything wider than the boxcar.

        Fits that take pixels for independent need this one, else they believe themselves too much.
        """
        return self.sigma * math.sqrt(2 * self.boxcar + 1)


def absorbance(
    wavelength_nm: Floats,
    counts: Floats,
    dark: Floats,
    reference: Floats,
    detector: Detector | None = None,
) -> Absorbance:
    """Give A = log10(I0 / I) with its noise, from raw counts of shape (n,).

    `reference` is the lamp through the solvent before the dots, `dark` the shuttered detector, both
    with the integration time of `counts`. Noise: sigma_A² = (var I / I² + var I0 / I0²) / ln² 10.

    Raises:
        UsageError: arrays of different length, or wavelengths that do not ascend.
    """
    known = detector or Detector()
    _require_same_shape(wavelength_nm, counts, dark, reference)
    valid = np.isfinite(counts) & np.isfinite(dark) & np.isfinite(reference)
    counts, reference = np.where(valid, counts, np.nan), np.where(valid, reference, np.nan)
    light, full = known.light(counts, dark), known.light(reference, dark)
    # The dark itself was measured; its readout noise is in both intensities.
    dark_variance = known.read_counts**2 / known.reference_averages
    variance = known.variance(counts - dark, known.averages) + dark_variance
    full_variance = known.variance(reference - dark, known.reference_averages) + dark_variance
    flags = np.zeros(counts.shape, np.uint8)
    full_up = (counts >= known.top_counts) | (reference >= known.top_counts)
    flags[_spread(full_up, known.boxcar)] |= PixelFlag.SATURATED.value
    too_dark = light < known.dark_sigmas * np.sqrt(variance)
    too_dark |= full < known.dark_sigmas * np.sqrt(full_variance)
    flags[too_dark] |= PixelFlag.DARK.value
    flags[~valid] |= PixelFlag.INVALID.value
    usable = flags == 0
    light, full = np.where(usable, light, np.nan), np.where(usable, full, np.nan)
    value = np.log10(full / light)
    relative = (variance / light**2 + full_variance / full**2) / (2 * known.boxcar + 1)
    flags[value > known.opaque_au] |= PixelFlag.OPAQUE.value
    return Absorbance(wavelength_nm, value, np.sqrt(relative) / LN10, flags, known.boxcar)


def per_cm(absorbance_au: float, path_mm: float) -> float:
    """Give an absorbance over 10 mm of path; for reports, where samples are compared.

    In the loop absorbance stays as it is over the probe's path: there limits count, not amounts.

    >>> per_cm(0.3, 2.0)
    1.5

    Raises:
        UsageError: the path is not above zero.
    """
    if not path_mm > 0.0:
        raise UsageError(f"a path of {path_mm:g} mm is none")
    return absorbance_au * 10.0 / path_mm


def at_line(found: Absorbance, line_nm: float, half_width_nm: float = 4.0) -> tuple[float, float]:
    """Give the absorbance at a laser's line and its sd, in AU; NaN where there is no light.

    A mean over the pixels around, weighted by their noise; opaque ones count, since almost all is
    absorbed there and a wrong absorbance hardly matters.
    """
    near = np.abs(found.wavelength_nm - line_nm) <= half_width_nm
    usable = near & np.isfinite(found.absorbance)
    if np.count_nonzero(usable) < 0.5 * np.count_nonzero(near) or not near.any():
        return math.nan, math.nan
    weight = found.white_sigma[usable] ** -2.0
    mean = float(found.absorbance[usable] @ weight) / float(weight.sum())
    return mean, float(weight.sum()) ** -0.5


def _spread(marked: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Mark the neighbours too: a boxcar hands a full pixel's loss on to them."""
    if not reach or not marked.any():
        return marked
    return np.convolve(marked, np.ones(2 * reach + 1), mode="same") > 0.5


def _require_same_shape(wavelength_nm: Floats, *others: Floats) -> None:
    for other in others:
        if wavelength_nm.ndim != 1 or other.shape != wavelength_nm.shape:
            raise UsageError(
                f"counts, dark and reference must have the {wavelength_nm.size} pixels of the "
                f"wavelength axis; got shape {other.shape}"
            )
    if wavelength_nm.size < 2 or not bool(np.all(np.diff(wavelength_nm) > 0)):
        raise UsageError("wavelengths must ascend; reverse the arrays of this instrument")
