from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.spectroscopy.saturation_models import DecayModels, _erfc
from labctl.spectroscopy.saturation_samples import Bin
from labctl.spectroscopy.saturation_track import Track


@pytest.fixture(scope="module")
def models():
    return DecayModels(1500.0)


def bins(course, sigma=0.05, every_s=20.0, count=60, seed=0, temperature=lambda t: 0.0 * t):
    rng = np.random.default_rng(seed)
    time_s = every_s * np.arange(count)
    peak = course(time_s) + sigma * rng.standard_normal(count)
    return [
        Bin((float(t),), float(y), sigma, float(c))
        for t, y, c in zip(time_s, peak, temperature(time_s), strict=True)
    ]


def track(models, series):
    made = Track(models, series[0])
    for one in series:
        made.add(one)
    return made


@pytest.mark.parametrize("x", [-6.0, -1.0, 0.0, 0.3, 1.0, 2.5, 5.0, 8.0])
def test_the_error_function_is_that_of_the_library(x):
    assert _erfc(np.array([x]))[0] == pytest.approx(math.erfc(x), rel=2e-7)


def stretched(t):
    return 580.0 - 15.0 * np.exp(-((t / 120.0) ** 0.6))


def second_order(t):
    return 580.0 - 8.0 / (1.0 + t / 70.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    "course",
    [
        lambda t: 580.0 - 15.0 * np.exp(-t / 90.0),
        lambda t: 580.0 - 15.0 * np.exp(-t / 250.0),
        lambda t: 580.0 - 15.0 * np.exp(-t / 600.0),
        lambda t: 580.0 - 9.0 * np.exp(-t / 60.0) - 4.0 * np.exp(-t / 700.0),
        stretched,
        second_order,
    ],
)
def test_what_is_left_is_foretold(models, course, sign):
    def either(t):
        return 580.0 + sign * (course(t) - 580.0)

    pulls = []
    for seed in range(12):
        outlook = track(models, bins(either, seed=seed)).posterior(1.0, 0.3).outlook()
        left = outlook.total()
        truth = float(either(1180.0 + 7500.0) - either(1180.0))
        pulls.append((left.mean - truth) / max(left.sd, 0.01))
        assert left.mean == pytest.approx(truth, abs=0.03 + 4.0 * left.sd)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8


def test_the_slope_is_the_derivative(models):
    posterior = track(models, bins(lambda t: -20.0 * np.exp(-t / 600.0) + 580.0)).posterior(
        1.0, 0.3
    )
    slope = posterior.slope()
    truth = 20.0 / 600.0 * math.exp(-1180.0 / 600.0)
    assert slope.mean == pytest.approx(truth, abs=4.0 * slope.sd)
    assert slope.sd < 0.2 * truth


def test_temperature_is_told_from_kinetics(models):
    def ripple(t):
        return 2.0 * np.sin(2.0 * np.pi * t / 300.0)

    series = bins(lambda t: 590.0 + 0.02 * ripple(t), sigma=0.03, seed=2, temperature=ripple)
    posterior = track(models, series).posterior(1.0, 0.3)
    warm = posterior.level(1180.0, 2.0).mean - posterior.level(1180.0, 0.0).mean
    assert warm / 2.0 == pytest.approx(0.02, abs=0.008)


def test_movement_beyond_a_limit_is_certain_at_first_and_excluded_at_last(models):
    series = bins(lambda t: 580.0 - 20.0 * np.exp(-t / 150.0), count=180)
    assert track(models, series[:12]).posterior(1.0, 0.3).outlook().exceeds(0.35) > 0.999
    assert track(models, series).posterior(1.0, 0.3).outlook().exceeds(0.35) < 1e-3


def test_a_slope_that_would_last_is_not_excluded(models):
    pace = 0.04 / 60.0
    series = bins(lambda t: 580.0 - 15.0 * np.exp(-t / 100.0) + pace * t, count=90)
    outlook = track(models, series).posterior(1.0, 0.3).outlook()
    assert outlook.exceeds(0.5) > 0.9
    assert outlook.total().mean > 0.5


