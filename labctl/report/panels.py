"""Which plots a report shows, and what is in them: lines over time, with what happened beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from labctl.record.rows import DoseRow
from labctl.report.story import NS, Series, Story
from labctl.report.thin import opened, thinned


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: its label, where its numbers come from, its colour's number."""

    label: str
    kind: str
    series: Series
    colour: int
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something marked on the time axis: `decision`, `alarm` or `dose`.

    Where there is no room for all labels, those that come first in the panel are written.
    """

    t_s: float
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot; `log` is for the values, `x_unit` is `s` for times and `nm` for spectra."""

    id: str
    title: str
    unit: str
    lines: Sequence[Line]
    log: bool = False
    tall: bool = True
    x_unit: str = "s"
    x_range: tuple[float, float] = (0.0, 1.0)
    note: str = ""
    events: Sequence[Event] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class _Spec:
    """A plot of channels: (channel, label, colour) each; the last one is drawn on top."""

    id: str
    title: str
    channels: tuple[tuple[str, str, int], ...]
    log: bool = False
    tall: bool = True
    marked: tuple[str, ...] = ()


_TEMPERATURES = (
    ("expected.T", "as in its own dry run", 7),
    ("golden.T", "last good batch", 8),
    ("shadow.T", "the run compared with", 8),
    ("heater.setpoint", "setpoint", 6),
    ("warm.T", "warm line", 4),
    ("flask.T2", "second probe", 5),
    ("flask.T", "flask", 1),
)
_BEFORE_DOSES = (
    _Spec("temperature", "Temperature", _TEMPERATURES, marked=("dose", "alarm")),
    _Spec(
        "pressure",
        "Pressure",
        (
            ("golden.P", "last good batch", 8),
            ("shadow.P", "the run compared with", 8),
            ("line.P", "line", 2),
            ("flask.P", "flask", 1),
        ),
        log=True,
        marked=("alarm",),
    ),
)
_AFTER_DOSES = (
    _Spec(
        "peak",
        "First exciton peak, 1S",
        (
            ("expected.peak", "as in its own dry run", 7),
            ("golden.peak", "last good batch", 8),
            ("shadow.peak", "the run compared with", 8),
            ("peak.hot", "as measured, hot", 2),
            ("peak.25C", "at 25 °C", 1),
        ),
        marked=("dose", "decision"),
    ),
    _Spec(
        "pl",
        "PL area per absorbed photon",
        (("pl.area", "at the flask's temperature", 1),),
        marked=("dose", "decision"),
    ),
    _Spec("output", "Heater output", (("heater.output", "heater", 1),), tall=False),
    _Spec("stirring", "Stirring", (("stirrer.speed", "stirrer", 1),), tall=False),
    _Spec("flow", "Gas flow", (("n2_flow.flow", "inert gas", 1),), tall=False),
)


def panels(story: Story, most: int) -> list[Panel]:
    """Make the plots over time that this run has data for, of about `most` points per line."""
    events = list(_events(story))
    made = [_of_channels(story, spec, events, most) for spec in _BEFORE_DOSES]
    made.append(_of_doses(story, most))
    made += [_of_channels(story, spec, events, most) for spec in _AFTER_DOSES]
    return [panel for panel in made if panel.lines]


def _events(story: Story) -> Iterator[Event]:
    for made, _ in story.decisions:
        if made.at_ns is not None:
            yield Event(made.at_ns / NS, f"{made.verdict} ({made.step})", "decision")
    for alarm in story.alarms:
        yield Event(alarm.t_on_ns / NS, alarm.id, "alarm")
    for dose in story.doses:
        if dose.kind == "injection":
            yield Event(dose.start_ns / NS, dose.reagent, "dose")


def _of_channels(story: Story, spec: _Spec, events: Sequence[Event], most: int) -> Panel:
    lines, unit = [], ""
    for name, label, colour in spec.channels:
        series = story.series(name)
        if not any(value is not None for value in series.values):
            continue
        channel = story.channels[name]
        scale = 100.0 if channel.dimension == "fraction" else 1.0
        unit = unit or channel.unit
        shown = thinned(opened(_scaled(series, scale, positive=spec.log)), most)
        dashed = channel.kind in {"commanded", "assumed"}
        lines.append(Line(label, channel.kind, shown, colour, dashed=dashed))
    return Panel(
        spec.id,
        spec.title,
        unit,
        lines,
        log=spec.log,
        tall=spec.tall,
        x_range=(0.0, story.end_s),
        events=[event for event in events if event.kind in spec.marked],
    )


def _of_doses(story: Story, most: int) -> Panel:
    into = [dose for dose in story.doses if dose.into_ == "flask" and dose.kind == "injection"]
    lines = []
    for colour, reagent in enumerate(dict.fromkeys(dose.reagent for dose in into), 1):
        own = [dose for dose in into if dose.reagent == reagent]
        kind = "typed" if own[0].by == "hand" else "measured"
        lines.append(Line(reagent, kind, thinned(_cumulative(story, own), most), colour))
    return Panel(
        "doses",
        "Injected into the flask",
        "mL",
        lines,
        x_range=(0.0, story.end_s),
        note="Cumulative, by the pump's own counter where a pump gave it; charges are not shown.",
    )


def _cumulative(story: Story, doses: Sequence[DoseRow]) -> Series:
    """Follow what went in; the pump's counter gives the shape, the dose's own volume the height."""
    total, times, values = 0.0, [0.0], [0.0]
    for dose in doses:
        start_s = dose.start_ns / NS
        end_s = story.end_s if dose.end_ns is None else dose.end_ns / NS
        given = dose.delivered_ml or 0.0
        times.append(start_s)
        values.append(total)
        counted = story.series(f"{dose.by}.dispensed")
        inside = [
            (t, value)
            for t, value in zip(counted.t_s, counted.values, strict=True)
            if start_s < t < end_s and value is not None
        ]
        last = max((value for _, value in inside), default=0.0)
        if last > 0:
            times += [t for t, _ in inside]
            values += [total + min(1.0, value / last) * given for _, value in inside]
        total += given
        times.append(max(end_s, start_s + 1e-3))
        values.append(total)
    return Series([*times, story.end_s], [*values, total])


def _scaled(series: Series, scale: float, *, positive: bool) -> Series:
    if scale == 1.0 and not positive:
        return series
    values = [
        None if value is None or (positive and value <= 0) else value * scale
        for value in series.values
    ]
    return Series(series.t_s, values)
