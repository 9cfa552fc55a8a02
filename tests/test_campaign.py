"""Whatever befalls a short day, the invariants hold; what once broke them is replayed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.campaign import grown
from benchmarks.campaign_page import page
from benchmarks.day import DAYS, SWARM, planned_day
from benchmarks.invariants import ELSEWHERE, TEXTS
from benchmarks.mutations import MUTANTS, WEAKEN, judge
from benchmarks.shrinking import shrunk
from benchmarks.swarm import FAULTS, Case, Said, kind_of, load, save
from benchmarks.trial import run_case
from benchmarks.weakening import contactor
from labctl.registry import fault_table

ROOT = Path(__file__).parents[1]
CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
SEEDS = 200
PROCESSES = 2


def test_no_swarm_of_faults_and_crashes_breaks_an_invariant(tmp_path):
    kept = tmp_path / "kept.jsonl"
    words = ["--seeds", str(SEEDS), "--jobs", str(PROCESSES), "--keep", str(kept)]
    campaign = [sys.executable, "-m", "benchmarks.campaign", *words]
    ended = subprocess.run(campaign, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == SEEDS
    assert sum(row["lives"] - 1 for row in rows) > SEEDS // 8
    assert {row["day"] for row in rows} == set(SWARM)
    acted = {kind_of(text) for row in rows for text in row["acted"]}
    assert len(acted) > len(fault_table()) // 2
    assert not grown(rows)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_what_once_broke_an_invariant_does_so_no_more(file):
    ran = run_case(load(file))
    assert not ran.failed, list(map(str, ran.broken))
    assert ran.acted or ran.case.cuts or ran.case.said


def test_the_swarm_knows_every_kind_of_fault():
    assert {kind_of(spec) for spec in FAULTS} == set(fault_table())


@pytest.mark.parametrize("day", DAYS)
def test_a_day_without_faults_is_complete_and_the_same_whatever_the_wall_clock_says(day):
    first, again = run_case(Case(7, day=day)), run_case(Case(7, day=day), jump=True)
    assert first.outcome == "complete"
    assert not first.broken
    assert first.digest == again.digest


@pytest.mark.parametrize("day", DAYS)
def test_a_planned_day_has_one_dose_by_pump_into_the_flask(day):
    steps = [p.step.id for p in planned_day(day).steps if p.step.verb in {"inject", "hf_treat"}]
    assert steps == ["s"]


def test_a_day_with_hf_that_is_killed_after_the_trap_was_cold_still_pumps_it_off():
    ran = run_case(Case(7, (), (), (110,), 1, "hf"))
    assert (ran.outcome, ran.lives, ran.broken) == ("complete_with_deviations", 2, [])


def test_there_are_38_invariants_and_each_is_judged_or_says_where():
    assert list(TEXTS) == list(range(1, 39))
    assert set(ELSEWHERE) < set(TEXTS)


def test_what_fails_is_made_small(tmp_path):
    befell = ("ssr_stuck_on@heater@up+60s", "lamp_off@uvvis@look+5s", "echo@bus@stay+0s")
    case = Case(7, befell, (Said(300, "note", "a"),))

    def weakened(run, executor):
        contactor(run, executor)

    least = shrunk(run_case(case, weakened), weakened)
    assert least.failed
    assert [kind_of(text) for text in least.case.faults] == ["ssr_stuck_on"]
    assert not least.case.said
    save(least.case, tmp_path / "case.json", list(map(str, least.broken)))
    assert load(tmp_path / "case.json") == least.case


CHEAP = (
    "dose cap", "heat off first", "contactor", "n2_or_vac", "hf_two", "stand still first",
    "warm_line", "hood", "lines_shut",
)  # fmt: skip


@pytest.mark.parametrize("rule", CHEAP)
def test_a_rule_that_is_taken_out_is_missed(rule):
    mutant = next(row for row in MUTANTS if row.rule == rule)
    assert judge(mutant).killed


def test_every_rule_of_the_rig_has_a_mutant():
    rig = planned_day("sulfide").rig.model
    assert {rule.id for rule in rig.interlocks} <= {row.rule for row in MUTANTS} <= set(WEAKEN)


def test_the_committed_page_tells_every_invariant():
    text = (ROOT / "docs/reference/campaign.md").read_text(encoding="utf-8")
    assert all(f"| {number} | {words} |" in text for number, words in TEXTS.items())


def test_the_page_says_what_held_and_what_befell():
    row = {"seed": 1, "outcome": "safe", "broken": [], "lives": 2, "acted": ["echo@bus"]}
    text = page([{**row, "noticed": [["echo@bus", 3.0]]}])
    assert "| 14 | no dose is more than planned" in text
    assert "| `echo` | 1 | 1 | 3 s | 3 s |" in text
