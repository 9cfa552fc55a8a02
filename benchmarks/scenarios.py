"""Kinetics and troubles a saturation detector must stand, each with its known truth.

`build(family, seed)` draws one run. A family is a kind of reaction (`benchmarks.kinetics`), the
ordinary reaction with one trouble of the instrument, or a random mixture of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.courses import Course, Floats, Row, Scenario, joined, sample
from benchmarks.kinetics import KINETICS, Rng, plain

Trouble = Callable[[Course, Rng], Course]


def _drift(base: Course, rng: Rng) -> Course:
    pace = rng.choice([-1, 1]) * rng.uniform(0.2, 0.6) / 3600.0
    return replace(base, drift=joined(base.drift, lambda t: pace * t))


def _fouling(base: Course, rng: Rng) -> Course:
    depth, tau = rng.choice([-1, 1]) * rng.uniform(0.1, 0.3), rng.uniform(1800.0, 5400.0)
    drift = joined(base.drift, lambda t: depth * -np.expm1(-t / tau))
    return replace(base, drift=drift, growing_noise=rng.uniform(0.3, 1.5))


def _bubbles(base: Course, rng: Rng) -> Course:
    return replace(base, outliers=0.1)


def _ramp(base: Course, rng: Rng) -> Course:
    period, over_k = rng.uniform(180.0, 400.0), rng.uniform(1.0, 4.0)

    def temperature(t: Floats) -> Floats:
        since = np.maximum(t - 480.0, 0.0)
        ring = over_k * np.sin(2.0 * np.pi * since / period) * np.exp(-since / 200.0)
        return np.minimum(120.0 + t / 6.0, 200.0) + ring

    return replace(base, temperature=temperature, start_s=480.0, coefficient_error=0.1, band=0.005)


def _pid(base: Course, rng: Rng) -> Course:
    period, phase = rng.uniform(120.0, 400.0), rng.uniform(0.0, 6.28)
    return replace(base, temperature=lambda t: 200.0 + 2.0 * np.sin(2 * np.pi * t / period + phase))


def _missing(base: Course, rng: Rng) -> Course:
    starts, lengths = rng.uniform(60.0, 1500.0, 2), rng.uniform(60.0, 240.0, 2)
    gaps = tuple((float(s), float(s + n)) for s, n in zip(starts, lengths, strict=True))
    return replace(base, missing=0.4, gaps=gaps)


def _irregular(base: Course, rng: Rng) -> Course:
    return replace(base, irregular=0.95)


def _coarse(base: Course, rng: Rng) -> Course:
    return replace(base, every_s=rng.uniform(20.0, 45.0))


def _dense(base: Course, rng: Rng) -> Course:
    return replace(base, every_s=rng.uniform(1.0, 5.0), run_s=5400.0)


def _low_sigma(base: Course, rng: Rng) -> Course:
    return replace(base, reported=1 / 3)


def _high_sigma(base: Course, rng: Rng) -> Course:
    return replace(base, reported=2.0)


def _no_sigma(base: Course, rng: Rng) -> Course:
    return replace(base, reported=None)


def _step(base: Course, rng: Rng) -> Course:
    height, when = rng.choice([-1, 1]) * rng.uniform(1.0, 3.0), rng.uniform(200.0, 1500.0)
    return replace(base, drift=joined(base.drift, lambda t: height * (t > when)))


def _correlated(base: Course, rng: Rng) -> Course:
    return replace(base, correlation=rng.uniform(0.3, 0.7))


TROUBLES: dict[str, Trouble] = {
    "lamp drift": _drift,
    "fouling": _fouling,
    "bubbles": _bubbles,
    "ramp, overshoot": _ramp,
    "PID ripple": _pid,
    "40 % missing, gaps": _missing,
    "irregular": _irregular,
    "20-45 s sampling": _coarse,
    "1-5 s sampling": _dense,
    "sigma 3x too small": _low_sigma,
    "sigma 2x too large": _high_sigma,
    "no sigma": _no_sigma,
    "step artefact": _step,
    "correlated noise": _correlated,
}
MIXED_KINETICS = (
    "clean", "noisy", "fast", "slow", "small shift", "blueshift", "biexponential", "stretched",
    "second order", "power law", "parabolic, never", "slow tail, never", "blue then red",
    "delayed onset",
)  # fmt: skip
MIXED_TROUBLES = (
    "lamp drift", "fouling", "bubbles", "PID ripple", "40 % missing, gaps", "irregular",
    "20-45 s sampling", "1-5 s sampling", "sigma 3x too small", "no sigma", "correlated noise",
)  # fmt: skip


def _mixture(rng: Rng) -> Course:
    """Any reaction with two troubles at once."""
    course = KINETICS[str(rng.choice(MIXED_KINETICS))](rng)
    for name in rng.choice(MIXED_TROUBLES, 2, replace=False):
        course = TROUBLES[str(name)](course, rng)
    return course


def _frozen(scenario: Scenario, rng: Rng) -> Scenario:
    """The source freezes while the reaction still runs."""
    index = int(rng.integers(5, 40))
    held = scenario.samples[index]
    late: list[Row] = [
        (t, held[1], s, c, h, held[5], band) for t, _, s, c, h, _, band in scenario.samples[index:]
    ]
    return replace(scenario, kind="fault", samples=scenario.samples[:index] + late)


def _clamped(scenario: Scenario, rng: Rng) -> Scenario:
    """The raw peak cannot pass a limit; the correction with a noisy probe hides it."""
    raws = [row[5] for row in scenario.samples]
    away = 1.0 if raws[-1] > raws[0] else -1.0
    limit = raws[0] + rng.uniform(0.3, 0.8) * (raws[-1] - raws[0])
    rows = []
    for t, y, s, c, h, raw, band in scenario.samples:
        over = max(away * (raw - limit), 0.0) * away
        rows.append((t, y - over, s, c, h, raw - over, band))
    return replace(scenario, kind="fault", samples=rows)


def _dead(scenario: Scenario, rng: Rng) -> Scenario:
    """A detector that never lived: one number, or digits of nothing."""
    level = scenario.samples[0][5]
    digit = float(rng.choice([0.0, 1e-4]))
    rows = [
        (t, level + digit * (i % 2), s, c, h, level + digit * (i % 2), band)
        for i, (t, _, s, c, h, _, band) in enumerate(scenario.samples)
    ]
    return replace(scenario, kind="fault", samples=rows)


def _clock_jump(scenario: Scenario, rng: Rng) -> Scenario:
    index = int(rng.integers(20, 100))
    jump = float(rng.choice([-90.0, 1800.0, 3600.0]))
    rows: list[Row] = [
        (row[0] + jump * (i >= index), *row[1:]) for i, row in enumerate(scenario.samples)
    ]
    return replace(scenario, samples=rows)


def _garbage(scenario: Scenario, rng: Rng) -> Scenario:
    wrong = [math.nan, math.inf, -math.inf, 0.0, 1e9, -580.0]
    rows: list[Row] = [
        (row[0], float(rng.choice(wrong)), *row[2:]) if rng.random() < 0.15 else row
        for row in scenario.samples
    ]
    return replace(scenario, samples=rows)


SPOILED: dict[str, Callable[[Scenario, Rng], Scenario]] = {
    "frozen": _frozen,
    "clamped": _clamped,
    "dead constant": _dead,
    "clock jump": _clock_jump,
    "NaN, inf, 0 frames": _garbage,
}
FAMILIES = (*KINETICS, *TROUBLES, "mixture", "mixture II", "mixture III", *SPOILED)


def _draw(family: str, rng: Rng) -> Course:
    if family.startswith("mixture"):
        return _mixture(rng)
    if family in TROUBLES:
        return TROUBLES[family](plain(rng), rng)
    return KINETICS.get(family, plain)(rng)


def build(family: str, seed: int, noise: float = 1.0) -> Scenario:
    """Build one run of a family; `noise` scales the scatter of the peak."""
    rng = np.random.default_rng([seed, FAMILIES.index(family)])
    course = _draw(family, rng)
    scenario = sample(family, replace(course, sigma_nm=noise * course.sigma_nm), rng)
    return SPOILED[family](scenario, rng) if family in SPOILED else scenario
