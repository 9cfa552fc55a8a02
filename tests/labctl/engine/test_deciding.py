"""Decisions on the track: nothing is called saturated on a doubt, and all that was seen is kept."""

from __future__ import annotations

import datetime as dt
import math
import random
from types import SimpleNamespace

import pytest

from labctl.bench import Criterion
from labctl.clock import NS, VirtualClock
from labctl.engine.deciding import Decision, Level, Sighting
from labctl.engine.elapsed import Elapsed, Progress
from labctl.loop import VirtualLoop
from labctl.spectroscopy.temperature import NOMINAL, band_between

BEFORE_NM, RISE_NM, TAU_S = 566.0, 14.5, 300.0
SATURATED = Criterion("saturated", "peak", 5400.0, "before", settings={"min_plateau_s": 300.0})


class Kept:
    """The part of a record that a decision writes."""

    def __init__(self):
        self.inputs, self.ended = [], None

    def decision_started(self, t_ns, step, kind, track):
        return 7

    def decision_input(self, row):
        self.inputs.append(row)

    def decision_ended(self, key, t_ns, state, reason, evidence):
        self.ended = (key, t_ns, state, reason, evidence)


class Watch:
    """A decision fed with sightings every 10 s of a clock that the test moves."""

    def __init__(self, loop, criterion=SATURATED, *, by_samples=False):
        self.loop = loop
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        self.injecting = False
        self.signals = SimpleNamespace(latest={"stirrer.speed": 0}, value=lambda name: self.rpm)
        self.rpm = 600.0
        self.record = Kept()
        self.tracking = SimpleNamespace(
            sightings=[], areas=[], levels={"before": Level(BEFORE_NM, 0.05, 0.1, 1.0)},
            coefficient=NOMINAL, by_samples=by_samples,
        )  # fmt: skip
        run = SimpleNamespace(
            clock=clock, elapsed=Elapsed(clock), record=self.record, step_id="stage2.3",
            has_token=lambda kind: self.injecting, event=lambda *row: None,
            stirring=SimpleNamespace(asked_rpm=600.0), signals=self.signals,
        )  # fmt: skip
        self.elapsed = run.elapsed
        self.decision = Decision(run, self.tracking, criterion)

    def see(
        self, peak_nm, sigma_nm=0.05, temperature_c=250.0, usable=True, raw_nm=None, every_s=10
    ):
        self.loop._now_ns += every_s * NS
        raw_nm = peak_nm + 21.5 if raw_nm is None else raw_nm
        self.tracking.sightings.append(
            Sighting(self.loop._now_ns, raw_nm, peak_nm, sigma_nm, 0.1, temperature_c, usable)
        )
        return self.decision.look()


@pytest.fixture
def watched():
    loop = VirtualLoop()
    yield lambda *given, **named: Watch(loop, *given, **named)
    loop.close()


def grown(t_s):
    return BEFORE_NM + RISE_NM * (1 - math.exp(-t_s / TAU_S))


def react(watch, until_s, noise_nm=0.05, seed=1):
    """Follow a reaction to its plateau; return the s at which it was decided, or None."""
    noise = random.Random(seed)
    for t_s in range(0, until_s, 10):
        if watch.see(grown(t_s) + noise.gauss(0, noise_nm)):
            return t_s
    return None


def test_a_reaction_that_ends_is_saturated_after_its_true_plateau(watched):
    watch = watched()
    at_s = react(watch, 5400)
    ruling = watch.decision.close()
    assert ruling.state == "saturated"
    remaining_nm = RISE_NM * math.exp(-at_s / TAU_S)
    assert remaining_nm < 0.5
    assert at_s > 3 * TAU_S, "not before 95 % of the rise"
    key, at_ns, state, _, evidence = watch.record.ended
    assert (key, at_ns, state) == (7, watch.loop._now_ns, "saturated")
    assert evidence["shift_nm"] == pytest.approx(RISE_NM, abs=1)
    assert evidence["coefficient_source"] == NOMINAL.source


def test_what_a_decision_saw_is_kept_row_by_row(watched):
    watch = watched()
    react(watch, 300)
    watch.see(math.nan, math.nan, usable=False, raw_nm=math.nan)
    watch.injecting = True
    watch.see(570.0)
    rows = watch.record.inputs
    assert [row.t_ns for row in rows] == [s.t_ns for s in watch.tracking.sightings]
    assert [row.peak_nm for row in rows[:30]] == [s.peak_nm for s in watch.tracking.sightings[:30]]
    assert [row.used for row in rows[-2:]] == [False, True]
    assert rows[-2].peak_nm is None
    assert [row.hold for row in rows] == [False] * 31 + [True]


