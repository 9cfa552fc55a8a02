import json
import logging
import subprocess
import sys

import pytest

from labctl.cli import guard, main

HEAVY = {
    "pydantic", "numpy", "asyncio", "scipy", "yaml", "argparse", "sqlite3", "serial",
    "labctl.errors",
}  # fmt: skip


def loaded_by(*arguments):
    code = (
        "import sys, json, io, contextlib\n"
        "from labctl.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({list(arguments)!r})\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    out = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return set(json.loads(out.stdout))


def test_help_loads_nothing_heavy():
    assert not loaded_by("--help") & HEAVY


def test_check_needs_neither_numpy_nor_an_event_loop(recipe):
    loaded = loaded_by("check", str(recipe))
    assert "labctl.check" in loaded
    assert not loaded & {"numpy", "scipy", "asyncio", "sqlite3", "transitions"}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_is_the_answer_to_nothing(arguments, capsys):
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "usage: labctl COMMAND" in out
    for command in ("check", "plan", "dry-run", "show", "report", "simulate"):
        assert f"\n  {command}" in out
    assert max(map(len, out.splitlines())) <= 80


def test_version(capsys):
    assert main(["--version"]) == 0
    name, version = capsys.readouterr().out.split()
    assert name == "labctl"
    assert version[0].isdigit()


def test_an_unknown_command_is_refused_with_the_nearest_one(capsys):
    assert main(["dry-rnu"]) == 2
    captured = capsys.readouterr()
    assert "did you mean 'dry-run'?" in captured.err
    assert not captured.out


@pytest.mark.parametrize("command", ["check", "plan", "dry-run", "show", "report", "simulate"])
def test_every_command_tells_its_options(command, labctl):
    code, out, err = labctl(command, "--help")
    assert code == 0
    assert out.startswith(f"usage: labctl {command}")
    assert not err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan"], "RECIPE"),
        (["plan", "r.yaml", "--bath", "x"], "did you mean '--batch'?"),
        (["plan", "r.yaml", "--set", "layers"], "write --set NAME=VALUE"),
        (["plan", "r.yaml", "--set", "a=1", "--set", "a=2"], "given twice"),
        (["dry-run", "r.yaml", "--seed", "one"], "--seed"),
        (["dry-run", "r.yaml", "--speed", "0"], "--speed is '0'"),
        (["dry-run", "r.yaml", "--speed", "nan"], "--speed is 'nan'"),
        (["check"], "labctl check RECIPE"),
        (["simulate"], "--kind"),
        (["simulate", "--kind", "ika_rtc"], "did you mean 'ika_rct'?"),
        (["show", "last", "--runs", "nowhere"], "no runs in nowhere"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, said, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert not captured.out


def test_a_refusal_in_json_is_the_findings_object(capsys):
    assert main(["plan", "r.yaml", "--set", "layers", "--format", "json"]) == 2
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["rule"] == "usage"
    assert finding["severity"] == "error"
    assert "NAME=VALUE" in finding["message"]


def test_a_fault_of_our_own_is_a_sentence_and_a_file(monkeypatch, capsys, tmp_path):
    def broken(_):
        raise ZeroDivisionError("seven")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("labctl.cli.instruments.catalog", broken)
    assert main(["devices"]) == 1
    err = capsys.readouterr().err
    assert "a fault in labctl itself: ZeroDivisionError: seven" in err
    assert "Traceback" not in err
    (file,) = tmp_path.iterdir()
    assert str(file) in err
    assert "in broken" in file.read_text(encoding="utf-8")


def test_what_is_logged_is_a_sentence_too():
    error = ZeroDivisionError("100 % seven")
    row = logging.LogRecord("x", 40, "f", 1, "%s dropped", ("it",), (type(error), error, None))
    assert guard._without_traceback(row)
    assert logging.Formatter("%(message)s").format(row) == (
        "it dropped: ZeroDivisionError('100 % seven')"
    )


def test_a_reader_that_leaves_early_is_no_error(start, recipe):
    with start("plan", recipe) as process:
        process.stdout.close()
        err = process.stderr.read()
        process.stdin.close()
        assert process.wait(60) == 0
    assert not err


def test_devices_lists_what_rig_files_may_name(capsys):
    assert main(["devices", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"kind", "maker", "model", "roles", "quality"} == set(rows[0])
    kinds = {row["kind"]: row for row in rows}
    assert kinds["ika_rct"]["roles"] == ["stirrer"]
    proven = {row["rule"]: row for row in kinds["ika_rct"]["quality"]}
    assert proven["watchdog"]["state"] == "done"
    assert proven["hardware"] == {
        "rule": "hardware", "state": "todo", "why": "nobody has reported one",
    }  # fmt: skip


def test_devices_tells_of_one_kind_what_is_proven_and_why_not(capsys):
    assert main(["devices", "mks_901p"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("mks_901p: MKS 901P, 9600 8N1, plays flask_gauge, line_gauge")
    assert "PyMeasure drives the 974B" in out
    assert main(["devices"]) == 0
    assert "10 of 12" in capsys.readouterr().out
    assert main(["devices", "mks_901"]) == 2
    assert "did you mean 'mks_901p'" in capsys.readouterr().err
