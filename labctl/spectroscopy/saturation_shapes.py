"""The courses a 1S peak may take: decays of five kinds, combined into a fixed list of models.

A *shape* runs from about 1 to 0 in time: exponential, stretched exponential, power law (order two
and its neighbours), or falls for ever: square root (diffusion), straight line. A *term* is made of
two neighbouring shapes (a, b) as the features `(a + b) / 2` and `(a - b) / 2`, so that a rate
between those of the grid is met as well. A *model* is one term or two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.intp]

EXPONENTIALS = 22
FASTEST_TAU_S = 12.0
STRETCHED = 12
STRETCHED_TAU_S = (10.0, 600.0)
BETAS = (0.5, 0.57, 0.64, 0.72, 0.82)
POWER_LAWS = 12
POWER_TAU_S = (8.0, 1500.0)
POWERS = (0.7, 1.0, 1.3, 1.7)
AGES_S = (0.0, 300.0, 1500.0)
"""How old a diffusion may be when the series begins."""

FIRST_SD_NM = 12.0
SECOND_SD_NM = 6.0
CHANCES = {
    "exponential": 0.50,
    "stretched": 0.20,
    "power law": 0.10,
    "two exponentials": 0.30,
    "exponential and line": 0.04,
    "exponential and root": 0.01,
    "root": 0.02,
}
"""How likely the kinds are, relative to each other, before anything was seen; shared evenly."""


@dataclass(frozen=True, slots=True)
class Model:
    """Two terms (the second may be the empty one), by number, and the log of its prior chance."""

    first: int
    second: int
    log_chance: float


class Shapes:
    """All shapes, terms and models for a slowest tail of `tau_max_s`; times in s from the start."""

    def __init__(self, tau_max_s: float) -> None:
        self.tau_max_s = tau_max_s
        unit = tau_max_s / 1500.0
        self._rates = 1.0 / np.geomspace(min(FASTEST_TAU_S, tau_max_s / 4), tau_max_s, EXPONENTIALS)
        stretched = 1.0 / (unit * np.geomspace(*STRETCHED_TAU_S, STRETCHED))
        self._stretched, self._betas = np.tile(stretched, len(BETAS)), np.repeat(BETAS, STRETCHED)
        power = 1.0 / (unit * np.geomspace(*POWER_TAU_S, POWER_LAWS))
        self._power, self._powers = np.tile(power, len(POWERS)), np.repeat(POWERS, POWER_LAWS)
        self._ages = np.array(AGES_S)
        self._pair_up()

    def _pair_up(self) -> None:
        blocks = [EXPONENTIALS, *[STRETCHED] * len(BETAS), *[POWER_LAWS] * len(POWERS)]
        ends = np.cumsum([0, *blocks])
        runs = [list(pairwise(range(a, b))) for a, b in pairwise(ends.tolist())]
        single = int(ends[-1])
        runs.append([(single + k, single + k) for k in range(len(AGES_S) + 2)])
        terms = [pair for run in runs for pair in run]
        self._left, self._right = np.array(terms).T
        counts = np.cumsum([0, *(len(run) for run in runs)]).tolist()
        numbers = [list(range(a, b)) for a, b in pairwise(counts)]
        self.terms = len(terms)
        self.empty = self.terms - 1
        self.models = _models(numbers, len(BETAS))

    def values(self, time_s: Floats, endless_s: Floats | None = None) -> Floats:
        """Evaluate all shapes, (n, shapes); those that never end may have a time of their own."""
        t = time_s[:, None]
        u = t if endless_s is None else endless_s[:, None]
        return np.concatenate(
            (
                np.exp(-t * self._rates),
                np.exp(-((t * self._stretched) ** self._betas)),
                np.exp(-self._powers * np.log1p(t * self._power)),
                -np.sqrt((u + self._ages) / self.tau_max_s),
                -u / self.tau_max_s,
                0.0 * u,
            ),
            axis=1,
        )

    def features(self, values: Floats) -> Floats:
        """Combine values of shapes (n, shapes) into features (n, 2 terms): means, then halves."""
        left, right = values[:, self._left], values[:, self._right]
        return np.concatenate(((left + right) / 2.0, (left - right) / 2.0), axis=1)


def _models(numbers: list[list[int]], stretched: int) -> list[Model]:
    exponentials, singles = numbers[0], numbers[-1]
    *roots, line, empty = singles
    power_laws = [k for run in numbers[1 + stretched : -1] for k in run]
    kinds: dict[str, list[tuple[int, int]]] = {
        "exponential": [(k, empty) for k in exponentials],
        "stretched": [(k, empty) for run in numbers[1 : 1 + stretched] for k in run],
        "power law": [(k, empty) for k in power_laws],
        "two exponentials": [(a, b) for a in exponentials for b in exponentials if b > a + 1],
        "exponential and line": [(k, line) for k in exponentials[:-1]],
        "exponential and root": [(k, roots[1]) for k in exponentials[:-2]],
        "root": [(k, empty) for k in roots],
    }
    return [
        Model(first, second, math.log(CHANCES[kind] / len(pairs)))
        for kind, pairs in kinds.items()
        for first, second in pairs
    ]
