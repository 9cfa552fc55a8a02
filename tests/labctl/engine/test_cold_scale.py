"""The 25 °C scale: learnt only where nothing reacts, anchored only where it is plausible."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import pytest

from labctl.chemistry.flask import Flask
from labctl.clock import NS
from labctl.engine.cold_scale import ColdScale, Hot
from labctl.engine.machine import State
from labctl.spectroscopy.temperature import Coefficient, to_hot

SOLVENTS = {"squalane": 20.0, "toluene": 10.0, "InP": 2.2e-4}


class Bench:
    """A run as the scale sees it; `warm` shows a resting or reacting sample on a ramp."""

    def __init__(self, contents=SOLVENTS):
        self.events = []
        self.now_ns = 0
        self.injecting = False
        self.machine = SimpleNamespace(state=State.RUNNING)
        self.flask = Flask().add(contents)
        self.clock = SimpleNamespace(now_ns=lambda: self.now_ns)
        self.scale = ColdScale(self)

    def has_token(self, kind):
        return self.injecting

    def event(self, code, message, data=None, level="info"):
        self.events.append((code, message, level))

    def codes(self):
        return [code for code, _, _ in self.events]

    def warm(self, low_c=25.0, high_c=200.0, scale=1.1, drift_nm=0.0, seed=1, noise_nm=0.05):
        """Ramp at 10 K/min with ten minutes of hold at both ends, a frame every 30 s."""
        rng = random.Random(seed)
        true = Coefficient(scale=scale)
        steps = round(abs(high_c - low_c) / 5.0)
        ramp = [low_c + (high_c - low_c) * k / steps for k in range(steps + 1)]
        course = [low_c] * 20 + ramp + [high_c] * 20
        for k, at_c in enumerate(course):
            self.now_ns += 30 * NS
            moved_nm = drift_nm * k / len(course)
            peak_nm = to_hot(580.0 + moved_nm, at_c, true) + rng.gauss(0.0, noise_nm)
            self.scale.see(Hot(peak_nm, noise_nm, at_c))


@pytest.mark.parametrize("true", [0.8, 1.0, 1.2])
def test_ramps_before_any_reagent_teach_the_coefficient(true):
    bench = Bench()
    bench.warm(scale=true)
    assert bench.scale.coefficient.source == "nominal", "not while it may still learn"
    bench.scale.close_quiet()
    found = bench.scale.coefficient
    assert found.source == "learnt"
    assert abs(found.scale - true) < 3 * found.sigma
    assert 0.04 <= found.sigma < 0.06
    assert bench.codes() == ["track.coefficient"]


@pytest.mark.parametrize(
    "reagent", ["zinc oleate", "TOP sulfide", "HF", "indium oleate", "P(TMS)3"]
)
def test_with_a_reagent_in_the_flask_nothing_is_learnt(reagent):
    bench = Bench({**SOLVENTS, reagent: 0.1})
    bench.warm()
    bench.scale.close_quiet()
    assert bench.scale.coefficient == Coefficient()
    assert bench.events == []


def test_what_comes_after_the_first_reagent_does_not_count_even_if_it_is_gone():
    bench = Bench()
    bench.injecting = True
    bench.scale.see(Hot(580.0, 0.05, 25.0))
    bench.injecting = False
    bench.warm()
    bench.scale.close_quiet()
    assert bench.scale.coefficient.source == "nominal"


def test_while_a_person_is_busy_at_the_flask_nothing_is_learnt():
    bench = Bench()
    bench.machine.state = State.WAITING
    bench.warm()
    bench.scale.close_quiet()
    assert bench.scale.coefficient.source == "nominal"


def test_a_sample_that_moves_by_itself_does_not_teach():
    bench = Bench()
    bench.warm(drift_nm=6.0)
    bench.scale.close_quiet()
    assert bench.scale.coefficient.source == "nominal"


def test_a_cool_down_that_fails_leaves_what_the_ramps_taught():
    bench = Bench()
    bench.warm(scale=1.1)
    with bench.scale.learning():
        bench.scale.see(Hot(596.0, 0.05, 200.0))
    assert bench.scale.coefficient.source == "learnt"
    assert "not used" in bench.events[-1][1]


def test_a_declared_cool_down_counts_with_reagents_in_the_flask():
    bench = Bench({**SOLVENTS, "zinc oleate": 1.0})
    with bench.scale.learning():
        bench.warm(200.0, 120.0, scale=1.15)
    found = bench.scale.coefficient
    assert found.source == "learnt"
    assert abs(found.scale - 1.15) < 3 * found.sigma


def test_an_anchor_makes_the_cuvette_the_truth_and_shrinks_the_band():
    bench = Bench()
    hot = Hot(to_hot(580.0, 250.0, Coefficient(scale=1.2)), 0.05, 250.0)
    wide = bench.scale.place(hot.peak_nm, 250.0)
    assert bench.scale.anchor(hot, 580.0, 0.2)
    tight = bench.scale.place(hot.peak_nm, 250.0)
    assert tight.peak_nm == pytest.approx(580.0)
    assert tight.band_nm == pytest.approx(math.hypot(0.2, 0.05))
    assert wide.band_nm > 5.0
    assert bench.codes() == ["track.anchored"]


def test_an_anchor_holds_when_the_coefficient_is_learnt_later():
    bench = Bench({**SOLVENTS, "zinc oleate": 1.0})
    hot = Hot(to_hot(580.0, 200.0, Coefficient(scale=1.2)), 0.05, 200.0)
    bench.scale.anchor(hot, 580.0, 0.2)
    with bench.scale.learning():
        bench.warm(200.0, 120.0, scale=1.2)
    for at_c in (120.0, 200.0, 250.0):
        placed = bench.scale.place(to_hot(580.0, at_c, Coefficient(scale=1.2)), at_c)
        assert placed.peak_nm == pytest.approx(580.0, abs=3 * placed.band_nm)
    assert placed.band_nm < 0.7


@pytest.mark.parametrize("cuvette_nm", [470.0, 620.0, math.nan])
def test_an_anchor_that_cannot_be_is_refused_and_told(cuvette_nm):
    bench = Bench()
    before = bench.scale.correction
    assert not bench.scale.anchor(Hot(to_hot(580.0, 250.0), 0.05, 250.0), cuvette_nm)
    assert bench.scale.correction == before
    assert bench.events[0][0] == "track.anchor_refused"
    assert bench.events[0][2] == "warning"
