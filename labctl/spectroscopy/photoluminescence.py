"""Photoluminescence in the loop: peak, width, area per absorbed photon, and whether it is flat.

The area per absorbed photon is a relative figure of this rig, at this temperature. It is no
quantum yield: no standard was measured, and the hot sample is quenched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.absorbance import LN10, Detector

Floats = NDArray[np.float64]
Quality = Literal["GOOD", "UNCERTAIN", "BAD"]

LEAST_ABSORBED = 0.01
INNER_FILTER_AU = 1.0
"""Above this the laser is spent near where it enters, and the probe no longer sees all of it."""
SIGNIFICANT = 10.0
TAIL_PART = 0.04
MEDIAN_TO_SD = 1.253
GUARD_NM = 15.0
"""Around the laser's line, where its scattered light would count as luminescence."""
FLAT_PART = 0.03
FLAT_POINTS = 10
FLAT_LEAST_S = 240.0
FLAT_SPANS_S = (600.0, 1200.0)
FLAT_SD, FLAT_SD_FEW = 4.0, 5.0


@dataclass(frozen=True, slots=True)
class Excitation:
    """What excited the sample: line (nm), power (mW), integration (s), absorbance at the line.

    `absorbance_sd_au` is that absorbance's standard deviation.
    """

    wavelength_nm: float
    power_mw: float
    integration_s: float
    absorbance_au: float
    absorbance_sd_au: float = 0.0

    @property
    def absorbed_part(self) -> float:
        """Give the part of the light absorbed, 1 - 10^-A: the inner filter is in it."""
        return -math.expm1(-self.absorbance_au * LN10)

    @property
    def relative_sd(self) -> float:
        """Give the relative sd of the part absorbed; inf where nothing is."""
        part = self.absorbed_part
        return LN10 * (1.0 - part) * self.absorbance_sd_au / part if part > 0.0 else math.inf

    @property
    def absorbed_mj(self) -> float:
        """Give the light absorbed in mJ: (1 - 10^-A) of power times time."""
        return self.absorbed_part * self.power_mw * self.integration_s

    @property
    def absorbed_photons(self) -> float:
        """Give the number of photons absorbed, in 1e12."""
        joule_per_photon = 1.98644586e-16 / self.wavelength_nm
        return self.absorbed_mj * 1e-3 / joule_per_photon * 1e-12


@dataclass(frozen=True, slots=True)
class Luminescence:
    """One PL spectrum: peak and full width at half maximum in nm, area in counts·nm.

    `area_per_photon` is in counts·nm per 1e12 absorbed photons and carries `sigma_per_photon`;
    NaN where a part is missing. `quality` BAD must not be used; `flags` says why. A GOOD one may
    be flagged `inner_filter`: the area compares with its like, less so across concentrations.
    """

    peak_nm: float
    width_nm: float
    area: float
    area_per_photon: float
    sigma_per_photon: float
    quality: Quality
    flags: tuple[str, ...]


def luminescence(
    wavelength_nm: Floats,
    counts: Floats,
    dark: Floats,
    excitation: Excitation,
    detector: Detector | None = None,
) -> Luminescence:
    """Measure a PL spectrum; arrays of shape (n,), `wavelength_nm` ascending, nm.

    The area is summed over the pixels beyond the laser's line, after the level of the reddest
    pixels is taken off.
    """
    known = detector or Detector()
    emitted = wavelength_nm > excitation.wavelength_nm + GUARD_NM
    light, axis_nm = known.light(counts, dark)[emitted], wavelength_nm[emitted]
    if light.size < 10 or not bool(np.isfinite(light).all()):
        return _unusable("invalid")
    if bool((counts[emitted] >= known.top_counts).any()):
        return _unusable("saturated")
    tail = max(5, int(TAIL_PART * light.size))
    light = light - float(np.median(light[-tail:]))
    pitch_nm = np.gradient(axis_nm)
    area = float(light @ pitch_nm)
    pixel_variance = known.variance(light, known.averages)
    # The level taken off is a median of few pixels, and its error counts over all of them.
    level_sd = MEDIAN_TO_SD * math.sqrt(float(np.mean(pixel_variance[-tail:])) / tail)
    sigma = math.hypot(math.sqrt(float(pixel_variance @ pitch_nm**2)), level_sd * np.ptp(axis_nm))
    if area < SIGNIFICANT * sigma:
        return _unusable("dark")
    peak_nm, width_nm = _shape(axis_nm, light)
    photons = excitation.absorbed_photons
    if not excitation.absorbed_part > LEAST_ABSORBED or not photons > 0.0:
        known_light = math.isfinite(excitation.absorbance_au)
        flag = "not_absorbed" if known_light else "absorption_unknown"
        return Luminescence(peak_nm, width_nm, area, math.nan, math.nan, "BAD", (flag,))
    relative = math.hypot(sigma / area, excitation.relative_sd)
    flags = ("inner_filter",) if excitation.absorbance_au > INNER_FILTER_AU else ()
    per_photon = area / photons
    return Luminescence(peak_nm, width_nm, area, per_photon, per_photon * relative, "GOOD", flags)


