"""The top of a report: how it ended, when what happened, what was run."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.report.html import Html, el, join
from labctl.report.story import NS, Story
from labctl.report.words import (
    DASH,
    amount,
    duration,
    legend,
    mark,
    minus,
    moment,
    pairs,
    section,
    table,
)

OUTCOMES = {
    "complete": ("good", "Complete"),
    "complete_with_deviations": ("fair", "Complete, with deviations"),
    "safe": ("bad", "Ended early, in the safe state"),
    "refused": ("bad", "Refused"),
    "faulted": ("bad", "Faulted"),
}


def verdict(story: Story) -> Html:
    """Say how the run ended, when its stages were, and the few numbers asked for first."""
    meta = story.meta
    tone, words = OUTCOMES.get(meta.outcome or "", ("open", f"Not finished: {meta.state}"))
    return el(
        "header",
        el("p", "Report of run ", el("code", meta.id), class_="over"),
        el("h1", meta.recipe_name or "Unnamed recipe"),
        el(
            "div",
            el("strong", words),
            el("span", _when(story)),
            el("b", "simulated", class_="stamp") if meta.simulated else None,
            class_=f"verdict {tone}",
        ),
        _why(story),
        _stages(story),
        _first_numbers(story),
        id="verdict",
    )


def setting(story: Story) -> Html:
    """Say what was run, with what, by whom, on what; and what was assumed."""
    meta = story.meta
    run = pairs(
        [
            ("Sample", meta.sample),
            ("Operator", meta.operator),
            ("Recipe", meta.recipe_path),
            ("Rig", meta.rig_name),
            ("Chosen", _named(meta.choices)),
            ("Series", _member(story)),
            ("Seed", str(meta.seed) if meta.simulated else None),
        ]
    )
    heads = ["reagent", "what it is", "lot", "made", "concentration", "by"]
    lots = [
        [
            lot.reagent,
            lot.substance,
            lot.lot or DASH,
            lot.made or DASH,
            amount(lot.concentration_mol_l, "concentration", lot.kind),
            lot.by or DASH,
        ]
        for lot in story.lots
    ]
    assumed = [[a.name, join([a.value, mark("assumed")]), a.why] for a in story.assumed]
    return section(
        "What was run",
        run,
        el("h3", "Reagents, as on the batch sheet"),
        table(heads, lots, "    n"),
        el("h3", "Assumed, and why"),
        table(["value", "taken as", "because"], assumed),
        anchor="setting",
    )


def origin(story: Story) -> Html:
    """Say what the report rests on: digest, hashes, versions, and what the signs mean."""
    meta = story.meta
    return section(
        "What this rests on",
        legend(),
        pairs(
            [
                ("Run", el("code", meta.id)),
                ("Started", f"{meta.started_local.replace('T', ' ')}, local time"),
                ("Recipe, SHA-256", el("code", meta.recipe_sha256)),
                ("Record, digest", el("code", meta.digest or "not closed yet")),
                ("Software", _named(meta.versions)),
            ]
        ),
        anchor="origin",
    )


def _member(story: Story) -> str | None:
    """Say which run of which series this is."""
    said = story.run.member
    if not said:
        return None
    values = said["values"] if isinstance(said.get("values"), Mapping) else {}
    place = f"{said.get('member')} of {said.get('of')} of {said.get('series')}"
    return f"{place}: {_named(values)}"


def _when(story: Story) -> str:
    started = story.meta.started_local.replace("T", " ")
    lasted = duration(story.end_s)
    return f"started {started}, {'took' if story.meta.outcome else 'so far'} {lasted}"


def _why(story: Story) -> Html | None:
    """Name the deviations; and of a run that ended early, what was last amiss."""
    lines = [f"{moment(event.t_ns)}  {event.message}" for event in story.deviations]
    if story.meta.outcome not in {"complete", "complete_with_deviations", None}:
        amiss = [e for e in story.events if e.level != "info" and e.code != "deviation"]
        lines += [f"{moment(event.t_ns)}  {event.message}" for event in amiss[-3:]]
    return el("ul", [el("li", line) for line in lines], class_="why") if lines else None


def _stages(story: Story) -> Html:
    cells = [
        el(
            "button",
            el("b", stage.name),
            el("span", duration(stage.end_s - stage.start_s)),
            el("small", f"{moment(round(stage.start_s * NS))} – {moment(round(stage.end_s * NS))}"),
            type="button",
            style=f"flex-grow:{max(stage.end_s - stage.start_s, 1.0):.0f}",
            data_from=f"{stage.start_s:.1f}",
            data_to=f"{stage.end_s:.1f}",
            title="show this stage in the plots",
        )
        for stage in story.stages
    ]
    return el("div", cells, class_="stages")


def _first_numbers(story: Story) -> Html:
    peaks = story.series("peak.25C").between(0.0, story.end_s)
    hottest = story.series("flask.T").between(0.0, story.end_s)
    injected = [dose for dose in story.doses if dose.kind == "injection"]
    numbers: list[tuple[str, str]] = []
    if peaks:
        numbers.append(("1S at 25 °C, last", amount(peaks[-1], "wavelength", "measured")))
    if len(peaks) > 1:
        shift = join([minus(f"{peaks[-1] - peaks[0]:+.1f} nm"), mark("measured")])
        numbers.append(("1S shift, first to last", shift))
    if hottest:
        numbers.append(("Flask, hottest", amount(max(hottest), "temperature", "measured")))
    numbers += [
        ("Injections", f"{sum(dose.state == 'done' for dose in injected)} of {len(injected)}"),
        ("Deviations", str(len(story.deviations))),
        ("Alarms", str(len(story.alarms))),
    ]
    return el("dl", [el("div", el("dt", k), el("dd", v)) for k, v in numbers], class_="first")


def _named(values: object) -> str | None:
    if not isinstance(values, Mapping) or not values:
        return None
    return ", ".join(f"{name} {value}" for name, value in values.items())
