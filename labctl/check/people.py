"""Rules on people: who must be there, and when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

from labctl.check.seen import doses, handled, names_in
from labctl.errors import Finding, Severity
from labctl.plan import Plan
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.confirm import Confirm
from labctl.recipe.steps.wait_until import WaitUntil
from labctl.units import show

FEWEST = {"saturated": 5, "reaches": 3, "steady": 6}
STEADY_S = 120.0

NOT_ALONE = ("HF", "P(TMS)3")
"""Substances that nobody gives alone or at night."""


def unattended(plan: Plan) -> Iterator[Finding]:
    """`people.unattended`: attended stages begin in attended hours."""
    hours = plan.rig.model.site.attended
    for name in plan.recipe.head.needs.attended:
        steps = plan.top(name)
        if not steps:
            continue
        start = plan.batch.model.date + dt.timedelta(seconds=steps[0].start_s)
        if not hours.covers(start):
            message = f"stage {name} needs people and is expected to begin {start:%a %H:%M}"
            mark = plan.recipe.document.key_mark(("stages", name))
            yield mark.finding("people.unattended", message, Severity.WARNING)


def hazard_hours(plan: Plan) -> Iterator[Finding]:
    """`people.hazard_hours`: HF and P(TMS)3 are given in attended hours.

    Told by the step, also where its stage is not listed in `needs.attended`. A run that comes there
    late is refused at the step itself.
    """
    hours = plan.rig.model.site.attended
    for dose in doses(plan):
        name = next((name for name in NOT_ALONE if dose.holds(name)), "")
        step = dose.planned.step
        start = plan.batch.model.date + dt.timedelta(seconds=dose.planned.start_s)
        if name and not hours.covers(start):
            message = f"{name} is expected {start:%a %H:%M}, when nobody else is there ({hours})"
            yield step.mark.finding("people.hazard_hours", message)


def pyrophoric_alone(plan: Plan) -> Iterator[Finding]:
    """`people.pyrophoric_alone`: P(TMS)3 is given with a second person, named on the sheet."""
    given = any(dose.holds("P(TMS)3") for dose in doses(plan))
    if given and not plan.batch.model.second:
        mark = plan.batch.document.key_mark(("operator",))
        message = "P(TMS)3 burns in air and gives PH3: it needs a `second` person on the sheet"
        yield mark.finding("people.pyrophoric_alone", message)


def by_hand(plan: Plan) -> Iterator[Finding]:
    """`people.by_hand`: a sheet that names a pump, on a rig without pumps, means by hand."""
    for name, row in plan.batch.model.loads.items():
        if row.pump and row.pump not in plan.rig.model.devices:
            message = f"{plan.rig.model.name} has no pumps: {name} is injected by hand"
            mark = plan.batch.document.mark(("loads", name, "pump"))
            yield mark.finding("people.by_hand", message, Severity.WARNING)


def hf_alone(plan: Plan) -> Iterator[Finding]:
    """`people.hf_alone`: two people sign for HF before it is given, or its line is primed.

    Told by what the reagent is, whatever the verb. A signature inside an `if` or a `repeat` holds
    for the steps that follow it there, and no further.
    """
    for stage in plan.recipe.all_stages:
        yield from _unsigned(plan, stage.steps, set(_signed_by_stage(plan, stage.name)))
    given = [p.step for p in plan.steps if any(_is_hf(plan, n) for n in handled(p.step))]
    if given and not plan.batch.model.second:
        mark = plan.batch.document.key_mark(("operator",))
        yield mark.finding("people.hf_alone", "HF needs a `second` person on the sheet")


def slow_aliquots(plan: Plan) -> Iterator[Finding]:
    """`people.slow_aliquots`: where a person draws aliquots, enough of them come before a time-out.

    Saturation takes five, a target three (or one that is surely past it), and a steady peak six
    within two minutes. Fewer answer nothing: the wait ends in its `on_timeout`.
    """
    every_s = plan.scene.sample_every_s
    for planned in plan.steps if every_s else ():
        step = planned.step
        if not isinstance(step, WaitUntil) or step.condition:
            continue
        kind = "steady" if step.steady else "reaches" if step.reaches else "saturated"
        fewest = FEWEST[kind]
        allowed_s = min(step.timeout, STEADY_S) if kind == "steady" else step.timeout
        if (fewest - 1) * every_s > allowed_s:
            message = (
                f"`{kind}` takes {fewest} aliquots; one every {show(every_s, 'time')} they take "
                f"{show((fewest - 1) * every_s, 'time')}, and {show(allowed_s, 'time')} are "
                "allowed: it will time out; allow more, draw them more often (`samples`), or hold "
                "for a time"
            )
            yield step.mark.finding("people.slow_aliquots", message, Severity.WARNING)


def _signed_by_stage(plan: Plan, name: str) -> Iterator[str]:
    """Yield what was signed for in the stages before one."""
    for stage in plan.recipe.all_stages:
        if stage.name == name:
            return
        yield from map(_signed_for, stage.steps)


def _unsigned(plan: Plan, steps: Iterable[Step], signed: set[str]) -> Iterator[Finding]:
    for step in steps:
        signed.add(_signed_for(step))
        missing = [n for n in handled(step) if _is_hf(plan, n) and n not in signed]
        if missing:
            message = f"{missing[0]} needs a `confirm` by two people `for` it before"
            yield step.mark.finding("people.hf_alone", message)
        for arm in step.arms():
            yield from _unsigned(plan, arm, set(signed))


def _signed_for(step: Step) -> str:
    two = isinstance(step, Confirm) and step.who == "two people"
    return step.for_ if isinstance(step, Confirm) and two else ""


def _is_hf(plan: Plan, name: str) -> bool:
    return "HF" in names_in(plan.scene.loads[name])
