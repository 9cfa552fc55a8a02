"""What the terminal hands to the process that conducts a run: copies of all its files.

They lie in the run's directory, so that the recipe that runs is the one that was agreed to, however
the originals change meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from labctl.clock import local_now
from labctl.errors import UsageError
from labctl.prepare import Request

FILE_NAME: Final = "order.json"
RECIPE: Final = "recipe.yaml"
RIG: Final = "rig.yaml"
SHEET: Final = "sheet.yaml"


def place(
    directory: Path,
    request: Request,
    rig: Path,
    batch: Path,
    used: Mapping[str, str],
    *,
    capture: bool = False,
    preflight: bool = False,
    ends: bool = False,
) -> None:
    """Write an order into a run's directory, which is made.

    `used` are the texts of the files that the recipe uses, by their names relative to it; with
    `capture` all that crosses the ports is kept; `preflight` is the preflight and nothing else,
    `ends` has none: the rig is shut down.

    Raises:
        UsageError: the directory cannot be made.
    """
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        why = f"{directory} cannot be made: {error.strerror}; nothing was touched"
        raise UsageError(why) from None
    for name, text in used.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    for source, name in ((request.recipe, RECIPE), (rig, RIG), (batch, SHEET)):
        (directory / name).write_bytes(source.read_bytes())
    words = {
        "name": request.recipe.name,
        "settings": dict(request.settings or {}),
        "operator": request.operator,
        "sample": request.sample,
        "capture": capture,
        "preflight": preflight,
        "ends": ends,
    }
    (directory / FILE_NAME).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")


def replace_recipe(directory: Path, text: str, used: Mapping[str, str]) -> None:
    """Let an order be for another recipe and the files that it uses: what comes was changed."""
    for name, content in {**used, RECIPE: text}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content, encoding="utf-8")


def again(directory: Path, operator: str) -> None:
    """Order that a run which was cut off goes on."""
    words = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
    words |= {"operator": operator, "resume": True}
    (directory / FILE_NAME).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")


def resumes(directory: Path) -> bool:
    """Say whether the order is to go on with a run that was cut off."""
    words = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
    return bool(words.get("resume"))


def captures(directory: Path) -> bool:
    """Say whether the order is to keep what crosses the ports."""
    words = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
    return bool(words.get("capture"))


def preflights(directory: Path) -> Literal["first", "alone", "none"]:
    """Say whether the order begins with a preflight, is nothing else, or has none."""
    words = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
    if words.get("preflight"):
        return "alone"
    return "none" if words.get("ends") else "first"


def placed(directory: Path) -> Request:
    """Read an order back; it is to be carried out now.

    Dates are judged when a run begins. One that was cut off goes on whatever has passed meanwhile:
    what is in the flask does not wait for a calibration.
    """
    words = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
    request = Request(directory / RECIPE, directory / RIG, directory / SHEET, words["settings"])
    # A preflight names what is overdue itself; a shutdown waits for no calibration.
    judged = not any(words.get(kind) for kind in ("resume", "preflight", "ends"))
    today = replace(request, now=local_now(), hardware=judged)
    return replace(today, operator=words["operator"], sample=words["sample"])
