from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.spectroscopy.temperature import (
    NOMINAL,
    UNDECLARED_FLOOR,
    Anchor,
    Coefficient,
    CoefficientLearner,
    Correction,
    band_between,
    combined,
    gap_shift_ev,
    to_25c,
    to_hot,
)


@pytest.mark.parametrize(
    ("temperature_c", "mev"),
    [(25, 0.0), (120, -30.9), (200, -57.8), (250, -74.9), (280, -85.2), (320, -99.0)],
)
def test_the_gap_moves_as_the_paper_tables_it(temperature_c, mev):
    assert 1e3 * gap_shift_ev(temperature_c) == pytest.approx(mev, abs=0.06)


@pytest.mark.parametrize(
    ("cold_nm", "temperature_c", "hot_nm"),
    [(470, 120, 475.6), (470, 260, 484.4), (580, 120, 588.5), (580, 200, 596.1), (580, 320, 608.2)],
)
def test_hot_peaks_read_as_the_paper_tables_them(cold_nm, temperature_c, hot_nm):
    assert to_hot(cold_nm, temperature_c) == pytest.approx(hot_nm, abs=0.06)
    assert to_25c(hot_nm, temperature_c).peak_nm == pytest.approx(cold_nm, abs=0.06)


@pytest.mark.parametrize(("temperature_c", "slope"), [(25, -0.318), (200, -0.339), (250, -0.343)])
def test_the_slope_is_that_of_bulk_inp(temperature_c, slope):
    assert NOMINAL.mev_per_k(temperature_c) == pytest.approx(slope, abs=6e-4)


def test_the_band_is_a_quarter_of_the_correction():
    corrected = to_25c(601.05, 250.0)
    assert corrected.band_nm == pytest.approx(0.25 * (601.05 - corrected.peak_nm), rel=0.05)


def test_no_peak_stays_no_peak():
    assert math.isnan(to_25c(math.nan, 200.0).peak_nm)


def cooled(scale=1.2, reaction_nm_min=0.0, span_c=(200.0, 120.0), noise_nm=0.08, seed=1):
    """Two minutes hot, 4 K/min down, two minutes cold: the ramp of the recipe with its settling."""
    rng = np.random.default_rng(seed)
    learner = CoefficientLearner()
    high, low = span_c
    minutes = (high - low) / 4.0
    for t_s in np.arange(0.0, 60.0 * (minutes + 4.0), 10.0):
        temperature = min(high, max(low, high - 4.0 * (t_s / 60.0 - 2.0)))
        peak = to_hot(580.0, temperature, Coefficient(scale=scale))
        peak += reaction_nm_min * t_s / 60.0 + noise_nm * rng.standard_normal()
        learner.add(t_s, temperature, peak, noise_nm)
    return learner.result()


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_a_cool_down_teaches_the_coefficient(scale):
    results = [cooled(scale, seed=seed) for seed in range(20)]
    assert all(r.source == "learnt" for r in results)
    errors = [(r.scale - scale) / r.sigma for r in results]
    assert max(map(abs, errors)) < 4.0
    assert all(r.sigma < 0.06 for r in results)


def test_a_reaction_during_the_cool_down_keeps_the_nominal_value():
    result = cooled(reaction_nm_min=0.15)
    assert result.source == "nominal"
    assert "drift" in result.reason
    assert (result.scale, result.sigma) == (1.0, 0.25)


def test_too_little_cooling_keeps_the_nominal_value():
    result = cooled(span_c=(140.0, 120.0))
    assert result.source == "nominal"
    assert "20 K" in result.reason


def test_too_few_peaks_keep_the_nominal_value():
    learner = CoefficientLearner()
    for i in range(5):
        learner.add(i, 200.0 - 20.0 * i, 590.0 - i, 0.1)
    assert "only 5 peaks" in learner.result().reason


def test_peaks_that_do_not_follow_temperature_keep_the_nominal_value():
    rng = np.random.default_rng(2)
    learner = CoefficientLearner()
    for i in range(60):
        learner.add(10.0 * i, 200.0 - i, 590.0 + 3.0 * rng.standard_normal(), 0.1)
    assert learner.result().source == "nominal"


def test_one_that_moves_the_wrong_way_is_not_plausible():
    assert "plausible" in cooled(scale=-1.0).reason


def test_senseless_rows_are_passed_over():
    learner = CoefficientLearner()
    for row in [(0, math.nan, 590, 0.1), (1, 200, math.inf, 0.1), (2, 200, 590, 0.0)]:
        learner.add(*row)
    assert learner.result().points == 0


@pytest.mark.parametrize(
    ("low_c", "high_c", "cold_nm", "shift_nm"),
    [(25, 200, 470, 10.5), (25, 200, 580, 16.0), (120, 250, 580, 12.5),
     (25, 250, 470, 13.7), (25, 250, 580, 21.0)],
)  # fmt: skip
def test_the_peak_moves_as_far_as_the_bulk_says(low_c, high_c, cold_nm, shift_nm):
    moved = to_hot(cold_nm, high_c) - to_hot(cold_nm, low_c)
    assert moved == pytest.approx(shift_nm, abs=0.15)


@pytest.mark.parametrize(("at_200_nm", "shift_nm"), [(470, 3.1), (580, 4.7)])
def test_fifty_kelvin_more_move_a_hot_peak_on(at_200_nm, shift_nm):
    cold_nm = to_25c(at_200_nm, 200.0).peak_nm
    assert to_hot(cold_nm, 250.0) - at_200_nm == pytest.approx(shift_nm, abs=0.1)


