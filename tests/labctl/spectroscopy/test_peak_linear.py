from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labctl.spectroscopy.peak_fit import Pixels, cut, fit
from labctl.spectroscopy.peak_linear import Linear
from labctl.spectroscopy.peak_local import LocalEstimator

HC_EV_NM = 1239.841984
SPAN = (HC_EV_NM / 580.0, 0.085)


def pixels(spectra, seed, peak_nm=580.0):
    device = spectra.SPECTROMETERS["Flame"]
    clean = replace(spectra.CORES["inp33"], peak_nm=peak_nm).absorbance(device.wavelength_nm)
    sigma = device.sigma(clean)
    noisy = clean + sigma * np.random.default_rng(seed).standard_normal(sigma.size)
    energy = HC_EV_NM / device.wavelength_nm
    return Pixels(energy, noisy, sigma, np.ones(sigma.size, bool))


@pytest.fixture
def made(spectra):
    frame = pixels(spectra, 0)
    window = cut(frame, SPAN)
    return frame, Linear.of(frame, window, fit(window, *SPAN))


def test_frames_that_stay_near_are_read_as_the_full_fit_reads_them(spectra, made):
    _, linear = made
    for seed in range(1, 20):
        frame = pixels(spectra, seed)
        found, full = linear.read(frame), fit(cut(frame, SPAN), *SPAN)
        assert abs(found.centre_ev - full.centre_ev) < 0.2 * full.centre_sd_ev
        assert found.hwhm_ev == pytest.approx(full.hwhm_ev, abs=0.3 * full.hwhm_sd_ev)
        assert found.height_au == pytest.approx(full.height_au, rel=0.01)
        assert found.centre_sd_ev == pytest.approx(full.centre_sd_ev, rel=0.05)
        assert found.chi2 == pytest.approx(full.chi2, rel=0.1)


def test_what_has_moved_or_changed_is_not_read(spectra, made):
    frame, linear = made
    assert not linear.read(pixels(spectra, 1, 581.0)).converged
    assert linear.read(pixels(spectra, 1, 590.0)) is None
    assert linear.read(replace(frame, sigma=1.5 * frame.sigma)) is None
    assert linear.read(replace(frame, absorbance=-frame.absorbance)) is None
    spoiled = frame.good.copy()
    spoiled[np.argmin(np.abs(frame.energy_ev - SPAN[0]))] = False
    assert linear.read(replace(frame, good=spoiled)) is None
    short = Pixels(*(a[:100] for a in (frame.energy_ev, frame.absorbance, frame.sigma, frame.good)))
    assert linear.read(short) is None


def test_no_matrix_is_made_of_a_window_with_bad_pixels(made):
    frame, _ = made
    window = cut(frame, SPAN)
    spoiled = replace(frame, good=np.zeros(frame.sigma.size, bool))
    assert Linear.of(spoiled, window, fit(window, *SPAN)) is None


def test_the_local_estimator_is_as_good_as_full_fits(spectra):
    estimator = LocalEstimator(580.0)
    error, promised = [], []
    for seed, peak in enumerate(np.linspace(580.0, 584.0, 150)):
        found = estimator.look(pixels(spectra, seed, float(peak)))
        promised.append(estimator.sd_ev(found))
        estimator.learn(found)
        error.append(found.centre_ev - HC_EV_NM / peak)
    late, sd = np.array(error[5:]), np.array(promised[5:])
    late -= late.mean()
    assert 0.60 < np.mean(np.abs(late) < sd) < 0.76
