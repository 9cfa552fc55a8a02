from collections import deque

import pytest

from labctl.engine.machine import FINAL, TABLE, RunMachine, State, Trigger

LIVE = [state for state in State if state not in FINAL]


def reached(start, triggers):
    """All states that can be reached by some triggers, with the way to each: breadth first."""
    ways, waiting = {start: ()}, deque([start])
    while waiting:
        state = waiting.popleft()
        for row in TABLE:
            if row.source is state and row.trigger in triggers and row.target not in ways:
                ways[row.target] = (*ways[state], row.trigger)
                waiting.append(row.target)
    return ways


def machine_in(state):
    """A machine brought to a state by legal triggers only."""
    told = []
    machine = RunMachine(lambda entered, cause: told.append((entered, cause)))
    for trigger in reached(State.IDLE, set(Trigger))[state]:
        assert machine.fire(trigger, "on the way")
    assert machine.state is state
    return machine, told


def test_every_state_can_be_reached_from_idle():
    assert set(reached(State.IDLE, set(Trigger))) == set(State)


@pytest.mark.parametrize("state", LIVE)
def test_abort_alone_brings_every_live_state_to_safe(state):
    ways = reached(state, {Trigger.ABORT, Trigger.SECURED})
    assert len(ways[State.SAFE]) <= 2


@pytest.mark.parametrize("state", list(State))
def test_abort_is_legal_in_every_state(state):
    machine, _ = machine_in(state)
    assert machine.may(Trigger.ABORT)
    assert machine.fire(Trigger.ABORT, "operator")
    assert machine.state in {State.ABORTING, *FINAL}


@pytest.mark.parametrize("state", LIVE)
def test_no_live_state_is_a_dead_end(state):
    exits = {row.target for row in TABLE if row.source is state} - {state}
    assert exits


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_is_never_left(state):
    assert {row.target for row in TABLE if row.source is state} <= {state}


@pytest.mark.parametrize("state", [*LIVE])
def test_a_run_that_goes_on_ends(state):
    assert FINAL & set(reached(state, set(Trigger) - {Trigger.ABORT, Trigger.FAULT}))


def test_only_running_completes():
    goes_on = {Trigger.RESUME, Trigger.SKIP, Trigger.RETRY, Trigger.FIXUP}
    without_abort = reached(State.HELD, set(Trigger) - goes_on)
    assert State.COMPLETE not in without_abort
    assert State.COMPLETE not in reached(State.ABORTING, set(Trigger))


def test_nothing_heats_again_after_an_abort():
    assert set(reached(State.ABORTING, set(Trigger))) == {
        State.ABORTING,
        State.SAFE,
        State.FAULTED,
    }


@pytest.mark.parametrize("state", LIVE)
def test_what_hangs_on_can_be_called_faulted_in_every_live_state_and_stays_so(state):
    machine, _ = machine_in(state)
    assert machine.fire(Trigger.FAULT, "a task did not let go")
    assert set(reached(machine.state, set(Trigger))) == {State.FAULTED}


@pytest.mark.parametrize("state", LIVE)
def test_an_abort_leads_nowhere_but_to_an_end_whatever_comes_after(state):
    machine, _ = machine_in(state)
    machine.fire(Trigger.ABORT)
    assert set(reached(machine.state, set(Trigger))) <= {State.ABORTING, State.SAFE, State.FAULTED}


def test_an_extra_step_is_given_only_to_a_held_run():
    assert {row.source for row in TABLE if row.trigger is Trigger.FIXUP} == {State.HELD}


def test_a_change_of_what_comes_changes_no_state_and_comes_before_the_end_only():
    rows = [row for row in TABLE if row.trigger is Trigger.CHANGE]
    assert all(row.source is row.target for row in rows)
    assert {row.source for row in rows} == {State.RUNNING, State.WAITING, State.HELD}


def test_one_trigger_leads_to_one_state():
    pairs = [(row.trigger, row.source) for row in TABLE]
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("trigger", list(Trigger))
def test_the_machine_does_what_the_table_says_and_nothing_else(state, trigger):
    targets = {row.target for row in TABLE if row.trigger is trigger and row.source is state}
    machine, told = machine_in(state)
    told.clear()
    before = machine.cause
    assert machine.may(trigger) is bool(targets)
    assert machine.fire(trigger, "a reason") is bool(targets)
    after = next(iter(targets), state)
    assert machine.state is after
    assert told == ([(after, "a reason")] if after is not state else [])
    assert machine.cause == ("a reason" if after is not state else before)


def test_a_run_goes_its_usual_way():
    told = []
    machine = RunMachine(lambda state, cause: told.append((str(state), cause)))
    for trigger in ("start", "started", "ask", "answered", "freeze", "frozen", "resume", "resumed"):
        assert machine.fire(Trigger(trigger), trigger), trigger
    machine.fire(Trigger.FINISH)
    machine.fire(Trigger.FINISHED)
    assert [state for state, _ in told] == [
        "starting", "running", "waiting", "running", "holding", "held", "resuming", "running",
        "stopping", "complete",
    ]  # fmt: skip
