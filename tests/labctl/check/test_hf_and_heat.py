"""HF, scrubber and heat: one change that only its rule refuses, and a near miss that passes."""

import pytest

from labctl.errors import Severity
from tests.labctl.check.cases import Case, judge_near_miss, judge_violation

W = Severity.WARNING
ZNS, CORES = "inp_zns_surface_initiated", "inp_cores_2p4"
LEAK = "leak_test: {T_below: 40 C, pump_to: 100 mTorr, isolate: 5 min, rise_below: 20 mTorr/min}"
DEGAS = "degas: {at: 120 C, for: 30 min, below: 100 mTorr, timeout: 90 min}"
NO_ACID = ("recipe", "zinc acetate in oleic acid", "zinc oleate in ODE")
PRIME_HF = "  - prime: {reagents: [HF], into: hf_waste}\n"
EARLY_S = PRIME_HF + "  - inject: {reagent: S, amount: 0.25 mmol, over: 60 s}\n"
EARLY_ZN = PRIME_HF + "  - inject: {reagent: ZN, amount: 0.2 mmol, over: 60 s}\n"
GUARD = "guard:    {port: guard"
WARM = "warmed_by: warm, wetted: [glass, steel, PTFE, PFA]"
PROBE_UP = "[optical probe raised out of the liquid (rated 300 C)]"
COLD = "  - inject: {reagent: ODE, volume: 9 mL, within: 10 s}\n  - quench"
END = "  - quench"
POUR = "  - charge: {reagent: ODE, volume: %s, by: hand}\n"
BOTH = (
    "  - inject: {together: [{reagent: ODE, volume: %s}, {reagent: B, volume: 0.8 mL}], "
    "within: 10 s}\n"
)
AGAIN = (
    "  - repeat: {until: flask.T > 300 C, at_most: %d, steps: [inject: {reagent: ODE, "
    "volume: %s, within: 10 s}]}\n"
)
DRAWN = (
    "  - repeat: {until: flask.T > 300 C, at_most: %d, steps: [aliquot: {volume: %s, "
    "by: hand, label: n, into: vial}]}\n"
)
COLD_DRAWN = "  - quench: {to: 30 C, by: [jack, fan]}\n" + DRAWN.replace("%s", "4 mL")
SLOW = COLD.replace("10 s", "10 min")

BASELINE = "  - baseline: {of: [peak, pl], as: before_s"
HF_TWICE = """\
  - hf_treat: {id: hf2, reagent: HF, amount: 0.40 mmol, at: 119 C, within: 3 K, over: 2.5 min,
               blanket: still N2 on bubbler, react: 60 s,
               open_vacuum: {pump: rough, down_to: 10 Torr, over: 5 min}, vacuum: {for: 30 min}}
  - backfill: {cycles: 1}
"""

