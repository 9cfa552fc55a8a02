"""A deaf port, instrument by instrument: what the run does, and when."""

from __future__ import annotations

import pytest

NS = 10**9
HOT = "  - ramp: {to: 80 C, within: 2 K}\n  - hold: {for: 10 min}\n"
HOLD = "  - hold: {for: 10 min}\n"
DOSE = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.5 mL, over: 60 s}
"""


def deaf(*devices):
    """From now on the instruments hear nothing."""

    def act(world, inbox, rig):
        for name in devices:
            world.device(name).feed = lambda data, t_ns: []

    return act


def mute(*devices, seconds):
    """The instruments answer nothing for some seconds, then as before."""

    def act(world, inbox, rig):
        for name in devices:
            device = world.device(name)
            feed, until_ns = device.feed, []

            def answer(data, t_ns, feed=feed, until_ns=until_ns):
                if not until_ns:
                    until_ns.append(t_ns + round(seconds * NS))
                return [] if t_ns < until_ns[0] else feed(data, t_ns)

            device.feed = answer

    return act


def without(rig, *ids):
    """The rig without some interlocks, so that the policy alone is seen."""
    return "\n".join(line for line in rig.splitlines() if not any(f"id: {i}," in line for i in ids))


def at_s(run, code):
    return [event.t_ns / NS for event in run.events if event.code == code]


def alarm_s(run, id_):
    (alarm,) = [alarm for alarm in run.alarms if alarm.id == id_]
    return alarm.t_on_ns / NS


def test_a_heater_that_is_lost_for_five_seconds_ends_safe(conducted, rig_text):
    rig = without(rig_text, "too_hot", "two_probes")
    run = conducted(HOLD, rig=rig, during={60: deaf("heater")})
    assert run.outcome == "safe"
    assert 64.0 < alarm_s(run, "lost_heater") < 65.5
    assert 61.0 < at_s(run, "device.degraded")[0] < 62.5


def test_three_seconds_of_silence_are_degraded_and_no_more(conducted, rig_text):
    rig = without(rig_text, "too_hot", "two_probes")
    run = conducted("  - hold: {for: 60 s}\n", rig=rig, during={40: mute("heater", seconds=3)})
    assert run.outcome == "complete"
    assert len(at_s(run, "device.degraded")) == 1
    assert run.codes().count("device.answers") == 1


def test_one_lost_reply_is_no_news_of_loss(conducted):
    run = conducted("  - hold: {for: 60 s}\n", during={40: mute("heater", seconds=0.2)})
    assert run.outcome == "complete"
    assert at_s(run, "device.degraded") == []


def test_a_lost_gauge_freezes_a_run_that_does_not_pump(conducted, rig_text):
    run = conducted(HOLD, rig=without(rig_text, "over_p"), during={60: deaf("gauges")})
    assert 69 < alarm_s(run, "lost_gauges") < 70.5
    assert run.questions[-1].text.startswith("lost_gauges froze the run")
    assert "valve vac_fine shut" not in [e.message for e in run.events if e.t_ns < 75 * NS]


def test_a_lost_gauge_shuts_the_vacuum_on_a_hot_flask_that_is_pumped(conducted, rig_text):
    rig = without(rig_text, "over_p", "air_in_trap")
    steps = """
  - confirm: {who: operator, list: [trap cold]}
  - degas: {at: 80 C, for: 20 min, below: 1 Torr, read_at: line, timeout: 60 min}
"""
    run = conducted(steps, rig=rig, during={600: deaf("gauges")})
    assert 609 < alarm_s(run, "lost_gauges") < 610.5
    shut = [t / NS for t, data in run.sent("bus", 600 * NS) if data[:4] == b"\x0a\x05\x00\x01"]
    assert shut
    assert 609 < shut[0] < 613


def test_a_pump_lost_while_it_runs_leaves_its_dose_unknown_and_asks(conducted):
    run = conducted(DOSE, during={60: deaf("pump_2")})
    assert run.dose("s").state == "unknown"
    assert run.questions[-1].text.startswith("work.4 failed") or "s failed" in (
        run.questions[-1].text
    )
    assert 60 < run.dose("s").end_ns / NS < 70
    assert run.outcome == "safe"


def test_a_pump_lost_at_rest_is_told_and_nothing_else(conducted):
    run = conducted("  - hold: {for: 60 s}\n", during={20: deaf("pump_3")})
    assert run.outcome == "complete"
    assert run.codes().count("device.lost") == 1


def test_a_lost_stirrer_freezes_before_anything_is_injected(conducted, rig_text):
    rig = without(rig_text, "two_probes")
    run = conducted(f"{HOLD}{DOSE}", rig=rig, during={60: deaf("stirrer")})
    assert 69 < alarm_s(run, "lost_stirrer") < 70.6
    assert run.questions[-1].text.startswith("lost_stirrer froze the run")
    assert not [d for _, d in run.sent("pumps", 60 * NS) if b"RUN" in d]


@pytest.mark.parametrize(("lost_after", "within"), [("12 s", (71, 72.6)), ("4 s", (63, 64.6))])
def test_the_rig_file_may_say_otherwise(conducted, rig_text, lost_after, within):
    rig = without(rig_text, "two_probes").replace(
        "heating: never,", f"heating: never, lost_after: {lost_after}, on_lost: safe state,"
    )
    run = conducted(HOLD, rig=rig, during={60: deaf("stirrer")})
    assert within[0] < alarm_s(run, "lost_stirrer") < within[1]
    assert run.outcome == "safe"


def test_a_frozen_run_cannot_be_resumed_before_the_instrument_answers(conducted, rig_text, chooses):
    rig = without(rig_text, "two_probes")
    during = {40: mute("stirrer", seconds=13)}
    run = conducted(
        "  - hold: {for: 60 s}\n", rig=rig, during=during, operator=chooses(*["resume"] * 90)
    )
    assert run.outcome == "complete_with_deviations"
    assert "resume.refused" in run.codes()
