import functools
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from labctl.recipe.model import STEPS
from labctl.schemas import definition, device_shapes, json_schema, spellings
from labctl.source import compose, read
from labctl.units import UNITS, parse, spelling

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes/inp_zns_surface_initiated.yaml"
RIG = ROOT / "simulators/rig.yaml"
SHEET = ROOT / "recipes/inp_zns_surface_initiated.batch.yaml"
RECIPES = [
    path
    for path in sorted((ROOT / "recipes").rglob("*.yaml"))
    if not path.name.endswith((".batch.yaml", ".expect.yaml"))
]
SHIPPED = [
    *((path, "block" if path.parent.name == "blocks" else "recipe") for path in RECIPES),
    *((path, "rig") for path in [RIG, *sorted((ROOT / "rigs").glob("*.yaml"))]),
    *((path, "batch") for path in sorted((ROOT / "recipes").rglob("*.batch.yaml"))),
]


@functools.cache
def validator(kind):
    return jsonschema.Draft202012Validator(json_schema(kind))


def faults(kind, text):
    return list(validator(kind).iter_errors(compose(text).tree))


def faults_after(kind, path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, old
    return faults(kind, text.replace(old, new, 1))


@pytest.mark.parametrize("kind", ["recipe", "block", "rig", "batch"])
def test_is_itself_a_valid_schema(kind):
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))
    assert json.loads(json.dumps(json_schema(kind))) == json_schema(kind)


@pytest.mark.parametrize(("path", "kind"), SHIPPED, ids=lambda value: getattr(value, "name", value))
def test_shipped_files_fit_as_labctl_reads_them(path, kind):
    tree = read(path).tree
    assert [*validator(kind).iter_errors(tree)] == []


@pytest.mark.parametrize(("path", "kind"), SHIPPED, ids=lambda value: getattr(value, "name", value))
def test_shipped_files_fit_as_an_editor_types_them(path, kind):
    typed = yaml.safe_load(path.read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(typed, default=str))
    assert [*validator(kind).iter_errors(plain)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stir: 600 rpm", "stir: 600"),
        ("stir: 600 rpm", "stir: 600 mL"),
        ("stir: 600 rpm", "stirr: 600 rpm"),
        ("to: 200 C", "to: hot"),
        ("to: 200 C", "too: 200 C"),
        ("cycles: 3", "cycles: three"),
        ("timeout: 90 min}", "time: 90 min}"),
        ("by: [jack, fan]", "by: [jack, water]"),
        ("default: park", "fallback: park"),
        ("solvent: toluene, ", ""),
        ("max_T: 325 C", "max_T: $ramp"),
        ("one_of: [1, 2, 4], default: 2", "one_of: [1, 2, 4]"),
        ("  - backfill: {cycles: 3}", "  - backfill: {cycles: 3}\n    stir: 600 rpm"),
        ("[toluene at 60 C]", "toluene at 60 C"),
        ("{is: squalane}", "{was: squalane}"),
    ],
)
def test_a_broken_recipe_does_not_fit(old, new):
    assert faults_after("recipe", RECIPE, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stir: 600 rpm", "stir: {speed: 600 rpm}"),
        ("stir: 600 rpm", "stir: $speed"),
        ("to: 200 C", "to: 200 degC"),
        ("to: 200 C", "to: 200°C"),
        ("to: 200 C", "to: $add_T"),
        ("for: $hf_vac", "for: 1.5 h"),
        ("rate: $ramp", "rate: 10 C/min"),
        ("volume: 50 uL", "volume: 50 \u03bcL"),
        ("cycles: 3", "cycles: $n"),
    ],
)
def test_what_labctl_takes_fits(old, new):
    assert not faults_after("recipe", RECIPE, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: newera_ne1000", "kind: newera_ne100"),
        ("bore: 14.57 mm", "bore: 14.57"),
        ("unit: 10,", "unit: ten,"),
        ("trust: 0.1 mbar .. 1100 mbar", "trust: 0.1 mbar"),
        ("kind: ika_rct, port: stir, limits", "kind: ika_rct, port: stir, limit"),
        ("severity: trip,", "severity: stop,"),
        ("tested: 2025-09-30", "tested: last week"),
        ("format: 7E1", "format: 7X1"),
    ],
)
def test_a_broken_rig_does_not_fit(old, new):
    assert faults_after("rig", RIG, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("date: 2025-11-03 09:00", "date: today"),
        ("sample: YK-231", "sampel: YK-231"),
        ("drawn: 9.2 mL", "drawn: 9.2"),
        ("O2: 0.3 ppm", "O2: 0.3 %"),
        ("lot: SQ-2217, by: hand", "lot: SQ-2217, by: foot"),
    ],
)
def test_a_broken_sheet_does_not_fit(old, new):
    assert faults_after("batch", SHEET, old, new)