CASES = [
    Case("hf.amount", ZNS, "recipe", "amount: 0.40 mmol", "amount: 0.52 mmol", "0.52 mmol, at",
         "amount: 0.49 mmol", "0.52 mmol of HF in this batch; schlenk-2 allows 0.5 mmol"),
    Case("hf.amount", ZNS, "rig", GUARD, "hf: {in_flask: 0.030 mol/L}\n" + GUARD, "0.40 mmol, at",
         "hf: {in_flask: 0.032 mol/L}\n" + GUARD, "30.8 \u00b5mol of HF per mL"),
    Case("hf.amount", ZNS, "recipe", BASELINE, HF_TWICE + BASELINE, "0.40 mmol, at: 119",
         HF_TWICE + BASELINE, "0.8 mmol of HF in this batch",
         near_also=(("rig", GUARD, "hf: {per_batch: 0.8 mmol}\n" + GUARD),)),
    Case("hf.wetted", ZNS, "rig", "[PP, PE, PTFE, PFA]", "[PP, PE, PTFE, PEEK]",
         "[PP, PE, PTFE, PEEK]", "[PP, PE, PTFE]", "pump_3 wets PEEK"),
    Case("hf.wetted", ZNS, "rig", "wetted: [PP, PE, PTFE, PFA],\n", "wetted: [],\n", "[],\n",
         "wetted: [PFA],\n", "does not say what it wets"),
    Case("hf.probe", ZNS, "rig", "body: Hastelloy", "body: steel", "steel, max_T", "body: PFA",
         "the probe's body is 'steel'"),
    Case("hf.chalcogenide", ZNS, "recipe", PRIME_HF, EARLY_S, "hf_treat:", EARLY_ZN,
         "up to 6.12 mL of H2S", W, also=(("sheet", "scrubber: KOH", "scrubber: KOH, CuSO4"),)),
    Case("hf.hot", ZNS, "recipe", "0.40 mmol, at: 120 C", "0.40 mmol, at: 170 C", "hf_treat:",
         "0.40 mmol, at: 150 C", "HF at 170", W),
    Case("scrubber.contents", CORES, "sheet", "scrubber: CuSO4", "scrubber: KOH", "KOH ",
         "scrubber: bleach", "PH3 goes to CuSO4 or bleach, today it is KOH"),
    Case("scrubber.contents", ZNS, "recipe", PRIME_HF, EARLY_S, "KOH   ", EARLY_S,
         "H2S goes to CuSO4", also=(("sheet", "accept: {}", "accept:\n  hf.chalcogenide: {reason: "
                                     "a series, by: MT, date: 2025-11-03}"),),
         near_also=(("sheet", "scrubber: KOH", "scrubber: KOH then CuSO4"),)),
    Case("scrubber.bleach", ZNS, "sheet", "scrubber: KOH", "scrubber: KOH, bleach", "KOH, bleach",
         "scrubber: KOH, CuSO4", "HF reaches bleach and makes chlorine"),
    Case("thermal.cold_drop", ZNS, "recipe", "over: 3 min, keep", "over: 40 s, keep",
         "inject: {id: zn1", "over: 2 min, keep", "by 18 K (glass included)", W),
    Case("thermal.cold_drop", "stock", "recipe", "  - quench", COLD, "inject:", SLOW,
         "and `keep_above` a temperature", also=(("recipe", "volume: 10 mL", "volume: 4 mL"),)),
    Case("thermal.probe_limit", ZNS, "recipe", PROBE_UP, "[flask still stirring]",
         "320 C, rate", "[optical probe lifted]", "320 \u00b0C with the optical probe of uvvis"),
    Case("thermal.probe_limit", ZNS, "rig", "max: 350 C", "max: 310 C", "320 C, rate",
         "max: 320 C", "the thermometer of stirrer in the liquid, which stands 310"),
    Case("thermal.materials", ZNS, "rig", "stir_bar: glass-coated", "stir_bar: PTFE",
         "320 C, rate", "stir_bar: glass", "PTFE, which stands 250"),
    Case("thermal.materials", ZNS, "recipe", "keep_at: 80 C", "keep_at: 85 C", "85 C",
         "keep_at: 78 C", "PP stands 80", also=(("rig", WARM, WARM.replace("PTFE", "PP")),)),
    Case("thermal.air_exposure", "stock", "recipe", "backfill: {cycles: 1}", "stir: 200 rpm",
         "200 C, rate", "backfill: {cycles: 1}", "still holds air",
         also=(("recipe", LEAK, "stir: 300 rpm"), ("recipe", DEGAS, "stir: 300 rpm"), NO_ACID)),
    Case("thermal.air_exposure", "stock", "recipe", "ramp: {to: 200 C", "ramp: {to: 65 C", "65 C",
         "ramp: {to: 60 C", "passes 60",
         also=(("recipe", LEAK, "stir: 300 rpm"), ("recipe", DEGAS, "stir: 300 rpm"),
               ("recipe", "backfill: {cycles: 1}", "stir: 200 rpm"), NO_ACID)),
    Case("thermal.cold_drop", "stock", "recipe", END, POUR % "4 mL" + END,
         "charge: {reagent: ODE, volume: 4 mL", POUR % "1 mL" + END, "ODE at once cools", W),
    Case("thermal.cold_drop", "stock", "recipe", END, BOTH % "1.5 mL" + END, "inject: {together",
         BOTH % "0.8 mL" + END, "ODE and B over 10 s cools", W),
    Case("thermal.cold_drop", "stock", "recipe", END, AGAIN % (3, "2.0 mL") + END,
         "inject: {reagent: ODE", AGAIN % (3, "1.8 mL") + END, "by 11 K", W),
    Case("vessel.fill_high", "stock", "recipe", END, AGAIN % (5, "1.8 mL") + END,
         "inject: {reagent: ODE", AGAIN % (4, "1.8 mL") + END, "the most allowed in flask50"),
    Case("vessel.fill_low", "stock", "recipe", END, DRAWN % (3, "4 mL") + END, "aliquot:",
         DRAWN % (2, "4 mL") + END, "cover thermometer and stir bar"),
    Case("vessel.aliquot", "stock", "recipe", END, COLD_DRAWN % 4 + END, "4 mL, by: hand, l",
         COLD_DRAWN % 3 + END, "aliquot n takes 4 mL"),
    Case("vessel.fill_low", "stock", "recipe", "volume: 10 mL", "volume: 0.3 mL", "degas:",
         "volume: 1 mL", "cover thermometer and stir bar"),
]  # fmt: skip
NAMES = [f"{case.rule}-{n}" for n, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_violation_is_found_where_it_stands_and_nothing_else(case):
    judge_violation(case)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_near_miss_passes(case):
    judge_near_miss(case)
