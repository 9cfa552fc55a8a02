"""No shipped recipe has an error on any rig, and each warning in one is explained in it."""

from pathlib import Path

import pytest

from labctl.errors import Severity
from labctl.prepare import Request, prepare

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
