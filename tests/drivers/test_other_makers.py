"""A rig of other makers' instruments runs a recipe as the bundled one does."""

from pathlib import Path

from labctl.errors import ExitCode
from labctl.prepare import Request, prepare
from labctl.session import dry_run

ROOT = Path(__file__).parents[2]
RECIPE = """\
labctl: recipe/1
name: Octadecene, dried
source: {doi: 10.1038/s41467-022-35731-2, section: Preparation of precursors}
needs: {vessel: 50 mL, max_T: 90 C, attended: [load]}
reagents:
  ODE: {is: 1-octadecene}
problem: {do: freeze, unanswered: 30 min, then: park}
park: {load: 25 C, dry: 60 C}
stages:
  load:
  - confirm: {who: operator, list: [trap cold, condenser on]}
  - charge: {reagent: ODE, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - leak_test: {T_below: 40 C, pump_to: 100 mTorr, isolate: 5 min, rise_below: 20 mTorr/min}
  dry:
  - degas: {at: 80 C, rate: 10 K/min, for: 10 min, below: 100 mTorr, read_at: line, timeout: 3 h}
  - backfill: {cycles: 1}
finally:
- backfill: {keep_N2_until: 40 C}
"""
BATCH = """\
labctl: batch/1
date: 2025-11-04 09:00
sample: ODE-1
operator: YK
second: MT
vessel: flask50
box: {O2: 0.3 ppm, H2O: 0.2 ppm}
loads:
  ODE: {lot: ODE-1, by: hand}
accept: {}
"""
SWAPS = {
    "  gauge: {tcp: gauges.hood3.lab:8000}": "  watlow: {usb: FTDI A1, baud: 38400, mode: RS-485}\n"
    "  mks: {usb: FTDI A2}\n  ppt: {usb: FTDI A3, mode: RS-485}",
    "{kind: eurotherm_3216, port: bus, unit: 1, probe": "{kind: watlow_ezzone_pm, port: watlow, "
    "unit: 1, probe",
    "flask.P: gauges.flask, line.P: gauges.line": "flask.P: mks.flask, line.P: ppt.line",
    "flask_gauge: gauges.flask, line_gauge: gauges.line": "flask_gauge: mks.flask, "
    "line_gauge: ppt.line",
    "{kind: pfeiffer_tpg362, port: gauge, channels: {flask: {ch: 1, is: capacitance": "{kind: "
    "mks_901p, port: mks, address: 253, channels: {flask: {ch: 4, is: MicroPirani and piezo",
    "1100 mbar},\n            line: {ch: 2, is: Pirani set for N2": "1100 mbar}}}\n"
    "  ppt: {kind: pfeiffer_ppt100, port: ppt, channels: {line: {ch: 1, is: piezo and Pirani",
    "  gauges:  {": "  mks:     {",
}


def other_rig(path):
    text = (ROOT / "simulators/rig.yaml").read_text(encoding="utf-8")
    for old, new in SWAPS.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_watlow_an_mks_and_a_ppt_run_a_recipe_to_its_end(tmp_path):
    recipe, sheet = tmp_path / "dry.yaml", tmp_path / "dry.batch.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    sheet.write_text(BATCH, encoding="utf-8")
    rig = other_rig(tmp_path / "rig.yaml")
    planned, _ = prepare(Request(recipe, rig, sheet, {}))
    result = dry_run(planned, runs=tmp_path / "runs")
    assert result.exit_code in {ExitCode.COMPLETE, ExitCode.DEVIATIONS}, result.reason
    assert result.summary["state"] == "complete"
