"""Interlocks: unknown counts as violated, told once, asked again at the wire."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from labctl.clock import NS, VirtualClock
from labctl.engine.interlocks import Interlocks
from labctl.engine.machine import State
from labctl.engine.signals import Signals
from labctl.errors import StepFailedError
from labctl.loop import VirtualLoop
from labctl.readings import Channel, Quality, Reading
from labctl.rules import RUN_STATES, Interlock


class Facts:
    ambient_mbar = 1005.0

    def __init__(self):
        self.open_ = {"n2": False, "vac_rough": False}
        self.tokens = set()
        self.now = "running"

    def state(self):
        return self.now

    def commanded(self, output):
        return self.open_.get(output)

    def attended(self):
        return True

    def trap_cold(self):
        return None

    def keep_at_c(self, pump):
        return {"pump_1": 80.0}.get(pump)

    def signatures(self, pump):
        return 1

    def token(self, kind):
        return kind in self.tokens


class Bench:
    """Rules over a clock that the test moves."""

    def __init__(self, *rules, unchecked=()):
        self.loop = VirtualLoop()
        clock = VirtualClock(self.loop, dt.datetime(2025, 11, 3, 9))
        self.signals, self.facts = Signals(clock), Facts()
        self.signals.declare(Channel("flask.P", "pressure", 0.1, 1100.0))
        self.told, self.cleared = [], []
        self.locks = Interlocks(
            self.signals,
            self.facts,
            clock,
            lambda source, why: self.told.append((source.id, why)),
            lambda source, why: self.cleared.append(source.id),
        )
        self.locks.add([Interlock.model_validate(rule) for rule in rules], {}, unchecked)

    def read(self, signal, value, at_s, quality=Quality.GOOD):
        self.loop._now_ns = round(at_s * NS)
        if signal in self.signals.latest:
            self.signals.before[signal] = self.signals.latest[signal]
        self.signals.latest[signal] = Reading(signal, value, quality, self.loop._now_ns)
        self.locks.sampled(self.locks.rules_on([signal]))

    def ids(self):
        return [rule for rule, _ in self.told]

    def close(self):
        self.loop.close()


@pytest.fixture
def bench():
    made = []

    def make(*rules, **more):
        made.append(Bench(*rules, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


TOO_HOT = {
    "id": "too_hot", "severity": "trip", "require": "flask.T < 345 C", "max_age": "5 s",
    "for": "2 s",
}  # fmt: skip


def test_a_violation_is_told_once_and_only_after_its_time(bench):
    b = bench(TOO_HOT)
    b.read("flask.T", 350.0, 1)
    b.read("flask.T", 350.0, 2)
    assert b.told == []
    b.read("flask.T", 350.0, 3.1)
    b.read("flask.T", 350.0, 4)
    assert [rule for rule, _ in b.told] == ["too_hot"]
    assert "flask.T is 350" in b.told[0][1]
    b.read("flask.T", 340.0, 5)
    assert b.cleared == ["too_hot"]


def test_a_dip_below_the_limit_starts_the_time_again(bench):
    b = bench(TOO_HOT)
    b.read("flask.T", 350.0, 1)
    b.read("flask.T", 340.0, 2)
    b.read("flask.T", 350.0, 3)
    b.read("flask.T", 350.0, 4.5)
    assert b.told == []


@pytest.mark.parametrize("quality", [Quality.BAD, Quality.GOOD])
def test_a_bad_or_old_signal_counts_as_violated(bench, quality):
    b = bench({**TOO_HOT, "for": "0 s"})
    b.read("flask.T", 100.0, 1)
    assert b.told == []
    if quality is Quality.BAD:
        b.read("flask.T", None, 2, quality)
    else:
        b.loop._now_ns = 7 * NS
        b.locks.sampled(b.locks.rules)
    assert "unknown" in b.told[0][1] or quality is Quality.GOOD
    assert len(b.told) == 1


def test_a_gauge_below_its_range_still_satisfies_an_upper_limit(bench):
    over_p = {"id": "over_p", "severity": "trip", "require": "flask.P < ambient + 60 mbar"}
    b = bench(over_p)
    b.read("flask.P", 0.0, 1, Quality.UNCERTAIN)
    assert b.told == []
    assert b.signals.bounds("flask.P") == (0.0, 0.1)


def test_when_and_unless_exempt_only_when_they_are_known(bench):
    two = {
        "id": "two", "severity": "trip", "require": "abs(flask.T - flask.T2) < 8 K",
        "when": "flask.T > 60 C", "unless": "token(quench)",
    }  # fmt: skip
    b = bench(two)
    b.read("flask.T2", 20.0, 1)
    assert [rule for rule, _ in b.told] == ["two"], "unknown flask.T: the rule applies"
    b = bench(two)
    b.read("flask.T", 50.0, 1)
    b.read("flask.T2", 20.0, 1)
    assert b.told == []
    b.facts.tokens.add("quench")
    b.read("flask.T", 150.0, 2)
    assert b.told == []
    b.facts.tokens.clear()
    b.read("flask.T", 150.0, 3)
    assert [rule for rule, _ in b.told] == ["two"]


def test_an_inhibit_judges_what_the_command_would_make(bench):
    b = bench(
        {"id": "one", "severity": "inhibit", "gates": ["n2", "vac_rough"],
         "require": "count_open(n2, vac_rough) <= 1"},
        {"id": "warm", "severity": "inhibit", "gates": ["pump_1"],
         "require": "warm.T > reagent.keep_at - 5 K"},
        {"id": "hf", "severity": "inhibit", "gates": ["pump_3"], "require": "confirmed(2)"},
        {"id": "trap", "severity": "inhibit", "gates": ["vac_fine"], "require": "trap.cold"},
    )  # fmt: skip
    b.locks.gate("n2")()
    b.facts.open_["vac_rough"] = True
    for output in ("n2", "pump_1", "pump_3", "vac_fine"):
        with pytest.raises(StepFailedError, match=f"{output} is inhibited"):
            b.locks.gate(output)()
    b.read("warm.T", 76.0, 1)
    b.locks.gate("pump_1")()
    assert b.locks.gate("fan") is None


def rule(require, **more):
    return {"id": "r", "severity": "trip", "require": require, **more}


def test_a_rate_is_the_slope_of_the_line_through_the_window(bench):
    b = bench(rule("rate(flask.T, 60 s) < 20 K/min"))
    for t in range(200):
        b.read("flask.T", 20 + t * 19.9 / 60, t)
    assert b.told == []
    for t in range(200, 320):
        b.read("flask.T", 20 + 200 * 19.9 / 60 + (t - 200) * 20.1 / 60, t)
    assert len(b.told) == 1
    assert b.cleared == []


def test_a_rate_is_not_taken_from_one_wrong_reading(bench):
    b = bench(rule("abs(rate(flask.T, 60 s)) < 30 K/min"))
    for t in range(61):
        b.read("flask.T", 100.0, t)
    b.read("flask.T", 110.0, 61)
    assert b.told == []


def test_a_window_fills_before_its_rule_is_judged_and_after_that_unknown_is_violated(bench):
    b = bench(rule("stable(flask.T, 1 K, 120 s)"))
    for t in range(120):
        b.read("flask.T", 100.0, t)
    assert b.told == []
    b.read("flask.T", 100.9, 121)
    assert b.told == []
    b.read("flask.T", 101.1, 122)
    assert b.ids() == ["r"]
    b = bench(rule("stable(flask.T, 1 K, 120 s)"))
    b.read("flask.T", 100.0, 0)
    b.read("flask.T", 100.0, 121)
    assert b.ids() == ["r"], "two readings are no window"


def test_the_highest_of_a_window_is_remembered_for_its_length(bench):
    b = bench(rule("max(flask.T, 5 s) < 345 C"))
    for t, value in enumerate((300, 300, 300, 300, 300, 300, 346, 300, 300)):
        b.read("flask.T", value, t)
    assert b.ids() == ["r"]
    assert b.cleared == []
    for t in range(9, 13):
        b.read("flask.T", 300, t)
    assert b.cleared == ["r"]


def test_the_larger_of_two_signals_is_no_window(bench):
    b = bench(rule("max(flask.T, flask.T2) < 345 C"))
    b.read("flask.T2", 346, 1)
    assert b.ids() == ["r"], "the other one is unknown"


def test_a_rule_may_hang_on_the_state_of_the_run(bench):
    b = bench(rule("flask.T < 100 C", when="state(running, waiting)"))
    b.facts.now = "held"
    b.read("flask.T", 120, 1)
    assert b.told == []
    b.facts.now = "waiting"
    b.read("flask.T", 120, 2)
    assert b.ids() == ["r"]


def test_grace_counts_anew_whenever_a_rule_begins_to_apply(bench):
    b = bench(rule("stirrer.speed > 200 rpm", when="state(running)", grace="10 s"))
    for t in range(10):
        b.read("stirrer.speed", 0, t)
    assert b.told == []
    b.read("stirrer.speed", 0, 10)
    assert b.ids() == ["r"]
    b.facts.now = "held"
    b.read("stirrer.speed", 0, 11)
    b.facts.now = "running"
    b.read("stirrer.speed", 0, 12)
    b.read("stirrer.speed", 0, 21.9)
    assert b.ids() == ["r"]
    b.read("stirrer.speed", 0, 22)
    assert b.ids() == ["r", "r"]


def test_three_of_five_samples(bench):
    b = bench(rule("flask.T < 100 C", **{"for": "3 of 5 samples"}))
    for t, value in enumerate((120, 90, 120, 90, 90, 90, 120, 90, 120)):
        b.read("flask.T", value, t)
    assert b.told == []
    b.read("flask.T", 120, 9)
    assert b.ids() == ["r"]
    b.read("flask.T", 90, 10)
    b.read("flask.T", 90, 11)
    assert b.cleared == ["r"]


@pytest.mark.parametrize("text", ["6 of 5 samples", "0 of 5 samples", "3 of 101 samples", "often"])
def test_what_is_no_count_of_samples_is_refused(text):
    with pytest.raises(ValidationError):
        Interlock.model_validate(rule("flask.T < 100 C", **{"for": text}))


def test_a_latched_rule_stays_violated_until_it_is_acknowledged(bench):
    b = bench(rule("flask.T < 100 C", latch="yes"))
    assert "standing: none" in b.locks.acknowledge("r")
    b.read("flask.T", 120, 1)
    b.read("flask.T", 90, 2)
    assert b.cleared == []
    assert b.locks.stands(b.locks.rules[0].source)
    b.read("flask.T", 120, 3)
    assert b.ids() == ["r"], "told once"
    assert b.locks.acknowledge("r") == ""
    assert b.cleared == [], "it is violated"
    b.read("flask.T", 90, 4)
    assert b.cleared == ["r"]
    b.read("flask.T", 120, 5)
    b.read("flask.T", 90, 6)
    assert b.cleared == ["r"], "an acknowledgement counts once"
    assert b.locks.acknowledge("r") == ""
    assert b.cleared == ["r", "r"]


def test_a_latched_inhibit_refuses_until_it_is_acknowledged(bench):
    b = bench(rule("flask.P > 900 mbar", severity="inhibit", gates=["line_1"], latch="yes"))
    b.read("flask.P", 800, 1)
    with pytest.raises(StepFailedError):
        b.locks.gate("line_1")()
    b.read("flask.P", 1000, 2)
    with pytest.raises(StepFailedError, match="to be acknowledged"):
        b.locks.gate("line_1")()
    assert b.locks.acknowledge("r") == ""
    b.locks.gate("line_1")()


def test_without_a_checksum_one_reading_neither_trips_nor_clears(bench):
    b = bench(rule("flask.P < 1065 mbar"), unchecked={"flask.P"})
    b.read("flask.P", 1020.0, 1)
    b.read("flask.P", 1e83, 2)
    b.read("flask.P", 1020.0, 3)
    assert b.told == []
    b.read("flask.P", 1100.0, 4)
    b.read("flask.P", 1100.0, 5)
    assert b.ids() == ["r"]
    b.read("flask.P", 102.0, 6)
    b.read("flask.P", 1100.0, 7)
    assert b.cleared == []
    b.read("flask.P", 1020.0, 8)
    b.read("flask.P", 1020.0, 9)
    assert b.cleared == ["r"]


def test_samples_of_another_signal_do_not_confirm_a_flipped_bit(bench):
    b = bench(rule("abs(flask.T - flask.T2) < 8 K"), unchecked={"flask.T2"})
    for t in range(3):
        b.read("flask.T2", 100.0, t)
        b.read("flask.T", 100.0, t + 0.5)
    b.read("flask.T2", 164.0, 3)
    b.read("flask.T", 100.0, 3.5)
    b.read("flask.T", 100.0, 3.7)
    assert b.told == []
    b.read("flask.T2", 164.0, 4)
    assert b.ids() == ["r"]


def test_silence_needs_no_second_reading(bench):
    b = bench(rule("flask.P < 1065 mbar", max_age="3 s"), unchecked={"flask.P"})
    b.read("flask.P", 1000.0, 1)
    b.read("flask.P", 1000.0, 2)
    b.read("flask.P", None, 3, Quality.BAD)
    assert b.told == [], "one garbled reply"
    b.read("flask.P", 1000.0, 4)
    b.loop._now_ns = 8 * NS
    b.locks._judge(b.locks.rules[0], sample=False)
    assert b.ids() == ["r"]


def test_a_flipped_bit_opens_no_gate_where_there_is_no_checksum(bench):
    inhibit = rule("flask.P > 975 mbar", severity="inhibit", gates=["line_1"])
    b = bench(inhibit, unchecked={"flask.P"})
    b.read("flask.P", 200.0, 1)
    b.read("flask.P", 1000.0, 2)
    with pytest.raises(StepFailedError):
        b.locks.gate("line_1")()
    b.read("flask.P", 1000.0, 3)
    b.locks.gate("line_1")()


async def test_a_gate_that_one_reading_opens_waits_for_the_next(bench):
    class Clock(VirtualClock):
        async def sleep_until(self, t_ns, priority=None):
            b.read("flask.P", 1000.0, 3)

    inhibit = rule("flask.P > 975 mbar", severity="inhibit", gates=["line_1"])
    b = bench(inhibit, unchecked={"flask.P"})
    b.locks.clock = Clock(b.loop, dt.datetime(2025, 11, 3, 9))
    b.read("flask.P", 970.0, 1)
    b.read("flask.P", 980.0, 2)
    with pytest.raises(StepFailedError):
        b.locks.gate("line_1")()
    (await b.locks.permit("line_1"))()


@given(st.lists(st.floats(0, 500), min_size=2, max_size=80), st.integers(0, 79))
def test_no_single_wrong_value_in_a_steady_stream_is_told(values, at):
    b = Bench(rule("flask.P < 400 mbar"), unchecked={"flask.P"})
    try:
        for t, value in enumerate(values):
            b.read("flask.P", value if t == at % len(values) else 100.0, t + 1)
        assert b.told == []
    finally:
        b.close()


def test_the_words_for_the_state_of_a_run_are_those_of_the_machine():
    assert tuple(State) == RUN_STATES


def test_a_trip_on_the_rig_ends_safe_with_the_heater_off_in_half_a_second(conducted, rig_text):
    rig = rig_text.replace("require: flask.T < 345 C", "require: flask.T < 45 C")
    run = conducted("  - ramp: {to: 60 C, within: 2 K}\n", rig=rig)
    assert run.outcome == "safe"
    assert "too_hot tripped" in run.reason
    (alarm,) = run.alarms
    times, values = run.series["flask.T"]
    first_s = next(t for t, value in zip(times, values, strict=True) if value and value >= 45)
    assert alarm.t_on_ns / 1e9 == pytest.approx(first_s + 2, abs=1.2)
    # Unit 1, register 273 (auto/manual) set to manual: the heater's output is cut.
    off = [
        t
        for t, port, way, data in run.trace
        if (port, way) == ("bus", ">") and data[:4] == bytes.fromhex("01060111")
    ]
    cut_ns = min(t for t in off if t >= alarm.t_on_ns)
    assert cut_ns - alarm.t_on_ns <= 0.5e9
    assert run.truth["heater_w"] == 0.0


def test_a_freeze_stops_the_clock_asks_and_parks(conducted):
    run = conducted(
        "  - hold: {for: 120 s}\n",
        during={40: lambda world, inbox, rig: world.put("hood_flow", 0.0, 40 * NS)},
    )
    assert run.outcome == "safe"
    assert [alarm.id for alarm in run.alarms] == ["hood"]
    assert run.questions[-1].choices == ["resume", "park", "abort"]
    assert run.questions[-1].answer == "park"


def test_a_silent_gauge_trips_by_age(conducted):
    def mute(world, inbox, rig):
        world.device("gauges").feed = lambda data, t_ns: []

    run = conducted("  - hold: {for: 60 s}\n", during={30: mute})
    assert run.outcome == "safe"
    assert run.alarms[0].id == "over_p"
    assert run.codes().count("device.silent") == 1


def test_an_inhibited_pump_gets_no_byte_to_run(conducted, rig_text):
    rig = rig_text.replace("require: stirrer.speed > 200 rpm", "require: stirrer.speed > 900 rpm")
    run = conducted(
        "  - prime: {reagents: [S], into: waste}\n",
        rig=rig,
    )
    assert run.outcome == "safe"
    assert "stirring requires stirrer.speed > 900 rpm" in run.questions[-1].text
    assert not [d for _, port, way, d in run.trace if (port, way) == ("pumps", ">") and b"RUN" in d]
