from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.spectroscopy.peak_estimate import gaussian_area, landmarks
from labctl.spectroscopy.peak_fit import Window

ENERGY = np.linspace(2.5, 1.9, 200)


def window(values, sigma=1e-4):
    return Window(ENERGY, values, np.full(ENERGY.size, sigma))


def wave(depth):
    """A maximum at 2.1 eV and a valley at 2.3 eV."""
    return 0.5 + depth * np.cos(np.pi * (ENERGY - 2.1) / 0.2)


def test_maximum_and_valley_are_read_off():
    seen = landmarks(window(wave(0.1)), 2.12, 0.1)
    assert seen.local_maximum_nm == pytest.approx(1239.841984 / 2.1, abs=0.05)
    assert seen.valley_depth == pytest.approx(1.0 - 0.4 / 0.6, abs=0.002)
    assert seen.optical_density == pytest.approx(np.interp(-2.12, -ENERGY, wave(0.1)), abs=1e-6)


@pytest.mark.parametrize("values", [ENERGY, -ENERGY, np.ones(ENERGY.size)])
def test_a_slope_has_neither(values):
    seen = landmarks(window(values), 2.12, 0.1)
    assert math.isnan(seen.local_maximum_nm)
    assert math.isnan(seen.valley_depth)


def test_a_valley_within_the_noise_is_a_shoulder():
    assert math.isnan(landmarks(window(wave(1e-3), 2e-3), 2.12, 0.1).local_maximum_nm)


def test_a_valley_beyond_what_is_seen_leaves_the_maximum():
    near = ENERGY < 2.2
    seen = landmarks(Window(ENERGY[near], wave(0.1)[near], np.full(near.sum(), 1e-4)), 2.12, 0.1)
    assert seen.local_maximum_nm == pytest.approx(1239.841984 / 2.1, abs=0.05)
    assert math.isnan(seen.valley_depth)


def test_no_window_gives_nothing():
    assert math.isnan(landmarks(None, 2.1, 0.1).optical_density)


def test_the_area_is_that_of_a_gaussian():
    x = np.linspace(-2.0, 2.0, 4001)
    bell = 0.4 * np.exp(-math.log(2.0) * (x / 0.1) ** 2)
    assert gaussian_area(0.4, 0.1) == pytest.approx(np.trapezoid(bell, x), rel=1e-6)
