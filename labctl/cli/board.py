"""The live view as text: what a run is doing, drawn from one frozen snapshot of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from labctl.cli.text import clipped, clock, padded, shown
from labctl.units import TORR_MBAR

Painter = Callable[..., str]

LABEL = 11
CELLS = (18, 20, 18, 12)
NARROW = 40
PRESSURE_UNITS = {"mbar": 1.0, "Torr": TORR_MBAR}


@dataclass(frozen=True, slots=True)
class View:
    """What the live view shows at one moment; °C, mbar, nm, s. None is what is not known.

    `share` is the part of the planned duration that is behind, 0 .. 1. What is waited for should
    come in `countdown_s`, and is given up in `allowed_s`. `pressures` are texts by place;
    `happened` are the last events, newest last.
    """

    title: str
    sample: str
    simulated: bool
    state: str
    now: dt.datetime
    elapsed_s: float
    share: float
    left_s: float
    stage: tuple[str, int, int]
    step: str
    does: str
    waits_for: str
    countdown_s: float | None
    allowed_s: float | None
    flask_c: float | None
    setpoint_c: float | None
    probe2_c: float | None
    warm_c: float | None
    pressures: tuple[tuple[str, str], ...]
    hot_nm: float | None
    cold_nm: float | None
    pl_area: float | None
    needed_in_s: float | None
    needed_for: str
    deviations: tuple[str, ...]
    alarms: tuple[str, ...]
    happened: tuple[str, ...]


def frame(view: View, width: int, paint: Painter) -> list[str]:
    """Return the lines of the live view, none wider than `width`."""
    width = max(NARROW, width)
    rows = [
        *_head(view, width, paint),
        "",
        *_course(view, width, paint),
        "",
        *_measured(view, width, paint),
        "",
        *_people(view, width, paint),
    ]
    happened = [paint(clipped(line, width), "dim") for line in view.happened]
    return [*rows, "", *happened] if happened else rows


def pressure(low: float | None, high: float | None, unit: str) -> str:
    """Print a pressure in the unit chosen, or between what it lies; mbar in.

    >>> pressure(0.05, 0.05, "mbar"), pressure(0.0, 0.1, "mbar"), pressure(None, None, "Torr")
    ('0.050 mbar', '< 0.100 mbar', 'unknown')
    """
    if low is None or high is None:
        return "unknown"
    if high == float("inf"):
        return f"> {_number(low / PRESSURE_UNITS[unit])} {unit}"
    sign = "" if low == high else "< "
    return f"{sign}{_number(high / PRESSURE_UNITS[unit])} {unit}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def _head(view: View, width: int, paint: Painter) -> list[str]:
    mark = "SIMULATED" if view.simulated else "LIVE"
    title = clipped(f"{view.title} · {view.sample}", width - len(mark) - 2)
    gap = " " * (width - shown(title) - len(mark))
    ends = view.now + dt.timedelta(seconds=view.left_s)
    times = f"{view.now:%H:%M:%S}  {clock(view.elapsed_s)} done, "
    times += f"about {clock(view.left_s)} to go, until {ends:%H:%M}"
    percent = f"{100 * view.share:3.0f} %"
    room = width - len(percent) - 1
    full = round(room * min(1.0, max(0.0, view.share)))
    bar = paint("━" * full, "green") + paint("─" * (room - full), "dim")
    return [
        paint(title, "bold") + gap + paint(mark, "bold", "yellow"),
        clipped(times, width),
        f"{bar} {percent}",
    ]


def _course(view: View, width: int, paint: Painter) -> list[str]:
    name, n, of = view.stage
    count = _countdown(view)
    waits = clipped(view.waits_for or "-", width - LABEL - len(count) - 2)
    gap = " " * (width - LABEL - shown(waits) - len(count))
    state = "" if view.state == "running" else paint(f"  {view.state}", "bold", "yellow")
    does = clipped(f"{view.does}  ({view.step})", width - LABEL)
    return [
        _label("stage", paint) + paint(name, "bold") + f"  {n} of {of}" + state,
        _label("step", paint) + does,
        _label("waits for", paint) + paint(waits, "cyan") + gap + paint(count, "bold"),
    ]


def _countdown(view: View) -> str:
    if view.countdown_s is not None:
        return f"{clock(max(0.0, view.countdown_s))} left"
    return "" if view.allowed_s is None else f"at most {clock(max(0.0, view.allowed_s))}"


def _measured(view: View, width: int, paint: Painter) -> list[str]:
    places = [f"{text} {place}" for place, text in view.pressures]
    rows = [
        ("flask", _celsius(view.flask_c), [("to", _celsius(view.setpoint_c)),
         ("probe 2", _celsius(view.probe2_c)), ("warm", _celsius(view.warm_c))]),
        ("P", places[0] if places else "unknown", [("", place) for place in places[1:]]),
        ("1S", _nm(view.hot_nm, "hot"), [("", _nm(view.cold_nm, "at 25 °C")),
         ("PL", "-" if view.pl_area is None else f"{view.pl_area:.3g}")]),
    ]  # fmt: skip
    return [_measures(name, first, rest, width, paint) for name, first, rest in rows]


def _measures(
    name: str, first: str, rest: list[tuple[str, str]], width: int, paint: Painter
) -> str:
    line = _label(name, paint) + paint(padded(first, CELLS[0]), "bold")
    for (label, value), room in zip(rest, CELLS[1:], strict=False):
        cell = f"{paint(label, 'dim')} {value}" if label else value
        if shown(line) + shown(cell) <= width:
            line += padded(cell, room)
    return line.rstrip()


def _people(view: View, width: int, paint: Painter) -> list[str]:
    lines = []
    if view.needed_in_s is not None:
        at = view.now + dt.timedelta(seconds=view.needed_in_s)
        when = "now" if view.needed_in_s <= 0 else f"at {at:%H:%M}"
        text = clipped(f"you are needed {when}: {view.needed_for}", width)
        lines.append(paint(text, "bold", "yellow") if when == "now" else paint(text, "yellow"))
    else:
        lines.append("nobody is needed any more")
    for name, texts, colour in (
        ("deviations", view.deviations, "yellow"),
        ("alarms", view.alarms, "red"),
    ):
        if texts:
            count = f"{len(texts)} {name}" if len(texts) > 1 else name.rstrip("s")
            lines.append(paint(clipped(f"{count}: {texts[-1]}", width), "bold", colour))
    return lines


def _label(text: str, paint: Painter) -> str:
    return paint(padded(text, LABEL), "dim")


def _celsius(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} °C"


def _nm(value: float | None, what: str) -> str:
    return "-" if value is None else f"{value:.2f} nm {what}"
