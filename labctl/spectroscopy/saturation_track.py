"""The running sums of one stretch of a reaction, and what they say of every model.

For given rates a model is linear, `y(t) = c + b (T - T0) + sum of features`, so its parameters are
integrated out in closed form. All that a series says is kept in sums; nothing is iterated, so
nothing can fail to converge.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from labctl.spectroscopy.saturation_models import DecayModels, Nuisance, Posterior
from labctl.spectroscopy.saturation_samples import Bin
from labctl.spectroscopy.saturation_shapes import FIRST_SD_NM, SECOND_SD_NM, Floats, Index

LEVEL_SD_NM = 200.0
COEFFICIENT_SD_NM_PER_K = 0.03
TIED = 6.0
"""A term's two amplitudes share its sum evenly: their difference has a variance of sum²/TIED."""
NOISE_WEIGHT = 6.0
"""The scatter expected counts as this many bins."""
FITTED = 4.0
"""Numbers that a model takes from the data, as a rule."""
LARGEST_SCALE = 30.0
RECENT = 0.5
"""Power of time with which old residuals count less in the noise."""
MOST_RESIDUALS = 240


class Track:
    """The running sums of one stretch of a reaction: bins go in, a posterior comes out."""

    def __init__(self, models: DecayModels, origin: Bin) -> None:
        self._models = models
        self._origin = origin
        size = len(models.left)
        # One vector for all sums: products of features, then features by 1, K and nm.
        self._cuts = np.cumsum([size, models.features, models.features])
        self._sums = np.zeros(size + 3 * models.features)
        self._plain = np.zeros((3, 3))
        self._rows = np.empty((32, models.features))
        self._seen: list[tuple[float, float, float, float, int]] = []
        self._levels = 0

    def __len__(self) -> int:
        """Count the bins."""
        return len(self._seen)

    def add(self, full: Bin) -> None:
        """Take one more bin, later than all before."""
        start_s = self._origin.times_s[0]
        times_s = np.array(full.times_s) - start_s
        row = self._models.rows(times_s).mean(axis=0)
        kelvin = full.temperature_c - self._origin.temperature_c
        shift = full.peak_nm - self._origin.peak_nm
        weight = 1.0 / full.sigma_nm**2
        products = row[self._models.left] * row[self._models.right]
        self._sums += weight * np.concatenate((products, row, kelvin * row, shift * row))
        plain = np.array([1.0, kelvin, shift])
        self._plain += weight * np.outer(plain, plain)
        if len(self) == len(self._rows):
            self._rows = np.concatenate((self._rows, np.empty_like(self._rows)))
        self._rows[len(self)] = row
        self._seen.append((full.time_s - start_s, kelvin, shift, full.sigma_nm, self._levels))

    def step(self) -> None:
        """Leave the level open from here on: a step of the instrument, or a gap, is no kinetics."""
        products, one, kelvin, shift = np.split(self._sums, self._cuts)
        count, heat, sum_nm = (float(x) for x in self._plain[0])
        if count <= 0.0:
            return
        products -= one[self._models.left] * one[self._models.right] / count
        kelvin -= one * heat / count
        shift -= one * sum_nm / count
        one[:] = 0.0
        self._plain -= np.outer(self._plain[0], self._plain[0]) / count
        self._levels += 1

    def posterior(self, scale: float, lowest: float) -> Posterior:
        """Weigh all models by four bins or more.

        `scale` is the noise known so far, in sigmas as reported; `lowest` the least believed.
        """
        models = self._models
        nuisance, gram, moment = self._reduce(scale)
        mean, covariance, evidence = _solve(gram, moment, models.log_chance)
        best = int(np.argmax(evidence))
        chi2, spread = self._misfit(best, mean[best], nuisance, scale)
        chi2 = min(max(chi2, (lowest / scale) ** 2), (LARGEST_SCALE / scale) ** 2)
        inflation = chi2 * spread
        log_weight = (evidence - models.log_chance - evidence[best]) / inflation
        log_weight += models.log_chance
        weight = np.exp(log_weight - log_weight.max())
        return Posterior(
            models=models,
            weight=weight / weight.sum(),
            mean=mean,
            covariance=covariance * inflation,
            nuisance=replace(nuisance, inflation=inflation),
            end_s=self._seen[-1][0],
            n=len(self),
            scale=scale * math.sqrt(chi2),
        )

    def _reduce(self, scale: float) -> tuple[Nuisance, Floats, Floats]:
        models = self._models
        products, one, kelvin, shift = np.split(self._sums / scale**2, self._cuts)
        plain = self._plain / scale**2
        prior = np.diag([1.0 / LEVEL_SD_NM**2, 1.0 / COEFFICIENT_SD_NM_PER_K**2])
        gain = np.linalg.inv(plain[:2, :2] + prior).astype(np.float64, copy=False)
        coupling = np.stack((one, kelvin), axis=1)
        lean = coupling @ gain
        gram = products - (lean[models.left] * coupling[models.right]).sum(axis=1)
        moment = shift - lean @ plain[:2, 2]
        nuisance = Nuisance(
            gain,
            lean,
            plain[:2, 2],
            1.0,
            self._origin.times_s[0],
            self._origin.peak_nm,
            self._origin.temperature_c,
        )
        return nuisance, gram[models.products], moment[models.columns]

    def _misfit(
        self, best: int, mean: Floats, nuisance: Nuisance, scale: float
    ) -> tuple[float, float]:
        """Give chi² of the best model, and the factor for correlation and for being few."""
        recent = slice(max(len(self) - MOST_RESIDUALS, 0), len(self))
        time_s, kelvin, shift, sigma, level = np.array(self._seen[recent]).T
        columns = self._models.columns[best]
        coefficient = float((nuisance.gain @ nuisance.moment - mean @ nuisance.lean[columns])[1])
        rows = self._rows[recent][:, columns]
        off_nm = shift - coefficient * kelvin - rows @ mean
        off = (off_nm - _level_means(off_nm, sigma, level.astype(np.intp))) / (scale * sigma)
        memory = ((time_s + 60.0) / (time_s[-1] + 60.0)) ** RECENT
        count = float(memory.sum())
        chi2 = (NOISE_WEIGHT + float(memory @ off**2)) / (NOISE_WEIGHT + max(count - FITTED, 0.5))
        follow = float(off[1:] @ off[:-1]) / max(float(off @ off), 1e-12)
        follow = min(max(follow - 1.0 / math.sqrt(off.size), 0.0), 0.9)
        spread = 1.0 + 2.0 / (NOISE_WEIGHT + max(count - FITTED, 0.5))
        return chi2, spread * (1.0 + follow) / (1.0 - follow)


