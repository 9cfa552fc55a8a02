"""The fault campaign: `python -m benchmarks.campaign --seeds N`.

Each seed draws what befalls a short day (`benchmarks.swarm`), runs it on the twin in virtual time,
and judges the invariants on the plant's truth (`benchmarks.invariants`). What fails is shrunk to
the fewest things that still fail and written to the corpus, which the tests replay. `--jobs` uses
more cores; `--page` writes docs/reference/campaign.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.day import HEAD, SHEET, STEPS
from benchmarks.invariants import TEXTS, Broken, Oracle
from benchmarks.swarm import FAULTS, Case, Said, draw, kind_of, save
from labctl.clock import VirtualClock
from labctl.engine.commands import Command
from labctl.engine.run import Run
from labctl.errors import LabctlError
from labctl.faults import parse_fault
from labctl.loop import Inbox, VirtualLoop, run_virtual
from labctl.plan import Plan, plan
from labctl.recipe.load import recipe_of
from labctl.record import Record, open_run
from labctl.registry import build_world, bundled_rig, fault_table
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import load_rig
from labctl.rig.opening import OpenRig
from labctl.session import conduct, memory_wires, meta_of, twin_spec
from labctl.source import compose, validate
from simulators.world import RigWorld

NS = 1_000_000_000
MAX_C = 90.0
LATEST_S = 2 * 3600
CORPUS = Path(__file__).parents[1] / "tests/corpus"
Changed = Callable[[Run], None]


@dataclass
class Ran:
    """One seed: what befell, how it ended, what was broken, which faults acted."""

    case: Case
    outcome: str
    reason: str
    broken: list[Broken] = field(default_factory=list)
    acted: tuple[str, ...] = ()
    digest: str = ""

    @property
    def failed(self) -> bool:
        """Whether an invariant did not hold, or labctl itself failed."""
        return bool(self.broken) or self.outcome == "crashed"


@functools.cache
def day() -> Plan:
    """Plan the short day on the bundled rig."""
    sheet = compose(SHEET, "sheet.yaml")
    batch = LoadedBatch(validate(Batch, sheet, ()), sheet)
    return plan(recipe_of(compose(HEAD + STEPS, "day.yaml"), {}), load_rig(bundled_rig()), batch)


def run_case(case: Case, change: Changed | None = None) -> Ran:
    """Run one case; `change` may weaken the run before it starts, to see that it is noticed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _run(case, Path(folder) / "run", change)
        except LabctlError as error:
            return Ran(case, "crashed", repr(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the campaign wants to know
            return Ran(case, "crashed", repr(error))


def _run(case: Case, directory: Path, change: Changed | None) -> Ran:
    planned = day()
    befalls = [parse_fault(text, fault_table()) for text in case.faults]
    world = build_world(twin_spec(planned, case.seed, befalls))
    if not isinstance(world, RigWorld):
        raise LabctlError("the campaign judges the bundled world's truth")
    inbox, oracles = Inbox(), []

    async def main(loop: VirtualLoop) -> tuple[str, str, bool]:
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        world.follow(clock.now_ns)
        rig = OpenRig(planned.rig, world.operator, memory_wires(planned.rig, world, clock), clock)
        record = Record.create(directory, meta_of(planned, case.seed, "c"), durable=False)

        def watch(run: Run) -> None:
            oracle = Oracle(world, run, MAX_C, {"pump_2": _planned_ml(planned)})
            oracles.append(oracle)
            if change is not None:
                change(run)
            _each_second(loop, oracle, 1)

        for said in (*case.said, Said(LATEST_S, "abort", "held for hours")):
            command = Command(said.verb, "MT", said.text)
            loop.call_at_ns(said.at_s * NS, inbox.post, command)
        try:
            ended = await conduct(planned, rig, clock, record, inbox, watch, world=world)
            oracles[0].look(clock.now_ns())
            return ended
        finally:
            oracles.append(clock.now_ns())
            record.close()

    outcome, reason, _ = run_virtual(main, inbox=inbox)
    oracle, end_ns = oracles
    broken = oracle.ended(end_ns, directory)
    acted = tuple(fault.text for fault in world.faults() if fault.acted)
    with open_run(directory) as run:
        digest = run.digest()
    return Ran(case, outcome, reason, broken, acted, digest)


def _each_second(loop: VirtualLoop, oracle: Oracle, at_s: int) -> None:
    def look() -> None:
        oracle.look(at_s * NS)
        _each_second(loop, oracle, at_s + 1)

    loop.call_at_ns(at_s * NS, look)


def _planned_ml(planned: Plan) -> float:
    """Return what the day's one injection may give."""
    return 0.4 / (planned.scene.loads["S"].concentration_mol_l or 1.0)


def shrunk(ran: Ran, change: Changed | None = None) -> Ran:
    """Leave out, one by one, what is not needed for the same invariant to break."""
    numbers = {broken.number for broken in ran.broken}
    n = 0
    while n < ran.case.size:
        smaller = run_case(ran.case.without(n), change)
        still = numbers & {broken.number for broken in smaller.broken}
        if still or (ran.outcome == smaller.outcome == "crashed"):
            ran = smaller
        else:
            n += 1
    return ran


def _drawn(job: tuple[int, Sequence[str]]) -> Ran:
    return run_case(draw(*job))


def main() -> int:
    """Run the campaign; exit 1 if anything broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--without", nargs="*", default=[], help="kinds of fault to leave out")
    parser.add_argument("--shrink", type=int, default=10, help="how many failures to shrink")
    parser.add_argument("--corpus", type=Path, default=None, help="where failures are written")
    options = parser.parse_args()
    faults = [spec for spec in FAULTS if kind_of(spec) not in options.without]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    begin_s = time.perf_counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        rans = list(pool.map(_drawn, [(seed, faults) for seed in seeds], chunksize=4))
    print(f"{len(rans)} seeds from {seeds.start}, {time.perf_counter() - begin_s:.0f} s")
    print(f"outcomes: {dict(Counter(ran.outcome for ran in rans))}")
    acted = Counter(kind_of(text) for ran in rans for text in ran.acted)
    print(
        f"faults that acted: {acted.total()} of {len(acted)} kinds: {dict(sorted(acted.items()))}"
    )
    failed = [ran for ran in rans if ran.failed]
    broken = Counter(b.number for ran in failed for b in ran.broken)
    held = [n for n in TEXTS if n not in broken]
    print(f"invariants held: {held}; broken: {dict(broken)}; seeds that failed: {len(failed)}")
    for ran in failed[: options.shrink]:
        least = shrunk(ran)
        why = [str(b) for b in least.broken] or [least.reason]
        print(f"  seed {ran.case.seed}: {least.case.faults} {least.case.said}: {'; '.join(why)}")
        if options.corpus is not None:
            save(least.case, options.corpus / f"seed_{ran.case.seed}.json", why)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
