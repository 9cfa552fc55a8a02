"""Decisions made again: the same when nothing is changed, and what another choice would give."""

from __future__ import annotations

import math
import shutil
import sqlite3
from dataclasses import replace

import pytest

from labctl.errors import UnknownNameError, UsageError
from labctl.record import Record, RunMeta, open_run
from labctl.replay import Frame, Watch, replay_run, replayed
from labctl.replay.estimators import Found
from labctl.replay.recorded import Peaks, peaks, with_peaks
from labctl.replay.watch import recipe_in, watches
from labctl.spectroscopy.temperature import to_25c

TAU_S, RISE_NM, START_NM = 200.0, 12.0, 566.0


@pytest.fixture(scope="module")
def record(paper_run):
    with open_run(paper_run) as run:
        yield run


def rising(minutes=60.0, *, every_s=10.0, hold=lambda t_s: False, noise=0.04):
    """Frames of a single exponential with a fixed pattern of noise."""
    frames = []
    for n in range(int(minutes * 60 / every_s)):
        t_s = n * every_s
        nm = START_NM + RISE_NM * (1 - math.exp(-t_s / TAU_S))
        nm += noise * math.sin(12.9898 * n) * math.cos(78.233 * n)
        frames.append(Frame(t_s, nm + 15.0, nm, 0.05, 200.0, hold(t_s)))
    return frames


def watch_of(frames, **changes):
    course = [(frame.t_s, frame.peak_nm) for frame in frames if frame.usable]
    return replace(Watch("wait", 0.0, frames, course=course), **changes)


def test_with_nothing_changed_every_decision_falls_on_the_same_frame(record):
    (made,) = replay_run(record, {})
    (decision,) = record.decisions
    last = record.inputs(decision.id)[-1]
    assert made.outcome.verdict == decision.verdict == "saturated"
    assert made.outcome.at_s * 1e9 == pytest.approx(last.t_ns, abs=1)
    assert made.outcome.reason == decision.reason
    assert made.outcome.last.remaining_nm == decision.evidence["remaining_nm"]
    assert made.outcome.last.shift_sd_nm == decision.evidence["shift_sd_nm"]
    assert made.settings.min_plateau_s == 300.0, "as the recipe says"
    band = to_25c(last.raw_nm, last.temperature_c).band_nm
    assert 0.02 * band < last.band_nm < band, "of a coefficient learnt in the run"


def test_a_decision_that_has_not_ended_is_made_from_the_recipe_and_the_baseline(
    record, paper_run, tmp_path
):
    file = shutil.copy(paper_run / "run.sqlite", tmp_path)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE decision SET verdict = NULL, at_ns = NULL, evidence = 'null'")
    connection.commit()
    connection.close()
    (whole,) = watches(record)
    with open_run(tmp_path) as run:
        (made,) = replay_run(run, {})
    assert made.watch.recorded.verdict is None
    assert made.watch.settings == whole.settings
    assert made.watch.also_flat
    assert made.watch.baseline[0] == whole.baseline[0]
    assert made.outcome.verdict == "saturated"


def test_the_tracker_finds_in_the_raw_counts_what_the_run_found(record):
    (watch,) = watches(record)
    again = with_peaks(watch, peaks(record, "tracker"))
    for was, now in zip(watch.frames, again.frames, strict=True):
        assert now.usable == was.usable
        assert now.peak_nm == pytest.approx(was.peak_nm, abs=0.02)
    (made,) = replay_run(record, {}, estimator="tracker")
    assert made.outcome.verdict == "saturated"


def test_single_frames_agree_and_the_highest_point_lies_to_the_blue(record):
    (watch,) = watches(record)
    window, argmax = (with_peaks(watch, peaks(record, name)) for name in ("window", "argmax"))
    off = [w.peak_nm - f.peak_nm for w, f in zip(window.seen, watch.seen, strict=True)]
    assert max(map(abs, off)) < 0.5
    off = [a.peak_nm - f.peak_nm for a, f in zip(argmax.seen, watch.seen, strict=True)]
    assert -9.0 < sum(off) / len(off) < -0.7


def test_other_settings_move_the_verdict(record):
    (early,) = replay_run(record, {"min_plateau_s": 0.0})
    (same,) = replay_run(record, {})
    assert early.outcome.verdict == "saturated"
    assert early.outcome.at_s < same.outcome.at_s, "now it is the light that is waited for"
    (late,) = replay_run(record, {"min_plateau_s": 900.0})
    assert late.outcome.verdict == "not decided"
    assert abs(early.to_come.nm) < 0.5
    (strict,) = replay_run(record, {"delta_nm": 0.05})
    assert strict.outcome.verdict == "not decided"


def test_a_timer_after_the_injection_would_have_missed_the_ramp(record):
    (made,) = replay_run(record, {}, timer_s=600.0)
    wait, injection = made.timers
    assert wait.started_s == made.watch.started_s
    assert injection.after == "the injection of S"
    assert injection.at_s == pytest.approx(injection.started_s + 600.0)
    assert injection.to_come.by == "plateau"
    assert 5.0 < injection.to_come.nm < 16.0


def test_what_is_still_to_come_is_that_of_the_exponential():
    made = replayed(watch_of(rising()), {}, 300.0)
    (timer,) = made.timers
    assert made.outcome.verdict == "saturated"
    assert timer.to_come.by == "plateau"
    assert timer.to_come.nm == pytest.approx(RISE_NM * math.exp(-300.0 / TAU_S), abs=0.15)


