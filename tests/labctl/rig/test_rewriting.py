"""A rig file that labctl changes keeps everything else as its author wrote it."""

import datetime as dt
import difflib
from pathlib import Path

import pytest

from labctl.errors import FindingsError, UsageError
from labctl.rig.calibrating import dates, delivered, points_text
from labctl.rig.load import load_rig, rig_of
from labctl.rig.rewriting import in_date, with_values, write_rig
from labctl.source import compose

ROOT = Path(__file__).parents[3]
SCHLENK = (ROOT / "rigs/schlenk.yaml").read_text(encoding="utf-8")
BLOCK = """\
devices:
  heater:
    kind: eurotherm_3216   # the new one
    limits: {setpoint: 20 C .. 345 C}
  # nothing else
"""


def changed(before, after):
    rows = difflib.ndiff(before.splitlines(), after.splitlines())
    return [row for row in rows if row[:2] in {"- ", "+ "}]


def test_only_the_lines_of_the_value_change():
    words = {"reads_true": points_text([(100.1, 100.0)]), "due": "2027-01-01"}
    text = with_values(compose(SCHLENK), ("devices", "heater", "calibration"), words)
    gone, new = changed(SCHLENK, text)
    assert new.strip("+ ") == (
        "calibration: {reads_true: [[100.1 C, 100 C]], by: YK, done: 2025-09-30, due: 2027-01-01}}"
    )
    assert "2026-03-30" in gone
    calibration = rig_of(compose(text)).model.devices["heater"].calibration
    assert calibration.reads_true == ((100.1, 100.0),)


def test_a_calibration_that_is_not_there_is_added_in_braces_and_in_lines():
    text = with_values(compose(SCHLENK), ("devices", "warm", "calibration"), {"by": "MT"})
    assert "limits: {setpoint: 20 C .. 100 C}, calibration: {by: MT}}" in text
    text = with_values(compose(BLOCK), ("devices", "heater", "calibration"), {"by": "MT"})
    assert text == BLOCK.replace("345 C}\n", "345 C}\n    calibration: {by: MT}\n")


def test_a_key_that_is_not_there_is_added_after_the_last_one_in_lines():
    text = with_values(compose(BLOCK), ("devices", "heater"), {"unit": "2", "kind": "other"})
    assert text == BLOCK.replace("eurotherm_3216", "other").replace(
        "345 C}\n", "345 C}\n    unit: 2\n"
    )


def test_a_rig_that_would_not_load_is_never_written(tmp_path):
    file = tmp_path / "rig.yaml"
    file.write_text(SCHLENK, encoding="utf-8")
    with pytest.raises(FindingsError):
        write_rig(file, SCHLENK.replace("20 C .. 345 C", "20 C .."))
    assert file.read_text(encoding="utf-8") == SCHLENK
    write_rig(file, SCHLENK.replace("345 C, rate: 15", "340 C, rate: 15"))
    assert load_rig(file).model.devices["heater"].limits.setpoint == (20.0, 340.0)
    assert [path.name for path in tmp_path.iterdir()] == ["rig.yaml"]


def test_a_name_that_yaml_would_read_as_something_else_is_quoted():
    done, due = dt.date(2025, 11, 3), dt.date(2026, 5, 3)
    assert dates("Y. Kim", done, due) == {"by": "Y. Kim", "done": "2025-11-03", "due": "2026-05-03"}
    assert dates("a: {b", done, due)["by"] == '"a: {b"'


def test_what_a_syringe_delivers_is_mass_over_density_over_volume():
    # 1-octadecene, 0.789 g/mL: 0.5 mL weigh 0.3945 g.
    found = delivered([0.3945 * 0.99, 0.3945 * 1.00, 0.3945 * 0.98], 0.789, 0.5)
    assert found.mean == pytest.approx(0.99, abs=1e-6)
    assert found.sd == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize(
    ("masses", "says"), [([0.39, 0.39], "2 shots are too few"), ([0.2] * 3, "look for a leak")]
)
def test_what_is_no_calibration_is_refused(masses, says):
    with pytest.raises(UsageError, match=says):
        delivered(masses, 0.789, 0.5)


def test_a_rehearsal_copy_is_in_date_and_differs_in_nothing_else():
    day = dt.date(2031, 5, 4)
    copy = in_date(compose(SCHLENK), day)
    model = rig_of(compose(copy)).model
    assert {row.tested for row in model.cutouts.values()} == {day}
    assert model.devices["heater"].calibration.due == dt.date(2032, 5, 3)
    rows = changed(SCHLENK, copy)
    assert rows
    assert all("due:" in row or "tested:" in row for row in rows)
