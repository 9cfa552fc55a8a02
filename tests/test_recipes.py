"""The shipped recipes do what the paper says, on both rigs, and the record proves it."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from bisect import bisect_left
from pathlib import Path

import pytest

from benchmarks.recipes import cases, departures, name_of, request_of, shown
from labctl.cli import main
from labctl.errors import FindingsError, Severity, UsageError
from labctl.prepare import Request, prepare
from labctl.record import open_run
from labctl.replay.commissioned import measured
from labctl.rig.load import load_rig
from labctl.session import dry_run
from labctl.units import parse_range

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
RECIPE = RECIPES / "inp_zns_surface_initiated.yaml"
ZNSE, CORES = RECIPES / "inp_znse_200c.yaml", RECIPES / "inp_cores_2p4.yaml"
LAYERS = ("1", "2", "4")
HOLD_S = {"1": 600, "2": 1200, "4": 1800}
DESORPTION = RECIPES / "inp_znse_hf_series.yaml"
ALL = list(cases())
DAY_S = 10 * 3600.0  # longer ones, and the other cases, run in benchmarks/recipes.py


def chosen():
    """The first case of every recipe and all by hand, if done within a working day."""
    first = dict(reversed(ALL))
    for recipe, case in ALL:
        short = parse_range(case["duration"], "time")[1].value <= DAY_S
        if short and (case is first[recipe] or "rig" in case):
            yield recipe, case


EXPECTED = list(chosen())


@pytest.fixture(scope="module")
def any_run(tmp_path_factory):
    """`any_run(recipe or request, **settings)`: result, findings, plan of a run made once."""
    runs = tmp_path_factory.mktemp("runs")

    done = {}

    def run(asked, rig="", sheet="", **settings):
        if isinstance(asked, Path):
            rig_file, batch = ROOT / rig if rig else None, ROOT / sheet if sheet else None
            asked = Request(asked, rig_file, batch, settings)
        key = (asked.recipe, asked.rig, asked.batch, *sorted((asked.settings or {}).items()))
        if key not in done:
            planned, findings = prepare(asked)
            done[key] = dry_run(planned, runs=runs), findings, planned
        return done[key]

    return run


@pytest.fixture(scope="module")
def ran(any_run):
    """`ran(layers, rig, sheet)`: the same of the surface-initiated ZnS."""
    return lambda layers="2", rig="", sheet="": any_run(RECIPE, rig, sheet, layers=layers)


def test_every_recipe_has_its_sheet_and_its_expectations():
    here = [*RECIPES.glob("*.yaml"), *RECIPES.glob("commissioning/*.yaml")]
    named = {path for path in here if path.name.count(".") == 1}
    assert named == {recipe for recipe, _ in ALL}
    assert all(path.with_suffix(".batch.yaml").exists() for path in named)


@pytest.mark.parametrize(
    ("recipe", "expected"), EXPECTED, ids=[name_of(*each) for each in EXPECTED]
)
def test_the_expectations_hold(any_run, recipe, expected):
    result, findings, planned = any_run(request_of(recipe, expected))
    assert departures(expected, shown(result.summary, findings, planned)) == []


@pytest.mark.parametrize(("recipe", "case"), ALL, ids=[name_of(*each) for each in ALL])
def test_every_case_is_fit_to_run_and_its_findings_are_told(recipe, case):
    _, findings = prepare(request_of(recipe, case))
    assert sorted(finding.rule for finding in findings) == sorted(case["findings"])
    explained = recipe.read_text(encoding="utf-8") + recipe.with_suffix(".batch.yaml").read_text(
        encoding="utf-8"
    )
    # Where a rig has no pumps, that is all there is to say.
    assert all(rule in explained for rule in {*case["findings"]} - {"people.by_hand"})


def test_the_last_portion_is_trimmed_and_the_cores_come_to_rest_at_the_target(any_run):
    result, _, _ = any_run(RECIPES / "inp_cores_3p3.yaml", target="580 nm")
    given = [
        dose["delivered_ml"]
        for dose in result.summary["doses"]
        if dose["id"].startswith("portion") and dose["reagent"] == "P"
    ]
    whole_ml = given[0]
    trimmed = [ml for ml in given if ml < 0.95 * whole_ml]
    assert 1 <= len(trimmed) <= 3
    assert given[-len(trimmed) :] == trimmed, "only the end is trimmed"
    assert min(trimmed) >= 0.09 * whole_ml
    assert result.summary["product"]["peak_nm"] == pytest.approx(580, abs=3)


DESORBED_S = {"30 s": 30, "1 min": 60, "3 min": 180, "6 min": 360, "15 min": 900, "30 min": 1800}


@pytest.fixture(scope="module")
def desorption(tmp_path_factory):
    """All that `dry-run` prints as JSON of the whole HF series, and where its records are."""
    runs, printed = tmp_path_factory.mktemp("series"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(["dry-run", str(DESORPTION), "--runs", str(runs), "--format", "json"])
    assert code == 0
    return json.loads(printed.getvalue()), runs


def test_the_desorption_series_has_the_papers_six_vessels(desorption):
    made, _ = desorption
    assert [run["member"]["values"]["t"] for run in made["runs"]] == list(DESORBED_S)
    assert {run["outcome"] for run in made["runs"]} == {made["outcome"]} == {"complete"}
    peaks = [run["product"]["peak_nm"] for run in made["runs"]]
    assert peaks == sorted(peaks), "the later the quench, the less HF takes away"


@pytest.mark.parametrize("number", range(6))
def test_the_desorption_quench_starts_at_its_time_and_hf_goes_in_at_150(desorption, number):
    made, runs = desorption
    summary = made["runs"][number]
    time_s = DESORBED_S[summary["member"]["values"]["t"]]
    steps = {step["id"]: step for step in summary["steps"]}
    assert steps["quench"]["start_s"] - steps["znse"]["end_s"] == pytest.approx(time_s, abs=1)
    with open_run(runs / summary["run"]) as run:
        (exposure,) = [event for event in run.events if event.code == "exposure"]
        times, temperatures = run.series("flask.T")
    first_s = next(
        t_s
        for t_s, at_c in zip(times, temperatures, strict=True)
        if t_s >= steps["quench"]["start_s"] and at_c is not None and at_c <= 150.0
    )
    assert 0 <= steps["hf"]["start_s"] - first_s < 3
    hot_s = max(
        t_s
        for t_s, at_c in zip(times, temperatures, strict=True)
        if t_s < first_s and at_c is not None and at_c > 190.0
    )
    assert exposure.data["began_s"] == pytest.approx(time_s, abs=1)
    assert exposure.data["exposed_s"] == pytest.approx(hot_s - steps["znse"]["end_s"], abs=3)
    told = f"{exposure.data['began_s']:.1f} s after znse.end"
    assert told in exposure.message, "both times are told"
    report = (runs / summary["run"] / "report.html").read_text(encoding="utf-8")
    assert exposure.message in report
    assert f"{number + 1} of 6 of {made['series']['id']}" in report


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


def test_znse_waits_for_the_peak_and_not_for_the_light(any_run):
    result, findings, _ = any_run(ZNSE, react="30 min")
    (decision,) = result.summary["decisions"]
    assert decision["verdict"] == "saturated"
    assert decision["evidence"]["shift_nm"] == pytest.approx(14.7, abs=0.6)
    assert not decision["evidence"]["also_flat"]
    with open_run(result.directory) as run:
        times, areas = run.series("pl.area")
    begun_s = next(step["end_s"] for step in result.summary["steps"] if step["id"] == "znse")
    at_min = {
        minutes: [
            area
            for t_s, area in zip(times, areas, strict=True)
            if area is not None and abs(t_s - begun_s - 60 * minutes) < 60
        ]
        for minutes in (10, 29)
    }
    assert min(at_min[29]) > 2 * max(at_min[10]), "PL more than doubles after 1S is nearly done"
    told = {(finding.rule, finding.severity) for finding in findings}
    assert told == {
        ("vessel.fill_low", Severity.NOTE),
        ("fluidics.hanging_drop", Severity.WARNING),
    }


def test_znse_is_held_for_thirty_minutes_from_the_injection(any_run):
    summary = any_run(ZNSE, react="30 min")[0].summary
    steps = {step["id"]: step for step in summary["steps"]}
    held = steps["shell.5"]
    assert held["clock_s"] == pytest.approx(steps["znse"]["end_s"], abs=1)
    assert held["end_s"] - steps["znse"]["end_s"] >= 1799
    given = [dose for dose in summary["doses"] if dose["id"].startswith("znse")]
    assert {dose["reagent"] for dose in given} == {"SE", "ZN"}
    assert all(dose["flask_c"] == pytest.approx(200, abs=2) for dose in given)
    assert given[0]["at_s"] == pytest.approx(given[1]["at_s"], abs=1), "both at once"


def test_a_ramp_on_a_saturated_sample_is_no_adsorption(tmp_path):
    """The decision watches the peak move by 3 nm between 200 and 250 °C and is not taken in."""
    ramp = """  - baseline: {of: [peak], as: full, for: 3 min}
  - ramp: {to: 250 C, rate: $ramp, within: 49 K}
  - wait_until: {id: ramped, saturated: peak, since: full, timeout: 40 min,
                 on_timeout: {ask: nothing, choices: [accept, park], default: park,
                              after: 3 min, simulated: accept}}
