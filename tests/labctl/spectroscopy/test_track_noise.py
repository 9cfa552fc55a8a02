from __future__ import annotations

import numpy as np
import pytest

from labctl.spectroscopy.track_noise import TrackNoise


@pytest.mark.parametrize("scatter", [0.5, 1.0, 3.0])
def test_the_scatter_of_a_moving_track_is_learnt(scatter):
    rng = np.random.default_rng(1)
    noise = TrackNoise()
    for i in range(300):
        noise.learn(500.0 + 0.3 * i + 0.1 * scatter * rng.standard_normal(), 0.1)
    assert noise.factor() == pytest.approx(scatter, rel=0.3)


def test_one_outlier_hardly_counts():
    noise = TrackNoise()
    for i in range(60):
        noise.learn(500.0 + (20.0 if i == 50 else 0.1 * (-1) ** i / 2), 0.1)
    assert noise.factor() < 2.0


def test_without_points_the_promise_is_believed():
    assert TrackNoise().factor() == 1.0
