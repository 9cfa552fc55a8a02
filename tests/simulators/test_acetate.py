"""Zinc acetate in oleic acid (A1): acetic acid comes free hot, and leaves under vacuum."""

from dataclasses import replace

import pytest

from labctl.chemistry.acetate import pumped
from labctl.chemistry.mixture import Mixture
from labctl.chemistry.substances import SUBSTANCES
from labctl.twin import TwinReagent
from tests.simulators.test_world import RIG, Hand

CHARGED = {"zinc acetate": 10.0, "oleic acid": 20.0, "1-octadecene": 42.8}
NAMES = {"ZN": "zinc acetate", "OA": "oleic acid", "ODE": "1-octadecene"}
STOCK = replace(
    RIG, syringes=(), reagents=tuple(TwinReagent(k, name, None) for k, name in NAMES.items())
)


@pytest.fixture
def hand():
    hand = Hand(STOCK)
    for reagent, name in NAMES.items():
        hand.charge(reagent, CHARGED[name] * SUBSTANCES[name].molar_volume_ml_mmol)
    hand.put("stirrer", 600)
    hand.put("valve.n2", 1)
    hand.run(2)
    return hand


def test_without_vacuum_the_two_acids_share_the_zinc(hand):
    hand.heat(120)
    hand.run(3600)
    truth = hand.truth
    assert truth["zinc oleate_mmol"] == pytest.approx(8.2, abs=0.3)
    assert truth["acetic acid_mmol"] > 15.0
    zinc = truth["zinc oleate_mmol"] + truth["zinc acetate_mmol"]
    assert zinc == pytest.approx(10.0, abs=1e-3)


def test_two_hours_of_vacuum_at_120_make_the_oleate_that_the_plan_says(hand):
    hand.fine()
    hand.heat(120, 2.0)
    hand.run(3600)
    truth, planned = hand.truth, pumped(Mixture.of(CHARGED), 120, 7200)
    assert truth["zinc oleate_mmol"] == pytest.approx(10.0, abs=0.05)
    assert truth.get("acetic acid_mmol", 0.0) < 0.05
    assert truth["volume_ml"] == pytest.approx(planned.volume_ml(), abs=0.3)
    assert planned.volume_ml() == pytest.approx(20.0, abs=0.05)


def test_a_cold_vacuum_leaves_the_acetate(hand):
    hand.fine()
    hand.heat(60, 2.0)
    hand.run(3600)
    assert hand.truth["zinc acetate_mmol"] > 9.0
