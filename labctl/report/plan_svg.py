"""The timeline of a plan as SVG: temperature over the clock, stages, doses, people, dangers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from labctl.outlook.course import MARKED, Bar, Course, Span, clock_ticks
from labctl.report.html import Html, el
from labctl.report.svg import ticks

WIDTH, LEFT, RIGHT = 720.0, 62.0, 8.0
TOP, HEAT, ROW = 30.0, 128.0, 15.0
CHARACTER = 5.2
"""Width of a character of a label, about."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where things stand: pixels of times in s and of temperatures in °C."""

    end_s: float
    low_c: float
    high_c: float

    def x(self, at_s: float) -> float:
        return LEFT + at_s / self.end_s * (WIDTH - LEFT - RIGHT)

    def y(self, at_c: float) -> float:
        return TOP + HEAT * (self.high_c - at_c) / (self.high_c - self.low_c)


def timeline(course: Course, begins: dt.datetime) -> Html:
    """Draw a course; nothing where it takes no time."""
    if course.end_s <= 0:
        return Html("")
    known = [c for _, c in course.heat] or [20.0]
    frame = _Frame(course.end_s, min(0.0, *known), max(50.0, *known) * 1.08)
    rows = [("people", "people", [bar for bar in course.bars if bar.people])]
    for danger in MARKED:
        met = [bar for bar in course.bars if danger in bar.dangers]
        rows += [(danger, "danger", met)] if met else []
    foot = TOP + HEAT + 17 + ROW * (len(rows) + 1)
    parts = [
        *(_stage(span, n, frame, foot - ROW) for n, span in enumerate(course.stages)),
        *(_celsius(value, frame) for value in ticks(frame.low_c, frame.high_c, 4)),
        *_hours(course, begins, frame, foot),
        _heat(course, frame),
        *_doses(course, frame),
        *(el("g", _row(row, n, frame)) for n, row in enumerate(rows)),
    ]
    said = f"Timeline: {', '.join(span.name for span in course.stages)}"
    box = f"0 0 {WIDTH:g} {foot + 4:g}"
    return el("svg", *parts, viewBox=box, role="img", aria_label=said, class_="timeline")


def _stage(span: Span, n: int, frame: _Frame, foot: float) -> Html:
    """Draw a stage's band with its name, on two levels so that short neighbours can be read."""
    left, right = frame.x(span.start_s), frame.x(span.end_s)
    band = el(
        "rect",
        x=f"{left:.1f}",
        y=f"{TOP:g}",
        width=f"{max(1.0, right - left):.1f}",
        height=f"{foot - TOP:.1f}",
        class_=f"stage{n % 2}",
    )
    at = min(left + 2, WIDTH - RIGHT - CHARACTER * len(span.name))
    return el("g", band, el("text", span.name, x=f"{at:.1f}", y=f"{11 + 12 * (n % 2)}"))


def _celsius(value: float, frame: _Frame) -> Html:
    y = f"{frame.y(value):.1f}"
    line = el("line", x1=f"{LEFT:g}", x2=f"{WIDTH - RIGHT:g}", y1=y, y2=y, class_="grid")
    return el("g", line, el("text", f"{value:g} °C", x=f"{LEFT - 6:g}", y=y, class_="left mid"))


def _hours(course: Course, begins: dt.datetime, frame: _Frame, foot: float) -> list[Html]:
    marks = []
    for at_s, text in clock_ticks(begins, course.end_s, 10):
        x = f"{frame.x(at_s):.1f}"
        line = el("line", x1=x, x2=x, y1=f"{TOP:g}", y2=f"{foot - ROW:g}", class_="grid")
        marks.append(el("g", line, el("text", text, x=x, y=f"{foot:g}", class_="centre")))
    return marks


def _heat(course: Course, frame: _Frame) -> Html:
    points = " ".join(f"{frame.x(s):.1f},{frame.y(c):.1f}" for s, c in course.heat)
    return el("polyline", points=points, class_="heat")


def _doses(course: Course, frame: _Frame) -> list[Html]:
    """Mark what goes into the flask; doses too close for labels of their own share one."""
    foot = TOP + HEAT
    shared: list[tuple[float, str]] = []
    marks: list[Html] = []
    for bar in course.bars:
        if not bar.doses:
            continue
        x, text = frame.x(bar.start_s), " + ".join(bar.doses)
        at = f"{x:.1f}"
        marks.append(
            el("line", x1=at, x2=at, y1=f"{foot - 10:g}", y2=f"{foot + 4:g}", class_="dose")
        )
        if shared and x < shared[-1][0] + CHARACTER * (len(shared[-1][1]) + 1.5):
            shared[-1] = (shared[-1][0], f"{shared[-1][1]}, {text}")
        else:
            shared.append((x, text))
    y = f"{foot + 13:g}"
    marks += [el("text", text, x=f"{x:.1f}", y=y, class_="dosed") for x, text in shared]
    label = el("text", "into flask", x=f"{LEFT - 6:g}", y=y, class_="left")
    return [label, *marks] if marks else []


def _row(row: tuple[str, str, list[Bar]], n: int, frame: _Frame) -> list[Html]:
    name, kind, bars = row
    top = TOP + HEAT + 18 + ROW * n
    label = el("text", name, x=f"{LEFT - 6:g}", y=f"{top + 9:g}", class_="left")
    return [label, *(_bar(bar, kind, top, frame) for bar in bars)]


def _bar(bar: Bar, kind: str, top: float, frame: _Frame) -> Html:
    """Draw one bar, wide enough to be seen; two people are drawn darker than one."""
    left = frame.x(bar.start_s)
    width = max(2.5, frame.x(bar.end_s) - left)
    looks = f"{kind} two" if kind == "people" and bar.people > 1 else kind
    told = el("title", f"{bar.step}: {bar.hands or bar.step}")
    place = {"x": f"{left:.1f}", "y": f"{top:g}", "width": f"{width:.1f}"}
    return el("rect", told, height="11", class_=looks, **place)
