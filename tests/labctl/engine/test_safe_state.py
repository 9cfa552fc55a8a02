"""The ways to the safe state, on the plant's truth: order, pace, second trips, what hangs."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from labctl.engine.commands import Command
from labctl.engine.executor import Executor
from labctl.engine.machine import State
from labctl.engine.safe_state import SafeState
from labctl.engine.sequences import ABORT, COMPLETE, FREEZE, LEAK, N2_LOSS, PARK, WAYS
from labctl.errors import AbortedError
from labctl.loop import Interrupt

NS = 10**9
PUMPING = """
  - confirm: {who: operator, list: [trap cold]}
  - leak_test:
      {id: leak, T_below: 40 C, pump_to: 100 mTorr, isolate: 20 min, rise_below: 20 mTorr/min}
"""
HOLDS = "  - hold: {id: a, for: 300 s}\n"
HOT = "  - ramp: {id: up, to: 60 C, within: 2 K}\n  - hold: {id: stay, for: 60 s, since: up.end}\n"


def say(verb, text=""):
    return lambda world, inbox, rig: inbox.post(Command(verb, "MT", text))


def put(thing, value, at_s):
    return lambda world, inbox, rig: world.put(thing, value, at_s * NS)


def noted(seen, at_s, *things):
    def note(world, inbox, rig):
        truth = world.truth(at_s * NS)
        seen[at_s] = [truth[thing] for thing in things]

    return note


def done(run, code="safe_state"):
    return [event.message for event in run.events if event.code == code]


def keys(sequence):
    return [action.key for action in sequence]


@pytest.mark.parametrize("sequence", [ABORT, LEAK, N2_LOSS, COMPLETE])
def test_every_way_cuts_heat_first_and_shuts_the_vacuum_before_any_gas(sequence):
    order = keys(sequence)
    assert order[0] == "heater"
    assert order.index("pumps") < order.index("vacuum")
    for gas in {"inert", "flood", "shut_in", "flow"} & set(order):
        assert order.index("vacuum") < order.index(gas)
    assert all(0 < action.timeout_s <= 75 for action in sequence)


def test_each_way_has_what_its_cause_asks_for():
    assert keys(ABORT)[:2] == ["heater", "contactor"]
    assert keys(ABORT).index("vacuum") < keys(ABORT).index("rise") < keys(ABORT).index("inert")
    assert keys(ABORT).index("inert") < keys(ABORT).index("mantle") < keys(ABORT).index("alarm")
    assert "inert" not in keys(N2_LOSS)
    assert "shut_in" in keys(N2_LOSS)
    assert "flood" in keys(LEAK)
    assert "rise" not in keys(LEAK)
    assert keys(FREEZE) == ["keep", "pause"]
    assert keys((*FREEZE, *PARK)) == ["keep", "pause", "blanket", "stir", "let_down"]
    assert set(WAYS) == {"abort", "leak", "n2_loss"}


def test_from_a_vacuum_inert_gas_comes_slowly_and_only_after_a_look_at_the_pressure(conducted):
    seen = {}
    during = {
        t: noted(seen, t, "flask_mbar", "valve.n2", "valve.vac_fine") for t in range(400, 480)
    }
    during[400] = say("abort", "enough")
    run = conducted(PUMPING, during=during)
    assert run.outcome == "safe"
    assert not done(run, "safe_state.failed")
    pressures = [seen[t][0] for t in sorted(seen)]
    assert pressures[0] < 15
    steps = [later - before for before, later in itertools.pairwise(pressures)]
    assert max(steps) <= 50
    assert any("rises" in message for message in done(run, "safe_state.rise"))
    assert run.truth["valve.n2"] == 1.0
    assert run.truth["flask_mbar"] > 600


def test_a_vacuum_valve_that_does_not_shut_keeps_inert_gas_out(conducted):
    def stuck(world, inbox, rig):
        board = rig.devices["valves"]
        switch = board.switch

        async def lies(output, on, gate=None):
            if output != "vac_rough":
                await switch(output, on, gate)

        board.switch = lies
        inbox.post(Command("abort", "MT", "now"))

    run = conducted(PUMPING, during={40: stuck})
    assert run.step("leak").start_ns < 40 * NS
    failed = done(run, "safe_state.failed")
    assert any("a vacuum valve is open" in message for message in failed)
    assert any("not seen to be shut" in message for message in failed)
    assert run.truth["valve.n2"] == 0.0
    assert run.outcome == "safe"


def test_when_the_gas_supply_is_lost_the_flask_is_shut_in(conducted):
    run = conducted(HOLDS, during={30: put("n2_pressure", 0.0, 30)})
    assert "n2_supply froze the run" in run.reason, "asked about, and nobody came"
    assert run.outcome == "safe"
    assert run.truth["valve.n2"] == 0.0
    assert any("shut in" in message for message in done(run))
    assert "inert gas on" not in done(run)


def test_a_leak_under_vacuum_brings_inert_gas_at_once(conducted, rig_text):
    rig = rig_text.replace("flask.P < 100 mbar, max_age: 3 s", "flask.P > 5 mbar, max_age: 3 s")
    rig = rig.replace("open(vac_fine), for: 60 s", "open(vac_fine), for: 1 s")
    run = conducted(PUMPING, rig=rig)
    assert "flask_leaks" in run.reason
    assert "inert gas on at once" in done(run)
    assert run.truth["valve.n2"] == 1.0


def test_a_second_trip_neither_restarts_the_sequence_nor_is_lost(conducted, rig_text):
    rig = rig_text.replace(
        "aux.n2_pressure, max_age: 5 s, for: 60 s", "aux.n2_pressure, max_age: 5 s"
    )
    rig = "\n".join(line for line in rig.splitlines() if "id: n2_supply" not in line)
    during = {400: say("abort", "first"), 402: put("n2_pressure", 0.0, 402)}
    run = conducted(PUMPING, rig=rig, during=during)
    assert run.outcome == "safe"
    assert "first" in run.reason
    assert [m for m in done(run, "aborting.also") if "n2_lost" in m]
    said = done(run)
    assert len(said) == len(set(said)), "nothing is done twice"
    assert said.index("both vacuum valves shut") < said.index(
        "the flask shut in: no inert gas comes, and none of the bubbler's oil"
    )
    assert run.truth["valve.n2"] == 0.0


def test_an_abort_during_the_sequence_is_accepted_and_changes_nothing(conducted):
    plain = conducted(PUMPING, during={400: say("abort", "first")})
    again = conducted(PUMPING, during={400: say("abort", "first"), 410: say("abort", "second")})
    assert done(again) == done(plain)
    assert again.outcome == "safe"
    assert "first" in again.reason


@pytest.mark.parametrize("back_s", [150, 160, 170, 180, 190])
def test_nothing_heats_again_when_the_abort_comes_while_the_run_resumes(conducted, back_s):
    seen = {}
    during = {t: noted(seen, t, "heater_w") for t in range(back_s + 4, back_s + 40)}
    during |= {140: say("park"), 149: say("resume"), back_s: say("abort", "now")}
    run = conducted(HOT, during=during)
    assert run.outcome == "safe"
    assert all(power == 0.0 for (power,) in seen.values())
    assert run.truth["heater_w"] == 0.0


def test_an_abort_while_the_run_comes_to_its_end_is_obeyed(conducted):
    during = {}

    class Late:
        """Aborts as soon as the run is stopping."""

        def __init__(self):
            self.inbox = None

        def watch(self, run):
            entered = run.machine._entered

            def told(state, cause):
                entered(state, cause)
                if state is State.STOPPING:
                    self.inbox.post(Interrupt())

            run.machine._entered = told

    late = Late()
    during[0] = lambda world, inbox, rig: setattr(late, "inbox", inbox)
    run = conducted("  - hold: {for: 20 s}\n", during=during, watch=late.watch)
    assert (run.outcome, run.meta.state, run.interrupted) == ("safe", "safe", True)


def test_a_safe_state_action_that_hangs_makes_the_run_faulted_and_the_rest_is_done(
    conducted, monkeypatch
):
    async def hangs(self):
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    monkeypatch.setattr(SafeState, "_rough", hangs)
    run = conducted(HOLDS, during={30: say("abort", "now")})
    assert (run.outcome, run.meta.state) == ("faulted", "faulted")
    assert done(run)[-2:] == ["warm line off", "beacon on"]
    assert any("hangs and does not let go" in message for message in done(run, "safe_state.failed"))


def test_a_safe_state_action_that_breaks_makes_the_run_faulted_and_the_rest_is_done(
    conducted, monkeypatch
):
    async def breaks(self):
        raise ZeroDivisionError

    monkeypatch.setattr(SafeState, "_vacuum", breaks)
    run = conducted(HOLDS, during={30: say("abort", "now")})
    assert (run.outcome, run.meta.state) == ("faulted", "faulted")
    assert "beacon on" in done(run)


def test_a_step_that_swallows_its_cancellation_makes_the_run_faulted_and_moves_nothing(
    conducted, monkeypatch
):
    refused = []

    async def stubborn(self, step, bench):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self._run.clock.sleep_until(self._run.clock.now_ns() + 10_050_000_000)
        for act in (lambda: bench.valve("vac_fine", open_=True), lambda: bench.heater.ramp(90, 0)):
            try:
                await act()
            except AbortedError as error:
                refused.append(str(error))

    monkeypatch.setattr(Executor, "_when_thawed", stubborn)
    run = conducted(HOLDS, during={30: say("abort", "now")})
    assert (run.outcome, run.meta.state) == ("faulted", "faulted")
    (said,) = done(run, "wedged")
    assert "did not let go" in said
    assert len(refused) == 2
    assert refused[0] == "vac_fine is not opened: the run is aborting"
    off_ns = next(e.t_ns for e in run.events if e.code == "aborting")
    assert off_ns == 30 * NS
    assert run.truth["valve.n2"] == 1.0
    assert run.truth["heater_w"] == 0.0


def test_the_first_heater_off_byte_goes_out_within_half_a_second_of_a_trip(conducted, rig_text):
    rig = rig_text.replace("require: flask.T < 345 C", "require: flask.T < 45 C")
    run = conducted(HOT, rig=rig)
    tripped_ns = run.alarms[0].t_on_ns
    off = [t for t, data in run.sent("bus", tripped_ns) if data[:4] == bytes.fromhex("01060111")]
    assert off[0] - tripped_ns <= 0.5 * NS


def test_the_supply_that_stays_away_trips_though_nobody_answered_yet(conducted, rig_text):
    rig = "\n".join(line for line in rig_text.splitlines() if "id: n2_supply" not in line)
    run = conducted(HOLDS, rig=rig, during={30: put("n2_pressure", 0.0, 30)})
    assert "n2_lost" in run.reason
    assert run.truth["valve.n2"] == 0.0
