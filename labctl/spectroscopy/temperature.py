"""What temperature does to the peak: taken out with a band, learnt in the run, anchored cold.

The nominal shift is that of the gap of bulk InP after Varshni, Eg(T) = Eg(0) - a T² / (T + b),
with the parameters of Vurgaftman, Meyer and Ram-Mohan, J. Appl. Phys. 89 (2001) 5815. A dot is
not bulk, so the nominal scale 1 is trusted to 25 % only until the run has shown its own. A cold
aliquot in a cuvette ties the 25 °C scale down at the temperature at which it was drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HC_EV_NM = 1239.841984
GAP_EV = 1.4236
ALPHA_EV_PER_K = 0.363e-3
BETA_K = 162.0
REFERENCE_C = 25.0
NOMINAL_SD = 0.25

FEWEST_POINTS = 15
LEAST_SPAN_K = 30.0
PLAUSIBLE_SCALE = (0.4, 1.8)
LARGEST_CHI2 = 4.0
SIGMA_FLOOR = 0.02
UNDECLARED_FLOOR = 0.04
"""Where nobody vouched that nothing reacts: what thermally driven drift may hide in a ramp."""
DRIFT_PRIOR_EV = 1.5e-3
"""Drift over a whole cool-down that could hide behind temperature, about 0.4 nm; in the band."""
AGREE_SD = 3.0
DRIFT_SD = 4.0
"""A drift in time this many sd from zero is a reaction, and spoils the cool-down."""

Source = Literal["nominal", "learnt"]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """How the peak follows temperature: a factor on the gap of bulk InP and its sd.

    `source` and `reason` say where it comes from; `points` and `span_k` what it rests on.
    """

    scale: float = 1.0
    sigma: float = NOMINAL_SD
    source: Source = "nominal"
    reason: str = "bulk InP, not learnt in this run"
    points: int = 0
    span_k: float = 0.0

    def mev_per_k(self, temperature_c: float) -> float:
        """Give dE/dT of the peak in meV/K at a temperature in °C; negative, as it moves red."""
        kelvin = temperature_c + 273.15
        bulk = -ALPHA_EV_PER_K * kelvin * (kelvin + 2 * BETA_K) / (kelvin + BETA_K) ** 2
        return 1e3 * self.scale * bulk


NOMINAL = Coefficient()


def combined(first: Coefficient, second: Coefficient) -> Coefficient:
    """Give what two learnt coefficients say together; where they disagree the second counts.

    A nominal one says nothing beside a learnt one. No band is below the floor of 2 %, as what both
    leave out (drift, lag of the thermometer) does not average.
    """
    if "nominal" in {first.source, second.source}:
        return first if first.source == "learnt" else second
    apart = abs(first.scale - second.scale)
    if apart > AGREE_SD * math.hypot(first.sigma, second.sigma):
        return replace(second, reason=f"{second.reason}; disagrees with {first.reason}")
    weights = first.sigma**-2, second.sigma**-2
    total = sum(weights)
    return Coefficient(
        (first.scale * weights[0] + second.scale * weights[1]) / total,
        max(total**-0.5, SIGMA_FLOOR),
        "learnt",
        f"{first.reason} and {second.reason}",
        first.points + second.points,
        max(first.span_k, second.span_k),
    )


@dataclass(frozen=True, slots=True)
class Corrected:
    """A peak as it would stand at 25 °C, in nm, and the sd that the coefficient adds to it."""

    peak_nm: float
    band_nm: float


def gap_shift_ev(temperature_c: float) -> float:
    """Give how far the gap of bulk InP lies from its value at 25 °C, in eV (negative when hot)."""
    return _gap_ev(temperature_c) - _gap_ev(REFERENCE_C)


def to_25c(peak_nm: float, temperature_c: float, coefficient: Coefficient = NOMINAL) -> Corrected:
    """Move a peak measured at `temperature_c` to 25 °C; NaN in, NaN out.

    >>> round(to_25c(602.1, 260.0).peak_nm, 1)
    580.0
    """
    shift_ev = gap_shift_ev(temperature_c)
    cold_ev = HC_EV_NM / peak_nm - coefficient.scale * shift_ev
    cold_nm = HC_EV_NM / cold_ev
    return Corrected(cold_nm, abs(shift_ev) * coefficient.sigma * cold_nm**2 / HC_EV_NM)


def to_hot(peak_25c_nm: float, temperature_c: float, coefficient: Coefficient = NOMINAL) -> float:
    """Give where a peak known at 25 °C is to be looked for at `temperature_c`, in nm."""
    hot_ev = HC_EV_NM / peak_25c_nm + coefficient.scale * gap_shift_ev(temperature_c)
    return HC_EV_NM / hot_ev


def band_between(
    first_c: float, second_c: float, peak_nm: float, coefficient: Coefficient = NOMINAL
) -> float:
    """Give the sd in nm that the coefficient adds to a shift seen between two temperatures.

    Both peaks share the coefficient, and an anchor: only the step from one to the other is unsure.
    """
    step_ev = abs(gap_shift_ev(second_c) - gap_shift_ev(first_c))
    return step_ev * coefficient.sigma * peak_nm**2 / HC_EV_NM


@dataclass(frozen=True, slots=True)
class Anchor:
    """A cold aliquot: what stood at `hot_nm` in the flask at `temperature_c` is `cold_nm` at 25 °C.

    `sigma_nm` is the sd of the difference of the two, both readings in it.
    """

    hot_nm: float
    temperature_c: float
    cold_nm: float
    sigma_nm: float


@dataclass(frozen=True, slots=True)
class Correction:
    """Takes hot peaks to 25 °C: by a coefficient, from 25 °C up or from a cold aliquot on.

    Without an anchor the band is that of the coefficient over the whole way from 25 °C. With one it
    is the anchor's own at the temperature of the anchor, and grows with the way from there.
    """

    coefficient: Coefficient = NOMINAL
    anchor: Anchor | None = None

    def to_25c(self, peak_nm: float, temperature_c: float) -> Corrected:
        """Move a peak measured at `temperature_c` to 25 °C; NaN in, NaN out."""
        plain = to_25c(peak_nm, temperature_c, self.coefficient)
        if self.anchor is None:
            return plain
        anchor = self.anchor
        there = to_25c(anchor.hot_nm, anchor.temperature_c, self.coefficient)
        offset_ev = HC_EV_NM / anchor.cold_nm - HC_EV_NM / there.peak_nm
        cold_nm = HC_EV_NM / (HC_EV_NM / plain.peak_nm + offset_ev)
        way_nm = band_between(anchor.temperature_c, temperature_c, cold_nm, self.coefficient)
        return Corrected(cold_nm, math.hypot(anchor.sigma_nm, way_nm))


class CoefficientLearner:
    """Learns this sample's own coefficient while temperature moves and nothing reacts.

    A reaction shows as a drift that temperature does not explain; then, and when the span or the
    points are too few, `result` keeps the nominal value with its wide band and says why.
    `learnt_from` says where the peaks come from, `floor` is the least sd that is claimed.
    """

    def __init__(
        self, learnt_from: str = "cool-down of this run", floor: float = SIGMA_FLOOR
    ) -> None:
        self._learnt_from = learnt_from
        self._floor = floor
        self._rows: list[tuple[float, float, float, float]] = []

    def add(self, t_s: float, temperature_c: float, peak_nm: float, sigma_nm: float) -> None:
        """Take one peak as measured (nm, with its sd); anything not finite is passed over."""
        row = (t_s, temperature_c, peak_nm, sigma_nm)
        if all(map(math.isfinite, row)) and temperature_c > -200.0 and peak_nm > 0 < sigma_nm:
            self._rows.append(row)

    def result(self) -> Coefficient:
        """Give the coefficient learnt, or the nominal one with the reason for keeping it."""
        count = len(self._rows)
        if count < FEWEST_POINTS:
            return self._kept(f"only {count} peaks, {FEWEST_POINTS} are needed", 0.0)
        time_s, temperature_c, peak_nm, sigma_nm = np.array(self._rows).T
        span_k = float(np.ptp(temperature_c))
        if span_k < LEAST_SPAN_K:
            return self._kept(f"only {span_k:.0f} K of span, {LEAST_SPAN_K:.0f} are needed", 0.0)
        energy_ev = HC_EV_NM / peak_nm
        weight = peak_nm**2 / (HC_EV_NM * sigma_nm)
        shift_ev = np.array([gap_shift_ev(c) for c in temperature_c])
        late = (time_s - time_s.mean()) / max(float(np.ptp(time_s)), 1e-9)
        design = np.stack((np.ones(count), shift_ev, late), axis=1)
        free, free_sd, chi2 = _fit(design, energy_ev, weight, math.inf)
        drift, drift_sd = float(free[2]), float(free_sd[2])
        solution, sds, _ = _fit(design, energy_ev, weight, DRIFT_PRIOR_EV)
        scale, sigma = float(solution[1]), float(sds[1])
        if abs(drift) > DRIFT_SD * drift_sd:
            return self._kept(f"a drift of {1e3 * drift:.1f} meV besides temperature", span_k)
        if chi2 > LARGEST_CHI2:
            return self._kept(f"temperature alone leaves {chi2:.1f} times the noise", span_k)
        if not PLAUSIBLE_SCALE[0] < scale < PLAUSIBLE_SCALE[1]:
            return self._kept(f"{scale:.2f} times bulk InP is not plausible", span_k)
        if sigma > NOMINAL_SD:
            return self._kept(f"known to {sigma:.0%} only", span_k)
        band = math.hypot(sigma, self._floor)
        return Coefficient(scale, band, "learnt", self._learnt_from, count, span_k)

    def _kept(self, reason: str, span_k: float) -> Coefficient:
        return Coefficient(reason=reason, points=len(self._rows), span_k=span_k)


def _gap_ev(temperature_c: float) -> float:
    kelvin = temperature_c + 273.15
    return GAP_EV - ALPHA_EV_PER_K * kelvin**2 / (kelvin + BETA_K)


def _fit(
    design: Floats, energy_ev: Floats, weight: Floats, drift_prior_ev: float
) -> tuple[Floats, Floats, float]:
    """Fit by weighted least squares; give the parameters, their sds and the reduced chi²."""
    weighted = design * weight[:, None]
    gram = weighted.T @ weighted
    gram[2, 2] += 1.0 / drift_prior_ev**2
    # Cooling at one rate makes time and temperature alike; the trace keeps the inverse finite.
    covariance = np.linalg.inv(gram + 1e-12 * np.diag(np.diag(gram)))
    solution = covariance @ (weighted.T @ (energy_ev * weight))
    residual = (energy_ev - design @ solution) * weight
    chi2 = float(residual @ residual) / (energy_ev.size - design.shape[1])
    return solution, np.sqrt(np.diag(covariance) * max(chi2, 1.0)), chi2
