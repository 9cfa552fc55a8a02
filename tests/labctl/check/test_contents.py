"""What a reagent contains counts, not the verb that gives it: each way of giving HF and P(TMS)3."""

import pytest

from labctl.errors import Severity
from tests.labctl.check.cases import (
    Case,
    changed,
    judge_near_miss,
    judge_violation,
    planned,
    texts,
)

W = Severity.WARNING
CORES = "inp_cores_2p4"
SIGNED = "  - confirm: {for: ACID, who: two people, list: [gluconate gel in date]}\n"
ALONE = SIGNED.replace("two people", "operator")
OTHER = SIGNED.replace("for: ACID", "for: B")
END = "  - quench"
REAGENT = (
    ("recipe", "  B: {is", "  ACID: {is: HF in acetone, concentration: 3.5 mol/L}\n  B: {is"),
    ("sheet", "  B: {by", "  ACID: {by: hand}\n  B: {by"),
    ("sheet", "operator: YK", "operator: YK\nsecond: MT"),
    ("sheet", "scrubber: CuSO4", "scrubber: KOH, CuSO4"),
    ("recipe", "ramp: {to: 200 C", "ramp: {to: 60 C"),
)
COOL = (*REAGENT[:-1], ("recipe", "ramp: {to: 200 C", "ramp: {to: 30 C"))
BY_PUMP = (*REAGENT[:1], ("sheet", "  B: {by", "  ACID: {pump: pump_3, drawn: 1.0 mL}\n  B: {by"),
           *REAGENT[2:])  # fmt: skip
ACCEPTED = ("sheet", "loads:", "accept:\n  %s: {reason: a series, by: MT, "
            "date: 2025-11-04}\nloads:")  # fmt: skip
ACID_IN_CORES = (
    ("recipe", "  ODE: {is", "  OA: {is: oleic acid}\n  ODE: {is"),
    ("sheet", "  ODE: {lot", "  OA: {by: hand}\n  ODE: {lot"),
)
LATE = "  - inject: {reagent: %s, volume: 1 mL, within: 10 min}\n"
HEAT = "  - ramp: {to: 260 C"
INJECT = "  - inject: {reagent: ACID, volume: 20 uL, within: 1 min}\n"
TOGETHER = (
    "  - inject: {together: [{reagent: ODE, volume: 1 mL}, {reagent: ACID, volume: 20 uL}], "
    "within: 1 min}\n"
)
CHARGE = "  - charge: {reagent: ACID, volume: 20 uL, by: hand}\n"
PRIME = "  - prime: {reagents: [ACID], into: hf_waste}\n"
AGAIN = "  - repeat: {until: flask.T > 300 C, at_most: %d, steps: [%s]}\n"
ROUND = "inject: {reagent: ACID, volume: 20 uL, within: 1 min}"
IF = "  - if: {when: flask.T > 50 C, then: [%s], otherwise: [%s]}\n"
CONFIRM = SIGNED.strip().removeprefix("- ")
SE = "  - inject: {reagent: B, volume: 0.1 mL, within: 1 min}\n"
PUMP = "  - degas: {at: 30 C, for: 30 min, below: 100 mTorr, timeout: 90 min}\n"
BOTH = (
    "  - inject: {together: [{reagent: ACID, volume: 20 uL}, {reagent: B, volume: 0.1 mL}], "
    "within: 1 min}\n"
)


def accepted(rule):
    """The sheet's accept of one rule."""
    file, old, new = ACCEPTED
    return file, old, new % rule


def alone(steps, at, near=None, also=REAGENT):
    """HF on no signature, and on that of two people."""
    return Case("people.hf_alone", "stock", "recipe", END, ALONE + steps + END, at,
                (SIGNED + steps if near is None else near) + END,
                "ACID needs a `confirm` by two people", also=also)  # fmt: skip


CASES = [
    alone(INJECT, "inject:"),
    alone(TOGETHER, "inject:"),
    alone(CHARGE, "charge: {reagent: ACID", also=COOL),
    alone(PRIME, "prime:", also=BY_PUMP),
    alone(AGAIN % (3, ROUND), "inject:"),
    alone(OTHER + INJECT, "inject:", near=SIGNED + INJECT),
    alone(IF % (CONFIRM, "stir: 300 rpm") + INJECT, "inject:",
          near=IF % (f"{CONFIRM}, {ROUND}", "stir: 300 rpm")),
    alone(IF % (CONFIRM, ROUND), "inject:", near=IF % ("stir: 300 rpm", f"{CONFIRM}, {ROUND}")),
    Case("hf.amount", "stock", "recipe", END, SIGNED + AGAIN % (8, ROUND) + END,
         "20 uL, within", SIGNED + AGAIN % (7, ROUND) + END, "0.56 mmol of HF in this batch",
         also=REAGENT),
    Case("hf.chalcogenide", "stock", "recipe", END, SIGNED + INJECT + SE + END,
         "inject: {reagent: B", SIGNED + INJECT + END, "HF meets 0.217 mmol", W,
         also=(*REAGENT, accepted("order.vacuum_after_hf"))),
    Case("hf.chalcogenide", "stock", "recipe", END, SIGNED + BOTH + END, "inject: {together",
         SIGNED + TOGETHER + END, "HF meets 0.217 mmol", W, also=REAGENT),
    Case("order.vacuum_after_hf", "stock", "recipe", END, SIGNED + INJECT + SE + END,
         "inject: {reagent: ACID", SIGNED + INJECT + END, "pumps 30 min after HF", W,
         also=(*REAGENT, accepted("hf.chalcogenide"))),
    Case("vacuum.rough_only", "stock", "recipe", END, SIGNED + INJECT + PUMP + END,
         "degas: {at: 30", SIGNED + INJECT + END, "the fine pump would meet", also=COOL),
    Case("gas.phosphine", CORES, "recipe", HEAT, LATE % "OA" + HEAT, "1 mL, within",
         LATE % "ODE" + HEAT, "of PH3", also=ACID_IN_CORES),
]  # fmt: skip
PORTION = "inject: {reagent: ODE, volume: 1 mL, within: 1 min}"


def test_the_steps_inside_a_repeat_see_the_flask_of_its_last_round():
    files = changed(texts("stock"), ("recipe", END, AGAIN % (3, f"{PORTION}, {PORTION}") + END))
    outer, first, second = [p for p in planned(files).steps if p.step.id.startswith("only.7")]
    assert (first.parent, first.times) == (outer.step.id, 3)
    given_ml = [p.before.volume_ml() - outer.before.volume_ml() for p in (first, second)]
    assert given_ml == pytest.approx([4.0, 5.0])
    assert second.after == outer.after


NAMES = [f"{case.rule}-{n}" for n, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_violation_is_found_where_it_stands_and_nothing_else(case):
    judge_violation(case)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_near_miss_passes(case):
    judge_near_miss(case)
