"""Rules on what a step does by itself when it fails: nothing that only a person may decide."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.errors import Finding, Severity
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.base import flattened
from labctl.recipe.steps.confirm import Confirm


def skipped(plan: Plan) -> Iterator[Finding]:
    """`failing.skipped`: what makes the flask inert or clean, or is signed, is never skipped.

    Neither by `on_fail: skip` of its own, nor of a step that it is in.
    """
    for planned in plan.steps:
        inner = flattened((planned.step,))
        kept = [step.verb for step in inner if step.protects or isinstance(step, Confirm)]
        if planned.step.on_fail == "skip" and kept:
            message = (
                f"a failed {kept[0]} is not skipped: it makes the flask inert or clean, or is "
                "signed; write `on_fail: ask` or `park`"
            )
            yield _at(planned, "failing.skipped", message)


def repeated(plan: Plan) -> Iterator[Finding]:
    """`failing.repeated`: an addition that failed is not begun again without a person.

    What was given is not given again; whether the rest should be is a decision.
    """
    for planned in plan.steps:
        adds = [step.verb for step in flattened((planned.step,)) if step.once]
        if planned.step.on_fail == "retry" and adds:
            message = f"a failed {adds[0]} is begun again by a person only; write `on_fail: ask`"
            yield _at(planned, "failing.repeated", message)


def unparked(plan: Plan) -> Iterator[Finding]:
    """`failing.unparked`: a stage that may be parked says at which temperature, in `park`."""
    told: set[str] = set()
    for planned in plan.steps:
        stage = planned.stage
        if planned.step.on_fail != "park" or stage in told or stage in plan.recipe.head.park:
            continue
        told.add(stage)
        message = f"{stage} has no temperature in `park`: parked, its heat is switched off"
        yield _at(planned, "failing.unparked", message, Severity.WARNING)


def _at(
    planned: PlannedStep, rule: str, message: str, severity: Severity = Severity.ERROR
) -> Finding:
    return planned.step.mark.finding(rule, message, severity)
