"""Stirring judged by what two probes make of a dose."""

from __future__ import annotations

import math

import pytest

from labctl.engine.mixing import Mixing

NS = 10**9
DOSE = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}
"""


def doubts(spread_k, tau_s, offset_k=0.0, dosed=True):
    """A dose at 100 s leaves the second probe colder by `spread_k`, which fades with `tau_s`."""
    mixing, said = Mixing(), []
    for t in range(400):
        cold_k = spread_k * math.exp(-(t - 100) / tau_s) if t >= 100 else 0.0
        is_dosed = dosed and 100 <= t < 300
        doubt = mixing.see(float(t), 200.0, 200.0 - offset_k - cold_k, dosed=is_dosed)
        said += [(t, doubt)] if doubt else []
    return said


def test_a_dose_that_spreads_in_seconds_is_no_doubt():
    assert doubts(30.0, 0.3) == []
    assert doubts(10.0, 5.0) == []


def test_a_dose_that_stays_where_it_fell_is_doubted_once():
    ((at_s, said),) = doubts(12.0, 20.0)
    assert at_s == 115
    assert "differ by 5.7 K" in said


def test_probes_that_always_differ_say_nothing_of_mixing():
    assert doubts(0.0, 1.0, offset_k=6.0) == []
    assert len(doubts(12.0, 20.0, offset_k=-4.0)) == 1


def test_without_a_dose_nothing_is_doubted():
    assert doubts(12.0, 20.0, dosed=False) == []


@pytest.mark.parametrize(("contact", "doubted"), [(0.8, True), (1.0, False)])
def test_in_a_run_it_warns_and_the_run_goes_on(conducted, contact, doubted):
    def apart(world, inbox, rig):
        world.flask.thermal.contact_2 = contact

    heat = "  - ramp: {to: 60 C, within: 2 K}\n"
    run = conducted(
        f"{heat}{DOSE}  - hold: {{for: 120 s}}\n",
        during={260: apart},
    )
    warned = [alarm for alarm in run.alarms if alarm.id == "mixing"]
    assert bool(warned) is doubted
    assert all(alarm.severity == "warn" for alarm in warned)
    assert run.step("s").state == "done"
