"""Kinetics and troubles a saturation detector must stand, each with its known truth.

A scenario is a stream of samples and the true course of the peak. The truth says when less than
`DELTA_NM` of movement was left for good (`settled_s`; infinite where it never is, or where a
declaration would be wrong at any time).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DELTA_NM = 0.5
HORIZON_S = 7200.0
RUN_S = 5400.0
START_NM = 580.0
HOT_NM_PER_K = 0.09


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run: samples as rows (t_s, peak at 25 °C, sigma, °C, hold, raw peak) and the truth."""

    family: str
    kind: str
    samples: list[tuple[float, float, float | None, float, bool, float]]
    settled_s: float
    start_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """How a flask is looked at: shift (nm) over time (s), and what the instrument adds."""

    shift: Callable[[Floats], Floats]
    sigma_nm: float = 0.1
    every_s: float = 10.0
    temperature: Callable[[Floats], Floats] = lambda t: np.full_like(t, 200.0)
    coefficient_error: float = 0.1
    reported: float | None = 1.0
    drift_nm_h: float = 0.0
    hold: Callable[[Floats], NDArray[np.bool_]] = lambda t: np.zeros(t.shape, bool)
    outliers: float = 0.0
    missing: float = 0.0
    irregular: float = 0.0
    start_s: float = 0.0
    artefact: Callable[[Floats], Floats] = lambda t: 0.0 * t
    kind: str = "identifiable"


def exponential(amplitude_nm: float, tau_s: float) -> Callable[[Floats], Floats]:
    """A first-order rise from t = 0."""
    return lambda t: amplitude_nm * -np.expm1(-np.maximum(t, 0.0) / tau_s)


def paused(
    shift: Callable[[Floats], Floats], start_s: float, length_s: float
) -> Callable[[Floats], Floats]:
    """The same course with the reaction standing still for a while."""
    return lambda t: shift(t - np.clip(t - start_s, 0.0, length_s))


def settled(shift: Callable[[Floats], Floats]) -> float:
    """The time after which the peak never again moves by more than `DELTA_NM`, in s."""
    time_s = np.arange(0.0, HORIZON_S, 5.0)
    course = shift(time_s)
    high = np.maximum.accumulate(course[::-1])[::-1]
    low = np.minimum.accumulate(course[::-1])[::-1]
    left = np.maximum(high - course, course - low)
    moving = np.flatnonzero(left > DELTA_NM)
    return float(time_s[moving[-1]] + 5.0) if moving.size else 0.0


def sample(family: str, course: Course, rng: np.random.Generator) -> Scenario:
    """Draw the samples of one run."""
    time_s = np.arange(0.0, RUN_S, course.every_s)
    if course.irregular:
        time_s = np.sort(time_s + course.every_s * course.irregular * rng.random(time_s.size))
    temperature_c = course.temperature(time_s)
    sigma = np.full(time_s.size, course.sigma_nm)
    drift = course.drift_nm_h * time_s / 3600.0 + course.artefact(time_s)
    measured = START_NM + course.shift(time_s) + drift + sigma * rng.standard_normal(time_s.size)
    bad = rng.random(time_s.size) < course.outliers
    burst = rng.uniform(300.0, 1200.0)
    bad |= (course.outliers > 0) & (time_s > burst) & (time_s < burst + 25.0)
    measured += bad * rng.choice([-1, 1], time_s.size) * rng.uniform(2.0, 12.0, time_s.size)
    raw = measured + HOT_NM_PER_K * (temperature_c - 25.0)
    read_c = temperature_c + 0.05 * rng.standard_normal(time_s.size)
    error = course.coefficient_error * rng.uniform(-1.0, 1.0)
    corrected = raw - HOT_NM_PER_K * (1.0 + error) * (read_c - 25.0)
    # The run's own bias is known beforehand; only its change with temperature hurts.
    corrected += HOT_NM_PER_K * error * (temperature_c[-1] - 25.0)
    reported = None if course.reported is None else course.reported * course.sigma_nm
    kept = rng.random(time_s.size) >= course.missing
    holds = course.hold(time_s)
    rows = zip(time_s, corrected, read_c, holds, raw, kept, strict=True)
    samples = [
        (float(t), float(y), reported, float(c), bool(h), float(r))
        for t, y, c, h, r, keep in rows
        if keep
    ]
    end = settled(course.shift)
    return Scenario(family, course.kind, samples, end, course.start_s)


def _amplitude(rng: np.random.Generator) -> float:
    return float(rng.uniform(4.0, 22.0) * rng.choice([1.0, 1.0, 1.0, -1.0]))


def _tau(rng: np.random.Generator, low: float = 80.0, high: float = 350.0) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _plain(rng: np.random.Generator) -> Course:
    return Course(exponential(_amplitude(rng), _tau(rng)), sigma_nm=rng.uniform(0.05, 0.15))


def _noisy(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), sigma_nm=rng.uniform(0.25, 0.4))


def _fast(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), shift=exponential(_amplitude(rng), _tau(rng, 15.0, 60.0)))


