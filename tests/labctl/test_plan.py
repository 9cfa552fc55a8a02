"""The paper's numbers for A16: volumes of every addition, and what the flask then holds."""

import math
from pathlib import Path

import pytest

from labctl.chemistry.flask import Atmosphere
from labctl.errors import FindingsError
from labctl.plan import plan
from labctl.recipe.load import recipe_of
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import load_rig
from labctl.source import compose, validate

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "recipes/inp_zns_surface_initiated.yaml").read_text(encoding="utf-8")
SHEET = (ROOT / "recipes/inp_zns_surface_initiated.batch.yaml").read_text(encoding="utf-8")
BY_HAND = (ROOT / "recipes/inp_zns_surface_initiated.manual.batch.yaml").read_text(encoding="utf-8")
RIG = load_rig(ROOT / "simulators/rig.yaml")
MANUAL = load_rig(ROOT / "rigs/manual.yaml")


def planned(recipe=RECIPE, sheet=SHEET, rig=RIG, **settings):
    document = compose(sheet, "sheet.yaml")
    batch = LoadedBatch(validate(Batch, document, ()), document)
    return plan(recipe_of(compose(recipe, "recipe.yaml"), settings), rig, batch)


def at(bound, name):
    return next(step for step in bound.steps if step.step.id == name)


def added_ml(bound, name):
    step = at(bound, name)
    return step.after.volume_ml() - step.before.volume_ml()


def dose_ml(bound, name):
    step = at(bound, name).step
    amount = getattr(step, "amount", None)
    return bound.scene.volume_ml(step.reagent, amount, getattr(step, "volume", None))


@pytest.mark.parametrize(
    ("name", "volume_ml"),
    [
        ("load.2", 10.0),  # squalane
        ("load.7", 4.4),  # 220 nmol at 50 umol/L
        ("zn1", 3.0),  # 1.5 mmol at 0.5 mol/L
        ("zn2", 5.0),  # 2.5 mmol
        ("hf", 0.1143),  # 0.4 mmol at 3.5 mol/L
    ],
)
def test_every_addition_has_the_papers_volume(name, volume_ml):
    assert dose_ml(planned(), name) == pytest.approx(volume_ml, rel=1e-3)


@pytest.mark.parametrize(("layers", "volume_ml"), [("1", 0.0737), ("2", 0.1843), ("4", 0.4608)])
def test_the_sulfide_follows_the_number_of_layers(layers, volume_ml):
    assert dose_ml(planned(layers=layers), "s") == pytest.approx(volume_ml, abs=5e-5)


@pytest.mark.parametrize(("name", "grows_ml"), [("load.2", 10.0), ("load.7", 4.4), ("zn1", 3.0)])
def test_the_flask_holds_what_was_added(name, grows_ml):
    assert added_ml(planned(), name) == pytest.approx(grows_ml, rel=5e-3)


def test_stripping_takes_the_toluene_off_again():
    assert added_ml(planned(), "degas.1") == pytest.approx(-4.4, rel=5e-3)


@pytest.mark.parametrize(("layers", "cold_ml"), [("1", 18.0), ("2", 18.1), ("4", 18.4)])
def test_the_flask_holds_the_papers_volume_before_the_last_ramp(layers, cold_ml):
    assert at(planned(layers=layers), "zn2").after.volume_ml() == pytest.approx(cold_ml, abs=0.1)


def test_the_liquid_fills_half_of_the_flask_when_hot():
    hottest = at(planned(), "stage3.3").after
    assert hottest.temperature_c == 320.0
    assert hottest.hot_volume_ml() == pytest.approx(23.6, abs=0.8)


@pytest.mark.parametrize(
    ("name", "celsius"),
    [("degas.2", 120), ("zn1", 200), ("hf", 120), ("stage2.2", 250), ("stage3.3", 320)],
)
def test_temperatures_follow_the_procedure(name, celsius):
    assert at(planned(), name).after.temperature_c == celsius


def test_the_atmosphere_is_inert_under_every_addition_after_the_first_vacuum():
    bound = planned()
    for name in ("load.7", "zn1", "hf", "s", "zn2"):
        assert at(bound, name).before.atmosphere is Atmosphere.INERT, name
    assert at(bound, "hf").after.atmosphere is Atmosphere.VACUUM


