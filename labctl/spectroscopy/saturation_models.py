"""Bayesian average over many kinds of decay: how far the peak still has to go.

The average over a fixed list of models carries the doubt about the rates and about the kind of
reaction into the answer. Derivation: docs/explanations/saturation.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labctl.spectroscopy.saturation_shapes import Floats, Index, Shapes

GRID_PART = 0.2
"""Doubt, as a part of what remains, that the true course lies between the models."""
HORIZONS = (0.2, 1.0, 5.0)
"""How far ahead movement counts, in tau_max; a course that never ends counts for one tau_max."""

ERFC = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and a standard deviation, both in the unit of the thing estimated."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Posterior:
    """Model average at the end of a series; m models with 4 amplitudes each.

    `weight` (m,), `mean` (m, 4), `covariance` (m, 4, 4), the variance factor for misfit and
    correlation included; `nuisance` is what was integrated out; `scale` the noise in sigmas.
    """

    models: DecayModels
    weight: Floats
    mean: Floats
    covariance: Floats
    nuisance: Nuisance
    end_s: float
    n: int
    scale: float
    band_nm: float = 0.0

    def outlook(self) -> Outlook:
        """Give what is still to come, at each horizon."""
        mean, sd = self._functionals(self.models.ahead(self.end_s))
        sd = np.sqrt(sd**2 + (GRID_PART * mean) ** 2 + self.band_nm**2)
        return Outlook(self.weight, mean, sd)

    def slope(self) -> Estimate:
        """Give the present slope in nm/s."""
        before, now = self.models.rows(np.array([self.end_s - 1.0, self.end_s]).clip(0.0))
        mean, sd = self._functionals((now - before)[None])
        return _pool(self.weight, mean[0], sd[0])

    def level(self, time_s: float, temperature_c: float) -> Estimate:
        """Predict the peak in nm at a time and a temperature."""
        row = self.models.rows(np.array([time_s - self.nuisance.start_s]))[0]
        base, lean, spread = self.nuisance.at(temperature_c)
        mean, sd = self._functionals((row - lean)[None])
        level = _pool(self.weight, mean[0], sd[0])
        return Estimate(base + level.mean, math.sqrt(level.sd**2 + spread))

    def _functionals(self, rows: Floats) -> tuple[Floats, Floats]:
        part = rows[:, self.models.columns]
        mean = (part * self.mean).sum(axis=2)
        spread = np.matmul(part[:, :, None, :], self.covariance)[:, :, 0, :]
        variance = (spread * part).sum(axis=2)
        return mean, np.sqrt(np.maximum(variance, 0.0))


@dataclass(frozen=True, slots=True)
class Outlook:
    """Movement still to come: `weight` (m,), means and sds in nm, (horizons, m)."""

    weight: Floats
    mean_nm: Floats
    sd_nm: Floats

    def exceeds(self, limit_nm: float) -> float:
        """Give the probability that the peak will still move by more than `limit_nm`.

        The largest over the horizons counts: two terms of opposite sign can cancel at the end and
        still make an excursion on the way.
        """
        scale = math.sqrt(2.0) * np.maximum(self.sd_nm, 1e-9)
        mass = _erfc((limit_nm - self.mean_nm) / scale) + _erfc((limit_nm + self.mean_nm) / scale)
        return min(0.5 * float((mass @ self.weight).max()), 1.0)

    def total(self) -> Estimate:
        """Give the movement up to the last horizon in nm, signed."""
        return _pool(self.weight, self.mean_nm[-1], self.sd_nm[-1])


@dataclass(frozen=True, slots=True)
class Nuisance:
    """Level and temperature coefficient, integrated out: what a feature leans on them.

    `gain` (2, 2) is their covariance, `lean` (features, 2) the coupling, `moment` (2,) the data.
    """

    gain: Floats
    lean: Floats
    moment: Floats
    inflation: float
    start_s: float
    origin_nm: float
    origin_c: float

    def at(self, temperature_c: float) -> tuple[float, Floats, float]:
        """Give level (nm), coupling (features,) and variance (nm²) at a temperature in °C."""
        at = np.array([1.0, temperature_c - self.origin_c])
        base = self.origin_nm + float(at @ self.gain @ self.moment)
        return base, self.lean @ at, float(at @ self.gain @ at) * self.inflation


class DecayModels:
    """The list of models for a slowest tail of `tau_max_s`, and where their numbers stand.

    `tau_max_s` must be given by the chemist: a slope that lasts for ever and one that ends in an
    hour look alike. `columns` (m, 4) are each model's features, `products` (m, 4, 4) the place of
    each pair of them in the running sums.
    """

    def __init__(self, tau_max_s: float) -> None:
        self.shapes = Shapes(tau_max_s)
        terms = self.shapes.terms
        pairs = np.array([(m.first, m.second) for m in self.shapes.models])
        first, second = pairs.T
        self.columns: Index = np.stack((first, first + terms, second, second + terms), axis=1)
        self.log_chance: Floats = np.array([m.log_chance for m in self.shapes.models])
        self.features = 2 * terms
        down, across = self.columns[:, :, None], self.columns[:, None, :]
        code = np.minimum(down, across) * self.features + np.maximum(down, across)
        unique, places = np.unique(code, return_inverse=True)
        self.products: Index = places.reshape(code.shape)
        self.left, self.right = unique // self.features, unique % self.features

    def rows(self, time_s: Floats) -> Floats:
        """Evaluate all features at times in s since the start, (n, features)."""
        return self.shapes.features(self.shapes.values(time_s))

    def ahead(self, now_s: float) -> Floats:
        """Give how all features will change from now on, (horizons, features)."""
        tau = self.shapes.tau_max_s
        reach = np.array([0.0, *(tau * h for h in HORIZONS)])
        values = self.shapes.values(now_s + reach, now_s + np.minimum(reach, tau))
        features = self.shapes.features(values)
        change: Floats = features[1:] - features[0]
        return change


def _pool(weight: Floats, mean: Floats, sd: Floats) -> Estimate:
    centre = float(weight @ mean)
    return Estimate(centre, math.sqrt(float(weight @ (sd**2 + (mean - centre) ** 2))))


def _erfc(x: Floats) -> Floats:
    """Give the complementary error function to 1.2e-7 of itself (a Chebyshev fit)."""
    z = np.abs(x)
    t = 1.0 / (1.0 + 0.5 * z)
    series = np.full_like(t, ERFC[-1])
    for coefficient in ERFC[-2::-1]:
        series = series * t + coefficient
    tail: Floats = t * np.exp(series - z * z)
    return np.where(x >= 0.0, tail, 2.0 - tail)
