"""Syringe and line: nothing is lost, and the tip gives what a weighed dose would give."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import UsageError
from simulators.plant.fluidics import SyringeLine, SyringeLineParameters, Tip

ZN = SyringeLineParameters(capacity_ml=10.0, dead_ml=0.302, scale=0.992)
PLAIN = SyringeLineParameters(capacity_ml=1.0, dead_ml=0.098)


def primed(parameters: SyringeLineParameters = PLAIN, drawn_ml: float = 1.0) -> SyringeLine:
    line = SyringeLine(parameters)
    line.draw(drawn_ml)
    line.place_tip(Tip.WASTE)
    line.move((parameters.dead_ml + 0.05) / parameters.scale)
    line.place_tip(Tip.FLASK)
    return line


def balance_ml(line: SyringeLine) -> float:
    arrived = line.delivered_ml + line.wasted_ml + line.wiped_ml
    return arrived + line.line_ml + line.drop_ml + line.bubble_ml


def test_dry_line_gives_the_dose_less_its_dead_volume_and_the_drop():
    line = SyringeLine(PLAIN)
    line.draw(1.0)
    assert not line.primed
    assert line.move(0.5) == pytest.approx(0.5 - 0.098 - 0.005)
    assert line.primed
    assert line.move(0.2) == pytest.approx(0.2)


def test_dose_smaller_than_the_dead_volume_never_arrives():
    line = SyringeLine(PLAIN)
    line.draw(1.0)
    assert line.move(0.074) == 0.0
    assert line.from_syringe_ml == pytest.approx(0.074)


def test_primed_line_gives_all_but_one_hanging_drop():
    line = primed()
    assert line.wasted_ml == pytest.approx(0.045)
    first = line.move(0.074)
    assert first == pytest.approx(0.074 - 0.005)  # 7 % of this dose
    assert line.move(0.074) == pytest.approx(0.074)


def test_many_small_moves_are_one_large_move():
    line = primed()
    assert sum(line.move(0.001) for _ in range(200)) == pytest.approx(0.2 - 0.005)


def test_changing_vessel_wipes_the_drop_off():
    line = primed()
    assert line.wiped_ml == pytest.approx(0.005)
    line.move(0.1)
    line.place_tip(Tip.FLASK)
    assert line.drop_ml == pytest.approx(0.005)
    assert line.wiped_ml == pytest.approx(0.005)


def test_calibration_scales_what_leaves_the_syringe_but_not_the_counter():
    line = primed(ZN, 9.2)
    turned_ml, left_ml = line.turned_ml, line.from_syringe_ml
    delivered = line.move(3.0)
    assert line.turned_ml - turned_ml == pytest.approx(3.0)
    assert line.from_syringe_ml - left_ml == pytest.approx(3.0 * 0.992)
    assert delivered == pytest.approx(3.0 * 0.992 - 0.005)


def test_empty_syringe_stalls_and_the_counter_stops():
    line = primed(drawn_ml=0.5)
    left_ml = line.syringe_ml
    line.move(0.6)
    assert line.stalled
    assert line.empty
    assert line.turned_ml == pytest.approx(0.5)
    assert line.delivered_ml == pytest.approx(left_ml - 0.005)
    assert line.move(0.1) == 0.0


def test_emptying_it_exactly_is_no_stall():
    line = SyringeLine(PLAIN)
    line.draw(1.0)
    for _ in range(10):
        line.move(0.1)
    assert line.empty
    assert not line.stalled


@pytest.mark.parametrize("hindrance", ["valve", "jam"])
def test_shut_valve_or_jam_stalls_at_once(hindrance: str):
    line = primed()
    counted = line.turned_ml
    if hindrance == "valve":
        line.valve_open = False
    else:
        line.jammed = True
    assert line.move(0.1) == 0.0
    assert line.stalled
    assert line.turned_ml == counted


def test_silent_occlusion_counts_and_gives_nothing():
    line = primed()
    counted, left_ml = line.turned_ml, line.syringe_ml
    line.occluded = True
    assert line.move(0.1) == 0.0
    assert not line.stalled
    assert line.turned_ml == pytest.approx(counted + 0.1)
    assert line.syringe_ml == left_ml


def test_bubble_gives_back_with_its_time_constant():
    line = primed()
    line.bubble_s = 10.0
    assert line.move(0.1) == 0.0
    arrived = line.settle(10.0)
    assert arrived == pytest.approx(0.1 * (1 - math.exp(-1)) - 0.005)
    line.bubble_s = 0.0
    assert line.settle(1.0) == pytest.approx(0.1 * math.exp(-1))
    assert line.settle(1.0) == 0.0


def test_backlash_is_paid_once_after_drawing():
    line = SyringeLine(SyringeLineParameters(1.0, dead_ml=0.0, hold_up_ml=0.0, backlash_ml=0.01))
    line.draw(0.5)
    assert line.move(0.1) == pytest.approx(0.09)
    assert line.move(0.1) == pytest.approx(0.1)
    assert line.turned_ml == pytest.approx(0.2)


def test_flush_empties_everything_into_the_waste():
    line = primed()
    line.move(0.2)
    line.flush()
    assert line.syringe_ml == line.line_ml == line.drop_ml == 0.0
    assert balance_ml(line) == pytest.approx(1.0)
    assert line.from_syringe_ml == pytest.approx(1.0)


def test_refuses_to_overfill_and_to_run_backwards():
    line = SyringeLine(PLAIN)
    line.draw(0.7)
    with pytest.raises(UsageError, match=r"0\.4 mL.*0\.3"):
        line.draw(0.4)
    with pytest.raises(UsageError, match=r"-0\.1"):
        line.move(-0.1)


ACTIONS = st.one_of(
    st.tuples(st.just("move"), st.floats(0.0, 0.4)),
    st.tuples(st.just("settle"), st.floats(0.0, 60.0)),
    st.tuples(st.just("tip"), st.sampled_from(list(Tip))),
    st.tuples(st.just("bubble"), st.sampled_from([0.0, 5.0])),
    st.tuples(st.just("occluded"), st.booleans()),
)


@given(st.lists(ACTIONS, max_size=30))
def test_no_sequence_makes_or_loses_liquid(actions: list[tuple[str, object]]):
    line = SyringeLine(ZN)
    line.draw(3.0)
    calls = {
        "move": line.move,
        "settle": line.settle,
        "tip": line.place_tip,
        "bubble": lambda tau_s: setattr(line, "bubble_s", tau_s),
        "occluded": lambda yes: setattr(line, "occluded", yes),
    }
    for name, value in actions:
        calls[name](value)
    assert balance_ml(line) == pytest.approx(line.from_syringe_ml, abs=1e-9)
    assert line.syringe_ml + line.from_syringe_ml == pytest.approx(3.0)
    assert min(line.syringe_ml, line.line_ml, line.drop_ml, line.bubble_ml) >= 0.0
