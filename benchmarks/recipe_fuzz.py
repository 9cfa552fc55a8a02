"""Random valid recipes and random damage: what comes out may be refused, never wrong.

`python -m benchmarks.recipe_fuzz --cases 10000 --seed 1` prints how each kind of case ended. Three
things must not happen: an exception that labctl does not declare, an accepted plan that may wait
without bound, a plan whose volumes do not balance.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.recipe_making import DAMAGE, Maker, pick, written
from labctl.bench import Scene
from labctl.check import check
from labctl.chemistry.substances import SUBSTANCES, find
from labctl.errors import FindingsError, RefusedError, Severity
from labctl.plan import Plan, plan
from labctl.recipe.load import load_recipe
from labctl.recipe.steps.aliquot import Aliquot
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.branch import If
from labctl.recipe.steps.charge import Charge
from labctl.recipe.steps.degas import Degas
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.inject import Inject
from labctl.recipe.steps.prime import SPARE, Prime
from labctl.recipe.steps.repeat import Repeat
from labctl.recipe.steps.strip import Strip
from labctl.registry import bundled_rig
from labctl.rig.batch import load_batch
from labctl.rig.load import load_rig
from labctl.rig.model import LoadedRig

_LONGEST_S = 1000 * 31 * 86400.0  # a thousand rounds, the most a repeat may have, of 31 days
_TOLERANCE_ML = 1e-6
_FLASK_ML = 50.0
_GUARDED = {"limits.duration", "limits.heater", "doses.not_enough", "doses.beyond_syringe"}
_DENSITY = 2e-4  # a saturated stock is reckoned neat, within what its concentration is stated to

Ledger = dict[str, float]  # mL at 25 °C by substance


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case ended: accepted, refused by reading or by checking, or broken and by what."""

    ended: str
    broken: str = ""


def case(seed: int, damage: str, folder: Path) -> tuple[Path, Path]:
    """Write the recipe and the batch sheet of one case into a folder."""
    rng = np.random.default_rng([seed, list(DAMAGE).index(damage)])
    maker = Maker(rng)
    texts = [written(maker.recipe()), written(maker.batch())]
    hit = int(rng.random() < 0.2)
    paths = folder / "case.yaml", folder / "case.batch.yaml"
    for n, (path, text) in enumerate(zip(paths, texts, strict=True)):
        path.write_bytes(DAMAGE[damage](rng, text) if n == hit else text.encode())
    return paths


def outcome(recipe: Path, batch: Path) -> Outcome:
    """Put a case through reading, planning and checking, and judge what comes out."""
    try:
        planned = plan(load_recipe(recipe), _rig(), load_batch(batch))
        findings = check(planned)
    except RefusedError as error:
        badly = isinstance(error, FindingsError) and not all(f.line > 0 for f in error.findings)
        return Outcome("refused", "a finding without a place" if badly else "")
    except Exception:  # noqa: BLE001 - whatever it is, it is a defect
        return Outcome("traceback", traceback.format_exc().strip().splitlines()[-1])
    errors = {finding.rule for finding in findings if finding.severity is Severity.ERROR}
    found = list(_unbalanced(planned))
    # Random chemistry is dangerous: most plans are refused for that, and are judged all the same.
    if not errors & _GUARDED:
        found += [*_unbounded(planned), *_overdrawn(planned)]
    return Outcome("refused by the checker" if errors else "accepted", found[0] if found else "")


@cache
def _rig() -> LoadedRig:
    return load_rig(bundled_rig())


def _unbounded(planned: Plan) -> Iterator[str]:
    """Yield every wait of an accepted plan that has no bound, is negative or no number."""
    for row in planned.steps:
        for name, limit_s in (
            ("takes", row.estimate.duration_s),
            ("may take", row.estimate.timeout_s),
            *((key, value) for key, value in row.step if key in _DURATIONS),
        ):
            if isinstance(limit_s, float) and not 0 <= limit_s <= _LONGEST_S:
                yield f"{row.step.verb} {name} {limit_s:g} s"


_DURATIONS = {"for_", "timeout", "over", "within_s", "react", "isolate", "settle", "after", "grace"}


def _unbalanced(planned: Plan) -> Iterator[str]:
    """Yield every step after which the flask holds another volume than the doses leave."""
    ledger: Ledger = {}
    for row in planned.steps:
        if row.parent:
            continue
        ledger = _after(row.step, ledger, planned.scene)
        whole_ml, said_ml = math.fsum(ledger.values()), row.after.volume_ml()
        # What an aliquot leaves carries the error of all that was dosed before.
        if not math.isclose(whole_ml, said_ml, rel_tol=_DENSITY, abs_tol=_DENSITY * _FLASK_ML):
            yield f"after {row.step.verb} the plan holds {said_ml:g} mL, the doses {whole_ml:g} mL"
            return


def _after(step: Step, ledger: Ledger, scene: Scene) -> Ledger:
    """Return the ledger after a step, reckoned apart from the step's own effect."""
    if isinstance(step, Repeat):
        for _ in range(step.at_most):
            ledger = _through(step.steps, ledger, scene)
        return ledger
    if isinstance(step, If):
        branches = [_through(way, ledger, scene) for way in (step.then, step.otherwise)]
        return max(branches, key=lambda way: math.fsum(way.values()))
    for reagent, amount, volume in _doses(step):
        ledger = _dosed(ledger, reagent, scene.volume_ml(reagent, amount, volume), scene)
    if isinstance(step, Aliquot):
        whole_ml = math.fsum(ledger.values())
        left = 1 - step.volume / whole_ml if whole_ml > step.volume else 0.0
        return {name: ml * left for name, ml in ledger.items()}
    if isinstance(step, Degas):
        ledger = _made(ledger, step)
    gone = {find(name).name for name in _leaving(step)}
    return {name: ml for name, ml in ledger.items() if name not in gone}


