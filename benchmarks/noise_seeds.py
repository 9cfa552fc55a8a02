"""Runs the paper's recipes over many noise seeds: `python -m benchmarks.noise_seeds`.

Each seed is a whole dry run: plant, optics, drivers, tracker, detector, decision. The plant's truth
judges: how much of the shift was done when a stage advanced, when that was, how near to its target
the cores came to rest, and whether a ramp was ever taken for adsorption. `--cases` chooses,
`--jobs` uses more than one core; a case that breaks the bound set for it says so.
"""

from __future__ import annotations

import argparse
import copy
import math
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from labctl.clock import NS, VirtualClock
from labctl.engine.run import Run
from labctl.loop import Inbox, VirtualLoop, run_virtual
from labctl.plan import Plan
from labctl.prepare import Request, prepare
from labctl.readings import Event
from labctl.record import Record, open_run
from labctl.rig.opening import OpenRig
from labctl.session import conduct, memory_wires, meta_of, twin_spec
from labctl.twin import stream
from simulators.plant.kinetics import Rate
from simulators.world import RigWorld, build_world

RECIPES = Path(__file__).parents[1] / "recipes"
NEVER_S = 4 * 3600.0
CORES_WITHIN_NM = 2.0
# The ramp counts as done at its beginning, so that the decision watches all of it.
RAMPED = """  - baseline: {of: [peak, pl], as: full, for: 3 min}
  - ramp: {to: 250 C, rate: $ramp, within: 49 K}
  - wait_until: {id: after_ramp, saturated: peak, since: full, timeout: 40 min,
                 on_timeout: {ask: nothing moved, choices: [accept, park], default: park,
                              after: 3 min, simulated: accept}}
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One decision against the truth: s since its dose, share of the shift done, nm left."""

    verdict: str
    since_dose_s: float
    done: float
    left_nm: float


@dataclass
class Ran:
    """One seed: outcome, decisions by step, where the peak came to rest (nm) and was seen to."""

    seed: int
    outcome: str
    seen: dict[str, Seen] = field(default_factory=dict)
    peak_nm: float = math.nan
    landed_nm: float = math.nan


@dataclass(frozen=True, slots=True)
class Case:
    """A recipe, the decision that is judged, the dose it is counted from, and the verdict on it."""

    recipe: str
    step: str
    dose: str
    row: Callable[[Sequence[Ran]], tuple[str, bool]]
    change: Callable[[str], str] = str
    vary: Callable[[RigWorld, random.Random], None] = lambda world, rng: None


class Witness:
    """Sees the truth whenever something is decided; knows the level before the dose."""

    def __init__(self, world: RigWorld) -> None:
        self.seen: dict[str, Seen] = {}
        self.landed_nm = math.nan
        self._world = world
        self._before_nm = math.nan

    def watch(self, run: Run) -> None:
        """Listen to a run."""

        def listen(message: object) -> None:
            if isinstance(message, Event):
                self._hear(message, run)

        run.bus.subscribe(listen)

    def _hear(self, event: Event, run: Run) -> None:
        if event.code == "landed":
            self.landed_nm = float(event.data["peak_nm"] or math.nan)
        elif event.code == "baseline":
            self._before_nm = self._world.peak_25c_nm(event.t_ns) or math.nan
        elif event.code == "decision":
            self._decided(event, run)

    def _decided(self, event: Event, run: Run) -> None:
        now_nm = self._world.peak_25c_nm(event.t_ns) or math.nan
        end_nm = self._plateau_nm()
        shift = end_nm - self._before_nm
        done = (now_nm - self._before_nm) / shift if abs(shift) > 1.0 else math.nan
        since_s = event.t_ns / NS
        self.seen[run.step_id] = Seen(
            event.message.partition(":")[0], since_s, done, end_nm - now_nm
        )

    def _plateau_nm(self) -> float:
        """Where the peak would stand if adsorption went on for four hours, and nothing else."""
        flask = self._world.flask
        reaction = copy.deepcopy(flask.dots.reaction)
        if reaction is None:
            return math.nan
        reaction.kinetics = replace(reaction.kinetics, monomer=Rate(0.0, 0.0))
        reaction.advance(NEVER_S, flask.thermal.flask_c, flask.contents.cold_ml, False)
        return reaction.peak_nm()


def run_seed(name: str, seed: int) -> Ran:
    """Run one case with one seed of the noise and look at it with the eyes of the plant."""
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        planned = _planned(case, Path(folder))
        world = build_world(twin_spec(planned, seed))
        case.vary(world, stream(seed, "campaign"))
        witness = Witness(world)
        outcome = _conduct(planned, world, witness, seed, Path(folder) / "run")
        with open_run(Path(folder) / "run") as run:
            ended_s = next((s.end_ns or 0) / NS for s in run.steps if s.id == case.dose)
            product = run.meta.product
    seen = {
        step: Seen(s.verdict, s.since_dose_s - ended_s, s.done, s.left_nm)
        for step, s in witness.seen.items()
    }
    peak = product.get("peak_nm") if isinstance(product, dict) else None
    peak_nm = float(peak) if isinstance(peak, int | float) else math.nan
    return Ran(seed, outcome, seen, peak_nm, witness.landed_nm)


def _planned(case: Case, folder: Path) -> Plan:
    """Copy the recipe, changed if the case says so, with its sheet, and plan it."""
    for suffix in (".yaml", ".batch.yaml"):
        shutil.copy(RECIPES / f"{case.recipe}{suffix}", folder)
    recipe = folder / f"{case.recipe}.yaml"
    recipe.write_text(case.change(recipe.read_text(encoding="utf-8")), encoding="utf-8")
    return prepare(Request(recipe))[0]


