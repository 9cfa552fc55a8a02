"""To park where a person can come: cooled under inert gas, stirring, until somebody says more."""

from __future__ import annotations

import pytest

from labctl.capabilities import Reply, TaskKind
from labctl.engine.commands import Command
from labctl.record import open_run
from tests.labctl.engine.test_safe_state import PUMPING

NS = 10**9
LATE = 3000
HOT = "  - ramp: {id: up, to: 60 C, within: 2 K}\n"
WAITS = (
    HOT + "  - wait_until: {id: w, condition: flask.T > 90 C, timeout: 30 s, on_timeout: park}\n"
)
ASKS = HOT + "  - wait_until: {id: w, condition: flask.T > 90 C, timeout: 30 s}\n"


def say(verb, text=""):
    return lambda world, inbox, rig: inbox.post(Command(verb, "MT", text))


def on_hardware(run):
    """A person can come to this run."""
    run.parks = True


def truth_at(seen, at_s):
    return lambda world, inbox, rig: seen.update(world.truth(at_s * NS))


def called(run):
    return [event.message for event in run.events if event.code == "call"]


def states(run, code):
    return [event.message for event in run.events if event.code == code]


def test_in_a_dry_run_to_park_is_the_end(conducted):
    run = conducted(WAITS)
    assert (run.outcome, run.meta.state) == ("safe", "safe")
    assert run.reason.startswith("park: ")
    assert not called(run)


@pytest.mark.parametrize("steps", [WAITS, ASKS])
def test_where_a_person_can_come_the_flask_is_cooled_under_inert_gas_and_stirred(conducted, steps):
    seen = {}
    during = {LATE: truth_at(seen, LATE), LATE + 1: say("abort", "enough")}
    run = conducted(steps, during=during, watch=on_hardware)
    assert seen["flask_c"] < 32
    assert seen["valve.n2"] == 1.0
    assert seen["valve.vac_rough"] == seen["valve.vac_fine"] == 0.0
    assert seen["stirring_rpm"] > 500
    aborted_ns = next(e.t_ns for e in run.events if e.code == "aborting")
    assert aborted_ns == (LATE + 1) * NS, "held until then"
    assert run.outcome == "safe"
    assert "enough" in run.reason


def test_somebody_is_called_when_a_question_was_left_unanswered_and_only_then(conducted):
    during = {LATE: say("abort", "enough")}
    unanswered = conducted(ASKS, during=during, watch=on_hardware)
    (said,) = called(unanswered)
    assert "call YK, MT" in said
    assert "w failed" in said or "w:" in said
    assert not called(conducted(WAITS, during=during, watch=on_hardware))


def test_after_a_resume_the_step_begins_again_where_the_flask_was(conducted):
    during = {LATE: say("resume"), LATE + 2400: say("abort", "enough")}
    run = conducted(WAITS, during=during, watch=on_hardware)
    first, second = [step for step in run.steps if step.id == "w"]
    assert first.end_ns < LATE * NS < second.start_ns
    times, values = run.series["flask.T"]
    at_c = next(v for t, v in zip(times, values, strict=True) if t * NS >= second.start_ns)
    assert at_c > 56


def test_a_parked_step_can_be_skipped_and_the_run_ends_with_its_deviations(conducted):
    run = conducted(WAITS, during={LATE: say("skip")}, watch=on_hardware)
    assert run.outcome == "complete_with_deviations"
    assert any("park: " in message for message in states(run, "deviation"))
    assert [step.state for step in run.steps if step.id == "w"] == ["cancelled"]


def test_a_parked_leak_test_is_not_skipped(conducted):
    steps = """
  - confirm: {who: operator, list: [trap cold]}
  - leak_test:
      {id: leak, T_below: 40 C, pump_to: 100 mTorr, isolate: 1 min, rise_below: 0.001 mTorr/min}
"""
    during = {LATE: say("skip"), LATE + 5: say("abort", "enough")}
    run = conducted(steps, during=during, watch=on_hardware)
    with open_run(run.directory) as record:
        refused = [c for c in record.commands if not c.accepted]
    assert [c.verb for c in refused] == ["skip"]
    assert "never skipped" in refused[0].reason
    assert "enough" in run.reason


def test_a_freeze_that_nobody_answered_is_parked_and_somebody_called(conducted):
    seen = {}
    during = {
        600: lambda world, inbox, rig: world.put("hood_flow", 0.0, 600 * NS),
        700: lambda world, inbox, rig: world.put("hood_flow", 1.0, 700 * NS),
        LATE: truth_at(seen, LATE),
        LATE + 1: say("resume"),
    }
    steps = HOT + "  - hold: {id: stay, for: 30 min, since: up.end}\n"
    run = conducted(steps, during=during, watch=on_hardware)
    assert seen["flask_c"] < 32
    assert seen["valve.n2"] == 1.0
    assert len(called(run)) == 1
    assert run.outcome == "complete_with_deviations"
    assert max(v for v in run.series["flask.T"][1] if v is not None) > 57


def test_the_answer_abort_still_ends_the_run(conducted):
    class Aborts:
        def __call__(self, simulated):
            self.simulated = simulated
            return self

        async def do(self, task):
            if task.kind is TaskKind.ANSWER:
                return Reply(text="abort")
            return await self.simulated.do(task)

    run = conducted(ASKS, operator=Aborts(), watch=on_hardware)
    assert run.outcome == "safe"
    assert run.reason.startswith("abort: ")


def test_a_trip_while_parked_ends_in_the_safe_state(conducted):
    def dumb(world, inbox, rig):
        world.device("gauges").feed = lambda data, t_ns: []

    during = {LATE: dumb, LATE + 60: say("abort", "not tripped")}
    run = conducted(WAITS, during=during, watch=on_hardware)
    assert run.outcome == "safe"
    assert "over_p" in run.reason


def test_a_step_under_vacuum_begins_again_though_the_run_was_parked_twice(conducted):
    during = {400: say("park"), 460: say("park"), 500: say("resume")}
    run = conducted(PUMPING, during=during, watch=on_hardware)
    assert [s.state for s in run.steps if s.id == "leak"] == ["cancelled", "done"]
    assert states(run, "resume.retries")
    assert run.outcome == "complete_with_deviations"
