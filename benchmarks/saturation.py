"""Compares the saturation detector with the rules in use: `python -m benchmarks.saturation`.

Prints, per detector: declarations that came too early, of the runs of each kind; how many runs
never get one; the median and 90 % delay relative to the oracle; microseconds per sample. A run is
`identifiable`, `ambiguous` (a pause nobody reported), `held` (the same, reported), a `fault` (a
dead, clamped or frozen source, no reaction) or `idle` (no reaction, and temperature makes it look
like one); on the last two any declaration is false.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.courses import Scenario
from benchmarks.rules import RULES
from benchmarks.scenarios import FAMILIES, build
from labctl.spectroscopy.saturation import SaturationDetector, SaturationSettings

Detect = Callable[[Scenario, float], tuple[float, str]]
KINDS = ("identifiable", "ambiguous", "held", "fault", "idle")
LATEST_S = 4000.0
"""Runs that end later than this leave no time to declare, and count as neither late nor never."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one detector did on one run: when it declared (inf never) and the truth."""

    family: str
    kind: str
    seed: int
    declared_s: float
    settled_s: float
    start_s: float
    named: str = ""
    spent_us: float = 0.0

    @property
    def false(self) -> bool:
        """Tell whether it declared while the peak was still to move, or on a fault."""
        fired = math.isfinite(self.declared_s)
        return fired and (self.kind in {"fault", "idle"} or self.declared_s < self.settled_s)

    @property
    def able(self) -> bool:
        """Tell whether the run has an end that can be seen in time."""
        return self.kind == "identifiable" and self.settled_s < LATEST_S

    @property
    def delay(self) -> float:
        """Give the delay relative to the oracle's own time, at least 300 s."""
        due_s = max(self.settled_s, self.start_s)
        return (self.declared_s - due_s) / max(due_s - self.start_s, 300.0)


def ours(scenario: Scenario, alpha: float, min_plateau_s: float = 0.0) -> tuple[float, str]:
    """Run the detector; give the true time of `saturated` and the last doubt it named."""
    detector = SaturationDetector(SaturationSettings(alpha=alpha, min_plateau_s=min_plateau_s))
    named = ""
    for true_s, row in zip(scenario.true_s, scenario.samples, strict=True):
        verdict = detector.update(*row)
        if verdict.state in {"fault", "no_reaction"}:
            named = verdict.state
        if verdict.state == "saturated":
            return true_s, named
    return math.inf, named


def peer(scenario: Scenario, alpha: float, name: str) -> tuple[float, str]:
    """Run one of the rules in use, which know no risk."""
    return RULES[name](scenario), ""


DETECTORS: dict[str, Detect] = {
    "labctl": ours,
    "labctl, plateau of 300 s": partial(ours, min_plateau_s=300.0),
    **{name: partial(peer, name=name) for name in RULES},
}


def judge(job: tuple[str, str, int, float, float]) -> Outcome:
    """Run one detector on one run."""
    name, family, seed, noise, alpha = job
    case = build(family, seed, noise)
    begin = time.process_time()
    declared_s, named = DETECTORS[name](case, alpha)
    spent = time.process_time() - begin
    used = max(sum(t <= declared_s for t in case.true_s), 1)
    return Outcome(
        family=family,
        kind=case.kind,
        seed=seed,
        declared_s=declared_s,
        settled_s=case.settled_s,
        start_s=case.start_s,
        named=named,
        spent_us=1e6 * spent / used,
    )


def run(name: str, options: argparse.Namespace) -> list[Outcome]:
    """Run a detector over all families and seeds."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    work = [
        (name, family, seed, options.noise, options.alpha)
        for family in options.families
        for seed in seeds
    ]
    if options.jobs == 1:
        return [judge(job) for job in work]
    with multiprocessing.Pool(options.jobs) as pool:
        return pool.map(judge, work, chunksize=8)


def summary(name: str, outcomes: Sequence[Outcome]) -> str:
    """Give one row of the table."""
    parts = [f"{name:26s}"]
    for kind in KINDS:
        mine = [o for o in outcomes if o.kind == kind]
        parts.append(f"{kind} {sum(o.false for o in mine)}/{len(mine)}")
    able = [o for o in outcomes if o.able]
    fired = [o.delay for o in able if math.isfinite(o.declared_s) and not o.false] or [math.nan]
    never = sum(math.isinf(o.declared_s) for o in able) / max(len(able), 1)
    parts.append(f"never {never:.1%}")
    parts.append(f"delay {statistics.median(fired):.2f}, p90 {float(np.quantile(fired, 0.9)):.2f}")
    parts.append(f"{statistics.mean(o.spent_us for o in outcomes):.0f} us")
    return " | ".join(parts)


def details(outcomes: Sequence[Outcome]) -> None:
    """Print one line per family, with the seeds of early declarations."""
    for family in dict.fromkeys(o.family for o in outcomes):
        mine = [o for o in outcomes if o.family == family]
        never = sum(math.isinf(o.declared_s) for o in mine)
        fired = [o.delay for o in mine if math.isfinite(o.declared_s) and not o.false]
        middle = statistics.median(fired) if fired else math.nan
        early = [o.seed for o in mine if o.false]
        print(
            f"  {family:22s} n {len(mine):4d}  early {len(early):3d}  never {never:4d}"
            f"  delay {middle:5.2f}  max {max(fired, default=math.nan):5.2f}  {early or ''}"
        )
    faults = [o for o in outcomes if o.kind == "fault"]
    named = sum(bool(o.named) for o in faults)
    print(f"  faults named: {named}/{len(faults)}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=1.0, help="0.3 is a template tracker's")
    parser.add_argument("--alpha", type=float, default=1e-3, help="the risk asked of labctl")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--detectors", nargs="*", default=list(DETECTORS))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    last = options.first_seed + options.seeds - 1
    print(
        f"{len(options.families)} families, seeds {options.first_seed}-{last}, "
        f"noise {options.noise:g}, alpha {options.alpha:g}"
    )
    cost: float | None = None
    for name in options.detectors:
        outcomes = run(name, options)
        mine = statistics.mean(o.spent_us for o in outcomes)
        cost = cost or mine
        print(f"{summary(name, outcomes)} ({mine / cost:.2f} x)")
        if name == options.detectors[0]:
            details(outcomes)


if __name__ == "__main__":
    main()
