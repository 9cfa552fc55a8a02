"""A plan as text and as JSON: timeline, volumes, people, and what was assumed."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from labctl.cli import findings as found_text
from labctl.cli.picture import picture
from labctl.cli.text import Paint, clipped, columns, rounded, table, wrapped
from labctl.errors import Finding
from labctl.outlook.course import Course
from labctl.outlook.materials import Material, Needed, fullest, materials, needed, taken
from labctl.plan import Plan, PlannedStep
from labctl.prepare import rows

Json = dict[str, object]


def as_json(plan: Plan, course: Course, findings: Sequence[Finding]) -> Json:
    """Return a plan as the object that `plan --format json` prints; s, mL, g."""
    begins = plan.batch.model.date
    return {
        "recipe": plan.recipe.head.name,
        "file": plan.recipe.document.file,
        "rig": plan.rig.model.name,
        "vessel": plan.batch.model.vessel,
        "sample": plan.batch.model.sample,
        "settings": dict(plan.recipe.settings),
        "starts": begins.isoformat(),
        "ends": (begins + dt.timedelta(seconds=course.end_s)).isoformat(),
        "total_s": course.end_s,
        "simulated": course.simulated,
        "hands_s": course.hands_s,
        "stages": [asdict(stage) for stage in course.stages],
        "steps": [_step(planned, course) for planned in plan.steps],
        "reagents": [
            {**asdict(row), "needed_ml": row.needed_ml, "left_ml": row.left_ml}
            for row in materials(plan)
        ],
        "people": [{**asdict(row), "at": row.at.isoformat()} for row in _timed(plan, course)],
        "assumed": [
            {"name": name, "value": plan.recipe.settings[name], "why": row.why}
            for name, row in plan.recipe.head.assumed.items()
        ],
        "fullest": asdict(fullest(plan)),
        "findings": rows(list(findings)),
    }


def as_text(plan: Plan, course: Course, findings: Sequence[Finding]) -> list[str]:
    """Return a plan as lines for a person."""
    paint = Paint(sys.stdout)
    parts = [
        _head(plan, course, paint),
        [paint("Timeline", "bold"), *picture(course, plan.batch.model.date, paint)],
        [paint("Steps", "bold"), *_timeline(plan, course, paint)],
        [paint("Prepare", "bold"), *_prepare(plan)],
        [paint("Volumes in mL", "bold"), *_volumes(plan)],
        [paint("A person is needed", "bold"), *_people(plan, course)],
    ]
    if failing := _failing(plan):
        parts.append([paint("If one of these fails", "bold"), *failing])
    if plan.recipe.head.assumed:
        parts.append([paint("Assumed, since the source does not say", "bold"), *_assumed(plan)])
    if findings:
        parts.append([found_text.listed(findings, sys.stdout)])
    return [line for part in parts for line in (*part, "")][:-1]


def _step(planned: PlannedStep, course: Course) -> Json:
    estimate = planned.estimate
    start_s, end_s = _span(planned, course) or (None, None)
    took_s = None if start_s is None or end_s is None else end_s - start_s
    known = math.isfinite(estimate.duration_s)
    return {
        "id": planned.step.id,
        "verb": planned.step.verb,
        "stage": planned.stage,
        "parent": planned.parent,
        "summary": planned.step.summary(),
        "on_fail": planned.step.said_on_fail(),
        "start_s": start_s,
        "duration_s": took_s if known or course.simulated else None,
        "estimated_s": estimate.duration_s if known else None,
        "timeout_s": estimate.timeout_s if 0 < estimate.timeout_s < math.inf else None,
        "hands": estimate.hands,
        "flask_ml": planned.after.volume_ml(),
        "flask_c": planned.after.temperature_c,
    }


def _span(planned: PlannedStep, course: Course) -> tuple[float, float] | None:
    """Return start and end of a step in s; a step inside another has its own only if simulated."""
    found = course.spans.get(planned.step.id)
    if found or course.simulated:
        return found
    duration_s = planned.estimate.duration_s
    length_s = duration_s if math.isfinite(duration_s) else 0.0
    return planned.start_s, planned.start_s + length_s


def _timed(plan: Plan, course: Course) -> list[Needed]:
    """Return when a person is needed on a course's clock; never, in a step it did not come to."""
    begins = plan.batch.model.date
    return [
        replace(row, start_s=start_s, at=begins + dt.timedelta(seconds=start_s))
        for row in needed(plan)
        if row.step in course.spans
        for start_s, _ in [course.spans[row.step]]
    ]


