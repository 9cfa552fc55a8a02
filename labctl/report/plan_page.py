"""A plan as one page to print: timeline, what to prepare, who confirms what when, what is assumed.

Self-contained, without a script; made for A4 in black and white as much as for the screen.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

from labctl.errors import Finding
from labctl.outlook.course import Course, Point
from labctl.outlook.materials import Material, Needed, fullest, materials, needed, taken
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.confirm import Confirm
from labctl.report.html import Child, Html, el, join, style
from labctl.report.plan_svg import timeline
from labctl.report.words import number
from labctl.units import show_duration

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The page may load nothing, and runs nothing."""
BOX = "☐"


def plan_page(plan: Plan, course: Course, findings: Sequence[Finding]) -> str:
    """Make the whole document, `findings` being those that are no error."""
    spans = course.spans
    title = f"{plan.batch.model.sample}: {plan.recipe.head.name}"
    css = Html(files("labctl").joinpath("assets", "report/plan.css").read_text(encoding="utf-8"))
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"Plan – {title}"),
        style(css),
    )
    people = [row for row in needed(plan) if row.step in spans]
    body = [
        _head(plan, course),
        el("figure", timeline(course, plan.batch.model.date)),
        _prepare(plan),
        _people(plan, course, people),
        _assumed(plan),
        _remarks(findings),
        _steps(plan, course),
    ]
    return "<!doctype html>\n" + el("html", head, el("body", el("main", *body)), lang="en")


def _head(plan: Plan, course: Course) -> Html:
    batch = plan.batch.model
    ends = batch.date + dt.timedelta(seconds=course.end_s)
    people = f"{batch.operator}\u00a0and\u00a0{batch.second}" if batch.second else batch.operator
    chosen = [
        f"{name} {value}"
        for name, value in plan.recipe.settings.items()
        if name not in plan.recipe.head.assumed
    ]
    until = f"{ends:%H:%M}" if ends.date() == batch.date.date() else f"{ends:%a %d %b %H:%M}"
    rested = "as estimated"
    if course.simulated:
        rested = f"as simulated, and about {_about(course.hands_s)} of hands more"
    when = f"{batch.date:%a %d %b %Y, %H:%M} to {until}, {_about(course.end_s)} {rested}"
    facts = [f"sample {batch.sample}", f"{batch.vessel} on {plan.rig.model.name}", people]
    return el(
        "header",
        el("h1", plan.recipe.head.name),
        el("p", el("b", when), " · ", " · ".join(facts)),
        el("p", ", ".join(chosen), class_="soft") if chosen else None,
    )


def _prepare(plan: Plan) -> Html:
    rows = [_material(row) for row in materials(plan)]
    head = ("", "", "weigh or draw", "doses + line + spare")
    return _section("Prepare", _table(head, rows, "prepare"), _fill(plan))


def _material(row: Material) -> list[Child]:
    strength = row.concentration_mol_l
    what = [row.composition, number(strength, "concentration") if strength else ""]
    mind = ", ".join(filter(None, [row.lot and f"lot {row.lot}", *row.mind]))
    danger = el("span", ", ".join(row.hazards), class_="danger")
    return [
        el("b", f"{BOX} {row.reagent}"),
        join([" ".join(filter(None, what)), el("small", mind, " " if mind else None, danger)]),
        el("b", _drawn(row)),
        _shares(row),
    ]


def _shares(row: Material) -> str:
    """Say what is drawn for what; nothing where it is added by hand."""
    if row.left_ml is None:
        return ""
    return f"{row.doses_ml:.3f} + {row.priming_ml:.3f} + {row.left_ml:.3f} mL"


def _drawn(row: Material) -> str:
    if row.drawn_ml is None:
        return f"{taken(row)} by hand"
    return f"{_ml(row.drawn_ml)} into {row.by}"


