"""Commands of people to a running run, judged on the plant's truth and on the record."""

from __future__ import annotations

import pytest

from labctl.engine.commands import Command
from labctl.record import open_run
from tests.labctl.engine.conftest import HEAD

NS = 10**9
DOSE = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}
"""
HOT = "  - ramp: {id: up, to: 60 C, within: 2 K}\n  - hold: {id: stay, for: 60 s, since: up.end}\n"
STRIP = "  - strip: {solvent: toluene, at: 30 C, down_to: 100 mbar, over: 5 min}\n"
HOLDS = "  - hold: {id: a, for: 60 s}\n  - hold: {id: b, for: 60 s}\n"


PATIENT = HEAD.replace("park:", "problem: {do: freeze, unanswered: 1 h, then: park}\npark:")


def say(verb, text="", actor="MT"):
    return lambda world, inbox, rig: inbox.post(Command(verb, actor, text))


def commands(run):
    with open_run(run.directory) as record:
        return [(c.verb, c.accepted, c.reason) for c in record.commands]


def took_s(step):
    return (step.end_ns - step.start_ns) / NS


def test_a_freeze_stops_time_and_doses_and_a_resume_gives_just_the_rest(conducted):
    seen = {}

    def note(at_s):
        return lambda world, inbox, rig: seen.update(
            {at_s: world.truth(at_s * NS)["pump_2.delivered_ml"]}
        )

    during = {40: say("freeze"), 45: note(45), 95: note(95), 100: say("resume")}
    run = conducted(DOSE, during=during)
    assert seen[45] == seen[95]
    plain_ml = conducted(DOSE).dose("s").delivered_ml
    assert run.dose("s").delivered_ml == pytest.approx(plain_ml, abs=0.0005)
    assert run.truth["pump_2.delivered_ml"] == pytest.approx(plain_ml, abs=0.0005)
    assert run.outcome == "complete_with_deviations"
    assert commands(run) == [("freeze", True, ""), ("resume", True, "")]


def test_frozen_time_is_no_reaction_time(conducted):
    plain = conducted(HOLDS)
    froze = conducted(HOLDS, during={20: say("freeze"), 140: say("resume")})
    longer = took_s(froze.step("a")) - took_s(plain.step("a"))
    assert longer == pytest.approx(120, abs=2)


def test_parking_cools_under_inert_gas_and_resuming_heats_back_before_time_goes_on(conducted):
    truth = {}

    def note(at_s):
        return lambda world, inbox, rig: truth.update({at_s: world.truth(at_s * NS)})

    plain = conducted(HOT)
    starts_s = int(plain.step("stay").start_ns / NS)
    park_s, back_s = starts_s + 20, starts_s + 1220
    during = {park_s: say("park"), back_s - 1: note(back_s - 1), back_s: say("resume")}
    run = conducted(HOT, head=PATIENT, during=during)
    parked = truth[back_s - 1]
    assert parked["flask_c"] < 40
    assert parked["valve.n2"] == 1.0
    assert parked["valve.vac_rough"] == parked["valve.vac_fine"] == 0.0
    resumed_ns = next(e.t_ns for e in run.events if e.code == "command" and "resume" in e.message)
    times, values = run.series["flask.T"]
    back_at = next(t for t, c in zip(times, values, strict=True) if t > resumed_ns / NS and c > 56)
    assert run.step("stay").end_ns / NS >= back_at + 38
    assert run.outcome == "complete_with_deviations"


@pytest.mark.parametrize("verb", ["freeze", "pause", "park"])
def test_a_run_that_is_held_and_forgotten_does_not_stay_hot(conducted, verb):
    run = conducted(HOT + HOLDS, during={60: say(verb)})
    assert run.outcome == "safe"
    assert "nobody said how to go on" in run.reason
    assert run.truth["heater_w"] == 0.0


def test_a_pause_lets_the_step_end_and_holds_before_the_next(conducted):
    run = conducted(HOLDS, during={20: say("pause"), 200: say("resume")})
    assert took_s(run.step("a")) < 65
    assert run.step("b").start_ns >= 200 * NS
    assert run.step("b").end_ns - run.step("b").start_ns < 65 * NS


def test_skip_leaves_out_a_step_and_says_so(conducted):
    run = conducted(HOLDS, during={30: say("skip")})
    assert run.step("a").state == "skipped"
    assert took_s(run.step("a")) < 40
    assert took_s(run.step("b")) > 55
    assert run.outcome == "complete_with_deviations"


INSIDE = "  - repeat: {until: flask.T > 300 C, at_most: 1, steps: [backfill: {cycles: 1}]}\n"


@pytest.mark.parametrize("steps", ["  - backfill: {cycles: 1}\n", STRIP, INSIDE])
def test_what_makes_the_flask_inert_or_clean_is_never_skipped(conducted, steps):
    run = conducted(steps, during={20: say("skip")})
    ((verb, accepted, reason),) = commands(run)
    assert (verb, accepted) == ("skip", False)
    assert "never skipped" in reason
    assert run.outcome == ("safe" if steps == INSIDE else "complete")


def test_a_retried_dose_gives_only_what_is_missing(conducted):
    run = conducted(DOSE, during={45: say("retry")})
    assert [step.state for step in run.steps if step.id == "s"] == ["cancelled", "done"]
    assert run.truth["pump_2.delivered_ml"] == pytest.approx(0.3, abs=0.01)
    (deviation,) = [e.message for e in run.events if e.code == "deviation"]
    assert "S has had" in deviation


def test_extend_makes_a_hold_longer_and_nothing_else(conducted):
    run = conducted(HOLDS, during={20: say("extend", "90 s")})
    assert took_s(run.step("a")) == pytest.approx(150, abs=3)
    assert took_s(run.step("b")) == pytest.approx(60, abs=3)


@pytest.mark.parametrize(
    ("steps", "text", "reason"),
    [
        (HOLDS, "90", "by how long"),
        (HOLDS, "9 h", "up to 4 h"),
        (HOLDS, "", "by how long"),
        (DOSE, "90 s", "not possible in a inject step"),
    ],
)
def test_an_extension_that_makes_no_sense_is_refused(conducted, steps, text, reason):
    run = conducted(steps, during={40: say("extend", text)})
    ((_, accepted, said),) = commands(run)
    assert not accepted
    assert reason in said


def test_commands_out_of_place_are_refused_with_the_state_and_change_nothing(conducted):
    plain = conducted(HOLDS)
    run = conducted(HOLDS, during={20: say("resume"), 21: say("degas"), 22: say("note")})
    reasons = [reason for _, accepted, reason in commands(run) if not accepted]
    assert reasons[0] == "resume is not possible while the run is running"
    assert reasons[1].startswith("there is no command 'degas'; known: pause, freeze")
    assert reasons[2] == "a note wants a text"
    assert run.outcome == plain.outcome == "complete"


def test_a_person_cannot_resume_over_a_violated_interlock(conducted):
    during = {
        30: lambda world, inbox, rig: world.put("hood_flow", 0.0, 30 * NS),
        60: say("resume"),
        70: lambda world, inbox, rig: world.put("hood_flow", 1.0, 70 * NS),
        90: say("resume"),
    }

    class Waits:
        def __call__(self, simulated):
            self.simulated = simulated
            return self

        def watch(self, run):
            self.clock = run.clock

        async def do(self, task):
            if "froze the run" in task.text:
                await self.clock.sleep_until(self.clock.now_ns() + 500 * NS)
            return await self.simulated.do(task)

    person = Waits()
    run = conducted(HOLDS, during=during, operator=person, watch=person.watch)
    first, second = commands(run)
    assert first == ("resume", False, "hood is still violated")
    assert second == ("resume", True, "")
    assert run.outcome == "complete_with_deviations"


def test_an_interlock_still_acts_while_the_run_is_held(conducted, rig_text):
    seen = {}

    def note(world, inbox, rig):
        seen["w"] = world.truth(690 * NS)["heater_w"]

    during = {
        600: say("freeze"),
        650: lambda world, inbox, rig: world.put("n2_pressure", 0.0, 650 * NS),
        690: note,
        700: say("abort", "enough"),
    }
    run = conducted("  - ramp: {to: 90 C}\n  - hold: {for: 2 h}\n", during=during)
    assert seen["w"] == 0.0, "n2_supply switches the heater off"
    assert run.outcome == "safe"


@pytest.mark.parametrize("at_s", [0, 1, 5, 14, 30, 41, 60, 101, 140])
def test_an_abort_is_heard_at_once_in_every_state(conducted, at_s):
    during = {at_s: say("abort", "now"), 40: say("freeze"), 100: say("resume")}
    run = conducted(f"{HOT}{HOLDS}", during=during)
    assert run.outcome == "safe"
    assert run.truth["heater_w"] == 0.0
    (command,) = [c for c in commands(run) if c[0] == "abort"]
    assert command[1]
    off_ns = next(e.t_ns for e in run.events if e.code == "aborting")
    assert off_ns - at_s * NS <= 0.1 * NS


WARN = """- {id: slow, severity: warn, require: stirrer.speed > 200 rpm, max_age: 5 s, grace: 20 s,
   latch: yes}
"""


def test_a_latched_warning_stays_until_somebody_acknowledges_it(conducted, rig_text):
    steps = "  - hold: {for: 30 s}\n  - stir: 100 rpm\n  - hold: {for: 30 s}\n  - stir: 600 rpm\n"
    during = {20: say("ack", "slow"), 90: say("ack", "slow"), 95: say("ack", "")}
    run = conducted(steps + "  - hold: {for: 60 s}\n", rig=rig_text + WARN, during=during)
    assert run.outcome == "complete"
    (alarm,) = [alarm for alarm in run.alarms if alarm.id == "slow"]
    assert alarm.severity == "warn"
    assert 30 < alarm.t_on_ns / NS < 45
    assert alarm.t_off_ns == 90 * NS
    assert [(verb, accepted) for verb, accepted, _ in commands(run)] == [
        ("ack", False), ("ack", True), ("ack", False),
    ]  # fmt: skip
    assert "no interlock 'slow' stands violated" in commands(run)[0][2]
