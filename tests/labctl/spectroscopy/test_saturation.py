from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.errors import UsageError
from labctl.spectroscopy.saturation import SaturationDetector, SaturationSettings
from labctl.spectroscopy.saturation_samples import HealthWatch

SOUND = [
    "clean", "noisy", "fast", "slow", "small shift", "blueshift", "biexponential", "stretched",
    "second order", "power law", "delayed onset", "blue then red", "ZnS stage II", "aliquots",
    "lamp drift", "fouling", "bubbles", "ramp, overshoot", "PID ripple", "40 % missing, gaps",
    "irregular", "20-45 s sampling", "1-5 s sampling", "sigma 3x too small", "sigma 2x too large",
    "no sigma", "step artefact", "correlated noise", "mixture", "mixture II", "mixture III",
    "delayed onset, hold", "second rise, hold", "stirrer stop, hold", "long tail, hold",
    "NaN, inf, 0 frames",
]  # fmt: skip
NEVER = [
    "parabolic, never", "slow tail, never", "no reaction", "warmed, no reaction", "frozen",
    "dead constant", "clamped",
]  # fmt: skip
FAULTS = {"frozen", "dead constant", "clamped"}


def watch(scenario, detector=None):
    """Feed a scenario until it is declared saturated; give that time (inf) and the last verdict."""
    detector = detector or SaturationDetector()
    verdict = None
    for row in scenario.samples:
        verdict = detector.update(*row)
        if verdict.state == "saturated":
            return row[0], verdict
    return math.inf, verdict


@pytest.mark.parametrize("family", SOUND)
def test_a_reaction_is_never_declared_over_before_it_is(scenarios, family):
    case = scenarios.build(family, seed=11)
    declared_s, _ = watch(case)
    assert declared_s >= case.settled_s


@pytest.mark.parametrize("family", NEVER)
def test_what_must_never_fire_never_fires(scenarios, family):
    declared_s, verdict = watch(scenarios.build(family, seed=11))
    assert math.isinf(declared_s)
    if family == "no reaction":
        assert verdict.state == "no_reaction"
    if family in FAULTS:
        assert verdict.state == "fault"
        assert "exactly" in verdict.reason or "scatters" in verdict.reason


@pytest.mark.parametrize("family", ["clean", "slow", "PID ripple", "bubbles", "ZnS stage II"])
def test_a_finished_reaction_is_declared_within_the_run(scenarios, family):
    for seed in (21, 22):
        case = scenarios.build(family, seed)
        declared_s, verdict = watch(case)
        assert case.settled_s <= declared_s < 5400.0
        assert verdict.probability >= 0.99
        low, high = verdict.interval_nm
        assert low <= verdict.remaining_nm <= high
        assert abs(verdict.slope_nm_min) < 0.1
        assert verdict.shift_nm == pytest.approx(case.samples[-1][1] - 580.0, abs=4.0)


def settled(detector, level_nm=590.0, start_s=0.0, length_s=2400.0, sigma=0.05, seed=0, **known):
    """Feed a plateau; give the first time of `saturated`, or infinity, and the last verdict."""
    rng = np.random.default_rng(seed)
    verdict = None
    for t_s in np.arange(start_s, start_s + length_s, 10.0):
        peak = level_nm + sigma * rng.standard_normal()
        verdict = detector.update(t_s, peak, sigma, 250.0, **known)
        if verdict.state == "saturated":
            return t_s, verdict
    return math.inf, verdict


def test_a_shift_that_happened_before_the_plateau_counts_from_the_baseline():
    detector = SaturationDetector()
    detector.set_baseline(575.0, 0.4)
    declared_s, verdict = settled(detector)
    assert declared_s < 1800.0
    assert verdict.shift_nm == pytest.approx(15.0, abs=0.2)
    assert verdict.shift_sd_nm == pytest.approx(0.4, rel=0.1)


