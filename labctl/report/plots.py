"""The plots of a report: a place and a still picture for each, and the data for the live ones."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.report.html import Html, data, el, join
from labctl.report.panels import Line, Panel
from labctl.report.story import Stage
from labctl.report.svg import svg
from labctl.report.words import mark


def figure(panel: Panel) -> Html:
    """Make the figure of one panel: heading, key, and the picture that a script may replace."""
    key = [
        el("li", el("i", class_=f"key s{_colour(line)}"), line.label, mark(line.kind))
        for line in panel.lines
    ]
    unit = el("span", f"/ {panel.unit}", class_="unit") if panel.unit else None
    note = el("p", panel.note, class_="note") if panel.note else None
    head = el("figcaption", el("h3", panel.title, " ", unit), el("ul", key, class_="key"))
    plot = el("div", class_="live", data_panel=panel.id)
    return el("figure", head, plot, svg(panel), note, class_=panel.x_unit)


def plot_data(panels: Sequence[Panel], stages: Sequence[Stage], end_s: float) -> Html:
    """Embed the numbers of all panels for the script."""
    return data(
        "plot-data",
        {
            "end": end_s,
            "stages": [[stage.name, stage.start_s, stage.end_s] for stage in stages],
            "panels": [_plain(panel) for panel in panels],
        },
    )


def _plain(panel: Panel) -> dict[str, object]:
    digits = 1 if panel.x_unit == "s" else 2
    return {
        "id": panel.id,
        "unit": panel.unit,
        "log": panel.log,
        "tall": panel.tall,
        "x": panel.x_unit,
        "range": panel.x_range,
        "events": [[round(e.t_s, 1), e.label, e.kind] for e in panel.events],
        "lines": [
            {
                "label": line.label,
                "colour": _colour(line),
                "dashed": line.dashed,
                "dots": line.dots,
                "x": [round(x, digits) for x in line.series.t_s],
                "y": [None if y is None else float(f"{y:.6g}") for y in line.series.values],
            }
            for line in panel.lines
        ],
    }


def _colour(line: Line) -> int:
    return (line.colour - 1) % 8 + 1


def no_data() -> Html:
    """Say that nothing was recorded."""
    return join([el("p", "Nothing was recorded.", class_="none")])
