from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labctl.spectroscopy.absorbance import PixelFlag
from labctl.spectroscopy.peak import PeakTracker
from labctl.spectroscopy.peak_fit import Window, fit

SAMPLES = [(580.0, 0.085, 1.0), (470.0, 0.125, 2.0)]


def frames(core, axis, peaks, seed=1, sigma_scale=1.0, smooth=1):
    """Noisy spectra of a sample whose peak stands at `peaks`."""
    rng = np.random.default_rng(seed)
    for peak in peaks:
        clean = core.absorbance(axis, peak)
        sigma = core.sigma(axis, clean)
        noise = sigma * rng.standard_normal(axis.size)
        noise = np.convolve(noise, np.full(smooth, 1.0 / smooth), mode="same")
        yield clean + noise, sigma * sigma_scale


def track(tracker, axis, spectra):
    return [tracker.update(axis, y, s) for y, s in spectra]


def test_an_isolated_gaussian_is_fitted_at_its_theoretical_bound():
    # sigma_centre = (sigma / a) sqrt(2 s D / sqrt(pi)) with the width free too, as they do not mix.
    energy = np.linspace(2.6, 1.7, 300)
    step, sd, sigma, height = 0.9 / 299, 0.07, 2e-3, 0.5
    rng = np.random.default_rng(3)
    clean = height * np.exp(-0.5 * ((energy - 2.14) / sd) ** 2)
    bound = sigma / height * math.sqrt(2.0 * sd * step / math.sqrt(math.pi))
    found = []
    for _ in range(200):
        noisy = clean + sigma * rng.standard_normal(energy.size)
        found.append(fit(Window(energy, noisy, np.full(energy.size, sigma)), 2.12, 0.09))
    assert all(f.converged for f in found)
    scatter = np.std([f.centre_ev for f in found])
    assert scatter == pytest.approx(found[0].centre_sd_ev, rel=0.15)
    assert bound <= found[0].centre_sd_ev < 1.5 * bound
    assert np.mean([f.hwhm_ev for f in found]) == pytest.approx(sd * 1.17741, rel=0.01)
    assert np.mean([f.chi2 for f in found]) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("peak_nm", "hwhm_ev", "noise"), SAMPLES)
@pytest.mark.parametrize("offset_nm", [None, -25.0, 25.0])
def test_a_cold_start_finds_the_centre(core, wavelength_nm, peak_nm, hwhm_ev, noise, offset_nm):
    near = None if offset_nm is None else peak_nm + offset_nm
    sample = core(hwhm_ev=hwhm_ev, noise_au=6e-4 * noise)
    for seed in range(5):
        (spectrum,) = frames(sample, wavelength_nm, [peak_nm], seed)
        found = PeakTracker(near).update(wavelength_nm, *spectrum)
        assert found.quality == "GOOD"
        assert found.peak_nm == pytest.approx(peak_nm, abs=1.0)
        assert found.hwhm_nm == pytest.approx(hwhm_ev * peak_nm**2 / 1239.84, rel=0.1)


@pytest.mark.parametrize(("peak_nm", "hwhm_ev", "noise"), SAMPLES)
def test_a_shift_is_followed_with_honest_error_bars(core, wavelength_nm, peak_nm, hwhm_ev, noise):
    sample = core(hwhm_ev=hwhm_ev, noise_au=6e-4 * noise)
    truth = peak_nm + 14.0 * -np.expm1(-np.arange(150) / 30.0)
    found = track(PeakTracker(peak_nm), wavelength_nm, frames(sample, wavelength_nm, truth))
    assert all(f.quality == "GOOD" for f in found)
    error = np.array([f.peak_nm for f in found]) - truth
    assert np.ptp(error[[0, -1]]) < 0.35
    late = error[60:] - error[60:].mean()
    sigma = np.array([f.sigma_nm for f in found[60:]])
    assert np.std(late) < 0.15
    assert 0.55 < np.mean(np.abs(late) < sigma) < 0.80
    assert np.mean(np.abs(late) < 2.0 * sigma) > 0.89


