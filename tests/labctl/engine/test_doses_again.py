"""A dose is never given twice: what is run again gives what is missing, and no more."""

from __future__ import annotations

import pytest

NS = 10**9
DROP_ML = 0.005
DOSE = """
  - prime: {reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 60 s}
"""
TWO = """
labctl: recipe/1
name: test
needs: {vessel: 50 mL, max_T: 100 C}
reagents:
  SQ: {is: squalane}
  S:  {is: TOP sulfide saturated, concentration: 2.17 mol/L}
  T:  {is: TOP sulfide saturated, concentration: 2.17 mol/L}
park: {work: 25 C}
stages:
  work:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - prime: {reagents: [S, T], into: waste}
  - inject: {id: both, over: 40 s,
             together: [{reagent: S, volume: 0.3 mL}, {reagent: T, volume: 0.1 mL}]}
"""
TWO_SHEET = """
labctl: batch/1
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
  S:  {lot: b, pump: pump_2, drawn: 1.0 mL}
  T:  {lot: c, pump: pump_1, drawn: 1.0 mL}
"""


def stalls(at_s, pump="pump_2"):
    return {at_s: lambda world, inbox, rig: world.device(pump).stall()}


def cold_line(rig):
    """The bundled rig with a line of pump_1 that need not be warm."""
    return rig.replace("warm.T > reagent.keep_at - 5 K", "warm.T > 0 C")


def test_a_dose_that_stalled_is_completed_and_not_repeated(conducted, chooses):
    run = conducted(DOSE, operator=chooses("retry"), during=stalls(45))
    assert run.outcome == "complete_with_deviations"
    (row,) = [row for row in run.doses if row.id == "s"]
    assert row.state == "done"
    assert row.delivered_ml == pytest.approx(0.3 - DROP_ML, abs=0.003)
    assert run.truth["pump_2.delivered_ml"] == pytest.approx(0.3 - DROP_ML, abs=0.003)
    assert [s.state for s in run.steps if s.id == "s"] == ["failed", "done"]
    given = [intent.result["counted_ml"] for intent in run.intents
             if intent.kind == "dose" and intent.data["id"] == "s"]  # fmt: skip
    assert len(given) == 2
    assert sum(given) == pytest.approx(0.3 / 0.996, abs=0.002)


def test_a_dose_that_keeps_stalling_never_adds_up_to_too_much(conducted, chooses):
    again = {**stalls(40), **stalls(60), **stalls(80)}
    run = conducted(DOSE, operator=chooses("retry", "retry", "retry"), during=again)
    assert run.dose("s").delivered_ml == pytest.approx(0.3 - DROP_ML, abs=0.004)


def test_a_short_dose_says_how_much_went_in(conducted):
    run = conducted(DOSE, during=stalls(45))
    row = run.dose("s")
    assert run.outcome == "safe"
    assert 0.05 < row.delivered_ml < 0.25
    said = run.questions[-1].text
    assert "0.3012 mL S" in said
    assert "stalled" in said
    counted_ml = run.intents[-2].result["counted_ml"]
    assert f"{counted_ml:.4g} mL" in said


def test_what_a_dose_became_that_cannot_be_read_stays_unknown(conducted, chooses):
    def unplug(world, inbox, rig):
        world.device("pump_2").feed = lambda data, t_ns: []

    run = conducted(DOSE, operator=chooses("retry", "retry", "park"), during={45: unplug})
    assert run.outcome == "safe"
    assert run.dose("s").state == "unknown"
    assert [i.state for i in run.intents if i.kind == "dose" and i.data["id"] == "s"] == ["unknown"]
    asked = [q.text for q in run.questions if "failed" in q.text]
    assert len(asked) == 3
    assert all("unknown" in text for text in asked[1:])
    runs = [t for t, data in run.sent("pumps") if b"RUN" in data and t > run.dose("s").start_ns]
    assert len(runs) == 1


def test_doses_given_together_share_their_time(conducted, rig_text):
    run = conducted("", head=TWO, sheet=TWO_SHEET, rig=cold_line(rig_text))
    assert run.outcome == "complete"
    first, second = run.dose("both.S"), run.dose("both.T")
    for row, volume_ml in ((first, 0.3), (second, 0.1)):
        assert row.delivered_ml == pytest.approx(volume_ml - DROP_ML, abs=0.003)
        assert (row.end_ns - row.start_ns) / NS == pytest.approx(40, abs=6)
    assert abs(first.start_ns - second.start_ns) < 2 * NS


def test_when_one_of_two_stalls_the_other_stops_and_both_are_completed(
    conducted, rig_text, chooses
):
    plain = conducted("", head=TWO, sheet=TWO_SHEET, rig=cold_line(rig_text))
    at_s = round(plain.dose("both.S").start_ns / NS) + 15
    run = conducted(
        "",
        head=TWO,
        sheet=TWO_SHEET,
        rig=cold_line(rig_text),
        operator=chooses("retry"),
        during=stalls(at_s, "pump_1"),
    )
    failed, again = (step for step in run.steps if step.id == "both")
    assert (failed.state, again.state) == ("failed", "done")
    assert run.dose("both.S").delivered_ml == pytest.approx(0.3 - DROP_ML, abs=0.003)
    assert run.dose("both.T").delivered_ml == pytest.approx(0.1 - DROP_ML, abs=0.003)
    stopped_s = failed.end_ns / NS - at_s
    assert stopped_s < 5, "the other did not run to its end"


def test_a_charge_by_hand_is_not_asked_for_again(conducted, chooses):
    run = conducted("""
  - repeat: {id: r, until: flask.T > 90 C, at_most: 1,
             steps: [{charge: {id: more, reagent: SQ, volume: 1 mL, by: hand}}]}
""", operator=chooses("retry", "skip"))  # fmt: skip
    assert [q.text for q in run.questions].count("charge 1 mL of SQ") == 1
    assert run.truth["volume_ml"] == pytest.approx(11.0, abs=0.01)
    assert "dose.given" in run.codes()