def _through(steps: Sequence[Step], ledger: Ledger, scene: Scene) -> Ledger:
    for step in steps:
        ledger = _after(step, ledger, scene)
    return ledger


def _doses(step: Step) -> Iterator[tuple[str, float | None, float | None]]:
    if isinstance(step, Charge):
        yield step.reagent, step.amount, step.volume
    elif isinstance(step, HfTreat):
        yield step.reagent, step.amount, None
    elif isinstance(step, Inject):
        yield from ((part.reagent, part.amount, part.volume) for part in step.parts())


def _dosed(ledger: Ledger, reagent: str, volume_ml: float, scene: Scene) -> Ledger:
    """Add a dose; its parts are taken to fill exactly the volume dosed."""
    held = {
        name: mmol * SUBSTANCES[name].molar_volume_ml_mmol
        for name, mmol in scene.contents(reagent, volume_ml).items()
    }
    whole_ml = math.fsum(held.values())
    scale = volume_ml / whole_ml if whole_ml else 0.0
    return ledger | {name: ledger.get(name, 0.0) + ml * scale for name, ml in held.items()}


def _made(ledger: Ledger, step: Degas) -> Ledger:
    """Turn acetate and fatty acid into carboxylate, as far as the time and the heat let it come.

    What half of it takes: 5 min at 120 °C, with 90 kJ/mol, written out again.
    """
    halves = step.for_ / (300.0 * math.exp(10824.7 / (step.at + 273.15) - 10824.7 / 393.15))
    ledger = dict(ledger)
    for metal, acids in (("zinc", 2), ("indium", 3)):
        for acid, salt in (("oleic acid", "oleate"), ("stearic acid", "stearate")):
            rows = [SUBSTANCES[name] for name in (f"{metal} acetate", acid, f"{metal} {salt}")]
            acetate, free = (ledger.get(r.name, 0.0) / r.molar_volume_ml_mmol for r in rows[:2])
            taken = min(acetate * acids, free) * (1 - 0.5**halves)
            for row, mmol in zip(rows, (-taken / acids, -taken, taken / acids), strict=True):
                ml = ledger.get(row.name, 0.0) + mmol * row.molar_volume_ml_mmol
                ledger[row.name] = ml
    return ledger


def _leaving(step: Step) -> tuple[str, ...]:
    if isinstance(step, Strip):
        return (step.solvent,)
    if isinstance(step, Degas):
        return ("toluene", "acetone", "water", "octane", "acetic acid")
    return ("acetone", "water", "HF") if isinstance(step, HfTreat) else ()


def _overdrawn(planned: Plan) -> Iterator[str]:
    """Yield every reagent of which less is drawn than all doses and primings take."""
    used: Counter[str] = Counter()
    for stage in planned.recipe.all_stages:
        _count(stage.steps, 1, used, planned.scene)
    for reagent, used_ml in used.items():
        drawn_ml = planned.scene.loads[reagent].drawn_ml
        if used_ml > drawn_ml + _TOLERANCE_ML:
            yield f"{reagent}: {used_ml:g} mL are needed, {drawn_ml:g} mL drawn"


def _count(steps: Sequence[Step], times: int, used: Counter[str], scene: Scene) -> None:
    for step in steps:
        _count(step.children(), times * getattr(step, "at_most", 1), used, scene)
        if isinstance(step, Prime):
            for name in step.reagents:
                load = scene.loads[name]
                if load.pump:
                    used[name] += times * (SPARE * load.dead_ml + load.hold_up_ml)  # type: ignore[assignment]
        elif getattr(step, "by", None) != "hand":
            for reagent, amount, volume in _doses(step):
                load = scene.loads[reagent]
                if load.pump:
                    dose_ml = scene.volume_ml(reagent, amount, volume) / load.fraction
                    used[reagent] += times * dose_ml  # type: ignore[assignment]


def main() -> None:
    """Run the cases, print how they ended, exit 1 if anything broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    ended: Counter[tuple[str, str]] = Counter()
    broken: dict[str, list[str]] = {}
    order = np.random.default_rng(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.cases):
            damage = pick(order, list(DAMAGE))
            seed = asked.seed * 1_000_003 + number
            found = outcome(*case(seed, damage, Path(folder)))
            ended[damage, found.ended] += 1
            if found.broken:
                broken.setdefault(found.broken, []).append(f"{seed}/{damage}")
    _report(ended, broken, asked.cases)


def _report(ended: Counter[tuple[str, str]], broken: dict[str, list[str]], cases: int) -> None:
    ways = ("accepted", "refused by the checker", "refused", "traceback")
    print(f"{'damage':12}" + "".join(f"{way:>24}" for way in ways))
    for damage in DAMAGE:
        print(f"{damage:12}" + "".join(f"{ended[damage, way]:24}" for way in ways))
    for what, where in sorted(broken.items(), key=lambda row: -len(row[1])):
        print(f"BROKEN in {len(where)} cases, e.g. {where[0]}: {what}")
    print(f"{cases} cases, {sum(map(len, broken.values()))} broken")
    valid = sum(ended["none", way] for way in ways)
    if ended["none", "accepted"] + ended["none", "refused by the checker"] < valid / 2:
        raise SystemExit("fewer than half of the undamaged recipes are planned: nothing is tested")
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
