"""The paper's recipe through the command, and what a dry run promises to scripts."""

import json
import re
import signal
from pathlib import Path

import pytest

from labctl.record import open_run

KEYS = {
    "run", "directory", "state", "outcome", "simulated_s", "wall_s", "stages", "steps",
    "decisions", "doses", "alarms", "digest", "product",
}  # fmt: skip
STAGES = ["load", "degas", "stage1", "hf", "stage2", "stage3", "finally"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def twice(start, recipe, runs):
    """The recipe once as JSON and once as text, with different hash seeds, side by side."""
    as_json = start("dry-run", recipe, "--runs", runs / "a", "--format", "json", PYTHONHASHSEED="1")
    as_text = start("dry-run", recipe, "--runs", runs / "b", PYTHONHASHSEED="2")
    ended = []
    for process in (as_json, as_text):
        with process:
            out, err = process.communicate("", timeout=100)
        ended.append((process.returncode, out, err))
    return ended


@pytest.fixture(scope="module")
def summary(twice):
    code, out, err = twice[0]
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 1
    return json.loads(out)


def test_the_json_object_has_the_public_shape(summary):
    assert set(summary) == KEYS
    assert [stage["name"] for stage in summary["stages"]] == STAGES
    assert set(summary["steps"][0]) == {"id", "verb", "stage", "start_s", "clock_s", "end_s"}
    assert set(summary["decisions"][0]) == {"step", "kind", "verdict", "at_s", "evidence"}
    assert set(summary["doses"][0]) == {
        "id", "reagent", "by", "at_s", "flask_c", "commanded_ml", "delivered_ml", "state",
    }  # fmt: skip
    assert summary["outcome"] == summary["state"] == "complete"
    assert summary["alarms"] == []


def test_the_chemistry_comes_out(summary):
    assert summary["product"]["layers"] == pytest.approx(2.0, abs=0.3)
    assert summary["product"]["qy"] >= 0.95
    (decision,) = summary["decisions"]
    assert (decision["kind"], decision["verdict"]) == ("saturated", "saturated")
    delivered = sum(dose["delivered_ml"] for dose in summary["doses"] if dose["reagent"] != "NC")
    assert 18.1 <= delivered <= 18.6


def test_text_and_json_are_the_same_run_whatever_the_hash_seed(twice, summary, labctl, runs):
    assert twice[1][0] == 0
    code, out, _ = labctl("show", "last", "--runs", runs / "b", "--format", "json")
    assert code == 0
    shown = json.loads(out)
    assert set(shown) == KEYS
    assert shown["digest"] == summary["digest"]
    assert shown["product"] == summary["product"]


def test_lines_tell_the_run_without_flooding(twice):
    _, out, err = twice[1]
    assert not err
    assert "\x1b" not in out
    lines = [line for line in out.splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)]
    assert 50 <= len(lines) <= 110
    assert re.search(r"(?m)^09:00:\d\d  load +load\.1 +operator confirms", out)
    assert "saturated: " in out


def test_the_closing_summary_says_what_matters(twice):
    out = twice[1][1]
    closing = out[out.index("Complete, as planned") :]
    assert re.search(r"stage2\.3: 1S saturated after \d+ min at 250 °C:", closing)
    assert "nm expected to\n" in closing or "nm expected to remain" in closing
    for said in ("layers of shell", "PL quantum yield", "pump_3", "SQ", "labctl show"):
        assert said in closing
    directory = re.search(r"(?m)^record +(.+)$", closing)[1]
    report = re.search(r"(?m)^report +(.+)$", closing)[1]
    with open_run(Path(directory)) as run:
        assert run.meta.outcome == "complete"
    text = Path(report).read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert text.lower().startswith("<!doctype html>")


def test_show_tells_the_same_as_the_closing_summary(twice, labctl, runs):
    out = twice[1][1]
    code, shown, _ = labctl("show", "last", "--runs", runs / "b")
    assert code == 0
    assert shown == out[out.index("Complete, as planned") :]


