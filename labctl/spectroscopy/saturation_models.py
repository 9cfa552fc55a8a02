"""Bayesian average over two-exponential decays: how far the peak still has to go.

Each model is `y(t) = c + A1 exp(-k1 t) + A2 exp(-k2 t) + b (T - mean T)` with the two rates taken
from a fixed grid whose slowest time constant is `tau_max_s`. For given rates the model is linear,
so its parameters are integrated out in closed form; the average over the grid then carries the
doubt about the rates into the answer. Nothing is iterated, so nothing can fail to converge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATES = 12
FASTEST_TAU_S = 20.0
AMPLITUDE_SD_NM = 12.0
LEVEL_SD_NM = 200.0
COEFFICIENT_SD_NM_PER_K = 0.03
GRID_PART = 0.2
"""Doubt, as a part of what remains, that a true rate between two rates of the grid makes."""
MEMORY = 0.7
"""Forgetting time as a part of the time since onset: old kinetics must not vouch for the tail."""


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
class Series:
    """What a fit sees: binned times (s, ascending), peaks (nm), sigmas (nm), temperatures (°C).

    All shape (n,); `temperature_c` is all zero where the peak needs no correction.
    """

    time_s: Floats
    peak_nm: Floats
    sigma_nm: Floats
    temperature_c: Floats


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and a standard deviation, both in the unit of the thing estimated."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Posterior:
    """Model average at the end of a series; m models with 4 parameters (c, A1, A2, b) each.

    `weight` (m,), `mean` (m, 4), `covariance` (m, 4, 4); `rates` (m, 2) in 1/s; `start_s` and
    `end_s` bound the series; `inflation` is the variance factor that misfit and correlation cost.
    """

    weight: Floats
    mean: Floats
    covariance: Floats
    rates: Floats
    start_s: float
    end_s: float
    temperature_c: float
    inflation: float

    def remaining(self, ahead_s: float = math.inf) -> tuple[Floats, Floats]:
        """Give each model's further movement within `ahead_s` as means and sds, (m,) in nm."""
        left = np.exp(-self.rates * (self.end_s - self.start_s))
        mean, sd = self._functional(left * (np.exp(-self.rates * ahead_s) - 1.0))
        return mean, np.hypot(sd, GRID_PART * mean)

    def slope(self) -> Estimate:
        """Give the present slope in nm/s."""
        left = np.exp(-self.rates * (self.end_s - self.start_s))
        return self._pool(*self._functional(-self.rates * left))

    def level(self, time_s: float, temperature_c: float) -> Estimate:
        """Predict the peak in nm at a time and a temperature."""
        gone = np.exp(-self.rates * (time_s - self.start_s))
        return self._pool(*self._functional(gone, 1.0, temperature_c - self.temperature_c))

    def remaining_total(self) -> Estimate:
        """Give the pooled further movement in nm, signed."""
        return self._pool(*self.remaining())

    def exceeds(self, limit_nm: float) -> float:
        """Give the probability that the peak will still move by more than `limit_nm`.

        The largest over several horizons counts: two terms of opposite sign can cancel at the end
        and still make an excursion on the way.
        """
        end = 1.0 / float(self.rates.min())
        means, sds = zip(*(self.remaining(h) for h in (0.2 * end, end, math.inf)), strict=True)
        mean, scale = np.stack(means), math.sqrt(2.0) * np.maximum(np.stack(sds), 1e-9)
        mass = _erfc((limit_nm - mean) / scale) + _erfc((limit_nm + mean) / scale)
        return min(0.5 * float((mass @ self.weight).max()), 1.0)

    def _functional(
        self, decay: Floats, level: float = 0.0, kelvin: float = 0.0
    ) -> tuple[Floats, Floats]:
        row = np.empty_like(self.mean)
        row[:, 0], row[:, 1:3], row[:, 3] = level, decay, kelvin
        mean = np.einsum("mi,mi->m", row, self.mean)
        variance = np.einsum("mi,mij,mj->m", row, self.covariance, row)
        return mean, np.sqrt(np.maximum(variance, 0.0) * self.inflation)

    def _pool(self, mean: Floats, sd: Floats) -> Estimate:
        centre = float(self.weight @ mean)
        return Estimate(centre, math.sqrt(float(self.weight @ (sd**2 + (mean - centre) ** 2))))