def test_without_a_plateau_the_detectors_estimate_stands_for_it():
    made = replayed(watch_of(rising(9.0)), {}, 480.0)
    (timer,) = made.timers
    assert made.outcome.verdict == "not decided"
    assert timer.to_come.by == "estimate"
    assert timer.to_come.nm == pytest.approx(RISE_NM * math.exp(-480.0 / TAU_S), abs=0.8)


def test_a_timer_beyond_the_frames_misses_something_unknown():
    (timer,) = replayed(watch_of(rising(9.0)), {}, 3600.0).timers
    assert timer.to_come.by == "unknown"
    assert math.isnan(timer.to_come.nm)


def test_holds_are_obeyed_but_for_aliquots():
    frames = rising(hold=lambda t_s: t_s < 1800.0)
    held = replayed(watch_of(frames), {}, 600.0)
    drawn = replayed(watch_of(frames, by_samples=True), {}, 600.0)
    assert held.outcome.at_s > 1800.0
    assert drawn.outcome.at_s < 1800.0


def test_moving_luminescence_keeps_the_decision_waiting():
    areas = [(t_s, 1.0 + t_s / 1800.0, 0.002) for t_s in range(0, 3600, 30)]
    flat = [(t_s, 1.0 + 0.002 * math.sin(t_s), 0.002) for t_s, _, _ in areas]
    frames = rising()
    moving = replayed(watch_of(frames, also_flat=True, areas=areas), {}, 600.0)
    resting = replayed(watch_of(frames, also_flat=True, areas=flat), {}, 600.0)
    unknown = replayed(watch_of(frames, also_flat=True, areas=None), {}, 600.0)
    assert moving.outcome.verdict == "not decided"
    assert moving.outcome.reason == "1S is saturated, PL is still moving"
    assert resting.outcome.verdict == unknown.outcome.verdict == "saturated"


def test_a_missing_frame_stays_missing_and_the_scale_is_carried_over_it():
    good = Frame(0.0, 600.0, 585.0, 0.05, 200.0)
    lost = Frame(10.0, math.nan, math.nan, math.nan, 200.0, usable=False)
    watch = Watch("w", 0.0, [good, lost])
    found = peaks_at(600.0, 600.0)
    again = with_peaks(watch, found)
    assert [frame.peak_nm for frame in again.seen] == pytest.approx([585.0, 585.0])
    assert again.seen[1].usable
    nothing = with_peaks(watch, Peaks([], []))
    assert not any(frame.usable for frame in nothing.seen)


def peaks_at(*nm):
    return Peaks([10.0 * n for n in range(len(nm))], [Found(p, 0.1, usable=True) for p in nm])


def test_no_frames_decide_nothing():
    made = replayed(Watch("w", 5.0, []), {}, 600.0)
    assert made.outcome.verdict == "not decided"
    assert made.outcome.at_s == 5.0
    assert made.to_come.by == "unknown"


def test_absurd_choices_are_refused(record):
    with pytest.raises(UsageError, match="delta_nm is 0"):
        replay_run(record, {"delta_nm": 0.0})
    with pytest.raises(UnknownNameError, match="did you mean 'tracker'"):
        replay_run(record, {}, estimator="traker")


def test_a_run_by_aliquots_is_made_again_from_cuvettes(by_hand_run):
    with open_run(by_hand_run) as run:
        (same,), (again,) = replay_run(run, {}), replay_run(run, {}, estimator="tracker")
        (decision,) = run.decisions
    assert same.watch.by_samples
    assert same.outcome.verdict == decision.verdict == "saturated"
    assert same.outcome.at_s == same.watch.seen[-1].t_s
    for was, now in zip(same.watch.seen, again.watch.seen, strict=True):
        assert now.peak_nm == pytest.approx(was.peak_nm, abs=0.01)
        assert now.sigma_nm == pytest.approx(was.sigma_nm, rel=0.02)
    assert again.outcome.verdict == "saturated"


USING = """\
labctl: recipe/1
name: uses a file
needs: {vessel: 50 mL, max_T: 100 C}
stages: {only: [use: {id: gas, recipe: blocks/fill.yaml, with: {cycles: 2}}]}
"""
FILL = """\
labctl: block/1
parameters: {cycles: {default: 3}}
steps: [backfill: {cycles: $cycles}]
"""


@pytest.mark.parametrize(("files", "steps"), [({"blocks/fill.yaml": FILL}, ["gas.1"]), ({}, None)])
def test_a_recipe_is_read_again_with_the_files_that_the_record_holds(tmp_path, files, steps):
    beside = tmp_path / "blocks/fill.yaml"
    beside.parent.mkdir()
    beside.write_text(FILL.replace("backfill", "changed"), encoding="utf-8")
    path, started = str(tmp_path / "r.yaml"), "2025-11-03T09:00:00"
    meta = RunMeta("id", "uses a file", path, USING, 1, True, started, files=files)
    Record.create(tmp_path / "run", meta, durable=False).close()
    with open_run(tmp_path / "run") as run:
        recipe = recipe_in(run)
    found = None if recipe is None else [step.id for step in recipe.stages[0].steps]
    assert found == steps