@pytest.mark.parametrize(("scale", "smooth"), [(0.5, 1), (2.0, 1), (1.0, 11), (0.5, 11)])
def test_a_wrong_sigma_is_found_out_from_the_track(core, wavelength_nm, scale, smooth):
    truth = np.full(250, 580.0)
    spectra = frames(core(), wavelength_nm, truth, sigma_scale=scale, smooth=smooth)
    found = track(PeakTracker(580.0), wavelength_nm, spectra)
    late = np.array([f.peak_nm for f in found[60:]])
    sigma = np.array([f.sigma_nm for f in found[60:]])
    assert 0.5 < np.mean(np.abs(late - late.mean()) < sigma) < 0.84


def test_the_local_maximum_stands_beside_the_centre_to_the_blue(core, wavelength_nm):
    sample = core(step_ev=0.2, height_au=0.5)
    (spectrum,) = frames(sample, wavelength_nm, [580.0])
    found = PeakTracker(580.0).update(wavelength_nm, *spectrum)
    clean = sample.absorbance(wavelength_nm, 580.0)
    window = (wavelength_nm > 560) & (wavelength_nm < 600)
    highest = wavelength_nm[window][np.argmax(clean[window])]
    assert highest < 579.5
    assert found.local_maximum_nm == pytest.approx(highest, abs=1.0)
    assert found.peak_nm == pytest.approx(580.0, abs=1.0)
    assert found.optical_density == pytest.approx(np.interp(580.0, wavelength_nm, clean), abs=0.01)


def test_a_flat_spectrum_has_no_peak(wavelength_nm):
    rng = np.random.default_rng(0)
    sigma = np.full(wavelength_nm.size, 1e-3)
    for near in (None, 580.0):
        noise = 0.3 + sigma * rng.standard_normal(wavelength_nm.size)
        found = PeakTracker(near).update(wavelength_nm, noise, sigma)
        assert (found.quality, found.flags) == ("BAD", ("no_peak",))


@pytest.mark.parametrize("flag", list(PixelFlag))
def test_a_spoiled_frame_is_bad_says_why_and_leaves_no_trace(core, wavelength_nm, flag):
    tracker = PeakTracker(580.0)
    good = list(frames(core(), wavelength_nm, np.full(6, 580.0)))
    before = track(tracker, wavelength_nm, good[:5])[-1]
    flags = np.where(np.abs(wavelength_nm - 580.0) < 20.0, flag.value, 0).astype(np.uint8)
    spoiled = tracker.update(wavelength_nm, *good[5], flags)
    assert spoiled.quality == "BAD"
    assert flag.name.lower() in spoiled.flags
    assert math.isnan(spoiled.peak_nm)
    after = tracker.update(wavelength_nm, *good[5])
    assert after.quality == "GOOD"
    assert after.peak_nm == pytest.approx(before.peak_nm, abs=0.3)


def test_one_saturated_pixel_is_enough(core, wavelength_nm):
    ((y, s),) = frames(core(), wavelength_nm, [580.0])
    flags = np.zeros(wavelength_nm.size, np.uint8)
    flags[np.argmin(np.abs(wavelength_nm - 580.0))] = PixelFlag.SATURATED
    assert "saturated" in PeakTracker(580.0).update(wavelength_nm, y, s, flags).flags


def test_one_dead_pixel_is_not(core, wavelength_nm):
    ((y, s),) = frames(core(), wavelength_nm, [580.0])
    y[np.argmin(np.abs(wavelength_nm - 585.0))] = math.nan
    found = PeakTracker(580.0).update(wavelength_nm, y, s)
    assert found.quality == "GOOD"
    assert found.peak_nm == pytest.approx(580.0, abs=1.0)


