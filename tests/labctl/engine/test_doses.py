"""Doses: durable before the bytes, verified by the counter, never more than asked."""

from __future__ import annotations

import pytest

DROP_ML = 0.005
PRIMED = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}
"""


def dose(run, id_):
    return next(row for row in run.doses if row.id == id_)


def test_a_primed_line_gives_all_but_its_drop_by_the_pumps_own_counter(conducted):
    run = conducted(PRIMED)
    row = dose(run, "s")
    assert run.outcome == "complete"
    assert row.state == "done"
    assert row.commanded_ml == pytest.approx(0.3 / 0.996)
    assert row.delivered_ml == pytest.approx(0.3 - DROP_ML, abs=0.001)
    assert (row.end_ns - row.start_ns) / 1e9 == pytest.approx(60, abs=5)
    assert run.truth["valve.line_2"] == 0.0


def test_the_intent_is_written_before_the_pump_is_told_to_run(conducted):
    run = conducted(PRIMED)
    intents = [row for row in run.intents if row.kind == "dose" and row.data["id"] == "s"]
    told = [t for t, port, way, d in run.trace if (port, way) == ("pumps", ">") and b"RUN" in d]
    assert intents[0].t_ns < max(told)
    assert intents[0].state == "done"


def test_a_dry_line_keeps_its_dead_volume(conducted):
    run = conducted("  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}\n")
    assert dose(run, "s").delivered_ml == pytest.approx(0.3 - 0.098 - DROP_ML, abs=0.002)
    assert run.truth["volume_ml"] == pytest.approx(10.0 + 0.3 - 0.098 - DROP_ML, abs=0.005)


def test_an_empty_syringe_ends_the_dose_short_and_says_so(conducted):
    def lose(world, inbox, rig):
        world._syringes._loaded["pump_2"].line.jammed = True

    run = conducted(PRIMED, during={70: lose})
    assert run.outcome == "safe"
    row = dose(run, "s")
    assert 0.0 < row.delivered_ml < 0.29
    assert "pump_2" in run.questions[-1].text


def test_a_cold_flask_pauses_the_dose_which_then_goes_on_to_exactly_its_volume(conducted):
    run = conducted("""
  - prime: {reagents: [S], into: waste}
  - ramp: {to: 60 C, within: 1 K, settle: 30 s}
  - inject: {id: s, reagent: S, volume: 0.6 mL, over: 20 s, keep_above: 59.2 C}
""")
    row = dose(run, "s")
    assert run.outcome == "complete"
    assert row.delivered_ml == pytest.approx(0.6 - DROP_ML, abs=0.004)
    runs = [t for t, port, way, d in run.trace if port == "pumps" and way == ">" and b"RUN" in d]
    paused = len([t for t in runs if t >= row.start_ns]) > 1
    assert paused == ((row.end_ns - row.start_ns) / 1e9 > 40)


def test_a_hand_charge_is_recorded_as_done_by_hand(conducted):
    run = conducted("  - hold: {for: 1 s}\n")
    row = dose(run, "work.1")
    assert (row.by, row.kind, row.delivered_ml) == ("hand", "charge", 10.0)
    assert run.truth["volume_ml"] == pytest.approx(10.0, abs=0.01)
