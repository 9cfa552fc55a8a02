import json
from pathlib import Path

import pytest

from labctl.cli import main
from labctl.registry import bundled_rig

BATCH = "inp_zns_surface_initiated.batch.yaml"
KEYS = {"rule", "severity", "file", "line", "column", "message"}
RAMP = "to: 200 C, rate"
ZN = "amount: 1.5 mmol, over: 3 min"


@pytest.fixture
def written(tmp_path, recipe):
    """Write a changed copy of the recipe, with the batch sheet beside it."""

    def write(data: bytes) -> Path:
        path = tmp_path / "changed.yaml"
        path.write_bytes(data)
        sheet = tmp_path / "changed.batch.yaml"
        sheet.write_bytes((recipe.parent / BATCH).read_bytes())
        return path

    return write


def findings_of(path, capsys, *more):
    code = main(["check", str(path), "--format", "json", *map(str, more)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    found = json.loads(captured.out)["findings"]
    assert all(set(finding) == KEYS for finding in found)
    return code, found


def place_of(text, new, pointed):
    at = text.index(new) + new.index(pointed)
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


@pytest.mark.parametrize(
    ("old", "new", "pointed", "rule", "said"),
    [
        pytest.param(RAMP, "to: 200, rate", "200", "units.bare_number", "'200 °C'", id="bare"),
        pytest.param(
            RAMP, "to: 200 mL, rate", "200", "units.dimension", "is a volume", id="dimension"
        ),
        pytest.param(
            RAMP, "to: 200 Celsius, rate", "200", "units.unknown_unit", "'Celsius'", id="unit"
        ),
        pytest.param(
            "keep_above: 190 C", "keep_abov: 190 C", "keep_abov", "schema.unknown_key",
            "did you mean 'keep_above'?", id="key",
        ),
        pytest.param(
            "- strip:", "- stripp:", "stripp", "names.unknown_verb", "did you mean 'strip'?",
            id="verb",
        ),
        pytest.param(
            "reagent: ZN, amount: 1.5", "reagent: Zn, amount: 1.5", "Zn", "names.unknown_reagent",
            "did you mean 'ZN'?", id="reagent",
        ),
        pytest.param(
            ZN, f"{ZN}, over: 4 min", "over: 4", "schema.duplicate_key", "given twice",
            id="duplicate",
        ),
        pytest.param(
            "min_plateau: 5 min, timeout: 90 min,", "min_plateau: 5 min,", "", "bounds.no_limit",
            "'timeout'", id="unbounded",
        ),
        pytest.param(
            "to: 320 C", "to: 350 C", "350", "limits.temperature",
            "the most allowed on schlenk-2 is 345 °C", id="too hot",
        ),
        pytest.param(
            "amount: 2.5 mmol", "amount: 25 mmol", "25", "doses.beyond_syringe", "10 mL syringe",
            id="beyond the syringe",
        ),
        pytest.param(
            ZN, "amount: 1.5 mmol, over: 2 s", "1.5", "doses.rate", "90.73 mL/min", id="too fast"
        ),
        pytest.param(
            ZN, "amount: 1.5 mmol, over: 30 d", "1.5", "doses.rate", "mL/min", id="too slow"
        ),
        pytest.param(
            "volume: 10 mL, by", "volume: 20 mL, by", "", "vessel.fill_high", "flask50 is 25 mL",
            id="overfull",
        ),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_where_it_is_wrong(
    old, new, pointed, rule, said, written, recipe, capsys
):
    text = recipe.read_text(encoding="utf-8")
    assert old in text
    changed = text.replace(old, new, 1)
    path = written(changed.encode())
    code, found = findings_of(path, capsys)
    assert code == 2
    (finding,) = [row for row in found if row["rule"] == rule]
    assert finding["severity"] == "error"
    assert finding["file"] == str(path)
    assert said in finding["message"]
    if pointed:
        assert (finding["line"], finding["column"]) == place_of(changed, new, pointed)
    else:
        assert finding["line"] > 1


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        pytest.param(b"", "file.empty", id="empty"),
        pytest.param(b"a: [1, 2\nb: }", "file.not_yaml", id="not YAML"),
        pytest.param(b"only words", "schema.mapping", id="words"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0\xff", "file.not_text", id="binary"),
        pytest.param(
            b"a0: &a0 x\n"
            + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10))
                       for n in range(1, 12)),
            "file.too_many_parts", id="alias bomb",
        ),
        pytest.param(
            b"a: &a [x, x]\nb: [*a, *a]\n" + b"# \n" * 3_400_000, "file.too_large", id="10 MB"
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_recipe_is_refused(data, rule, written, capsys):
    path = written(data)
    code, (finding,) = findings_of(path, capsys)
    assert code == 2
    assert finding["rule"] == rule
    assert finding["file"] == str(path)
    assert finding["line"] >= 1
    assert finding["column"] >= 1


def test_an_unknown_role_of_the_rig_is_refused(tmp_path, recipe, capsys):
    text = bundled_rig().read_text(encoding="utf-8")
    changed = text.replace("stirrer: stirrer, manifold", "stirer: stirrer, manifold")
    assert changed != text
    rig = tmp_path / "rig.yaml"
    rig.write_text(changed, encoding="utf-8")
    code, (finding,) = findings_of(recipe, capsys, "--rig", rig)
    assert code == 2
    assert finding["rule"] == "names.unknown_role"
    assert "did you mean 'stirrer'?" in finding["message"]
    assert (finding["file"], finding["line"], finding["column"]) == (
        str(rig),
        *place_of(changed, "stirer: stirrer, manifold", "stirer"),
    )


def test_a_missing_file_is_refused(tmp_path, capsys):
    code, (finding,) = findings_of(tmp_path / "none.yaml", capsys)
    assert (code, finding["rule"]) == (2, "file.unreadable")


def test_a_good_recipe_has_no_errors(recipe, capsys):
    assert findings_of(recipe, capsys) == (0, [])
    assert main(["check", str(recipe)]) == 0
    assert "fit to run on schlenk-2" in capsys.readouterr().out


def test_text_shows_the_line_with_a_caret_and_counts(written, recipe, labctl):
    text = recipe.read_text(encoding="utf-8")
    changed = text.replace(RAMP, "to: 200, rate", 1).replace("to: 320 C", "to: 320 mL", 1)
    path = written(changed.encode())
    code, out, err = labctl("check", path)
    assert code == 2
    assert not err
    lines = out.splitlines()
    line, column = place_of(changed, "to: 200, rate", "200")
    assert lines[0].startswith(f"{path}:{line}:{column}: error: ")
    assert lines[0].endswith("[units.bare_number]")
    assert lines[1].strip().startswith("- ramp: {to: 200, rate")
    assert lines[1][lines[2].index("^") :].startswith("200,")
    assert lines[-1] == "2 errors"


def test_a_dry_run_of_a_wrong_recipe_touches_nothing(written, recipe, tmp_path, labctl):
    text = recipe.read_text(encoding="utf-8").replace(RAMP, "to: 200, rate", 1)
    runs = tmp_path / "runs"
    code, out, err = labctl("dry-run", written(text.encode()), "--runs", runs, "--format", "json")
    assert code == 2
    assert [row["rule"] for row in json.loads(out)["findings"]] == ["units.bare_number"]
    assert not err
    assert not runs.exists()


@pytest.mark.parametrize("kind", ["recipe", "block", "rig", "batch"])
def test_the_schema_of_each_kind_of_file_is_printed(kind, capsys):
    assert main(["check", "--schema", kind]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_a_plan_in_json_adds_up(recipe, capsys):
    assert main(["plan", str(recipe), "--format", "json", "--set", "layers=4"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["settings"]["s_dose"] == "1.00 mmol"
    steps = {step["id"]: step for step in plan["steps"]}
    top = [step for step in plan["steps"] if not step["parent"]]
    assert plan["total_s"] == pytest.approx(sum(step["duration_s"] for step in top))
    # 4 mmol of zinc at 0.500 mol/L are 8 mL, by a pump that delivers 99.2 % of what it is told.
    reagents = {row["reagent"]: row for row in plan["reagents"]}
    assert reagents["ZN"]["doses_ml"] == pytest.approx(8.0 / 0.992)
    # Priming: 1.1 times the line's 302 µL, and the hanging drop of 5 µL.
    assert reagents["ZN"]["priming_ml"] == pytest.approx(0.3372)
    assert reagents["NC"]["doses_ml"] == pytest.approx(4.4)
    assert reagents["NC"]["drawn_ml"] is None
    assert plan["fullest"]["limit_ml"] == 25.0
    assert plan["fullest"]["cold_ml"] < plan["fullest"]["hot_ml"] < 25.0
    assert steps["stage2.3"]["timeout_s"] == 5400.0
    assert steps["hf"]["hands"] == "two people at the rig"
    assert [row["step"] for row in plan["people"]][:2] == ["load.1", "load.2"]
    assert {row["name"]: row["why"] for row in plan["assumed"]}["ramp"] == "no rates given"


def test_a_plan_in_text_says_when_a_person_is_needed(recipe, capsys):
    assert main(["plan", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert "Mon 03 Nov 2025, 09:00 to 13:43" in out
    for said in ("no rates given", "two people at the rig", "gluconate gel in date", "fullest at"):
        assert said in out
    assert max(map(len, out.splitlines())) <= 80
