"""Whoever adds an instrument, a step, a check or a state owes what stands here."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

from labctl import capabilities
from labctl.check import RULES
from labctl.engine.machine import State, Trigger
from labctl.recipe.model import STEPS
from labctl.registry import catalog, load
from labctl.rig.devices import SHAPES

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
REFERENCE = ROOT / "docs/reference"
KINDS = sorted(catalog("drivers"))
CAPABILITY = {
    "heater": capabilities.TemperatureController,
    "stirrer": capabilities.Stirrer,
    "manifold": capabilities.RelayBoard,
    "pump": capabilities.SyringePump,
    "flask_gauge": capabilities.PressureGauge,
    "rough": capabilities.VacuumPump,
    "n2_flow": capabilities.MassFlowController,
    "absorbance": capabilities.Spectrometer,
    "pl": capabilities.Spectrometer,
    "excitation": capabilities.LightSource,
}
SHELVES = {"drivers", "simulators"}
DRIVER_API = {"framing", "transport", "capabilities", "readings", "units", "errors"}
SIMULATOR_API = {"framing", "twin", "chemistry", "capabilities", "readings", "units", "errors"}


def module_of(shelf, kind):
    return catalog(shelf)[kind].target.partition(":")[0]


def test_both_shelves_hold_the_same_kinds():
    assert set(catalog("drivers")) == set(catalog("simulators"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_says_what_it_is(kind):
    listing = catalog("drivers")[kind]
    assert listing.maker
    assert listing.model
    assert re.fullmatch(r"tcp|\d+ [78][NEO][12]", listing.line)
    assert listing.roles
    assert set(listing.roles[:1]) <= set(SHAPES), "the rig file has no shape for it"


@pytest.mark.parametrize("shelf", sorted(SHELVES))
@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_has_its_docstrings_and_its_test(shelf, kind):
    found = load(shelf, kind)
    module = importlib.import_module(found.__module__)
    assert inspect.getdoc(module)
    assert found.__doc__
    assert found.__module__ == module_of(shelf, kind)
    assert (TESTS / shelf / f"test_{found.__module__.partition('.')[2]}.py").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_has_its_page(kind):
    page = REFERENCE / "instruments" / f"{kind}.md"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert catalog("drivers")[kind].model.split()[0] in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_does_what_its_first_role_needs(kind):
    driver = load("drivers", kind)
    protocol = CAPABILITY[catalog("drivers")[kind].roles[0]]
    for base in protocol.__mro__:
        for name, asked in vars(base).items():
            if inspect.isfunction(asked) and not name.startswith("_"):
                offered = getattr(driver, name, None)
                assert offered is not None, f"{kind} has no {name}"
                assert inspect.iscoroutinefunction(offered) == inspect.iscoroutinefunction(asked)
                assert takes(offered) >= takes(asked), name


def takes(function):
    """The names of a function's parameters that a caller may rely on."""
    return {name for name in inspect.signature(function).parameters if name != "self"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_simulator_is_sans_io(kind):
    simulator = load("simulators", kind)
    assert takes(simulator.feed) == {"data", "t_ns"}
    assert takes(simulator.advance) == {"t_ns"}
    assert not inspect.iscoroutinefunction(simulator.feed)


@pytest.mark.parametrize("verb", list(STEPS))
def test_a_step_has_its_docstring_its_entry_and_a_recipe_that_uses_it(verb):
    step = STEPS[verb]
    assert step.__doc__
    assert inspect.getmodule(step).__doc__.startswith(f"`{verb}`:")
    assert f"\n### {verb}\n" in (REFERENCE / "recipe.md").read_text(encoding="utf-8")
    recipes = [*(ROOT / "recipes").rglob("*.yaml"), *(TESTS / "labctl/recipe").glob("*.py")]
    used = re.compile(rf"(?:- |\[){verb}:")
    assert any(used.search(path.read_text(encoding="utf-8")) for path in recipes)


@pytest.mark.parametrize("verb", list(STEPS))
def test_a_step_names_only_roles_that_a_rig_can_bind(verb):
    from_rig = importlib.import_module("labctl.rig.load").ROLES
    assert set(STEPS[verb].uses) <= set(from_rig)


@pytest.mark.parametrize("rule", list(RULES))
def test_a_rule_has_its_docstring_its_entry_and_its_test(rule):
    family, _, name = rule.partition(".")
    function = RULES[rule]
    assert function.__module__ == f"labctl.check.{family}"
    assert function.__name__ == name
    assert function.__doc__.startswith(f"`{rule}`: ")
    assert f"- `{rule}`:" in (REFERENCE / "checks.md").read_text(encoding="utf-8")
    tests = (path.read_text(encoding="utf-8") for path in (TESTS / "labctl/check").glob("*.py"))
    assert any(f'"{rule}"' in text for text in tests)


@pytest.mark.parametrize("word", [*State, *Trigger])
def test_states_and_triggers_are_single_words_and_documented(word):
    assert re.fullmatch(r"[a-z]+", word.value)
    assert f"`{word.value}`" in (REFERENCE / "states.md").read_text(encoding="utf-8")


def contracts():
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["tool"]["importlinter"]["contracts"]


@pytest.mark.parametrize(("shelf", "api"), [("drivers", DRIVER_API), ("simulators", SIMULATOR_API)])
def test_a_new_module_of_labctl_is_closed_to_the_shelves_until_decided(shelf, api):
    modules = {
        path.stem
        for path in (ROOT / "labctl").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    (contract,) = [
        contract
        for contract in contracts()
        if contract["type"] == "forbidden" and contract["source_modules"] == [shelf]
    ]
    forbidden = {name.removeprefix("labctl.") for name in contract["forbidden_modules"]}
    assert modules - forbidden - {"__init__"} == api


def test_only_the_registry_and_the_catalogs_spell_the_shelves():
    spelled = re.compile(r"^\s*(?:from|import) (?:drivers|simulators)\b", re.MULTILINE)
    for path in (ROOT / "labctl").rglob("*.py"):
        assert not spelled.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("shelf", ["labctl", *sorted(SHELVES)])
def test_no_file_outgrows_its_reader(shelf):
    for path in (ROOT / shelf).rglob("*.py"):
        assert path.read_text(encoding="utf-8").count("\n") <= 500, path
