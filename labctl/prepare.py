"""What is asked for -> a checked plan; needs no clock, no record and no numpy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labctl.check import check
from labctl.errors import Finding, FindingsError, RefusedError, Severity, UsageError
from labctl.plan import Plan, plan
from labctl.recipe.load import load_recipe, open_recipe
from labctl.recipe.model import Recipe
from labctl.recipe.series import Member, merged
from labctl.registry import bundled_rig
from labctl.rig.batch import LoadedBatch, load_batch
from labctl.rig.load import load_rig
from labctl.rig.model import LoadedRig
from labctl.source import Mark


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: the recipe with its choices, on which rig, with which batch sheet.

    `now`, `operator` and `sample` replace what the sheet says, where they are given. `hardware`
    says that it is for real instruments, where an overdue calibration or cut-out test refuses.
    """

    recipe: Path
    rig: Path | None = None
    batch: Path | None = None
    settings: Mapping[str, str] | None = None
    now: dt.datetime | None = None
    operator: str = ""
    sample: str = ""
    hardware: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was asked for, checked: one plan, or one for each member of a series.

    `members` is empty outside of a series. `findings` are none of them errors.
    """

    plans: tuple[Plan, ...]
    findings: tuple[Finding, ...]
    members: tuple[Member, ...] = ()


def prepare(request: Request) -> tuple[Plan, list[Finding]]:
    """Load, bind and check one run; return the plan and every finding that is no error.

    Of a series it is the run that the recipe's defaults and the settings make.

    Raises:
        FindingsError: at least one error in recipe, rig or batch.
        UsageError: a setting that is not allowed.
    """
    recipe = load_recipe(request.recipe, request.settings)
    return _planned(recipe, *_bench(request), hardware=request.hardware)


def prepare_one(request: Request) -> tuple[Plan, list[Finding]]:
    """Load, bind and check the one run that is asked for; never one of several by default.

    Raises:
        FindingsError: at least one error in recipe, rig or batch.
        UsageError: a setting that is not allowed, or a series of which none is chosen.
    """
    members = open_recipe(request.recipe).members(request.settings or {})
    if members:
        one = " ".join(f"--set '{name}={value}'" for name, value in members[0].values.items())
        raise UsageError(f"this is a series of {len(members)} runs; choose one, such as {one}")
    return prepare(request)


def prepare_all(request: Request) -> Prepared:
    """Load, bind and check; all members, where the recipe has a series that is not set.

    Raises:
        FindingsError: at least one error in recipe, rig or batch, in any member.
        UsageError: a setting that is not allowed.
    """
    settings = request.settings or {}
    source = open_recipe(request.recipe)
    members = source.members(settings)
    if not members:
        planned, findings = _planned(
            source.recipe(settings), *_bench(request), hardware=request.hardware
        )
        return Prepared((planned,), tuple(findings))
    rig, batch = _bench(request)
    plans: list[Plan] = []
    found: list[tuple[Member, Sequence[Finding]]] = []
    for member in members:
        try:
            recipe = source.recipe({**settings, **member.values})
            planned, findings = _planned(recipe, rig, batch, hardware=request.hardware)
        except FindingsError as error:
            found.append((member, error.findings))
            continue
        plans.append(planned)
        found.append((member, findings))
    told = merged(found)
    if any(finding.severity is Severity.ERROR for finding in told):
        raise FindingsError(told)
    return Prepared(tuple(plans), tuple(told), members)


def _bench(request: Request) -> tuple[LoadedRig, LoadedBatch]:
    rig = load_rig(request.rig or bundled_rig())
    return rig, _today(load_batch(request.batch or _beside(request.recipe)), request)


def _planned(
    recipe: Recipe, rig: LoadedRig, batch: LoadedBatch, *, hardware: bool
) -> tuple[Plan, list[Finding]]:
    planned = plan(recipe, rig, batch)
    findings = check(planned, hardware=hardware)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise FindingsError(findings)
    return planned, findings


def _today(batch: LoadedBatch, request: Request) -> LoadedBatch:
    given = {"date": request.now, "operator": request.operator, "sample": request.sample}
    known = {name: value for name, value in given.items() if value}
    return replace(batch, model=batch.model.model_copy(update=known)) if known else batch


def rows(findings: Sequence[Finding]) -> list[dict[str, str | int]]:
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
