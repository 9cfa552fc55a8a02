import dataclasses
import datetime as dt
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import FindingsError
from labctl.outlook.sheet import drawn_ml, empty_fields, template
from labctl.prepare import Request, prepare
from labctl.rig.batch import load_batch
from labctl.source import compose

RECIPE = Path(__file__).parents[3] / "recipes/inp_zns_surface_initiated.yaml"
RECIPES = [
    path
    for path in sorted(RECIPE.parent.glob("*.yaml"))
    if path.with_name(f"{path.stem}.batch.yaml").exists()
]
TODAY = dt.date(2026, 2, 3)
ENTERED = {
    "sample": "YK-300",
    "operator": "YK",
    "second": "MT",
    "lot": "L-1",
    "made": "2026-02-03",
    "gate": "clean",
    "path": "0.25 mm",
    "O2": "0.3 ppm",
    "H2O": "0.2 ppm",
}
STRENGTH = {"NC": "48.0 umol/L", "ZN": "0.500 mol/L", "S": "2.17 mol/L", "HF": "3.50 mol/L"}


def filled(text, strengths=STRENGTH, scrubber="KOH"):
    """Enter what is left empty, as a person would."""
    lines, reagent = [], ""
    entered = {**ENTERED, "scrubber": scrubber}
    for read in text.splitlines():
        line = read
        if found := re.match(r"  (\w+):", line):
            reagent = found[1]
        for key, value in {**entered, "concentration": strengths.get(reagent, "")}.items():
            line = re.sub(rf"(?<![\w]){key}:(?= *(#|,|}}|$))", f"{key}: {value}", line)
        lines.append(line)
    return "\n".join(lines)


@pytest.fixture(params=["like the last", "from nothing"])
def written(request, paper_plan):
    like = paper_plan.batch.model if request.param == "like the last" else None
    return template(paper_plan.recipe, paper_plan.rig, like, TODAY)


def test_a_filled_sheet_loads_and_checks(written, paper_plan, tmp_path):
    path = tmp_path / "sheet.yaml"
    path.write_text(filled(written), encoding="utf-8")
    plan, findings = prepare(Request(RECIPE, None, path))
    assert [f for f in findings if not f.rule.startswith("due.")] == []
    assert plan.batch.model.date == dt.datetime(2026, 2, 3, 9, 0)
    loads = plan.batch.model.loads
    assert {name: row.pump for name, row in loads.items()} == {
        "SQ": "", "NC": "", "ZN": "pump_1", "S": "pump_2", "HF": "pump_3",
    }  # fmt: skip


def test_what_is_empty_is_refused_by_name_with_what_to_enter(written, tmp_path):
    path = tmp_path / "sheet.yaml"
    path.write_text(written, encoding="utf-8")
    with pytest.raises(FindingsError) as caught:
        load_batch(path)
    found = caught.value.findings
    assert {finding.rule for finding in found} == {"batch.empty"}
    names = [finding.message.partition(" is empty; enter ")[0] for finding in found]
    assert names == list(empty_fields(compose(written).tree))
    assert {"sample", "loads.NC.lot", "loads.NC.concentration", "loads.HF.made"} <= set(names)
    assert "e.g. YK-231" in found[0].message
    lines = written.splitlines()
    assert lines[found[0].line - 1][found[0].column - 1 :].startswith("sample:")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("older", [True, False], ids=["like the last", "from nothing"])
def test_every_shipped_recipe_gets_a_sheet_that_can_be_filled_in(recipe, older, tmp_path):
    plan, _ = prepare(Request(recipe))
    like = plan.batch.model if older else None
    path = tmp_path / "sheet.yaml"
    strengths = {
        name: f"{row.concentration} mol/L"
        for name, row in plan.batch.model.loads.items()
        if row.concentration is not None
    }
    written = template(plan.recipe, plan.rig, like, TODAY)
    accepted = plan.batch.model.accept
    for rule, row in accepted.items():
        assert f"{rule}: {{reason: {row.reason}" in written or not older
    again = dict.fromkeys(accepted, f"{{reason: r, by: MT, date: {TODAY}}}")
    told = ", ".join(f"{rule}: {said}" for rule, said in again.items())
    scrubber = plan.batch.model.scrubber
    text = filled(written.replace("accept: {}", f"accept: {{{told}}}"), strengths, scrubber)
    path.write_text(text, encoding="utf-8")
    planned, _ = prepare(Request(recipe, None, path))
    assert set(planned.batch.model.loads) == set(plan.recipe.head.reagents)


def test_lots_concentrations_and_dates_of_the_last_sheet_are_not_copied(paper_plan):
    last = paper_plan.batch.model
    text = template(paper_plan.recipe, paper_plan.rig, last, TODAY)
    said = "\n".join(line.partition("#")[0] for line in text.splitlines())
    for row in last.loads.values():
        assert row.lot not in said
        assert row.made is None or str(row.made) not in said
    for copied in ("operator: YK", "second: MT", "golden: YK-219", "drawn: 9.2 mL", "KOH"):
        assert copied in said
    assert "last ZN-0912" in text


def test_too_little_in_the_last_sheet_is_not_copied(paper_plan):
    last = paper_plan.batch.model
    short = last.loads["ZN"].model_copy(update={"drawn": 8.0})
    like = last.model_copy(update={"loads": {**last.loads, "ZN": short}})
    text = template(paper_plan.recipe, paper_plan.rig, like, TODAY)
    assert "drawn: 9.25 mL" in text


def test_a_volume_that_rests_on_an_unknown_concentration_is_not_written(paper_plan):
    text = template(paper_plan.recipe, paper_plan.rig, None, TODAY)
    assert "InP-OA 3.3 nm in toluene: the volume follows from its concentration" in text


def test_the_pump_kept_for_hf_takes_nothing_else(paper_plan):
    model = paper_plan.rig.model
    devices = {name: entry for name, entry in model.devices.items() if name != "pump_2"}
    fewer = model.model_copy(update={"devices": devices})
    rig = dataclasses.replace(paper_plan.rig, model=fewer)
    text = template(paper_plan.recipe, rig, None, TODAY)
    loads = compose(text).tree["loads"]
    assert [loads[name].get("pump", loads[name].get("by")) for name in ("ZN", "S", "HF")] == [
        "pump_1", "hand", "pump_3",
    ]  # fmt: skip


@given(st.floats(0.001, 20.0), st.sampled_from([1.0, 5.0, 10.0, 20.0]))
def test_enough_is_drawn_and_never_more_than_the_syringe_holds(needed_ml, syringe_ml):
    drawn = drawn_ml(needed_ml, syringe_ml)
    assert drawn <= syringe_ml
    if drawn < syringe_ml:
        assert drawn >= needed_ml + 0.1 - 1e-9
        assert math.isclose(drawn / 0.05, round(drawn / 0.05), abs_tol=1e-6)
