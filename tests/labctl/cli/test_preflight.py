"""`labctl preflight` and `labctl shutdown` as a person types them, rehearsed on simulated rigs."""

import re

from tests.labctl.cli.conftest import BATCH, RECIPE, ROOT

RIG = ROOT / "rigs/schlenk.yaml"


def test_a_preflight_shows_what_who_and_limit_first_then_what_was_found(labctl, tmp_path):
    code, out, err = labctl("preflight", RIG, "--simulated", "--runs", tmp_path)
    assert (code, err) == (0, "")
    listed, found = out.split("\n\n")
    assert "before anything heats" in listed
    assert re.search(r"rate of rise, .*below 0\.027 mbar/min|below 0\.02666 mbar/min", listed)
    assert "you are asked" in listed
    assert "labctl measures" in listed
    assert found.count(": ok") == len(listed.splitlines()) - 1


def test_with_a_recipe_its_gases_are_asked_about(labctl, tmp_path):
    words = ("preflight", RIG, RECIPE, "--batch", BATCH, "--simulated", "--runs", tmp_path)
    code, out, _ = labctl(*words)
    assert code == 0
    assert "the scrubber holds KOH, not spent, for HF" in out


def test_nothing_is_touched_unless_somebody_agrees(labctl, tmp_path):
    code, out, err = labctl("preflight", RIG, "--runs", tmp_path, typed="no\n")
    assert code == 2
    assert "nobody agreed; nothing was touched" in err
    assert "evacuated; nothing heats" in out
    assert not list(tmp_path.iterdir())


def test_a_recipe_needs_its_sheet_and_a_rig_its_limits(labctl, tmp_path):
    code, _, err = labctl("preflight", RIG, RECIPE)
    assert code == 2
    assert "--batch" in err
    bare = tmp_path / "rig.yaml"
    bare.write_text(re.sub(r"(?m)^preflight: .*\n", "", RIG.read_text()))
    code, _, err = labctl("preflight", bare, "--simulated")
    assert code == 2
    assert "no `preflight` in its file" in err


def test_a_shutdown_knows_from_the_record_what_to_flush_and_what_is_left(labctl, tmp_path):
    recipe = ROOT / "recipes/inp_zn_200c.yaml"
    assert labctl("dry-run", recipe, "--runs", tmp_path)[0] == 0
    code, out, err = labctl("shutdown", RIG, "--simulated", "--runs", tmp_path)
    assert (code, err) == (0, "")
    assert "ZN: 3 times 1.5 mL toluene at 60 C into waste" in out
    assert "syringe of pump_1" in out
    assert "the trap warmed, vented" in out


def test_a_shutdown_after_no_run_is_refused(labctl, tmp_path):
    assert labctl("shutdown", RIG, "--simulated", "--runs", tmp_path)[0] == 2
