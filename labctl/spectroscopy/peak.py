"""Finds the first exciton (1S) peak in a spectrum and follows it through a run.

"The peak" is the centre of the 1S component in energy. The local maximum lies 4-5 nm to the blue
of it, pulled by the absorption that rises there, and a shoulder has none; it is reported beside.

Two layers: the local physical fit says where the peak stands, the template learnt from the first
good frames by how much it has moved since. Until it is learnt, and for a single spectrum, there is
the fit alone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy import peak_seed
from labctl.spectroscopy.absorbance import PixelFlag
from labctl.spectroscopy.peak_estimate import (
    PeakEstimate,
    gaussian_area,
    landmarks,
    nothing,
)
from labctl.spectroscopy.peak_fit import Fit, Pixels
from labctl.spectroscopy.peak_follow import Follower, Learner
from labctl.spectroscopy.peak_gates import Gates, Place, nm_of
from labctl.spectroscopy.peak_local import LocalEstimator
from labctl.spectroscopy.temperature import HC_EV_NM
from labctl.spectroscopy.template import Bell, Sight, around

__all__ = ["PeakEstimate", "PeakTracker"]

Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]

SIGNIFICANT = 5.0
LARGEST_SIGMA_NM = 5.0
MISFIT, MISFIT_OF_TEMPLATE = 4.0, 2.0
"""Residuals that changed by this many times the noise are a bubble or a lamp, not the sample."""
SURPRISE = 30.0
"""So is a broadening this unlikely (chi² of 2) after the frame before."""
REACH_HWHM = 2.0
BAD_PART = 0.02
LOST_FRAMES = 5
MODEL_ERROR_HWHM = (0.035, 0.07)
"""What higher transitions leaning into the window can do to the fitted centre: peak, shoulder."""


class PeakTracker:
    """Follows one sample's 1S peak, warm from frame to frame; feed it frames in order.

    `start_near_nm` is where the recipe expects it (searched ± 40 nm); None searches the whole
    spectrum. A frame with saturated, dark or opaque pixels in the window is BAD and leaves no
    trace in the tracker.
    """

    def __init__(self, start_near_nm: float | None = None) -> None:
        self._lost = 0
        self._begin(start_near_nm)

    def update(
        self, wavelength_nm: Floats, absorbance: Floats, sigma: Floats, flags: Flags | None = None
    ) -> PeakEstimate:
        """Estimate the peak of one frame; arrays of shape (n,), `wavelength_nm` ascending.

        `flags` are PixelFlags; pixels that are not finite, or whose sigma is not above 0, count as
        INVALID in any case.
        """
        # Absurd pixels make infinities on the way; what comes out of them is judged, not raised.
        with np.errstate(all="ignore"):
            marked = _marked(absorbance, sigma, flags)
            pixels = Pixels(HC_EV_NM / wavelength_nm, absorbance, sigma, np.equal(marked, 0))
            return self._followed(pixels, marked) or self._fitted(pixels, marked)

    def _begin(self, near_nm: float | None) -> None:
        self._local = LocalEstimator(near_nm)
        self._learner = Learner()
        self._follower: Follower | None = None
        self._gates = Gates()

    def _followed(self, pixels: Pixels, marked: Flags) -> PeakEstimate | None:
        """Read the frame against the template; None where there is none, or it no longer holds."""
        follower = self._follower
        if follower is None:
            return None
        wrong = _fatal(pixels, marked, follower.bell())
        if wrong:
            return None if self._stands_elsewhere(pixels, marked) else self._lose(wrong)
        sight = follower.read(pixels) or self._found_anew(pixels, follower)
        if sight is None or follower.significance(sight) < SIGNIFICANT:
            return self._astray(follower)
        sd_ev = follower.sd_ev(sight)
        absolute = math.hypot(sd_ev, follower.anchor_sd_ev)
        bell = follower.bell(sight)
        departure, surprise = follower.departure(sight), follower.surprise(sight)
        # The departure comes second: where it is NaN, `max` leaves it out.
        misfit = max(surprise / SURPRISE, departure / MISFIT_OF_TEMPLATE)
        residual = follower.in_noise(sight)
        place = Place(bell, sd_ev, absolute, misfit, residual, sight.window)
        flags = self._gates.judge(place)
        if flags and self._gates.settled:
            if "misfit" in flags:
                self._begin(nm_of(bell.centre_ev))
                return None
            flags = self._gates.take(place)
        if not flags:
            follower.accept(sight)
        return self._told(place, flags)

    def _stands_elsewhere(self, pixels: Pixels, marked: Flags) -> bool:
        """Begin anew where a peak stands in good pixels, once its last place has long been bad."""
        if self._lost + 1 < LOST_FRAMES:
            return False
        found, _ = peak_seed.cold(pixels, self._gates.last_nm)
        if found is None or _unsound(found):
            return False
        if _fatal(pixels, marked, Bell(found.centre_ev, found.hwhm_ev, found.height_au)):
            return False
        self._begin(nm_of(found.centre_ev))
        return True

    def _found_anew(self, pixels: Pixels, follower: Follower) -> Sight | None:
        """Look for a peak that has moved further than the template reaches."""
        found, _ = peak_seed.cold(pixels, self._gates.last_nm or nm_of(follower.bell().centre_ev))
        return follower.read(pixels, found.centre_ev) if found else None

    def _astray(self, follower: Follower) -> PeakEstimate | None:
        """Give a frame up to which the template does not lead; None once a new start is due."""
        self._gates.interrupt()
        self._lost += 1
        if self._lost < LOST_FRAMES:
            return nothing(("no_peak",))
        self._begin(nm_of(follower.bell().centre_ev))
        return None

    def _fitted(self, pixels: Pixels, marked: Flags) -> PeakEstimate:
        """Fit the frame with no template: the first frames, aliquots, a new start."""
        known, found = self._local.last, self._local.look(pixels)
        if found is None:
            return self._lose(_why_nothing(pixels, marked, known))
        bell = Bell(found.centre_ev, found.hwhm_ev, found.height_au)
        wrong = _fatal(pixels, marked, bell) or _unsound(found)
        if wrong:
            return self._lose(wrong)
        sd_ev = self._local.sd_ev(found)
        whole = around(pixels, bell, 0.0)
        misfit = self._local.departure(found) / MISFIT
        place = Place(bell, sd_ev, sd_ev, misfit, self._local.in_noise(found), whole)
        flags = self._gates.judge(place)
        if flags and self._gates.settled:
            self._begin(nm_of(bell.centre_ev))
            flags = self._gates.judge(place)
        if not flags:
            self._local.learn(found)
            self._follower = self._learner.collect(pixels, found, sd_ev)
        return self._told(place, flags)

    def _told(self, place: Place, flags: tuple[str, ...]) -> PeakEstimate:
        self._lost = 0
        bell, to_nm = place.bell, HC_EV_NM / place.bell.centre_ev**2
        sigma_nm = place.sigma_nm * self._gates.noise.factor()
        if not sigma_nm <= LARGEST_SIGMA_NM:
            flags = (*flags, "imprecise")
        seen = landmarks(place.window, bell.centre_ev, bell.hwhm_ev)
        share = MODEL_ERROR_HWHM[math.isnan(seen.local_maximum_nm)]
        hwhm_nm = bell.hwhm_ev * to_nm
        return PeakEstimate(
            place.peak_nm,
            sigma_nm,
            "UNCERTAIN" if flags else "GOOD",
            flags,
            hwhm_nm,
            seen.optical_density,
            seen.local_maximum_nm,
            math.hypot(place.absolute_sd_ev * to_nm, share * hwhm_nm),
            gaussian_area(bell.height_au, bell.hwhm_ev),
            seen.valley_depth,
        )

    def _lose(self, flags: tuple[str, ...]) -> PeakEstimate:
        self._lost += 1
        self._gates.interrupt()
        forgets = self._follower is None and self._lost >= LOST_FRAMES
        if forgets and self._local.last is not None:
            self._begin(nm_of(self._local.last.centre_ev))
        return nothing(flags)


def _marked(absorbance: Floats, sigma: Floats, flags: Flags | None) -> Flags:
    marked = np.zeros(absorbance.shape, np.uint8) if flags is None else flags.copy()
    usable = np.isfinite(absorbance) & np.isfinite(sigma) & (sigma > 0.0)
    marked[~usable & (marked == 0)] |= PixelFlag.INVALID.value
    return marked


def _why_nothing(pixels: Pixels, marked: Flags, known: Fit | None) -> tuple[str, ...]:
    if known is not None:
        bell = Bell(known.centre_ev, known.hwhm_ev, known.height_au)
        return _fatal(pixels, marked, bell) or ("no_peak",)
    if not pixels.good.any():
        return _words(int(np.bitwise_or.reduce(marked)))
    return ("no_peak",)


def _unsound(found: Fit) -> tuple[str, ...]:
    if not found.converged:
        return ("not_converged",)
    return ("no_peak",) if found.height_au < SIGNIFICANT * found.height_sd_au else ()


def _fatal(pixels: Pixels, marked: Flags, bell: Bell) -> tuple[str, ...]:
    """Name what makes the pixels around the peak unfit, or give ()."""
    reach = REACH_HWHM * bell.hwhm_ev
    ends = (-bell.centre_ev - reach, -bell.centre_ev + reach)
    first, last = np.searchsorted(-pixels.energy_ev, ends)
    flags = marked[first:last]
    if not flags.size:
        return ("no_peak",)
    saturated = bool((flags & PixelFlag.SATURATED.value).any())
    if saturated or np.count_nonzero(flags) > BAD_PART * flags.size:
        return _words(int(np.bitwise_or.reduce(flags)))
    return ()


def _words(flags: int) -> tuple[str, ...]:
    return tuple(f.name.lower() for f in PixelFlag if f & flags and f.name)
