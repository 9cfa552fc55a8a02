from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.errors import UsageError
from labctl.spectroscopy.absorbance import Detector, PixelFlag, absorbance

AXIS = np.linspace(400.0, 800.0, 9)
DARK = np.full(9, 500.0)
LAMP = np.full(9, 50_500.0)


def measured(counts, **detector):
    return absorbance(AXIS, np.asarray(counts, float), DARK, LAMP, Detector(**detector))


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, 1.5])
def test_beer_lambert_is_inverted(value):
    result = measured(np.full(9, 500.0 + 50_000.0 * 10**-value))
    assert result.absorbance == pytest.approx(np.full(9, value), abs=1e-12)
    assert result.good.all()


def test_sigma_is_the_scatter_of_repeated_measurements():
    rng = np.random.default_rng(1)
    detector = Detector(electrons_per_count=2.0, read_counts=6.0, averages=4, reference_averages=16)

    def readout(mean, averages):
        electrons = rng.poisson(2.0 * mean * averages, (4000, 9)) / averages
        return electrons / 2.0 + rng.normal(0.0, 6.0 / math.sqrt(averages), (4000, 9))

    counts = 500.0 + readout(5_000.0, 4)
    lamps = 500.0 + readout(50_000.0, 16)
    darks = 500.0 + rng.normal(0.0, 6.0 / 4.0, (4000, 9))
    spectra = [
        absorbance(AXIS, c, d, i, detector) for c, d, i in zip(counts, darks, lamps, strict=True)
    ]
    scatter = np.std([s.absorbance for s in spectra])
    assert np.mean([s.sigma for s in spectra]) == pytest.approx(scatter, rel=0.03)


def test_a_pixel_at_the_top_of_the_converter_is_saturated_in_sample_or_reference():
    counts = np.full(9, 20_000.0)
    counts[2] = 65_535.0
    lamp = LAMP.copy()
    lamp[5] = 65_535.0
    result = absorbance(AXIS, counts, DARK, lamp)
    assert np.flatnonzero(result.flags).tolist() == [2, 5]
    assert all(result.flags[[2, 5]] == PixelFlag.SATURATED)
    assert np.isnan(result.absorbance[[2, 5]]).all()


def test_no_light_is_dark_and_not_infinite_absorbance():
    result = measured(np.full(9, 510.0))
    assert all(result.flags == PixelFlag.DARK)
    assert not np.isfinite(result.absorbance).any()


def test_light_below_dark_is_dark():
    assert all(measured(np.full(9, 100.0)).flags == PixelFlag.DARK)


def test_more_absorbance_than_allowed_is_opaque_but_keeps_its_value():
    result = measured(np.full(9, 500.0 + 50_000.0 * 10**-1.8), opaque_au=1.5)
    assert all(result.flags == PixelFlag.OPAQUE)
    assert result.absorbance == pytest.approx(np.full(9, 1.8))


def test_a_count_that_is_no_number_is_invalid():
    counts = np.full(9, 20_000.0)
    counts[4] = math.nan
    result = measured(counts)
    assert result.flags[4] & PixelFlag.INVALID
    assert result.good.sum() == 8


def test_known_stray_light_is_taken_out():
    stray, true = 2e-3, 1.2
    counts = 500.0 + 50_000.0 * (10**-true + stray)
    assert measured(np.full(9, counts)).absorbance[0] < true - 0.01
    assert measured(np.full(9, counts), stray=stray).absorbance[0] == pytest.approx(true)


def test_averaging_lowers_sigma_by_the_square_root():
    one = measured(np.full(9, 5_500.0), averages=1, reference_averages=10**9).sigma[0]
    many = measured(np.full(9, 5_500.0), averages=25, reference_averages=10**9).sigma[0]
    assert one / many == pytest.approx(5.0, rel=1e-3)


@pytest.mark.parametrize("axis", [AXIS[::-1], np.full(9, 500.0)])
def test_an_axis_that_does_not_ascend_is_refused(axis):
    with pytest.raises(UsageError, match="ascend"):
        absorbance(axis, LAMP, DARK, LAMP)


def test_arrays_of_different_length_are_refused():
    with pytest.raises(UsageError, match="9 pixels"):
        absorbance(AXIS, LAMP[:5], DARK, LAMP)
