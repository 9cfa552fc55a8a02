"""No shipped recipe has an error on any rig, and each warning in one is explained in it."""

from pathlib import Path

import pytest

from labctl.errors import Severity
from labctl.prepare import Request, prepare
from labctl.recipe.steps.ask import Ask
from labctl.recipe.steps.confirm import Confirm

ROOT = Path(__file__).parents[3]
RECIPES = [
    path
    for path in sorted((ROOT / "recipes").rglob("*.yaml"))
    if path.name.count(".") == 1 and path.parent.name != "blocks"
]
RIGS = ["simulators/rig.yaml", "rigs/schlenk.yaml", "rigs/manual.yaml"]


@pytest.mark.parametrize("rig", RIGS)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_has_no_error(recipe, rig):
    prepare(Request(recipe, ROOT / rig))  # raises with every finding in its message


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_each_warning_is_explained_in_the_recipe(recipe):
    text = recipe.read_text(encoding="utf-8")
    _, findings = prepare(Request(recipe))
    warned = {f.rule for f in findings if f.severity is Severity.WARNING}
    assert {rule for rule in warned if rule not in text} == set()


NIGHT_S = 12 * 3600.0


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_what_is_measured_elsewhere_may_take_a_night_and_what_is_signed_last_hours(recipe):
    plan, _ = prepare(Request(recipe))
    steps = [planned.step for planned in plan.steps]
    patience_s = plan.recipe.head.problem.unanswered
    for step in steps:
        if isinstance(step, Ask) and any(word in step.for_ for word in ("NMR", "31P")):
            assert step.after is not None
            assert step.after >= NIGHT_S
    if isinstance(steps[-1], Confirm):
        assert (steps[-1].after or patience_s) >= 3600.0