def test_a_bubble_is_uncertain_and_the_next_frame_is_good(core, wavelength_nm):
    tracker = PeakTracker(580.0)
    spectra = list(frames(core(), wavelength_nm, np.full(12, 580.0)))
    track(tracker, wavelength_nm, spectra[:10])
    y, s = spectra[10]
    bubble = y + 0.1 * (wavelength_nm > 578.0)
    assert tracker.update(wavelength_nm, bubble, s).quality != "GOOD"
    after = tracker.update(wavelength_nm, *spectra[11])
    assert after.quality == "GOOD"
    assert after.peak_nm == pytest.approx(580.0, abs=1.0)


def test_a_jump_is_uncertain_until_it_has_repeated_itself(core, wavelength_nm):
    peaks = np.concatenate((np.full(10, 580.0), np.full(6, 586.0)))
    found = track(PeakTracker(580.0), wavelength_nm, frames(core(), wavelength_nm, peaks))
    assert found[10].quality == "UNCERTAIN"
    assert "jump" in found[10].flags
    assert found[-1].quality == "GOOD"
    assert found[-1].peak_nm == pytest.approx(586.0, abs=1.0)


def test_the_peak_is_found_again_after_a_dark_spell(core, wavelength_nm):
    tracker = PeakTracker(580.0)
    spectra = list(frames(core(), wavelength_nm, np.full(8, 580.0)))
    track(tracker, wavelength_nm, spectra[:5])
    nothing = np.full(wavelength_nm.size, math.nan)
    for _ in range(8):
        assert tracker.update(wavelength_nm, nothing, nothing).quality == "BAD"
    assert tracker.update(wavelength_nm, *spectra[6]).quality == "GOOD"


anything = st.floats(width=32)
likely = st.floats(-1.0, 3.0)


@settings(max_examples=80, deadline=None)
@given(
    spectrum=st.one_of(*(arrays(float, 300, elements=e) for e in (anything, likely))),
    sigma=st.one_of(
        arrays(float, 300, elements=anything),
        arrays(float, 300, elements=st.floats(-0.001, 0.01)),
    ),
    near=st.sampled_from([None, 580.0, 1e-3]),
)
def test_no_spectrum_raises_and_none_of_them_is_good_nonsense(spectrum, sigma, near):
    axis = np.linspace(400.0, 800.0, 300)
    tracker = PeakTracker(near)
    for _ in range(3):
        sensible(tracker.update(axis, spectrum, sigma))


def sensible(found):
    assert math.isfinite(found.peak_nm) or found.quality == "BAD"
    if found.quality == "GOOD":
        assert 400.0 < found.peak_nm < 800.0
        assert 0.0 < found.sigma_nm <= 5.0
        assert found.absolute_sigma_nm >= found.sigma_nm
        assert found.hwhm_nm > 0.0
        assert found.area > 0.0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    where=st.integers(0, 2067),
    width=st.integers(1, 2068),
    value=st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1e30, 1e30, 1e-300]),
    of_sigma=st.booleans(),
)
def test_no_spoiled_frame_of_a_run_raises_or_moves_the_peak(
    core, wavelength_nm, seed, where, width, value, of_sigma
):
    tracker = PeakTracker(580.0)
    spectra = list(frames(core(), wavelength_nm, np.full(15, 580.0), seed))
    before = track(tracker, wavelength_nm, spectra[:13])[-1]
    y, s = (a.copy() for a in spectra[13])
    (s if of_sigma else y)[where : where + width] = value
    spoiled = tracker.update(wavelength_nm, y, s)
    sensible(spoiled)
    if spoiled.quality == "GOOD":
        assert spoiled.peak_nm == pytest.approx(before.peak_nm, abs=0.5)
    after = tracker.update(wavelength_nm, *spectra[14])
    assert after.quality == "GOOD"
    assert after.peak_nm == pytest.approx(before.peak_nm, abs=0.3)
