"""Arrival at a target: exact on exact courses, honest under noise, silent on a doubt."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.spectroscopy.arrival import (
    Course,
    course,
    forecast,
    is_frozen,
)

TIMES = np.arange(0.0, 62.0, 2.0)
SIGMA = np.full(TIMES.size, 0.2)


def relaxing(t_s, end=490.0, amplitude=40.0, tau=150.0):
    return end - amplitude * np.exp(-np.asarray(t_s) / tau)


def fitted(peaks, sigmas=SIGMA, times=TIMES, **more):
    found = course(times, peaks, sigmas, **more)
    assert isinstance(found, Course), found
    return found


def test_a_parabola_is_found_exactly_with_its_rate():
    peaks = 470.0 + 0.2 * (TIMES - 60) + 1e-3 * (TIMES - 60) ** 2
    found = fitted(peaks)
    assert found.level_nm() == pytest.approx(470.0)
    assert found.rate_nm_s == pytest.approx(0.2)
    assert found.level_nm(10.0) == pytest.approx(472.1)
    assert (found.now_s, found.span_s, found.points) == (60.0, 60.0, TIMES.size)


def test_a_line_arrives_when_it_does():
    found = fitted(460.0 + 0.1 * TIMES, degree=1)
    ahead = forecast(found, 470.0, rising=True)
    assert ahead.in_s == pytest.approx(40.0)
    assert forecast(found, 464.0, rising=True).in_s == pytest.approx(-20.0)


def test_one_that_grows_faster_follows_its_parabola():
    found = fitted(470.0 + 0.2 * (TIMES - 60) + 1e-3 * (TIMES - 60) ** 2)
    assert forecast(found, 472.1, rising=True).in_s == pytest.approx(10.0)


@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("ahead_s", [5.0, 15.0, 30.0])
def test_growth_that_dies_away_is_met_within_a_tenth_of_the_way(rising, ahead_s):
    sign = 1 if rising else -1
    found = fitted(480.0 + sign * (relaxing(TIMES) - 480.0))
    target = 480.0 + sign * (float(relaxing(60.0 + ahead_s)) - 480.0)
    assert forecast(found, target, rising=rising).in_s == pytest.approx(ahead_s, rel=0.1)


def test_the_sd_is_that_of_the_scatter_over_many_runs():
    target, off, promised = float(relaxing(80.0)), [], []
    for seed in range(400):
        noise = np.random.default_rng(seed).normal(0.0, 0.2, TIMES.size)
        ahead = forecast(fitted(relaxing(TIMES) + noise), target, rising=True)
        off.append(ahead.in_s - 20.0)
        promised.append(ahead.sd_s)
    assert np.std(off) == pytest.approx(np.median(promised), rel=0.15)
    assert np.mean(np.abs(off) < 2 * np.array(promised)) > 0.93
    assert abs(np.median(off)) < 1.2, "a parabola sees a twentieth too little of the way"


def test_a_sigma_reported_too_small_is_corrected_by_the_scatter():
    noise = np.random.default_rng(3).normal(0.0, 0.2, TIMES.size)
    honest = fitted(relaxing(TIMES) + noise)
    boast = fitted(relaxing(TIMES) + noise, SIGMA / 10)
    assert boast.level_sd_nm() == pytest.approx(honest.level_sd_nm(), rel=0.4)


@pytest.mark.parametrize("where", [0, 15, 29, 30])
@pytest.mark.parametrize("by_nm", [40.0, -40.0, 2000.0])
def test_a_wild_frame_moves_nothing(where, by_nm):
    noise = np.random.default_rng(1).normal(0.0, 0.2, TIMES.size)
    peaks = relaxing(TIMES) + noise
    target = float(relaxing(75.0))
    before = forecast(fitted(peaks), target, rising=True).in_s
    peaks[where] += by_nm
    after = forecast(fitted(peaks), target, rising=True)
    assert after.in_s == pytest.approx(before, abs=2.5)
    assert after.in_s == pytest.approx(15.0, abs=3 * after.sd_s)


@pytest.mark.parametrize(
    ("peaks", "target", "doubt"),
    [
        (np.full(TIMES.size, 460.0), 470.0, "not surely on its way"),
        (460.0 - 0.1 * TIMES, 470.0, "not surely on its way"),
        (relaxing(TIMES, end=469.0, tau=60.0), 470.0, "slows down too much"),
        (460.0 + 0.01 * TIMES, 470.0, "too far"),
    ],
)
def test_a_forecast_that_cannot_tell_says_why(peaks, target, doubt):
    ahead = forecast(fitted(peaks, SIGMA / 50), target, rising=True)
    assert doubt in ahead.doubt
    assert math.isnan(ahead.in_s)


def test_no_course_from_too_little():
    assert "7 usable frames" in course(TIMES[:7], relaxing(TIMES[:7]), SIGMA[:7])
    late = np.where(TIMES > 30, TIMES + 60, TIMES)
    assert "no usable frame for" in course(late, relaxing(late), SIGMA)
    assert "backwards" in course(TIMES[::-1], relaxing(TIMES), SIGMA)
    rng = np.random.default_rng(1)
    wild = np.where(np.arange(TIMES.size) % 2, rng.uniform(300, 900, TIMES.size), 460.0)
    found = course(TIMES, wild, SIGMA)
    if isinstance(found, Course):
        assert found.level_sd_nm() > 10, "what scatters like this promises nothing"


def test_frames_without_a_number_are_passed_over():
    peaks = relaxing(TIMES)
    peaks[[3, 30]] = math.nan, math.inf
    assert fitted(peaks).points == TIMES.size - 2


def test_a_source_that_repeats_itself_is_frozen():
    assert is_frozen(np.array([1.0, 470.3, 470.3, 470.3, 470.3, 470.3, 470.3]))
    assert not is_frozen(np.full(5, 470.3))
    assert not is_frozen(np.array([470.3, 470.3, 470.3, 470.3, 470.3, 470.31]))
    assert not is_frozen(np.array([]))


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(
    rows=st.lists(st.tuples(numbers, numbers, numbers), max_size=70),
    target=st.floats(200, 900),
    rising=st.booleans(),
)
def test_whatever_comes_it_tells_or_doubts_and_never_raises(rows, target, rising):
    times, peaks, sigmas = np.array(rows, dtype=float).reshape(-1, 3).T
    found = course(times, peaks, sigmas)
    if isinstance(found, str):
        assert found
        return
    ahead = forecast(found, target, rising=rising)
    assert bool(ahead.doubt) == math.isnan(ahead.in_s)
