"""What a case of a rule is: a recipe that works, one change that breaks it, and a near miss."""

from dataclasses import dataclass
from pathlib import Path

from labctl.check import check
from labctl.errors import Severity
from labctl.plan import plan
from labctl.recipe.load import recipe_of
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import rig_of
from labctl.source import compose, validate

ROOT = Path(__file__).parents[3]

STOCK = """\
labctl: recipe/1
name: a stock
needs: {vessel: 50 mL, max_T: 340 C}
reagents:
  A: {is: zinc acetate in oleic acid, concentration: 0.50 mol/L}
  ODE: {is: 1-octadecene}
  B: {is: TOP selenide saturated, concentration: 2.17 mol/L}
stages:
  only:
  - charge: {reagent: A, volume: 4 mL, by: hand}
  - charge: {reagent: ODE, volume: 10 mL, by: hand}
  - leak_test: {T_below: 40 C, pump_to: 100 mTorr, isolate: 5 min, rise_below: 20 mTorr/min}
  - degas: {at: 120 C, for: 30 min, below: 100 mTorr, timeout: 90 min}
  - backfill: {cycles: 1}
  - ramp: {to: 200 C, rate: 10 K/min, within: 2 K}
  - quench: {to: 60 C, by: [jack, fan]}
finally:
- backfill: {keep_N2_until: 40 C}
"""
STOCK_SHEET = """\
labctl: batch/1
sample: YK-240
operator: YK
vessel: flask50
scrubber: CuSO4
loads:
  A: {by: hand}
  ODE: {by: hand}
  B: {by: hand}
"""


@dataclass(frozen=True)
class Case:
    """Where to change what; `at` is the text a finding points to, `near` the change that passes.

    `also` is changed in the violation and in the near miss, `near_also` in the near miss only:
    (file, old, new) each.
    """

    rule: str
    base: str
    file: str
    old: str
    new: str
    at: str
    near: str
    says: str = ""
    severity: Severity = Severity.ERROR
    also: tuple[tuple[str, str, str], ...] = ()
    near_also: tuple[tuple[str, str, str], ...] = ()

    def violation(self):
        """The texts with the rule broken."""
        return changed(texts(self.base), (self.file, self.old, self.new), *self.also)

    def near_miss(self):
        """The texts just inside the rule."""
        change = (self.file, self.old, self.near)
        return changed(texts(self.base), change, *self.also, *self.near_also)


def texts(base):
    """The recipe, sheet and rig of a base: a shipped recipe's stem, or `stock`."""
    rig = (ROOT / "simulators/rig.yaml").read_text(encoding="utf-8")
    if base == "stock":
        return {"recipe": STOCK, "sheet": STOCK_SHEET, "rig": rig}
    recipe, sheet = (
        (ROOT / f"recipes/{base}{suffix}.yaml").read_text(encoding="utf-8")
        for suffix in ("", ".batch")
    )
    return {"recipe": recipe, "sheet": sheet, "rig": rig}


def changed(files, *changes):
    """The texts with each (file, old, new) applied once."""
    files = dict(files)
    for file, old, new in changes:
        assert old in files[file], f"{old!r} is not in the {file}"
        files[file] = files[file].replace(old, new, 1)
    return files


def planned(files):
    """The plan of three texts."""
    sheet = compose(files["sheet"], "sheet.yaml")
    batch = LoadedBatch(validate(Batch, sheet, ()), sheet)
    recipe = recipe_of(compose(files["recipe"], "recipe.yaml"), {})
    return plan(recipe, rig_of(compose(files["rig"], "rig.yaml")), batch)


def found(files):
    """What the checker says of three texts."""
    return check(planned(files))


def place_of(files, at):
    """File, line and column of the first text found in recipe, sheet or rig."""
    name, source = next((name, text) for name, text in files.items() if at in text)
    before = source[: source.index(at)]
    return f"{name}.yaml", before.count("\n") + 1, len(before) - before.rfind("\n")


def judge_violation(case):
    """Only that rule, at its place, with its severity and its words."""
    files = case.violation()
    told = [f for f in found(files) if f.severity is not Severity.NOTE]
    assert {finding.rule for finding in told} == {case.rule}, [str(f) for f in told]
    (first, *_) = told
    place = place_of(files, case.at)
    assert (first.file, first.line, first.column) == place, str(first)
    assert first.severity is case.severity
    assert case.says in first.message, first.message


def judge_near_miss(case):
    """Nothing that stops or warns."""
    told = [str(f) for f in found(case.near_miss()) if f.severity is not Severity.NOTE]
    assert told == []
