"""When a moving peak will stand at a target: the recent course, fitted robustly, and continued.

A course is a polynomial through the peaks of the last minutes, about the newest. Wild frames are
left out by their distance from a line through the medians of pairs (Theil and Sen), which a
quarter of them cannot bend. A forecast says when it meets the target, with its sd, or why it
cannot tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST_POINTS = 8
MOST_POINTS = 60
WILD_SD = 5.0
FROZEN_FRAMES = 6
WIDEST_GAP = 1 / 3
"""Of the span of a course; over a longer gap nobody knows what the peak did."""
KEPT_LEAST = 0.6
SURE_SD = 4.0
FARTHEST = 5.0
"""Spans ahead; beyond them a parabola says nothing."""


@dataclass(frozen=True, slots=True)
class Course:
    """A polynomial in s from `now_s`: `terms` in nm/s^k from k = 0, with their covariance.

    `span_s` and `points` are what it rests on.
    """

    now_s: float
    terms: Floats
    covariance: Floats
    span_s: float
    points: int

    def level_nm(self, ahead_s: float = 0.0) -> float:
        """Give the peak so many s from now, in nm."""
        return float(_powers(ahead_s, self.terms.size) @ self.terms)

    def level_sd_nm(self, ahead_s: float = 0.0) -> float:
        """Give the standard deviation of `level_nm`."""
        powers = _powers(ahead_s, self.terms.size)
        return math.sqrt(max(float(powers @ self.covariance @ powers), 0.0))

    @property
    def rate_nm_s(self) -> float:
        """How fast the peak moves now."""
        return float(self.terms[1])

    @property
    def rate_sd_nm_s(self) -> float:
        """The standard deviation of the rate."""
        return math.sqrt(float(self.covariance[1, 1]))


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a target is met: `in_s` from now (negative: it was) ± `sd_s`, or NaN and a `doubt`."""

    in_s: float
    sd_s: float
    doubt: str = ""


def course(time_s: Floats, peak_nm: Floats, sigma_nm: Floats, degree: int = 2) -> Course | str:
    """Fit the course of recent peaks, shape (n,), times ascending; or say why there is none.

    The covariance grows with chi² where the frames scatter more than `sigma_nm` says.
    """
    usable = np.isfinite(time_s) & np.isfinite(peak_nm) & (sigma_nm > 0)
    times, peaks, sigmas = (a[usable][-MOST_POINTS:] for a in (time_s, peak_nm, sigma_nm))
    if times.size < FEWEST_POINTS:
        return f"{times.size} usable frames, {FEWEST_POINTS} are needed"
    span_s = float(times[-1] - times[0])
    gaps_s = np.diff(times)
    if not gaps_s.min() > 0:
        return "the clock ran backwards"
    if gaps_s.max() > WIDEST_GAP * span_s:
        return f"no usable frame for {gaps_s.max():.0f} s"
    late_s = times - times[-1]
    kept = _tame(late_s, peaks, sigmas)
    if np.count_nonzero(kept) < max(KEPT_LEAST * times.size, FEWEST_POINTS - 2):
        return "the peak jumps about"
    terms, covariance = _fit(late_s[kept], peaks[kept], sigmas[kept], degree)
    return Course(float(times[-1]), terms, covariance, span_s, int(np.count_nonzero(kept)))


def forecast(found: Course, target_nm: float, *, rising: bool) -> Forecast:
    """Say when a course meets a target that it is to pass upwards (`rising`) or downwards."""
    sign = 1.0 if rising else -1.0
    left_nm, rate = sign * (target_nm - found.level_nm()), sign * found.rate_nm_s
    if rate <= SURE_SD * found.rate_sd_nm_s:
        return _doubt("1S is not surely on its way there")
    bend = 2.0 * sign * float(found.terms[2]) if found.terms.size > 2 else 0.0
    in_s, slope = _meets(left_nm, rate, bend)
    if math.isnan(in_s):
        return _doubt("1S slows down too much to get there")
    if abs(in_s) > FARTHEST * found.span_s:
        return _doubt("1S is too far from it to tell")
    return Forecast(in_s, found.level_sd_nm(in_s) / slope)


def is_frozen(raw_nm: Floats) -> bool:
    """Tell whether a source has said exactly the same six times: it is stuck, not steady."""
    last = raw_nm[-FROZEN_FRAMES:]
    return last.size == FROZEN_FRAMES and bool(np.all(last == last[0]))


def _meets(left: float, rate: float, bend: float) -> tuple[float, float]:
    """Give when `left` nm are covered, and how fast it then moves; NaN if they never are.

    A rate that falls is taken to die away, rate exp(bend t / rate), as that of a reagent used up; a
    parabola would turn back. One that grows goes on growing by as much every second.
    """
    if bend >= 0.0:
        inside = rate * rate + 2.0 * bend * left
        if inside <= 0.0:
            return math.nan, math.nan
        then = math.sqrt(inside)
        return 2.0 * left / (rate + then), then
    then = rate + bend * left / rate
    if then <= 0.0:
        return math.nan, math.nan
    return math.log(then / rate) * rate / bend, then


def _doubt(why: str) -> Forecast:
    return Forecast(math.nan, math.nan, why)


def _powers(at_s: float, count: int) -> Floats:
    return np.asarray(at_s ** np.arange(count), dtype=np.float64)


def _tame(late_s: Floats, peaks: Floats, sigmas: Floats) -> NDArray[np.bool_]:
    """Tell which frames lie near the line through the medians of all pairs."""
    first, second = np.triu_indices(late_s.size, 1)
    slope = np.median((peaks[second] - peaks[first]) / (late_s[second] - late_s[first]))
    away = peaks - slope * late_s
    away -= np.median(away)
    spread = max(1.4826 * float(np.median(np.abs(away))), float(np.median(sigmas)))
    return np.asarray(np.abs(away) <= WILD_SD * spread)


def _fit(late_s: Floats, peaks: Floats, sigmas: Floats, degree: int) -> tuple[Floats, Floats]:
    scale_s = float(np.ptp(late_s))
    design = np.vander(late_s / scale_s, degree + 1, increasing=True) / sigmas[:, None]
    inverse = np.linalg.pinv(design)
    terms = inverse @ (peaks / sigmas)
    residual = peaks / sigmas - design @ terms
    chi2 = float(residual @ residual) / max(late_s.size - degree - 1, 1)
    unit = scale_s ** -np.arange(degree + 1.0)
    covariance = max(chi2, 1.0) * (inverse @ inverse.T) * np.outer(unit, unit)
    return terms * unit, covariance