@pytest.mark.parametrize("rig", ["pumps", "by hand"])
@pytest.mark.parametrize("layers", ["1", "2", "4"])
def test_every_step_takes_a_finite_time_and_steps_follow_each_other(layers, rig):
    bound = planned(layers=layers)
    if rig == "by hand":
        bound = planned(sheet=BY_HAND, rig=MANUAL, layers=layers)
    ends_s = 0.0
    for step in bound.steps:
        assert step.start_s == pytest.approx(ends_s)
        assert 0 <= step.estimate.duration_s < math.inf, step.step.id
        assert step.estimate.timeout_s == 0 or step.estimate.timeout_s > step.estimate.duration_s
        ends_s += step.estimate.duration_s
    assert bound.total_s == pytest.approx(ends_s)
    assert 3 * 3600 < bound.total_s < 6 * 3600


def test_hands_are_needed_where_no_pump_is():
    with_pumps, by_hand = planned(), planned(sheet=BY_HAND, rig=MANUAL)
    assert at(with_pumps, "zn1").estimate.hands == ""
    assert at(by_hand, "zn1").estimate.hands == "inject ZN"
    assert at(by_hand, "hf.2").estimate.duration_s == 0.0


def test_a_typed_rate_bounds_the_heating():
    slow = at(planned(ramp="2 K/min"), "stage1.1").estimate.duration_s
    assert slow == pytest.approx(60 + 80 / 2 * 60)


def test_the_measured_concentration_of_the_sheet_counts():
    bound = planned(sheet=SHEET.replace("0.500 mol/L", "0.250 mol/L"))
    assert dose_ml(bound, "zn1") == pytest.approx(6.0)


BINDING = [
    # rule, file, text to replace, its replacement, where it points, what it says
    ("batch.not_loaded", "sheet", "  SQ: {lot: SQ-2217, by: hand}", "  SQ1: {lot: x, by: hand}",
     "loads:", "did you mean 'SQ1'"),
    ("batch.unknown_reagent", "sheet", "  SQ: {lot: SQ-2217, by: hand}",
     "  SQ: {by: hand}\n  TOP: {by: hand}", "TOP: {by", "'TOP' is no reagent"),
    ("batch.unknown_pump", "sheet", "pump: pump_3", "pump: pump_4", "pump_4",
     "no pump of schlenk-2"),
    ("batch.no_concentration", "sheet", "concentration: 50.0 umol/L, ", "", "NC: {", "of NC"),
    ("batch.concentration", "sheet", "concentration: 2.17 mol/L", "concentration: 5 mol/L", "S:  {",
     "cannot be 5 mol/L"),
    ("batch.unknown_vessel", "sheet", "vessel: flask50", "vessel: flask5", "flask5 ",
     "did you mean 'flask50'"),
    ("needs.vessel", "sheet", "vessel: flask50 ", "vessel: flask100", "flask100",
     "needs a vessel of 50"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "file", "old", "new", "at_", "says"), BINDING, ids=[row[0] for row in BINDING]
)
def test_names_that_do_not_meet_are_refused_where_they_stand(rule, file, old, new, at_, says):
    assert old in SHEET
    text = SHEET.replace(old, new, 1)
    with pytest.raises(FindingsError) as caught:
        planned(sheet=text)
    (finding, *_) = [f for f in caught.value.findings if f.rule == rule]
    before = text[: text.index(at_)]
    assert finding.file == f"{file}.yaml"
    assert finding.line == before.count("\n") + 1
    assert finding.column == len(before) - before.rfind("\n")
    assert says in finding.message


def without_roles(*roles):
    kept = {role: bound for role, bound in RIG.model.roles.items() if role not in roles}
    return type(RIG)(RIG.model.model_copy(update={"roles": kept}), RIG.document)


@pytest.mark.parametrize(
    ("roles", "rule", "says"),
    [
        (["stirrer"], "needs.role", "stir needs the role 'stirrer'"),
        (["fan"], "needs.role", "ramp needs the role 'fan'"),
        (["pl"], "needs.in_loop", "has no pl"),
    ],
)
def test_a_rig_that_lacks_a_role_is_told_what_for(roles, rule, says):
    with pytest.raises(FindingsError) as caught:
        planned(rig=without_roles(*roles))
    (finding,) = caught.value.findings
    assert finding.rule == rule
    assert finding.file == "recipe.yaml"
    assert says in finding.message


def test_a_jack_can_be_done_without():
    assert planned(rig=without_roles("jack")).steps


def test_pumps_are_counted_where_nobody_injects():
    every_pump = SHEET.replace("by: hand", "pump: pump_1, drawn: 5 mL")
    asks_nine = RECIPE.replace("pumps: 3", "pumps: 9")
    with pytest.raises(FindingsError) as caught:
        planned(asks_nine, every_pump, without_roles("operator"))
    (finding,) = [found for found in caught.value.findings if found.rule == "needs.pumps"]
    assert "9 pumps are needed" in finding.message
    assert planned(asks_nine, every_pump).steps  # somebody is there to inject
