"""The shipped recipe does what the paper says, on both rigs, and the record proves it."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from functools import cache
from pathlib import Path

import pytest

from labctl.prepare import Request, prepare
from labctl.record import open_run
from labctl.session import dry_run
from labctl.source import read
from labctl.units import parse, parse_range

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes/inp_zns_surface_initiated.yaml"
EXPECTED = read(RECIPE.with_name("inp_zns_surface_initiated.expect.yaml")).tree
LAYERS = ("1", "2", "4")
HOLD_S = {"1": 600, "2": 1200, "4": 1800}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """`ran(layers, rig, sheet)`: the summary, findings and record of a dry run, each run once."""
    runs = tmp_path_factory.mktemp("runs")

    @cache
    def run(layers="2", rig="", sheet=""):
        request = Request(
            RECIPE,
            ROOT / rig if rig else None,
            ROOT / sheet if sheet else None,
            {"layers": layers},
        )
        planned, findings = prepare(request)
        result = dry_run(planned, runs=runs)
        return result, findings, planned

    return run


def case(layers):
    return next(c for c in EXPECTED["cases"] if c["set"]["layers"] == layers)


def span(text):
    low, _, high = text.partition("..")
    return float(low), float(high)


@pytest.mark.parametrize("layers", LAYERS)
def test_the_expectations_hold(ran, layers):
    result, findings, planned = ran(layers)
    expected, product = case(layers), result.summary["product"]
    assert result.summary["outcome"] == expected["outcome"]
    assert [finding.rule for finding in findings] == expected["findings"]
    for name in ("layers", "qy"):
        low, high = span(expected[name])
        assert low <= product[name] <= high, name
    low, high = parse_range(expected["final_1S"], "wavelength")
    assert low.value <= product["peak_nm"] <= high.value
    low, high = parse_range(expected["duration"], "time")
    assert low.value <= result.summary["simulated_s"] <= high.value
    fullest = max(p.after.hot_volume_ml(p.after.temperature_c) for p in planned.steps)
    assert fullest <= parse(expected["max_fill"], "volume").value


@pytest.mark.parametrize("layers", LAYERS)
def test_layers_and_yield_are_the_papers(ran, layers):
    product = ran(layers)[0].summary["product"]
    assert product["layers"] == pytest.approx(int(layers), abs=0.3)
    assert product["qy"] >= 0.95


@pytest.mark.parametrize("layers", LAYERS)
def test_stage_two_advances_on_saturation_and_not_on_a_clock(ran, layers):
    (decision,) = ran(layers)[0].summary["decisions"]
    assert (decision["step"], decision["verdict"]) == ("stage2.3", "saturated")
    assert decision["evidence"]["probability"] > 0.99
    assert decision["evidence"]["shift_nm"] > 10


@pytest.mark.parametrize("layers", LAYERS)
def test_the_320_hold_starts_at_318_and_lasts_what_the_paper_says(ran, layers):
    result = ran(layers)[0]
    hold = next(s for s in result.summary["steps"] if s["id"] == "stage3.4")
    assert hold["end_s"] - hold["clock_s"] == pytest.approx(HOLD_S[layers], abs=5)
    with open_run(result.directory) as run:
        times, values = run.series("flask.T")
    began = bisect_left(times, hold["clock_s"])
    assert max(values[began - 3 : began + 1]) >= 318.0


@pytest.mark.parametrize("layers", LAYERS)
def test_the_order_is_the_papers(ran, layers):
    summary = ran(layers)[0].summary
    doses = {dose["id"]: dose for dose in summary["doses"]}
    assert doses["zn1"]["flask_c"] == pytest.approx(200, abs=2)
    assert doses["hf"]["flask_c"] == pytest.approx(120, abs=3)
    assert doses["s"]["flask_c"] == pytest.approx(120, abs=3)
    assert doses["zn2"]["flask_c"] == pytest.approx(250, abs=3)
    starts = {step["id"]: step["start_s"] for step in summary["steps"]}
    order = ["zn1", "hf", "hf.4", "s", "stage2.2", "zn2", "stage3.3", "stage3.5"]
    assert [starts[id_] for id_ in order] == sorted(starts[id_] for id_ in order)
    given = sum(d["delivered_ml"] for d in summary["doses"] if d["reagent"] != "NC")
    assert 18.1 <= given <= 18.6


def test_gas_and_vacuum_are_never_open_together(ran):
    with open_run(ran("2")[0].directory) as run:
        valves = [run.series(f"valves.{name}")[1] for name in ("n2", "vac_rough", "vac_fine")]
    assert all(sum(open_) <= 1 for open_ in zip(*valves, strict=True))


def test_everything_a_decision_saw_is_kept(ran):
    with open_run(ran("2")[0].directory) as run:
        (decision,) = run.decisions
        seen = run.inputs(decision.id)
        taken = {stamp.t_ns for stamp in run.spectra(kind="sample")}
    assert len([row for row in seen if row.used]) >= 60
    assert all(any(abs(row.t_ns - t) < 3e9 for t in taken) for row in seen[:20])


@pytest.mark.parametrize("sheet", ["", "recipes/inp_zns_surface_initiated.manual.batch.yaml"])
def test_a_person_at_a_glass_manifold_runs_the_same_recipe(ran, sheet):
    result, findings, _ = ran("2", "rigs/manual.yaml", sheet)
    assert result.summary["outcome"] == "complete"
    assert {dose["by"] for dose in result.summary["doses"]} == {"hand"}
    assert {finding.rule for finding in findings} == ({"people.by_hand"} if not sheet else set())
    (decision,) = result.summary["decisions"]
    assert decision["verdict"] == "saturated"


def test_the_copied_rig_runs_as_the_bundled_one_does():
    planned, findings = prepare(Request(RECIPE, ROOT / "rigs/schlenk.yaml"))
    assert planned.batch.model.date == dt.datetime(2025, 11, 3, 9)
    assert findings == []