def test_without_a_baseline_a_plateau_is_no_reaction():
    declared_s, verdict = settled(SaturationDetector())
    assert math.isinf(declared_s)
    assert verdict.state == "no_reaction"


def test_a_shift_within_the_band_of_the_correction_is_a_doubt():
    detector = SaturationDetector()
    detector.set_baseline(587.0, 3.1)
    declared_s, verdict = settled(detector)
    assert math.isinf(declared_s)
    assert verdict.state == "changing"
    assert "does not prove" in verdict.reason


def test_a_plateau_must_last_as_long_as_asked():
    plain, patient = SaturationDetector(), SaturationDetector(SaturationSettings(min_plateau_s=600))
    for detector in (plain, patient):
        detector.set_baseline(575.0, 0.1)
    first, _ = settled(plain)
    second, _ = settled(patient)
    assert 550.0 <= second - first <= 700.0


def test_a_hold_is_never_a_plateau_and_the_time_before_it_does_not_count():
    detector = SaturationDetector()
    detector.set_baseline(575.0, 0.1)
    declared_s, verdict = settled(detector, hold=True)
    assert math.isinf(declared_s)
    assert "hold" in verdict.reason
    declared_s, _ = settled(detector, start_s=2400.0)
    assert declared_s >= 2400.0 + 180.0


def test_a_ramp_is_never_a_plateau():
    detector = SaturationDetector()
    detector.set_baseline(575.0, 0.1)
    rng = np.random.default_rng(4)
    for t_s in np.arange(0.0, 3000.0, 10.0):
        peak = 590.0 + 0.05 * rng.standard_normal()
        verdict = detector.update(t_s, peak, 0.05, 120.0 + t_s / 12.0)
        assert verdict.state == "collecting"
    assert "temperature" in verdict.reason


@pytest.mark.parametrize("bad_c", [math.nan, math.inf, 4000.0])
def test_an_unknown_temperature_is_a_doubt_and_then_a_fault(bad_c):
    detector = SaturationDetector()
    detector.set_baseline(575.0, 0.1)
    states = [
        detector.update(10.0 * i, 590.0 + 0.05 * (-1) ** i, 0.05, bad_c).state for i in range(200)
    ]
    assert set(states) == {"collecting", "fault"}
    assert states[-1] == "fault"


def test_a_doubtful_frame_after_saturation_is_not_saturated():
    detector = SaturationDetector()
    detector.set_baseline(575.0, 0.1)
    declared_s, _ = settled(detector)
    assert detector.update(declared_s + 10.0, math.nan, 0.05, 250.0).state == "collecting"


def test_missing_frames_become_a_fault():
    detector = SaturationDetector()
    detector.update(0.0, 580.0, 0.1, 200.0)
    verdicts = [detector.update(10.0 * i, math.nan, math.nan, 200.0) for i in range(1, 60)]
    assert verdicts[-1].state == "fault"
    assert "no usable peak" in verdicts[-1].reason


def test_aliquots_every_five_minutes_are_enough():
    rng = np.random.default_rng(5)
    detector = SaturationDetector()
    detector.set_baseline(580.0, 0.5)
    declared_s = math.inf
    for t_s in np.arange(0.0, 4 * 3600.0, 300.0):
        peak = 580.0 - 15.0 * math.expm1(-t_s / 900.0) + 0.1 * rng.standard_normal()
        if detector.update(t_s, peak, 0.1).state == "saturated":
            declared_s = t_s
            break
    assert 900.0 * math.log(30.0) < declared_s < 4 * 3600.0


def test_a_clock_that_jumps_back_and_forth_saturates_nothing_early(scenarios):
    for seed in range(31, 34):
        case = scenarios.build("clock jump", seed)
        detector = SaturationDetector()
        for true_s, row in zip(case.true_s, case.samples, strict=True):
            if detector.update(*row).state == "saturated":
                assert true_s >= case.settled_s
                break
        else:
            pytest.fail("never fired")