@pytest.mark.parametrize("rpm", [0.0, 250.0, None])
def test_a_flask_that_is_not_stirred_is_on_hold_and_counts_from_when_it_is(watched, rpm):
    watch = watched()
    react(watch, 600)
    watch.rpm = rpm
    stopped_nm = grown(600)
    assert not any(watch.see(stopped_nm + 0.01 * (n % 3)) for n in range(200))
    assert {row.hold for row in watch.record.inputs[60:]} == {True}
    watch.rpm = 590.0
    watch.see(stopped_nm)
    assert not watch.record.inputs[-1].hold


def test_each_sighting_is_taken_once_however_often_one_looks(watched):
    watch = watched()
    react(watch, 100)
    for _ in range(5):
        watch.decision.look()
    assert len(watch.record.inputs) == 10


def test_frames_from_before_are_none_of_its_business(watched):
    watch = watched()
    react(watch, 100)
    later = Decision(watch.decision._run, watch.tracking, SATURATED)
    later.look()
    assert len(watch.record.inputs) == 10


def test_no_usable_frame_never_saturates(watched):
    watch = watched()
    for _ in range(540):
        if watch.see(math.nan, math.nan, usable=False, raw_nm=math.nan):
            break
    assert watch.decision.close().state != "saturated"


def test_a_frozen_source_is_a_fault_and_never_saturated(watched):
    watch = watched()
    react(watch, 600)
    stuck = watch.tracking.sightings[-1]
    for _ in range(300):
        if watch.see(stuck.peak_nm, raw_nm=stuck.raw_nm):
            break
    assert watch.decision.close().state == "fault"


@pytest.mark.parametrize("seed", range(8))
def test_a_peak_that_never_moved_is_never_saturated(watched, seed):
    watch, noise = watched(), random.Random(seed)
    for _ in range(540):
        if watch.see(BEFORE_NM + noise.gauss(0, 0.05)):
            break
    assert watch.decision.close().state in {"no_reaction", "fault"}


def test_a_peak_that_never_moved_is_no_reaction(watched):
    watch, noise = watched(), random.Random(1)
    while not watch.see(BEFORE_NM + noise.gauss(0, 0.05)):
        assert watch.elapsed.now_s() < 3600
    assert watch.decision.close().state == "no_reaction"


def test_without_a_temperature_nothing_is_decided(watched):
    watch, noise = watched(), random.Random(1)
    for t_s in range(0, 5400, 10):
        decided = watch.see(grown(t_s) + noise.gauss(0, 0.05), temperature_c=math.nan, usable=False)
        if decided:
            break
    assert watch.decision.close().state != "saturated"


def test_a_long_injection_token_holds_the_decision_back(watched):
    watch, noise = watched(), random.Random(1)
    watch.injecting = True
    for t_s in range(0, 5400, 10):
        assert not watch.see(grown(t_s) + noise.gauss(0, 0.05))
    assert watch.decision.close().state == "timeout"


def test_a_run_that_is_frozen_decides_nothing(watched):
    watch, noise = watched(), random.Random(1)
    watch.elapsed.freeze()
    for t_s in range(0, 5400, 10):
        assert not watch.see(grown(t_s) + noise.gauss(0, 0.05))


@pytest.mark.parametrize(
    ("areas", "state"), [("rising", "timeout"), ("flat", "saturated"), ("none", "timeout")]
)
def test_saturated_and_flat_needs_the_light_to_stand_still_too(watched, areas, state):
    watch = watched(Criterion("saturated", "peak", 5400.0, "before", also_flat="pl"))
    noise = random.Random(1)
    for t_s in range(0, 3600, 10):
        if t_s % 30 == 0 and areas != "none":
            level = 1.0 + (t_s / 1000 if areas == "rising" else 0.0)
            now_s = watch.elapsed.now_s()
            watch.tracking.areas.append((now_s, level + noise.gauss(0, 0.005), 0.005))
        if watch.see(grown(t_s) + noise.gauss(0, 0.05)):
            break
    assert watch.decision.close().state == state
    assert watch.record.ended[-1]["flat"] is (state == "saturated")


