"""The course of a plan over time: which step when, how hot, who is needed, what is dangerous."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from labctl.outlook.materials import hazards, reagents_of
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.base import flattened
from labctl.recipe.steps.ramp import Ramp

MARKED = ("HF", "pyrophoric")
"""Hazards that get a mark of their own on the timeline."""
DAY_S = 86400
AT_ONCE_S = 1.0
_EVERY_S = (300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, DAY_S)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bar:
    """One step over time, in s since the start.

    `hands` is what a person is needed for, `people` how many are; `dangers` are those of `MARKED`
    that the step handles; `doses` are the reagents it brings into the flask.
    """

    step: str
    stage: str
    start_s: float
    end_s: float
    hands: str
    people: int
    dangers: tuple[str, ...]
    doses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A stage over time, in s since the start."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Course:
    """A plan over time: bars in the order of the recipe, and points (s, °C) of the flask.

    `spans` maps steps to their start and end in s: those of the bars, and, where it was simulated,
    of the steps inside others. `hands_s` is what hands are estimated to take in steps that a
    simulated person, who answers at once, does in no time; 0 for an estimated course.
    """

    bars: tuple[Bar, ...]
    heat: tuple[Point, ...]
    spans: Mapping[str, Point]
    simulated: bool = False
    hands_s: float = 0.0

    @property
    def end_s(self) -> float:
        """When the last step ends, in s."""
        return max((bar.end_s for bar in self.bars), default=0.0)

    @property
    def stages(self) -> list[Span]:
        """The stages, in order."""
        found: dict[str, Span] = {}
        for bar in self.bars:
            begun = found.get(bar.stage, Span(bar.stage, bar.start_s, bar.end_s))
            found[bar.stage] = replace(begun, end_s=max(begun.end_s, bar.end_s))
        return list(found.values())


def estimated(plan: Plan) -> Course:
    """Return the course as the steps estimate themselves."""
    top = [planned for planned in plan.steps if not planned.parent]
    bars = tuple(_bar(plan, planned) for planned in top)
    points = [point for planned in top for point in _heat(planned)]
    spans = {bar.step: (bar.start_s, bar.end_s) for bar in bars}
    return Course(bars, tuple(points), spans)


def simulated(plan: Plan, spans: Mapping[str, Point], heat: Sequence[Point]) -> Course:
    """Return the course as a dry run went: start and end of its steps in s, flask (s, °C).

    A step that the dry run did not come to has no bar.
    """
    planned = {bar.step: bar for bar in estimated(plan).bars}
    bars = tuple(
        replace(bar, start_s=spans[name][0], end_s=spans[name][1])
        for name, bar in planned.items()
        if name in spans
    )
    hands_s = sum(
        planned[bar.step].end_s - planned[bar.step].start_s
        for bar in bars
        if bar.people and bar.end_s - bar.start_s < AT_ONCE_S
    )
    return Course(bars, tuple(heat), spans, simulated=True, hands_s=hands_s)


def clock_ticks(begins: dt.datetime, length_s: float, most: int) -> list[tuple[float, str]]:
    """Return times of the clock within a course, s since it begins, at most so many.

    >>> clock_ticks(dt.datetime(2025, 11, 3, 9, 30), 7200, 3)
    [(1800.0, '10:00'), (5400.0, '11:00')]
    """
    every_s = next((s for s in _EVERY_S if length_s / s <= most), 0)
    if not every_s:
        every_s = DAY_S * math.ceil(length_s / DAY_S / max(1, most))
    midnight = begins.replace(hour=0, minute=0, second=0, microsecond=0)
    past_s = (begins - midnight).total_seconds()
    first, last = math.ceil(past_s / every_s), math.floor((past_s + length_s) / every_s)
    form = "%a" if every_s >= DAY_S else "%H:%M"
    return [
        (n * every_s - past_s, f"{midnight + dt.timedelta(seconds=n * every_s):{form}}")
        for n in range(first, last + 1)
    ]


def _bar(plan: Plan, planned: PlannedStep) -> Bar:
    step, hands = planned.step, planned.estimate.hands
    handled = [name for inner in flattened((step,)) for name in reagents_of(inner)]
    at_hand = {word for reagent in handled for word in hazards(plan, reagent)}
    duration_s = planned.estimate.duration_s
    return Bar(
        step.id,
        planned.stage,
        planned.start_s,
        planned.start_s + (duration_s if math.isfinite(duration_s) else 0.0),
        hands,
        2 if hands.startswith("two people") else 1 if hands else 0,
        tuple(word for word in MARKED if word in at_hand),
        tuple(name for inner in flattened((step,)) for name in inner.gives()),
    )


def _heat(planned: PlannedStep) -> list[Point]:
    """Give the corners of the flask's temperature during a step: there, settled, at the end."""
    duration_s = planned.estimate.duration_s
    if not math.isfinite(duration_s):
        return []
    start_s, end_s = planned.start_s, planned.start_s + duration_s
    step = planned.step
    settled_s = end_s - step.settle if isinstance(step, Ramp) else end_s
    before_c, after_c = planned.before.temperature_c, planned.after.temperature_c
    return [(start_s, before_c), (max(start_s, settled_s), after_c), (end_s, after_c)]