def _conduct(planned: Plan, world: RigWorld, witness: Witness, seed: int, directory: Path) -> str:
    inbox = Inbox()

    async def main(loop: VirtualLoop) -> tuple[str, str, bool]:
        clock = VirtualClock(loop, planned.batch.model.date)
        world.follow(clock.now_ns)
        wires = memory_wires(planned.rig, world, clock)
        rig = OpenRig(planned.rig, world.operator, wires, clock)
        record = Record.create(directory, meta_of(planned, seed, "c"), durable=False)
        try:
            return await conduct(planned, rig, clock, record, inbox, witness.watch, world=world)
        finally:
            record.close()

    return run_virtual(main, inbox=inbox)[0]


def spread(values: Sequence[float], unit: str, scale: float = 1.0, digits: int = 2) -> str:
    """Give lowest, median and highest of a figure in words."""
    known = sorted(value * scale for value in values if math.isfinite(value))
    if not known:
        return "none"
    low, middle, high = known[0], statistics.median(known), known[-1]
    return f"{low:.{digits}f} .. {middle:.{digits}f} .. {high:.{digits}f} {unit}"


def _verdicts(runs: Sequence[Ran], step: str) -> str:
    counted = Counter(r.seen[step].verdict if step in r.seen else "none" for r in runs)
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counted.items()))


def _stage2(runs: Sequence[Ran]) -> tuple[str, bool]:
    at = [r.seen["stage2.3"] for r in runs if "stage2.3" in r.seen]
    fired = [s for s in at if s.verdict == "saturated"]
    early = sum(s.done < 0.95 for s in fired)
    text = (
        f"{_verdicts(runs, 'stage2.3')}; shift done {spread([s.done for s in fired], '%', 100)}; "
        f"{spread([s.since_dose_s for s in fired], 'min after S', 1 / 60, 1)}; "
        f"before 95 %: {early} (bound 0)"
    )
    return text, early == 0


def _znse(runs: Sequence[Ran]) -> tuple[str, bool]:
    at = [r.seen["shell.4"] for r in runs if "shell.4" in r.seen]
    fired = [s for s in at if s.verdict == "saturated"]
    outside = sum(not 600 <= s.since_dose_s <= 1500 for s in fired) + len(runs) - len(fired)
    text = (
        f"{_verdicts(runs, 'shell.4')}; "
        f"{spread([s.since_dose_s for s in fired], 'min after Se', 1 / 60, 1)}; "
        f"shift done {spread([s.done for s in fired], '%', 100)}; "
        f"outside 10 .. 25 min: {outside} (bound 0)"
    )
    return text, outside == 0


def _ramp(runs: Sequence[Ran]) -> tuple[str, bool]:
    wrong = sum(r.seen["after_ramp"].verdict == "saturated" for r in runs if "after_ramp" in r.seen)
    looked = sum("after_ramp" in r.seen for r in runs)
    text = (
        f"{_verdicts(runs, 'after_ramp')}; true movement left "
        f"{spread([r.seen['after_ramp'].left_nm for r in runs if 'after_ramp' in r.seen], 'nm')}; "
        f"taken for adsorption: {wrong} (bound 0)"
    )
    return text, wrong == 0 and looked == len(runs)


def _cores(runs: Sequence[Ran]) -> tuple[str, bool]:
    target_nm = 470.0
    off = [r.peak_nm - target_nm for r in runs]
    seen = [r.landed_nm - target_nm for r in runs]
    wide = sum(not abs(nm) <= CORES_WITHIN_NM for nm in off)
    stopped = all("grow.3" in r.seen and r.seen["grow.3"].verdict == "reached" for r in runs)
    text = (
        f"{_verdicts(runs, 'grow.3')}; true cold peak from 470 nm {spread(off, 'nm')}; "
        f"as seen after the quench {spread(seen, 'nm')}; "
        f"farther than {CORES_WITHIN_NM:g} nm: {wide} (bound 0)"
    )
    return text, stopped and wide == 0


def _other_growth(world: RigWorld, rng: random.Random) -> None:
    """Half to twice the rate, 80 to 100 kJ/mol: chemistry that nobody knew beforehand."""
    rate = world.flask.dots.growth.rate
    factor = 2.0 ** rng.uniform(-1.0, 1.0)
    changed = Rate(rate.reference * factor, rng.uniform(80e3, 100e3), rate.reference_k)
    world.flask.dots.growth.rate = changed


CASES: dict[str, Case] = {
    "stage2": Case("inp_zns_surface_initiated", "stage2.3", "s", _stage2),
    "znse": Case("inp_znse_200c", "shell.4", "znse", _znse),
    "ramp": Case(
        "inp_znse_200c",
        "after_ramp",
        "znse",
        _ramp,
        lambda text: text.replace("  - quench:", f"{RAMPED}  - quench:").replace("205 C", "255 C"),
    ),
    "cores": Case("inp_cores_2p4", "grow.3", "p", _cores),
    "cores_vary": Case("inp_cores_2p4", "grow.3", "p", _cores, vary=_other_growth),
}


def main() -> None:
    """Run the campaign and print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for name in options.cases:
        begin = time.perf_counter()
        with ProcessPoolExecutor(options.jobs) as pool:
            runs = list(pool.map(partial(run_seed, name), seeds))
        text, holds = CASES[name].row(runs)
        outcomes = Counter(run.outcome for run in runs)
        spent = time.perf_counter() - begin
        ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        bound = "holds " if holds else "BROKEN"
        print(f"{name:10s} {bound} n {len(runs)}: {text} | {ended} | {spent:.0f} s", flush=True)


if __name__ == "__main__":
    main()
