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
CONVERGED = 0.1
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

    Each bin is the weighted mean of `size` pixels; the first of all is pixel `first`.
    """

    energy_ev: Floats
    absorbance: Floats
    sigma: Floats
    size: int = 1
    first: int = 0


@dataclass(frozen=True, slots=True)
class Fit:
    """Centre, half-width at half maximum and their sds in eV; height and its sd in AU.

    `chi2` is reduced; `residual` (n,) is in units of sigma; `influence` (n,) is by how much the
    centre (eV) moves with each residual; `rows` (4, n) and (3, n) span what the model can take
    up, in units of sigma; `converged` is False where the steps did not settle or left the window.
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
    rows: tuple[Floats, Floats]
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
    return Window(middle, mean, total**-0.5, size, first)


def fit(window: Window, centre_ev: float, hwhm_ev: float, steps: int = 30) -> Fit:
    """Fit from a start in eV by damped Gauss-Newton steps; never raises on noise."""
    model = _Model(window)
    state = model.at(centre_ev, hwhm_ev)
    damping, converged = 1e-3, False
    for _ in range(steps):
        move, wider = state.step(damping)
        reach = max(abs(move), abs(wider))
        if reach < CONVERGED * state.sds()[0]:
            converged = True
            break
        if reach > LARGEST_STEP_EV:
            move, wider = move * LARGEST_STEP_EV / reach, wider * LARGEST_STEP_EV / reach
        width = min(max(state.hwhm_ev + wider, NARROWEST_EV), WIDEST_EV)
        trial = model.at(state.centre_ev + move, width)
        if trial.cost > state.cost * (1.0 + 1e-12):
            damping *= 10.0
            if damping > 1e6:
                break
            continue
        state, damping = trial, damping * 0.2
    return model.result(state, converged)


@dataclass(frozen=True, slots=True)
class _State:
    """One point of the search: parameters, projected residual (n,), Jacobian (2, n), rows (3, n).

    `rows` are the bell and its derivatives by centre and width, all with the background taken out.
    """

    centre_ev: float
    hwhm_ev: float
    height_au: float
    cost: float
    residual: Floats
    jacobian: Floats
    rows: Floats

    def normal(self) -> tuple[float, float, float]:
        """Give the normal matrix of centre and width: a, b, d of ((a, b), (b, d))."""
        (a, b), (_, d) = (self.jacobian @ self.jacobian.T).tolist()
        return a, b, d

    def step(self, damping: float) -> tuple[float, float]:
        a, b, d = self.normal()
        p, q = (self.jacobian @ self.residual).tolist()
        return _solve2(a * (1.0 + damping), b, d * (1.0 + damping), p, q)

    def influence(self) -> Floats:
        """Give the row of the pseudo-inverse that belongs to the centre, (n,)."""
        a, b, d = self.normal()
        determinant = a * d - b * b
        if not determinant > 0.0:
            return np.full(self.residual.size, math.nan)
        return np.asarray((d * self.jacobian[0] - b * self.jacobian[1]) / determinant)

    def sds(self) -> tuple[float, float]:
        a, b, d = self.normal()
        determinant = a * d - b * b
        if not determinant > 0.0:
            return math.inf, math.inf
        return math.sqrt(d / determinant), math.sqrt(a / determinant)


class _Model:
    """The design of one window; background rows are made once."""

    def __init__(self, window: Window) -> None:
        self._energy = window.energy_ev
        self._root = 1.0 / window.sigma
        self._data = window.absorbance * self._root
        self._high, self._low = float(self._energy[0]), float(self._energy[-1])
        x = (self._energy - 0.5 * (self._high + self._low)) * (2.0 / (self._high - self._low))
        self._background = _orthonormal(x, self._root)
        self._flat = self._data - (self._background @ self._data) @ self._background

    def at(self, centre_ev: float, hwhm_ev: float) -> _State:
        away = (self._energy - centre_ev) * (SD_TO_HWHM / hwhm_ev)
        rows = np.empty((3, away.size))
        bell = np.exp(-0.5 * away * away, out=rows[0])
        bell *= self._root
        np.multiply(bell, away, out=rows[1])
        np.multiply(rows[1], away, out=rows[2])
        rows[1] *= SD_TO_HWHM / hwhm_ev
        rows[2] *= 1.0 / hwhm_ev
        rows -= (rows @ self._background.T) @ self._background
        flat_bell = rows[0]
        with_bell = (rows @ flat_bell).tolist()
        size = with_bell[0]
        height = float(flat_bell @ self._flat) / size if size > 0.0 else 0.0
        residual = self._flat - height * flat_bell
        slopes = height * rows[1:]
        if size > 0.0:
            slopes[0] -= (height * with_bell[1] / size) * flat_bell
            slopes[1] -= (height * with_bell[2] / size) * flat_bell
        cost = float(residual @ residual)
        return _State(centre_ev, hwhm_ev, height, cost, residual, slopes, rows)

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
            self._height_sd(state.rows, state.height_au),
            state.cost / freedom,
            state.residual,
            state.influence(),
            (self._background, state.rows),
            converged and inside and math.isfinite(centre_sd),
        )

    @staticmethod
    def _height_sd(rows: Floats, height: float) -> float:
        (a, b, c), (_, d, e), (_, _, f) = (rows @ rows.T).tolist()
        if height == 0.0 or not d * f - e * e > 0.0:
            return math.inf
        p, q = _solve2(d, e, f, b, c)
        left = a - b * p - c * q
        return 1.0 / math.sqrt(left) if left > 0.0 else math.inf


def _orthonormal(x: Floats, root: Floats) -> Floats:
    """Give weighted cubics over x (n,) in [-1, 1], made orthonormal by Cholesky, (4, n)."""
    powers = np.empty((4, x.size))
    powers[0] = root
    for i in range(3):
        np.multiply(powers[i], x, out=powers[i + 1])
    try:
        lower = np.linalg.cholesky(powers @ powers.T)
        return np.asarray(np.linalg.inv(lower) @ powers)
    except np.linalg.LinAlgError:
        return np.full_like(powers, math.nan)


def _solve2(a: float, b: float, d: float, p: float, q: float) -> tuple[float, float]:
    """Solve ((a, b), (b, d)) x = (p, q); nothing moves where that is singular."""
    determinant = a * d - b * b
    if not abs(determinant) > 0.0 or not math.isfinite(determinant):
        return 0.0, 0.0
    return (d * p - b * q) / determinant, (a * q - b * p) / determinant