@pytest.mark.parametrize(
    ("rising", "target_nm", "state"),
    [(True, 575.0, "reached"), (True, 590.0, "timeout"), (False, 560.0, "timeout")],
)
def test_a_target_is_reached_by_three_frames_and_not_by_one_wild_one(
    watched, rising, target_nm, state
):
    watch = watched(Criterion("reaches", "peak", 5400.0, target_nm=target_nm, rising=rising))
    watch.see(grown(0))
    assert not watch.see(600.0 if rising else 500.0), "one frame is no level"
    react(watch, 3000)
    assert watch.decision.close().state == state


def test_steady_is_slow_movement_for_long_enough(watched):
    slow = Criterion("steady", "peak", 5400.0, slower_than_nm_min=0.3, not_before_s=600.0)
    watch = watched(slow)
    at_s = react(watch, 5400, noise_nm=0.01)
    assert watch.decision.close().state == "steady"
    slope_nm_min = RISE_NM / TAU_S * 60 * math.exp(-at_s / TAU_S)
    assert slope_nm_min < 0.35
    assert at_s >= 590


def test_a_dead_source_is_never_steady(watched):
    slow = Criterion("steady", "peak", 5400.0, slower_than_nm_min=0.3)
    watch, noise = watched(slow), random.Random(1)
    for _ in range(100):
        assert not watch.see(570.0 + noise.gauss(0, 0.05), raw_nm=591.5)


def test_movement_that_noise_hides_is_not_called_slow(watched):
    watch = watched(Criterion("steady", "peak", 5400.0, slower_than_nm_min=0.3))
    noise = random.Random(1)
    fired = [watch.see(grown(0) + noise.gauss(0, 1.5), sigma_nm=1.5) for _ in range(60)]
    assert not any(fired)


def test_what_is_waited_for_is_said_anew_with_every_frame(watched):
    watch = watched(Criterion("reaches", "peak", 5400.0, target_nm=575.0, lead_s=20.0))
    watch.elapsed.progress = Progress("something", 0.0, None, 60.0)
    react(watch, 200)
    assert watch.elapsed.progress.waits_for == watch.decision.words()
    assert "there in about" in watch.decision.words()


def test_a_target_leaves_its_evidence(watched):
    watch = watched(Criterion("reaches", "peak", 5400.0, target_nm=575.0, lead_s=20.0))
    at_s = react(watch, 3000)
    assert grown(at_s) < 575.0 < grown(at_s + 30)
    watch.decision.close()
    evidence = watch.record.ended[-1]
    assert evidence["arrival_s"] == pytest.approx(20.0, abs=6)
    assert evidence["level_nm"] == pytest.approx(grown(at_s), abs=0.2)
    assert (evidence["target_nm"], evidence["band_nm"]) == (575.0, 0.1)


def test_aliquots_measured_cold_need_no_temperature_in_the_flask(watched):
    watch = watched(by_samples=True)
    noise = random.Random(1)
    for t_s in range(0, 5400, 300):
        cold_nm = grown(t_s) + noise.gauss(0, 0.03)
        if watch.see(cold_nm, 0.03, 25.0, raw_nm=cold_nm, every_s=300):
            break
    assert watch.decision.close().state == "saturated"


@pytest.mark.parametrize("level_c", [120.0, 249.0])
def test_what_counts_is_the_band_of_the_way_from_the_baseline(watched, level_c):
    watch = watched()
    watch.tracking.levels["before"] = Level(BEFORE_NM, 0.05, 2.5, 1.0, level_c)
    watch.see(BEFORE_NM, temperature_c=250.0)
    later = Decision(watch.decision._run, watch.tracking, SATURATED)
    noise = random.Random(3)
    for t_s in range(0, 600, 10):
        watch.loop._now_ns += 10 * NS
        peak_nm = grown(t_s) + noise.gauss(0, 0.05)
        seen = Sighting(watch.loop._now_ns, peak_nm + 21, peak_nm, 0.05, 2.5, 250.0, True)
        watch.tracking.sightings.append(seen)
        later.look()
    later.close()
    band_nm = band_between(level_c, 250.0, BEFORE_NM)
    assert watch.record.ended[-1]["shift_sd_nm"] == pytest.approx(band_nm, rel=0.15, abs=0.1)