def _slow(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), shift=exponential(_amplitude(rng), _tau(rng, 400.0, 900.0)))


def _small(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), shift=exponential(rng.uniform(2.0, 3.5), _tau(rng)))


def _biexponential(rng: np.random.Generator) -> Course:
    total, part = _amplitude(rng), rng.uniform(0.15, 0.5)
    fast = exponential(total * (1 - part), _tau(rng, 30.0, 120.0))
    slow = exponential(total * part, _tau(rng, 300.0, 1100.0))
    return replace(_plain(rng), shift=lambda t: fast(t) + slow(t))


def _stretched(rng: np.random.Generator) -> Course:
    total, tau, beta = _amplitude(rng), _tau(rng, 60.0, 250.0), rng.uniform(0.55, 0.8)
    return replace(
        _plain(rng), shift=lambda t: total * -np.expm1(-((np.maximum(t, 0.0) / tau) ** beta))
    )


def _second_order(rng: np.random.Generator) -> Course:
    total, tau = rng.uniform(3.0, 12.0), _tau(rng, 30.0, 120.0)
    return replace(_plain(rng), shift=lambda t: total * t / (t + tau))


def _parabolic(rng: np.random.Generator) -> Course:
    pace = rng.uniform(0.25, 0.5)
    return replace(_plain(rng), shift=lambda t: pace * np.sqrt(np.maximum(t, 0.0)))


def _slow_tail(rng: np.random.Generator) -> Course:
    fast, pace = exponential(_amplitude(rng), _tau(rng)), rng.uniform(0.04, 0.1) / 60.0
    return replace(_plain(rng), shift=lambda t: fast(t) + pace * t)


def _delayed(rng: np.random.Generator) -> Course:
    rise, wait = exponential(_amplitude(rng), _tau(rng)), rng.uniform(120.0, 480.0)
    return replace(_plain(rng), shift=lambda t: rise(t - wait), start_s=wait)


def _second_rise(rng: np.random.Generator) -> Course:
    first, second = exponential(_amplitude(rng), _tau(rng, 40.0, 90.0)), _amplitude(rng)
    wait = rng.uniform(500.0, 900.0)
    rise = exponential(second, _tau(rng))
    return replace(_plain(rng), shift=lambda t: first(t) + rise(t - wait), kind="ambiguous")


def _second_rise_held(rng: np.random.Generator) -> Course:
    first, second = exponential(_amplitude(rng), _tau(rng, 40.0, 90.0)), _amplitude(rng)
    wait = rng.uniform(500.0, 900.0)
    rise = exponential(second, _tau(rng))
    return replace(
        _plain(rng),
        shift=lambda t: first(t) + rise(t - wait),
        hold=lambda t: (t > 150.0) & (t < wait + 30.0),
        kind="held",
    )


def _stirrer(rng: np.random.Generator) -> Course:
    base, start, length = _plain(rng), rng.uniform(100.0, 300.0), rng.uniform(120.0, 300.0)
    return replace(base, shift=paused(base.shift, start, length), kind="ambiguous")


def _stirrer_held(rng: np.random.Generator) -> Course:
    base, start, length = _plain(rng), rng.uniform(100.0, 300.0), rng.uniform(120.0, 300.0)
    return replace(
        base,
        shift=paused(base.shift, start, length),
        hold=lambda t: (t > start) & (t < start + length),
        kind="held",
    )


def _blue_then_red(rng: np.random.Generator) -> Course:
    blue = exponential(-rng.uniform(2.0, 5.0), _tau(rng, 40.0, 90.0))
    red = exponential(rng.uniform(6.0, 15.0), _tau(rng, 250.0, 500.0))
    return replace(_plain(rng), shift=lambda t: blue(t) + red(t))


def _drift(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), drift_nm_h=rng.choice([-1, 1]) * rng.uniform(0.2, 0.6))


def _bubbles(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), outliers=0.1)


def _ramp(rng: np.random.Generator) -> Course:
    tau = rng.uniform(30.0, 60.0)

    def temperature(t: Floats) -> Floats:
        over = 4.0 * np.exp(-(((t - 600.0) / 90.0) ** 2)) * (t > 480.0)
        return np.minimum(120.0 + t / 6.0, 200.0) + over * np.cos(t / tau)

    return replace(_plain(rng), temperature=temperature, start_s=480.0)


def _pid(rng: np.random.Generator) -> Course:
    period = rng.uniform(120.0, 400.0)
    return replace(_plain(rng), temperature=lambda t: 200.0 + 2.0 * np.sin(2 * np.pi * t / period))


def _missing(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), missing=0.4)


def _irregular(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), irregular=0.95)


def _coarse(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), every_s=rng.uniform(20.0, 45.0))


def _wrong_sigma(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), reported=1 / 3)


def _no_sigma(rng: np.random.Generator) -> Course:
    return replace(_plain(rng), reported=None)