def test_report_is_written_where_asked(twice, labctl, runs, tmp_path):
    target = tmp_path / "out.html"
    code, out, err = labctl("report", "last", "--runs", runs / "b", "--output", target)
    assert (code, out.strip(), err) == (0, str(target), "")
    assert "</html>" in target.read_text(encoding="utf-8")


def test_runs_lists_them(twice, labctl, runs, summary):
    code, out, _ = labctl("runs", "--runs", runs / "a", "--format", "json")
    assert code == 0
    (row,) = json.loads(out)["runs"]
    assert (row["run"], row["outcome"]) == (summary["run"], "complete")
    assert "complete" in labctl("runs", LABCTL_RUNS=str(runs / "a"))[1]


def digest(labctl, recipe, runs, *more, **environment):
    code, out, _ = labctl(
        "dry-run", recipe, "--runs", runs, "--format", "json", *more, **environment
    )
    assert code == 0
    return json.loads(out)["digest"]


def test_another_seed_is_another_run(short, labctl, tmp_path):
    first = digest(labctl, short, tmp_path, "--seed", 1)
    assert digest(labctl, short, tmp_path, "--seed", 1, PYTHONHASHSEED="7") == first
    assert digest(labctl, short, tmp_path, "--seed", 2) != first


def assert_safe(directory):
    with open_run(directory) as run:
        assert run.meta.outcome == "safe"
        assert run.meta.state == "safe"
        assert run.steps[-1].state == "cancelled"
        done = [event.message for event in run.events if event.code == "safe_state"]
        for action in ("heater off", "syringe pumps stopped", "inert gas on"):
            assert action in done
        assert not [event for event in run.events if event.code == "safe_state.failed"]
        assert run.series("valves.n2")[0]


@pytest.mark.parametrize("speed", ["max", "60"])
def test_ctrl_c_ends_in_the_safe_state(speed, start, recipe, tmp_path):
    with start("dry-run", recipe, "--speed", speed, "--runs", tmp_path) as process:
        process.stdin.close()
        for line in process.stdout:
            if "leak test" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait(60) == 130
    assert "Traceback" not in out + err
    assert "interrupted by the operator" in out
    assert_safe(next(tmp_path.iterdir()))


def test_ctrl_c_with_json_still_prints_the_object(start, recipe, tmp_path):
    with start(
        "dry-run", recipe, "--speed", "60", "--runs", tmp_path, "--format", "json"
    ) as process:
        process.stdin.close()
        while not list(tmp_path.glob("*/run.sqlite")):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait(60) == 130
    assert not err
    assert json.loads(out)["outcome"] == "safe"


def test_asked_at_the_terminal(short, labctl, tmp_path):
    typed = "YK\ndone\n1\n"
    code, out, err = labctl("dry-run", short, "--ask", "--runs", tmp_path / "runs", typed=typed)
    assert (code, "Traceback" in err) == (0, False)
    assert "  - N2 bubbling\n" in err
    assert "  2  park  (default)" in err
    with open_run(next((tmp_path / "runs").iterdir())) as run:
        by = {question.text: question.by for question in run.questions}
        assert by["trap cold; N2 bubbling"] == "YK"
        assert [dose.delivered_ml for dose in run.doses] == [10.0]
    assert "Complete, as planned" in out


def test_the_end_of_the_input_refuses(short, labctl, tmp_path):
    code, out, err = labctl("dry-run", short, "--ask", "--runs", tmp_path / "runs", typed="")
    assert code == 3
    assert "a person refused: trap cold; N2 bubbling" in out
    assert "(no more input)" in err


def test_ctrl_c_at_a_prompt_ends_in_the_safe_state(start, short, tmp_path):
    with start("dry-run", short, "--ask", "--runs", tmp_path / "runs") as process:
        seen = ""
        while not seen.endswith("or `no`: "):
            seen += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "interrupted by the operator" in out
    assert_safe(next((tmp_path / "runs").iterdir()))


def test_a_reader_that_leaves_early_does_not_stop_the_run(start, short, tmp_path):
    with start("dry-run", short, "--runs", tmp_path / "runs") as process:
        process.stdin.close()
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(60) == 0
    assert not err
    with open_run(next((tmp_path / "runs").iterdir())) as run:
        assert run.meta.outcome == "complete"
