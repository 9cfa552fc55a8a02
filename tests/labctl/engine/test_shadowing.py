"""Shadows of dry runs: own, golden, missing; warnings in the record, and none without cause."""

from __future__ import annotations

import pytest

from labctl.errors import ExitCode
from labctl.prepare import Request, prepare
from labctl.record import open_run
from labctl.registry import bundled_rig
from labctl.session import dry_run, golden_of, shadow_of

RECIPE = """
labctl: recipe/1
name: short
needs: {vessel: 50 mL, max_T: 210 C}
reagents:
  SQ: {is: squalane}
  S:  {is: TOP sulfide saturated, concentration: 2.17 mol/L}
park: {work: 25 C}
stages:
  work:
  - charge: {reagent: SQ, volume: 15 mL, by: hand}
  - stir: 600 rpm
  - ramp: {id: up, to: 200 C, rate: 15 K/min, within: 3 K, settle: 10 s, timeout: 60 min}
  - hold: {id: stay, for: 4 min}
"""
SHEET = """
labctl: batch/1
date: 2025-11-03 09:00
sample: T-1
golden: T-0
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
  S:  {lot: b, pump: pump_2, drawn: 1.0 mL}
accept: {thermal.air_exposure: {reason: nothing in it minds air, by: MT, date: 2025-11-03}}
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Plans of the short recipe: `planned(watts, sample)`."""
    folder = tmp_path_factory.mktemp("short")
    rig = bundled_rig().read_text(encoding="utf-8")
    recipe = folder / "short.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")

    def make(watts=80, sample="T-1", golden="T-0"):
        own = folder / f"rig{watts}.yaml"
        own.write_text(rig.replace("mantle: 80 W", f"mantle: {watts} W"), encoding="utf-8")
        sheet = folder / "sheet.yaml"
        text = SHEET.replace("T-1", sample).replace(
            "golden: T-0\n", golden and f"golden: {golden}\n"
        )
        sheet.write_text(text, encoding="utf-8")
        return prepare(Request(recipe, own, sheet))[0]

    return make


@pytest.fixture(scope="module")
def own(planned):
    return shadow_of(planned())


def told(directory):
    with open_run(directory) as run:
        return [event for event in run.events if event.code.startswith("shadow.")], run.alarms


def test_another_seed_of_the_same_recipe_departs_in_nothing(planned, own, tmp_path):
    for seed in (2, 3, 4):
        done = dry_run(planned(), seed=seed, runs=tmp_path, expected=[own])
        events, alarms = told(done.directory)
        assert [event.message for event in events] == ["compared with the recipe's own dry run"]
        assert alarms == []


def test_a_weak_mantle_is_named_and_stops_nothing(planned, own, tmp_path):
    done = dry_run(planned(40), runs=tmp_path, expected=[own])
    events, (alarm, *others) = told(done.directory)
    assert done.exit_code is ExitCode.COMPLETE
    assert others == []
    assert (alarm.id, alarm.severity) == ("expected.heating", "warn")
    assert "slower than expected" in alarm.message
    assert alarm.message.startswith("flask heats ")
    (warning,) = [event for event in events if event.code == "shadow.departs"]
    assert warning.level == "warning"
    assert warning.data["step"] == "up"
    assert warning.data["against"] == "the recipe's own dry run"
    with open_run(done.directory) as run:
        up = next(step for step in run.steps if step.id == "up")
    assert up.start_ns < alarm.t_on_ns < up.end_ns <= alarm.t_off_ns


def test_what_is_expected_is_recorded_beside_what_is_seen(planned, own, tmp_path):
    done = dry_run(planned(), seed=2, runs=tmp_path, expected=[own])
    with open_run(done.directory) as run:
        ghost = {t: v for t, v in zip(*run.series("expected.T"), strict=True) if v is not None}
        times, seen = run.series("flask.T")
        assert run.channels["expected.T"].kind == "assumed"
        assert set(run.channels) > {"expected.P", "expected.peak"}
    assert len(ghost) > 100
    near = [
        abs(value - ghost[min(ghost, key=lambda g, t=t: abs(g - t))])
        for t, value in zip(times[::30], seen[::30], strict=True)
        if value is not None and min(abs(g - t) for g in ghost) < 3.0
    ]
    assert max(near) < 6.0


def test_a_shadow_changes_nothing_but_what_it_adds(planned, own, tmp_path):
    plain = dry_run(planned(), seed=2, runs=tmp_path)
    with_it = dry_run(planned(), seed=2, runs=tmp_path, expected=[own])
    assert plain.summary["steps"] == with_it.summary["steps"]
    with open_run(plain.directory) as one, open_run(with_it.directory) as other:
        assert one.series("flask.T") == other.series("flask.T")


def test_the_last_good_batch_is_the_newest_complete_run_of_its_sample(planned, tmp_path):
    golden = dry_run(planned(sample="T-0"), seed=5, runs=tmp_path)
    dry_run(planned(sample="T-7"), seed=6, runs=tmp_path)
    found = golden_of(planned(), tmp_path)
    assert found.missing == ""
    with open_run(golden.directory) as run:
        times, values = run.series("flask.T")
        start_s = next(step.start_ns for step in run.steps if step.id == "up") / 1e9
    at_s, at_c = next((t - start_s, v) for t, v in zip(times, values, strict=True) if v > 100)
    assert found.steps["up"].flask_c.at(at_s) == pytest.approx(at_c, abs=0.01)
    assert golden_of(planned(golden="T-9"), tmp_path).missing
    assert golden_of(planned(golden=""), tmp_path) is None


def test_a_real_run_is_not_compared_with_a_simulated_batch(planned, tmp_path):
    dry_run(planned(sample="T-0"), runs=tmp_path)
    assert golden_of(planned(), tmp_path, simulated=False).missing


def test_a_golden_batch_that_is_not_there_is_told_and_the_run_goes_on(planned, tmp_path):
    absent = golden_of(planned(), tmp_path / "none")
    done = dry_run(planned(), runs=tmp_path, expected=[absent])
    ((event,), alarms) = told(done.directory)
    assert done.exit_code is ExitCode.COMPLETE
    assert (event.code, event.level) == ("shadow.missing", "warning")
    assert "the last good batch T-0" in event.message
    assert alarms == []
