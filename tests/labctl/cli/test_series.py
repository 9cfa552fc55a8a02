"""A series through the commands: each member checked, planned and run, and what scripts read."""

import json
import signal

import pytest

from labctl.cli import main
from labctl.errors import UsageError
from labctl.prepare import Request, prepare_one
from labctl.record import open_run

SINGLE = {
    "run", "directory", "state", "outcome", "simulated_s", "wall_s", "stages", "steps",
    "decisions", "doses", "alarms", "digest", "product",
}  # fmt: skip


@pytest.fixture
def series(short):
    """`series(more)`: a short recipe with two members and more steps at its end; its path."""

    def write(more=""):
        text = short.read_text(encoding="utf-8")
        text = text.replace("assumed:", "series: {layers: [1, 2]}\nassumed:", 1)
        short.write_text(text + more, encoding="utf-8")
        return short

    return write


def printed(capsys, *arguments):
    code = main([*map(str, arguments)])
    out = capsys.readouterr().out
    return code, json.loads(out.splitlines()[-1])


PARKS = """\
  - when:
      choice: layers
      is: 1
      steps:
      - wait_until: {condition: flask.T > 90 C, timeout: 1 min, on_timeout: park}
"""
LONGER = "  - when: {choice: layers, is: 2, steps: [hold: 1 min]}\n"
FULL = """\
  - when:
      choice: layers
      is: 2
      steps: [charge: {reagent: SQ, volume: 90 mL, by: hand}]
"""


def test_all_members_run_each_a_run_of_its_own(series, tmp_path, capsys):
    code, made = printed(capsys, "dry-run", series(), "--runs", tmp_path / "r", "--format", "json")
    assert code == 0
    assert [run["member"]["values"] for run in made["runs"]] == [{"layers": "1"}, {"layers": "2"}]
    assert {run["member"]["series"] for run in made["runs"]} == {made["series"]["id"]}
    assert len({run["directory"] for run in made["runs"]}) == 2
    for number, run in enumerate(made["runs"], 1):
        with open_run(tmp_path / "r" / run["run"]) as record:
            assert record.member == {
                "series": made["series"]["id"],
                "member": number,
                "of": 2,
                "values": {"layers": str(number)},
            }
            assert record.meta.choices["layers"] == str(number)
            assert (record.directory / "report.html").exists()


def test_the_object_of_a_series_is_that_of_its_worst_run_and_holds_all(series, tmp_path, capsys):
    recipe = series(PARKS)
    code, made = printed(capsys, "dry-run", recipe, "--runs", tmp_path / "r", "--format", "json")
    assert code == 3, "the first member was parked, the second is complete"
    assert [run["outcome"] for run in made["runs"]] == ["safe", "complete"]
    assert {key: made[key] for key in SINGLE} == {key: made["runs"][0][key] for key in SINGLE}
    whole = made["series"]
    assert (whole["names"], whole["members"]) == ({"layers": ["1", "2"]}, 2)
    assert whole["outcome"] == "safe"
    assert whole["simulated_s"] == pytest.approx(sum(run["simulated_s"] for run in made["runs"]))


def test_a_member_that_is_set_is_the_run_it_always_was(series, tmp_path, capsys):
    recipe = series(LONGER)
    json_ = ("--runs", tmp_path / "r", "--format", "json")
    _, whole = printed(capsys, "dry-run", recipe, *json_)
    _, one = printed(capsys, "dry-run", recipe, "--set", "layers=2", *json_)
    assert set(one) == SINGLE
    assert one["digest"] == whole["runs"][1]["digest"]
    assert one["digest"] != whole["runs"][0]["digest"]


def test_the_digest_of_a_series_is_the_same_again(series, tmp_path, capsys):
    recipe = series()
    again = [
        printed(capsys, "dry-run", recipe, "--runs", tmp_path / name, "--format", "json")[1]
        for name in ("a", "b")
    ]
    assert again[0]["series"]["digest"] == again[1]["series"]["digest"]
    assert again[0]["series"]["digest"] not in {run["digest"] for run in again[0]["runs"]}


