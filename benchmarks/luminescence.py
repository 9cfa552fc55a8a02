"""How often PL is called flat while it still moves: `python -m benchmarks.luminescence`.

Draws courses of the area per absorbed photon (frames every 20 or 30 s, noise 0.1-1.5 %) and prints,
per family, for `is_flat` and for the naive rule (a straight line through the last ten minutes moves
less than 3 %): called flat while more than 3 % were to come in the next ten minutes, never called
flat, median delay after that was true, and the cost of a look.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.photoluminescence import FLAT_PART, FLAT_POINTS, FLAT_SPANS_S, is_flat

Floats = NDArray[np.float64]
Course = Callable[[Floats], Floats]
Rule = Callable[[Floats, Floats, Floats], bool]

AHEAD_S, LASTS_S, LOOK_S = 600.0, 5400.0, 60.0


def rising(rng: np.random.Generator) -> Course:
    """An exponential rise of 2-90 % of the final level."""
    tau_s, part = _tau_s(rng), rng.uniform(0.02, 0.9)
    return lambda t: 1.0 - part * np.exp(-t / tau_s)


def falling(rng: np.random.Generator) -> Course:
    """An exponential fall: quenching."""
    tau_s, part = _tau_s(rng), rng.uniform(0.1, 2.0)
    return lambda t: 1.0 + part * np.exp(-t / tau_s)


def stretched(rng: np.random.Generator) -> Course:
    """A rise with a long tail."""
    tau_s, part, beta = _tau_s(rng), rng.uniform(0.2, 0.9), rng.uniform(0.5, 0.9)
    return lambda t: 1.0 - part * np.exp(-((t / tau_s) ** beta))


def steady(rng: np.random.Generator) -> Course:
    """A rise at one relative rate, 3-6 % in ten minutes, that never ends."""
    rate = math.log1p(rng.uniform(FLAT_PART, 2 * FLAT_PART)) / AHEAD_S
    return lambda t: np.exp(rate * t)


def paused(rng: np.random.Generator) -> Course:
    """A rise that stands still for 2-7 min on its way: nothing in the PL tells it from the end."""
    at_s, for_s, tau_s = rng.uniform(600, 1200), rng.uniform(120, 420), rng.uniform(200, 600)
    return lambda t: (
        1.0 - 0.5 * np.exp(-np.minimum(t, at_s) / tau_s - np.maximum(t - at_s - for_s, 0) / tau_s)
    )


FAMILIES = {f.__name__: f for f in (rising, falling, stretched, steady, paused)}


def naive(time_s: Floats, area: Floats, sigma: Floats) -> bool:
    """Call it flat when a straight line through ten minutes moves less than 3 %."""
    used = time_s >= time_s[-1] - AHEAD_S
    x, y = time_s[used], area[used]
    if x.size < FLAT_POINTS or x[-1] - x[0] < 0.8 * AHEAD_S:
        return False
    return abs(float(np.polyfit(x, y, 1)[0])) * AHEAD_S < FLAT_PART * float(np.median(y))


def run(rule: Rule, family: str, seeds: range) -> str:
    """Run one rule over one family; give its line of the table."""
    wrong = never = looks = 0
    delays, spent_s = [], 0.0
    for seed in seeds:
        rng = np.random.default_rng((seed, list(FAMILIES).index(family)))
        course, period_s = FAMILIES[family](rng), rng.choice([20.0, 30.0])
        noise = 10 ** rng.uniform(-3.0, math.log10(0.015))
        times = np.arange(0.0, LASTS_S, period_s)
        areas = course(times) * (1.0 + noise * rng.standard_normal(times.size))
        sigmas = noise * rng.choice([0.1, 0.5, 1.0]) * areas
        left = np.abs(course(times + AHEAD_S) / course(times) - 1.0)
        settled = np.flatnonzero(left < FLAT_PART)
        begin, at = time.perf_counter(), None
        for end in range(FLAT_POINTS, times.size, round(LOOK_S / period_s)):
            first = int(np.searchsorted(times, times[end] - FLAT_SPANS_S[-1]))
            looks += 1
            if rule(times[first : end + 1], areas[first : end + 1], sigmas[first : end + 1]):
                at = end
                break
        spent_s += time.perf_counter() - begin
        if at is None:
            never += settled.size > 0
        elif left[at] > FLAT_PART:
            wrong += 1
        else:
            delays.append(float(times[at] - times[settled[0]]))
    late_s = statistics.median(delays) if delays else math.nan
    cost_us = 1e6 * spent_s / looks
    told = f"early {wrong:4d} of {len(seeds)}  never {never:3d}  late {late_s:5.0f} s"
    return f"{told}  {cost_us:4.0f} us"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=5000)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for family in FAMILIES:
        print(f"{family:10s} labctl {run(is_flat, family, seeds)}")
        print(f"{'':10s} naive  {run(naive, family, seeds)}")


def _tau_s(rng: np.random.Generator) -> float:
    return float(10 ** rng.uniform(2.0, math.log10(3000.0)))


if __name__ == "__main__":
    main()
