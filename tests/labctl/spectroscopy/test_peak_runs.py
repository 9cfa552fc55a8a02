"""Whole runs through the tracker: spectra of the benchmarks, whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.spectroscopy.absorbance import PixelFlag
from labctl.spectroscopy.peak import PeakTracker

HC_EV_NM = 1239.841984
GOOD_CORES = ["inp24", "inp33"]


def follow(nm, absorbance, sigma, tracker=None):
    tracker = tracker or PeakTracker()
    return [tracker.update(nm, y, s) for y, s in zip(absorbance, sigma, strict=True)]


def quiet(spectra, name="inp33", count=30, seed=5, spectrometer="Flame", peaks=None, **changes):
    """A sample that stands still, or at `peaks`, frame by frame."""
    core, device = replace(spectra.CORES[name], **changes), spectra.SPECTROMETERS[spectrometer]
    rng = np.random.default_rng(seed)
    nm = device.wavelength_nm
    places = np.full(count, core.peak_nm) if peaks is None else np.asarray(peaks)
    clean = np.stack([replace(core, peak_nm=float(p)).absorbance(nm) for p in places])
    sigma = device.sigma(clean)
    return nm, clean + sigma * rng.standard_normal(clean.shape), sigma


def peaks_of(found):
    return np.array([f.peak_nm for f in found])


@pytest.mark.parametrize("name", GOOD_CORES)
@pytest.mark.parametrize("broadening", ["size", "exciton", "edge"])
def test_a_run_is_followed_at_the_precision_of_its_shape(spectra, name, broadening):
    core = replace(spectra.CORES[name], broadening=broadening)
    run = spectra.course(core, spectra.SPECTROMETERS["Flame"], 71)
    found = follow(run.wavelength_nm, run.absorbance, run.sigma)
    assert all(f.quality == "GOOD" for f in found)
    error = peaks_of(found) - run.peak_nm
    error -= error[10:20].mean()
    assert error[-60:].std() < 0.03
    assert abs(error[-60:].mean()) < 0.2
    assert np.sqrt(np.mean(error[10:] ** 2)) < 0.2


def test_a_shoulder_is_followed_to_a_tenth_of_a_nanometre(spectra):
    run = spectra.course(spectra.CORES["poor"], spectra.SPECTROMETERS["QE Pro"], 72)
    found = follow(run.wavelength_nm, run.absorbance, run.sigma)
    assert all(f.quality == "GOOD" for f in found)
    assert all(math.isnan(f.local_maximum_nm) and math.isnan(f.valley_depth) for f in found)
    error = peaks_of(found) - run.peak_nm
    error -= error[10:20].mean()
    assert np.sqrt(np.mean(error[10:] ** 2)) < 0.1


def test_the_template_takes_over_without_a_step(spectra):
    for seed in range(4):
        found = follow(*quiet(spectra, "inp24", 40, seed))
        early, late = found[:10], found[10:]
        assert np.median([f.sigma_nm for f in late]) < 0.5 * np.median([f.sigma_nm for f in early])
        sd = np.std(peaks_of(early))
        assert abs(peaks_of(late).mean() - peaks_of(early).mean()) < sd
        assert peaks_of(late).std() < 0.5 * sd


@pytest.mark.parametrize(
    "trouble",
    [
        lambda y, nm: 0.85 * y,
        lambda y, nm: 0.5 * y,
        lambda y, nm: y + 0.1 * (500.0 / nm) ** 4,
        lambda y, nm: y + 0.2,
        lambda y, nm: y - 0.05 + 1e-4 * (nm - 600.0),
    ],
    ids=["dilution 15 %", "dilution by half", "turbidity", "offset", "slope of the lamp"],
)
@pytest.mark.parametrize("name", GOOD_CORES)
def test_what_is_not_the_peak_does_not_move_it(spectra, name, trouble):
    nm, y, s = quiet(spectra, name, 60, 8, "QE Pro")
    y[30:] = trouble(y[30:], nm)
    found = follow(nm, y, s)
    assert all(f.quality == "GOOD" for f in found)
    assert abs(peaks_of(found[30:]).mean() - peaks_of(found[12:30]).mean()) < 0.05


@pytest.mark.parametrize(
    "bubble",
    [
        lambda y, nm: y + 0.1 * (nm > 578.0),
        lambda y, nm: y + 0.03 * np.sin(nm / 15.0),
        lambda y, nm: y + 0.03 * np.exp(-0.5 * ((nm - 590.0) / 6.0) ** 2),
        lambda y, nm: np.log10(1.0 / (0.7 * 10.0**-y + 0.3)),
    ],
    ids=["step", "fringes", "line", "light past the sample"],
)
def test_a_bubble_is_never_good_and_leaves_no_trace(spectra, bubble):
    nm, y, s = quiet(spectra, "inp33", 30)
    for burst in (20, 21, 25):
        y[burst] = bubble(y[burst], nm)
    y[24] = math.nan
    found = follow(nm, y, s)
    quality = [f.quality for f in found]
    assert [i for i, q in enumerate(quality) if q != "GOOD"] == [20, 21, 24, 25]
    assert all("misfit" in found[i].flags for i in (20, 21, 25))
    assert peaks_of(found[26:]).mean() == pytest.approx(peaks_of(found[12:20]).mean(), abs=0.02)


def test_a_lasting_change_of_the_spectrum_is_accepted_after_three_frames(spectra):
    nm, y, s = quiet(spectra, "inp33", 50)
    y[20:] += 0.03 * np.sin(nm / 40.0)
    found = follow(nm, y, s)
    assert [f.quality for f in found[20:22]] == ["UNCERTAIN"] * 2
    assert all(f.quality == "GOOD" for f in found[23:])


@pytest.mark.parametrize("gap", [1, 3, 20])
def test_missing_frames_are_survived(spectra, gap):
    nm, y, s = quiet(spectra, "inp33", 60)
    y[20 : 20 + gap] = math.nan
    found = follow(nm, y, s)
    assert all(f.quality == "BAD" for f in found[20 : 20 + gap])
    assert all(f.quality == "GOOD" for f in found[20 + gap :])
    assert peaks_of(found[20 + gap :]).mean() == pytest.approx(
        peaks_of(found[12:20]).mean(), abs=0.02
    )


@pytest.mark.parametrize("nm_per_frame", [0.3, 0.8, 1.4, -1.4])
def test_a_ramp_of_temperature_is_followed(spectra, nm_per_frame):
    moved = 20.0 * np.sign(nm_per_frame)
    ramp = np.minimum(np.arange(80) * abs(nm_per_frame), 20.0) * np.sign(nm_per_frame)
    truth = 580.0 + np.concatenate((np.zeros(15), ramp))
    found = follow(*quiet(spectra, peaks=truth))
    assert sum(f.quality != "GOOD" for f in found) <= 2
    assert found[-1].peak_nm - found[12].peak_nm == pytest.approx(moved, abs=0.15)


def test_growth_over_a_hundred_nanometres_is_followed(spectra):
    done = 1.0 - np.exp(-np.arange(200) / 60.0)
    device = spectra.SPECTROMETERS["Flame"]
    rng = np.random.default_rng(2)
    tracker, errors, good = PeakTracker(), [], 0
    for part in done:
        core = spectra.Core(450.0 + 120.0 * part, 0.13 - 0.045 * part, 0.3 + 0.2 * part)
        clean = core.absorbance(device.wavelength_nm)
        sigma = device.sigma(clean)
        noisy = clean + sigma * rng.standard_normal(sigma.size)
        found = tracker.update(device.wavelength_nm, noisy, sigma)
        good += found.quality == "GOOD"
        errors.append(found.peak_nm - core.peak_nm)
    assert good > 180
    assert np.abs(errors).max() < 1.5


def test_a_sample_may_outgrow_the_width_it_was_learnt_with(spectra):
    core, device = spectra.CORES["inp33"], spectra.SPECTROMETERS["Flame"]
    rng = np.random.default_rng(3)
    tracker, found = PeakTracker(), []
    for part in np.linspace(0.0, 1.0, 200):
        clean = replace(core, widen=0.3 * part).absorbance(device.wavelength_nm)
        sigma = device.sigma(clean)
        noisy = clean + sigma * rng.standard_normal(sigma.size)
        found.append(tracker.update(device.wavelength_nm, noisy, sigma))
    assert all(f.quality == "GOOD" for f in found)
    assert np.ptp(peaks_of(found[10:])) < 0.5
    assert 1.1 < found[-1].hwhm_nm / found[12].hwhm_nm < 1.35


def test_a_peak_that_left_during_a_dark_spell_is_found_again(spectra):
    truth = np.concatenate((np.full(20, 560.0), np.full(30, 590.0)))
    nm, y, s = quiet(spectra, peaks=truth)
    y[20:28] = math.nan
    found = follow(nm, y, s)
    assert all(f.quality == "GOOD" for f in found[-15:])
    assert found[-1].peak_nm == pytest.approx(590.0, abs=1.0)


def test_a_place_that_stays_dark_does_not_hold_the_tracker_once_the_peak_is_out_of_it(spectra):
    truth = np.concatenate((np.full(20, 540.0), np.linspace(541.0, 575.0, 30), np.full(10, 575.0)))
    nm, y, s = quiet(spectra, peaks=truth)
    flags = np.zeros(nm.shape, np.uint8)
    flags[nm < 515.0] = PixelFlag.DARK.value
    tracker = PeakTracker(540.0)
    found = [tracker.update(nm, y[i], s[i], flags if i >= 20 else None) for i in range(truth.size)]
    assert {f.quality for f in found[20:26]} == {"BAD"}
    assert all(f.quality == "GOOD" for f in found[-5:])
    assert found[-1].peak_nm == pytest.approx(575.0, abs=1.0)


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("smooth", [1, 5, 11])
def test_error_bars_hold_behind_a_boxcar_and_with_a_wrong_sigma(spectra, scale, smooth):
    inside, all_frames = 0, 0
    for seed in range(3):
        nm, y, s = quiet(spectra, "inp33", 100, seed)
        y = spectra.boxcar(y, smooth)
        found = follow(nm, y, scale * s)
        late, sigma = peaks_of(found[20:]), np.array([f.sigma_nm for f in found[20:]])
        inside += np.count_nonzero(np.abs(late - late.mean()) < sigma)
        all_frames += late.size
    assert 0.58 < inside / all_frames < 0.78


def test_the_absolute_uncertainty_covers_the_error_of_the_model(spectra):
    for core in spectra.CORES.values():
        for device in spectra.SPECTROMETERS.values():
            run = spectra.course(core, device, 3, frames=14, shift_nm=0.0)
            for found in follow(run.wavelength_nm, run.absorbance, run.sigma):
                assert abs(found.peak_nm - core.peak_nm) < 2.0 * found.absolute_sigma_nm
                assert found.absolute_sigma_nm > found.sigma_nm


def test_area_width_and_valley_are_those_of_the_sample(spectra):
    core = spectra.CORES["inp33"]
    found = follow(*quiet(spectra, "inp33", 20, 1, "8454"))
    true_area = core.optical_density * core.hwhm_ev * math.sqrt(math.pi / math.log(2.0))
    nm = np.linspace(520.0, 600.0, 4000)
    clean = core.absorbance(nm)
    valley = clean[nm < 565.0].min()
    for one in (found[0], found[-1]):
        assert one.area == pytest.approx(true_area, rel=0.2)
        assert one.hwhm_nm == pytest.approx(core.hwhm_nm, rel=0.1)
        assert one.valley_depth == pytest.approx(1.0 - valley / clean.max(), abs=0.01)
        assert one.local_maximum_nm == pytest.approx(nm[np.argmax(clean)], abs=0.5)


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(0.05, 50.0), seed=st.integers(0, 1000))
def test_units_of_absorbance_do_not_matter(spectra, factor, seed):
    nm, y, s = quiet(spectra, "inp33", 13, seed, "8454")
    plain, scaled = follow(nm, y, s), follow(nm, factor * y, factor * s)
    for one, other in zip(plain, scaled, strict=True):
        assert other.peak_nm == pytest.approx(one.peak_nm, abs=1e-5)
        assert other.sigma_nm == pytest.approx(one.sigma_nm, rel=1e-3)
        assert other.area == pytest.approx(factor * one.area, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(move_ev=st.floats(-0.3, 0.3), seed=st.integers(0, 1000))
def test_the_estimate_moves_with_the_spectrum(spectra, move_ev, seed):
    nm, y, s = quiet(spectra, "inp33", 13, seed, "8454")
    moved_nm = HC_EV_NM / (HC_EV_NM / nm + move_ev)
    inside = (nm > 450.0) & (nm < 800.0)
    plain = follow(nm[inside], y[:, inside], s[:, inside], PeakTracker(580.0))
    start = HC_EV_NM / (HC_EV_NM / 580.0 + move_ev)
    moved = follow(moved_nm[inside], y[:, inside], s[:, inside], PeakTracker(start))
    for one, other in zip(plain, moved, strict=True):
        expected = HC_EV_NM / (HC_EV_NM / one.peak_nm + move_ev)
        assert other.peak_nm == pytest.approx(expected, abs=0.02)


def test_absorption_that_stays_behind_does_not_hold_the_peak_back():
    """Higher states grow with the cube of the energy and are 1 AU at 413 nm, wherever the 1S is."""
    nm = np.linspace(350.0, 1000.0, 2068)
    energy, hwhm = 1239.841984 / nm, 0.125
    sigma = np.full(nm.size, 8e-4)
    rng = np.random.default_rng(3)
    tracker, errors = PeakTracker(470.0), []
    for frame in range(150):
        peak_nm = 470.0 + min(max(frame - 20, 0) * 0.25, 25.0)
        away = (energy - 1239.841984 / peak_nm) / hwhm
        bell = 0.35 * np.exp(-math.log(2.0) * away**2)
        rest = (energy / 3.0) ** 3 / (1.0 + np.exp((2.4 - away) / 0.85))
        rest /= np.interp(413.3, nm, rest)
        seen = bell + rest + sigma * rng.standard_normal(nm.size)
        errors.append(tracker.update(nm, seen, sigma).peak_nm - peak_nm)
    before, after = np.mean(errors[10:20]), np.mean(errors[-20:])
    assert abs(after - before) < 0.35, "of 25 nm"
