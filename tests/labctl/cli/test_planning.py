import datetime as dt
import json
import re

import pytest

from labctl.cli import main, planning
from labctl.cli.picture import BAR, DANGER, LABEL, NARROWEST, TWO, picture
from labctl.cli.text import Paint, shown
from labctl.errors import UsageError
from labctl.outlook.course import Course, estimated

NINE = dt.datetime(2025, 11, 3, 9, 0)


class Plain:
    def isatty(self):
        return False


PAINT = Paint(Plain())


def drawn(lines, name):
    """What stands behind a label, by column."""
    label = min(LABEL, len("pyrophoric"))
    (line,) = [line for line in lines if line[2 : 2 + label].strip() == name]
    return line[2 + label + 1 :]


@pytest.mark.parametrize("room", [44, 60, 80, 132])
def test_the_picture_keeps_to_its_room_and_its_order(paper_plan, room):
    lines = picture(estimated(paper_plan), NINE, PAINT, room)
    assert max(map(shown, lines)) <= max(room, NARROWEST)
    firsts = [drawn(lines, stage.name).index(BAR) for stage in paper_plan.recipe.all_stages]
    assert firsts == sorted(firsts)
    assert drawn(lines, "load").startswith(BAR)


def test_a_bar_is_as_long_as_its_stage(paper_plan):
    course = estimated(paper_plan)
    lines = picture(course, NINE, PAINT, 132)
    width = 132 - 4 - len("pyrophoric") - 1
    for span in course.stages:
        wanted = (span.end_s - span.start_s) / course.end_s * width
        assert drawn(lines, span.name).count(BAR) == pytest.approx(wanted, abs=1.5)


def test_marks_tell_people_and_hf(paper_plan):
    lines = picture(estimated(paper_plan), NINE, PAINT, 100)
    people, hf = drawn(lines, "people"), drawn(lines, "HF")
    stage = drawn(lines, "hf")
    within = range(stage.index(BAR), stage.rindex(BAR) + 1)
    assert all(at in within for at, sign in enumerate(people) if sign == TWO)
    assert DANGER in hf[within.start : within.stop]
    assert not any(line.startswith("  pyrophoric") for line in lines)


def test_a_narrow_terminal_gets_the_least_that_can_be_read(paper_plan):
    lines = picture(estimated(paper_plan), NINE, PAINT, 20)
    assert len(drawn(lines, "load")) <= NARROWEST


def test_no_course_no_picture():
    assert picture(Course((), (), {}), NINE, PAINT) == []


def test_a_plan_in_text_begins_with_the_picture(recipe, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["plan", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert out.index("Timeline") < out.index(BAR) < out.index("Steps")
    picture_lines = out[out.index("Timeline") : out.index("Steps")].splitlines()
    assert max(map(len, picture_lines)) <= 60


def test_the_page_is_written_where_it_is_asked(recipe, tmp_path, capsys):
    path = tmp_path / "plan.html"
    assert main(["plan", str(recipe), "--format", "html", "--output", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(UsageError, match="cannot be written"):
        _run("plan", recipe, "--output", tmp_path / "none" / "plan.txt")


def _run(command, *arguments):
    return planning.run(command, [str(argument) for argument in arguments])


def test_what_a_step_does_when_it_fails_stands_beside_it(short, capsys):
    text = short.read_text(encoding="utf-8")
    verb = next(line for line in text.splitlines() if "- stir: " in line)
    speed = verb.partition("- stir: ")[2]
    told = f"- stir: {{speed: {speed}, on_fail: retry, retries: 2}}"
    short.write_text(text.replace(f"- stir: {speed}", told, 1), encoding="utf-8")
    assert main(["plan", str(short)]) == 0
    assert "rpm): retry 2 times, then ask" in capsys.readouterr().out
    assert main(["plan", str(short), "--format", "json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    said = {step["verb"]: step["on_fail"] for step in steps if step["on_fail"]}
    assert said == {"stir": "retry 2 times, then ask"}


def test_a_simulated_plan_has_the_times_of_a_dry_run(short, capsys):
    assert main(["plan", str(short), "--format", "json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main(["plan", str(short), "--simulate", "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plain["simulated"], plan["simulated"]) == (False, True)
    steps = {step["id"]: step for step in plan["steps"]}
    assert steps["warm"]["duration_s"] == pytest.approx(240.0, abs=5.0)
    assert steps["load.2"]["duration_s"] < 1.0  # simulated hands take no time …
    assert steps["load.2"]["estimated_s"] == 120.0
    assert plan["hands_s"] == pytest.approx(180.0 + 60.0, abs=61.0)  # … which is said
    assert plan["total_s"] < plain["total_s"]
    ordered = [step["start_s"] for step in plan["steps"]]
    assert ordered == sorted(ordered)


def test_a_simulated_plan_says_what_was_estimated_beside_it(short, capsys):
    assert main(["plan", str(short), "--simulate"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"takes +estimated +at most", out)
    assert "as simulated" in out
    assert "the simulated person takes no time" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_sheet_is_written_once(recipe, tmp_path, capsys):
    path = tmp_path / "sheet.yaml"
    empty = tmp_path / "runs"
    assert _run("plan", recipe, "--write-batch", path, "--runs", empty) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        f"{path}, like {recipe.with_name('inp_zns_surface_initiated.batch.yaml')}"
    )
    assert "loads.NC.concentration" in out
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        _run("plan", recipe, "--write-batch", path, "--runs", empty)
    assert path.read_bytes() == before


def test_a_sheet_follows_the_last_run_of_the_recipe(recipe, paper_run, tmp_path, capsys):
    path = tmp_path / "sheet.yaml"
    assert _run("plan", recipe, "--write-batch", path, "--runs", paper_run.parent) == 0
    assert f"like that of run {paper_run.name}" in capsys.readouterr().out


def test_a_sheet_follows_the_one_that_is_named(recipe, tmp_path):
    old = recipe.with_name("inp_zns_surface_initiated.batch.yaml")
    text = old.read_text(encoding="utf-8").replace("operator: YK", "operator: AB")
    like = tmp_path / "old.yaml"
    like.write_text(text, encoding="utf-8")
    path = tmp_path / "sheet.yaml"
    assert _run("plan", recipe, "--write-batch", path, "--like", like) == 0
    assert "operator: AB" in path.read_text(encoding="utf-8")


def test_a_sheet_for_a_recipe_that_never_had_one(recipe, tmp_path, capsys):
    alone = tmp_path / "alone.yaml"
    alone.write_text(recipe.read_text(encoding="utf-8"), encoding="utf-8")
    path = tmp_path / "sheet.yaml"
    assert _run("plan", alone, "--write-batch", path, "--runs", tmp_path / "runs") == 0
    assert "from recipe and rig alone" in capsys.readouterr().out


def test_like_without_a_sheet_to_write_is_refused(recipe):
    with pytest.raises(UsageError, match="--write-batch"):
        _run("plan", recipe, "--like", recipe)
