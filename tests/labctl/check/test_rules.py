"""Every rule: one change that only it refuses, with its place, and a near miss that passes."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from labctl.check import RULES, check
from labctl.check.people import FEWEST, STEADY_S
from labctl.engine import aiming
from labctl.errors import Severity
from labctl.plan import plan
from labctl.recipe.load import recipe_of
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import load_rig, rig_of
from labctl.source import compose, validate
from labctl.spectroscopy import saturation
from tests.labctl.check.test_failing import CASES as FAILING
from tests.labctl.check.test_hf_and_heat import CASES as HF_AND_HEAT
from tests.labctl.check.test_interlocks import CASES as INTERLOCKS
from tests.labctl.check.test_lines_and_order import CASES as LINES_AND_ORDER
from tests.labctl.check.test_vacuum_and_gas import CASES as VACUUM_AND_GAS

ROOT = Path(__file__).parents[3]
SHIPPED = {
    "recipe": (ROOT / "recipes/inp_zns_surface_initiated.yaml").read_text(encoding="utf-8"),
    "sheet": (ROOT / "recipes/inp_zns_surface_initiated.batch.yaml").read_text(encoding="utf-8"),
    "rig": (ROOT / "simulators/rig.yaml").read_text(encoding="utf-8"),
}
FAMILIES = (VACUUM_AND_GAS, HF_AND_HEAT, LINES_AND_ORDER, INTERLOCKS, FAILING)
MANUAL = load_rig(ROOT / "rigs/manual.yaml")


@dataclass(frozen=True)
class Case:
    """Where to change what; `at` is the text a finding points to, `near` the change that passes."""

    rule: str
    file: str
    old: str
    new: str
    at: str
    near: str
    says: str = ""
    severity: Severity = Severity.ERROR


CASES = [
    Case("limits.temperature", "recipe", "to: 320 C", "to: 346 C", "346 C", "to: 340 C",
         "ramp.to is 346 \u00b0C; the most allowed on schlenk-2 is 345 \u00b0C"),
    Case("limits.needs", "recipe", "max_T: 325 C", "max_T: 346 C", "346 C", "max_T: 345 C",
         "the recipe needs 346 \u00b0C"),
    Case("limits.heater", "rig", "power: 85 %", "power: 50 %", "ramp: {to: 320", "power: 84 %",
         "cannot be reached"),
    Case("vessel.fill_high", "recipe", "SQ, volume: 10 mL", "SQ, volume: 16 mL",
         "inject: {id: zn2", "SQ, volume: 11 mL", "the most allowed in flask50 is 25 mL"),
    Case("limits.duration", "recipe", "ramp: {to: 320 C, rate: $ramp",
         "ramp: {to: 320 C, rate: 1e-5 K/min", "ramp: {to: 320 C",
         "ramp: {to: 320 C, rate: 5 K/min", "would take"),
    Case("vessel.aliquot", "recipe", "aliquot: {volume: 100 uL", "aliquot: {volume: 30 mL",
         "30 mL, by: hand, label: final", "aliquot: {volume: 15 mL", "aliquot final takes 30 mL"),
    Case("vessel.glass", "rig", "mantle: 80 W, empty_heat_capacity: 30 J/K,", "mantle: 80 W,",
         "{is: 3-neck RBF, volume: 50 mL", "mantle: 80 W, empty_heat_capacity: 31 J/K,",
         "flask50 gives no `empty_heat_capacity`; 30 J/K are taken", Severity.NOTE),
    Case("doses.beyond_syringe", "sheet", "drawn: 9.2 mL", "drawn: 10.5 mL", "10.5 mL",
         "drawn: 9.9 mL", "10 mL syringe of pump_1"),
    Case("doses.not_enough", "sheet", "drawn: 9.2 mL", "drawn: 8.2 mL", "8.2 mL", "drawn: 8.6 mL",
         "ZN: 8.2 mL are drawn"),
    Case("doses.rate", "recipe", "$s_dose, over: 60 s", "$s_dose, over: 1 s", "$s_dose",
         "$s_dose, over: 10 s", "is outside what pump_2 can do"),
    Case("order.reference", "recipe", "- reference: {of: absorbance, in: flask}", "- stir: 600 rpm",
         "charge: {reagent: NC", "- reference: {of: absorbance}", "before the lamp's reference"),
    Case("order.prime", "recipe", "prime: {reagents: [ZN, S],", "prime: {reagents: [S],",
         "inject: {id: zn1", "prime: {reagents: [S, ZN],", "the line of ZN is dry",
         Severity.WARNING),
    Case("order.vacuum_after_hf", "recipe", "{value: 30 min, why: as", "{value: 29 min, why: as",
         "hf_treat:", "{value: 31 min, why: as", "30 min after HF", Severity.WARNING),
    Case("people.unattended", "sheet", "2025-11-03 09:00", "2025-11-03 16:00", "stage3:     ",
         "2025-11-03 10:00", "stage stage3 needs people", Severity.WARNING),
    Case("people.hf_alone", "sheet", "second: MT ", "# ", "operator: YK", "second: AB ",
         "needs a `second` person"),
    Case("people.hf_alone", "recipe", "{for: HF, who: two people", "{for: HF, who: operator",
         "prime: {reagents: [HF]", "{for: HF, who: two people", "two people"),
    Case("due.calibration", "rig", "done: 2025-09-30, due: 2026-03-30}}\n  warm",
         "done: 2025-05-02, due: 2025-11-02}}\n  warm", "2025-11-02}}\n  warm",
         "done: 2025-05-03, due: 2025-11-03}}\n  warm",
         "heater: its calibration was due on 2025-11-02; today is 2025-11-03", Severity.WARNING),
    Case("due.cutout", "rig", "tested: 2025-10-20, every: 30 d", "tested: 2025-10-03, every: 30 d",
         "2025-10-03, every", "tested: 2025-10-04, every: 30 d",
         "cut-out estop (button on the hood frame) was last tested on 2025-10-03",
         Severity.WARNING),
]  # fmt: skip


def findings(**changed):
    texts = {**SHIPPED, **changed}
    sheet = compose(texts["sheet"], "sheet.yaml")
    batch = LoadedBatch(validate(Batch, sheet, ()), sheet)
    rig = changed["on"] if "on" in changed else rig_of(compose(texts["rig"], "rig.yaml"))
    return check(plan(recipe_of(compose(texts["recipe"], "recipe.yaml"), {}), rig, batch))


def replaced(case, new):
    text = SHIPPED[case.file]
    assert case.old in text
    return text.replace(case.old, new, 1)


def test_the_shipped_recipe_breaks_no_rule():
    assert findings() == []


def test_every_rule_has_its_violation():
    own = {"people.by_hand", "people.slow_aliquots", "order.pl_not_the_end"}
    elsewhere = {case.rule for family in FAMILIES for case in family}
    assert {case.rule for case in CASES} | own | elsewhere == set(RULES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.file}")
def test_a_violation_is_found_where_it_stands_and_nothing_else(case):
    texts = {**SHIPPED, case.file: replaced(case, case.new)}
    found = findings(**{case.file: texts[case.file]})
    assert {finding.rule for finding in found} == {case.rule}, [str(f) for f in found]
    (first, *_) = found
    source = next(text for text in texts.values() if case.at in text)
    before = source[: source.index(case.at)]
    place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert (first.line, first.column) == place, str(first)
    assert first.severity is case.severity
    assert case.says in first.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.file}")
def test_a_near_miss_passes(case):
    assert findings(**{case.file: replaced(case, case.near)}) == []


def test_a_sheet_with_pumps_on_a_rig_without_any_is_told_that_hands_do_it():
    found = findings(on=MANUAL)
    assert {(finding.rule, finding.severity) for finding in found} == {
        ("people.by_hand", Severity.WARNING)
    }
    assert [finding.line for finding in found] == [
        n for n, line in enumerate(SHIPPED["sheet"].splitlines(), 1) if "pump: pump_" in line
    ]


@pytest.mark.parametrize(("at_c", "warned"), [(200, True), (250, False)])
def test_pl_is_no_end_to_wait_for_with_selenide_at_200(at_c, warned):
    recipe, sheet = (
        (ROOT / f"recipes/inp_znse_200c{suffix}.yaml").read_text(encoding="utf-8")
        for suffix in ("", ".batch")
    )
    asked = recipe.replace("saturated: peak, since", "saturated: peak, also_flat: pl, since")
    asked = asked.replace("ramp: {to: 200 C", f"ramp: {{to: {at_c} C").replace("205 C", "255 C")
    rules = {(f.rule, f.severity) for f in findings(recipe=asked, sheet=sheet)}
    fill = ("vessel.fill_low", Severity.NOTE)
    drop = ("fluidics.hanging_drop", Severity.WARNING)
    pl = ("order.pl_not_the_end", Severity.WARNING)
    assert rules == ({fill, drop, pl} if warned else {fill, drop})
    shipped = {found.rule for found in findings(recipe=recipe, sheet=sheet)}
    assert shipped == {"vessel.fill_low", "fluidics.hanging_drop"}, "it waits for the peak"


def test_hands_on_a_rig_without_pumps_need_no_telling():
    sheet = ROOT / "recipes/inp_zns_surface_initiated.manual.batch.yaml"
    assert findings(on=MANUAL, sheet=sheet.read_text(encoding="utf-8")) == []


WAITS = (
    "  - wait_until: {%s, on_timeout: continue}\n  - aliquot: {volume: 50 uL, by: hand, label: st"
)
SATURATED = "saturated: peak, since: before_s"
SLOW = [
    (f"{SATURATED}, timeout: 19 min", f"{SATURATED}, timeout: 20 min"),
    ("reaches: peak >= 582 nm, timeout: 9 min", "reaches: peak >= 582 nm, timeout: 10 min"),
    ("steady: peak, timeout: 60 min", "steady: peak, timeout: 60 min"),
]


@pytest.mark.parametrize(("slow", "near"), SLOW)
def test_a_wait_that_too_few_aliquots_can_end_in_time_is_told(slow, near):
    sheet = ROOT / "recipes/inp_zns_surface_initiated.manual.batch.yaml"
    sheet = sheet.read_text(encoding="utf-8")
    rig = (ROOT / "rigs/manual.yaml").read_text(encoding="utf-8")
    often = rig_of(compose(rig.replace("every: 5 min", "every: 24 s"), "rig.yaml"))
    end = WAITS.partition("\n")[2]

    def asked(goal):
        return SHIPPED["recipe"].replace(end, WAITS % goal)

    (found,) = findings(on=MANUAL, recipe=asked(slow), sheet=sheet)
    assert (found.rule, found.severity) == ("people.slow_aliquots", Severity.WARNING)
    line = next(n for n, text in enumerate(asked(slow).splitlines(), 1) if slow in text)
    assert (found.line, found.column) == (line, 5)
    assert "it will time out" in found.message
    assert findings(on=often if slow == near else MANUAL, recipe=asked(near), sheet=sheet) == []


def test_as_many_aliquots_are_asked_for_as_the_decisions_take():
    assert FEWEST == {
        "saturated": saturation.FEWEST_SPARSE,
        "reaches": aiming.LEVEL_SAMPLES,
        "steady": aiming.STEADY_MIN_POINTS,
    }
    assert aiming.STEADY_WINDOW_S == STEADY_S


def test_what_somebody_accepts_becomes_a_note_with_the_name():
    accept = "accept: {order.vacuum_after_hf: {reason: a control, by: MT, date: 2025-11-03}}"
    (case,) = [case for case in CASES if case.rule == "order.vacuum_after_hf"]
    sheet = SHIPPED["sheet"].replace("accept: {}", accept)
    (note,) = findings(recipe=replaced(case, case.new), sheet=sheet)
    assert note.severity is Severity.NOTE
    assert note.message.endswith("(accepted by MT on 2025-11-03: a control)")


def test_the_doses_of_every_round_are_counted():
    lines = SHIPPED["recipe"].splitlines()
    (zinc,) = (line.strip() for line in lines if "inject: {id: zn2" in line)
    round_ = zinc.replace("2.5 mmol", "0.5 mmol").removeprefix("- ")

    def found(rounds):
        step = f"- repeat: {{until: flask.T > 400 C, at_most: {rounds}, steps: [{round_}]}}"
        recipe = SHIPPED["recipe"].replace(zinc, step)
        return [f.rule for f in findings(recipe=recipe) if f.rule == "doses.not_enough"]

    assert found(5) == []
    assert found(7) == ["doses.not_enough"]


def test_a_dose_beyond_the_syringe_is_found_by_the_dose_too():
    recipe = SHIPPED["recipe"].replace("ZN, amount: 2.5 mmol", "ZN, amount: 6 mmol")
    found = [f for f in findings(recipe=recipe) if f.rule == "doses.beyond_syringe"]
    assert [f.file for f in found] == ["recipe.yaml"]
    assert found[0].message.startswith("zn2: 12.1 mL of ZN do not fit")
