"""What a saturation detector does before it believes a sample: clock, faults, bins, noise."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from labctl.spectroscopy.saturation_models import Floats, Series

PLAUSIBLE_NM = (250.0, 1500.0)
PLAUSIBLE_C = (-100.0, 500.0)
UNKNOWN_SIGMA_NM = 0.1
SIGMA_FLOOR_NM = 0.005
BIN_S = 14.0
BIN_SAMPLES = 3
LONGEST_BIN_S = 45.0
CONSTANT_SAMPLES = 6
CONSTANT_NM = 1e-6
USUAL_SAMPLES = 60
BEND_TO_SD = 1.0 / (0.6745 * math.sqrt(6.0))
"""From the median size of a second difference to the sd of white noise."""
COLLAPSE_SAMPLES = 10
COLLAPSE = 0.12
"""A scatter below this part of the noise expected is a frozen value, not a quiet one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One peak that was believed: time (s), peak (nm), sigma (nm; NaN unknown), °C or NaN."""

    time_s: float
    peak_nm: float
    sigma_nm: float
    temperature_c: float


@dataclass(slots=True)
class SteadyClock:
    """Time that never runs backwards: a step back of the source is taken out of all that follow."""

    last_s: float = math.nan
    interval_s: float = 10.0
    _offset_s: float = 0.0
    _intervals: deque[float] = field(default_factory=lambda: deque(maxlen=15))

    def advance(self, time_s: float) -> float:
        """Give the repaired time in s and return the step since the sample before (0 at first)."""
        now = time_s + self._offset_s
        if math.isnan(self.last_s):
            self.last_s = now
            return 0.0
        step = now - self.last_s
        if step <= 0.0:
            self._offset_s += self.interval_s - step
            step = self.interval_s
        self._intervals.append(step)
        self.interval_s = float(np.median(self._intervals))
        self.last_s += step
        return step


class HealthWatch:
    """Tells a live peak from a frozen one, on the peak as measured at temperature."""

    def __init__(self) -> None:
        self._peaks: deque[float] = deque(maxlen=USUAL_SAMPLES)
        self._sigmas: deque[float] = deque(maxlen=COLLAPSE_SAMPLES)

    def fault(self, peak_nm: float, sigma_nm: float) -> str:
        """Take a raw peak in nm and give the reason why the source is not alive, or ''."""
        self._peaks.append(peak_nm)
        self._sigmas.append(sigma_nm)
        peaks = np.array(self._peaks)
        recent = peaks[-CONSTANT_SAMPLES:]
        if recent.size == CONSTANT_SAMPLES and float(np.ptp(recent)) < CONSTANT_NM:
            return f"the peak has read {peak_nm:.3f} nm exactly {CONSTANT_SAMPLES} times"
        if peaks.size < COLLAPSE_SAMPLES:
            return ""
        bends = np.abs(np.diff(peaks, 2)) * BEND_TO_SD
        scatter = float(np.median(bends[-COLLAPSE_SAMPLES + 2 :]))
        usual = float(np.median(bends)) if peaks.size > USUAL_SAMPLES // 2 else 0.0
        expected = max(usual, float(np.nanmedian([*self._sigmas, 0.0])))
        if scatter < COLLAPSE * expected:
            return f"the peak scatters by {scatter:.4f} nm where {expected:.3f} nm is its noise"
        return ""


@dataclass(slots=True)
class Binner:
    """Gathers neighbouring samples into one; a lone outlier among three is left out."""

    scale: float = 1.0
    _samples: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample, interval_s: float) -> Sample | None:
        """Take a sample and give a bin once one is full; sparse samples pass straight through."""
        self._samples.append(sample)
        width_s = min(max(BIN_S, (BIN_SAMPLES - 0.5) * interval_s), LONGEST_BIN_S)
        sparse = BIN_SAMPLES * interval_s > 1.5 * LONGEST_BIN_S
        if not sparse and sample.time_s - self._samples[0].time_s + interval_s < width_s:
            return None
        full, self._samples = self._samples, []
        return _merge(full, self.scale)

    def clear(self) -> None:
        """Drop the samples of an unfinished bin."""
        self._samples.clear()


def series_of(bins: list[Sample]) -> tuple[Series, float]:
    """Give bins as arrays with sigmas scaled to the scatter seen, and that scale.

    The scale comes from how far each bin lies off the cubic through its four neighbours, so that
    neither slope nor bend counts as noise. A reported sigma is believed down to half of
    its value; one that is missing is learnt.
    """
    time_s, peak_nm, sigma_nm, temperature_c = np.array(
        [(b.time_s, b.peak_nm, b.sigma_nm, b.temperature_c) for b in bins]
    ).T
    unknown = ~np.isfinite(sigma_nm)
    sigma_nm = np.where(unknown, UNKNOWN_SIGMA_NM, sigma_nm)
    scale = max(_scatter(time_s, peak_nm, sigma_nm), 0.05 if unknown.any() else 0.5)
    sigma_nm = np.maximum(scale * sigma_nm, SIGMA_FLOOR_NM)
    return Series(time_s, peak_nm, sigma_nm, np.nan_to_num(temperature_c)), scale


def plausible(peak_nm: float) -> bool:
    """Tell whether a number can be a wavelength of a first exciton peak at all."""
    return math.isfinite(peak_nm) and PLAUSIBLE_NM[0] < peak_nm < PLAUSIBLE_NM[1]


def plausible_temperature(temperature_c: float) -> bool:
    """Tell whether a number can be the temperature of a flask."""
    return math.isfinite(temperature_c) and PLAUSIBLE_C[0] < temperature_c < PLAUSIBLE_C[1]


def _merge(samples: list[Sample], scale: float) -> Sample:
    middle = float(np.median([s.peak_nm for s in samples]))
    sigmas = [s.sigma_nm for s in samples if math.isfinite(s.sigma_nm)]
    sigma = float(np.median(sigmas)) if sigmas else math.nan
    reach = 4.0 * scale * (sigma if sigmas else UNKNOWN_SIGMA_NM)
    kept = [s for s in samples if abs(s.peak_nm - middle) <= reach] or samples
    times = [s.time_s for s in kept]
    return Sample(
        sum(times) / len(kept),
        sum(s.peak_nm for s in kept) / len(kept),
        sigma / math.sqrt(len(kept)),
        sum(s.temperature_c for s in kept) / len(kept),
    )


def _scatter(time_s: Floats, peak_nm: Floats, sigma_nm: Floats) -> float:
    if time_s.size < 7:
        return 1.0
    count = time_s.size - 4
    middle = time_s[2:-2]
    others = np.stack([time_s[k : k + count] for k in (0, 1, 3, 4)])
    weights = np.ones_like(others)
    for i in range(4):
        for j in range(4):
            if i != j:
                weights[i] *= (middle - others[j]) / (others[i] - others[j])
    values = np.stack([peak_nm[k : k + count] for k in (0, 1, 3, 4)])
    sigmas = np.stack([sigma_nm[k : k + count] for k in (0, 1, 3, 4)])
    off = peak_nm[2:-2] - (weights * values).sum(axis=0)
    variance = sigma_nm[2:-2] ** 2 + ((weights * sigmas) ** 2).sum(axis=0)
    few = 1.0 + 1.5 / count
    return math.sqrt(float(np.median(off**2 / variance)) / 0.4549) * few
