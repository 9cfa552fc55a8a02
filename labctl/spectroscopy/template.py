"""The shape of a spectrum around its 1S peak, learnt in the run, and its shift read from frames.

A frame is the template moved along the energy axis, scaled, slightly changed in form, on an
offset, a slope and turbidity (energy to the fourth). All of that is linear for small moves, so a
frame costs one weighted solve. Shift, scale and background are free in each frame. The form is
slow: the width of all states, the width of the 1S, and its strength against the absorption to the
blue, which does not move along with it. A Kalman filter follows these three, so that they cost
little precision and leave little bias behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.peak_fit import SD_TO_HWHM, Pixels, Window, cut

Floats = NDArray[np.float64]

RED_HWHM, BLUE_HWHM = 3.0, 2.5
"""Reach of what is compared; the margin beyond feeds the derivatives at its ends."""
MARGIN_HWHM = 0.4
TABLE_PER_HWHM = 32
KNOTS_PER_HWHM = 4
STIFFNESS = 1e-7
STEPS = 6
LINEAR_HWHM = 0.03
"""A move below this is small enough for the derivatives taken where it began."""
LARGEST_MOVE_HWHM = 0.5
FORM_PER_FRAME = (3e-4, 1.5e-4, 3e-4)
FORM_PER_HWHM = (0.1, 0.05, 0.1)
"""How much the form may change (sd): width of all states, width of the 1S alone, its strength; per
frame in any case, and per half-width that the peak moved, for it is movement that changes it."""
BLUR = 1.0 / SD_TO_HWHM**2
SHIFT, SCALE, FORM = 0, 1, slice(2, 5)
"""Places in a solution; offset, slope and turbidity follow."""


@dataclass(frozen=True, slots=True)
class Bell:
    """A 1S component: centre and half-width at half maximum in eV, height in AU."""

    centre_ev: float
    hwhm_ev: float
    height_au: float


@dataclass(frozen=True, slots=True)
class State:
    """Where a sample stands against its template, taken from frame to frame.

    `moved_ev` is by how much the shift has changed since the frame before; `form` (3,) the relative
    growth of the width by all states and by the 1S alone, and of the strength of the 1S; `spread`
    (3, 3) its covariance.
    """

    shift_ev: float = 0.0
    moved_ev: float = 0.0
    scale: float = 1.0
    form: Floats = field(default_factory=lambda: np.zeros(3))
    spread: Floats = field(default_factory=lambda: np.zeros((3, 3)))


@dataclass(frozen=True, slots=True)
class Sight:
    """What one frame says: its state, and how well it fits.

    The sds are plain, as if the reported sigma were true. `residual`, `influence` (n,) and
    `rows` (8, n) as in Fit.
    """

    state: State
    shift_sd_ev: float
    scale_sd: float
    surprise: float
    chi2: float
    residual: Floats
    influence: Floats
    rows: Floats
    window: Window


@dataclass(frozen=True, slots=True)
class Shape:
    """A learnt template over x = (E - centre) / hwhm of its 1S, where the shift is 0.

    `tables` (8, m) hold value, slope, second and third derivative by x, of the whole and of the 1S
    alone, from `first_x` in steps of 1 / TABLE_PER_HWHM.
    """

    bell: Bell
    first_x: float
    tables: Floats

    def columns(self, x: Floats, form: Floats) -> Floats:
        """Give minus slope, value and what each part of the form adds at x (n,), (5, n)."""
        value, slope, bend, third, own, own_slope, own_bend, own_third = self.tables
        whole, alone, strength = (form * (BLUR, BLUR, 1.0)).tolist()
        rows = np.stack(
            (
                -(slope + whole * third + alone * own_third + strength * own_slope),
                value + whole * bend + alone * own_bend + strength * own,
                BLUR * bend,
                BLUR * own_bend,
                own,
            )
        )
        place = (x - self.first_x) * TABLE_PER_HWHM
        low = np.clip(place.astype(np.intp), 0, rows.shape[1] - 2)
        below = rows[:, low]
        return np.asarray(below + (place - low) * (rows[:, low + 1] - below))


def around(pixels: Pixels, bell: Bell, shift_ev: float) -> Window | None:
    """Cut what a template needs of a frame whose shape stands at a shift, or None."""
    reach = (RED_HWHM + MARGIN_HWHM, BLUE_HWHM + MARGIN_HWHM)
    return cut(pixels, (bell.centre_ev + shift_ev, bell.hwhm_ev), reach)


def learn(windows: Sequence[Window], shifts_ev: Sequence[float], bell: Bell) -> Shape:
    """Learn the shape that windows cut by `around` share when each is moved back by its shift."""
    red, blue = RED_HWHM + MARGIN_HWHM, BLUE_HWHM + MARGIN_HWHM
    grid = np.arange(-red, blue, 1.0 / TABLE_PER_HWHM)
    knots = np.arange(-red, blue + 1.0 / KNOTS_PER_HWHM, 1.0 / KNOTS_PER_HWHM)
    normal, target = np.zeros((knots.size, knots.size)), np.zeros(knots.size)
    # Window by window: the matrices stay too small for threads, which cost more than they give.
    for window, shift in zip(windows, shifts_ev, strict=True):
        x = (window.energy_ev - shift - bell.centre_ev) / bell.hwhm_ev
        design = _splines(x, knots) / window.sigma[:, None]
        normal += design.T @ design
        target += design.T @ (window.absorbance / window.sigma)
    bends = np.diff(np.eye(knots.size), 3, axis=0)
    normal += STIFFNESS * np.trace(normal) / knots.size * (bends.T @ bends)
    smooth = _splines(grid, knots) @ np.linalg.solve(normal, target)
    own = bell.height_au * np.exp(-math.log(2.0) * grid * grid)
    return Shape(bell, float(grid[0]), np.concatenate((_derivatives(smooth), _derivatives(own))))


def read(shape: Shape, pixels: Pixels, start: State, noise: float) -> Sight | None:
    """Read a frame against the template from the last state, or None where that leads nowhere.

    `noise` is the variance of the noise over the reported one; it weighs the frame against what
    is known of the form.
    """
    moved = start.moved_ev / shape.bell.hwhm_ev
    drift = np.square(FORM_PER_FRAME) + np.square(np.multiply(FORM_PER_HWHM, moved))
    known = start.spread + np.diag(drift)
    prior = np.asarray(np.linalg.inv(known) * noise / start.scale**2, np.float64)
    shift = start.shift_ev
    for _ in range(STEPS):
        window = around(pixels, shape.bell, shift)
        found = None if window is None else _solve(shape, window, start, shift, prior)
        if found is None:
            return None
        move = (found.state.shift_ev - shift) / shape.bell.hwhm_ev
        if abs(move) < LINEAR_HWHM:
            return found
        shift += min(max(move, -LARGEST_MOVE_HWHM), LARGEST_MOVE_HWHM) * shape.bell.hwhm_ev
    return None


def _solve(
    shape: Shape, window: Window, start: State, shift_ev: float, prior: Floats
) -> Sight | None:
    """Solve one frame around a shift; `prior` (3, 3) is the information on the form."""
    bell = shape.bell
    x = (window.energy_ev - shift_ev - bell.centre_ev) / bell.hwhm_ev
    first, last = np.searchsorted(-x, (-BLUE_HWHM, RED_HWHM)).tolist()
    part = slice(first, last)
    x, root = x[part], 1.0 / window.sigma[part]
    turbid = (window.energy_ev[part] / bell.centre_ev) ** 4
    background = np.stack((np.ones_like(x), x, turbid))
    rows = np.concatenate((shape.columns(x, start.form), background)) * root
    size = 1.0 / np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows *= size[:, None]
    data = window.absorbance[part] * root
    normal = rows @ rows.T
    normal[FORM, FORM] += prior * np.outer(size[FORM], size[FORM])
    try:
        inverse = np.linalg.inv(normal)
    except np.linalg.LinAlgError:
        return None
    solution = inverse @ (rows @ data)
    residual = data - solution @ rows
    solution *= size
    spread: Floats = np.asarray(inverse * np.outer(size, size), np.float64)
    scale = float(solution[SCALE])
    if not 0.0 < scale < math.inf or x.size <= solution.size:
        return None
    to_ev = bell.hwhm_ev / scale
    now_ev = shift_ev + float(solution[SHIFT]) * to_ev
    return Sight(
        State(
            now_ev,
            start.moved_ev,
            scale,
            start.form + solution[FORM] / scale,
            np.asarray(spread[FORM, FORM] / scale**2),
        ),
        math.sqrt(max(float(spread[SHIFT, SHIFT]), 0.0)) * to_ev,
        math.sqrt(max(float(spread[SCALE, SCALE]), 0.0)),
        float(solution[FORM] @ prior @ solution[FORM]),
        float(residual @ residual) / (x.size - solution.size),
        residual,
        (inverse[SHIFT] @ rows) * (size[SHIFT] * to_ev),
        rows,
        window,
    )


def _splines(x: Floats, knots: Floats) -> Floats:
    """Give the cubic B-splines centred on evenly spaced knots (k,) at x (n,), (n, k)."""
    away = np.abs(np.subtract.outer(x, knots)) * KNOTS_PER_HWHM
    near = 2.0 / 3.0 - away**2 + 0.5 * away**3
    far = np.maximum(2.0 - away, 0.0) ** 3 / 6.0
    return np.where(away < 1.0, near, far)


def _derivatives(values: Floats) -> Floats:
    """Stack values on the table's grid and their first three derivatives, (4, m)."""
    rows = [values]
    for _ in range(3):
        rows.append(np.gradient(rows[-1], 1.0 / TABLE_PER_HWHM))
    return np.stack(rows)
