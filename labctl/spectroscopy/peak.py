"""Finds the first exciton (1S) peak in a spectrum and follows it through a run.

"The peak" is the centre of the 1S component in energy. The local maximum lies 4-5 nm to the blue
of it, pulled by the absorption that rises there, and a shoulder has none; it is reported beside.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy import peak_seed
from labctl.spectroscopy.absorbance import PixelFlag
from labctl.spectroscopy.peak_fit import Fit, Window, cut, fit
from labctl.spectroscopy.temperature import HC_EV_NM

Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]
Quality = Literal["GOOD", "UNCERTAIN", "BAD"]

WARM_STEPS = 8
RECUT = 0.15
SIGNIFICANT = 5.0
LARGEST_SIGMA_NM = 5.0
JUMP_SD = 6.0
JUMP_NM = 1.0
JUMPS = 3
MISFIT = 4.0
"""A chi² this many times that of the run so far is a bubble or a lamp, not the sample."""
REACH_HWHM = 2.0
BAD_PART = 0.02
LOST_FRAMES = 5


@dataclass(frozen=True, slots=True)
class PeakEstimate:
    """One frame's 1S peak.

    `peak_nm` ± `sigma_nm`: centre of the component in energy, and its standard deviation;
    `hwhm_nm`: half-width at half maximum; `optical_density`: absorbance (AU) at the peak;
    `local_maximum_nm`: NaN for a shoulder. All NaN where nothing was found. `quality`: GOOD may be
    used, UNCERTAIN shown, BAD neither; `flags` says why in words.
    """

    peak_nm: float
    sigma_nm: float
    quality: Quality
    flags: tuple[str, ...]
    hwhm_nm: float = math.nan
    optical_density: float = math.nan
    local_maximum_nm: float = math.nan


@dataclass(frozen=True, slots=True)
class _Frame:
    energy_ev: Floats
    absorbance: Floats
    sigma: Floats
    flags: Flags

    @property
    def good(self) -> NDArray[np.bool_]:
        return np.equal(self.flags, 0)


class PeakTracker:
    """Follows one sample's 1S peak, warm from frame to frame; feed it frames in order.

    `start_near_nm` is where the recipe expects it (searched ± 40 nm); None searches the whole
    spectrum. A frame with saturated, dark or opaque pixels in the window is BAD and leaves no
    trace in the tracker.
    """

    def __init__(self, start_near_nm: float | None = None) -> None:
        self._near_nm = start_near_nm
        self._last: Fit | None = None
        self._lost = 0
        self._noise = _TrackNoise()
        self._misfit: deque[float] = deque(maxlen=30)
        self._jumps: list[float] = []

    def update(
        self, wavelength_nm: Floats, absorbance: Floats, sigma: Floats, flags: Flags | None = None
    ) -> PeakEstimate:
        """Estimate the peak of one frame; arrays of shape (n,), `wavelength_nm` ascending.

        `flags` are PixelFlags; pixels that are not finite, or whose sigma is not above 0, count as
        INVALID in any case.
        """
        # Absurd pixels make infinities on the way; what comes out of them is judged, not raised.
        with np.errstate(all="ignore"):
            return self._update(_frame(wavelength_nm, absorbance, sigma, flags))

    def _update(self, frame: _Frame) -> PeakEstimate:
        known = self._last
        found, window = self._find(frame)
        if found is None or window is None:
            self._lose()
            return _nothing(self._reason(frame, known))
        wrong = _fatal(frame, found)
        if not wrong and not found.converged:
            wrong = ("not_converged",)
        if not wrong and found.height_au < SIGNIFICANT * found.height_sd_au:
            wrong = ("no_peak",)
        if wrong:
            self._lose()
            return _nothing(wrong)
        return self._accept(frame, window, found)

    def _find(self, frame: _Frame) -> tuple[Fit | None, Window | None]:
        if self._last is None:
            return peak_seed.cold(
                frame.energy_ev, frame.absorbance, frame.sigma, frame.good, self._near_nm
            )
        # A window that jumps with every frame would jitter; it moves with the peak in steps.
        span = (self._last.centre_ev, self._last.hwhm_ev)
        window = cut(frame.energy_ev, frame.absorbance, frame.sigma, frame.good, span)
        if window is None:
            return None, None
        return fit(window, *span, steps=WARM_STEPS), window

    def _accept(self, frame: _Frame, window: Window, found: Fit) -> PeakEstimate:
        self._lost = 0
        to_nm = HC_EV_NM / found.centre_ev**2
        peak_nm, plain_nm = HC_EV_NM / found.centre_ev, found.centre_sd_ev * to_nm
        usual = float(np.median(self._misfit)) if len(self._misfit) >= JUMPS else math.inf
        flags: list[str] = []
        if found.chi2 > MISFIT * max(usual, 1.0):
            flags.append("misfit")
        if self._jumped(peak_nm, plain_nm * self._noise.factor(found.chi2)):
            flags.append("jump")
        if not flags:
            self._misfit.append(found.chi2)
            self._noise.learn(peak_nm, plain_nm)
            self._last = found
        sigma_nm = plain_nm * self._noise.factor(found.chi2)
        if sigma_nm > LARGEST_SIGMA_NM:
            flags.append("imprecise")
        highest = _local_maximum(window)
        height = float(np.interp(-found.centre_ev, -window.energy_ev, window.absorbance))
        return PeakEstimate(
            peak_nm,
            sigma_nm,
            "UNCERTAIN" if flags else "GOOD",
            tuple(flags),
            found.hwhm_ev * to_nm,
            height,
            HC_EV_NM / highest,
        )

    def _jumped(self, peak_nm: float, sigma_nm: float) -> bool:
        if self._last is None or not self._noise.usual_nm:
            return False
        step = abs(peak_nm - HC_EV_NM / self._last.centre_ev)
        if step <= max(JUMP_NM, JUMP_SD * sigma_nm):
            self._jumps.clear()
            return False
        self._jumps = [*self._jumps, peak_nm]
        if len(self._jumps) >= JUMPS and max(self._jumps) - min(self._jumps) < step:
            # The same new place three times over is where the peak is now.
            self._jumps.clear()
            self._noise.restart()
            return False
        return True

    def _lose(self) -> None:
        self._lost += 1
        if self._lost >= LOST_FRAMES and self._last is not None:
            self._near_nm, self._last = HC_EV_NM / self._last.centre_ev, None
            self._noise.restart()

    def _reason(self, frame: _Frame, known: Fit | None) -> tuple[str, ...]:
        if known is not None:
            return _fatal(frame, known) or ("no_peak",)
        if not frame.good.any():
            return _words(int(np.bitwise_or.reduce(frame.flags)))
        return ("no_peak",)


class _TrackNoise:
    """Learns by how much the peaks scatter more, or less, than each fit alone believes.

    Second differences of the track leave out its slope. They see what the residuals of one fit
    cannot: smoothing in the spectrometer, a wrong noise model, flicker of the lamp.
    """

    PRIOR_FRAMES = 8.0
    MEMORY_FRAMES = 40.0

    def __init__(self) -> None:
        self._sum = self._count = self.usual_nm = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=3)

    def learn(self, peak_nm: float, sigma_nm: float) -> None:
        self._recent.append((peak_nm, sigma_nm))
        self.usual_nm = sigma_nm
        if len(self._recent) < 3:
            return
        (p0, s0), (p1, s1), (p2, s2) = self._recent
        ratio = (p0 - 2.0 * p1 + p2) ** 2 / (s0**2 + 4.0 * s1**2 + s2**2)
        keep = 1.0 - 1.0 / self.MEMORY_FRAMES
        self._sum = keep * self._sum + min(ratio, 9.0 * max(self._variance(1.0), 1.0))
        self._count = keep * self._count + 1.0

    def restart(self) -> None:
        self._recent.clear()

    def factor(self, chi2: float) -> float:
        """Give what to multiply the sd of a fit with."""
        return math.sqrt(self._variance(max(chi2, 1.0)))

    def _variance(self, prior: float) -> float:
        return (self.PRIOR_FRAMES * prior + self._sum) / (self.PRIOR_FRAMES + self._count)


def _frame(wavelength_nm: Floats, absorbance: Floats, sigma: Floats, flags: Flags | None) -> _Frame:
    marked = np.zeros(wavelength_nm.shape, np.uint8) if flags is None else flags.copy()
    usable = np.isfinite(absorbance) & np.isfinite(sigma) & (sigma > 0.0)
    marked[~usable & (marked == 0)] |= PixelFlag.INVALID.value
    return _Frame(HC_EV_NM / wavelength_nm, absorbance, sigma, marked)


def _fatal(frame: _Frame, found: Fit) -> tuple[str, ...]:
    """Name what makes the pixels around the peak unfit, or give ()."""
    reach = REACH_HWHM * found.hwhm_ev
    ends = (-found.centre_ev - reach, -found.centre_ev + reach)
    first, last = np.searchsorted(-frame.energy_ev, ends)
    flags = frame.flags[first:last]
    if not flags.size:
        return ("no_peak",)
    saturated = bool((flags & PixelFlag.SATURATED.value).any())
    if saturated or np.count_nonzero(flags) > BAD_PART * flags.size:
        return _words(int(np.bitwise_or.reduce(flags)))
    return ()


def _words(flags: int) -> tuple[str, ...]:
    return tuple(f.name.lower() for f in PixelFlag if f & flags and f.name)


def _nothing(flags: tuple[str, ...]) -> PeakEstimate:
    return PeakEstimate(math.nan, math.nan, "BAD", flags)


def _local_maximum(window: Window) -> float:
    """Give the energy of the highest point inside a window (eV), NaN where it only rises."""
    smooth = np.convolve(window.absorbance, np.full(5, 0.2), mode="valid")
    top = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])) + 1
    if not top.size:
        return math.nan
    best = int(top[np.argmax(smooth[top])])
    left, middle, right = smooth[best - 1 : best + 2].tolist()
    offset = 0.5 * (left - right) / (left - 2.0 * middle + right)
    energy = window.energy_ev[2:-2]
    return float(energy[best] + offset * (energy[best + 1] - energy[best]))
