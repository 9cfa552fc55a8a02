"""What leaves a needle: the ledger of doses against the simulated plant's own contents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.commands import Command
from labctl.engine.lines import Line
from labctl.units import show
from simulators.plant.fluidics import SyringeLine, SyringeLineParameters, Tip
from tests.labctl.engine.test_doses_again import TWO, TWO_SHEET, cold_line

NS = 10**9
DEAD_ML, DROP_ML = 0.098, 0.005
PRIME = "\n  - prime: {id: p, reagents: [S], into: waste}\n"


def inject(id_, volume, over="20 s"):
    return f"  - inject: {{id: {id_}, reagent: S, volume: {volume}, over: {over}}}\n"


def agrees_with_the_plant(run, abs_ml=0.002):
    """The ledger's sum, and the flask's volume, are the plant's."""
    given_ml = sum(
        d.delivered_ml or 0.0 for d in run.doses if d.by == "pump_2" and d.into_ == "flask"
    )
    assert given_ml == pytest.approx(run.truth["pump_2.delivered_ml"], abs=abs_ml)
    hand_ml = sum(d.delivered_ml or 0.0 for d in run.doses if d.by == "hand")
    assert run.truth["volume_ml"] == pytest.approx(hand_ml + given_ml, abs=abs_ml + 0.005)
    return given_ml


def every_intent_is_settled(run):
    assert {i.state for i in run.intents} <= {"done", "refused", "unknown"}
    for intent in run.intents:
        assert intent.state == "unknown" or "counted_ml" in intent.result
        assert intent.end_ns is not None


moves = st.lists(
    st.one_of(
        st.floats(0.0, 0.2).map(lambda ml: ("push", ml)),
        st.sampled_from([("tip", True), ("tip", False), ("flush", None)]),
    ),
    max_size=12,
)


@given(moves)
def test_a_line_gives_what_the_plants_line_gives_whatever_is_done_to_it(course):
    line = Line(DEAD_ML, DROP_ML)
    plant = SyringeLine(SyringeLineParameters(10.0, DEAD_ML, DROP_ML))
    plant.place_tip(Tip.WASTE)
    for what, value in course:
        if what == "push":
            if plant.syringe_ml < value:
                plant.draw(5.0)
            assert line.push(value) == pytest.approx(plant.move(value), abs=1e-9)
        elif what == "tip":
            line.place(in_flask=value)
            plant.place_tip(Tip.FLASK if value else Tip.WASTE)
        else:
            line.empty()
            plant.flush()
        assert (line.wet_ml, line.drop_ml) == pytest.approx((plant.line_ml, plant.drop_ml))


def stalls(at_s):
    return {at_s: lambda world, inbox, opened: world.device("pump_2").stall()}


def test_a_dose_refused_at_the_wire_leaves_its_line_dry(conducted, chooses):
    steps = (
        f"\n  - stir: 150 rpm\n{inject('s', '0.3 mL')}  - stir: 600 rpm\n{inject('t', '0.25 mL')}"
    )
    run = conducted(steps, operator=chooses("skip"))
    assert (run.dose("s").state, run.dose("s").delivered_ml) == ("refused", 0.0)
    assert run.dose("t").delivered_ml == pytest.approx(0.25 - DEAD_ML - DROP_ML, abs=0.002)
    agrees_with_the_plant(run)
    every_intent_is_settled(run)


@pytest.mark.parametrize("choice", ["skip", "retry"])
def test_a_dose_cut_short_within_the_dead_volume_wets_so_much_of_it(conducted, chooses, choice):
    steps = "\n" + inject("s", "0.3 mL", "60 s") + inject("t", "0.2 mL")
    began_s = conducted(steps).dose("s").start_ns / NS
    run = conducted(steps, operator=chooses(choice), during=stalls(round(began_s) + 10))
    (first, *_) = (i.result for i in run.intents if i.data["id"] == "s" and i.kind == "dose")
    assert 0.02 < first["counted_ml"] < 0.08
    assert first["line_ml"] == pytest.approx(first["counted_ml"] * 0.996)
    asked_ml = 0.5 if choice == "retry" else 0.2 + first["line_ml"]
    assert agrees_with_the_plant(run) == pytest.approx(asked_ml - DEAD_ML - DROP_ML, abs=0.002)
    every_intent_is_settled(run)