def _step(rng: np.random.Generator) -> Course:
    base, when = _plain(rng), rng.uniform(200.0, 1500.0)
    height = rng.uniform(1.0, 3.0) * rng.choice([-1, 1])
    return replace(base, artefact=lambda t: height * (t > when))


def _nothing(rng: np.random.Generator) -> Course:
    return Course(lambda t: 0.0 * t, sigma_nm=rng.uniform(0.05, 0.15), kind="fault")


def _zns(rng: np.random.Generator) -> Course:
    """Stage II of InP/ZnS: S at 120 °C, 10 K/min to 250 °C, the reaction running all the way."""
    tau, total = rng.uniform(130.0, 330.0), rng.uniform(12.0, 18.0)
    grid = np.arange(0.0, HORIZON_S, 5.0)
    hot_c = np.minimum(120.0 + grid / 6.0, 250.0)
    pace = np.exp(-8000.0 * (1.0 / (hot_c + 273.15) - 1.0 / 523.15)) / tau
    extent = np.cumsum(pace) * 5.0
    return replace(
        _plain(rng),
        shift=lambda t: total * -np.expm1(-np.interp(t, grid, extent)),
        temperature=lambda t: np.minimum(120.0 + t / 6.0, 250.0),
        start_s=780.0,
    )


COURSES: dict[str, Callable[[np.random.Generator], Course]] = {
    "clean": _plain,
    "noisy": _noisy,
    "fast": _fast,
    "slow": _slow,
    "small shift": _small,
    "biexponential": _biexponential,
    "stretched": _stretched,
    "second order": _second_order,
    "parabolic, never": _parabolic,
    "slow tail, never": _slow_tail,
    "delayed onset": _delayed,
    "blue then red": _blue_then_red,
    "lamp drift": _drift,
    "bubbles": _bubbles,
    "ramp, overshoot": _ramp,
    "PID ripple": _pid,
    "40 % missing": _missing,
    "irregular": _irregular,
    "20-45 s sampling": _coarse,
    "sigma 3x too small": _wrong_sigma,
    "no sigma": _no_sigma,
    "ZnS stage II": _zns,
    "step artefact": _step,
    "second rise": _second_rise,
    "stirrer stop": _stirrer,
    "second rise, hold": _second_rise_held,
    "stirrer stop, hold": _stirrer_held,
    "no reaction": _nothing,
}


def _frozen(scenario: Scenario, rng: np.random.Generator) -> Scenario:
    """The source freezes while the reaction still runs."""
    index = int(rng.integers(5, 40))
    held = scenario.samples[index]
    late = [(t, held[1], s, c, h, held[5]) for t, _, s, c, h, _ in scenario.samples[index:]]
    return replace(
        scenario, family="dead constant", kind="fault", samples=scenario.samples[:index] + late
    )


def _clamped(scenario: Scenario, rng: np.random.Generator) -> Scenario:
    """The raw peak cannot pass a limit; the correction with a noisy probe hides it."""
    raws = [row[5] for row in scenario.samples]
    away = 1.0 if raws[-1] > raws[0] else -1.0
    limit = raws[0] + rng.uniform(0.3, 0.8) * (raws[-1] - raws[0])
    over = [max(away * (raw - limit), 0.0) * away for raw in raws]
    rows = [
        (t, y - beyond, s, c, h, raw - beyond)
        for (t, y, s, c, h, raw), beyond in zip(scenario.samples, over, strict=True)
    ]
    return replace(scenario, family="clamped", kind="fault", samples=rows)


def _clock_jump(scenario: Scenario, rng: np.random.Generator) -> Scenario:
    index = int(rng.integers(20, 100))
    jump = float(rng.choice([-90.0, 1800.0, 3600.0]))
    rows = [(row[0] + jump * (i >= index), *row[1:]) for i, row in enumerate(scenario.samples)]
    return replace(scenario, family="clock jump", kind="clock", samples=rows)


def _garbage(scenario: Scenario, rng: np.random.Generator) -> Scenario:
    wrong = [math.nan, math.inf, -math.inf, 0.0, 1e9, -580.0]
    rows = [
        (row[0], float(rng.choice(wrong)), *row[2:]) if rng.random() < 0.15 else row
        for row in scenario.samples
    ]
    return replace(scenario, family="NaN, inf, 0 frames", samples=rows)


SPOILED: dict[str, Callable[[Scenario, np.random.Generator], Scenario]] = {
    "dead constant": _frozen,
    "clamped": _clamped,
    "clock jump": _clock_jump,
    "NaN, inf, 0 frames": _garbage,
}
FAMILIES = (*COURSES, *SPOILED)


def build(family: str, seed: int, noise: float = 1.0) -> Scenario:
    """Build one run of a family; `noise` scales the scatter of the peak."""
    rng = np.random.default_rng([seed, FAMILIES.index(family)])
    course = COURSES.get(family, _plain)(rng)
    scenario = sample(family, replace(course, sigma_nm=noise * course.sigma_nm), rng)
    return SPOILED[family](scenario, rng) if family in SPOILED else scenario
