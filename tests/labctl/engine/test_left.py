"""What is left at the end, from the ledger of doses: compared with the plant's syringes."""

from __future__ import annotations

import io
import re

import pytest

from labctl.cli.closing import closing
from labctl.cli.text import Paint
from labctl.engine.commands import Command
from labctl.record import open_run
from labctl.report import write_report

NS = 10**9
DOSE = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}
  - inject: {id: more, reagent: S, volume: 0.3 mL, over: 60 s}
"""


def say(verb, text=""):
    return lambda world, inbox, rig: inbox.post(Command(verb, "MT", text))


def left(run):
    return {
        e.data["place"]: (e.data["holds"], e.data["do"]) for e in run.events if e.code == "left"
    }


def ml(text):
    return float(re.match(r"(?:at most )?([\d.]+) mL", text)[1])


def test_after_an_abort_each_place_says_what_it_holds_and_what_to_do(conducted):
    run = conducted(DOSE, during={60: say("abort", "enough")})
    found = left(run)
    given_ml = run.truth["pump_2.delivered_ml"]
    assert 0 < given_ml < 0.6
    primed_ml = ml(found["waste"][0])
    assert ml(found["syringe of pump_2"][0]) == pytest.approx(1.0 - given_ml - primed_ml, abs=0.01)
    assert ml(found["line of pump_2"][0]) == pytest.approx(0.098, abs=1e-6)
    assert "closed, in the hood" in found["syringe of pump_2"][1]
    assert "10" in found["flask"][0]
    assert "squalane" in found["flask"][0]


def test_a_dose_that_nobody_can_know_is_said_to_be_unknown(conducted):
    def deaf(world, inbox, rig):
        async def swallow(data):
            """Nobody hears it."""

        rig.ports["pumps"]._wire.write = swallow

    run = conducted(DOSE, during={45: deaf})
    assert run.dose("s").state == "unknown"
    holds, do = left(run)["syringe of pump_2"]
    assert holds.startswith("at most ")
    assert "look at the plunger" in do


def test_a_flushed_line_and_a_warmed_trap_are_not_left(conducted):
    steps = DOSE + "  - flush: {S: [toluene]}\n  - confirm: {who: operator, list: [trap cold]}\n"
    cold = left(conducted(steps))
    assert "line of pump_2" not in cold
    assert "dewar" in cold["trap"][1]
    warmed = "  - confirm: {who: operator, list: [trap isolated then warmed in hood]}\n"
    assert "trap" not in left(conducted(steps + warmed))


def test_a_hot_flask_is_neither_opened_nor_watered(conducted):
    steps = "  - ramp: {to: 60 C, within: 2 K}\n  - hold: {for: 1 h}\n"
    _, do = left(conducted(steps, during={1500: say("abort")}))["flask"]
    assert do.startswith("cool in air, no water")
    assert "below 40 °C" in do


def test_the_closing_text_and_the_report_say_it(conducted):
    run = conducted(DOSE)
    with open_run(run.directory) as record:
        said = "\n".join(closing(record, Paint(io.StringIO())))
    assert "Left" in said
    assert "syringe of pump_2" in said
    page = write_report(run.directory).read_text(encoding="utf-8")
    assert "Left over" in page
    assert "line of pump_2" in page
