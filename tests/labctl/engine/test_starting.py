"""Start and end of a run: nothing moves before it is looked at, nothing heats after the end."""

from __future__ import annotations

import pytest

from labctl.engine.sequences import ABORT, COMPLETE
from labctl.errors import FindingsError
from labctl.loop import Interrupt

NS = 10**9
HOT = "  - ramp: {to: 60 C, within: 2 K}\n"
NESTED = """
  - repeat:
      id: rounds
      until: flask.T > 90 C
      at_most: 2
      steps:
      - stir: {id: slow, speed: 300 rpm}
      - hold: {for: 20 s, since: slow.end}
      - if: {when: flask.T < 90 C, then: [{stir: {id: quick, speed: 600 rpm}}]}
"""


def dead(device):
    def act(world, inbox, rig):
        world.device(device).feed = lambda data, t_ns: []

    return act


@pytest.mark.parametrize("at_s", [0, 1, 4])
def test_a_run_can_be_interrupted_while_it_starts(conducted, at_s):
    run = conducted(HOT, during={at_s: lambda world, inbox, rig: inbox.post(Interrupt())})
    assert run.interrupted
    assert (run.outcome, run.meta.state) == ("safe", "safe")
    aborted_s = next(e.t_ns for e in run.events if e.code == "aborting") / NS
    assert aborted_s <= at_s + 0.1
    assert run.steps == []
    assert run.truth["volume_ml"] == 0.0


def test_an_instrument_that_does_not_answer_at_the_start_ends_the_run_safe(conducted):
    run = conducted(HOT, during={0: dead("stirrer")})
    assert run.outcome == "safe"
    assert "stirrer" in run.reason
    assert run.steps == []


def test_the_safe_sequence_goes_on_past_what_does_not_answer(conducted):
    run = conducted(
        "  - wait_until: {condition: flask.T > 90 C, timeout: 30 s}\n",
        during={20: dead("laser"), 25: dead("rough")},
    )
    assert run.outcome == "safe"
    failed = [e.message for e in run.events if e.code == "safe_state.failed"]
    done = [e.message for e in run.events if e.code == "safe_state"]
    assert any("laser" in message for message in failed)
    assert any("rough" in message for message in failed)
    assert done[-2:] == ["warm line off", "beacon on"]
    assert run.truth["valve.n2"] == 1.0


def test_heat_goes_first_and_vacuum_is_shut_before_gas_comes_in():
    order = [action.key for action in ABORT]
    assert order[0] == "heater"
    assert order.index("pumps") < order.index("vacuum") < order.index("inert")
    assert order.index("vacuum") < order.index("fine")
    assert [action.key for action in COMPLETE][:2] == ["heater", "pumps"]


def test_after_the_end_no_setpoint_is_written(conducted):
    run = conducted(HOT)
    ended_ns = next(e.t_ns for e in run.events if e.message == "heater off")
    # Unit 1, function 6, register 2: the heater's setpoint.
    told = [t for t, data in run.sent("bus") if data[:4] == bytes.fromhex("01060002")]
    assert told
    assert max(told) < ended_ns
    assert run.truth["heater_w"] == 0.0


def test_rounds_and_branches_stand_in_the_record_under_what_they_belong_to(conducted):
    run = conducted(NESTED)
    rows = [(step.id, step.parent) for step in run.steps[2:]]
    assert rows[0] == ("rounds", "")
    assert [id_ for id_, _ in rows if id_.startswith("slow")] == ["slow#1", "slow#2"]
    assert {parent for id_, parent in rows if id_.startswith("slow")} == {"rounds"}
    quick = [parent for id_, parent in rows if id_.startswith("quick")]
    assert len(quick) == 2
    assert all("#" in parent for parent in quick), "a branch of one round, not of all"


def test_a_hold_inside_a_round_counts_from_its_own_round(conducted):
    run = conducted(NESTED)
    slow = [step for step in run.steps if step.id.startswith("slow")]
    holds = [step for step in run.steps if step.verb == "hold"]
    for before, hold in zip(slow, holds, strict=True):
        assert hold.clock_ns == pytest.approx(before.end_ns, abs=1.1 * NS)
        assert (hold.end_ns - hold.clock_ns) / NS == pytest.approx(20, abs=1.5)


def test_a_flask_of_which_no_heat_capacity_is_said_warms_as_one_of_its_size(conducted, rig_text):
    silent = rig_text.replace("mantle: 80 W, empty_heat_capacity: 30 J/K,", "mantle: 80 W,")
    assert silent != rig_text
    steps = "\n  - ramp: {to: 60 C, within: 2 K}\n"
    runs = [conducted(steps, rig=rig) for rig in (rig_text, silent)]
    assert [run.outcome for run in runs] == ["complete", "complete"]
    assert runs[0].step("work.3").end_ns == runs[1].step("work.3").end_ns


def test_a_flask_without_any_heat_capacity_is_refused_in_the_rig_file(conducted, rig_text):
    none = rig_text.replace("empty_heat_capacity: 30 J/K", "empty_heat_capacity: 0 J/K")
    with pytest.raises(FindingsError, match="empty_heat_capacity"):
        conducted("", rig=none)
