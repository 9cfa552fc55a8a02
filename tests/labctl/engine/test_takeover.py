"""A run in a person's hands: same interlocks, all of it told, given back as it was or signed."""

from __future__ import annotations

import pytest

from labctl.engine.commands import Command
from labctl.record import open_run
from tests.labctl.engine.conftest import HEAD

NS = 10**9
PATIENT = HEAD.replace("park:", "problem: {do: freeze, unanswered: 1 h, then: park}\npark:")
HOT = "  - ramp: {id: up, to: 60 C, within: 2 K}\n  - hold: {id: stay, for: 60 s, since: up.end}\n"
HOLD = "  - backfill: {cycles: 1}\n  - hold: {id: a, for: 300 s}\n"
AT_S = 300


def say(text, by=(), actor="MT"):
    verb, _, rest = text.partition(" ")
    return lambda world, inbox, rig: inbox.post(Command(verb, actor, rest, by))


def talk(*lines, every_s=20, at_s=AT_S):
    """Say lines one after the other, the first at `at_s`."""
    said = (line if callable(line) else say(line) for line in lines)
    return {at_s + n * every_s: line for n, line in enumerate(said)}


def refusals(run):
    with open_run(run.directory) as record:
        return {c.verb: c.reason for c in record.commands if not c.accepted}


def deviations(run):
    return [event.message for event in run.events if event.code == "deviation"]


def test_a_run_given_back_as_it_was_goes_on_and_the_time_in_hand_is_no_time_of_the_step(conducted):
    plain = conducted(HOLD, head=PATIENT)
    run = conducted(HOLD, head=PATIENT, during=talk("take", "give"))
    assert run.outcome == "complete_with_deviations", run.reason
    longer = run.step("a").end_ns - plain.step("a").end_ns
    assert longer / NS == pytest.approx(20, abs=3)
    assert deviations(run)[:2] == ["taken over by MT", "given back by MT"]
    assert refusals(run) == {}


def test_what_is_done_by_hand_is_done_told_and_a_deviation(conducted):
    run = conducted(HOLD, head=PATIENT, during=talk("take", "do stir 300 rpm", "do stir 600 rpm",
                                                    "give"))  # fmt: skip
    assert run.outcome == "complete_with_deviations", run.reason
    assert "by hand, MT: stirring at 300 rpm" in deviations(run)
    speeds = run.series["stirrer.speed"][1]
    assert min(speed for speed in speeds[AT_S:] if speed) < 320


def test_another_setpoint_is_named_and_not_given_back(conducted):
    lines = ("take", "do set 40 C", "give", "give restore")
    run = conducted(HOT, head=PATIENT, during=talk(*lines, at_s=90))
    assert refusals(run)["give"] == (
        "not as the plan has it: the heater is set to 40 °C, not set to 60 °C; "
        "put it back, or give `restore` or `accept --by NAME`"
    )
    assert run.outcome == "complete_with_deviations", run.reason
    assert run.truth["flask_c"] > 57, "labctl heats as the plan has it"


def test_another_gas_is_never_accepted_and_is_put_back_before_the_run_goes_on(conducted):
    lines = ("take", "do close n2", say("give accept", by=("MT",)), "give restore")
    run = conducted(HOLD, head=PATIENT, during=talk(*lines))
    assert "n2 is shut, not open; put it back" in refusals(run)["give"]
    assert run.outcome == "complete_with_deviations", run.reason
    assert run.truth["valve.n2"] == 1.0


def test_the_interlocks_hold_for_a_person_too(conducted):
    run = conducted(HOLD, head=PATIENT, during=talk("take", "do open vac_fine", "give"))
    (refused,) = [e.message for e in run.events if e.code == "by_hand.refused"]
    assert refused.startswith("open vac_fine: ")
    states = zip(*run.series["valves.vac_fine"], strict=True)
    assert not any(open_ for t_s, open_ in states if t_s > AT_S)
    assert run.truth["valve.vac_fine"] == 0.0
    assert run.outcome == "complete_with_deviations", run.reason


def test_nothing_is_heated_by_hand_above_what_the_recipe_asks_for(conducted):
    run = conducted(HOT, head=PATIENT, during=talk("take", "do set 90 C", "give", at_s=90))
    (refused,) = [e.message for e in run.events if e.code == "by_hand.refused"]
    assert "above the 60 °C allowed" in refused
    assert run.outcome == "complete_with_deviations", run.reason


