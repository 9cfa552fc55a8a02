from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.spectroscopy.absorbance import Absorbance
from labctl.spectroscopy.fouling import ClearBand, FoulingWatch, clear_band

AXIS = np.linspace(345.0, 950.0, 1600)
LIMIT_AU = 0.03


def spectrum(core, *, film_au=0.0, turbidity_au=0.0, noise_au=1e-3, seed=0, boxcar=0):
    rng = np.random.default_rng(seed)
    clean = core().absorbance(AXIS, 580.0, turbidity_au=turbidity_au) + film_au
    noisy = clean + noise_au * rng.standard_normal(AXIS.size)
    sigma = np.full(AXIS.size, noise_au)
    return Absorbance(AXIS, noisy, sigma, np.zeros(AXIS.size, np.uint8), boxcar)


@pytest.mark.parametrize("film_au", [-0.02, 0.0, 0.04])
@pytest.mark.parametrize("turbidity_au", [0.0, 0.3])
def test_a_film_is_told_from_scattering_that_belongs_to_the_sample(core, film_au, turbidity_au):
    bands = [
        clear_band(
            spectrum(core, film_au=film_au, turbidity_au=turbidity_au, seed=seed),
            760.0,
            580.0,
            24.0,
        )
        for seed in range(40)
    ]
    flats = np.array([band.flat_au for band in bands])
    assert flats.mean() == pytest.approx(film_au, abs=2e-4)
    assert flats.std() == pytest.approx(bands[0].sigma_au, rel=0.4)
    scattered = turbidity_au * (500.0 / 760.0) ** 4
    assert bands[0].scattered_au == pytest.approx(scattered, abs=2e-3)


def test_where_the_dots_absorb_nothing_is_said(core):
    found = spectrum(core)
    assert clear_band(found, 760.0, 700.0, 24.0) is None
    assert clear_band(found, 760.0, math.nan, 24.0) is None


def test_a_spectrum_with_a_dark_red_end_says_nothing(core):
    found = spectrum(core)
    found.flags[found.wavelength_nm > 720.0] = 2
    assert clear_band(found, 760.0, 580.0, 24.0) is None


def watched(levels, sigma_au=5e-4, limit_au=LIMIT_AU):
    watch = FoulingWatch(limit_au)
    told = [watch.update(ClearBand(float(level), sigma_au, 0.0)) for level in levels]
    return [(n, foul.what) for n, foul in enumerate(told) if foul is not None]


def test_a_film_that_grows_is_told_once_soon_after_it_passes_the_limit():
    told = watched(np.linspace(0.0, 0.1, 101))
    assert [what for _, what in told] == ["fouling"]
    assert 30 <= told[0][0] <= 40


def test_a_lamp_that_brightens_is_the_lamp():
    assert [what for _, what in watched(np.linspace(0.0, -0.06, 61))] == ["lamp"]


@pytest.mark.parametrize("every", [3, 5])
def test_bubbles_that_pass_are_no_news(every):
    levels = np.where(np.arange(300) % every == 0, 0.4, 0.0)
    assert watched(levels) == []


def test_noise_alone_is_never_told():
    rng = np.random.default_rng(1)
    assert watched(0.02 * rng.standard_normal(5000), sigma_au=0.02) == []


def test_a_limit_below_the_noise_waits_for_proof():
    rng = np.random.default_rng(2)
    assert watched(0.01 * rng.standard_normal(400), sigma_au=0.01, limit_au=1e-4) == []


def test_frames_that_say_nothing_are_passed_over():
    watch = FoulingWatch(LIMIT_AU)
    for band in (None, ClearBand(math.nan, 1e-3, 0.0), ClearBand(0.5, math.nan, 0.0)):
        for _ in range(20):
            assert watch.update(band) is None
