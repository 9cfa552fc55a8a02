"""The shutdown as a recipe: what is flushed with what, HF apart, the trap, and what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.check import check
from labctl.chemistry.flushing import rinse_of
from labctl.errors import ExitCode, UsageError
from labctl.outlook.shutdown import Used, shutdown_texts
from labctl.plan import plan
from labctl.recipe.load import recipe_of
from labctl.record import open_run
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import load_rig
from labctl.session import dry_run
from labctl.source import compose, validate

ROOT = Path(__file__).parents[3]
ZN = Used("ZN", "zinc oleate in ODE", "pump_1", "9.2 mL", 0.5, "80 C")
S = Used("S", "TOP sulfide saturated", "pump_2", "1.3 mL", 2.17)
HF = Used("HF", "HF in acetone", "pump_3", "0.5 mL", 3.5)
P = Used("P", "P(TMS)3 in TOP", "pump_2", "2 mL", 0.775)
ODE = Used("ODE", "1-octadecene")


@pytest.fixture(scope="module")
def rig():
    return load_rig(ROOT / "rigs/schlenk.yaml")


def planned(rig, used, people=("YK", "MT"), left=()):
    recipe, sheet = (compose(text, "t.yaml") for text in shutdown_texts(rig, used, people, left))
    batch = LoadedBatch(validate(Batch, sheet, ()), sheet)
    return plan(recipe_of(recipe, {}), rig, batch)


def flushed(rig, *used):
    (step,) = [p.step for p in planned(rig, used).steps if p.step.verb == "flush"]
    return step.lines


def signed(rig, *used, left=()):
    steps = [p.step for p in planned(rig, used, left=left).steps if p.step.verb == "confirm"]
    return [(step.who, item) for step in steps for item in step.list_]


def test_each_line_is_flushed_with_what_suits_its_reagent_into_a_bottle_that_may_take_it(rig):
    assert flushed(rig, ZN, S, HF) == {
        "ZN": ("3 times 1.5 mL toluene at 60 C into waste",),
        "S": ("3 times 1 mL toluene into waste",),
        "HF": ("3 times 1 mL acetone into hf_waste", "N2"),
    }


def test_p_tms_3_meets_no_acetone_no_water_and_no_alcohol_in_its_line(rig):
    assert flushed(rig, P) == {"P": ("3 times 1 mL dry ODE into waste",)}
    assert any("dry isopropanol in ODE" in item for _, item in signed(rig, P))


def test_the_table_agrees_with_what_the_paper_flushes_with():
    assert rinse_of(["indium oleate"]).solvent == "toluene"
    assert rinse_of(["TOP selenide", "TOP"]).solvent == "toluene"
    assert rinse_of(["HF", "water"]).solvent == "acetone"


def test_hf_waste_is_apart_in_plastic_and_signed_by_two(rig):
    rows = [item for who, item in signed(rig, HF) if who == "two people"]
    assert any("gluconate" in item for item in rows)
    assert any("nothing of it in glass" in item for item in rows)
    with pytest.raises(UsageError, match="--second"):
        shutdown_texts(rig, [HF], ["YK"])


def test_the_trap_is_warmed_vented_and_never_meets_air_cold(rig):
    rows = [item for _, item in signed(rig, ODE) if "trap" in item]
    assert any("no air went in while it held LN2" in item for item in rows)
    assert any("vented" in item and "never shut" in item for item in rows)


def test_what_is_left_is_signed_for_place_by_place(rig):
    left = ["syringe of pump_1: 0.86 mL of ZN; to oil waste"]
    assert ("operator", f"{left[0]}: done") in signed(rig, ZN, left=left)


def test_nothing_of_it_breaks_a_rule_of_the_checker(rig):
    assert [str(f) for f in check(planned(rig, [ZN, S, HF]))] == []


def test_it_ends_cold_with_heater_off_and_every_line_flushed(rig, tmp_path):
    result = dry_run(planned(rig, [ZN, S, HF]), runs=tmp_path)
    assert result.exit_code == ExitCode.COMPLETE
    with open_run(result.directory) as run:
        assert not [e.message for e in run.events if e.code == "left" and "line of" in e.message]
        assert [step.verb for step in run.steps][:2] == ["backfill", "flush"]


def test_a_rig_where_nothing_heats_has_no_shutdown(rig):
    cold = {name: v.model_copy(update={"mantle": 0.0}) for name, v in rig.model.vessels.items()}
    without = type(rig)(rig.model.model_copy(update={"vessels": cold}), rig.document)
    with pytest.raises(UsageError, match="no vessel with a mantle"):
        shutdown_texts(without, [ODE], ["YK"])