def _people(plan: Plan, course: Course, people: Iterable[Needed]) -> Html:
    who = {planned.step.id: planned.step for planned in plan.steps}
    spans = course.spans
    rows: list[list[Child]] = []
    for row in people:
        step = who[row.step]
        two = row.what.startswith("two people")
        items = [el("span", f"{BOX} {item}", class_="item") for item in row.items]
        subject = f" for {step.for_}" if isinstance(step, Confirm) and step.for_ else ""
        what = join([el("b", f"confirm{subject}: "), *items]) if items else row.what
        at = plan.batch.model.date + dt.timedelta(seconds=spans[row.step][0])
        rows.append([
            f"{at:%H:%M}",
            row.step,
            el("b", "two people") if two else "one",
            what,
            el("span", class_="line" if not two else "line two") if items else "",
        ])  # fmt: skip
    head = ("at", "step", "who", "what", "signed")
    return _section("A person is needed, and who confirms what", _table(head, rows, "people"))


def _fill(plan: Plan) -> Html:
    most = fullest(plan)
    limit = "" if most.limit_ml is None else f"; it takes {most.limit_ml:g} mL"
    said = (
        f"{plan.batch.model.vessel} is fullest at {most.step}: {most.hot_ml:.1f} mL at "
        f"{most.at_c:.0f} °C ({most.cold_ml:.1f} mL cold){limit}."
    )
    return el("p", said, class_="fill")


def _assumed(plan: Plan) -> Html | None:
    settings, assumed = plan.recipe.settings, plan.recipe.head.assumed
    if not assumed:
        return None
    rows = [
        el("li", el("b", f"{name} {settings[name]}: "), row.why) for name, row in assumed.items()
    ]
    title = "Assumed, since the source does not say"
    return _section(title, el("ul", rows, class_="run"))


def _remarks(findings: Sequence[Finding]) -> Html | None:
    if not findings:
        return None
    items = [
        el("li", el("b", f"{found.severity}: "), found.message, el("small", f" [{found.rule}]"))
        for found in findings
    ]
    return _section("What the check says", el("ul", items))


def _steps(plan: Plan, course: Course) -> Html:
    spans = course.spans
    rows: list[list[Child]] = []
    stage = ""
    for planned in plan.steps:
        if planned.parent or planned.step.id not in spans:
            continue
        first = planned.stage != stage
        stage = planned.stage
        rows.append([el("b", stage) if first else "", *_step(planned, spans, course, plan)])
    took = ("estimated",) if course.simulated else ()
    head = ("stage", "at", "takes", *took, "at most", "step", "", "flask")
    return el("section", el("h2", "Steps"), _table(head, rows, "steps"), class_="apart")


def _step(
    planned: PlannedStep, spans: Mapping[str, Point], course: Course, plan: Plan
) -> list[Child]:
    start_s, end_s = spans[planned.step.id]
    at = plan.batch.model.date + dt.timedelta(seconds=start_s)
    estimate, flask = planned.estimate, planned.after
    known = 0 < estimate.timeout_s < math.inf
    return [
        f"{at:%H:%M}",
        _about(end_s - start_s),
        *([_about(estimate.duration_s)] if course.simulated else []),
        _about(estimate.timeout_s) if known else "",
        planned.step.id,
        planned.step.summary(),
        f"{flask.volume_ml():.1f} mL, {flask.temperature_c:.0f} °C",
    ]


def _section(title: str, *children: Child) -> Html:
    return el("section", el("h2", title), *children)


def _table(head: Sequence[str], rows: Iterable[Sequence[Child]], kind: str) -> Html:
    top = el("thead", el("tr", [el("th", name) for name in head]))
    body = el("tbody", [el("tr", [el("td", cell) for cell in row]) for row in rows])
    return el("table", top, body, class_=kind)


def _ml(volume_ml: float) -> str:
    return f"{volume_ml:.3f} mL"


def _about(seconds: float) -> str:
    if not math.isfinite(seconds):
        return ""
    return show_duration(round(seconds) if seconds < 60 else 60 * int(seconds / 60 + 0.5))
