"""Runs that are killed on a served rig in real time, and go on."""

import subprocess
import sys
from pathlib import Path

import pytest

from labctl.clock import pause_s
from labctl.errors import UsageError
from labctl.hardware.order import place
from labctl.prepare import Request
from labctl.record import open_run

pytestmark = pytest.mark.timeout(240)
DOSING = """
labctl: recipe/1
name: dose
needs: {{vessel: 50 mL, max_T: 100 C}}
reagents:
  SQ: {{is: squalane}}
  S:  {{is: TOP sulfide saturated, concentration: 2.17 mol/L}}
park: {{work: 25 C}}
stages:
  work:
  - charge: {{reagent: SQ, volume: 10 mL, by: hand}}
  - stir: 600 rpm
  - prime: {{id: p, reagents: [S], into: waste}}
  - inject: {{id: s, reagent: S, volume: 0.3 mL, over: 8 s}}
"""
SHEET = """
labctl: batch/1
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
  S:  {lot: b, pump: pump_2, drawn: 1.0 mL}
accept: {thermal.air_exposure: {reason: nothing in it minds air, by: MT, date: 2025-11-03}}
"""


def test_a_run_killed_in_its_ramp_loses_its_heat_and_goes_on(rig, started):
    run = started("27 C")
    run.until("work.3")
    pause_s(1.0)
    assert run.kill() <= 5.0
    assert rig.heater_output() == 0.0
    shown = subprocess.run(
        [sys.executable, "-m", "labctl", "show", str(run.directory)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Cut off in work.3" in shown.stdout
    run.resume()
    assert run.finish() == "complete_with_deviations"
    assert rig.coils() == 0
    with open_run(run.directory) as record:
        codes = [event.code for event in record.events]
        assert [s.state for s in record.steps if s.id == "work.3"] == ["cancelled", "done"]
    assert codes.index("resuming") < codes.index("resume.found") < codes.index("cut_off")


def test_a_run_killed_in_its_dose_gives_what_is_missing_and_no_more(rig, started):
    run = started(recipe=DOSING, sheet=SHEET)
    run.until("s")
    pause_s(3.0)
    run.kill()
    run.resume()
    assert run.finish() == "complete_with_deviations"
    with open_run(run.directory) as record:
        counted = [i.result["counted_ml"] for i in record.intents
                   if i.kind == "dose" and i.data["id"] == "s" and i.result]  # fmt: skip
        (row,) = [dose for dose in record.doses if dose.id == "s"]
    assert row.state == "done"
    assert sum(counted) <= 0.3 * 1.02
    assert row.delivered_ml == pytest.approx(0.3, abs=0.01)


def test_a_second_run_on_the_same_rig_is_refused_with_who_holds_it(started):
    run = started("90 C")
    run.until("work.3")
    with pytest.raises(AssertionError, match=rf"held by run {run.directory.name} \(process"):
        started()


def test_a_run_whose_directory_cannot_be_made_is_refused_and_touches_nothing(tmp_path):
    request = Request(tmp_path / "r.yaml")
    with pytest.raises(UsageError, match=r"cannot be made: .*; nothing was touched"):
        place(Path("/proc/runs/r"), request, tmp_path / "rig.yaml", tmp_path / "s.yaml", {})
