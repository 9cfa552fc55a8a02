from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labctl.spectroscopy.absorbance import Detector
from labctl.spectroscopy.photoluminescence import Excitation, is_flat, luminescence

AXIS = np.linspace(345.0, 1022.0, 2068)
DARK = np.full(AXIS.size, 500.0)
LASER = Excitation(wavelength_nm=402.0, power_mw=5.0, integration_s=0.2, absorbance_au=0.8)


def band(height=8000.0, peak_nm=612.0, fwhm_nm=45.0, seed=0):
    rng = np.random.default_rng(seed)
    shape = height * np.exp(-4.0 * math.log(2.0) * ((AXIS - peak_nm) / fwhm_nm) ** 2)
    laser = 60_000.0 * np.exp(-0.5 * ((AXIS - 402.0) / 1.0) ** 2)
    return np.round(DARK + shape + laser + 8.0 * rng.standard_normal(AXIS.size))


def test_peak_width_and_area_of_a_gaussian_band():
    found = luminescence(AXIS, band(), DARK, LASER)
    assert found.quality == "GOOD"
    assert found.peak_nm == pytest.approx(612.0, abs=0.3)
    assert found.width_nm == pytest.approx(45.0, abs=0.7)
    closed_form = 8000.0 * 45.0 * math.sqrt(math.pi / (4.0 * math.log(2.0)))
    assert found.area == pytest.approx(closed_form, rel=0.01)


def test_absorbed_photons_of_one_millijoule_at_402_nm():
    # h c / 402 nm = 4.941e-19 J, so 1 mJ is 2.0237e15 photons; all of it absorbed at A = 10.
    full = Excitation(402.0, 5.0, 0.2, 10.0)
    assert full.absorbed_photons == pytest.approx(2023.7, rel=1e-4)
    assert LASER.absorbed_photons / full.absorbed_photons == pytest.approx(1.0 - 10**-0.8)


def test_area_per_photon_does_not_know_power_nor_time():
    bright = luminescence(AXIS, band(8000.0), DARK, LASER)
    double = Excitation(402.0, 10.0, 0.2, 0.8)
    twice = luminescence(AXIS, band(16_000.0), DARK, double)
    assert twice.area_per_photon == pytest.approx(bright.area_per_photon, rel=0.01)


def test_sigma_is_the_scatter_of_repeats():
    found = [luminescence(AXIS, band(seed=i), DARK, LASER, Detector()) for i in range(40)]
    scatter = np.std([f.area for f in found])
    sigma = found[0].sigma_per_photon * LASER.absorbed_photons
    # These spectra have readout noise only; sigma also holds the shot noise of the band.
    assert 0.5 * sigma < scatter < 1.3 * sigma


def test_a_saturated_band_is_bad_but_a_saturated_laser_line_is_not():
    assert luminescence(AXIS, band(70_000.0), DARK, LASER).flags == ("saturated",)
    counts = band()
    counts[np.abs(AXIS - 402.0) < 2.0] = 65_535.0
    assert luminescence(AXIS, counts, DARK, LASER).quality == "GOOD"


def test_no_light_is_dark():
    assert luminescence(AXIS, band(0.0), DARK, LASER).flags == ("dark",)


def test_without_absorption_there_is_no_area_per_photon():
    found = luminescence(AXIS, band(), DARK, Excitation(402.0, 5.0, 0.2, 0.001))
    assert found.flags == ("not_absorbed",)
    assert math.isnan(found.area_per_photon)


def test_an_absorption_nobody_knows_is_not_made_up():
    found = luminescence(AXIS, band(), DARK, Excitation(402.0, 5.0, 0.2, math.nan))
    assert (found.quality, found.flags) == ("BAD", ("absorption_unknown",))
    assert found.peak_nm == pytest.approx(612.0, abs=0.3)
    assert math.isnan(found.area_per_photon)


def test_what_is_not_known_of_the_absorption_is_not_known_of_the_area():
    rng = np.random.default_rng(4)
    counts = band()
    sure = luminescence(AXIS, counts, DARK, LASER)
    unsure = luminescence(AXIS, counts, DARK, Excitation(402.0, 5.0, 0.2, 0.8, 0.02))
    drawn = [
        luminescence(AXIS, counts, DARK, Excitation(402.0, 5.0, 0.2, a)).area_per_photon
        for a in 0.8 + 0.02 * rng.standard_normal(200)
    ]
    assert unsure.area_per_photon == sure.area_per_photon
    expected = math.hypot(sure.sigma_per_photon, float(np.std(drawn)))
    assert unsure.sigma_per_photon == pytest.approx(expected, rel=0.15)


def test_a_sample_that_swallows_the_laser_early_is_flagged_and_still_used():
    found = luminescence(AXIS, band(), DARK, Excitation(402.0, 5.0, 0.2, 1.4))
    assert (found.quality, found.flags) == ("GOOD", ("inner_filter",))
    assert luminescence(AXIS, band(), DARK, LASER).flags == ()


