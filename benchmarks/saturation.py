"""Compares the saturation detector with the rules in use: `python -m benchmarks.saturation`.

Prints, per detector: false advances on identifiable runs, on pauses without context, on runs with
`hold`, and on faults; how many never fire; the median and 90 % delay relative to the oracle.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scenarios import FAMILIES, Scenario, build
from labctl.spectroscopy.saturation import SaturationDetector, SaturationSettings

Detect = Callable[[Scenario], float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one detector did on one run: when it declared (inf never) and the truth."""

    family: str
    kind: str
    declared_s: float
    settled_s: float
    start_s: float

    @property
    def false(self) -> bool:
        """Tell whether it declared while the peak was still to move, or on a fault."""
        fired = math.isfinite(self.declared_s)
        return fired and (self.kind == "fault" or self.declared_s < self.settled_s)

    @property
    def delay(self) -> float:
        """Give the delay relative to the oracle's own time, at least 300 s."""
        due_s = max(self.settled_s, self.start_s)
        return (self.declared_s - due_s) / max(due_s - self.start_s, 300.0)


def ours(scenario: Scenario, min_plateau_s: float = 0.0) -> float:
    """Run the detector; the position in the stream gives true time where the clock jumps."""
    detector = SaturationDetector(SaturationSettings(min_plateau_s=min_plateau_s))
    for t, peak, sigma, temperature, hold, raw in scenario.samples:
        if detector.update(t, peak, sigma, temperature, hold, raw).state == "saturated":
            return t
    return math.inf


def slope_60s(scenario: Scenario) -> float:
    """Declare once the slope of the last 60 s is below 0.2 nm/min."""
    recent: list[tuple[float, float]] = []
    for t, peak, *_ in scenario.samples:
        recent = [(x, y) for x, y in [*recent, (t, peak)] if t - x <= 60.0]
        if t < 60.0 or len(recent) < 5 or not all(math.isfinite(y) for _, y in recent):
            continue
        times, peaks = np.array(recent).T
        spread = times - times.mean()
        if abs(float(spread @ peaks / (spread @ spread))) < 0.2 / 60.0:
            return t
    return math.inf


def timer(scenario: Scenario) -> float:
    """Declare 11 min after the start, whatever happens."""
    return scenario.start_s + 660.0


DETECTORS: dict[str, Detect] = {
    "labctl": ours,
    "labctl + 300 s plateau": lambda scenario: ours(scenario, 300.0),
    "slope over 60 s": slope_60s,
    "fixed timer 11 min": timer,
}


def run(detect: Detect, families: Sequence[str], seeds: range, noise: float) -> list[Outcome]:
    """Run a detector over all families and seeds."""
    outcomes = []
    for family in families:
        for seed in seeds:
            case = build(family, seed, noise)
            declared = detect(case)
            settled = case.settled_s
            outcomes.append(Outcome(family, case.kind, declared, settled, case.start_s))
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    """Give one row of the table."""
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        kinds[outcome.kind].append(outcome)
    plain = kinds["identifiable"]
    able = [o for o in plain if o.settled_s < 4000.0]
    fired = [o.delay for o in able if math.isfinite(o.declared_s) and not o.false]
    never = sum(math.isinf(o.declared_s) for o in able) / max(len(able), 1)
    parts = [
        f"{kind} {sum(o.false for o in kinds[kind])}/{len(kinds[kind])}"
        for kind in ("identifiable", "ambiguous", "held", "fault", "artefact", "clock")
    ]
    middle = statistics.median(fired) if fired else math.nan
    late = float(np.quantile(fired, 0.9)) if fired else math.nan
    return f"{', '.join(parts)} | never {never:.1%} | delay {middle:.2f}, p90 {late:.2f}"


def details(outcomes: Sequence[Outcome]) -> None:
    """Print one line per family."""
    for family in dict.fromkeys(o.family for o in outcomes):
        mine = [o for o in outcomes if o.family == family]
        never = sum(math.isinf(o.declared_s) for o in mine)
        fired = [o.delay for o in mine if math.isfinite(o.declared_s) and not o.false]
        middle = statistics.median(fired) if fired else math.nan
        false = sum(o.false for o in mine)
        print(
            f"  {family:22s} n {len(mine):4d}  false {false:3d}  never {never:4d}"
            f"  delay {middle:5.2f}"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--ours-only", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for name, detect in list(DETECTORS.items())[: 1 if options.ours_only else None]:
        begin = time.perf_counter()
        outcomes = run(detect, options.families, seeds, options.noise)
        spent = time.perf_counter() - begin
        print(f"{name}: {summary(outcomes)} | {spent:.1f} s")
        if name == "labctl":
            details(outcomes)


if __name__ == "__main__":
    main()
