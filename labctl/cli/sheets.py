"""`plan --write-batch`: a batch sheet to fill in, copied from the last one where there is one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from labctl.cli.text import wrapped
from labctl.clock import today
from labctl.errors import LabctlError, UsageError
from labctl.outlook.sheet import empty_fields, template
from labctl.prepare import Request, beside
from labctl.recipe.load import open_recipe
from labctl.registry import bundled_rig
from labctl.rig.batch import Batch, load_batch
from labctl.rig.load import load_rig
from labctl.source import compose, validate


def write_sheet(asked: Request, path: Path, like: Path | None, runs: Path) -> list[str]:
    """Write a sheet to fill in; return what to tell: where it is, what it follows, what is empty.

    Raises:
        UsageError: a file is there already, or the place cannot be written.
        FindingsError: recipe, rig or the older sheet are wrong.
    """
    if path.exists():
        raise UsageError(f"{path} is there already; it is not overwritten, choose another name")
    source, settings = open_recipe(asked.recipe), asked.settings or {}
    recipe = source.recipe(settings)
    members = [source.recipe({**settings, **m.values}) for m in source.members(settings)]
    rig = load_rig(asked.rig or bundled_rig())
    older, origin = _older(asked, like, runs, recipe.head.name)
    text = template(recipe, rig, older, today(), members)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    enter = f"To enter: {', '.join(empty_fields(compose(text).tree))}."
    return [f"{path}, {origin}", *wrapped([enter])]


def _older(
    asked: Request, like: Path | None, runs: Path, recipe_name: str
) -> tuple[Batch | None, str]:
    """Find the sheet to copy from: the one named, the last run's, or the one beside the recipe."""
    if like is not None:
        return load_batch(like).model, f"like {like}"
    for run_id, text in _sheets_of_runs(runs, recipe_name):
        with contextlib.suppress(LabctlError):
            return validate(Batch, compose(text), ()), f"like that of run {run_id}"
    lying = asked.batch or beside(asked.recipe)
    if lying.exists():
        return load_batch(lying).model, f"like {lying}"
    return None, "from recipe and rig alone"


def _sheets_of_runs(runs: Path, recipe_name: str) -> Iterator[tuple[str, str]]:
    """Yield the sheets of a recipe's runs, newest first, but for those that cannot be read."""
    if not runs.is_dir():
        return
    from labctl.record import open_run
    from labctl.record.schema import FILE_NAME

    for file in sorted(runs.glob(f"*/{FILE_NAME}"), key=lambda f: f.parent.name, reverse=True):
        with contextlib.suppress(LabctlError), open_run(file) as run:
            if run.meta.recipe_name == recipe_name:
                yield run.meta.id, run.meta.batch_text