def test_the_evidence_is_plain_json():
    detector = SaturationDetector()
    first = json.loads(json.dumps(detector.update(0.0, 580.0, 0.1, 200.0).evidence()))
    assert first["state"] == "collecting"
    assert first["remaining_nm"] is None
    detector.set_baseline(575.0, 0.1)
    _, verdict = settled(detector, start_s=10.0)
    later = json.loads(json.dumps(verdict.evidence(), allow_nan=False))
    assert len(later["interval_nm"]) == 2
    assert later["n"] >= 8


@pytest.mark.parametrize(
    "wrong", [{"delta_nm": 0.0}, {"tau_max_s": 1.0}, {"alpha": 0.5}, {"min_shift_nm": math.nan}]
)
def test_settings_that_no_reaction_can_meet_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SaturationSettings(**wrong)


def warmed(detector, band_nm, seed=6):
    """A finished sample from 200 to 250 °C, its correction 25 % of the way wrong."""
    rng = np.random.default_rng(seed)
    states = []
    for t_s in np.arange(0.0, 3600.0, 10.0):
        kelvin = float(np.clip((t_s - 600.0) / 6.0, 0.0, 50.0))
        peak = 590.0 + 0.25 * 0.09 * kelvin + 0.05 * rng.standard_normal()
        band = band_nm * (1.0 + kelvin / 175.0)
        states.append(detector.update(t_s, peak, 0.05, 200.0 + kelvin, band_nm=band))
    return states


def test_a_ramp_on_a_saturated_sample_is_no_adsorption():
    detector = SaturationDetector(SaturationSettings(min_shift_nm=0.8))
    detector.set_baseline(590.0, 0.05, 3.9)
    verdicts = warmed(detector, 3.9)
    assert "saturated" not in {v.state for v in verdicts}
    assert verdicts[-1].shift_nm == pytest.approx(1.125, abs=0.15)
    assert verdicts[-1].shift_sd_nm == pytest.approx(3.9 * 50.0 / 175.0, rel=0.05)
    assert "does not prove" in verdicts[-1].reason


def test_only_the_difference_of_two_bands_is_in_doubt():
    detector = SaturationDetector()
    detector.set_baseline(575.0, 0.05, 3.9)
    declared_s, verdict = settled(detector, band_nm=4.0)
    assert declared_s < 1800.0
    assert verdict.shift_sd_nm == pytest.approx(math.hypot(0.05, 0.1), abs=0.03)


def test_a_band_that_grows_within_a_segment_counts_against_what_remains():
    rng = np.random.default_rng(8)
    sds = []
    for growing in (0.0, 0.3):
        detector = SaturationDetector()
        detector.set_baseline(575.0, 0.05, 4.0)
        for t_s in np.arange(0.0, 2400.0, 10.0):
            kelvin = 3.0 * t_s / 2400.0
            peak = 590.0 + 0.05 * rng.standard_normal()
            verdict = detector.update(
                t_s, peak, 0.05, 200.0 + kelvin, band_nm=4.0 + growing * kelvin
            )
        sds.append(verdict.interval_nm[1] - verdict.interval_nm[0])
        assert verdict.segment_band_nm == pytest.approx(growing * kelvin, abs=0.01)
    assert sds[1] > sds[0] + 2.0 * 3.0 * 0.7


@pytest.mark.parametrize("band_nm", [math.nan, math.inf, -1.0])
def test_a_band_that_is_no_band_is_a_doubt(band_nm):
    detector = SaturationDetector()
    detector.set_baseline(575.0, 0.1)
    declared_s, verdict = settled(detector, band_nm=band_nm)
    assert math.isinf(declared_s)
    assert verdict.state == "fault"


def test_a_step_of_the_instrument_is_no_reaction():
    rng = np.random.default_rng(9)
    detector = SaturationDetector()
    detector.set_baseline(590.0, 0.05)
    for t_s in np.arange(0.0, 3600.0, 10.0):
        peak = 590.0 + 3.0 * (t_s > 900.0) + 0.05 * rng.standard_normal()
        assert detector.update(t_s, peak, 0.05, 200.0).state != "saturated"


