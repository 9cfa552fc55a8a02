"""Decisions on a target and on steadiness, made again from the record alone."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from labctl.cli import main
from labctl.prepare import Request, prepare
from labctl.record import open_run
from labctl.replay import Remade, replay_run
from labctl.session import dry_run
from tests.labctl.engine import test_light

WAITS = """
  - wait_until: {id: there, reaches: peak >= 570 nm, timeout: 30 min}
  - wait_until: {id: rests, steady: peak, slower_than: 0.3 nm/min, not_before: 3 min,
                timeout: 30 min}
  - wait_until: {id: never, reaches: peak >= 640 nm, lead: 20 s, timeout: 3 min,
                on_timeout: continue}
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A dry run that waits for a target, for steadiness, and for what does not come."""
    folder = tmp_path_factory.mktemp("grown")
    recipe, sheet = folder / "recipe.yaml", folder / "sheet.yaml"
    recipe.write_text(test_light.HEAD + WAITS)
    sheet.write_text(test_light.SHEET)
    planned, _ = prepare(Request(recipe, None, sheet))
    return dry_run(planned, seed=1, runs=folder).directory


def falls_on_the_same_frame(directory, made):
    with open_run(directory) as run:
        decisions, last = run.decisions, [run.inputs(row.id)[-1] for row in run.decisions]
    assert {row.kind for row in decisions} >= {"reaches", "steady"}
    assert len(made) == len(decisions)
    for row, frame, one in zip(decisions, last, made, strict=True):
        assert isinstance(one, Remade)
        assert one.criterion.kind == row.kind
        verdict = "not decided" if row.verdict == "timeout" else row.verdict
        if verdict != "not decided":
            assert one.outcome.verdict == verdict
            assert one.outcome.at_s * 1e9 == pytest.approx(frame.t_ns, abs=1)
            assert one.outcome.reason == row.reason
        if row.verdict == "reached":
            for name in ("level_nm", "rate_nm_min", "arrival_s"):
                assert one.evidence[name] == row.evidence[name]


def test_with_nothing_changed_every_decision_falls_on_the_same_frame(grown):
    with open_run(grown) as run:
        falls_on_the_same_frame(grown, replay_run(run, {}))


def test_without_the_recipe_the_decisions_own_words_are_enough(grown, tmp_path):
    file = shutil.copy(grown / "run.sqlite", tmp_path)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE run SET recipe_text = 'unreadable: ['")
    connection.commit()
    connection.close()
    with open_run(tmp_path) as run:
        falls_on_the_same_frame(tmp_path, replay_run(run, {}))


def test_a_decision_that_was_cut_off_is_made_from_the_recipe(grown, tmp_path):
    file = shutil.copy(grown / "run.sqlite", tmp_path)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE decision SET verdict = NULL, at_ns = NULL, evidence = 'null'")
    connection.commit()
    connection.close()
    with open_run(grown) as run:
        whole = replay_run(run, {})
    with open_run(tmp_path) as run:
        again = replay_run(run, {})
    assert [(m.outcome.verdict, m.outcome.at_s) for m in again] == [
        (m.outcome.verdict, m.outcome.at_s) for m in whole
    ]


def test_a_person_and_a_program_are_told(grown, capsys):
    assert main(["replay", str(grown)]) == 0
    said = capsys.readouterr().out
    assert "1S >= " in said
    assert "1S slower than 0.3 nm/min?" in said
    assert main(["replay", str(grown), "--format", "json"]) == 0
    decisions = json.loads(capsys.readouterr().out)["decisions"]
    assert {d["kind"] for d in decisions} == {"reaches", "steady"}
    assert decisions[0]["recorded"]["at_s"] == decisions[0]["replayed"]["at_s"]