class DecayModels:
    """The grid of rates; `posterior` weighs every pair of them against a series.

    `tau_max_s` is the slowest tail that the chemist holds possible. It must be given: a slope that
    lasts for ever and one that ends in an hour look alike.
    """

    def __init__(self, tau_max_s: float) -> None:
        taus = np.geomspace(min(FASTEST_TAU_S, tau_max_s / 4), tau_max_s, RATES)
        self._rates = 1.0 / taus
        self._first, self._second = np.triu_indices(RATES, k=1)
        # Columns of the shared design: 1, one decay per rate, temperature.
        ones = np.zeros_like(self._first)
        columns = (ones, self._first + 1, self._second + 1, ones + RATES + 1)
        self._columns = np.stack(columns, axis=1)
        sds = (LEVEL_SD_NM, AMPLITUDE_SD_NM, AMPLITUDE_SD_NM, COEFFICIENT_SD_NM_PER_K)
        self._prior = np.diag(1.0 / np.array(sds) ** 2)

    def posterior(self, series: Series) -> Posterior:
        """Weigh all models by a series of at least four points; older points count less."""
        time_s = series.time_s - series.time_s[0]
        elapsed_s = max(float(time_s[-1]), 60.0)
        memory = np.exp((time_s - time_s[-1]) / (MEMORY * elapsed_s))
        weight = memory / series.sigma_nm**2
        middle_c = float(np.average(series.temperature_c, weights=weight))
        origin_nm = float(np.average(series.peak_nm, weights=weight))
        shifted = series.peak_nm - origin_nm
        design = self._design(time_s, series.temperature_c - middle_c)
        mean, covariance, evidence = self._solve(design, weight, shifted)
        best = int(np.argmax(evidence))
        residual = (shifted - design[:, self._columns[best]] @ mean[best]) / series.sigma_nm
        inflation = _inflation(residual, memory)
        evidence = (evidence - evidence[best]) / inflation
        model_weight = np.exp(evidence)
        mean[:, 0] += origin_nm
        return Posterior(
            weight=model_weight / model_weight.sum(),
            mean=mean,
            covariance=covariance,
            rates=np.stack((self._rates[self._first], self._rates[self._second]), axis=1),
            start_s=float(series.time_s[0]),
            end_s=float(series.time_s[-1]),
            temperature_c=middle_c,
            inflation=inflation,
        )

    def _design(self, time_s: Floats, kelvin: Floats) -> Floats:
        design = np.empty((time_s.size, RATES + 2))
        design[:, 0] = 1.0
        design[:, 1:-1] = np.exp(-np.outer(time_s, self._rates))
        design[:, -1] = kelvin
        return design

    def _solve(
        self, design: Floats, weight: Floats, peak_nm: Floats
    ) -> tuple[Floats, Floats, Floats]:
        weighted = design * weight[:, None]
        gram, moment = design.T @ weighted, weighted.T @ peak_nm
        pairs = self._columns
        precision = gram[pairs[:, :, None], pairs[:, None, :]] + self._prior
        covariance: Floats = np.linalg.inv(precision).astype(np.float64, copy=False)
        target = moment[pairs]
        mean: Floats = np.einsum("mij,mj->mi", covariance, target)
        _, logdet = np.linalg.slogdet(covariance)
        evidence: Floats = 0.5 * (logdet + np.einsum("mi,mi->m", mean, target))
        return mean, covariance, evidence


def recent_slope(series: Series) -> float:
    """Give the straight slope in nm/s over the last third of a series, no model involved."""
    count = max(6, series.time_s.size // 3)
    time_s, peak_nm = series.time_s[-count:], series.peak_nm[-count:]
    spread = time_s - time_s.mean()
    return float(spread @ peak_nm) / float(spread @ spread)


def _inflation(residual: Floats, memory: Floats) -> float:
    """Give the variance factor for misfit (chi²) and for residuals that follow each other."""
    count = float(memory.sum())
    chi2 = float(memory @ residual**2) / max(count - 3.0, 1.0)
    follow = float(residual[1:] @ residual[:-1]) / max(float(residual @ residual), 1e-12)
    follow = min(max(follow - 1.0 / math.sqrt(residual.size), 0.0), 0.9)
    spread = 1.0 + 2.0 / max(count - 3.0, 1.0)
    return max(chi2, 1.0) * spread * (1.0 + follow) / (1.0 - follow)


def _erfc(x: Floats) -> Floats:
    """Give the complementary error function to 1.2e-7 of itself (a Chebyshev fit)."""
    z = np.abs(x)
    t = 1.0 / (1.0 + 0.5 * z)
    series = np.full_like(t, ERFC[-1])
    for coefficient in ERFC[-2::-1]:
        series = series * t + coefficient
    tail: Floats = t * np.exp(series - z * z)
    return np.where(x >= 0.0, tail, 2.0 - tail)
