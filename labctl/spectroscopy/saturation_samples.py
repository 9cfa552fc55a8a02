"""What a saturation detector does before it believes a sample: clock, faults, bins."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

import numpy as np

PLAUSIBLE_NM = (250.0, 1500.0)
PLAUSIBLE_C = (-100.0, 500.0)
UNKNOWN_SIGMA_NM = 0.1
SIGMA_FLOOR_NM = 0.005
BIN_S = 14.0
BIN_SAMPLES = 3
LONGEST_BIN_S = 45.0
GAP_S = 300.0
CONSTANT_SAMPLES = 6
CONSTANT_NM = 1e-6
USUAL_SAMPLES = 60
BEND_TO_SD = 1.0 / (0.6745 * math.sqrt(6.0))
"""From the median size of a second difference to the sd of white noise."""
SPOILED_SD = 10.0
LOWEST_KNOWN = 0.9
LOWEST_UNKNOWN = 0.2
"""The least part of a sigma (or of UNKNOWN_SIGMA_NM) that is believed to be the noise."""
COLLAPSE_SAMPLES = 10
COLLAPSE = 0.12
"""A scatter below this part of the noise expected is a frozen value, not a quiet one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One peak that was believed: time (s), peak (nm), sigma (nm; NaN unknown), °C, band (nm)."""

    time_s: float
    peak_nm: float
    sigma_nm: float
    temperature_c: float
    band_nm: float = 0.0


@dataclass(frozen=True, slots=True)
class Bin:
    """Neighbouring peaks as one: times (s), mean peak (nm), sigma (nm), mean temperature (°C).

    `scatter_nm` is the range of all peaks, those left out of the mean included.
    """

    times_s: tuple[float, ...]
    peak_nm: float
    sigma_nm: float
    temperature_c: float
    scatter_nm: float = 0.0

    @property
    def time_s(self) -> float:
        """The mean time in s."""
        return sum(self.times_s) / len(self.times_s)


@dataclass(slots=True)
class SteadyClock:
    """Time that passes while somebody looks: steps back and long gaps are taken out of it."""

    last_s: float = math.nan
    interval_s: float = 10.0
    _offset_s: float = 0.0
    _intervals: deque[float] = field(default_factory=lambda: deque(maxlen=15))

    def advance(self, time_s: float) -> float:
        """Take a time in s and return the step of the source since the last, 0 at first."""
        now = time_s + self._offset_s
        if math.isnan(self.last_s):
            self.last_s = now
            return 0.0
        step = now - self.last_s
        if step <= 0.0 or step > self.longest_s:
            self._offset_s += self.interval_s - step
            self.last_s += self.interval_s
            return step
        self._intervals.append(step)
        self.interval_s = median(self._intervals)
        self.last_s += step
        return step

    @property
    def longest_s(self) -> float:
        """The longest step in s that is no gap."""
        return max(GAP_S, 10.0 * self.interval_s)


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
        bends = (np.abs(np.diff(peaks, 2)) * BEND_TO_SD).tolist()
        # All but one must be small: half of them being so is chance in one run of a hundred.
        scatter = sorted(bends[-COLLAPSE_SAMPLES + 2 :])[-2]
        usual = median(bends) if peaks.size > USUAL_SAMPLES // 2 else 0.0
        known = [s for s in self._sigmas if math.isfinite(s)]
        expected = max(usual, median(known) if known else 0.0)
        if scatter < COLLAPSE * expected:
            return f"the peak scatters by {scatter:.4f} nm where {expected:.3f} nm is its noise"
        return ""


@dataclass(slots=True)
class Binner:
    """Gathers neighbouring samples into one; a lone outlier among three is left out.

    `scale` is the noise in sigmas as reported, `lowest` the least that it may be.
    """

    scale: float = 1.0
    lowest: float = 1.0
    _samples: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample, interval_s: float) -> Bin | None:
        """Take a sample and give a bin once one is full; sparse samples pass straight through."""
        self._samples.append(sample)
        self.lowest = LOWEST_KNOWN if math.isfinite(sample.sigma_nm) else LOWEST_UNKNOWN
        width_s = min(max(BIN_S, (BIN_SAMPLES - 0.5) * interval_s), LONGEST_BIN_S)
        sparse = BIN_SAMPLES * interval_s > 1.5 * LONGEST_BIN_S
        if not sparse and sample.time_s - self._samples[0].time_s + interval_s < width_s:
            return None
        full, self._samples = self._samples, []
        return _merge(full, self.scale)

    def clear(self) -> None:
        """Drop the samples of an unfinished bin."""
        self._samples.clear()


def plausible(peak_nm: float) -> bool:
    """Tell whether a number can be a wavelength of a first exciton peak at all."""
    return math.isfinite(peak_nm) and PLAUSIBLE_NM[0] < peak_nm < PLAUSIBLE_NM[1]


def plausible_temperature(temperature_c: float) -> bool:
    """Tell whether a number can be the temperature of a flask."""
    return math.isfinite(temperature_c) and PLAUSIBLE_C[0] < temperature_c < PLAUSIBLE_C[1]


def without_spoiled(bins: list[Bin]) -> list[Bin]:
    """Leave out the first bins of a series whose samples disagree as those of no other do."""
    usual = 4.0 * median(b.scatter_nm for b in bins)
    limits = [max(usual, SPOILED_SD * b.sigma_nm * math.sqrt(len(b.times_s))) for b in bins]
    return [b for b, limit in zip(bins, limits, strict=True) if b.scatter_nm <= limit] or bins


def _merge(samples: list[Sample], scale: float) -> Bin:
    middle = median(s.peak_nm for s in samples)
    sigmas = [s.sigma_nm for s in samples if math.isfinite(s.sigma_nm)]
    sigma = median(sigmas) if sigmas else UNKNOWN_SIGMA_NM
    kept = [s for s in samples if abs(s.peak_nm - middle) <= 4.0 * scale * sigma] or samples
    count = len(kept)
    return Bin(
        times_s=tuple(s.time_s for s in kept),
        peak_nm=sum(s.peak_nm for s in kept) / count,
        sigma_nm=sigma / math.sqrt(count),
        temperature_c=sum(s.temperature_c for s in kept) / count,
        scatter_nm=max(s.peak_nm for s in samples) - min(s.peak_nm for s in samples),
    )
