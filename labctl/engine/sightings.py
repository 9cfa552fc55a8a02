"""Sightings taken together: where the peak stands hot now, and the level of a baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from labctl.clock import NS
from labctl.engine.cold_scale import ColdScale, Hot
from labctl.engine.deciding import Level, Sighting

HOT_FRAMES, HOT_S = 3, 120.0


def hot_of(sightings: Sequence[Sighting], now_ns: int) -> Hot | None:
    """Give the peak in the flask now: medians of the last usable frames; None if they are old."""
    since_ns = now_ns - round(HOT_S * NS)
    fresh = [s for s in sightings[-3 * HOT_FRAMES :] if s.usable and s.t_ns >= since_ns]
    if not fresh:
        return None
    rows = [(s.raw_nm, s.sigma_nm, s.temperature_c) for s in fresh[-HOT_FRAMES:]]
    peak_nm, sigma_nm, temperature_c = np.median(np.array(rows), axis=0).tolist()
    return Hot(peak_nm, sigma_nm, temperature_c)


def level_of(seen: Sequence[Sighting], area: float, scale: ColdScale) -> Level:
    """Give the level of usable sightings on the 25 °C scale as it is known now."""
    placed = [scale.place(s.raw_nm, s.temperature_c) for s in seen]
    return Level(
        float(np.median([p.peak_nm for p in placed])),
        float(np.median([s.sigma_nm for s in seen])) / math.sqrt(len(seen)),
        float(np.mean([p.band_nm for p in placed])),
        area,
        float(np.median([s.temperature_c for s in seen])),
    )
