"""Fewer points for a plot, without losing what the eye would see: minimum and maximum per bin."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from labctl.report.story import Series

GAP_PERIODS = 12.0
GAP_AT_LEAST_S = 60.0


def thinned(series: Series, most: int) -> Series:
    """Keep at most about `most` points: in each of `most / 2` equal times the lowest and highest.

    A bin that holds nothing but gaps keeps one gap.
    """
    if len(series.t_s) <= most:
        return series
    kept = [
        index
        for low, high in _bins(series.t_s, most // 2)
        for index in _extremes(series.values, low, high)
    ]
    return Series([series.t_s[i] for i in kept], [series.values[i] for i in kept])


def opened(series: Series) -> Series:
    """Put a gap into every silence much longer than the usual period: no line crosses it."""
    t_s = series.t_s
    if len(t_s) < 3:
        return series
    steps = [after - before for before, after in pairwise(t_s)]
    longest = max(GAP_AT_LEAST_S, GAP_PERIODS * median(steps))
    if max(steps) <= longest:
        return series
    times, values = [t_s[0]], [series.values[0]]
    for step, t, value in zip(steps, t_s[1:], series.values[1:], strict=True):
        if step > longest:
            times.append(t - step / 2)
            values.append(None)
        times.append(t)
        values.append(value)
    return Series(times, values)


def smoothed(x: Sequence[float], y: Sequence[float | None], most: int) -> Series:
    """Average neighbours of a spectrum until at most `most` points are left."""
    size = max(1, -(-len(x) // most))
    starts = range(0, len(x) - size + 1, size)
    means: list[float | None] = []
    for start in starts:
        part = [value for value in y[start : start + size] if value is not None]
        means.append(sum(part) / len(part) if len(part) == size else None)
    return Series([sum(x[start : start + size]) / size for start in starts], means)


def _bins(t_s: list[float], count: int) -> list[tuple[int, int]]:
    width = (t_s[-1] - t_s[0]) / count
    edges = [bisect_left(t_s, t_s[0] + width * i) for i in range(count)] + [len(t_s)]
    return [(low, high) for low, high in pairwise(edges) if high > low]


def _extremes(values: list[float | None], low: int, high: int) -> list[int]:
    known = [(value, i) for i in range(low, high) if (value := values[i]) is not None]
    if not known:
        return [low]
    return sorted({min(known)[1], max(known)[1]})
