"""The short days of the campaign: every kind of step that can go wrong, in half an hour."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from labctl.plan import Plan, plan
from labctl.recipe.load import recipe_of
from labctl.registry import bundled_rig
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import load_rig
from labctl.source import compose, validate

HEAD = """
labctl: recipe/1
name: a short day for faults
needs: {vessel: 50 mL, max_T: 100 C, pumps: 1, in_loop: [absorbance, pl]}
reagents:
  SQ: {is: squalane}
  NC: {is: InP-OA 3.3 nm in squalane, concentration: 50 umol/L}
  S:  {is: TOP sulfide saturated, concentration: 2.17 mol/L}
track:
  peak: {from: absorbance, every: 10 s, start_near: 580 nm, report_at: 25 C}
problem: {do: freeze, unanswered: 2 min, then: park}
park: {gas: 25 C, heat: 25 C}
stages:
"""
STEPS = """\
  gas:
  - confirm: {who: operator, list: [trap cold]}
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: {id: stir, speed: 600 rpm}
  - degas: {id: degas, at: 30 C, rate: 10 K/min, for: 60 s, below: 1 mbar, timeout: 8 min}
  - backfill: {id: fill, cycles: 1}
  heat:
  - reference: {id: light, of: absorbance, in: flask}
  - charge: {reagent: NC, amount: 150 nmol, by: hand}
  - prime: {id: prime, reagents: [S], into: waste}
  - ramp: {id: up, to: 90 C, rate: 15 K/min, within: 2 K, settle: 10 s, timeout: 8 min}
  - baseline: {id: look, of: [peak], as: before, for: 1 min}
  - inject: {id: s, reagent: S, amount: 0.4 mmol, over: 60 s}
  - hold: {id: stay, for: 2 min}
"""
SHEET = """
labctl: batch/1
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
  NC: {lot: c, by: hand}
  S:  {lot: b, pump: pump_2, drawn: 1.0 mL}
"""
ZINC = "  ZN: {is: zinc oleate in ODE, concentration: 0.50 mol/L, keep_at: 80 C}"
ZINC_LOAD = "ZN: {lot: b, pump: pump_1, drawn: 2.0 mL, gate: 1H NMR clean}"
HF_HEAD = """
labctl: recipe/1
name: a short day with HF
needs: {vessel: 50 mL, max_T: 100 C, pumps: 1}
reagents:
  SQ: {is: squalane}
  HF: {is: HF 48 % in acetone, concentration: 3.5 mol/L, made: same day,
       wetted: [PP, PE, PTFE, PFA]}
problem: {do: freeze, unanswered: 2 min, then: park}
park: {gas: 25 C, heat: 25 C}
stages:
"""
HF_STEPS = """\
  gas:
  - confirm: {who: operator, list: [trap cold]}
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: {id: stir, speed: 600 rpm}
  - degas: {id: degas, at: 30 C, rate: 10 K/min, for: 60 s, below: 1 mbar, timeout: 8 min}
  - backfill: {id: fill, cycles: 1}
  heat:
  - confirm: {for: HF, who: two people, list: [gluconate gel in date, hood flow, KOH scrubber]}
  - prime: {id: prime, reagents: [HF], into: hf_waste}
  - ramp: {id: up, to: 90 C, rate: 15 K/min, within: 2 K, settle: 10 s, timeout: 8 min}
  - hf_treat: {id: s, reagent: HF, amount: 0.40 mmol, at: 90 C, within: 3 K, over: 2.5 min,
               blanket: still N2 on bubbler, react: 60 s,
               open_vacuum: {pump: rough, down_to: 10 Torr, over: 2 min},
               vacuum: {pump: fine, for: 60 s}}
  - backfill: {id: again, cycles: 1}
  - hold: {id: stay, for: 10 min}
"""
HF_SHEET = """
labctl: batch/1
sample: T-2
operator: YK
second: MT
vessel: flask50
scrubber: KOH
loads:
  SQ: {lot: a, by: hand}
  HF: {lot: b, made: 2025-11-03, concentration: 3.50 mol/L, pump: pump_3, drawn: 0.40 mL}
"""


@dataclass(frozen=True, slots=True)
class Day:
    """A recipe and its batch; `pump` gives the one dose `s` of `dose_mmol` of a reagent.

    What is dosed is kept at `keep_c` by the warm line.
    """

    name: str
    recipe: str
    sheet: str
    anchors: tuple[str, ...]
    pump: str
    reagent: str
    dose_mmol: float
    over_s: float
    window_c: tuple[float, float]
    stay_s: float
    keep_c: float = -273.0

    @property
    def hf(self) -> bool:
        """Whether the dose is HF."""
        return self.reagent == "HF"


DAYS = {
    "sulfide": Day(
        "sulfide",
        HEAD + STEPS.replace("for: 2 min}", "for: 17 min}"),
        SHEET,
        ("stir", "degas", "fill", "light", "prime", "up", "look", "s", "stay"),
        "pump_2",
        "S",
        0.4,
        60.0,
        (80.0, 100.0),
        1020.0,
    ),
    "hf": Day(
        "hf",
        HF_HEAD + HF_STEPS,
        HF_SHEET,
        ("stir", "degas", "fill", "prime", "up", "s", "again", "stay"),
        "pump_3",
        "HF",
        0.4,
        150.0,
        (80.0, 100.0),
        600.0,
    ),
}
SWARM = tuple(DAYS)
"""The days that seeds are drawn for; those below serve single rules."""

DAYS["more HF"] = replace(
    DAYS["hf"],
    name="more HF",
    recipe=(HF_HEAD + HF_STEPS).replace("amount: 0.40 mmol", "amount: 0.80 mmol"),
    dose_mmol=0.8,
)
DAYS["zinc"] = replace(
    DAYS["sulfide"],
    name="zinc",
    recipe=(HEAD + STEPS)
    .replace("  S:  {is: TOP sulfide saturated, concentration: 2.17 mol/L}", ZINC)
    .replace("reagents: [S]", "reagents: [ZN]")
    .replace("reagent: S, amount: 0.4 mmol", "reagent: ZN, amount: 0.25 mmol"),
    sheet=SHEET.replace("S:  {lot: b, pump: pump_2, drawn: 1.0 mL}", ZINC_LOAD),
    pump="pump_1",
    reagent="ZN",
    dose_mmol=0.25,
    stay_s=120.0,
    keep_c=80.0,
)


@functools.cache
def planned_day(name: str) -> Plan:
    """Plan a day on the bundled rig."""
    day = DAYS[name]
    sheet = compose(day.sheet, f"{name}.sheet.yaml")
    batch = LoadedBatch(validate(Batch, sheet, ()), sheet)
    return plan(recipe_of(compose(day.recipe, f"{name}.yaml"), {}), load_rig(bundled_rig()), batch)


def planned_ml(name: str) -> float:
    """Return what a day's one dose may give, in mL."""
    day = DAYS[name]
    return day.dose_mmol / (planned_day(name).scene.loads[day.reagent].concentration_mol_l or 1.0)