def test_what_was_added_by_hand_cannot_be_put_back_and_must_be_signed_for(conducted):
    lines = ("take", "do added S 0.3 mL", "give", "give restore", "give accept",
             say("give accept", by=("MT",)))  # fmt: skip
    run = conducted(HOLD, head=PATIENT, during=talk(*lines))
    with open_run(run.directory) as record:
        reasons = [c.reason for c in record.commands if c.verb == "give"]
    assert "0.3 mL of S was added by hand" in reasons[0]
    assert "cannot be put back" in reasons[1]
    assert "must be signed" in reasons[2]
    assert reasons[3] == ""
    assert run.dose("added.1").delivered_ml == pytest.approx(0.3)
    assert any("signed: MT" in text for text in deviations(run))


def test_an_accepted_setpoint_is_what_the_run_goes_on_with(conducted):
    steps = "  - ramp: {id: up, to: 60 C, within: 2 K}\n  - hold: {id: stay, for: 300 s}\n"
    run = conducted(steps, head=PATIENT)
    begins_s = run.step("stay").start_ns // NS + 20
    lines = ("take", "do set 50 C", say("give accept", by=("MT",)))
    run = conducted(steps, head=PATIENT, during=talk(*lines, at_s=begins_s))
    assert run.outcome == "complete_with_deviations", run.reason
    assert run.step("stay").end_ns / NS < begins_s + 400, "nobody waits to heat back"
    times, setpoints = run.series["heater.setpoint"]
    last = [c for t, c in zip(times, setpoints, strict=True) if t < run.step("stay").end_ns / NS]
    assert last[-1] == pytest.approx(50, abs=0.2)


def test_nobody_else_works_it_and_nothing_goes_on_without_giving_back(conducted):
    lines = ("take", say("do stir 300 rpm", actor="AB"), "resume", "take", "give")
    run = conducted(HOLD, head=PATIENT, during=talk(*lines))
    assert refusals(run) == {
        "do": "MT has taken over, not AB",
        "resume": "MT has taken over: `give` the run back first",
        "take": "MT has taken over already",
    }
    assert run.outcome == "complete_with_deviations", run.reason


def test_what_is_not_taken_is_not_given_and_doses_are_no_hand_work(conducted):
    lines = ("do stir 300 rpm", "give", "take", "do jog pump_2 50 uL", "give")
    run = conducted(HOLD, head=PATIENT, during=talk(*lines))
    assert "fixup" in refusals(run)["do"]
    assert refusals(run)["give"] == "nobody has taken over: `take` first"
    assert run.truth["pump_2.delivered_ml"] == 0.0


def test_a_run_that_was_held_before_is_held_after(conducted):
    lines = ("freeze", "take", "give", "resume")
    run = conducted(HOLD, head=PATIENT, during=talk(*lines))
    thawed = next(e.t_ns for e in run.events if e.code == "thawed")
    assert thawed / NS == pytest.approx(AT_S + 60, abs=3)
    assert run.outcome == "complete_with_deviations", run.reason


def test_a_run_that_is_taken_and_forgotten_does_not_stay_hot(conducted):
    run = conducted(HOT, during=talk("take", "do set 50 C", at_s=60))
    assert run.outcome == "safe"
    assert "nobody said how to go on" in run.reason
    assert run.truth["heater_w"] == 0.0


def test_parking_takes_the_run_back_and_resuming_goes_on_with_the_plan(conducted):
    lines = ("take", "do set 40 C", "park", "resume")
    run = conducted(HOT, head=PATIENT, during=talk(*lines, every_s=60, at_s=90))
    (back,) = [text for text in deviations(run) if text.startswith("taken back by labctl")]
    assert "the heater is set to 40 °C" in back
    assert run.outcome == "complete_with_deviations", run.reason
    assert run.truth["flask_c"] > 57


def test_an_abort_ends_a_run_in_hand(conducted):
    run = conducted(HOT, head=PATIENT, during=talk("take", "do set 50 C", "abort enough", at_s=60))
    assert run.outcome == "safe"
    assert run.truth["heater_w"] == 0.0
