"""Each decision of a run in words and numbers: what it saw, and what it made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from labctl.record.rows import DecisionRow, InputRow
from labctl.report.html import Html, el, join
from labctl.report.panels import Event, Line, Panel
from labctl.report.plots import figure
from labctl.report.story import NS, Series, Story
from labctl.report.thin import thinned
from labctl.report.words import duration, lasted_s, mark, minus, moment, pairs, section

Number = float | None
Evidence = Mapping[str, object]


def decided(story: Story, evidence: Sequence[Panel]) -> Html:
    """Tell each decision; `evidence` are the plots of what they saw, by decision."""
    plots = {panel.id: panel for panel in evidence}
    told = [_told(made, seen, plots.get(f"decision-{made.id}")) for made, seen in story.decisions]
    if not told:
        told = [el("p", "No step of this run waited for a decision.", class_="none")]
    return section("Decisions", *told, anchor="decisions")


def evidence_panels(story: Story, most: int) -> list[Panel]:
    """Make the plot of what each decision saw: the peak at 25 °C, used and not used."""
    made = [_panel(decision, seen, most) for decision, seen in story.decisions]
    return [panel for panel in made if panel.lines]


def _told(made: DecisionRow, seen: Sequence[InputRow], panel: Panel | None) -> Html:
    verdict = made.verdict or "not decided"
    good = made.verdict in {"saturated", "reached", "steady"}
    watched = duration(lasted_s(made.start_ns, made.at_ns))
    words = [
        f"Step {made.step} waited for {made.track or 'the track'} to be {made.kind}. "
        f"After watching from {moment(made.start_ns)} for {watched} it was found "
    ]
    used = sum(row.used for row in seen)
    frames = f"{len(seen)}, of which {used} were used" if seen else None
    plain = made.evidence if isinstance(made.evidence, Mapping) else {}
    rows = [*_numbers(plain), ("Frames seen", frames)]
    return el(
        "article",
        el("h3", f"{made.step}: ", el("em", verdict, class_="good" if good else "bad"), " at "
           f"{moment(made.at_ns)}"),
        el("p", words, el("strong", verdict), ". ", el("q", made.reason) if made.reason else None),
        el("div", pairs(rows), figure(panel) if panel else None, class_="evidence"),
        class_="decision",
    )  # fmt: skip


def _panel(made: DecisionRow, seen: Sequence[InputRow], most: int) -> Panel:
    lines = [
        Line(label, "measured", _series(seen, most, used=used), colour, dots=not used)
        for label, used, colour in (("used", True, 1), ("seen, not used", False, 2))
        if any(row.used is used and row.peak_nm is not None for row in seen)
    ]
    times = [row.t_ns / NS for row in seen] + [made.start_ns / NS]
    events = [Event(made.at_ns / NS, made.verdict or "", "decision")] if made.at_ns else []
    start_s = min(times)
    end_s = max([*times, *(event.t_s for event in events)])
    return Panel(
        f"decision-{made.id}",
        "1S at 25 °C, as the decision saw it",
        "nm",
        lines,
        tall=False,
        x_range=(start_s, end_s + 0.04 * max(end_s - start_s, 1.0)),
        events=events,
    )


def _series(seen: Sequence[InputRow], most: int, *, used: bool) -> Series:
    rows = [row for row in seen if row.used is used]
    return thinned(Series([row.t_ns / NS for row in rows], [row.peak_nm for row in rows]), most)


def _numbers(evidence: Evidence) -> Iterator[tuple[str, str | None]]:
    told = set(_TOLD_ELSEWHERE)
    for label, keys, write in _KNOWN:
        told.update(keys)
        values = [evidence.get(key) for key in keys]
        if values[0] is not None:
            yield label, join([write(*values), mark("measured")])
    for key, value in evidence.items():
        if key not in told and value is not None:
            yield key.replace("_", " "), _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return minus(f"{value:.4g}")
    if isinstance(value, list | tuple):
        return " … ".join(_plain(item) for item in value)
    return str(value)


def _with_sd(unit: str, digits: int) -> Callable[..., str]:
    def write(value: float, sigma: Number = None) -> str:
        spread = "" if sigma is None else f" ± {sigma:.{digits}f}"
        return minus(f"{value:+.{digits}f}{spread} {unit}")

    return write


def _peak(value: float, band: Number = None) -> str:
    return f"{value:.2f} nm" + ("" if band is None else f" ± {band:.2f} nm from the correction")


def _hot(value: float, at_c: Number = None) -> str:
    return f"{value:.2f} nm" + ("" if at_c is None else f" at {at_c:.1f} °C")


def _coefficient(scale: float, sigma: Number = None, source: str | None = None) -> str:
    spread = "" if sigma is None else f" ± {sigma:.3f}"
    said = {
        "learnt": "learnt on this run's cool-down",
        "nominal": "taken from the literature, not learnt in this run",
    }
    return f"{scale:.3f}{spread} × bulk InP" + (f", {said.get(source, source)}" if source else "")


def _interval(bounds: object) -> str:
    if not isinstance(bounds, list | tuple):
        return _plain(bounds)
    return minus(" … ".join(f"{bound:+.2f}" for bound in bounds) + " nm")


def _flat(flat: bool, track: str | None = None) -> str:
    return f"{'flat' if flat else 'still moving'} ({track})" if track else "not asked for"


def _percent(value: float) -> str:
    return "over 99.99 %" if value >= 0.99995 else f"{value * 100:.2f} %"


_KNOWN: tuple[tuple[str, tuple[str, ...], Callable[..., str]], ...] = (
    ("Bins it rests on, n", ("n",), lambda n: f"{n}"),
    ("Slope", ("slope_nm_min", "slope_sd_nm_min"), _with_sd("nm/min", 3)),
    ("Movement still expected", ("remaining_nm",), _with_sd("nm", 2)),
    ("Interval of the movement", ("interval_nm",), _interval),
    ("Confidence", ("probability",), _percent),
    ("Shift since baseline", ("shift_nm", "shift_sd_nm"), _with_sd("nm", 2)),
    ("1S hot", ("hot_nm", "temperature_c"), _hot),
    ("1S at 25 °C", ("peak_25c_nm", "band_nm"), _peak),
    (
        "Coefficient",
        ("coefficient", "coefficient_sigma", "coefficient_source"),
        _coefficient,
    ),
    ("PL besides", ("flat", "also_flat"), _flat),
)
_TOLD_ELSEWHERE = ("state", "reason", "frames")
