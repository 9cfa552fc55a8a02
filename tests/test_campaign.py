"""Whatever befalls a short day, the invariants hold; what once broke them is replayed."""

from pathlib import Path

import pytest

from benchmarks.campaign import day, run_case
from benchmarks.swarm import FAULTS, Case, draw, kind_of, load
from labctl.registry import fault_table

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
SEEDS, BLOCK = 60, 20


@pytest.mark.parametrize("block", range(SEEDS // BLOCK))
def test_no_swarm_of_faults_breaks_an_invariant(block):
    rans = [run_case(draw(block * BLOCK + n + 1)) for n in range(BLOCK)]
    assert not [(ran.case, ran.reason, list(map(str, ran.broken))) for ran in rans if ran.failed]


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_what_once_broke_an_invariant_does_so_no_more(file):
    ran = run_case(load(file))
    assert not ran.failed, list(map(str, ran.broken))
    assert ran.acted


def test_the_swarm_knows_every_kind_of_fault():
    assert {kind_of(spec) for spec in FAULTS} == set(fault_table())


def test_a_day_without_faults_is_complete_and_the_same_twice():
    first, again = run_case(Case(7)), run_case(Case(7))
    assert first.outcome == "complete"
    assert not first.broken
    assert first.digest == again.digest


def test_a_hot_flask_is_noticed(monkeypatch):
    monkeypatch.setattr("labctl.engine.parts.never_hotter", lambda plan, read: ())
    monkeypatch.setattr("labctl.engine.thermal_watch.ThermalWatch.see", lambda watch, sample: None)
    monkeypatch.setattr("labctl.engine.verification.Verification.sampled", lambda self: None)
    ran = run_case(Case(7, ("ssr_stuck_on@heater@up+60s",)))
    assert {broken.number for broken in ran.broken} == {4}


def test_a_planned_day_has_one_injection():
    assert [p.step.id for p in day().steps if p.step.verb == "inject"] == ["s"]
