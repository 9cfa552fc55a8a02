"""Interlocks: unknown counts as violated, told once, asked again at the wire."""

from __future__ import annotations

import datetime as dt

import pytest

from labctl.clock import NS, VirtualClock
from labctl.engine.interlocks import Interlocks
from labctl.engine.signals import Signals
from labctl.errors import StepFailedError
from labctl.loop import VirtualLoop
from labctl.readings import Channel, Quality, Reading
from labctl.rules import Interlock


class Facts:
    ambient_mbar = 1005.0

    def __init__(self):
        self.open_ = {"n2": False, "vac_rough": False}
        self.tokens = set()

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

    def __init__(self, *rules):
        self.loop = VirtualLoop()
        clock = VirtualClock(self.loop, dt.datetime(2025, 11, 3, 9))
        self.signals, self.facts = Signals(clock), Facts()
        self.signals.declare(Channel("flask.P", "pressure", 0.1, 1100.0))
        self.told, self.cleared = [], []
        self.locks = Interlocks(
            self.signals,
            self.facts,
            clock,
            lambda rule, why: self.told.append((rule.id, why)),
            lambda rule, why: self.cleared.append(rule.id),
        )
        self.locks.add([Interlock.model_validate(rule) for rule in rules], {})

    def read(self, signal, value, at_s, quality=Quality.GOOD):
        self.loop._now_ns = round(at_s * NS)
        self.signals.latest[signal] = Reading(signal, value, quality, self.loop._now_ns)
        self.locks.sampled(self.locks.rules_on([signal]))

    def close(self):
        self.loop.close()


@pytest.fixture
def bench():
    made = []

    def make(*rules):
        made.append(Bench(*rules))
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