def _head(plan: Plan, course: Course, paint: Paint) -> list[str]:
    batch = plan.batch.model
    ends = batch.date + dt.timedelta(seconds=course.end_s)
    chosen = [
        f"{name} {value}"
        for name, value in plan.recipe.settings.items()
        if name not in plan.recipe.head.assumed
    ]
    lines = [
        paint(plan.recipe.head.name, "bold"),
        f"sample {batch.sample} in {batch.vessel} on {plan.rig.model.name}",
        f"{batch.date:%a %d %b %Y, %H:%M} to {_until(batch.date, ends)}, "
        f"about {rounded(course.end_s)}{' as simulated' if course.simulated else ''}",
    ]
    if course.simulated:
        lines.append(f"the simulated person takes no time: add about {rounded(course.hands_s)}")
    return [*lines, ", ".join(chosen)] if chosen else lines


def _timeline(plan: Plan, course: Course, paint: Paint) -> list[str]:
    """List the steps; where they were simulated, what was estimated stands beside it."""
    told = ("takes", "estimated") if course.simulated else ("takes",)
    room = max(24, columns() - (52 if course.simulated else 41))
    cells = [_timed_step(plan, course, planned, room) for planned in plan.steps]
    right = range(1, len(told) + 2)
    head, *lines = table(cells, head=("at", *told, "at most", "step", ""), right=right)
    listed = [paint(f"  {head}", "dim")]
    stage = ""
    for planned, line in zip(plan.steps, lines, strict=True):
        if planned.stage != stage:
            stage = planned.stage
            listed.append(paint(stage, "cyan"))
        listed.append(f"  {line}")
    return listed


def _timed_step(plan: Plan, course: Course, planned: PlannedStep, room: int) -> tuple[str, ...]:
    span, estimate = _span(planned, course), planned.estimate
    at = took = ""
    if span is not None:
        started = plan.batch.model.date + dt.timedelta(seconds=span[0])
        at = "" if planned.parent else f"{started:%H:%M}"
        took = rounded(span[1] - span[0])
    return (
        at,
        took,
        *([_length(estimate.duration_s)] if course.simulated else []),
        _length(estimate.timeout_s),
        planned.step.id,
        clipped("  " * bool(planned.parent) + planned.step.summary(), room),
    )


def _failing(plan: Plan) -> list[str]:
    """List the steps that say themselves what is done when they fail."""
    said = [(planned.step, planned.step.said_on_fail()) for planned in plan.steps]
    lines = (f"{step.id} ({step.summary()}): {how}" for step, how in said if how)
    return [f"  {line}" for line in wrapped(lines)]


def _length(seconds: float) -> str:
    """Write a duration; nothing for one that is zero or has no end."""
    return rounded(seconds) if 0 < seconds < math.inf else ""


def _prepare(plan: Plan) -> list[str]:
    return [f"  {line}" for line in wrapped(map(_prepared, materials(plan)))]


def _prepared(row: Material) -> str:
    if row.drawn_ml is None:
        what = f"{row.reagent}: {taken(row)} by hand"
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


def _people(plan: Plan, course: Course) -> list[str]:
    told = []
    for row in _timed(plan, course):
        what = f"{row.what}: {', '.join(row.items)}" if row.items else row.what
        told.append(f"{row.at:%H:%M}  {row.step}: {what}")
    return [f"  {line}" for line in wrapped(told)]


def _assumed(plan: Plan) -> list[str]:
    settings, assumed = plan.recipe.settings, plan.recipe.head.assumed
    return [f"  {line}" for line in table((n, settings[n], row.why) for n, row in assumed.items())]


def _until(begins: dt.datetime, ends: dt.datetime) -> str:
    return f"{ends:%H:%M}" if ends.date() == begins.date() else f"{ends:%a %H:%M}"
