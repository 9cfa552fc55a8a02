"""What is asked for -> a checked plan; needs no clock, no record and no numpy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from labctl.check import check
from labctl.errors import Finding, FindingsError, RefusedError, Severity
from labctl.plan import Plan, plan
from labctl.recipe.load import load_recipe
from labctl.registry import bundled_rig
from labctl.rig.batch import LoadedBatch, load_batch
from labctl.rig.load import load_rig
from labctl.source import Mark


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: the recipe with its choices, on which rig, with which batch sheet.

    `now`, `operator` and `sample` replace what the sheet says, where they are given.
    """

    recipe: Path
    rig: Path | None = None
    batch: Path | None = None
    settings: Mapping[str, str] | None = None
    now: dt.datetime | None = None
    operator: str = ""
    sample: str = ""


def prepare(request: Request) -> tuple[Plan, list[Finding]]:
    """Load, bind and check; return the plan and every finding that is no error.

    Raises:
        FindingsError: at least one error in recipe, rig or batch.
        UsageError: a setting that is not allowed.
    """
    recipe = load_recipe(request.recipe, request.settings)
    rig = load_rig(request.rig or bundled_rig())
    batch = _today(load_batch(request.batch or _beside(request.recipe)), request)
    planned = plan(recipe, rig, batch)
    findings = check(planned)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise FindingsError(findings)
    return planned, findings


def _today(batch: LoadedBatch, request: Request) -> LoadedBatch:
    given = {"date": request.now, "operator": request.operator, "sample": request.sample}
    known = {name: value for name, value in given.items() if value}
    return replace(batch, model=batch.model.model_copy(update=known)) if known else batch


def rows(findings: list[Finding] | tuple[Finding, ...]) -> list[dict[str, str | int]]:
    """Return findings as the public JSON object lists them."""
    return [
        {
            "rule": finding.rule,
            "severity": finding.severity.value,
            "file": finding.file,
            "line": finding.line,
            "column": finding.column,
            "message": finding.message,
        }
        for finding in findings
    ]


def refusal(error: RefusedError) -> dict[str, list[dict[str, str | int]]]:
    """Return the findings object that goes with exit 2."""
    found = error.findings if isinstance(error, FindingsError) else ()
    usage = Finding("usage", Severity.ERROR, "", 0, 0, str(error))
    return {"findings": rows(found or (usage,))}


def beside(recipe: Path) -> Path:
    """Return where the batch sheet beside a recipe is, or would be."""
    return recipe.with_name(f"{recipe.name.removesuffix('.yaml')}.batch.yaml")


def _beside(recipe: Path) -> Path:
    """Return the batch sheet that lies beside a recipe.

    Raises:
        FindingsError: there is none.
    """
    found = beside(recipe)
    if not found.exists():
        message = (
            f"has no batch sheet beside it ({found.name}); name today's with --batch, "
            f"or have one written: labctl plan {recipe.name} --write-batch {found.name}"
        )
        raise FindingsError([Mark(str(recipe)).finding("batch.missing", message)])
    return found
