"""What a step does by itself when it fails, as its `on_fail` says."""

from __future__ import annotations

import pytest

from labctl.engine.commands import Command

NS = 10**9
WAIT = "wait_until: {{id: w, condition: flask.T > 90 C, timeout: 30 s{}}}"


def fails(how):
    return f"  - {WAIT.format(how)}\n  - hold: {{id: after, for: 20 s}}\n"


def tries(run):
    return [step.state for step in run.steps if step.id.partition("#")[0] == "w"]


def deviations(run):
    return [event.message for event in run.events if event.code == "deviation"]


def test_skip_goes_on_without_a_question_and_is_a_deviation(conducted):
    run = conducted(fails(", on_fail: skip"))
    assert run.outcome == "complete_with_deviations"
    assert tries(run) == ["failed"]
    assert run.step("after").state == "done"
    assert not [q for q in run.questions if "failed" in q.text]
    (said,) = deviations(run)
    assert "skipped, as its on_fail says" in said


@pytest.mark.parametrize("retries", [1, 3])
def test_retry_begins_again_so_often_and_then_asks(conducted, chooses, retries):
    run = conducted(fails(f", on_fail: retry, retries: {retries}"), operator=chooses("skip"))
    assert tries(run) == ["failed"] * (1 + retries)
    assert len([q for q in run.questions if "failed" in q.text]) == 1
    assert run.outcome == "complete_with_deviations"
    assert len(deviations(run)) == retries + 1


def test_a_retry_that_succeeds_needs_nobody(conducted):
    steps = """
  - ramp: {to: 60 C, within: 2 K, timeout: 60 s, on_fail: retry, retries: 5}
"""
    run = conducted(steps)
    assert run.outcome == "complete_with_deviations"
    assert run.steps[-1].state == "done"
    assert not [q for q in run.questions if "failed" in q.text]


def test_inside_a_repeat_a_step_is_skipped_or_begun_again_alone(conducted):
    inner = WAIT.format(", on_fail: skip")
    steps = f"""
  - repeat: {{until: "flask.T < 10 C", at_most: 2, on_fail: skip, steps: [{{{inner}}}]}}
"""
    run = conducted(steps)
    assert [step.id for step in run.steps if step.verb == "wait_until"] == ["w#1", "w#2"]
    assert tries(run) == ["failed", "failed"]
    assert run.outcome == "complete_with_deviations"


def test_safe_and_park_end_a_dry_run_without_a_question(conducted):
    for how in ("safe", "park"):
        run = conducted(fails(f", on_fail: {how}"))
        assert run.outcome == "safe"
        assert not [q for q in run.questions if "failed" in q.text]


def test_freeze_stops_the_clock_and_asks(conducted):
    class Resumes:
        def __call__(self, simulated):
            self.simulated = simulated
            return self

        def watch(self, run):
            self.run, self.states = run, []

        async def do(self, task):
            if "resume" in task.choices:
                self.states.append((self.run.machine.state.value, self.run.elapsed.frozen))
                self.run.parks = True
                await self.run.clock.sleep_until(self.run.clock.now_ns() + 10**5 * NS)
            return await self.simulated.do(task)

    person = Resumes()
    skip = lambda world, inbox, rig: inbox.post(Command("skip", "MT"))  # noqa: E731 - one act
    run = conducted(fails(", on_fail: freeze"), operator=person, watch=person.watch,
                    during={300: skip})  # fmt: skip
    assert person.states == [("held", True)]
    assert run.outcome == "complete_with_deviations"
    assert tries(run) == ["failed"]
    assert run.step("after").start_ns >= 300 * NS
