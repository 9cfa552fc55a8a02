"""The rules in use for "it has stopped", as peers: a stream in, the time declared (or inf) out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

from benchmarks.courses import Scenario

Floats = NDArray[np.float64]
Rule = Callable[[Scenario], float]

TAU_MAX_S = 1500.0
DELTA_NM = 0.5
MIN_SHIFT_NM = 1.2


def timer(scenario: Scenario) -> float:
    """Declare 11 min after the start, whatever happens."""
    return scenario.start_s + 660.0


def _usable(scenario: Scenario) -> Iterator[tuple[float, float, float]]:
    """Give true time, peak and sigma of the frames a simple rule can read, none while on hold."""
    for true_s, row in zip(scenario.true_s, scenario.samples, strict=True):
        if 250.0 < row[1] < 1500.0 and not row[4]:
            yield true_s, row[1], row[2] or 0.1


def _slope_rule(scenario: Scenario, window_s: float, limit_nm_min: float, armed: bool) -> float:
    times: list[float] = []
    peaks: list[float] = []
    for t, peak, _ in _usable(scenario):
        times.append(t)
        peaks.append(peak)
        first = int(np.searchsorted(times, t - window_s))
        if len(times) - first < 5 or t - times[0] < window_s:
            continue
        if armed and abs(peak - peaks[0]) < MIN_SHIFT_NM:
            continue
        spread = np.array(times[first:]) - np.mean(times[first:])
        slope = float(spread @ np.array(peaks[first:]) / (spread @ spread))
        if abs(slope) < limit_nm_min / 60.0:
            return t
    return math.inf


def slope_60s(scenario: Scenario) -> float:
    """Declare once the slope of the last 60 s is below 0.2 nm/min."""
    return _slope_rule(scenario, 60.0, 0.2, armed=False)


def armed_slope_120s(scenario: Scenario) -> float:
    """Declare once the slope of 120 s is below 0.1 nm/min, after a shift of 1.2 nm."""
    return _slope_rule(scenario, 120.0, 0.1, armed=True)


def page_hinkley(scenario: Scenario) -> float:
    """Declare when differences drop below their running mean: Page and Hinkley's test for a change.

    Allowance 0.005 nm/s and threshold 0.05 nm/s on 30-s slopes; armed by a shift of 1.2 nm.
    """
    rows = list(_usable(scenario))
    mean = total = lowest = 0.0
    count = 0
    for before, now in zip(rows, rows[3:], strict=False):
        if now[0] <= before[0]:
            continue
        pace = abs(now[1] - before[1]) / (now[0] - before[0])
        count += 1
        mean += (pace - mean) / count
        total += mean - pace - 0.005
        lowest = min(lowest, total)
        if count >= 10 and total - lowest > 0.05 and abs(now[1] - rows[0][1]) >= MIN_SHIFT_NM:
            return now[0]
    return math.inf


def _exponential(t: Floats, level: float, amplitude: float, tau: float) -> Floats:
    out: Floats = level + amplitude * np.exp(-t / tau)
    return out


def fitted_exponential(scenario: Scenario) -> float:
    """Fit one exponential every minute; declare once what remains is below delta at 3 sd."""
    rows = list(_usable(scenario))
    due_s = 120.0
    for end in range(12, len(rows)):
        t_s = rows[end][0]
        if t_s < due_s:
            continue
        due_s = t_s + 60.0
        if _remains(np.array(rows[: end + 1])) < DELTA_NM:
            return t_s
    return math.inf


def _remains(rows: Floats) -> float:
    time_s, peak, sigma = rows.T
    time_s = time_s - time_s[0]
    guess = (peak[-1], peak[0] - peak[-1], time_s[-1] / 3.0)
    bounds = ([200.0, -100.0, 5.0], [1500.0, 100.0, TAU_MAX_S])
    guess = tuple(np.clip(guess, *bounds))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            best, covariance = curve_fit(
                _exponential, time_s, peak, guess, sigma, bounds=bounds, max_nfev=200
            )
    except RuntimeError:
        return math.inf
    if abs(best[1]) < MIN_SHIFT_NM or not np.all(np.isfinite(covariance)):
        return math.inf
    left = math.exp(-time_s[-1] / best[2])
    gradient = np.array([0.0, left, best[1] * left * time_s[-1] / best[2] ** 2])
    return abs(best[1]) * left + 3.0 * math.sqrt(float(gradient @ covariance @ gradient))


RULES: dict[str, Rule] = {
    "fixed timer, 11 min": timer,
    "slope of 60 s": slope_60s,
    "armed slope of 120 s": armed_slope_120s,
    "exponential fit + 3 sd": fitted_exponential,
    "Page-Hinkley": page_hinkley,
}
