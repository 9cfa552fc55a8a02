"""A Gaussian in energy on a cubic background, fitted by variable projection.

Only the centre and the width enter nonlinearly; height and background are solved for in closed
form at every step, and the steps use the Jacobian with that part projected out (Kaufman, BIT 15
(1975) 49). Its normal matrix is the exact Fisher information of centre and width, so the standard
deviations need no further work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SD_TO_HWHM = math.sqrt(2.0 * math.log(2.0))
RED_HWHM, BLUE_HWHM = 2.6, 2.0
"""Reach of the window to either side of the centre; further to the blue other transitions begin."""
NARROWEST_EV, WIDEST_EV = 0.03, 0.30
LARGEST_STEP_EV = 0.02
FEWEST_PIXELS = 25
BIN_PER_HWHM = 16.0
CONVERGED = 0.05
"""A step below this part of the centre's own sd ends the search."""
NO_WEIGHT = 1e-9


@dataclass(frozen=True, slots=True)
class Pixels:
    """One spectrum, arrays (n,): energy (eV, descending), absorbance, sigma (AU), fit for use."""

    energy_ev: Floats
    absorbance: Floats
    sigma: Floats
    good: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a spectrum a fit sees, in bins: energy (eV), absorbance, sigma, all (n,).

    Each bin is the weighted mean of `size` pixels.
    """

    energy_ev: Floats
    absorbance: Floats
    sigma: Floats
    size: int = 1


@dataclass(frozen=True, slots=True)
class Fit:
    """Centre, half-width at half maximum and their sds in eV; height and its sd in AU.

    `chi2` is reduced; `residual` (n,) is in units of sigma; `influence` (n,) is by how much the
    centre (eV) moves with each residual; `columns` (n, 7) span what the model can take up, in
    units of sigma; `converged` is False where the steps did not settle or left the window.
    """

    centre_ev: float
    centre_sd_ev: float
    hwhm_ev: float
    hwhm_sd_ev: float
    height_au: float
    height_sd_au: float
    chi2: float
    residual: Floats
    influence: Floats
    columns: Floats
    converged: bool


def cut(
    pixels: Pixels,
    span_ev: tuple[float, float],
    reach_hwhm: tuple[float, float] = (RED_HWHM, BLUE_HWHM),
) -> Window | None:
    """Cut the surroundings of a peak out of a spectrum, binned; `span_ev` is centre and hwhm.

    Bins are a sixteenth of a half-width, which a feature of this width cannot tell from pixels.
    `reach_hwhm` is to the red and to the blue. None where too few pixels lie there.
    """
    (centre, hwhm), (red, blue) = span_ev, reach_hwhm
    ends = (-(centre + blue * hwhm), -(centre - red * hwhm))
    first, last = np.searchsorted(-pixels.energy_ev, ends).tolist()
    if last - first < FEWEST_PIXELS:
        return None
    pitch = float(pixels.energy_ev[first] - pixels.energy_ev[last - 1]) / (last - first)
    size = max(1, int(hwhm / BIN_PER_HWHM / pitch))
    count = (last - first) // size
    part, shape = slice(first, first + count * size), (count, size)
    energy, value, good = pixels.energy_ev[part], pixels.absorbance[part], pixels.good[part]
    weight = pixels.sigma[part] ** -2.0
    if not good.all():
        weight, value = np.where(good, weight, NO_WEIGHT), np.where(good, value, 0.0)
    ones = np.ones(size)
    total = weight.reshape(shape) @ ones
    mean = ((weight * value).reshape(shape) @ ones) / total
    middle = ((weight * energy).reshape(shape) @ ones) / total
    return Window(middle, mean, total**-0.5, size)


def fit(window: Window, centre_ev: float, hwhm_ev: float, steps: int = 30) -> Fit:
    """Fit from a start in eV by damped Gauss-Newton steps; never raises on noise."""
    model = _Model(window)
    state = model.at(centre_ev, hwhm_ev)
    damping, converged = 1e-3, False
    for _ in range(steps):
        move = state.step(damping)
        reach = float(np.abs(move).max())
        if reach < CONVERGED * state.sds()[0]:
            converged = True
            break
        if reach > LARGEST_STEP_EV:
            move *= LARGEST_STEP_EV / reach
        width = min(max(state.hwhm_ev + float(move[1]), NARROWEST_EV), WIDEST_EV)
        trial = model.at(state.centre_ev + float(move[0]), width)
        if trial.cost > state.cost * (1.0 + 1e-12):
            damping *= 10.0
            if damping > 1e6:
                break
            continue
        state, damping = trial, damping * 0.2
    return model.result(state, converged)


@dataclass(frozen=True, slots=True)
class _State:
    """One point of the search: parameters, projected residual (n,), Jacobian (n, 2), columns."""

    centre_ev: float
    hwhm_ev: float
    height_au: float
    cost: float
    residual: Floats
    jacobian: Floats
    columns: Floats

    def step(self, damping: float) -> Floats:
        normal = self.jacobian.T @ self.jacobian
        normal[0, 0] *= 1.0 + damping
        normal[1, 1] *= 1.0 + damping
        return _solve2(normal, self.jacobian.T @ self.residual)

    def influence(self) -> Floats:
        """Give the row of the pseudo-inverse that belongs to the centre, (n,)."""
        (a, b), (_, d) = (self.jacobian.T @ self.jacobian).tolist()
        determinant = a * d - b * b
        if not determinant > 0.0:
            return np.full(self.residual.size, math.nan)
        return np.asarray(self.jacobian @ np.array([d / determinant, -b / determinant]))

    def sds(self) -> tuple[float, float]:
        (a, b), (_, d) = (self.jacobian.T @ self.jacobian).tolist()
        determinant = a * d - b * b
        if not determinant > 0.0:
            return math.inf, math.inf
        return math.sqrt(d / determinant), math.sqrt(a / determinant)


class _Model:
    """The design of one window; background columns are made once."""

    def __init__(self, window: Window) -> None:
        self._energy = window.energy_ev
        self._root = 1.0 / window.sigma
        self._data = window.absorbance * self._root
        low, high = float(self._energy.min()), float(self._energy.max())
        x = (2.0 * self._energy - low - high) / (high - low)
        powers = np.stack((np.ones_like(x), x, x * x, x * x * x), axis=1)
        self._background, _ = np.linalg.qr(powers * self._root[:, None])
        self._flat = self._data - self._background @ (self._background.T @ self._data)
        self._low, self._high = low, high

    def at(self, centre_ev: float, hwhm_ev: float) -> _State:
        sd = hwhm_ev / SD_TO_HWHM
        away = (self._energy - centre_ev) / sd
        bell = np.exp(-0.5 * away * away) * self._root
        columns = np.stack((bell, bell * away / sd, bell * away * away / hwhm_ev), axis=1)
        columns -= self._background @ (self._background.T @ columns)
        flat_bell = columns[:, 0]
        size = float(flat_bell @ flat_bell)
        height = float(flat_bell @ self._flat) / size if size > 0.0 else 0.0
        residual = self._flat - height * flat_bell
        slopes = height * columns[:, 1:]
        if size > 0.0:
            slopes = slopes - np.outer(flat_bell, flat_bell @ slopes) / size
        return _State(
            centre_ev,
            hwhm_ev,
            height,
            float(residual @ residual),
            residual,
            slopes,
            columns,
        )

    def result(self, state: _State, converged: bool) -> Fit:
        centre_sd, hwhm_sd = state.sds()
        freedom = max(state.residual.size - 7, 1)
        inside = self._low < state.centre_ev < self._high
        return Fit(
            state.centre_ev,
            centre_sd,
            state.hwhm_ev,
            hwhm_sd,
            state.height_au,
            self._height_sd(state.columns, state.height_au),
            state.cost / freedom,
            state.residual,
            state.influence(),
            np.concatenate((self._background, state.columns), axis=1),
            converged and inside and math.isfinite(centre_sd),
        )

    @staticmethod
    def _height_sd(columns: Floats, height: float) -> float:
        normal = columns.T @ columns
        (a, b), (_, d) = normal[1:, 1:].tolist()
        determinant = a * d - b * b
        if height == 0.0 or not determinant > 0.0:
            return math.inf
        explained = normal[0, 1:] @ _solve2(normal[1:, 1:], normal[0, 1:])
        left = float(normal[0, 0] - explained)
        return 1.0 / math.sqrt(left) if left > 0.0 else math.inf


def _solve2(normal: Floats, target: Floats) -> Floats:
    (a, b), (_, d) = normal.tolist()
    p, q = target.tolist()
    determinant = a * d - b * b
    if not abs(determinant) > 0.0 or not math.isfinite(determinant):
        return np.zeros(2)
    return np.array([(d * p - b * q) / determinant, (a * q - b * p) / determinant])
