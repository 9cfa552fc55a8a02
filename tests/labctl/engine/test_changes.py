"""What was changed behind the run's back: seen within two polls, frozen, and asked about."""

from __future__ import annotations

import pytest

from labctl.engine.commands import Command

NS = 10**9
HEAT = "  - ramp: {to: 60 C, within: 2 K}\n  - hold: {for: 120 s}\n"
DOSE = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.5 mL, over: 60 s}
"""


def at_panel(device, *writes):
    """Somebody enters values at a controller's front."""

    def act(world, inbox, rig):
        sim = world.device(device)
        for address, value in writes:
            sim._write((address, value), sim._now_ns)

    return act


def plugged_out(device):
    def act(world, inbox, rig):
        world.device(device).power_cycle()

    return act


def frozen(run, name):
    (event,) = [e for e in run.events if e.code == "device.changed"]
    assert event.data["device"] == name
    return event


def test_a_setpoint_turned_at_the_panel_is_asked_about_and_adopted(conducted, chooses):
    during = {40: at_panel("heater", (2, 50.0))}
    run = conducted(HEAT, during=during, operator=chooses("adopt 49.5 °C"))
    event = frozen(run, "heater")
    assert 40 <= event.t_ns / NS <= 42
    assert "its setpoint is 50 °C, and labctl set 60.5 °C, by its own scale" in event.message
    (asked,) = [q for q in run.questions if "changed" in q.text]
    assert set(asked.choices) == {"restore 60 °C", "adopt 49.5 °C", "park", "abort"}
    times, values = run.series["heater.setpoint"]
    assert 49.5 in [round(value, 1) for t, value in zip(times, values, strict=True) if t > 42]


def test_restored_it_goes_on_to_what_the_recipe_asked(conducted, chooses):
    during = {40: at_panel("heater", (2, 30.0))}
    run = conducted(HEAT, during=during, operator=chooses("restore 60 °C"))
    assert run.outcome == "complete_with_deviations"
    assert run.step("work.3").state == "done"
    said = next(event.message for event in run.events if event.code == "deviation")
    assert said.startswith("restore 60 °C")


def test_nobody_answers_and_the_run_parks(conducted):
    run = conducted(HEAT, during={40: at_panel("heater", (2, 90.0))})
    assert run.outcome == "safe"
    assert run.questions[-1].answer == "park"
    assert run.truth["heater_w"] == 0.0


def test_where_a_person_can_come_it_is_restored_and_parked_and_can_be_resumed(conducted):
    during = {
        40: at_panel("heater", (2, 90.0)),
        3000: lambda world, inbox, rig: inbox.post(Command("resume", "MT")),
    }
    run = conducted(HEAT, during=during, watch=lambda run: setattr(run, "parks", True))
    said = [event.message for event in run.events if event.code == "deviation"]
    assert any(message.startswith("restore 60 °C") for message in said)
    assert "parked" in run.codes()
    assert run.outcome == "complete_with_deviations"
    assert run.step("work.4").start_ns > 3000 * NS


def test_a_controller_put_to_manual_is_put_back(conducted, chooses):
    during = {40: at_panel("heater", (273, 1.0))}
    run = conducted(HEAT, during=during, operator=chooses("restore"))
    event = frozen(run, "heater")
    assert 40 <= event.t_ns / NS <= 43
    assert run.outcome == "complete_with_deviations"


def test_a_heater_switched_on_by_hand_is_switched_off_again(conducted, chooses):
    during = {20: at_panel("heater", (2, 90.0), (273, 0.0))}
    run = conducted("  - hold: {for: 60 s}\n", during=during, operator=chooses("restore 20 °C"))
    (asked,) = [q for q in run.questions if "changed" in q.text]
    assert asked.choices == ["restore 20 °C", "park", "abort"]
    assert run.outcome == "complete_with_deviations"
    times, values = run.series["heater.output"]
    assert max(v for t, v in zip(times, values, strict=True) if t > 30) == 0.0


def test_beyond_the_rigs_limit_nothing_is_adopted(conducted, rig_text):
    during = {40: at_panel("heater", (111, 400.0), (2, 350.0))}
    run = conducted(HEAT, during=during)
    (asked,) = [q for q in run.questions if "changed" in q.text]
    assert asked.choices == ["restore 60 °C", "park", "abort"]


def test_what_labctl_commands_itself_is_no_change(conducted):
    steps = "  - ramp: {to: 40 C, within: 2 K}\n  - ramp: {to: 30 C, within: 3 K}\n"
    run = conducted(steps + HEAT)
    assert run.outcome == "complete"
    assert "device.changed" not in run.codes()


def test_a_pump_that_restarts_in_a_dose_leaves_the_dose_unknown(conducted):
    run = conducted(DOSE, during={50: plugged_out("pump_2")})
    event = frozen(run, "pump_2")
    assert event.t_ns / NS <= 52
    assert run.dose("s").state == "unknown"
    assert run.outcome == "safe"


def test_a_pump_that_restarts_at_rest_is_set_up_anew(conducted, chooses):
    steps = f"  - hold: {{for: 60 s}}\n{DOSE}"
    during = {20: plugged_out("pump_2")}
    run = conducted(steps, during=during, operator=chooses("restore"))
    assert frozen(run, "pump_2").t_ns / NS <= 36, "two polls at rest, 8 s apart"
    assert run.outcome == "complete_with_deviations"
    assert run.dose("s").delivered_ml == pytest.approx(0.5, abs=0.01)