def is_flat(
    time_s: Floats, area: Floats, sigma: Floats, part: float = FLAT_PART, ahead_s: float = 600.0
) -> bool:
    """Tell whether an area will change by less than `part` of itself in the next `ahead_s`.

    Arrays of shape (n,), times ascending. True only where the last ten or twenty minutes (ten
    points at least, however long they took) prove it at four sd, by their own scatter and by the
    halves of the series; else False: missing, noisy, constant or senseless data are never flat.
    """
    # Absurd values make infinities on the way; what comes out of them proves nothing.
    with np.errstate(all="ignore"):
        return _is_flat(time_s, area, sigma, part, ahead_s)


def _is_flat(time_s: Floats, area: Floats, sigma: Floats, part: float, ahead_s: float) -> bool:
    usable = np.isfinite(time_s) & np.isfinite(area) & np.isfinite(sigma)
    x, y, s = time_s[usable], area[usable], sigma[usable]
    if x.size < FLAT_POINTS or x.size < 0.6 * time_s.size or not bool(np.all(np.diff(x) > 0.0)):
        return False
    # A long look sees through noise; a shorter one is not held up by the rise that went before, but
    # one much shorter takes a pause for the end.
    firsts = {int(np.searchsorted(x, x[-1] - span_s)) for span_s in FLAT_SPANS_S}
    fewest = x.size - FLAT_POINTS
    starts = {min(first, fewest) for first in firsts}
    return any(_proved(x[k:], y[k:], s[k:], part, ahead_s) for k in starts)


def _proved(x: Floats, y: Floats, s: Floats, part: float, ahead_s: float) -> bool:
    """Tell whether all of a series proves the same, by a straight line through it."""
    if x.size < FLAT_POINTS or float(np.ptp(x)) < FLAT_LEAST_S or float(np.ptp(y)) == 0.0:
        return False
    level, count = float(np.median(y)), x.size
    if not level > 0.0:
        return False
    noise = max(_scatter(y), float(np.median(s)))
    kept = np.abs(y - level) < 6.0 * noise + part * level
    x, y = x[kept], y[kept]
    if x.size < FLAT_POINTS or x.size < 0.8 * count:
        return False
    away = x - x.mean()
    squares = float(away @ away)
    slope = float(away @ y) / squares
    left = y - y.mean() - slope * away
    noise = max(noise, math.sqrt(float(left @ left) / (x.size - 2)))
    # The noise itself is known from few points; this is about what Student asks for.
    sds = FLAT_SD * (1.0 + FLAT_SD_FEW / x.size)
    worst = (abs(slope) + sds * noise / math.sqrt(squares)) * ahead_s
    half = x.size // 2
    step = abs(float(np.median(y[half:]) - np.median(y[:half])))
    return worst < part * level and step < part * level


def _shape(axis_nm: Floats, light: Floats) -> tuple[float, float]:
    """Give the peak and the full width at half maximum of a smoothed band, in nm."""
    smooth = np.convolve(light, np.full(7, 1.0 / 7.0), mode="same")
    top = int(np.argmax(smooth))
    near = np.flatnonzero(smooth > 0.8 * smooth[top])
    near = near[np.abs(near - top) < 200]
    curve = np.polynomial.Polynomial.fit(axis_nm[near], light[near], 2) if near.size > 4 else None
    peak_nm = float(axis_nm[top])
    if curve is not None and curve.convert().coef[2] < 0.0:
        found = float(curve.deriv().roots()[0].real)
        peak_nm = found if axis_nm[near[0]] < found < axis_nm[near[-1]] else peak_nm
    half = 0.5 * smooth[top]
    below_left = np.flatnonzero(smooth[:top] < half)
    below_right = np.flatnonzero(smooth[top:] < half)
    if not below_left.size or not below_right.size:
        return peak_nm, math.nan
    left = _crossing(axis_nm, smooth, int(below_left[-1]), half)
    right = _crossing(axis_nm, smooth, top + int(below_right[0]) - 1, half)
    return peak_nm, right - left


def _crossing(axis_nm: Floats, smooth: Floats, index: int, level: float) -> float:
    low, high = float(smooth[index]), float(smooth[index + 1])
    part = (level - low) / (high - low) if high != low else 0.5
    return float(axis_nm[index] + part * (axis_nm[index + 1] - axis_nm[index]))


def _scatter(values: Floats) -> float:
    bends = np.abs(np.diff(values, 2))
    return float(np.median(bends)) / (0.6745 * math.sqrt(6.0))


def _unusable(flag: str) -> Luminescence:
    return Luminescence(math.nan, math.nan, math.nan, math.nan, math.nan, "BAD", (flag,))
