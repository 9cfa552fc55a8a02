"""The preflight on the twin: what it measures, what it asks, what stands, what it refuses."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.capabilities import Reply, TaskKind
from labctl.engine.preflight import checks_of, listed, still_stands, with_preflight
from labctl.errors import ExitCode
from labctl.faults import parse_fault
from labctl.prepare import Request, prepare
from labctl.record import open_run
from labctl.record.preflights import Kept, keep, last_kept, standing
from labctl.registry import fault_table
from labctl.session import dry_run

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "recipes/inp_zns_surface_initiated.yaml"
NINE = dt.datetime(2025, 11, 3, 9)


@pytest.fixture(scope="module")
def planned():
    return prepare(Request(RECIPE))[0]


class Looked:
    """What a preflight of its own came to."""

    def __init__(self, planned, runs, stands=(), faults=(), asks=None):
        self.told = []
        befalls = [parse_fault(text, fault_table()) for text in faults]
        alone = with_preflight(planned, dict(stands), self.told.append, alone=True)
        self.result = dry_run(alone, runs=runs, faults=befalls, asks=asks)
        with open_run(self.result.directory) as run:
            self.events = run.events

    @property
    def outcomes(self):
        return {row.check: row for row in (self.told[-1] if self.told else ())}

    @property
    def failed(self):
        return {name for name, row in self.outcomes.items() if not row.passed}


@pytest.fixture(scope="module")
def good(planned, tmp_path_factory):
    return Looked(planned, tmp_path_factory.mktemp("runs"))


def test_a_fit_rig_passes_every_check_and_each_is_an_event_of_the_record(planned, good):
    assert good.result.exit_code == ExitCode.COMPLETE
    assert set(good.outcomes) == {check.id for check in checks_of(planned)}
    assert not good.failed
    said = [event.data["check"] for event in good.events if event.code == "preflight"]
    assert said == list(good.outcomes)


def test_the_rate_of_rise_is_that_of_the_tight_flask(good):
    """1e-4 mbar L/s into 50 mL and tubing is less than 0.12 mbar/min."""
    found = re.search(r"at most ([\d.]+) mbar/min", good.outcomes["leak_rate"].found)
    assert 0.0 < float(found[1]) < 0.0267


def test_nothing_heats_and_the_flask_is_left_under_inert_gas(good):
    codes = {event.code for event in good.events}
    assert "heater" not in codes
    assert "warm_line" not in codes
    valves = [event.message for event in good.events if event.code == "valve"]
    assert valves[-1] == "n2 open"


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ("leak_step@flask50", "leak_rate"),
        ("lamp_off@uvvis", "lamp"),
    ],
)
def test_what_is_not_fit_is_refused_by_name_with_what_to_do(planned, tmp_path, fault, failed):
    looked = Looked(planned, tmp_path, faults=[fault])
    assert failed in looked.failed
    assert looked.result.exit_code == ExitCode.SAFE
    row = looked.outcomes[failed]
    assert row.do in looked.result.reason
    assert row.found in looked.result.reason


def test_an_input_that_an_interlock_requires_is_looked_at(planned, tmp_path):
    looked = Looked(planned, tmp_path, faults=["n2_empty@flask50"])
    row = looked.outcomes["supply_n2_supply"]
    assert row.found == "off"
    assert "n2_supply would freeze, n2_lost would trip the run" in row.do
    assert looked.result.exit_code == ExitCode.SAFE


@pytest.mark.parametrize("limits", [{"thermometers": 0.01}, {"room": (30.0, 35.0)}])
def test_thermometers_that_disagree_or_are_not_at_room_temperature_are_refused(
    planned, tmp_path, limits
):
    model = planned.rig.model
    strict = model.model_copy(update={"preflight": model.preflight.model_copy(update=limits)})
    looked = Looked(replace(planned, rig=replace(planned.rig, model=strict)), tmp_path)
    assert looked.failed == {"thermometers"}


def refusing(word):
    """Return who answers no where a question or a list has a word in it."""

    class Refuses:
        def __init__(self, simulated):
            self.simulated = simulated

        async def do(self, task):
            if word not in task.text:
                return await self.simulated.do(task)
            refused = task.kind is TaskKind.CONFIRM
            return Reply("refused") if refused else Reply("no")

    return Refuses


@pytest.mark.parametrize(
    ("word", "failed"),
    [("bubbler", {"inert_gas"}), ("scrubber", {"scrubber"}), ("LN2", {"trap", "leak_rate"})],
)
def test_a_person_who_says_no_is_heard(planned, tmp_path, word, failed):
    looked = Looked(planned, tmp_path, asks=refusing(word))
    assert looked.failed == failed
    assert looked.result.exit_code == ExitCode.SAFE


def test_without_a_cold_trap_no_fine_vacuum_is_opened(planned, tmp_path):
    looked = Looked(planned, tmp_path, asks=refusing("LN2"))
    assert "vac_fine open" not in [event.message for event in looked.events]


def kept(good, at=None):
    return Kept("schlenk-2", "2025-11-03T09:10:00", "YK", "r", tuple(good.outcomes.values()))


def test_what_was_found_stands_for_four_hours_beside_the_runs(planned, good, tmp_path):
    keep(tmp_path, kept(good))
    assert last_kept(tmp_path, "schlenk-2") == kept(good)
    everything = set(good.outcomes)
    assert set(still_stands(planned, tmp_path, NINE + dt.timedelta(hours=3))) == everything
    assert still_stands(planned, tmp_path, NINE + dt.timedelta(hours=4, minutes=30)) == {}
    assert still_stands(planned, tmp_path, NINE - dt.timedelta(hours=1)) == {}


def test_what_stands_is_not_looked_at_again_but_told(planned, good, tmp_path):
    looked = Looked(planned, tmp_path, stands=good.outcomes)
    assert looked.result.exit_code == ExitCode.COMPLETE
    assert looked.told == []
    assert "valve" not in {event.code for event in looked.events}
    told = [event.message for event in looked.events if event.code == "preflight"]
    assert len(told) == len(good.outcomes)
    assert all("since 2025-11-03T09" in row for row in told)


def test_an_overdue_cut_out_is_refused_by_its_name(planned, tmp_path):
    late = planned.batch.model.model_copy(update={"date": dt.datetime(2026, 1, 5, 9)})
    overdue = replace(planned, batch=replace(planned.batch, model=late))
    looked = Looked(overdue, tmp_path)
    assert "cutouts" in looked.failed
    assert "overtemp" in looked.outcomes["cutouts"].found


def test_a_changed_rig_makes_everything_be_looked_at_again(good):
    kept_for = dict.fromkeys(good.outcomes, "another")
    assert standing(kept(good), NINE + dt.timedelta(hours=1), 4 * 3600.0, kept_for) == {}


def test_another_recipe_asks_anew_only_for_its_own_gases_and_lines(good, tmp_path):
    keep(tmp_path, kept(good))
    other = prepare(Request(ROOT / "recipes/inp_cores_2p4.yaml"))[0]
    stands = still_stands(other, tmp_path, NINE + dt.timedelta(hours=1))
    anew = {check.id for check in checks_of(other)} - set(stands)
    assert anew == {"scrubber", "reference", "calibrations", "cutouts"}


def test_a_trap_that_stood_is_looked_at_again_before_another_leak_test(planned, good, tmp_path):
    stands = {name: row for name, row in good.outcomes.items() if name != "leak_rate"}
    looked = Looked(planned, tmp_path, stands=stands)
    fresh = [e.data["check"] for e in looked.events if e.code == "preflight" and "found" in e.data]
    assert fresh == ["trap", "leak_rate"]


def test_it_comes_before_the_first_step_and_cannot_be_skipped(planned):
    steps = with_preflight(planned, {}, lambda outcomes: None).steps
    assert (steps[0].stage, steps[0].step.verb) == ("preflight", "preflight")
    assert [p.step for p in steps[1:]] == [p.step for p in planned.steps]
    assert steps[1].start_s == steps[0].estimate.duration_s > 300.0


def test_a_run_warms_its_line_only_when_all_is_fit_and_goes_on(tmp_path):
    recipe = prepare(Request(ROOT / "recipes/inp_zn_200c.yaml"))[0]
    whole = with_preflight(recipe, {}, lambda outcomes: None)
    begins = replace(whole, steps=tuple(p for p in whole.steps if p.stage in {"preflight", "load"}))
    result = dry_run(begins, runs=tmp_path)
    assert result.exit_code == ExitCode.COMPLETE
    with open_run(result.directory) as run:
        codes = [event.code for event in run.events]
        verbs = [step.verb for step in run.steps]
    last = max(n for n, code in enumerate(codes) if code == "preflight")
    assert codes.index("warm_line") > last
    assert verbs[0] == "preflight"
    assert len(verbs) > 1


def test_the_list_says_who_looks_and_since_when_it_stands(planned, good):
    rows = listed(planned, {"lamp": good.outcomes["lamp"]})
    assert {who for _, _, who, _ in rows} == {"labctl measures", "you are asked"}
    assert [row[0] for row in rows if row[3]] == ["lamp warm"]


def test_a_kept_file_that_cannot_be_read_stands_for_nothing(planned, tmp_path):
    (tmp_path / "preflight").mkdir()
    (tmp_path / "preflight/schlenk-2.json").write_text("{")
    assert still_stands(planned, tmp_path, NINE) == {}