def test_the_inner_filter_is_in_the_absorbed_light():
    # Twice the dots do not absorb twice the light: 1 - 10^-1.6 against 1 - 10^-0.8.
    once, twice = LASER, Excitation(402.0, 5.0, 0.2, 1.6)
    assert twice.absorbed_part / once.absorbed_part == pytest.approx(0.97488 / 0.84151, rel=1e-4)


def test_counts_that_are_no_numbers_are_bad():
    counts = band()
    counts[1000] = math.nan
    assert luminescence(AXIS, counts, DARK, LASER).flags == ("invalid",)


TIME = np.arange(0.0, 900.0, 30.0)


def areas(course, noise=0.004, seed=0):
    rng = np.random.default_rng(seed)
    return course * (1.0 + noise * rng.standard_normal(TIME.size))


def test_a_settled_area_is_flat():
    flat = [
        is_flat(TIME, areas(np.full(TIME.size, 5.0), seed=i), np.full(30, 0.02)) for i in range(50)
    ]
    assert sum(flat) >= 48


@pytest.mark.parametrize("per_hour", [-1.0, -0.3, 0.3, 1.0])
def test_a_moving_area_is_never_flat(per_hour):
    course = 5.0 * (1.0 + per_hour * TIME / 3600.0)
    assert not any(is_flat(TIME, areas(course, seed=i), np.full(30, 0.02)) for i in range(50))


@pytest.mark.parametrize(
    "series",
    [
        np.full(30, 5.0),
        np.full(30, math.nan),
        np.zeros(30),
        np.linspace(-5.0, -5.1, 30),
        5.0 + np.where(np.arange(30) > 15, 0.4, 0.0) + 0.01 * (-1.0) ** np.arange(30),
        5.0 + 0.8 * (-1.0) ** np.arange(30),
    ],
    ids=["constant", "missing", "dead", "negative", "step", "noisy"],
)
def test_doubtful_series_are_never_flat(series):
    assert not is_flat(TIME, series, np.full(30, 0.02))


def test_few_or_short_series_are_never_flat():
    settled = areas(np.full(30, 5.0))
    assert not is_flat(TIME[:8], settled[:8], np.full(8, 0.02))
    assert not is_flat(TIME / 10.0, settled, np.full(30, 0.02))
    assert not is_flat(TIME[::-1], settled, np.full(30, 0.02))


LONG, RISE = np.arange(0.0, 3600.0, 30.0), np.arange(0.0, 2400.0, 30.0)


def first_flat(time_s, area, sigma):
    """Look every two minutes; give the index of the first flat, or None."""
    for end in range(10, time_s.size, 4):
        first = max(0, end - 40)
        if is_flat(time_s[first : end + 1], area[first : end + 1], sigma[first : end + 1]):
            return end
    return None


def test_of_a_thousand_noisy_rises_at_most_one_is_called_flat_too_early():
    rng = np.random.default_rng(20)
    early = 0
    for _ in range(1000):
        rate = math.log1p(rng.uniform(0.03, 0.12)) / 600.0
        noise = 10 ** rng.uniform(-3.0, -1.8)
        area = np.exp(rate * RISE) * (1.0 + noise * rng.standard_normal(RISE.size))
        early += first_flat(RISE, area, np.full(RISE.size, 0.3 * noise)) is not None
    assert early <= 1


@pytest.mark.parametrize("noise", [0.001, 0.002, 0.005])
def test_a_rise_that_ends_becomes_flat_within_twenty_minutes_of_its_end(noise):
    rng = np.random.default_rng(21)
    course = 1.0 - 0.6 * np.exp(-LONG / 250.0)
    ends = int(np.argmax(0.6 * np.exp(-LONG / 250.0) < 0.03 * course))
    for _ in range(30):
        area = course * (1.0 + noise * rng.standard_normal(LONG.size))
        at = first_flat(LONG, area, noise * area)
        assert at is not None
        assert ends <= at <= ends + 40


numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 40).flatmap(lambda n: st.tuples(*[arrays(np.float64, n, elements=numbers)] * 3))
)
@example((np.array([1.8e308, *[-1e308] * 9]), np.zeros(10), np.zeros(10)))
def test_no_input_raises(columns):
    assert is_flat(*columns) in {True, False}


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-6, 1e9), st.integers(0, 1000), st.integers(1, 60))
def test_a_dead_or_clamped_source_is_never_flat_whatever_its_level(level, seed, size):
    time_s = np.arange(size) * 30.0
    assert not is_flat(time_s, np.full(size, level), np.full(size, 0.01 * level))


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-3, 1e6), st.integers(0, 10_000))
def test_flat_does_not_depend_on_the_unit(scale, seed):
    rng = np.random.default_rng(seed)
    area = 1.0 + 0.004 * rng.standard_normal(LONG.size)
    one = is_flat(LONG, area, np.full(LONG.size, 0.004))
    assert is_flat(LONG, scale * area, np.full(LONG.size, 0.004 * scale)) == one
