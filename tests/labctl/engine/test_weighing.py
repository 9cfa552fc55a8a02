"""Shots on a balance: masses, not the pump's word, and what is not given is not taken for given."""

from __future__ import annotations

import pytest

STEPS = "  - prime: {reagents: [S], into: waste}\n"
WEIGH = STEPS + "  - weigh: {id: w, reagent: S, volume: 0.2 mL, over: 30 s, shots: 3}\n"


def weighed(run):
    return [event.data for event in run.events if event.code == "weighed"]


def test_a_shot_is_what_the_balance_shows_more_than_before(conducted):
    run = conducted(WEIGH)
    assert run.outcome == "complete"
    shots = weighed(run)
    assert len(shots) == 3
    for shot in shots:
        assert shot["commanded_ml"] == pytest.approx(0.2 / 0.996)
        assert shot["mass_g"] == pytest.approx(shots[0]["mass_g"], rel=1e-3)
    assert run.truth["pump_2.delivered_ml"] == 0.0, "nothing went into the flask"
    assert run.truth["pump_2.wasted_ml"] == pytest.approx(0.6, abs=0.02 + 0.02)


def test_what_is_by_hand_is_not_weighed(conducted):
    run = conducted(WEIGH.replace("reagent: S", "reagent: SQ"))
    assert run.outcome == "safe"
    assert "SQ is in no pump" in run.reason
