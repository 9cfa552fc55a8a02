"""A short day at the bench: every kind of step that can go wrong, in half an hour."""

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
