"""Learns from a track by how much its points scatter more, or less, than each one promised."""

from __future__ import annotations

import math
from collections import deque

PRIOR_FRAMES = 8.0
MEMORY_FRAMES = 40.0
LARGEST_RATIO = 9.0


class TrackNoise:
    """Compares second differences of a track, which leave out its slope, with the promised sds.

    They see what the noise of pixels cannot tell: flicker of the lamp, a stirrer in the beam.
    """

    def __init__(self) -> None:
        self._sum = self._count = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=3)

    def learn(self, peak_nm: float, sigma_nm: float) -> None:
        """Take in a good point and its promised sd."""
        self._recent.append((peak_nm, sigma_nm))
        if len(self._recent) < 3:
            return
        (p0, s0), (p1, s1), (p2, s2) = self._recent
        ratio = (p0 - 2.0 * p1 + p2) ** 2 / (s0**2 + 4.0 * s1**2 + s2**2)
        keep = 1.0 - 1.0 / MEMORY_FRAMES
        self._sum = keep * self._sum + min(ratio, LARGEST_RATIO * max(self._variance(), 1.0))
        self._count = keep * self._count + 1.0

    def factor(self) -> float:
        """Give what to multiply a promised sd with."""
        return math.sqrt(self._variance())

    def _variance(self) -> float:
        return (PRIOR_FRAMES + self._sum) / (PRIOR_FRAMES + self._count)