"""
    text = ZNSE.read_text(encoding="utf-8").replace("205 C", "255 C")
    recipe = tmp_path / "ramped.yaml"
    recipe.write_text(text.replace("  - quench:", f"{ramp}  - quench:"), encoding="utf-8")
    sheet = ZNSE.with_suffix(".batch.yaml")
    result = dry_run(prepare(Request(recipe, batch=sheet))[0], runs=tmp_path)
    verdicts = {made["step"]: made["verdict"] for made in result.summary["decisions"]}
    assert verdicts["shell.4"] == "saturated"
    assert verdicts["ramped"] in {"no_reaction", "timeout"}
    with open_run(result.directory) as run:
        (made,) = [row for row in run.decisions if row.step == "ramped"]
        hot = [row.raw_nm for row in run.inputs(made.id) if row.used]
    assert max(hot) - min(hot) > 2.5, "it saw the peak move"


def test_cores_are_quenched_before_the_target_and_come_to_rest_on_it(any_run):
    result, _, _ = any_run(CORES, target="470 nm")
    (decision,) = result.summary["decisions"]
    assert decision["verdict"] == "reached"
    evidence = decision["evidence"]
    assert evidence["level_nm"] < 469
    assert result.summary["product"]["peak_nm"] == pytest.approx(470, abs=1.5)
    assert evidence["arrival_s"] == pytest.approx(evidence["lead_s"], abs=2)
    assert 3 < evidence["band_nm"] < 4, "a quarter of what 260 °C do to the peak"
    with open_run(result.directory) as run:
        (landed,) = [event for event in run.events if event.code == "landed"]
    assert abs(landed.data["over_nm"]) < 1.5
    assert "would have met it" in landed.message


def test_the_phosphine_dips_the_flask_and_there_is_nothing_to_see_before(any_run):
    result, _, _ = any_run(CORES, target="470 nm")
    steps = {step["id"]: step for step in result.summary["steps"]}
    with open_run(result.directory) as run:
        first_frame_s = run.spectra(kind="sample")[0].t_ns / 1e9
        deviations = [event for event in run.events if event.code == "deviation"]
    assert first_frame_s > steps["p"]["start_s"]
    assert deviations == []


def test_a_long_path_through_so_many_dots_is_refused(tmp_path):
    sheet = CORES.with_suffix(".batch.yaml").read_text(encoding="utf-8")
    kept = [line for line in sheet.splitlines() if not line.startswith("path:")]
    batch = tmp_path / "long.yaml"
    batch.write_text("\n".join(kept), encoding="utf-8")
    with pytest.raises(FindingsError) as refused:
        prepare(Request(CORES, batch=batch))
    (finding,) = refused.value.findings
    assert finding.rule == "needs.path"
    assert "2 mm" in finding.message


COMMISSIONED = {
    "leak": ("flask50", ("vessels", "flask50", "leak"), {"rise": (0.0, 0.05)}),
    "gravimetry": ("pump_2", ("devices", "pump_2", "calibration"), {"delivered": (99.5, 99.7)}),
    "mantle": (
        "flask50",
        ("vessels", "flask50", "thermal"),
        {
            "capacity": (76.0, 84.0),
            "to_flask": (0.52, 0.58),
            "mantle_to_air": (0.0475, 0.0525),
            "flask_to_air": (0.052, 0.058),
        },
    ),
}


@pytest.mark.parametrize("recipe", list(COMMISSIONED))
def test_a_commissioning_run_finds_what_the_simulated_rig_is_made_of(any_run, recipe):
    name, place, bounds = COMMISSIONED[recipe]
    result, _, _ = any_run(RECIPES / f"commissioning/{recipe}.yaml")
    with open_run(result.directory) as run:
        (made,) = measured(run, "schlenk-2", name)
        with pytest.raises(UsageError, match="measured nothing of pump_3"):
            measured(run, "schlenk-2", "pump_3")
        with pytest.raises(UsageError, match="not on 'other'"):
            measured(run, "other", name)
    assert made.place == place
    for key, (low, high) in bounds.items():
        assert low <= float(made.words[key].partition(" ")[0]) <= high


def test_what_a_commissioning_run_found_is_written_with_its_day_and_who(
    any_run, tmp_path, monkeypatch, capsys
):
    result, _, _ = any_run(RECIPES / "commissioning/gravimetry.yaml")
    rig = tmp_path / "rig.yaml"
    rig.write_bytes((ROOT / "rigs/schlenk.yaml").read_bytes())
    command = ["calibrate", str(rig), "pump_2", "--from", str(result.directory)]
    assert main(command) == 2, "a dry run tells nothing of real instruments"
    assert "nothing was written" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("2099-11-01\nyes\n"))
    assert main([*command, "--even-simulated"]) == 0
    calibration = load_rig(rig).model.devices["pump_2"].calibration
    assert (calibration.by, calibration.done) == ("YK", dt.date(2025, 11, 3))
    assert calibration.due == dt.date(2099, 11, 1)
    assert calibration.delivered == pytest.approx(0.996, abs=1e-3)