def test_residuals_that_follow_each_other_widen_the_answer(models):
    white = bins(lambda t: 580.0 + 0.0 * t, seed=3, count=120)
    walk, last = [], 0.0
    for one in white:
        last = 0.9 * last + one.peak_nm - 580.0
        walk.append(Bin(one.times_s, 580.0 + last, one.sigma_nm, 0.0))
    plain, walking = (
        track(models, white).posterior(1.0, 0.3),
        track(models, walk).posterior(1.0, 0.3),
    )
    assert walking.outlook().total().sd > 2.0 * plain.outlook().total().sd


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_noise_is_learnt_from_the_residuals(models, true):
    course = bins(lambda t: 580.0 - 15.0 * np.exp(-t / 150.0), sigma=0.05 * true, count=90)
    made = Track(models, course[0])
    scale = 1.0
    for k, one in enumerate(course):
        made.add(Bin(one.times_s, one.peak_nm, 0.05, 0.0))
        if k >= 8:
            scale = made.posterior(scale, 0.3).scale
    assert scale == pytest.approx(true, rel=0.2)


def test_a_step_opens_the_level_and_nothing_else(models):
    def course(t):
        return 580.0 - 15.0 * np.exp(-t / 250.0)

    series = bins(course)
    made = Track(models, series[0])
    for k, one in enumerate(series):
        if k == 40:
            made.step()
        height = 2.0 * (k >= 40)
        made.add(Bin(one.times_s, one.peak_nm + height, one.sigma_nm, 0.0))
    stepped, plain = made.posterior(1.0, 0.3), track(models, series).posterior(1.0, 0.3)
    assert stepped.scale < 1.3
    assert stepped.level(1180.0, 0.0).mean == pytest.approx(
        plain.level(1180.0, 0.0).mean + 2.0, abs=0.1
    )
    left, without = stepped.outlook().total(), plain.outlook().total()
    assert left.mean == pytest.approx(without.mean, abs=2.0 * without.sd + 0.02)
    assert left.sd >= without.sd


def test_the_closed_form_is_that_of_a_plain_least_squares_fit(models):
    """One model by hand: generalised ridge regression with the same priors."""
    series = bins(
        lambda t: 580.0 - 15.0 * np.exp(-t / 200.0), temperature=lambda t: np.sin(t / 90.0)
    )
    made = track(models, series)
    posterior = made.posterior(1.0, 0.3)
    model = int(np.argmax(posterior.weight))
    columns = models.columns[model][:2]
    time_s = np.array([one.time_s for one in series])
    design = np.column_stack(
        (
            np.ones(60),
            [one.temperature_c - series[0].temperature_c for one in series],
            models.rows(time_s)[:, columns],
        )
    )
    shift = np.array([one.peak_nm for one in series]) - series[0].peak_nm
    total = posterior.mean[model][0]
    spread = np.linalg.inv(posterior.covariance[model])[1, 1]
    assert spread > 0.0
    ridge = np.diag([1 / 200.0**2, 1 / 0.03**2, 1 / 12.0**2, 3.0 / total**2])
    exact = np.linalg.solve(design.T @ design / 0.05**2 + ridge, design.T @ shift / 0.05**2)
    assert posterior.mean[model][:2] == pytest.approx(exact[2:], rel=0.02, abs=0.05)


@settings(max_examples=25, deadline=None)
@given(
    peaks=st.lists(st.floats(251.0, 1499.0), min_size=6, max_size=40),
    gap=st.floats(1e-3, 600.0),
    sigma=st.floats(0.003, 30.0),
    scale=st.floats(0.3, 30.0),
)
def test_any_series_gives_finite_numbers(models, peaks, gap, sigma, scale):
    series = [Bin((gap * k,), y, sigma, 20.0) for k, y in enumerate(peaks)]
    posterior = track(models, series).posterior(scale, 0.3)
    outlook = posterior.outlook()
    assert 0.0 <= outlook.exceeds(0.4) <= 1.0
    assert math.isfinite(outlook.total().mean)
    assert math.isfinite(posterior.slope().mean)
    assert math.isfinite(posterior.level(series[-1].time_s, 20.0).mean)
