"""Steps run in order, clocks start where they belong, failures end in the safe state."""

from __future__ import annotations

import asyncio

import pytest

from labctl.capabilities import TaskKind
from labctl.loop import Interrupt

HOLD = """
  - ramp: {id: up, to: 40 C, within: 2 K, settle: 5 s}
  - hold: {for: 60 s, since: up.end}
"""


def test_steps_run_in_order_and_the_hold_counts_from_the_end_of_the_ramp(conducted):
    run = conducted(HOLD)
    assert run.outcome == "complete"
    assert [step.id for step in run.steps] == ["work.1", "work.2", "up", "work.4"]
    up, hold = run.step("up"), run.step("work.4")
    assert hold.clock_ns == pytest.approx(up.end_ns, abs=2e9)
    assert (hold.end_ns - hold.clock_ns) / 1e9 == pytest.approx(60, abs=1.5)
    assert run.truth["heater_w"] == 0.0


def test_a_condition_starts_the_clock_when_it_first_held_during_the_step_before(conducted):
    run = conducted("""
  - ramp: {to: 60 C, within: 1 K, settle: 60 s}
  - hold: {for: 90 s, since: flask.T >= 50 C}
""")
    hold, ramp = run.steps[-1], run.steps[-2]
    times, values = run.series["flask.T"]
    first_s = next(t for t, value in zip(times, values, strict=True) if value and value >= 50)
    assert ramp.start_ns < hold.clock_ns < ramp.end_ns
    assert hold.clock_ns / 1e9 == pytest.approx(first_s, abs=1.1)


def test_children_of_a_repeat_and_an_if_are_recorded_under_their_round(conducted, chooses):
    run = conducted(
        """
  - repeat: {until: flask.T > 90 C, at_most: 2, steps: [{stir: {id: twice, speed: 500 rpm}}]}
""",
        operator=chooses("skip"),
    )
    assert [s.id for s in run.steps if s.verb == "stir"] == ["work.2", "twice#1", "twice#2"]
    assert run.outcome == "complete_with_deviations"
    branch = conducted("  - if: {when: flask.T < 90 C, then: [{stir: 400 rpm}]}\n")
    assert branch.steps[-1].parent == "work.3"


def test_a_step_that_fails_asks_and_unanswered_ends_in_the_safe_state(conducted):
    run = conducted("  - wait_until: {condition: flask.T > 90 C, timeout: 30 s}\n")
    assert (run.outcome, run.meta.state) == ("safe", "safe")
    assert "wait" in run.reason or "flask.T" in run.reason
    assert run.questions[-1].answer == "park"
    said = [event.message for event in run.events if event.code == "safe_state"]
    assert said[0] == "heater off"
    assert "inert gas on" in said
    assert run.truth["valve.n2"] == 1.0
    assert run.truth["valve.vac_fine"] == 0.0


def test_retry_runs_the_step_again_and_is_a_deviation(conducted, chooses):
    run = conducted(
        "  - wait_until: {id: w, condition: flask.T > 90 C, timeout: 30 s}\n",
        operator=chooses("retry", "skip"),
    )
    assert [(s.id, s.state) for s in run.steps[-2:]] == [("w", "failed"), ("w", "failed")]
    assert run.outcome == "complete_with_deviations"


def test_an_interrupt_ends_in_the_safe_state_at_once(conducted):
    run = conducted(HOLD, during={40: lambda world, inbox, rig: inbox.post(Interrupt())})
    assert run.interrupted
    assert run.meta.state == "safe"
    assert run.truth["heater_w"] == 0.0
    aborted_ns = next(event.t_ns for event in run.events if event.code == "aborting")
    assert aborted_ns == pytest.approx(40e9, abs=1.5e9)


def test_an_interrupt_while_a_question_waits_is_obeyed(conducted):
    class NeverAnswers:
        def __call__(self, simulated):
            self.simulated = simulated
            return self

        async def do(self, task):
            if task.kind is TaskKind.ANSWER:
                await asyncio.Event().wait()
            return await self.simulated.do(task)

    run = conducted(
        "  - wait_until: {condition: flask.T > 90 C, timeout: 20 s}\n",
        operator=NeverAnswers(),
        during={90: lambda world, inbox, rig: inbox.post(Interrupt())},
    )
    assert run.interrupted
    assert run.meta.state == "safe"


def test_inline_advance_changes_nothing(conducted):
    assert conducted(HOLD).digest == conducted(HOLD, inline=False).digest


def test_another_seed_is_another_run(conducted):
    assert conducted(HOLD).digest == conducted(HOLD).digest
    assert conducted(HOLD).digest != conducted(HOLD, seed=2).digest
