"""The page itself: verdict first, then evidence, then tables; styles and scripts inside."""

from __future__ import annotations

from importlib.resources import files

from labctl.report.decided import decided, evidence_panels
from labctl.report.happened import doses, left, people, preflight, steps, to_fill_in, truth
from labctl.report.html import Html, el, script, style
from labctl.report.panels import panels
from labctl.report.plots import figure, no_data, plot_data
from labctl.report.spectra import spectra
from labctl.report.story import Story
from labctl.report.verdict import origin, setting, verdict
from labctl.report.words import section

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""The page may load nothing from anywhere."""
LARGEST = 950_000
POINTS = (2000, 1000, 500, 200)
"""Points per line over time; a third of them per spectrum."""


def page(story: Story) -> str:
    """Make the whole document, under `LARGEST` bytes by drawing fewer points where need be."""
    for points in POINTS:
        text = _page(story, points)
        if len(text.encode()) < LARGEST:
            break
    return text


def _page(story: Story, points: int) -> str:
    over_time = panels(story, points)
    seen, evidence = spectra(story, points // 3), evidence_panels(story, points // 3)
    body = [
        verdict(story),
        setting(story),
        decided(story, evidence),
        section(
            "Course of the run",
            el("p", _HOW_TO_ZOOM, class_="note live"),
            *([figure(panel) for panel in over_time] or [no_data()]),
            anchor="course",
        ),
        section("Spectra", *([figure(panel) for panel in seen] or [no_data()]), anchor="spectra"),
        steps(story),
        doses(story),
        preflight(story),
        left(story),
        people(story),
        truth(story),
        to_fill_in(),
        origin(story),
    ]
    title = f"{story.meta.sample or story.meta.id}: {story.meta.recipe_name}"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"SIMULATED – {title}" if story.meta.simulated else title),
        style(_asset("uplot/uPlot.min.css") + _asset("report/page.css")),
    )
    scripts = [
        plot_data([*over_time, *seen, *evidence], story.stages, story.end_s),
        script(_asset("uplot/uPlot.iife.min.js")),
        script(_asset("report/page.js")),
    ]
    kind = "simulated" if story.meta.simulated else None
    return "<!doctype html>\n" + el(
        "html", head, el("body", el("main", body), scripts, class_=kind), lang="en"
    )


_HOW_TO_ZOOM = (
    "Drag across a plot to zoom all of them; double-click, or the button of a stage above, to go "
    "back. Vertical lines: injections (thin), decisions (thick), alarms (red)."
)


def _asset(name: str) -> Html:
    return Html(files("labctl").joinpath("assets", name).read_text(encoding="utf-8"))
