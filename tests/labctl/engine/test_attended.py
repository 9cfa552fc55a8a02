"""What nobody gives alone: refused by the plan, at the start of a run, and at the step itself."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from labctl.capabilities import Reply
from labctl.errors import FindingsError
from labctl.prepare import Request, prepare

ROOT = Path(__file__).parents[3]
CORES = ROOT / "recipes/inp_cores_2p4.yaml"
HEAD = """
labctl: recipe/1
name: test
needs: {vessel: 50 mL, max_T: 100 C}
reagents:
  SQ: {is: squalane}
  P:  {is: P(TMS)3 in TOP, concentration: 0.775 mol/L, drawn_in: glovebox}
problem: {do: freeze, unanswered: 10 min, then: park}
park: {work: 25 C}
stages:
  work:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - backfill: {cycles: 2}
"""
SHEET = """
labctl: batch/1
sample: T-1
operator: YK
second: MT
vessel: flask50
box: {O2: 0.3 ppm, H2O: 0.2 ppm}
scrubber: CuSO4
loads:
  SQ: {lot: a, by: hand}
  P:  {lot: b, by: hand}
accept: {thermal.air_exposure: {reason: nothing in it minds air, by: MT, date: 2025-11-03}}
"""
GIVES = "  - inject: {id: p, reagent: P, volume: 0.2 mL, by: hand, within: 60 s}\n"
ACCEPTS = "accept: {people.hazard_hours: {reason: MT stays, by: MT, date: 2025-11-03}, "


def at_nine(rig_text, hours):
    return rig_text.replace("attended: Mon-Fri 08:00-19:00", f"attended: {hours}")


def given(run):
    return [(dose.id, dose.state) for dose in run.doses if dose.id == "p"]


def test_a_run_that_starts_too_late_in_the_day_is_refused_on_the_wall_clock():
    prepare(Request(CORES, now=dt.datetime(2025, 11, 5, 9)))
    with pytest.raises(
        FindingsError, match=r"P\(TMS\)3 is expected Wed (19|20):.*Mon-Fri 08:00-19:00"
    ):
        prepare(Request(CORES, now=dt.datetime(2025, 11, 5, 18)))


def test_a_run_that_has_slipped_past_attended_hours_is_refused_at_the_step(conducted, rig_text):
    """The plan is for 09:03; a person answers after half an hour, and by then everybody is gone."""

    class Sleeps:
        def __init__(self, simulated):
            self.simulated, self.clock = simulated, None

        async def do(self, task):
            if task.text == "slept well":
                now_ns = self.clock.now_ns()
                await self.clock.sleep_until(now_ns + 1800 * 10**9)
                return Reply("go on")
            return await self.simulated.do(task)

    sleeper = []

    def operator(simulated):
        sleeper.append(Sleeps(simulated))
        return sleeper[0]

    def watch(run):
        sleeper[0].clock = run.clock

    asks = "  - ask: {for: slept well, choices: [go on, park], default: park, after: 2 h}\n"
    run = conducted(
        asks + GIVES, head=HEAD, sheet=SHEET, rig=at_nine(rig_text, "Mon-Fri 08:00-09:25"),
        operator=operator, watch=watch,
    )  # fmt: skip
    assert run.outcome == "safe"
    assert "P(TMS)3 is not given now (Mon 09:3" in run.reason
    assert "Mon-Fri 08:00-09:25" in run.reason
    assert given(run) == []


def test_in_attended_hours_it_is_given(conducted, rig_text):
    run = conducted(GIVES, head=HEAD, sheet=SHEET)
    assert run.outcome.startswith("complete")
    assert given(run) == [("p", "done")]


def test_what_the_sheet_accepts_with_a_name_is_given_at_night(conducted, rig_text):
    accepted = SHEET.replace("accept: {", ACCEPTS)
    rig = at_nine(rig_text, "Mon-Fri 10:00-19:00")
    run = conducted(GIVES, head=HEAD, sheet=accepted, rig=rig)
    assert given(run) == [("p", "done")]


def test_a_question_whose_default_ends_the_run_has_somebody_called_once_the_rig_is_safe(conducted):
    class Nobody:
        def __init__(self, simulated):
            self.simulated = simulated

        async def do(self, task):
            if task.text == "colour":
                await asyncio.Event().wait()
            return await self.simulated.do(task)

    asks = "  - ask: {for: colour, choices: [go on, abort], default: abort, after: 5 min}\n"
    run = conducted(asks, operator=Nobody)
    assert run.outcome == "safe"
    codes = run.codes()
    (call,) = [event for event in run.events if event.code == "call"]
    assert call.data["who"] == "YK, MT"
    assert "colour" in call.message
    assert codes.index("call") > max(n for n, code in enumerate(codes) if code == "safe_state")


def test_nobody_is_called_when_a_person_ends_the_run(conducted, chooses):
    asks = "  - ask: {for: colour, choices: [go on, abort], default: abort, after: 5 min}\n"
    run = conducted(asks, operator=chooses("abort"))
    assert run.outcome == "safe"
    assert "call" not in run.codes()