@pytest.mark.parametrize("scale", [0.76, 0.9, 1.1, 1.24])
def test_a_ramp_on_a_resting_sample_stays_within_the_band(scale):
    true = Coefficient(scale=scale)
    start = Correction().to_25c(to_hot(580.0, 200.0, true), 200.0)
    for at_c in np.arange(200.0, 251.0, 5.0):
        now = Correction().to_25c(to_hot(580.0, at_c, true), at_c)
        assert abs(now.peak_nm - 580.0) <= now.band_nm * 1.05
        assert abs(now.peak_nm - start.peak_nm) <= band_between(200.0, at_c, 580.0) * 1.1 + 1e-9


def anchored(scale=1.0, sigma_nm=0.2, axis_nm=0.0, coefficient=NOMINAL, at_c=240.0):
    hot = to_hot(580.0, at_c, Coefficient(scale=scale)) + axis_nm
    return Correction(coefficient, Anchor(hot, at_c, 580.0, sigma_nm))


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("axis_nm", [-1.5, 0.0, 2.0])
def test_where_it_is_anchored_the_cuvette_is_the_truth_and_its_sd_the_band(scale, axis_nm):
    correction = anchored(scale, axis_nm=axis_nm)
    seen = correction.to_25c(to_hot(580.0, 240.0, Coefficient(scale=scale)) + axis_nm, 240.0)
    assert seen.peak_nm == pytest.approx(580.0, abs=1e-9)
    assert seen.band_nm == pytest.approx(0.2)
    assert seen.band_nm < to_25c(600.0, 240.0).band_nm / 10


@pytest.mark.parametrize("scale", [0.75, 1.25])
@pytest.mark.parametrize("at_c", [120.0, 200.0, 239.0, 260.0, 300.0])
def test_away_from_the_anchor_the_band_grows_with_the_way(scale, at_c):
    seen = anchored(scale).to_25c(to_hot(580.0, at_c, Coefficient(scale=scale)), at_c)
    way = abs(gap_shift_ev(at_c) - gap_shift_ev(240.0)) * 0.25 * seen.peak_nm**2 / 1239.841984
    assert seen.band_nm == pytest.approx(math.hypot(0.2, way), rel=1e-9)
    assert abs(seen.peak_nm - 580.0) <= way * 1.1


def test_an_anchored_scale_still_sees_the_sample_move():
    grown = anchored().to_25c(to_hot(585.0, 240.0), 240.0)
    assert grown.peak_nm == pytest.approx(585.0, abs=0.01)


def test_no_peak_stays_no_peak_with_an_anchor():
    assert math.isnan(anchored().to_25c(math.nan, 200.0).peak_nm)


@pytest.mark.parametrize("source", ["cool-down of this run", "ramps before any reagent"])
def test_what_was_learnt_says_from_what(source):
    learner = CoefficientLearner(source)
    for i in range(60):
        at_c = 200.0 - i
        peak = to_hot(580.0, at_c) + 0.03 * (-1.0) ** i
        learner.add(20.0 * i + 3000.0 * (i > 30), at_c, peak, 0.05)
    assert learner.result().reason == source


def learnt(scale, sigma, reason="ramps"):
    return Coefficient(scale, sigma, "learnt", reason, 40, 80.0)


def test_two_coefficients_that_agree_are_weighed_by_their_sds():
    both = combined(learnt(1.0, 0.03), learnt(1.05, 0.06, "cool-down"))
    assert both.scale == pytest.approx((1.0 * 4 + 1.05) / 5)
    assert both.sigma == pytest.approx(0.03 * math.sqrt(0.8))
    assert both.reason == "ramps and cool-down"


def test_two_sharp_ones_are_no_sharper_than_what_both_leave_out():
    assert combined(learnt(1.0, 0.021), learnt(1.0, 0.021)).sigma == pytest.approx(0.02)


def test_where_they_disagree_the_later_counts_and_it_is_told():
    both = combined(learnt(0.9, 0.02), learnt(1.1, 0.05, "cool-down"))
    assert (both.scale, both.sigma) == (1.1, 0.05)
    assert "disagrees" in both.reason


def test_a_nominal_one_adds_nothing_and_takes_nothing():
    assert combined(NOMINAL, learnt(1.1, 0.05)) == learnt(1.1, 0.05)
    assert combined(learnt(1.1, 0.05), NOMINAL) == learnt(1.1, 0.05)
    assert combined(NOMINAL, NOMINAL) == NOMINAL


@pytest.mark.parametrize("barrier_ev", [0.4, 0.8, 1.2])
@pytest.mark.parametrize("holds", [0, 60])
def test_a_reaction_hidden_in_the_ramps_is_refused_or_inside_the_band(barrier_ev, holds):
    rng = np.random.default_rng(7)
    ramps = np.concatenate(
        (np.arange(25.0, 120.0, 5.0), np.full(holds, 120.0), np.arange(120.0, 205.0, 5.0))
    )
    errors, refused = [], 0
    for shift_nm in np.repeat([0.2, 0.5, 1.0, 2.0, 4.0], 8):
        scale, noise_nm = rng.uniform(0.8, 1.2), 10 ** rng.uniform(-1.5, -0.5)
        rate = np.exp(-barrier_ev / 8.617e-5 / (ramps + 273.15))
        grown_nm = shift_nm * np.cumsum(rate) / rate.sum() * rng.choice([-1.0, 1.0])
        learner = CoefficientLearner(floor=UNDECLARED_FLOOR)
        for k, at_c in enumerate(ramps):
            peak_nm = to_hot(580.0 + grown_nm[k], at_c, Coefficient(scale=scale))
            learner.add(30.0 * k, at_c, peak_nm + noise_nm * rng.standard_normal(), noise_nm)
        found = learner.result()
        refused += found.source == "nominal"
        errors.append(abs(found.scale - scale) / found.sigma)
    assert max(errors) < 3.0
    assert refused >= 5
