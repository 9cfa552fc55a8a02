"""Freezing and tripping on the twin: what the plant itself feels, and that no time is counted."""

from __future__ import annotations

import asyncio
import math

import pytest

from labctl.capabilities import Reply, TaskKind
from labctl.engine.executor import Executor

NS = 10**9
HANGS_ML = 0.005
"""What hangs on the needle after the prime was wiped off, and stays there."""
DOSE = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}
"""
HOT = "  - ramp: {id: up, to: 60 C, within: 2 K}\n  - hold: {id: stay, for: 60 s, since: up.end}\n"


class Resumes:
    """A person who looks for `after_s` before saying resume or retry, and does all else."""

    def __init__(self, after_s):
        self.after_s, self.clock, self.asked = after_s, None, []

    def __call__(self, simulated):
        self.simulated = simulated
        return self

    def watch(self, run):
        self.clock = run.clock

    async def do(self, task):
        if task.kind is TaskKind.ANSWER:
            self.asked.append(task.text)
            assert len(self.asked) < 9, self.asked
            await self.clock.sleep_until(self.clock.now_ns() + self.after_s * NS)
            return Reply(text="resume" if "resume" in task.choices else "retry")
        return await self.simulated.do(task)


def each_second(until_s, *things):
    """Note what the plant truly is, every second; and the rows it goes to, by s."""
    seen = {}

    def note(at_s):
        return lambda world, inbox, rig: seen.update(
            {at_s: [world.truth(at_s * NS)[thing] for thing in things]}
        )

    return seen, {at_s: note(at_s) for at_s in range(1, until_s)}


def deaf(world, inbox, rig):
    """Cut the line of the syringe pumps."""

    async def swallow(data):
        """Nobody hears it."""

    rig.ports["pumps"]._wire.write = swallow


def hood_off(at_s, back_s):
    return {
        at_s: lambda world, inbox, rig: world.put("hood_flow", 0.0, at_s * NS),
        back_s: lambda world, inbox, rig: world.put("hood_flow", 1.0, back_s * NS),
    }


def test_a_trip_takes_the_power_from_the_plant_within_three_seconds(conducted, rig_text):
    rig = rig_text.replace("require: flask.T < 345 C", "require: flask.T < 45 C")
    seen, during = each_second(600, "heater_w")
    run = conducted("  - ramp: {to: 60 C, within: 2 K}\n", rig=rig, during=during)
    (alarm,) = run.alarms
    tripped_s = alarm.t_on_ns / NS
    assert any(power > 0 for at_s, (power,) in seen.items() if tripped_s - 5 < at_s < tripped_s)
    assert all(power == 0 for at_s, (power,) in seen.items() if at_s > tripped_s + 3)
    assert (run.outcome, run.meta.state) == ("safe", "safe")


def test_a_trip_stops_a_dose_within_a_second_and_says_what_was_given(conducted, rig_text):
    rig = rig_text.replace(
        "severity: freeze,  require: aux.hood", "severity: trip, require: aux.hood"
    )
    seen, during = each_second(120, "pump_2.delivered_ml")
    during[40] = lambda world, inbox, opened: world.put("hood_flow", 0.0, 40 * NS)
    run = conducted(DOSE, rig=rig, during=during)
    assert run.outcome == "safe"
    tripped_s = run.alarms[0].t_on_ns / NS
    (late_ml,) = seen[math.ceil(tripped_s) + 1]
    final_ml = run.truth["pump_2.delivered_ml"]
    assert late_ml == final_ml
    assert 0 < final_ml < 0.28
    row = run.dose("s")
    assert row.delivered_ml == pytest.approx(final_ml, abs=0.006), "but for the hanging drop"
    assert run.truth["valve.line_2"] == 0.0


def test_a_frozen_dose_stops_and_goes_on_to_exactly_its_volume(conducted):
    person = Resumes(60)
    seen, during = each_second(240, "pump_2.delivered_ml")
    run = conducted(
        DOSE, operator=person, watch=person.watch, during={**during, **hood_off(40, 60)}
    )
    assert run.outcome == "complete_with_deviations"
    (alarm,) = run.alarms
    held = [ml for at_s, (ml,) in seen.items() if alarm.t_on_ns / NS + 1 <= at_s]
    assert held[0] == held[50] < 0.25
    assert alarm.t_off_ns is not None
    assert run.dose("s").delivered_ml == pytest.approx(0.3 - HANGS_ML, abs=0.003)
    assert run.truth["pump_2.delivered_ml"] == pytest.approx(0.3, abs=0.006)


def test_a_frozen_hold_is_not_counted(conducted):
    person = Resumes(100)
    usual = conducted(HOT).step("stay")
    off_s = round(usual.start_ns / NS) + 20
    hood = hood_off(off_s, off_s + 20)
    run = conducted(HOT, operator=person, watch=person.watch, during=hood)
    stay, froze_ns = run.step("stay"), run.alarms[0].t_on_ns
    assert usual.start_ns < froze_ns < usual.end_ns, "the hood failed during the hold"
    assert (stay.end_ns - stay.start_ns) / NS == pytest.approx(160, abs=3)
    assert (usual.end_ns - usual.start_ns) / NS == pytest.approx(60, abs=2)


def test_a_ramp_goes_on_after_a_freeze(conducted):
    person = Resumes(30)
    run = conducted(
        "  - ramp: {id: up, to: 60 C, rate: 15 K/min, within: 2 K}\n",
        operator=person, watch=person.watch, during=hood_off(60, 70),
    )  # fmt: skip
    assert run.outcome == "complete_with_deviations"
    assert run.step("up").state == "done"
    assert max(v for v in run.series["flask.T"][1] if v is not None) >= 58


def test_the_action_of_a_freeze_is_done(conducted):
    person = Resumes(20)
    seen, during = each_second(400, "heater_w")
    during[150] = lambda world, inbox, rig: world.put("n2_pressure", 0.0, 150 * NS)
    during[190] = lambda world, inbox, rig: world.put("n2_pressure", 1.0, 190 * NS)
    run = conducted(
        "  - ramp: {to: 80 C, within: 2 K, timeout: 300 s}\n",
        operator=person, watch=person.watch, during=during,
    )  # fmt: skip
    (alarm,) = [alarm for alarm in run.alarms if alarm.id == "n2_supply"]
    froze_s = round(alarm.t_on_ns / NS)
    assert froze_s == pytest.approx(160, abs=9)
    assert seen[froze_s - 3][0] > 0
    assert {seen[at_s][0] for at_s in range(froze_s + 2, froze_s + 18)} == {0.0}


class Slow(Resumes):
    """A person who takes a minute to sign, and looks long before saying resume."""

    async def do(self, task):
        if task.kind is TaskKind.CONFIRM:
            await self.clock.sleep_until(self.clock.now_ns() + 60 * NS)
        return await super().do(task)


def test_what_follows_a_signature_waits_until_the_run_is_resumed(conducted):
    person = Slow(200)
    seen, during = each_second(600, "heater_w")
    run = conducted(
        "  - confirm: {id: sign, who: operator, list: [hood flow]}\n  - ramp: {to: 40 C}\n",
        operator=person, watch=person.watch, during={**during, **hood_off(15, 100)},
    )  # fmt: skip
    froze_s = round(run.alarms[0].t_on_ns / NS)
    assert run.step("sign").start_ns / NS < froze_s < 60
    assert all(power == 0 for at_s, (power,) in seen.items() if froze_s <= at_s < froze_s + 195)
    assert run.outcome == "complete_with_deviations"
    assert run.step("work.4").state == "done"


def test_a_freeze_that_still_stands_is_not_resumed_from(conducted):
    person = Resumes(30)
    run = conducted(DOSE, operator=person, watch=person.watch, during=hood_off(40, 100))
    (alarm,) = run.alarms
    resumed_ns = next(e.t_ns for e in run.events if e.code == "deviation")
    assert resumed_ns > alarm.t_off_ns
    assert run.codes().count("resume.refused") == 1
    assert run.dose("s").delivered_ml == pytest.approx(0.3 - HANGS_ML, abs=0.003)


@pytest.mark.parametrize("rule_id", ["hood", "n2_supply"])
@pytest.mark.parametrize("late_ms", range(40, 400, 80))
def test_a_freeze_while_a_pump_is_being_told_leaves_it_standing(conducted, late_ms, rule_id):
    person = Resumes(40)
    holder = []

    def watch(run):
        holder.append(run)
        person.watch(run)

        def look(message):
            if getattr(message, "code", "") == "step.started" and message.data["step"] == "s":
                due_ns = message.t_ns + late_ms * 1_000_000
                asyncio.get_running_loop().call_at_ns(due_ns, freeze)

        run.bus.subscribe(look)

    def freeze():
        if frozen:
            return
        rule = next(r for r in holder[0].plan.rig.model.interlocks if r.id == rule_id)
        frozen.append(holder[0].clock.now_ns())
        executors[0].parts.froze(rule, "pressed by the test")

    frozen, executors = [], []
    seen, during = each_second(300, "pump_2.delivered_ml")
    with pytest.MonkeyPatch.context() as patched:
        made = Executor.__init__
        patched.setattr(
            Executor,
            "__init__",
            lambda self, *given: (executors.append(self), made(self, *given))[0],
        )
        run = conducted(DOSE, operator=person, watch=watch, during=during)
    (froze_ns,) = frozen
    froze_s = math.ceil(froze_ns / NS)
    assert seen[froze_s + 2] == seen[froze_s + 35], "it stands while the run is frozen"
    assert run.dose("s").delivered_ml == pytest.approx(0.3 - HANGS_ML, abs=0.003)


WARM_DOSE = """
  - prime: {reagents: [S], into: waste}
  - ramp: {to: 35 C, within: 5 K}
  - inject: {id: s, reagent: S, volume: 0.6 mL, over: 120 s}
"""


def test_a_pump_that_does_not_answer_keeps_nobody_from_cutting_the_heat(conducted, rig_text):
    rig = rig_text.replace(
        "severity: freeze,  require: aux.hood", "severity: trip, require: aux.hood"
    )
    at_s = round(conducted(WARM_DOSE).step("s").start_ns / NS) + 30
    during = {
        at_s: lambda world, inbox, rig: world.put("hood_flow", 0.0, at_s * NS),
        at_s + 4: deaf,
    }
    run = conducted(WARM_DOSE, rig=rig, during=during)
    tripped_ns = run.alarms[0].t_on_ns
    assert run.step("s").start_ns < tripped_ns < run.step("s").end_ns
    # Unit 1, register 273 (auto/manual): manual, the output is the instrument's own no more.
    off = [t for t, data in run.sent("bus", tripped_ns) if data[:4] == bytes.fromhex("01060111")]
    assert off[0] - tripped_ns <= 0.5 * NS
    assert run.outcome == "safe"
    assert run.dose("s").state == "unknown"