def _solve(gram: Floats, moment: Floats, log_chance: Floats) -> tuple[Floats, Floats, Floats]:
    """Give amplitudes (m, 4), their covariance and the log evidence (m,), prior chance included."""
    prior = np.empty(moment.shape)
    prior[:, 0], prior[:, 2] = 1.0 / FIRST_SD_NM**2, 1.0 / SECOND_SD_NM**2
    # The sums of the two terms alone; each then says how far its two amplitudes may differ.
    one, two, both = gram[:, 0, 0] + prior[:, 0], gram[:, 2, 2] + prior[:, 2], gram[:, 0, 2]
    det = np.maximum(one * two - both**2, 1e-9 * one * two)
    first = (two * moment[:, 0] - both * moment[:, 2]) / det
    second = (one * moment[:, 2] - both * moment[:, 0]) / det
    prior[:, 1] = TIED / (first**2 + two / det)
    prior[:, 3] = TIED / (second**2 + one / det)
    precision = gram + prior[:, :, None] * np.eye(4)
    covariance: Floats = np.linalg.inv(precision).astype(np.float64, copy=False)
    mean: Floats = np.einsum("mij,mj->mi", covariance, moment)
    _, logdet = np.linalg.slogdet(precision)
    evidence: Floats = 0.5 * (np.log(prior).sum(axis=1) - logdet + (mean * moment).sum(axis=1))
    return mean, covariance, evidence + log_chance


def _level_means(off_nm: Floats, sigma: Floats, level: Index) -> Floats:
    level = level - level[0]
    weight = 1.0 / sigma**2
    means = np.bincount(level, weight * off_nm) / np.maximum(np.bincount(level, weight), 1e-300)
    out: Floats = means[level]
    return out
