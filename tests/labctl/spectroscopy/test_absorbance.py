from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.errors import UsageError
from labctl.spectroscopy.absorbance import Detector, PixelFlag, absorbance, at_line, per_cm
from labctl.spectroscopy.linearity import Linearity

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


WIDE = np.linspace(400.0, 800.0, 2001)


def line_absorbed(true_au, stray):
    """A flat lamp, one narrow line of the sample, and stray light from all over the array."""
    shape = np.where(np.abs(WIDE - 500.0) < 2.0, true_au, 0.0)
    light = 50_000.0 * 10**-shape
    lamp = np.full(WIDE.size, 50_000.0)
    dark = np.full(WIDE.size, 500.0)
    return shape, dark + light + stray * light.mean(), dark, dark + lamp + stray * lamp.mean()


@pytest.mark.parametrize("true_au", [0.5, 1.2, 1.6])
def test_stray_light_hides_absorbance_by_the_rule_of_thumb_and_is_taken_out(true_au):
    stray = 1e-3
    shape, counts, dark, lamp = line_absorbed(true_au, stray)
    at = int(np.argmax(shape))
    naive = absorbance(WIDE, counts, dark, lamp).absorbance[at]
    assert naive - true_au == pytest.approx(-0.434 * stray * (10**true_au - 1.0), rel=0.05)
    found = absorbance(WIDE, counts, dark, lamp, Detector(stray=stray)).absorbance
    assert found == pytest.approx(shape, abs=1e-12)


CURVE = Linearity((0.98, 1.5e-6, -1.2e-11), 60_000.0)


def bent(linear_counts):
    """What a detector with this curve shows of linear counts: its inverse, by bisection."""
    low, high = np.zeros_like(linear_counts), np.full_like(linear_counts, 60_000.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = CURVE.linear(middle) > linear_counts
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return low


@pytest.mark.parametrize("value", [0.1, 0.5, 1.2])
def test_a_bent_detector_is_put_right(value):
    counts, lamp = (bent(np.full(9, x)) for x in (50_000.0 * 10**-value, 50_000.0))
    naive = absorbance(AXIS, 500.0 + counts, DARK, 500.0 + lamp)
    assert abs(naive.absorbance[0] - value) > 1e-3
    found = absorbance(AXIS, 500.0 + counts, DARK, 500.0 + lamp, Detector(linearity=CURVE))
    assert found.absorbance == pytest.approx(np.full(9, value), abs=1e-9)


def test_beyond_the_counts_the_linearity_holds_for_a_pixel_is_saturated():
    counts = np.full(9, 30_000.0)
    counts[3] = 60_001.0
    found = absorbance(AXIS, counts, DARK, LAMP, Detector(linearity=CURVE))
    assert np.flatnonzero(found.flags).tolist() == [3]


def test_the_noise_of_a_bent_detector_grows_with_its_slope():
    detector = Detector(linearity=CURVE, electrons_per_count=1e12)
    at = np.array([20_000.0])
    step = (CURVE.linear(at + 1.0) - CURVE.linear(at - 1.0)) / 2.0
    assert CURVE.slope(at) == pytest.approx(step, rel=1e-6)
    assert np.sqrt(detector.variance(at, 1)) == pytest.approx(step * math.hypot(8.0, 12**-0.5))


@pytest.mark.parametrize(
    ("coefficients", "up_to"),
    [((), 6e4), ((1.0,), 0.0), ((1.0,), math.nan), ((0.5,), 6e4), ((1.0, 1e-4), 6e4),
     ((math.nan,), 6e4), ((0.9, 0.0, 0.0, 0.0, 0.0, 3.8e-25), 6e4)],
)  # fmt: skip
def test_senseless_linearity_is_refused(coefficients, up_to):
    with pytest.raises(UsageError, match="linearity"):
        Linearity(coefficients, up_to)


@pytest.mark.parametrize("reach", [1, 5])
def test_a_boxcar_is_in_sigma_and_a_fit_of_something_wide_gets_its_due(reach):
    rng = np.random.default_rng(3)
    axis = np.linspace(400.0, 800.0, 401)
    dark, lamp = np.full(401, 500.0), np.full(401, 50_500.0)
    detector = Detector(boxcar=reach, reference_averages=10**9)
    box = np.ones(2 * reach + 1) / (2 * reach + 1)
    inner = slice(20, -20)
    spectra = []
    for _ in range(400):
        noise = rng.normal(0.0, math.sqrt(20_000.0 / 2.44 + 64.0), 401)
        smooth = np.convolve(noise, box, mode="same")
        spectra.append(absorbance(axis, 20_500.0 + smooth, dark, lamp, detector))
    pixels = np.array([s.absorbance[inner] for s in spectra])
    assert spectra[0].sigma[200] == pytest.approx(pixels.std(axis=0).mean(), rel=0.05)
    mean_sd = spectra[0].white_sigma[200] / math.sqrt(pixels.shape[1])
    assert pixels.mean(axis=1).std() == pytest.approx(mean_sd, rel=0.15)


def test_a_boxcar_hands_saturation_on_to_the_neighbours():
    counts = np.full(9, 20_000.0)
    counts[4] = 65_000.0
    assert np.flatnonzero(measured(counts, boxcar=1).flags).tolist() == [3, 4, 5]


def test_the_absorbance_at_a_laser_line_is_a_mean_that_needs_light():
    counts = 500.0 + 50_000.0 * 10 ** -(0.8 + 0.0005 * (WIDE - 450.0))
    dark, lamp = np.full(WIDE.size, 500.0), np.full(WIDE.size, 50_500.0)
    found = absorbance(WIDE, counts, dark, lamp)
    value, sd = at_line(found, 450.0)
    assert value == pytest.approx(0.8, abs=1e-4)
    assert sd == pytest.approx(found.sigma[250] / math.sqrt(41), rel=0.05)
    counts[(WIDE > 440.0) & (WIDE < 460.0)] = 501.0
    assert math.isnan(at_line(absorbance(WIDE, counts, dark, lamp), 450.0)[0])
    assert math.isnan(at_line(found, 300.0)[0])


def test_an_opaque_laser_line_still_tells_that_nearly_all_is_absorbed():
    dark, lamp = np.full(WIDE.size, 500.0), np.full(WIDE.size, 50_500.0)
    found = absorbance(WIDE, dark + 50_000.0 * 10**-2.3, dark, lamp)
    assert not found.good.any()
    assert at_line(found, 450.0)[0] == pytest.approx(2.3, abs=1e-6)


@pytest.mark.parametrize("path_mm", [0.0, -1.0, math.nan])
def test_no_path_has_no_absorbance_per_cm(path_mm):
    with pytest.raises(UsageError, match="path"):
        per_cm(0.3, path_mm)


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
