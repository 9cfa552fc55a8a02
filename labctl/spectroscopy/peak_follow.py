"""Learns a template from the first good frames and reads the frames that follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.frame_noise import FrameNoise
from labctl.spectroscopy.peak_fit import Fit, Pixels
from labctl.spectroscopy.template import Bell, Shape, Sight, State, around, learn, read

Floats = NDArray[np.float64]

LEARN_FRAMES = 10


class Learner:
    """Collects the first good frames of a sample until they make a template."""

    def __init__(self) -> None:
        self._frames: list[Pixels] = []
        self._fits: list[Fit] = []

    def collect(self, pixels: Pixels, found: Fit, sd_ev: float) -> Follower | None:
        """Take in a frame, its local fit and the sd of that; the last one needed gives a result."""
        copy = replace(pixels, absorbance=pixels.absorbance.copy(), sigma=pixels.sigma.copy())
        self._frames.append(copy)
        self._fits.append(found)
        if len(self._frames) < LEARN_FRAMES:
            return None
        follower = self._learn(sd_ev / math.sqrt(LEARN_FRAMES))
        self._frames.clear()
        self._fits.clear()
        return follower

    def _learn(self, anchor_sd_ev: float) -> Follower | None:
        centre = float(np.mean([f.centre_ev for f in self._fits]))
        hwhm = median(f.hwhm_ev for f in self._fits)
        bell = Bell(centre, hwhm, median(f.height_au for f in self._fits))
        # The fits place the frames to 0.5 nm; against a first template they fall into line.
        shape = self._shaped([f.centre_ev - centre for f in self._fits], bell)
        sights = self._sights(shape, [f.centre_ev - centre for f in self._fits])
        if not sights:
            return None
        shifts = np.array([s.state.shift_ev for s in sights])
        shifts -= shifts.mean()
        shape = self._shaped(shifts.tolist(), bell)
        sights = self._sights(shape, shifts.tolist())
        return Follower(shape, sights, anchor_sd_ev) if shape and sights else None

    def _shaped(self, shifts_ev: Sequence[float], bell: Bell) -> Shape | None:
        windows = [around(p, bell, d) for p, d in zip(self._frames, shifts_ev, strict=True)]
        found = [w for w in windows if w]
        return learn(found, shifts_ev, bell) if len(found) == len(windows) else None

    def _sights(self, shape: Shape | None, shifts_ev: Sequence[float]) -> list[Sight]:
        if shape is None:
            return []
        states = [State(shift_ev=d) for d in shifts_ev]
        sights = [read(shape, p, s, 1.0) for p, s in zip(self._frames, states, strict=True)]
        found = [s for s in sights if s]
        return found if len(found) == len(sights) else []


class Follower:
    """Reads frames against a template.

    `first` are the frames that it was learnt from; `anchor_sd_ev` is the sd of its absolute place.
    """

    def __init__(self, shape: Shape, first: Sequence[Sight], anchor_sd_ev: float) -> None:
        self.anchor_sd_ev = anchor_sd_ev
        self._shape = shape
        self._state = State()
        self._noise = FrameNoise()
        for sight in first:
            self.accept(sight)

    def read(self, pixels: Pixels, from_ev: float | None = None) -> Sight | None:
        """Read a frame, from where the peak last stood or from a centre; None if that fails."""
        state = self._state
        if from_ev is not None:
            state = replace(state, shift_ev=from_ev - self._shape.bell.centre_ev)
        return read(self._shape, pixels, state, self._noise.variance)

    def accept(self, sight: Sight) -> None:
        """Go on from a frame that was found good."""
        noise = self._noise
        noise.learn(sight.residual, (sight.rows,), sight.window.size)
        self._state = replace(
            sight.state,
            moved_ev=sight.state.shift_ev - self._state.shift_ev,
            spread=sight.state.spread * noise.variance,
        )

    def departure(self, sight: Sight) -> float:
        """Give by how much the residuals differ from the last ones, 1 for noise; NaN at first."""
        return self._noise.departure(sight.residual)

    def in_noise(self, sight: Sight) -> Floats:
        """Give the residuals (n,) in units of the noise as it is known."""
        return np.asarray(sight.residual / math.sqrt(self._noise.variance))

    def surprise(self, sight: Sight) -> float:
        """Give how unlikely the change of the widths is, as a chi² of two degrees of freedom."""
        return sight.surprise / self._noise.variance

    def bell(self, sight: Sight | None = None) -> Bell:
        """Give the 1S component as a frame shows it, or as it last was."""
        state = self._state if sight is None else sight.state
        bell, wider = self._shape.bell, 1.0 + float(state.form[:2].sum())
        return Bell(
            bell.centre_ev + state.shift_ev,
            bell.hwhm_ev * wider,
            bell.height_au * state.scale / wider,
        )

    def sd_ev(self, sight: Sight) -> float:
        """Give the calibrated standard deviation of a shift."""
        return sight.shift_sd_ev * self._noise.factor(sight.influence, sight.chi2)

    def significance(self, sight: Sight) -> float:
        """Give the height of what was found in units of its sd."""
        return sight.state.scale / (sight.scale_sd * math.sqrt(self._noise.variance))
