from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.spectroscopy.frame_noise import FrameNoise

BINS, SIZE, FRAMES = 90, 4, 60


def frames(scale, smooth, seed, count=FRAMES):
    """Binned noise, `scale` times what is reported, smoothed over pixels."""
    rng = np.random.default_rng(seed)
    pixels = rng.standard_normal((count, BINS * SIZE + smooth - 1))
    kernel = np.full(smooth, 1.0 / math.sqrt(smooth))
    smoothed = np.stack([np.convolve(p, kernel, mode="valid") for p in pixels])
    return scale * smoothed.reshape(count, BINS, SIZE).sum(axis=2) / math.sqrt(SIZE)


def cubic():
    x = np.linspace(-1.0, 1.0, BINS)
    return np.stack([x**p for p in range(7)])


def residuals(noise, rows):
    taken = np.linalg.qr(rows.T)[0]
    return noise - (noise @ taken) @ taken.T


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("smooth", [1, 5, 11, 21])
def test_scale_and_smoothing_are_learnt_from_residuals(scale, smooth):
    rows = cubic()
    wide = np.exp(-0.5 * ((np.arange(BINS) - 40.0) / 12.0) ** 2)
    influence = wide * (np.arange(BINS) - 40.0)
    promised = float(np.linalg.norm(influence))
    true_sd = float(np.std(frames(scale, smooth, 9, 4000) @ influence))
    learnt = FrameNoise()
    for residual in residuals(frames(scale, smooth, 1), rows):
        learnt.learn(residual, (rows[:4], rows[4:]), SIZE)
    assert promised * learnt.factor(influence, 1.0) == pytest.approx(true_sd, rel=0.15)


def test_what_all_frames_share_is_not_noise():
    rows, fault = cubic(), 5.0 * np.sin(np.arange(BINS))
    learnt = FrameNoise()
    for residual in residuals(frames(1.0, 1, 2), rows) + fault:
        learnt.learn(residual, (rows,), SIZE)
    assert learnt.variance == pytest.approx(1.0, rel=0.1)
    assert learnt.departure(residual + fault) > 5.0


def test_before_two_frames_are_in_chi2_is_believed_where_it_is_worse():
    learnt, row = FrameNoise(), np.ones(BINS)
    assert learnt.factor(row, 4.0) == 2.0
    assert learnt.factor(row, 0.2) == 1.0
    assert math.isnan(learnt.departure(row))
    learnt.learn(row, (cubic(),), SIZE)
    assert not learnt.known


@pytest.mark.parametrize("constant", [0.0, math.nan])
def test_a_detector_that_stands_still_teaches_nothing(constant):
    learnt = FrameNoise()
    for _ in range(3):
        learnt.learn(np.full(BINS, constant), (cubic(),), SIZE)
    assert learnt.variance == 1.0
