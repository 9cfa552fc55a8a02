"""How a flask and its instrument are looked at: a `Course` is drawn, `sample` makes it a stream.

The truth says when less than `DELTA_NM` of movement was left for good (`settled_s`; infinite where
it never is). What the instrument adds - drift, steps, outliers, temperature - is no part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Curve = Callable[[Floats], Floats]
Row = tuple[float, float, float | None, float, bool, float, float]

DELTA_NM = 0.5
HORIZON_S = 7200.0
RUN_S = 7200.0
LONGEST_S = 14400.0
START_NM = 580.0
HOT_NM_PER_K = 0.09


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run: rows (t_s, peak at 25 °C, sigma, °C, hold, raw peak, band) and the truth.

    `true_s` is the time of each row on a clock that never jumps. `kind` says what a declaration is
    worth: before `settled_s` it is false, on `fault` and `idle` always.
    """

    family: str
    kind: str
    samples: list[Row]
    true_s: list[float]
    settled_s: float
    start_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """How a flask is looked at: shift (nm) over time (s), and what the instrument adds."""

    shift: Curve
    sigma_nm: float = 0.1
    every_s: float = 10.0
    temperature: Curve = lambda t: np.full_like(t, 200.0)
    coefficient_error: float = 0.25
    band: float = 0.0
    reported: float | None = 1.0
    drift: Curve = lambda t: 0.0 * t
    growing_noise: float = 0.0
    correlation: float = 0.0
    hold: Callable[[Floats], NDArray[np.bool_]] = lambda t: np.zeros(t.shape, bool)
    outliers: float = 0.0
    missing: float = 0.0
    gaps: tuple[tuple[float, float], ...] = field(default=())
    irregular: float = 0.0
    start_s: float = 0.0
    run_s: float = RUN_S
    kind: str = "identifiable"


def settled(shift: Curve) -> float:
    """The time after which the peak never moves by more than `DELTA_NM` in `HORIZON_S`, in s."""
    step_s = 5.0
    course = shift(np.arange(0.0, LONGEST_S + HORIZON_S, step_s))
    ahead = np.lib.stride_tricks.sliding_window_view(course, int(HORIZON_S / step_s))
    here = ahead[:, 0]
    left = np.maximum(ahead.max(axis=1) - here, here - ahead.min(axis=1))
    moving = np.flatnonzero(left > DELTA_NM)
    end_s = step_s * (float(moving[-1]) + 1.0) if moving.size else 0.0
    return end_s if end_s < LONGEST_S else math.inf


def sample(family: str, course: Course, rng: np.random.Generator) -> Scenario:
    """Draw the samples of one run."""
    time_s = np.arange(0.0, course.run_s, course.every_s)
    if course.irregular:
        time_s = np.sort(time_s + course.every_s * course.irregular * rng.random(time_s.size))
    temperature_c = course.temperature(time_s)
    measured = START_NM + course.shift(time_s) + course.drift(time_s) + _noise(course, time_s, rng)
    raw = measured + HOT_NM_PER_K * (temperature_c - 25.0)
    read_c = temperature_c + 0.05 * rng.standard_normal(time_s.size)
    error = course.coefficient_error * rng.uniform(-1.0, 1.0)
    corrected = raw - HOT_NM_PER_K * (1.0 + error) * (read_c - 25.0)
    # The run's own bias is known beforehand; only its change with temperature hurts.
    corrected += HOT_NM_PER_K * error * (temperature_c[-1] - 25.0)
    reported = None if course.reported is None else course.reported * course.sigma_nm
    kept = rng.random(time_s.size) >= course.missing
    for begin_s, end_s in course.gaps:
        kept &= (time_s < begin_s) | (time_s > end_s)
    columns = (time_s, corrected, read_c, course.hold(time_s), raw)
    samples = [
        (float(t), float(y), reported, float(c), bool(h), float(r), course.band * (float(c) - 25.0))
        for t, y, c, h, r in zip(*(column[kept] for column in columns), strict=True)
    ]
    true_s = [row[0] for row in samples]
    return Scenario(family, course.kind, samples, true_s, settled(course.shift), course.start_s)


def _noise(course: Course, time_s: Floats, rng: np.random.Generator) -> Floats:
    sigma = course.sigma_nm * (1.0 + course.growing_noise * time_s / 3600.0)
    noise = rng.standard_normal(time_s.size)
    rho = course.correlation
    if rho:
        for i in range(1, noise.size):
            noise[i] = rho * noise[i - 1] + math.sqrt(1.0 - rho * rho) * noise[i]
    bad = rng.random(time_s.size) < course.outliers
    burst = rng.uniform(300.0, 1200.0)
    bad |= (course.outliers > 0) & (time_s > burst) & (time_s < burst + 25.0)
    far = rng.choice([-1, 1], time_s.size) * rng.uniform(2.0, 12.0, time_s.size)
    out: Floats = sigma * noise + bad * far
    return out


def joined(*curves: Curve) -> Curve:
    """The sum of several curves."""
    return lambda t: np.sum([curve(t) for curve in curves], axis=0)
