from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.spectroscopy.saturation_models import DecayModels, Series, _erfc, recent_slope


def series(course, sigma=0.05, every_s=20.0, count=60, seed=0):
    rng = np.random.default_rng(seed)
    time_s = every_s * np.arange(count)
    peak = course(time_s) + sigma * rng.standard_normal(count)
    return Series(time_s, peak, np.full(count, sigma), np.zeros(count))


@pytest.mark.parametrize("x", [-6.0, -1.0, 0.0, 0.3, 1.0, 2.5, 5.0, 8.0])
def test_the_error_function_is_that_of_the_library(x):
    assert _erfc(np.array([x]))[0] == pytest.approx(math.erfc(x), rel=2e-7)


@pytest.mark.parametrize("tau_s", [90.0, 250.0, 600.0])
@pytest.mark.parametrize("amplitude_nm", [15.0, -15.0])
def test_what_is_left_of_an_exponential_is_foretold(tau_s, amplitude_nm):
    models = DecayModels(1500.0)
    pulls = []
    for seed in range(15):
        left = models.posterior(
            series(lambda t: 580.0 - amplitude_nm * np.exp(-t / tau_s), seed=seed)
        ).remaining_total()
        truth = amplitude_nm * math.exp(-1180.0 / tau_s)
        pulls.append((left.mean - truth) / max(left.sd, 1e-3))
        assert left.mean == pytest.approx(truth, abs=0.02 + 4.0 * left.sd)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8


def test_the_slope_is_the_derivative():
    posterior = DecayModels(1500.0).posterior(series(lambda t: -20.0 * np.exp(-t / 600.0)))
    slope = posterior.slope()
    truth = 20.0 / 600.0 * math.exp(-1180.0 / 600.0)
    assert slope.mean == pytest.approx(truth, abs=4.0 * slope.sd)
    assert slope.sd < 0.2 * truth


def test_temperature_is_told_from_kinetics():
    rng = np.random.default_rng(2)
    time_s = 20.0 * np.arange(60)
    ripple = 2.0 * np.sin(2.0 * np.pi * time_s / 300.0)
    peak = 590.0 + 0.02 * ripple + 0.03 * rng.standard_normal(60)
    posterior = DecayModels(1500.0).posterior(
        Series(time_s, peak, np.full(60, 0.03), 200.0 + ripple)
    )
    coefficient = float(posterior.weight @ posterior.mean[:, 3])
    assert coefficient == pytest.approx(0.02, abs=0.008)
    warm = posterior.level(1180.0, 202.0).mean - posterior.level(1180.0, 200.0).mean
    assert warm == pytest.approx(2.0 * coefficient, abs=1e-6)


def test_movement_beyond_a_limit_is_certain_at_first_and_excluded_at_last():
    models = DecayModels(1500.0)
    rise = series(lambda t: -20.0 * np.exp(-t / 150.0), count=180)
    early = Series(
        *(a[:12] for a in (rise.time_s, rise.peak_nm, rise.sigma_nm, rise.temperature_c))
    )
    assert models.posterior(early).exceeds(0.35) > 0.999
    assert models.posterior(rise).exceeds(0.35) < 1e-3


def test_residuals_that_follow_each_other_widen_the_answer():
    models = DecayModels(1500.0)
    white = series(lambda t: 0.0 * t, seed=3)
    noise = white.peak_nm.copy()
    for i in range(1, noise.size):
        noise[i] = 0.9 * noise[i - 1] + noise[i]
    walking = Series(white.time_s, noise, white.sigma_nm, white.temperature_c)
    assert models.posterior(walking).inflation > 3.0 * models.posterior(white).inflation


def test_the_straight_slope_looks_at_the_last_third_only():
    time_s = 10.0 * np.arange(90)
    peak = np.where(time_s < 590.0, 0.1 * time_s, 59.0 - 0.02 * (time_s - 590.0))
    flat = Series(time_s, peak, np.full(90, 0.1), np.zeros(90))
    assert recent_slope(flat) == pytest.approx(-0.02)
