"""An abort is heard at once in every state of a run, whatever it is doing there."""

from __future__ import annotations

import asyncio

import pytest

from labctl.clock import NS
from labctl.engine.commands import Command
from labctl.engine.machine import FINAL, State
from labctl.record import open_run
from tests.labctl.engine.test_commands import PATIENT
from tests.labctl.engine.test_resuming import Agrees, lived, whole

HEARD_NS = NS // 10
ENOUGH = Command("abort", "MT", "enough")
STEPS = """
  - prime: {reagents: [S], into: waste}
  - ramp: {id: up, to: 60 C, within: 2 K}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}
  - ask: {for: is it clear, choices: [go on, park], default: park, simulated: go on}
"""
ORDERS = {160: "freeze", 200: "resume"}
LIVE = [state for state in State if state not in FINAL and state is not State.IDLE]


class Aborts:
    """Says `abort` a moment after a run has come to a state, and notes how soon it was heard."""

    def __init__(self, state, late_ns):
        self.state, self.late_ns = state, late_ns
        self.inbox = self.run = self.said_ns = self.heard_ns = None
        self.states = []

    def take_inbox(self, world, inbox, rig):
        self.inbox = inbox

    def watch(self, run):
        self.run, told = run, run.record.state

        def state(name):
            told(name)
            self.came_to(State(name))

        run.record.state = state

    def came_to(self, state):
        self.states.append(state)
        now_ns = self.run.clock.now_ns()
        if state is State.ABORTING and self.heard_ns is None:
            self.heard_ns = now_ns
        if state is self.state and self.said_ns is None:
            self.said_ns = now_ns + self.late_ns
            loop = asyncio.get_running_loop()
            loop.call_at_ns(self.said_ns, lambda: self.inbox.post(ENOUGH))


def ended(conducted, state, late_ns, steps=STEPS, orders=ORDERS):
    aborts = Aborts(state, late_ns)
    during = {at_s: (lambda w, inbox, r, verb=verb: inbox.post(Command(verb, "MT")))
              for at_s, verb in orders.items()}  # fmt: skip
    during[0] = aborts.take_inbox
    if state is State.ABORTING:
        during[30] = lambda world, inbox, rig: inbox.post(Command("abort", "MT", "first"))
    return aborts, conducted(steps, head=PATIENT, during=during, watch=aborts.watch)


@pytest.mark.parametrize("late_ns", [0, NS // 3])
@pytest.mark.parametrize("state", LIVE)
def test_it_is_heard_within_100_ms_and_ends_in_the_safe_state(conducted, state, late_ns):
    aborts, run = ended(conducted, state, late_ns)
    assert aborts.said_ns is not None, f"the run never came to {state}"
    assert aborts.heard_ns <= aborts.said_ns + HEARD_NS
    after = aborts.states[aborts.states.index(State.ABORTING) :]
    assert after == [State.ABORTING, State.SAFE]
    assert run.outcome == "safe"
    assert run.truth["heater_w"] == 0.0


@pytest.mark.parametrize("later_ns", [0, NS // 1000, NS // 50])
@pytest.mark.parametrize("verb", ["retry", "skip"])
def test_it_is_heard_while_a_step_that_gives_a_dose_lets_go(conducted, verb, later_ns):
    plain = conducted(STEPS)
    at_s = plain.step("s").start_ns // NS + 20

    def both(world, inbox, rig):
        inbox.post(Command(verb, "MT"))
        later = asyncio.get_running_loop().call_at_ns
        later(at_s * NS + later_ns, lambda: inbox.post(ENOUGH))

    run = conducted(STEPS, during={at_s: both})
    (aborting,) = (event for event in run.events if event.code == "aborting")
    assert aborting.t_ns <= at_s * NS + later_ns + HEARD_NS
    assert run.outcome == "safe"
    assert run.dose("s").delivered_ml < 0.2
    assert run.truth["heater_w"] == 0.0


class Silent(Agrees):
    """A person who says nothing to the question whether a run goes on, but aborts it."""

    async def do(self, task):
        if "go on" in task.choices:
            self.inbox.post(ENOUGH)
            await asyncio.Event().wait()
        return await super().do(task)


def test_it_is_heard_while_a_run_that_was_cut_off_asks_whether_to_go_on(tmp_path):
    seen = lived(tmp_path / "cut", [whole(tmp_path) * 3 // 4], person=Silent)
    assert seen.outcome == "safe"
    with open_run(tmp_path / "cut") as run:
        found = next(e for e in run.events if e.code == "resume.found")
        aborting = next(e for e in run.events if e.code == "aborting")
        assert "enough" in aborting.message
        assert aborting.t_ns <= found.t_ns + HEARD_NS
        assert run.meta.state == "safe"
    assert seen.truth["heater_w"] == 0.0
