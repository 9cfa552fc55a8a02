"""Thermal verification: each rule alone, the table of faults in small, and a fault on a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.thermal import FAULTS, IN_HOLD_S, IN_RAMP_S, clean, detection
from labctl.engine.thermal_watch import MantleModel, ThermalLimits, ThermalSample, ThermalWatch

LIMITS = ThermalLimits(260.0, full=0.85)
MODEL = MantleModel(80.0, 47.0)
BY_NAME = {fault.name: fault for fault in FAULTS}


def watch(**more):
    return ThermalWatch(LIMITS, MODEL, **more)


def see(watched, temperatures, **more):
    """Feed one temperature per second; return the first verdict and its second."""
    rest = {"output": 0.3, "setpoint_c": 200.0} | more
    for n, flask_c in enumerate(temperatures):
        verdict = watched.see(ThermalSample(float(n), flask_c, **rest))
        if verdict is not None:
            return verdict.rule, n
    return None


def wavy(start_c, rate_k_s, count):
    """A line with a digit that moves."""
    return [round(start_c + rate_k_s * n + 0.1 * (n % 2), 1) for n in range(count)]


def test_an_open_thermocouple_is_seen_at_once_and_a_lost_one_after_three_seconds():
    assert see(watch(), [200.0, 200.1, 1370.0]) == ("R1", 2)
    assert see(watch(), [200.0, None, None, 200.0]) is None
    assert see(watch(), [200.0, None, None, None, None]) == ("R1", 4)


@pytest.mark.parametrize(
    ("rate_k_s", "rule"), [(-1.9, "R2"), (-1.6, None), (3.2, "R3"), (2.8, None)]
)
def test_no_flask_falls_or_rises_faster_than_physics_allow(rate_k_s, rule):
    found = see(watch(rules=["R2", "R3"]), [200.0 + rate_k_s * n for n in range(8)])
    assert (found and found[0]) == rule


def test_a_dose_may_drop_the_flask():
    drop = [200.0, 200.1, 180.0, 165.0]
    assert see(watch(), drop) == ("R2", 2)
    assert see(watch(), drop, disturbed=True) is None


def test_full_power_must_show_within_a_minute():
    full = {"output": 0.85, "setpoint_c": 200.0}
    assert see(watch(rules=["R4"]), wavy(100.0, 0.01, 90), **full) == ("R4", 60)
    assert see(watch(rules=["R4"]), wavy(100.0, 0.03, 90), **full) is None
    near = {"output": 0.85, "setpoint_c": 110.0}
    assert see(watch(rules=["R4"]), wavy(100.0, 0.0, 90), **near) is None


def test_without_output_no_flask_goes_on_rising():
    off = {"output": 0.0, "setpoint_c": 100.0}
    assert see(watch(rules=["R5"]), wavy(100.0, 0.2, 90), **off) == ("R5", 45)
    assert see(watch(rules=["R5"]), wavy(100.0, 0.1, 90), **off) is None
    off["heating"] = False
    assert see(watch(rules=["R5"]), wavy(100.0, 0.2, 90), **off) == ("R5", 45), "heat is off"


def test_a_mantle_probe_sees_a_stuck_relay_sooner():
    watched = watch(rules=["R5"])
    for n in range(60):
        sample = ThermalSample(float(n), 100.0 + 0.1 * n, 0.0, 100.0, mantle_c=140.0 + 0.4 * n)
        if watched.see(sample) is not None:
            break
    assert n == 25


def test_a_sensor_whose_last_digit_stands_still_is_stuck():
    assert see(watch(rules=["R7"]), [200.0] * 200) == ("R7", 181)
    assert see(watch(rules=["R7"]), wavy(200.0, 0.0, 400)) is None
    assert see(watch(rules=["R7"]), [22.0] * 400, heating=False) is None


def test_two_probes_that_disagree_for_ten_seconds():
    watched = watch(rules=["R8"])
    verdicts = [
        watched.see(ThermalSample(float(n), 200.0, 0.3, 200.0, second_c=208.5)) for n in range(11)
    ]
    assert [v.rule for v in verdicts if v] == ["R8"]


def test_nothing_gets_hotter_than_the_recipe_says():
    assert see(watch(rules=["R9"]), [267.9, 268.0]) is None
    assert see(watch(rules=["R9"]), [267.9, 268.1]) == ("R9", 1)


def test_the_observer_rests_while_the_mantle_is_lowered():
    falls = wavy(300.0, -0.7, 300)
    assert (see(watch(rules=["R6"]), falls, output=0.0) or [""])[0] == "R6"
    assert see(watch(rules=["R6"]), falls, output=0.0, bare=True) is None


def test_no_clean_run_of_varied_plants_trips():
    courses, wrong = clean(6)
    assert wrong == []
    assert max(course.highest_c for course in courses) > 318, "they were really heated"


@pytest.mark.parametrize(
    ("name", "at_s", "probes", "within_s", "below_c"),
    [("probe out", IN_HOLD_S, 1, 2, 262), ("probe out", IN_RAMP_S, 1, 2, 160),
     ("partial slip 0.85", IN_RAMP_S, 1, 3, 160), ("SSR stuck on", IN_HOLD_S, 1, 100, 275),
     ("SSR stuck on", IN_RAMP_S, 1, 100, 200), ("heater open", IN_HOLD_S, 1, 220, 262),
     ("heater open", IN_RAMP_S, 1, 100, 160), ("sensor stuck", IN_HOLD_S, 1, 185, 265),
     ("sensor stuck", IN_RAMP_S, 2, 60, 170), ("slow slip, 30 % in 600 s", IN_HOLD_S, 2, 90, 270),
     ("slow slip, 30 % in 600 s", IN_RAMP_S, 2, 130, 180),
     ("TC open, reads 1370", IN_HOLD_S, 1, 1, 262)],
)  # fmt: skip
def test_a_fault_is_found_in_time(name, at_s, probes, within_s, below_c):
    for course in detection(BY_NAME[name], at_s, probes, 2):
        assert course.found_s is not None
        assert 0 < course.found_s <= within_s
        assert course.highest_c < below_c


def test_one_probe_that_creeps_out_is_found_late_which_is_why_there_are_two():
    found = detection(BY_NAME["slow slip, 30 % in 600 s"], IN_HOLD_S, 1, 2)
    assert all(course.found_s is None or course.found_s > 300 for course in found)


def test_a_probe_that_slips_out_of_the_flask_ends_the_run_with_the_heat_off(conducted, rig_text):
    def slips(world, inbox, rig):
        world.flask.thermal.contact_1 = 0.1

    rig = "\n".join(line for line in rig_text.splitlines() if "id: two_probes" not in line)
    run = conducted("  - ramp: {to: 90 C, within: 2 K}\n", rig=rig, during={100: slips})
    assert run.outcome == "safe"
    assert run.alarms[0].id == "thermal_R2"
    assert run.alarms[0].t_on_ns < 103e9
    assert run.truth["heater_w"] == 0.0


def test_constants_can_be_set_one_by_one():
    limits = replace(LIMITS, probes_k=3.0)
    watched = ThermalWatch(limits, MODEL)
    verdicts = [
        watched.see(ThermalSample(float(n), 200.0 + n % 2, 0.3, 200.0, second_c=205.0))
        for n in range(11)
    ]
    assert [v.rule for v in verdicts if v] == ["R8"]
