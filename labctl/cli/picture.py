"""The timeline as a picture of characters: stages as bars, marks for people and dangers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from labctl.cli.text import Paint, clipped, columns, padded
from labctl.outlook.course import MARKED, Bar, Course, clock_ticks

NARROWEST = 24
LABEL = 12
BAR, ONE, TWO, DANGER = "█", "▴", "▲", "▓"


def picture(course: Course, begins: dt.datetime, paint: Paint, room: int = 0) -> list[str]:
    """Draw a course in so many columns, those of the terminal unless given; at least 24."""
    if course.end_s <= 0:
        return []
    names = [*(span.name for span in course.stages), "people", *MARKED]
    label = min(LABEL, max(map(len, names)))
    width = max(NARROWEST, (room or columns()) - 4 - label - 1)
    stages = [
        (span.name, _drawn(course, width, [(span.start_s, span.end_s, BAR)]), "cyan")
        for span in course.stages
    ]
    rows = [("", _axis(course, begins, width), "dim"), *stages]
    rows.append(("people", _drawn(course, width, _hands(course.bars)), "yellow"))
    for danger in MARKED:
        met = [(bar.start_s, bar.end_s, DANGER) for bar in course.bars if danger in bar.dangers]
        if met:
            rows.append((danger, _drawn(course, width, met), "red"))
    lines = [
        f"  {padded(clipped(name, label), label)} {paint(drawn.rstrip(), style)}".rstrip()
        for name, drawn, style in rows
    ]
    return [*lines, f"  {ONE} one person is needed  {TWO} two"]


def _axis(course: Course, begins: dt.datetime, width: int) -> str:
    """Write times of the clock, each beginning over the moment it names."""
    cells = [" "] * width
    for at_s, text in clock_ticks(begins, course.end_s, max(1, width // 9)):
        at = int(at_s / course.end_s * width)
        if at + len(text) <= width:
            cells[at : at + len(text)] = text
    return "".join(cells)


def _drawn(course: Course, width: int, spans: Iterable[tuple[float, float, str]]) -> str:
    """Fill the columns that a span touches; what is shorter than one column still shows."""
    cells = [" "] * width
    for start_s, end_s, sign in spans:
        first = min(width - 1, int(start_s / course.end_s * width + 1e-9))
        last = max(first + 1, round(end_s / course.end_s * width))
        for at in range(first, min(width, last)):
            cells[at] = max(cells[at], sign, key=(" ", ONE, BAR, DANGER, TWO).index)
    return "".join(cells)


def _hands(bars: Iterable[Bar]) -> list[tuple[float, float, str]]:
    return [(bar.start_s, bar.end_s, TWO if bar.people > 1 else ONE) for bar in bars if bar.people]