def test_a_step_does_not_cost_what_was_known_before():
    plain, stepped = SaturationDetector(), SaturationDetector()
    declared = []
    for detector, height in ((plain, 0.0), (stepped, 2.0)):
        rng = np.random.default_rng(10)
        for t_s in np.arange(0.0, 3600.0, 10.0):
            course = 580.0 - 15.0 * math.exp(-t_s / 150.0) + height * (t_s > 450.0)
            verdict = detector.update(t_s, course + 0.05 * rng.standard_normal(), 0.05, 200.0)
            if verdict.state == "saturated":
                declared.append(t_s)
                break
    assert min(declared) > 510.0
    assert declared[1] < declared[0] + 300.0


def test_a_gap_is_a_doubt_but_forgets_nothing():
    detector = SaturationDetector()
    detector.set_baseline(575.0, 0.1)
    declared_s, _ = settled(detector)
    later_s = declared_s + 1000.0
    assert detector.update(later_s, 590.0, 0.05, 250.0).state == "collecting"
    again_s, verdict = settled(detector, start_s=later_s + 10.0, seed=1)
    assert 60.0 <= again_s - later_s <= 240.0
    assert verdict.n > 6


def test_two_outliers_in_the_first_bin_do_not_make_a_reaction():
    rng = np.random.default_rng(12)
    detector = SaturationDetector()
    detector.set_baseline(580.0, 0.1)
    for t_s in np.arange(0.0, 3600.0, 10.0):
        peak = 580.0 - 10.0 * math.expm1(-t_s / 150.0) - 0.1 * t_s / 60.0
        peak += {10.0: -4.4, 20.0: -9.5}.get(t_s, 0.0)
        verdict = detector.update(t_s, peak + 0.05 * rng.standard_normal(), 0.05, 200.0)
        assert verdict.state != "saturated"


ANY = st.floats()
PEAK = st.one_of(ANY, st.floats(575.0, 585.0), st.just(580.0))
TIMES = st.one_of(ANY, st.floats(0.0, 1e4))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            TIMES,
            PEAK,
            st.one_of(st.none(), ANY, st.just(0.1)),
            st.one_of(st.none(), ANY, st.just(200.0)),
            st.booleans(),
            st.one_of(st.none(), PEAK),
            st.one_of(ANY, st.just(0.0), st.floats(0.0, 5.0)),
        ),
        max_size=80,
    ),
    baseline=st.tuples(ANY, ANY, st.one_of(st.none(), ANY)),
)
def test_no_input_raises(rows, baseline):
    detector = SaturationDetector()
    detector.set_baseline(*baseline)
    for row in rows:
        assert 0.0 <= detector.update(*row).probability <= 1.0


@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(st.floats(1e-3, 600.0), min_size=40, max_size=120),
    seed=st.integers(0, 2**32 - 1),
    sigma=st.sampled_from([None, 1e-300, 1e-6, 0.1, 40.0]),
)
def test_no_sampling_raises_and_growth_is_never_saturated(steps, seed, sigma):
    rng = np.random.default_rng(seed)
    detector = SaturationDetector()
    t_s = 0.0
    for step in steps:
        t_s += step
        peak = 580.0 + t_s / 120.0 + 0.05 * rng.standard_normal()
        assert detector.update(t_s, min(peak, 1400.0), sigma, 200.0).state != "saturated"


def test_a_live_source_is_not_called_frozen_by_chance():
    """White noise as it is reported, three hundred samples a run, four hundred runs."""
    rng = np.random.default_rng(11)
    for row in 580.0 + 0.02 * rng.standard_normal((400, 300)):
        watch = HealthWatch()
        assert not any(watch.fault(float(peak_nm), 0.02) for peak_nm in row)