def test_the_screen_tells_which_member_runs_and_lists_them_at_the_end(series, tmp_path, capsys):
    recipe = series()
    assert main(["dry-run", str(recipe), "--runs", str(tmp_path / "r")]) == 0
    out = capsys.readouterr().out
    first, second, end = (out.index(t) for t in ("1 of 2: layers = 1", "2 of 2: layers", "Series"))
    assert first < second < end
    assert out[end:].count("complete") == 2
    assert main(["runs", "--runs", str(tmp_path / "r")]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [text in line for text, line in zip(("1/2 1", "2/2 2"), listed, strict=True)] == [
        True,
        True,
    ]
    assert main(["show", "last", "--runs", str(tmp_path / "r")]) == 0
    assert "2 of 2 of the series" in capsys.readouterr().out


def test_an_interruption_ends_the_series(series, tmp_path, start):
    recipe = series()
    process = start("dry-run", recipe, "--runs", tmp_path / "r", "--speed", "60")
    with process:
        for line in process.stdout:
            if "N2 bubbling" in line or "charge" in line:
                process.send_signal(signal.SIGINT)
                break
        out = process.stdout.read()
        process.wait(timeout=60)
    assert process.returncode == 130
    assert "1 of 2 were not run" in out
    assert len(list((tmp_path / "r").iterdir())) == 1


def test_a_mistake_in_one_member_refuses_all_and_names_it(series, tmp_path, capsys):
    recipe = series(FULL)
    for command in (("check",), ("dry-run", "--runs", tmp_path / "r")):
        code, made = printed(capsys, *command, recipe, "--format", "json")
        assert code == 2
        errors = [row for row in made["findings"] if row["severity"] == "error"]
        assert "vessel.fill_high" in {row["rule"] for row in errors}
        assert all(row["message"].endswith("(with layers = 2)") for row in errors)
    assert not (tmp_path / "r").exists()
    assert printed(capsys, "plan", recipe, "--set", "layers=1", "--format", "json")[0] == 0


def test_what_all_members_have_is_told_once(series, capsys):
    recipe = series("  - aliquot: {volume: 12 mL, by: hand, label: x, into: vial}\n")
    _, made = printed(capsys, "check", recipe, "--format", "json")
    assert len(made["findings"]) == len({tuple(row.items()) for row in made["findings"]})
    assert not any("with layers" in row["message"] for row in made["findings"])


def test_a_good_series_is_fit_in_all_its_members(series, capsys):
    assert main(["check", str(series())]) == 0
    assert "all 2 of its series" in capsys.readouterr().out


def test_the_plan_of_a_series_sums_what_to_prepare(series, capsys):
    recipe = series()
    _, made = printed(capsys, "plan", recipe, "--format", "json")
    _, one = printed(capsys, "plan", recipe, "--set", "layers=1", "--format", "json")
    assert "series" not in one
    assert one.keys() <= made.keys()
    assert [plan["settings"]["layers"] for plan in made["plans"]] == ["1", "2"]
    (solvent,) = made["series"]["reagents"]
    assert (solvent["reagent"], solvent["runs"]) == ("SQ", 2)
    assert solvent["needed_ml"] == pytest.approx(20.0)
    assert solvent["mass_g"] == pytest.approx(16.2, abs=0.1)  # 0.81 g/mL
    assert made["series"]["total_s"] == pytest.approx(sum(p["total_s"] for p in made["plans"]))
    assert main(["plan", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert "layers = 1" in out
    assert "20.000" in out


def test_where_one_run_is_meant_no_member_is_taken_by_default(series):
    recipe = series()
    with pytest.raises(UsageError, match=r"series of 2 runs.*--set 'layers=1'"):
        prepare_one(Request(recipe))
    plan, _ = prepare_one(Request(recipe, settings={"layers": "2"}))
    assert plan.recipe.settings["layers"] == "2"


def test_a_page_is_of_one_member(series, tmp_path, capsys):
    recipe, page = series(), tmp_path / "plan.html"
    arguments = ["plan", str(recipe), "--format", "html", "--output", str(page)]
    assert main(arguments) == 2
    assert "--set" in capsys.readouterr().err
    assert main([*arguments, "--set", "layers=2"]) == 0
    assert page.exists()


def test_one_sheet_draws_enough_for_every_member(tmp_path, recipe, capsys):
    raman = recipe.with_name("inp_znse_raman.yaml")
    sheet = tmp_path / "today.yaml"
    assert main(["plan", str(raman), "--write-batch", str(sheet), "--runs", str(tmp_path)]) == 0
    text = sheet.read_text(encoding="utf-8")
    assert "HF 48 % in acetone: 0.116 mL for doses, 0.070 mL for the line" in text
    assert "second:" in text
