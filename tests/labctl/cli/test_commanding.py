"""What `ctl` sends, and what a run on instruments keeps of a change."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.cli import commanding, main
from labctl.clock import WallClock
from labctl.hardware import order
from labctl.hardware.conduct import Reception
from labctl.prepare import Request

RECIPE = "labctl: recipe/1\nname: first\n"


@pytest.fixture
def sent(monkeypatch):
    rows = []

    class Client:
        def __init__(self, directory):
            self.directory = directory

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def ask(self, verb, **words):
            rows.append((verb, words))
            return {"accepted": True}

    monkeypatch.setattr(commanding, "Client", Client)
    monkeypatch.setattr(commanding, "live_run", lambda runs, ref: Path(ref or "run"))
    return rows


def test_an_extra_step_is_sent_as_written_with_who_signs(sent):
    arguments = ["ctl", "fixup", "stir: 300 rpm", "--by", "YK", "--by", "MT", "--operator", "MT"]
    assert main(arguments) == 0
    assert sent == [("fixup", {"actor": "MT", "text": "stir: 300 rpm", "by": ["YK", "MT"]})]


def test_a_change_is_sent_with_the_whole_path_of_its_file(sent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["ctl", "change", "other.yaml", "--by", "YK", "--operator", "MT"]) == 0
    ((_, words),) = sent
    assert words["text"] == str(tmp_path / "other.yaml")


def placed(tmp_path):
    for name in ("recipe.yaml", "rig.yaml", "sheet.yaml"):
        (tmp_path / name).write_text(RECIPE, encoding="utf-8")
    directory = tmp_path / "run"
    request = Request(tmp_path / "recipe.yaml", settings={})
    order.place(directory, request, tmp_path / "rig.yaml", tmp_path / "sheet.yaml", {})
    return directory


@pytest.mark.parametrize(("reason", "named"), [("", "second"), ("a has begun", "first")])
async def test_a_run_that_is_cut_off_goes_by_the_change_that_was_accepted(tmp_path, reason, named):
    directory = placed(tmp_path)
    document = SimpleNamespace(text=RECIPE.replace("first", "second"))
    recipe = SimpleNamespace(document=document, files={"blocks/x.yaml": "steps: []\n"})
    reception = Reception(SimpleNamespace(), directory, WallClock())
    reception._run = SimpleNamespace(plan=SimpleNamespace(recipe=recipe))
    seen = []
    reception._commands = SimpleNamespace(obey=lambda command: seen.append(command) or reason)
    asked = {"verb": "change", "actor": "MT", "text": "/x.yaml", "by": ["YK"]}
    assert reception._handle(asked) == {"accepted": not reason, "reason": reason}
    assert seen[0].by == ("YK",)
    assert f"name: {named}" in order.placed(directory).recipe.read_text(encoding="utf-8")
    assert (directory / "blocks/x.yaml").exists() is not bool(reason)


async def test_who_signs_is_a_list_of_names(tmp_path):
    reception = Reception(SimpleNamespace(), placed(tmp_path), WallClock())
    reception._run = reception._commands = SimpleNamespace()
    answer = reception._handle({"verb": "fixup", "text": "stir: 300 rpm", "by": "YK"})
    assert answer == {"accepted": False, "reason": "by must be a list of names"}