def test_a_primed_line_gives_all_but_its_drop(conducted):
    run = conducted(PRIME + inject("s", "0.3 mL") + inject("t", "0.2 mL"))
    assert run.dose("s").delivered_ml == pytest.approx(0.3 - DROP_ML, abs=0.001)
    assert run.dose("t").delivered_ml == pytest.approx(0.2, abs=0.001)
    agrees_with_the_plant(run)
    every_intent_is_settled(run)


def test_a_flushed_line_keeps_its_dead_volume_anew(conducted):
    """The syringe is drawn again by hand before the last dose."""

    def draw(world, inbox, opened):
        world._syringes.line("pump_2").draw(0.5)

    steps = PRIME + inject("s", "0.2 mL") + "  - flush: {S: [octane]}\n  - hold: {for: 300 s}\n"
    run = conducted(steps + inject("t", "0.2 mL"), during={200: draw})
    assert run.dose("t").delivered_ml == pytest.approx(0.2 - DEAD_ML, abs=0.006)
    agrees_with_the_plant(run)


def test_a_run_aborted_in_mid_dose_knows_what_went_in(conducted):
    steps = PRIME + inject("s", "0.3 mL", "60 s")
    began_s = conducted(steps).dose("s").start_ns / NS

    def abort(world, inbox, opened):
        inbox.post(Command("abort", "YK", ""))

    run = conducted(steps, during={round(began_s) + 20: abort})
    assert run.outcome == "safe"
    assert 0.05 < agrees_with_the_plant(run) < 0.15
    every_intent_is_settled(run)


def test_two_reagents_given_together_are_each_what_the_plant_got(conducted, rig_text):
    run = conducted("", head=TWO, sheet=TWO_SHEET, rig=cold_line(rig_text))
    for pump, name in (("pump_2", "both.S"), ("pump_1", "both.T")):
        got_ml = run.truth[f"{pump}.delivered_ml"]
        assert run.dose(name).delivered_ml == pytest.approx(got_ml, abs=0.001)


def test_an_opened_flask_is_known_to_the_ledger_as_the_plant_has_it(conducted):
    """Poured in, drawn off, given by pump, and drawn off again."""
    runs = []
    steps = (
        PRIME
        + inject("s", "0.3 mL")
        + "  - aliquot: {volume: 1 mL, by: hand, label: one, into: vial}\n"
        + "  - charge: {id: more, reagent: SQ, volume: 2 mL, by: hand}\n"
        + inject("t", "0.2 mL")
        + "  - aliquot: {volume: 0.5 mL, by: hand, label: two, into: vial}\n"
    )
    run = conducted(steps, watch=runs.append)
    (ledger,) = runs
    assert run.truth["volume_ml"] == pytest.approx(10.3 - DROP_ML - 1.0 + 2.0 + 0.2 - 0.5, abs=0.01)
    assert ledger.flask.volume_ml() == pytest.approx(run.truth["volume_ml"], abs=0.005)


def test_what_was_given_is_shown_before_a_retry_is_offered(conducted, chooses):
    steps = PRIME + inject("s", "0.3 mL", "60 s")
    began_s = conducted(steps).dose("s").start_ns / NS
    run = conducted(steps, operator=chooses("retry"), during=stalls(round(began_s) + 25))
    (text,) = [q.text for q in run.questions if "failed" in q.text]
    first = next(i for i in run.intents if i.kind == "dose" and i.data["id"] == "s")
    shown = show(first.result["delivered_ml"], "volume")
    assert text.startswith(f"given so far: {shown} of S, and only what is missing will be given; ")
    assert agrees_with_the_plant(run) == pytest.approx(0.3 - DROP_ML, abs=0.002)


def test_the_record_says_where_the_needle_is_and_how_far_its_line_is_wet(conducted):
    run = conducted(PRIME + inject("s", "0.2 mL"))
    said = [e.message for e in run.events if e.code == "line"]
    assert said[0] == "needle of pump_2 outside the flask, 0 mL of 0.098 mL wet"
    assert said[-1] == "needle of pump_2 in the flask, 0.098 mL of 0.098 mL wet"
