"""Lines, order and people: one change that only its rule refuses, and a near miss that passes."""

import pytest

from labctl.errors import Severity
from tests.labctl.check.cases import Case, judge_near_miss, judge_violation

W = Severity.WARNING
ZNS, CORES, ZNSE = "inp_zns_surface_initiated", "inp_cores_2p4", "inp_znse_200c"
DROP_ACCEPTED = ("sheet", "accept:\n", "accept:\n  fluidics.hanging_drop: {reason: it does not "
                 "matter here, by: MT, date: 2025-11-04}\n")  # fmt: skip
ZN_STEPS = """\
  - inject: {id: zn1, reagent: ZN, amount: 1.5 mmol, over: 3 min, keep_above: 180 C}
  - hold: {for: 10 min, since: zn1.end, keep_above: 190 C, grace: 2 min}
"""
WAITS = """\
  - wait_until: {saturated: peak, also_flat: pl, since: before_s, delta: 0.5 nm, tau_max: 25 min, \
min_plateau: 5 min, timeout: 90 min,
                 on_timeout: {ask: 1S or PL still moving, choices: [extend 15 min, accept, park], \
default: park, after: 10 min}}
"""
PTMS = "hazard: pyrophoric, drawn_in: glovebox"
S_IS = "TOP sulfide saturated, concentration: 2.17 mol/L"
PUMP_2 = "pump: pump_2, drawn: 1.0 mL"
ONLY_LOAD = ("recipe", "attended: [load, hf, stage2, stage3]", "attended: [load]")

CASES = [
    Case("doses.same_day", ZNS, "sheet", "HF-1103, made: 2025-11-03", "HF-1103, made: 2025-11-02",
         "2025-11-02, conc", "HF-1103, made: 2025-11-04", "it was made on 2025-11-02", W,
         near_also=(("sheet", "date: 2025-11-03", "date: 2025-11-04"),)),
    Case("fluidics.shared_line", ZNS, "sheet", PUMP_2, "pump: pump_1, drawn: 1.0 mL",
         "pump_1, drawn: 1.0", "by: hand", "pump_1 already holds ZN"),
    Case("fluidics.only", ZNS, "rig", "valve: line_2, wetted", "valve: line_2, only: [HF], wetted",
         "pump_2, drawn", "valve: line_2, only: [TOPS], wetted", "S is TOP sulfide"),
    Case("fluidics.wetted", ZNS, "recipe", S_IS, S_IS + ", wetted: [PTFE, PFA]",
         "[glass, steel, PTFE, PFA],\n            syringe: {is: gastight 5",
         S_IS + ", wetted: [PTFE, PFA, steel, glass]", "pump_2 wets glass, steel"),
    Case("fluidics.pyrophoric", CORES, "recipe", PTMS, "hazard: pyrophoric", "P:   {is",
         "drawn_in: glovebox", "catches fire in air"),
    Case("fluidics.glovebox", CORES, "sheet", "O2: 0.3 ppm", "O2: 2 ppm", "2 ppm", "O2: 1 ppm",
         "O2 in the glovebox is 2 ppm", W),
    Case("fluidics.glovebox", CORES, "sheet", "O2: 0.3 ppm", "O2: 12 ppm", "12 ppm", "O2: 1 ppm",
         "it may ignite"),
    Case("fluidics.glovebox", CORES, "sheet", "O2: 0.3 ppm, ", "", "box:", "O2: 0.9 ppm, ",
         "its O2 is not on the sheet", W),
    Case("fluidics.flush", CORES, "recipe", "[dry ODE into waste under N2]",
         "[acetone into waste]", "flush:", "[toluene into waste]", "makes PH3"),
    Case("fluidics.flush", ZNS, "recipe", "ZN: [toluene at 60 C]", "ZN: [acetone]", "flush:",
         "ZN: [toluene]", "ZN plugs its line in acetone", W),
    Case("fluidics.waste", ZNS, "recipe", "{reagents: [HF], into: hf_waste}",
         "{reagents: [HF], into: waste}", "waste}\n  - hf_treat",
         "{into: hf_waste, reagents: [HF]}", "must not go into waste (PE bottle under N2)"),
    Case("fluidics.waste", ZNS, "recipe", "S: [toluene]", "S: [toluene into hf_waste]",
         "[toluene into hf_waste]", "S: [toluene into waste]", "S is TOP sulfide"),
    Case("fluidics.dead_volume", ZNSE, "recipe", "prime: {reagents: [ZN, SE]",
         "prime: {reagents: [ZN]", "0.16 mmol}", "prime: {reagents: [SE, ZN]",
         "73.7 \u00b5L of SE stay in the dry line of 98 \u00b5L", also=(DROP_ACCEPTED,)),
    Case("fluidics.hanging_drop", ZNS, "recipe", "2: 0.40 mmol", "2: 0.20 mmol", "$s_dose, over",
         "2: 0.25 mmol", "5 \u00b5L, is 5.4%", W),
    Case("fluidics.least_dose", ZNS, "rig", "gastight 5 mL", "gastight 20 mL", "$s_dose, over",
         "gastight 10 mL", "0.9% of the 20 mL syringe", W),
    Case("fluidics.cold_line", ZNS, "recipe", S_IS, S_IS + ", keep_at: 60 C", "60 C, gate",
         S_IS + ", keep_at: 25 C", "nothing warms pump_2", W),
    Case("fluidics.cold_line", ZNS, "recipe", "keep_at: 80 C", "keep_at: 110 C", "110 C, gate",
         "keep_at: 100 C", "warm goes to 100"),
    Case("order.zinc_first", ZNS, "recipe", ZN_STEPS, "", "hf_treat:",
         ZN_STEPS.replace("1.5 mmol", "1.0 mmol"), "before any zinc oleate", W),
    Case("order.zinc_hot", ZNS, "recipe", "ramp: {to: 200 C", "ramp: {to: 245 C",
         "inject: {id: zn1", "ramp: {to: 235 C", "zinc oleate at 245", W),
    Case("order.sulfur_hold", ZNS, "recipe", WAITS, "", "inject: {id: zn2",
         "  - hold: {for: 30 min}\n", "zinc oleate follows s with no hold", W),
    Case("people.hazard_hours", ZNS, "sheet", "2025-11-03 09:00", "2025-11-03 18:00", "hf_treat:",
         "2025-11-03 10:00", "HF is expected Mon", also=(ONLY_LOAD,)),
    Case("people.hazard_hours", CORES, "sheet", "2025-11-05 09:00", "2025-11-05 18:00",
         "inject: {id: p,", "2025-11-05 12:00", "P(TMS)3 is expected Wed",
         also=(("recipe", "attended: [load, grow]", "attended: [load]"),)),
    Case("people.pyrophoric_alone", CORES, "sheet", "second: MT\n", "", "operator:",
         "second: JD\n", "it needs a `second` person"),
]  # fmt: skip
NAMES = [f"{case.rule}-{n}" for n, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_violation_is_found_where_it_stands_and_nothing_else(case):
    judge_violation(case)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_near_miss_passes(case):
    judge_near_miss(case)
