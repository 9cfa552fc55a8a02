from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labctl.spectroscopy.peak_fit import Pixels
from labctl.spectroscopy.template import Bell, State, around, learn, read

HC_EV_NM = 1239.841984


class Sample:
    """Frames of a core on a spectrometer as pixels."""

    def __init__(self, spectra, name="inp33"):
        self.core, self.device = spectra.CORES[name], spectra.SPECTROMETERS["QE Pro"]
        self.rng = np.random.default_rng(4)
        self.bell = Bell(HC_EV_NM / self.core.peak_nm, self.core.hwhm_ev, self.core.optical_density)

    def pixels(self, noise=1.0, scale=1.0, haze=0.0, **changes):
        nm = self.device.wavelength_nm
        clean = scale * replace(self.core, **changes).absorbance(nm) + haze * (500.0 / nm) ** 4
        sigma = self.device.sigma(clean)
        noisy = clean + noise * sigma * self.rng.standard_normal(nm.size)
        return Pixels(HC_EV_NM / nm, noisy, sigma, np.ones(nm.size, bool))

    def shape(self, count=10, noise=1.0):
        windows = [around(self.pixels(noise), self.bell, 0.0) for _ in range(count)]
        return learn(windows, [0.0] * count, self.bell)


@pytest.fixture
def sample(spectra):
    return Sample(spectra)


@pytest.mark.parametrize("shift_nm", [-8.0, -0.3, 0.0, 0.05, 2.0, 14.0])
def test_a_known_shift_is_read_whatever_else_changes(sample, shift_nm):
    shape = sample.shape(1, noise=0.0)
    peak = sample.core.peak_nm + shift_nm
    seen = sample.pixels(0.0, 0.7, 0.08, peak_nm=peak)
    found = read(shape, seen, State(), 1.0)
    centre = sample.bell.centre_ev + found.state.shift_ev
    assert HC_EV_NM / centre == pytest.approx(peak, abs=0.01)
    assert found.state.scale == pytest.approx(0.7, abs=0.01)
    assert np.abs(found.state.form).max() < 2e-3


@pytest.mark.parametrize("broadening", ["size", "exciton"])
def test_a_slow_broadening_is_learnt_and_does_not_move_the_peak(sample, broadening):
    shape, state = sample.shape(1, noise=0.0), State()
    for widen in np.linspace(0.0, 0.05, 40):
        seen = sample.pixels(0.0, widen=float(widen), broadening=broadening)
        state = read(shape, seen, state, 1.0).state
    assert state.form[:2].sum() == pytest.approx(0.05, abs=0.015)
    moved_nm = HC_EV_NM / (sample.bell.centre_ev + state.shift_ev) - sample.core.peak_nm
    assert abs(moved_nm) < 0.12


def test_the_promised_sd_is_the_scatter(sample):
    shape = sample.shape()
    found = [read(shape, sample.pixels(), State(), 1.0) for _ in range(200)]
    scatter = np.std([f.state.shift_ev for f in found])
    assert scatter == pytest.approx(found[0].shift_sd_ev, rel=0.15)
    assert np.mean([f.chi2 for f in found]) == pytest.approx(1.0, abs=0.1)


def test_the_influence_predicts_what_a_change_of_data_does(sample):
    shape = sample.shape()
    pixels = sample.pixels()
    found = read(shape, pixels, State(), 1.0)
    bump = np.where(np.abs(HC_EV_NM / pixels.energy_ev - 570.0) < 3.0, 1e-3, 0.0)
    other = read(shape, replace(pixels, absorbance=pixels.absorbance + bump), State(), 1.0)
    added = around(replace(pixels, absorbance=bump), sample.bell, 0.0)
    x = (added.energy_ev - sample.bell.centre_ev) / sample.bell.hwhm_ev
    inside = slice(*np.searchsorted(-x, (-2.5, 3.0)))
    expected = found.influence @ (added.absorbance / added.sigma)[inside]
    assert other.state.shift_ev - found.state.shift_ev == pytest.approx(expected, rel=0.05)


def test_an_empty_frame_and_one_beyond_the_axis_give_nothing(sample):
    shape, pixels = sample.shape(), sample.pixels()
    with np.errstate(all="ignore"):
        assert read(shape, replace(pixels, absorbance=-pixels.absorbance), State(), 1.0) is None
        assert read(shape, pixels, State(shift_ev=2.5), 1.0) is None
        nothing = replace(pixels, absorbance=np.full(pixels.sigma.size, np.nan))
        assert read(shape, nothing, State(), 1.0) is None
