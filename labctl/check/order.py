"""Rules on the order of things; departures from a protocol are warnings."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.errors import Finding, Severity
from labctl.plan import Plan
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.wait_until import WaitUntil


def reference(plan: Plan) -> Iterator[Finding]:
    """`order.reference`: the lamp's reference is taken before the dots, where a track needs it."""
    tracked = any(isinstance(p.step, WaitUntil) and not p.step.condition for p in plan.steps)
    if not tracked or plan.scene.sample_every_s:
        return
    for planned in plan.steps:
        if planned.after.dots and not planned.before.dots and not planned.before.referenced:
            message = (
                "dots go in before the lamp's reference was taken: there will be no absorbance, "
                "and nothing in the loop can be waited for"
            )
            yield planned.step.mark.finding("order.reference", message)
            return


def vacuum_after_hf(plan: Plan) -> Iterator[Finding]:
    """`order.vacuum_after_hf`: what HF brings (water) is pumped off for half an hour."""
    for planned in plan.steps:
        if isinstance(planned.step, HfTreat) and planned.step.vacuum.for_ < 1800.0:
            message = (
                "the source pumps 30 min after HF; a shorter vacuum leaves water that "
                "re-oxidises the surface"
            )
            mark = planned.step.mark
            yield mark.finding("order.vacuum_after_hf", message, Severity.WARNING)
