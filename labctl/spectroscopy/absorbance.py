"""From detector counts to absorbance, with the standard deviation and the fitness of each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from labctl.errors import UsageError

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
    is the number of scans averaged in a frame, `reference_averages` in dark and reference.
    `stray` is the part of the lamp's light that reaches a pixel past the sample.
    """

    saturation_counts: float = 64_000.0
    electrons_per_count: float = 2.44
    read_counts: float = 8.0
    averages: int = 1
    reference_averages: int = 10
    stray: float = 0.0
    opaque_au: float = 2.0
    dark_sigmas: float = 5.0

    def variance(self, signal_counts: Floats, averages: int) -> Floats:
        """Give the variance in counts² of a signal above dark: shot, readout and rounding."""
        shot = np.maximum(signal_counts, 0.0) / self.electrons_per_count
        return (shot + self.read_counts**2 + 1.0 / 12.0) / averages


@dataclass(frozen=True, slots=True)
class Absorbance:
    """One spectrum; all arrays have shape (n,) and `wavelength_nm` ascends.

    `absorbance` in AU (decadic, over the path as it is); `sigma` is its standard deviation; both
    are NaN where `flags` (of PixelFlag) is not 0, but for OPAQUE pixels, which keep their value.
    """

    wavelength_nm: Floats
    absorbance: Floats
    sigma: Floats
    flags: NDArray[np.uint8]

    @property
    def good(self) -> NDArray[np.bool_]:
        """Tell which pixels may be used, shape (n,)."""
        return np.equal(self.flags, 0)


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
    full = np.where(valid, reference - dark, 0.0)
    light = np.where(valid, counts - dark, 0.0) - known.stray * full
    variance = known.variance(light + known.stray * full, known.averages)
    full_variance = known.variance(full, known.reference_averages)
    # The dark itself was measured; its readout noise is in both intensities.
    dark_variance = known.read_counts**2 / known.reference_averages
    flags = np.zeros(counts.shape, np.uint8)
    top = known.saturation_counts
    flags[(counts >= top) | (reference >= top)] |= PixelFlag.SATURATED.value
    too_dark = light < known.dark_sigmas * np.sqrt(variance + dark_variance)
    too_dark |= full < known.dark_sigmas * np.sqrt(full_variance + dark_variance)
    flags[too_dark] |= PixelFlag.DARK.value
    flags[~valid] |= PixelFlag.INVALID.value
    usable = flags == 0
    light, full = np.where(usable, light, np.nan), np.where(usable, full, np.nan)
    value = np.log10(full / light)
    relative = (variance + dark_variance) / light**2 + (full_variance + dark_variance) / full**2
    flags[value > known.opaque_au] |= PixelFlag.OPAQUE.value
    return Absorbance(wavelength_nm, value, np.sqrt(relative) / LN10, flags)


def _require_same_shape(wavelength_nm: Floats, *others: Floats) -> None:
    for other in others:
        if wavelength_nm.ndim != 1 or other.shape != wavelength_nm.shape:
            raise UsageError(
                f"counts, dark and reference must have the {wavelength_nm.size} pixels of the "
                f"wavelength axis; got shape {other.shape}"
            )
    if wavelength_nm.size < 2 or not bool(np.all(np.diff(wavelength_nm) > 0)):
        raise UsageError("wavelengths must ascend; reverse the arrays of this instrument")
