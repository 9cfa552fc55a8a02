"""`dry-run --shadow`: what a run is compared with, and what is refused."""

from __future__ import annotations

import json

import pytest

from labctl.registry import bundled_rig


@pytest.fixture
def weak(tmp_path):
    """The bundled rig with a mantle that hardly heats."""
    text = bundled_rig().read_text(encoding="utf-8")
    path = tmp_path / "weak.yaml"
    path.write_text(text.replace("mantle: 80 W", "mantle: 9 W"), encoding="utf-8")
    return path


def test_a_departure_is_a_warning_on_the_screen_and_an_alarm_of_the_run(labctl, short, weak):
    runs = short.parent / "runs"
    code, _, err = labctl("dry-run", short, "--runs", runs)
    assert (code, err) == (0, "")
    code, out, err = labctl(
        "dry-run", short, "--rig", weak, "--runs", runs, "--shadow", "last", "--seed", "2"
    )
    assert code == 0
    assert "compared with run 20" in out
    assert "degas.1     warning: flask heats" in out
    assert "% slower than expected" in out
    code, out, _ = labctl("show", "last", "--runs", runs, "--format", "json")
    (alarm,) = json.loads(out)["alarms"]
    assert (alarm["id"], alarm["severity"]) == ("shadow.heating", "warn")
    report = next(iter(sorted(runs.glob("*/report.html"))[-1:])).read_text(encoding="utf-8")
    assert "the run compared with" in report


def test_own_and_golden_accompany_together(labctl, short):
    runs = short.parent / "runs"
    code, out, err = labctl(
        "dry-run", short, "--runs", runs, "--shadow", "own", "--shadow", "golden"
    )
    assert (code, err) == (0, "")
    assert "compared with the recipe's own dry run" in out
    assert "warning: not compared with the last good batch YK-219" in out
    assert len(list(runs.iterdir())) == 1, "the dry run of the shadow is not kept"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("absent",), "there are no runs in"),
        (("own", "own"), "each once"),
    ],
)
def test_a_shadow_that_is_not_there_is_refused(labctl, short, words, says):
    asked = [part for word in words for part in ("--shadow", word)]
    code, out, err = labctl("dry-run", short, "--runs", short.parent / "runs", *asked)
    assert (code, out) == (2, "")
    assert says in err


def test_a_sheet_without_a_golden_batch_is_refused(labctl, short):
    sheet = short.with_name("short.batch.yaml")
    lines = sheet.read_text(encoding="utf-8").splitlines(keepends=True)
    sheet.write_text("".join(x for x in lines if not x.startswith("golden")), encoding="utf-8")
    code, _, err = labctl("dry-run", short, "--shadow", "golden")
    assert code == 2
    assert "names no `golden` sample" in err
