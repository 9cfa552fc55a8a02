"""The composition root: one seed, one record; Ctrl-C ends safe; results say how it went."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.errors import ExitCode, FindingsError
from labctl.prepare import Request, prepare
from labctl.readings import Reading
from labctl.record import open_run
from labctl.session import dry_run, exit_code, meta_of, twin_spec

RECIPE = """
labctl: recipe/1
name: short
needs: {vessel: 50 mL, max_T: 100 C}
choose:
  top: {range: 40 C .. 60 C, default: 45 C}
assumed:
  rate: {value: 12 K/min, why: a test is short}
reagents:
  SQ: {is: squalane}
  S:  {is: TOP sulfide saturated, concentration: 2.17 mol/L}
park: {work: 25 C}
stages:
  work:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, amount: 0.4 mmol, over: 30 s}
  - ramp: {id: up, to: $top, rate: $rate, within: 2 K, settle: 10 s}
  - hold: {for: 60 s, since: up.end}
"""
SHEET = """
labctl: batch/1
date: 2025-11-03 09:00
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
  S:  {lot: b, pump: pump_2, drawn: 1.0 mL}
"""
ALONE = """
import sys
from pathlib import Path
from labctl.prepare import Request, prepare
from labctl.session import dry_run
planned, _ = prepare(Request(Path(sys.argv[1])))
print(dry_run(planned, runs=Path(sys.argv[2])).summary["digest"])
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    path.with_name("short.batch.yaml").write_text(SHEET, encoding="utf-8")
    return path


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def interrupts(at_s):
    """What presses Ctrl-C when the first reading after `at_s` comes in."""

    def watch(run):
        pressed = []

        def look(message):
            if isinstance(message, Reading) and message.t_ns >= at_s * 10**9 and not pressed:
                pressed.append(signal.raise_signal(signal.SIGINT))

        run.bus.subscribe(look)

    return watch


def test_a_run_that_ends_well_says_so_and_how(recipe, runs):
    planned, findings = prepare(Request(recipe))
    result = dry_run(planned, runs=runs)
    assert findings == []
    assert result.exit_code is ExitCode.COMPLETE
    assert result.reason == ""
    summary = json.loads(json.dumps(result.summary))
    assert (summary["state"], summary["outcome"]) == ("complete", "complete")
    assert [step["id"] for step in summary["steps"]] == [
        "work.1", "work.2", "work.3", "s", "up", "work.6",
    ]  # fmt: skip
    assert [dose["id"] for dose in summary["doses"]] == ["work.1", "s"], "priming apart"
    hold = summary["steps"][-1]
    assert hold["end_s"] - hold["clock_s"] == pytest.approx(60, abs=1.5)
    assert result.directory.parent == runs


def test_the_same_seed_is_the_same_run_and_another_is_not(recipe, runs):
    planned, _ = prepare(Request(recipe))
    first, second, other = (dry_run(planned, seed=seed, runs=runs) for seed in (1, 1, 2))
    assert first.summary["digest"] == second.summary["digest"]
    assert first.summary["digest"] != other.summary["digest"]
    assert first.directory != second.directory


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_no_order_of_hashes_and_no_process_changes_a_run(recipe, runs, hash_seed):
    planned, _ = prepare(Request(recipe))
    here = dry_run(planned, runs=runs).summary["digest"]
    there = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", ALONE, str(recipe), str(runs)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert there.stdout.strip() == here


def test_a_setting_changes_the_run_and_stands_in_the_record(recipe, runs):
    hotter, _ = prepare(Request(recipe, settings={"top": "60 C"}))
    result = dry_run(hotter, runs=runs)
    with open_run(result.directory) as run:
        values = [value for value in run.series("flask.T")[1] if value is not None]
        assert run.meta.choices["top"] == "60 C"
        assert [(row.name, row.value) for row in run.assumed] == [("rate", "12 K/min")]
        assert [(lot.reagent, lot.lot, lot.by) for lot in run.lots] == [
            ("SQ", "a", "hand"), ("S", "b", "pump_2"),
        ]  # fmt: skip
        assert run.meta.recipe_text == RECIPE
        assert run.meta.batch_text == SHEET
    assert max(values) == pytest.approx(60, abs=3)


@pytest.mark.parametrize("at_s", [0, 3, 30, 100, 160])
def test_an_interrupt_ends_in_the_safe_state_with_a_readable_record(recipe, runs, at_s):
    planned, _ = prepare(Request(recipe))
    result = dry_run(planned, runs=runs, watch=interrupts(at_s))
    assert result.exit_code is ExitCode.INTERRUPTED
    assert result.exit_code == 130
    assert (result.summary["state"], result.summary["outcome"]) == ("safe", "safe")
    assert "interrupted" in result.reason
    with open_run(result.directory) as run:
        said = [event.message for event in run.events if event.code == "safe_state"]
        contactor = "the heater's contactor told to open"
        assert said[:3] == ["heater off", contactor, "syringe pumps stopped"]
        assert "inert gas on" in said
        (aborted,) = [event.t_ns for event in run.events if event.code == "aborting"]
        assert run.meta.end_ns - aborted < 10e9
        assert run.digest() == run.meta.digest
    assert aborted / 1e9 == pytest.approx(max(at_s, 0.5), abs=8 if at_s < 10 else 1.5)


def test_a_second_ctrl_c_changes_nothing(recipe, runs):
    planned, _ = prepare(Request(recipe))

    def watch(run):
        interrupts(60)(run)
        interrupts(60.5)(run)

    result = dry_run(planned, runs=runs, watch=watch)
    assert result.exit_code is ExitCode.INTERRUPTED
    assert result.summary["state"] == "safe"


def test_a_pace_changes_the_wall_time_and_nothing_else(recipe, runs):
    planned, _ = prepare(Request(recipe))
    paced = dry_run(planned, runs=runs, speed=2000.0)
    assert paced.summary["digest"] == dry_run(planned, runs=runs).summary["digest"]


def test_a_recipe_without_a_sheet_is_refused(recipe):
    recipe.with_name("short.batch.yaml").unlink()
    with pytest.raises(FindingsError, match=r"short\.batch\.yaml"):
        prepare(Request(recipe))


def test_the_twin_has_every_instrument_and_what_is_loaded(recipe):
    planned, _ = prepare(Request(recipe))
    spec = twin_spec(planned, 7)
    assert spec.seed == 7
    assert {device.name for device in spec.devices} == set(planned.rig.model.devices) - {"person"}
    (syringe,) = spec.syringes
    assert (syringe.device, syringe.reagent, syringe.drawn_ml) == ("pump_2", "S", 1.0)
    assert spec == twin_spec(planned, 7)
    assert meta_of(planned, 7, "id").simulated


@pytest.mark.parametrize(
    ("outcome", "interrupted", "code"),
    [
        ("complete", False, 0), ("complete_with_deviations", False, 4), ("safe", False, 3),
        ("faulted", False, 3), ("safe", True, 130), ("complete", True, 130),
    ],
)  # fmt: skip
def test_exit_codes_are_the_published_ones(outcome, interrupted, code):
    assert exit_code(outcome, interrupted=interrupted) == code
