"""A series on the screen and as JSON: its runs side by side, and which of them says the worst."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from labctl.cli import findings as found_text
from labctl.cli.planned import Json, as_json
from labctl.cli.text import Paint, rounded, table
from labctl.errors import ExitCode
from labctl.outlook.course import Course
from labctl.outlook.materials import fullest, needed
from labctl.outlook.series import Total, totals
from labctl.plan import Plan
from labctl.prepare import Prepared, rows
from labctl.recipe.series import Member
from labctl.record.rows import Json as Plain
from labctl.session import Result

_WORSE = (ExitCode.COMPLETE, ExitCode.DEVIATIONS, ExitCode.SAFE, ExitCode.INTERRUPTED)


def recorded(series: str, member: Member) -> dict[str, Plain]:
    """Return what a run's record says of the series it belongs to."""
    return {
        "series": series,
        "member": member.number,
        "of": member.of,
        "values": dict(member.values),
    }


def worst(results: Sequence[Result]) -> Result:
    """Return the run that ended worst, the last of those."""
    return max(reversed(results), key=lambda result: _WORSE.index(result.exit_code))


def ran_json(series: str, prepared: Prepared, results: Sequence[Result]) -> dict[str, Plain]:
    """Return the one object that `dry-run` prints for a series.

    It is the object of the run that ended worst, the last of those, with two keys more: `series`,
    of all runs together, and `runs`, the object of every run in order.
    """
    digests = "".join(str(result.summary["digest"]) for result in results)
    whole: dict[str, Plain] = {
        "id": series,
        "names": _names(prepared),
        "members": len(prepared.members),
        "outcome": worst(results).summary["outcome"],
        "simulated_s": _sum(results, "simulated_s"),
        "wall_s": _sum(results, "wall_s"),
        "digest": hashlib.sha256(digests.encode()).hexdigest(),
    }
    every = [dict(result.summary) for result in results]
    return {**worst(results).summary, "series": whole, "runs": every}


def ran_text(series: str, prepared: Prepared, results: Sequence[Result]) -> list[str]:
    """Return what came of a series, one line for each run."""
    paint = Paint(sys.stdout)
    cells = [
        _ran(member, result) for member, result in zip(prepared.members, results, strict=False)
    ]
    head = ("", "outcome", "bench time", "1S nm", "layers", "QY %", "record")
    missing = len(prepared.members) - len(results)
    left = [f"{missing} of {len(prepared.members)} were not run"] if missing else []
    last = results[-1].directory
    again = f"each has its report beside its record; again: labctl show {last}"
    lines = table(cells, head=head, right=range(2, 6))
    return [paint(f"Series {series}", "bold"), *lines, *left, "", again]


def plan_json(prepared: Prepared, courses: Sequence[Course]) -> Json:
    """Return the object that `plan --format json` prints for a series.

    It is the plan of the first member, with the findings on all of them and two keys more:
    `series`, of all together, and `plans`, the object of every plan in order.
    """
    plans = [
        as_json(plan, course, ()) for plan, course in zip(prepared.plans, courses, strict=True)
    ]
    reagents = [
        {**asdict(row.material), "needed_ml": row.material.needed_ml, "runs": row.runs}
        for row in totals(prepared.plans)
    ]
    members = [
        {"member": member.number, "values": dict(member.values), "total_s": course.end_s}
        for member, course in zip(prepared.members, courses, strict=True)
    ]
    whole = {
        "names": _names(prepared),
        "members": members,
        "total_s": sum(course.end_s for course in courses),
        "reagents": reagents,
    }
    told = {"findings": rows(prepared.findings), "series": whole, "plans": plans}
    return {**plans[0], **told}


def plan_text(prepared: Prepared, courses: Sequence[Course]) -> list[str]:
    """Return the plan of a series: a line for each member, and what to prepare for all of them."""
    paint = Paint(sys.stdout)
    first, count = prepared.plans[0], len(prepared.members)
    batch = first.batch.model
    cells = [_planned(*row) for row in zip(prepared.members, prepared.plans, courses, strict=True)]
    head = ("", "takes", "doses mL", "fullest mL", "hands", "two people")
    length_s = sum(course.end_s for course in courses)
    one = " ".join(f'--set "{k}={v}"' for k, v in prepared.members[0].values.items())
    parts = [
        [
            paint(first.recipe.head.name, "bold"),
            f"sample {batch.sample} in {batch.vessel} on {first.rig.model.name}",
            f"a series of {count} runs, each of its own; {rounded(length_s)} in all",
        ],
        [paint("Members", "bold"), *_set_in(table(cells, head=head, right=range(1, 6)))],
        [paint(f"Prepare, for all {count} together", "bold"), *_set_in(_totals(first, prepared))],
        [f"The plan of one: labctl plan {first.recipe.document.file} {one}"],
    ]
    if prepared.findings:
        parts.append([found_text.listed(prepared.findings, sys.stdout)])
    return [line for part in parts for line in (*part, "")][:-1]


def _planned(member: Member, plan: Plan, course: Course) -> tuple[str, ...]:
    people = list(needed(plan))
    dosed_ml = sum(row.material.doses_ml for row in totals([plan]))
    return (
        member.label,
        rounded(course.end_s),
        f"{dosed_ml:.2f}",
        f"{fullest(plan).hot_ml:.1f}",
        str(len(people)),
        str(sum(row.what.startswith("two people") for row in people)),
    )


def _totals(first: Plan, prepared: Prepared) -> list[str]:
    cells = [_total(row) for row in totals(prepared.plans)]
    head = ("", "", "runs", "each mL", "all mL", "drawn mL", "weighs g")
    return table(cells, head=head, right=range(2, 7)) if cells else ["nothing"]


def _total(row: Total) -> tuple[str, ...]:
    of = row.material
    least, most = f"{row.least_ml:.3f}", f"{row.most_ml:.3f}"
    return (
        of.reagent,
        of.composition,
        str(row.runs),
        least if least == most else f"{least} to {most}",
        f"{of.needed_ml:.3f}",
        "" if of.drawn_ml is None else f"{of.drawn_ml:.3f}",
        "" if of.mass_g is None else f"{of.mass_g:.4g}",
    )


def _ran(member: Member, result: Result) -> tuple[str, ...]:
    product = result.summary.get("product")
    facts = product if isinstance(product, Mapping) else {}
    took = result.summary["simulated_s"]
    return (
        member.label,
        str(result.summary["outcome"]).replace("_", " "),
        rounded(took) if isinstance(took, float) else "",
        _number(facts, "peak_nm", 1.0, 1),
        _number(facts, "layers", 1.0, 2),
        _number(facts, "qy", 100.0, 1),
        result.directory.name,
    )


def _number(facts: Mapping[str, Plain], name: str, scale: float, digits: int) -> str:
    value = facts.get(name)
    return f"{scale * value:.{digits}f}" if isinstance(value, int | float) else ""


def _sum(results: Sequence[Result], name: str) -> float:
    values = [result.summary[name] for result in results]
    return sum(value for value in values if isinstance(value, int | float))


def _names(prepared: Prepared) -> dict[str, list[str]]:
    """Return the values of each name that the members have, in their order."""
    names = prepared.members[0].values
    return {
        name: list(dict.fromkeys(member.values[name] for member in prepared.members))
        for name in names
    }


def _set_in(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
