"""The tables of a report: steps planned and actual, doses, alarms, people, the simulated truth."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from statistics import fmean, stdev

from labctl.record.rows import DoseRow, StepRow
from labctl.report.html import Html, el, join
from labctl.report.story import NS, Story
from labctl.report.words import (
    DASH,
    amount,
    duration,
    lasted_s,
    mark,
    moment,
    pairs,
    section,
    table,
)


def steps(story: Story) -> Html:
    """Set planned against actual, step by step, with what the flask did meanwhile.

    Steps with a clock of their own hold a temperature: they are told as mean ± sd.
    """
    longest = max((_took_s(story, step) for step in story.steps), default=0.0) or 1.0
    heads = ["step", "started", "planned", "took", "", "flask", ""]
    rows = []
    for stage, own in groupby(story.steps, lambda step: step.stage):
        rows.append(el("tr", el("th", stage, colspan=str(len(heads))), class_="stage"))
        rows += [_step(story, step, longest) for step in own]
    kinds = {"started": "measured", "planned": "assumed", "took": "measured", "flask": "measured"}
    head = el("tr", [el("th", h, mark(kinds.get(h, ""))) for h in heads])
    whole = el("table", el("thead", head), el("tbody", rows), class_="steps")
    return section("Planned and actual", el("div", whole, class_="scroll"), anchor="steps")


def doses(story: Story) -> Html:
    """List every addition: commanded, delivered, how warm the flask was; and exposures to heat."""
    heads = [
        "dose",
        "reagent",
        "by",
        "at",
        "over",
        "flask",
        "commanded",
        "amount",
        "delivered",
        "state",
    ]
    rows = [_dose(dose) for dose in story.doses]
    heat = [
        el("p", f"{moment(event.t_ns)}  {event.message}", " ", mark("measured"))
        for event in story.events
        if event.code == "exposure"
    ]
    return section("Doses", table(heads, rows, "   nnnnnn"), *heat, anchor="doses")


def preflight(story: Story) -> Html | None:
    """List what was looked at before anything heated, with what was found."""
    rows = [[event.message] for event in story.events if event.code == "preflight"]
    if not rows:
        return None
    return section("Preflight", table(["found (limit)"], rows), anchor="preflight")


def left(story: Story) -> Html | None:
    """List what was left over at the end, place by place, and what may be done with it."""
    rows = [
        [str(data.get(key, "")) for key in ("place", "holds", "do")]
        for event in story.events
        if event.code == "left" and isinstance(data := event.data, Mapping)
    ]
    if not rows:
        return None
    note = "From the ledger of doses at the end of the run; not measured."
    heads = ["place", "holds", "what to do"]
    return section("Left over", el("p", note, class_="note"), table(heads, rows), anchor="left")


def people(story: Story) -> Html:
    """List deviations, alarms, questions with answers, and commands."""
    deviations = [[moment(event.t_ns), event.message] for event in story.deviations]
    alarms = [
        [moment(a.t_on_ns), moment(a.t_off_ns), a.severity, a.id, a.message] for a in story.alarms
    ]
    questions = [
        [
            moment(q.t_ns),
            q.text,
            DASH if q.answer is None else join([q.answer, mark("typed")]),
            f"{q.by} (simulated)" if q.simulated else q.by,
            duration(lasted_s(q.t_ns, q.at_ns)),
        ]
        for q in story.questions
    ]
    commands = [
        [moment(c.t_ns), c.actor, c.verb, "obeyed" if c.accepted else "refused", c.reason]
        for c in story.commands
    ]
    return section(
        "Deviations, alarms, questions",
        el("h3", "Deviations from the recipe"),
        table(["at", "what"], deviations),
        el("h3", "Alarms"),
        table(["came", "went", "severity", "interlock", "what"], alarms),
        el("h3", "Questions and answers"),
        table(["asked", "question", "answer", "by", "after"], questions),
        el("h3", "Commands of people") if commands else None,
        table(["at", "by", "command", "", "reason"], commands) if commands else None,
        anchor="people",
    )


def truth(story: Story) -> Html | None:
    """Show what the simulated flask holds, for a dry run only."""
    product = story.meta.product
    if not story.meta.simulated or not isinstance(product, Mapping):
        return None
    rows = [(name.replace("_", " "), _plain(value)) for name, value in product.items()]
    note = "From the model of the flask, not from any instrument. A real run cannot know this."
    return section(
        "Simulated truth", el("p", note, class_="note"), pairs(rows), anchor="truth"
    )  # fmt: skip


def to_fill_in() -> Html:
    """Leave room for what is measured elsewhere."""
    blank = Html("<td class=blank></td>")
    rows = [
        el("tr", el("th", name), el("td", what), blank, blank)
        for name, what in (
            ("TEM", "mean diameter ± sd / nm, number counted"),
            ("XRD", "phase, lattice constant / Å"),
            ("PL QY", "%, method, excitation / nm, absorbance there"),
        )
    ]
    head = el("tr", [el("th", head) for head in ("method", "what", "result", "by, date")])
    note = "Not measured by this rig; to be filled in."
    whole = el("table", el("thead", head), el("tbody", rows), class_="fill")
    return section("Measured elsewhere", el("p", note, class_="note"), whole, anchor="elsewhere")


def _took_s(story: Story, step: StepRow) -> float:
    end_ns = round(story.end_s * NS) if step.end_ns is None else step.end_ns
    return (end_ns - step.start_ns) / NS


def _step(story: Story, step: StepRow, longest_s: float) -> Html:
    took_s = _took_s(story, step)
    open_ = step.end_ns is None
    state = "" if step.state == "done" else step.state
    cells = [
        el("td", el("b", step.id), " ", step.summary or step.verb),
        el("td", moment(step.start_ns), class_="num"),
        el("td", duration(step.planned_s) if step.planned_s else DASH, class_="num"),
        el("td", f"{duration(took_s)}{' so far' if open_ else ''}", class_="num"),
        el("td", _bar(took_s, step.planned_s, longest_s)),
        el("td", _flask(story, step), class_="num"),
        el("td", state, class_="state"),
    ]
    return el("tr", cells, class_="nested" if step.parent else None)


def _bar(took_s: float, planned_s: float | None, longest_s: float) -> Html:
    tick = None
    if planned_s:
        tick = el("u", style=f"left:{min(planned_s / longest_s, 1.0) * 100:.1f}%")
    return el("i", el("s", style=f"width:{took_s / longest_s * 100:.1f}%"), tick, class_="bar")


def _flask(story: Story, step: StepRow) -> str:
    from_ns = step.start_ns if step.clock_ns is None else step.clock_ns
    end_s = story.end_s if step.end_ns is None else step.end_ns / NS
    seen = story.series("flask.T").between(from_ns / NS, end_s)
    if not seen:
        return DASH
    if (step.clock_ns is not None or step.verb == "wait_until") and len(seen) > 1:
        return f"{fmean(seen):.1f} ± {stdev(seen):.1f} °C"
    return (
        f"{seen[0]:.0f} → {seen[-1]:.0f} °C"
        if abs(seen[-1] - seen[0]) > 2
        else f"{seen[-1]:.0f} °C"
    )


def _dose(dose: DoseRow) -> list[str]:
    into = "" if dose.into_ == "flask" else f" into {dose.into_}"
    counted = "typed" if dose.by == "hand" else "measured"
    return [
        dose.id,
        f"{dose.reagent}{into}",
        dose.by,
        moment(dose.start_ns),
        duration(lasted_s(dose.start_ns, dose.end_ns)),
        amount(dose.flask_c, "temperature", "measured"),
        amount(dose.commanded_ml, "volume", "commanded"),
        amount(dose.amount_mmol, "amount", "commanded"),
        amount(dose.delivered_ml, "volume", counted),
        dose.state,
    ]


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return str(value)