def test_a_format_that_yaml_1_2_takes_for_a_number_fits():
    port = definition(json_schema("rig"), "PortEntry")["properties"]["format"]
    fits = jsonschema.Draft202012Validator(port).is_valid
    assert fits("7E1")
    assert fits(70.0)
    assert not fits("7X1")


def test_every_verb_and_every_kind_is_offered():
    verbs = definition(json_schema("recipe"), "Step")["properties"]
    assert list(verbs) == [*STEPS, "use"]
    kinds = json_schema("rig")["properties"]["devices"]["additionalProperties"]["properties"]
    assert kinds["kind"]["enum"] == [*device_shapes()]
    assert "operator" in device_shapes()


def test_what_a_verb_does_stands_in_the_schema():
    said = definition(json_schema("recipe"), "Degas")["description"]
    assert said.startswith("Degas: ends when `for`")


def test_defaults_are_written_as_an_author_would():
    ramp = definition(json_schema("recipe"), "Ramp")["properties"]
    assert ramp["within"]["default"] == "2 K"
    wait = definition(json_schema("recipe"), "WaitUntil")["properties"]
    assert wait["tau_max"]["default"] == "25 min"
    assert wait["alpha"]["default"] == pytest.approx(1e-3)


@pytest.mark.parametrize("dimension", sorted({row.dimension for row in UNITS.values()}))
def test_every_spelling_is_one_that_labctl_reads(dimension):
    for unit in spellings(dimension):
        assert parse(f"1 {unit}", dimension).value == parse(f"1 {spelling(unit)}", dimension).value


def test_both_micro_signs_and_the_letter_are_spelled():
    assert {"µL", "\u03bcL", "uL", "ul"} <= set(spellings("volume"))


def keys(kind):
    """Every key that a kind of file may hold: the mapping, the key, and what the schema says."""
    schema = json_schema(kind)
    for mapping, part in [(kind, schema), *schema["$defs"].items()]:
        for key, value in part.get("properties", {}).items():
            yield mapping, key, value


ALL_KEYS = [
    pytest.param(value, id=f"{mapping}.{key}")
    for kind in ("recipe", "block", "rig", "batch")
    for mapping, key, value in keys(kind)
]


@pytest.mark.parametrize("value", ALL_KEYS)
def test_every_key_says_what_it_means_with_an_example(value):
    said = value.get("description", "")
    assert said, "say it in labctl/assets/schema/keys.yaml"
    chosen = {"enum", "const", "$ref", "anyOf"} & set(value)
    steps = value.get("items", {}).get("$ref", "").endswith(("Step", "Interlock"))
    assert chosen or steps or "enum" in value.get("items", {}) or "e.g. " in said, said


@pytest.mark.parametrize("value", [case for case in ALL_KEYS if "examples" in case.values[0]])
def test_every_quantity_says_what_it_is_and_shows_its_unit(value):
    example = value["examples"][0]
    meaning, _, written = value["description"].rpartition("; ")
    assert meaning, "say it in labctl/assets/schema/keys.yaml"
    assert example in written
    assert re.fullmatch(value["pattern"], example)


def test_nothing_is_told_of_keys_that_do_not_exist():
    told = read(ROOT / "labctl/assets/schema/keys.yaml").tree
    known = {}
    for kind in ("recipe", "block", "rig", "batch"):
        for mapping, key, _ in keys(kind):
            known.setdefault(mapping, set()).add(key)
    known["any"] = set().union(*known.values())
    for mapping, rows in told.items():
        assert set(rows) <= known[mapping], mapping


def test_a_meaning_goes_before_how_the_value_is_written():
    ramp = definition(json_schema("recipe"), "Ramp")["properties"]
    assert ramp["to"]["description"] == "where the flask goes; a temperature, e.g. 120 °C"
    steps = definition(json_schema("recipe"), "Step")["properties"]
    assert steps["ramp"]["description"].startswith("Ramp the flask; `learn: peak per K`")
