"""Random recipes, whole and damaged: refused or accepted, never wrong.

Few examples here; `python -m benchmarks.recipe_fuzz --cases 10000` draws many.
"""

import pytest

from benchmarks.recipe_fuzz import case, outcome
from benchmarks.recipe_making import DAMAGE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("damage", DAMAGE)
def test_no_recipe_is_taken_wrongly(damage, folder):
    broken = {seed: outcome(*case(seed, damage, folder)).broken for seed in range(60)}
    assert {seed: why for seed, why in broken.items() if why} == {}


def test_recipes_as_made_are_planned_and_some_are_safe(folder):
    ended = [outcome(*case(seed, "none", folder)).ended for seed in range(40)]
    assert "refused" not in ended
    assert ended.count("accepted") > 0


SHORT = """\
labctl: recipe/1
name: as short as it gets
needs: {vessel: 50 mL, max_T: 325 C}
reagents: {SQ: {is: squalane}, S: {is: TOP sulfide saturated, concentration: 2.17 mol/L}}
stages:
  only:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
"""
SHEET = """\
labctl: batch/1
sample: F-1
operator: A
vessel: flask50
loads: {SQ: {by: hand}, S: {pump: pump_2, drawn: 0.5 mL}}
"""


@pytest.mark.parametrize(
    ("step", "ended"),
    [
        ("hold: 5 min", "accepted"),
        ("hold: 1e400 h", "refused"),
        ("hold: 40 d", "refused"),
        ("hold: -5 min", "refused"),
        ("ramp: {to: 100 C, rate: 1e-300 K/min}", "refused by the checker"),
        ("inject: {reagent: S, volume: -1 mL, over: 1 min}", "refused"),
        ("aliquot: {volume: 11 mL, by: hand, label: all, into: vial}", "refused by the checker"),
        ("repeat: {until: flask.T > 60 C, at_most: 9, steps: "
         "[inject: {reagent: S, volume: 0.1 mL, over: 1 min}]}", "refused by the checker"),
    ],
)  # fmt: skip
def test_what_the_fuzzer_found(folder, step, ended):
    recipe, batch = folder / "short.yaml", folder / "short.batch.yaml"
    recipe.write_text(f"{SHORT}  - {step}\n", encoding="utf-8")
    batch.write_text(SHEET, encoding="utf-8")
    found = outcome(recipe, batch)
    assert (found.ended, found.broken) == (ended, "")
