"""What a resumed run takes over besides its steps: names, ledger, lamp, baselines, valves."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.clock import NS
from labctl.record import open_run
from tests.labctl.engine import test_light
from tests.labctl.engine.test_people import HF_BY_HAND, HF_HEAD, HF_SHEET
from tests.labctl.engine.test_resuming import FINDS, lived

SIGNED = """
  - aliquot: {id: a, volume: 1 mL, by: hand, label: early, into: vial}
  - confirm: {id: c, who: two people, for: S, list: [sulfide is in the hood]}
  - hold: {id: h, for: 200 s}
"""
LIT = """
  - baseline: {id: b, of: [peak, pl], as: before, for: 2 min}
  - hold: {id: h, for: 100 s}
"""
HELD = "\n  - hold: {id: h, for: 200 s}\n"


def cut_in_hold(folder, steps, **more):
    """How many rows a life has until shortly before its hold ends."""
    return lived(folder, [], steps=steps, **more).lives[0] - 12


def found(folder):
    with open_run(folder) as run:
        return next(e.message for e in run.events if e.code == "resume.found")


def test_signatures_and_what_was_drawn_are_taken_over_and_shown(tmp_path):
    cut = cut_in_hold(tmp_path / "whole", SIGNED)
    seen = lived(tmp_path / "one", [cut], steps=SIGNED)
    first, again = seen.runs
    assert again.signed == first.signed == {"S": {"YK", "MT"}}
    assert again.flask.volume_ml() == pytest.approx(first.flask.volume_ml())
    assert again.flask.volume_ml() == pytest.approx(seen.truth["volume_ml"], abs=0.01)
    said = found(tmp_path / "one")
    assert "the flask holds 9 mL by the ledger" in said
    assert "signed for S: MT, YK" in said


def test_the_lamps_reference_and_the_baseline_are_those_taken_before_the_dots(tmp_path):
    optics = {"head": test_light.HEAD, "sheet": test_light.SHEET}
    cut = cut_in_hold(tmp_path / "whole", LIT, **optics) - 6
    seen = lived(tmp_path / "one", [cut], steps=LIT, **optics)
    assert seen.outcome == "complete_with_deviations"
    with open_run(tmp_path / "one") as run:
        resumed_ns = next(e.t_ns for e in run.events if e.code == "resume.lamp")
        frames = run.spectra("reference"), run.spectra("dark"), run.spectra("sample")
        times, peaks = run.series("peak.25C")
        assert not [f for kind in frames[:2] for f in kind
                    if f.t_ns > resumed_ns and f.source == "uvvis"]  # fmt: skip
    assert {f.integration_s for f in frames[2]} == {frames[0][-1].integration_s}
    before = [nm for t, nm in zip(times, peaks, strict=True) if nm and t * NS < resumed_ns]
    after = [nm for t, nm in zip(times, peaks, strict=True) if nm and t * NS > resumed_ns]
    assert len(after) > 2
    assert np.median(after) == pytest.approx(np.median(before), abs=0.2)


@pytest.mark.parametrize("choice", ["put back", "leave", "park"])
def test_a_valve_that_stands_otherwise_is_put_back_only_if_a_person_says_so(tmp_path, choice):
    steps = "\n  - backfill: {cycles: 1}" + HELD
    cut = cut_in_hold(tmp_path / "whole", steps)

    def shut(world):
        world.device("valves").coils[2] = True  # it is open without power
        world.put("valve.n2", 0.0, 0)

    seen = lived(
        tmp_path / "one", [cut], steps=steps, between=shut, choose={"put back": choice, **FINDS}
    )
    asked = [text for text in seen.asked[-1] if "valves stand otherwise" in text]
    assert asked == ["valves stand otherwise than before: n2 is shut, was open. Put them back?"]
    if choice == "park":
        assert seen.outcome == "safe"
        return
    assert seen.outcome == "complete_with_deviations"
    with open_run(tmp_path / "one") as run:
        resumed_ns = next(e.t_ns for e in run.events if e.code == "resuming")
        turned = [e.message for e in run.events if e.code == "valve" and e.t_ns > resumed_ns]
        assert any(e.message.startswith(f"{choice}: n2 is shut") for e in run.events)
    assert turned[:1] == (["n2 open"] if choice == "put back" else [])


def test_valves_that_stand_as_before_are_not_touched(tmp_path):
    cut = cut_in_hold(tmp_path / "whole", HELD)
    seen = lived(tmp_path / "one", [cut], steps=HELD)
    assert not [text for text in seen.asked[-1] if "valves stand" in text]
    with open_run(tmp_path / "one") as run:
        resumed_ns = next(e.t_ns for e in run.events if e.code == "resuming")
        assert not [e for e in run.events if e.code == "valve" and e.t_ns > resumed_ns]


def test_hf_that_was_cut_off_goes_on_only_signed_by_two_and_is_never_given_twice(tmp_path):
    acid = {"steps": HF_BY_HAND, "head": HF_HEAD, "sheet": HF_SHEET}
    rows = lived(tmp_path / "whole", [], **acid).lives[0]
    for cut in range(rows - 14, rows - 24, -1):
        seen = lived(tmp_path / f"cut{cut}", [cut], **acid)
        asked = seen.asked[-1]
        if any("what became of dose hf is unknown" in text for text in asked):
            break
    assert any("hf (inject HF" in text and "run it again?" in text for text in asked)
    signs = next(text for text in asked if "HF contains HF: go on with hf" in text)
    assert "given so far: 0.02 mL of HF" in signs
    assert "inject 0.02 mL of HF" not in "".join(asked)
    assert seen.truth["volume_ml"] == pytest.approx(10.02, abs=0.008), "acetone leaves"
