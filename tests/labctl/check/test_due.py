"""What is overdue warns where nothing is touched and refuses on real instruments."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.cli import main
from labctl.errors import ExitCode, FindingsError, Severity
from labctl.prepare import Request, prepare, prepare_one

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "recipes/inp_zns_surface_initiated.yaml"
LATER = dt.datetime(2026, 3, 31, 9, tzinfo=dt.UTC)


def request(tmp_path, accept="", **changed):
    sheet = tmp_path / "sheet.yaml"
    text = RECIPE.with_suffix(".batch.yaml").read_text(encoding="utf-8")
    text = text.replace("accept: {} ", accept or "accept: {} ")
    sheet.write_text(text, encoding="utf-8")
    return Request(RECIPE, ROOT / "rigs/schlenk.yaml", sheet, **changed)


def due(findings):
    return {(f.rule, f.severity, f.message.split()[0]) for f in findings if f.rule[:4] == "due."}


def test_a_dry_run_is_warned_of_each_overdue_thing_by_name(tmp_path):
    _, findings = prepare(request(tmp_path, now=LATER))
    told = {name for rule, severity, name in due(findings) if severity is Severity.WARNING}
    assert told == {"heater:", "stirrer:", "pump_1:", "pump_2:", "pump_3:", "cut-out"}
    assert sum(f.rule == "due.cutout" for f in findings) == 2, "the relief valve has a year"


def test_real_instruments_are_refused_while_anything_is_overdue(tmp_path):
    with pytest.raises(FindingsError) as caught:
        prepare_one(request(tmp_path, now=LATER, hardware=True))
    refused = [f for f in caught.value.findings if f.severity is Severity.ERROR]
    assert {f.rule for f in refused} == {"due.calibration", "due.cutout"}


def test_a_day_on_which_nothing_is_due_is_not_refused(tmp_path):
    _, findings = prepare_one(request(tmp_path, hardware=True))
    assert due(findings) == set()


def test_a_pump_that_holds_nothing_today_is_not_asked_for(tmp_path):
    stock = ROOT / "recipes/stock_indium_oleate.yaml"
    _, findings = prepare(Request(stock, ROOT / "rigs/schlenk.yaml", now=LATER))
    assert not {name for _, _, name in due(findings) if name.startswith("pump")}


@pytest.mark.parametrize(
    ("rule", "refused"), [("due.calibration", {"due.cutout"}), ("due.cutout", None)]
)
def test_an_overdue_calibration_may_be_accepted_by_name_a_cutout_never(tmp_path, rule, refused):
    line = f"accept: {{{rule}: {{reason: booked for friday, by: MT, date: 2026-03-31}}}} "
    with pytest.raises(FindingsError) as caught:
        prepare(request(tmp_path, line, now=LATER, hardware=True))
    errors = {f.rule for f in caught.value.findings if f.severity is Severity.ERROR}
    assert errors == (refused or {"due.calibration", "due.cutout", "batch.never_accepted"})


def test_run_refuses_at_todays_date_whatever_the_sheet_says_and_launches_nothing(tmp_path, capsys):
    asked = request(tmp_path)
    files = ("--rig", str(asked.rig), "--batch", str(asked.batch), "--operator", "YK")
    code = main(["run", str(RECIPE), *files, "--yes", "--runs", str(tmp_path / "runs")])
    assert code == ExitCode.REFUSED
    assert "cut-out estop (button on the hood frame) was last tested" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_constants_of_the_vessel_in_use_have_a_due_date_too(tmp_path):
    text = (ROOT / "rigs/schlenk.yaml").read_text(encoding="utf-8")
    thermal = (
        "thermal: {capacity: 80 J/K, to_flask: 0.55 W/K, mantle_to_air: 0.05 W/K, "
        "flask_to_air: 0.055 W/K, by: YK, done: 2025-05-01, due: 2025-11-01}"
    )
    rig = tmp_path / "rig.yaml"
    for vessel, told in (("flask50", {"flask50:"}), ("flask100", set())):
        ml = vessel.removeprefix("flask")
        row = f"volume: {ml} mL, fill"
        rig.write_text(text.replace(row, f"volume: {ml} mL, {thermal}, fill"), encoding="utf-8")
        assert thermal in rig.read_text(encoding="utf-8")
        _, findings = prepare(replace(request(tmp_path), rig=rig))
        assert {name for _, _, name in due(findings)} == told
