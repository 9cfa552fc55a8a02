"""A plan as text and as JSON: timeline, volumes, people, and what was assumed."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict

from labctl.cli import findings as found_text
from labctl.cli.materials import Material, fullest, materials, needed
from labctl.cli.text import Paint, clipped, columns, rounded, table, wrapped
from labctl.errors import Finding
from labctl.plan import Plan, PlannedStep
from labctl.prepare import rows

Json = dict[str, object]


def as_json(plan: Plan, findings: Sequence[Finding]) -> Json:
    """Return a plan as the object that `plan --format json` prints; times in s, volumes in mL."""
    begins = plan.batch.model.date
    return {
        "recipe": plan.recipe.head.name,
        "file": plan.recipe.document.file,
        "rig": plan.rig.model.name,
        "vessel": plan.batch.model.vessel,
        "sample": plan.batch.model.sample,
        "settings": dict(plan.recipe.settings),
        "starts": begins.isoformat(),
        "ends": (begins + dt.timedelta(seconds=plan.total_s)).isoformat(),
        "total_s": plan.total_s,
        "steps": [_step(planned) for planned in plan.steps],
        "reagents": [{**asdict(row), "needed_ml": row.needed_ml} for row in materials(plan)],
        "people": [{**asdict(row), "at": row.at.isoformat()} for row in needed(plan)],
        "assumed": [
            {"name": name, "value": plan.recipe.settings[name], "why": row.why}
            for name, row in plan.recipe.head.assumed.items()
        ],
        "fullest": asdict(fullest(plan)),
        "findings": rows(list(findings)),
    }


def as_text(plan: Plan, findings: Sequence[Finding]) -> list[str]:
    """Return a plan as lines for a person."""
    paint = Paint(sys.stdout)
    parts = [
        _head(plan, paint),
        [paint("Timeline", "bold"), *_timeline(plan, paint)],
        [paint("Prepare", "bold"), *_prepare(plan)],
        [paint("Volumes in mL", "bold"), *_volumes(plan)],
        [paint("A person is needed", "bold"), *_people(plan)],
    ]
    if plan.recipe.head.assumed:
        parts.append([paint("Assumed, since the source does not say", "bold"), *_assumed(plan)])
    if findings:
        parts.append([found_text.listed(findings, sys.stdout)])
    return [line for part in parts for line in (*part, "")][:-1]


def _step(planned: PlannedStep) -> Json:
    estimate = planned.estimate
    known = math.isfinite(estimate.duration_s)
    return {
        "id": planned.step.id,
        "verb": planned.step.verb,
        "stage": planned.stage,
        "parent": planned.parent,
        "summary": planned.step.summary(),
        "start_s": planned.start_s,
        "duration_s": estimate.duration_s if known else None,
        "timeout_s": estimate.timeout_s if 0 < estimate.timeout_s < math.inf else None,
        "hands": estimate.hands,
        "flask_ml": planned.after.volume_ml(),
        "flask_c": planned.after.temperature_c,
    }


def _head(plan: Plan, paint: Paint) -> list[str]:
    batch = plan.batch.model
    ends = batch.date + dt.timedelta(seconds=plan.total_s)
    chosen = [
        f"{name} {value}"
        for name, value in plan.recipe.settings.items()
        if name not in plan.recipe.head.assumed
    ]
    lines = [
        paint(plan.recipe.head.name, "bold"),
        f"sample {batch.sample} in {batch.vessel} on {plan.rig.model.name}",
        f"{batch.date:%a %d %b %Y, %H:%M} to {_until(batch.date, ends)}, "
        f"about {rounded(plan.total_s)}",
    ]
    return [*lines, ", ".join(chosen)] if chosen else lines


def _timeline(plan: Plan, paint: Paint) -> list[str]:
    room = max(30, columns() - 41)
    cells = []
    for planned in plan.steps:
        at = plan.batch.model.date + dt.timedelta(seconds=planned.start_s)
        timeout_s = planned.estimate.timeout_s
        cells.append(
            (
                "" if planned.parent else f"{at:%H:%M}",
                rounded(planned.estimate.duration_s),
                rounded(timeout_s) if 0 < timeout_s < math.inf else "",
                planned.step.id,
                clipped("  " * bool(planned.parent) + planned.step.summary(), room),
            )
        )
    head, *lines = table(cells, head=("at", "takes", "at most", "step", ""), right=(1, 2))
    told = [paint(f"  {head}", "dim")]
    stage = ""
    for planned, line in zip(plan.steps, lines, strict=True):
        if planned.stage != stage:
            stage = planned.stage
            told.append(paint(stage, "cyan"))
        told.append(f"  {line}")
    return told


def _prepare(plan: Plan) -> list[str]:
    return [f"  {line}" for line in wrapped(map(_prepared, materials(plan)))]


def _prepared(row: Material) -> str:
    if row.drawn_ml is None:
        what = f"{row.reagent}: {row.doses_ml:.3f} mL by hand"
    else:
        what = f"{row.reagent}: {row.drawn_ml:.3f} mL drawn into {row.by}"
    strength = _strength(row.concentration_mol_l)
    said = (what, f"{row.composition}{strength}", row.lot and f"lot {row.lot}", *row.mind)
    return ", ".join(filter(None, said))


def _strength(concentration_mol_l: float | None) -> str:
    if concentration_mol_l is None:
        return ""
    if concentration_mol_l < 1e-3:
        return f" {concentration_mol_l * 1e6:.3g} µmol/L"
    return f" {concentration_mol_l:.3g} mol/L"


def _volumes(plan: Plan) -> list[str]:
    head = ("", "by", "drawn", "doses", "priming", "left")
    lines = table(map(_volume, materials(plan)), head=head, right=range(2, 6))
    most = fullest(plan)
    limit = "" if most.limit_ml is None else f"; {plan.batch.model.vessel} takes {most.limit_ml:g}"
    full = (
        f"fullest at {most.step}: {most.hot_ml:.1f} mL at {most.at_c:.0f} °C "
        f"({most.cold_ml:.1f} mL cold){limit}"
    )
    return [f"  {line}" for line in (*lines, full)]


def _volume(row: Material) -> tuple[str, ...]:
    drawn = row.drawn_ml
    return (
        row.reagent,
        row.by,
        "" if drawn is None else f"{drawn:.3f}",
        f"{row.doses_ml:.3f}",
        f"{row.priming_ml:.3f}" if row.priming_ml else "",
        "" if drawn is None else f"{drawn - row.needed_ml:.3f}",
    )


def _people(plan: Plan) -> list[str]:
    told = []
    for row in needed(plan):
        what = f"{row.what}: {', '.join(row.items)}" if row.items else row.what
        told.append(f"{row.at:%H:%M}  {row.step}: {what}")
    return [f"  {line}" for line in wrapped(told)]


def _assumed(plan: Plan) -> list[str]:
    settings, assumed = plan.recipe.settings, plan.recipe.head.assumed
    return [f"  {line}" for line in table((n, settings[n], row.why) for n, row in assumed.items())]


def _until(begins: dt.datetime, ends: dt.datetime) -> str:
    return f"{ends:%H:%M}" if ends.date() == begins.date() else f"{ends:%a %H:%M}"
