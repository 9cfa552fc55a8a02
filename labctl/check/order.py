"""Rules on the order of things; departures from a protocol are warnings."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.errors import Finding, Severity
from labctl.plan import Plan
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.inject import Inject
from labctl.recipe.steps.prime import Prime
from labctl.recipe.steps.wait_until import WaitUntil
from labctl.units import show

SE_CLUSTERS_BELOW_C = 240.0  # clusters form for long; from here on they crystallise


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


def prime(plan: Plan) -> Iterator[Finding]:
    """`order.prime`: a line is primed before its first dose, or keeps its dead volume back."""
    primed: set[str] = set()
    for planned in plan.steps:
        step = planned.step
        if isinstance(step, Prime):
            primed |= set(step.reagents)
        for reagent in _dosed(step):
            load = plan.scene.loads[reagent]
            if load.pump and reagent not in primed:
                primed.add(reagent)
                message = (
                    f"the line of {reagent} is dry: {show(load.dead_ml, 'volume')} of its first "
                    "dose stay in it; `prime` it before"
                )
                yield step.mark.finding("order.prime", message, Severity.WARNING)


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


def pl_not_the_end(plan: Plan) -> Iterator[Finding]:
    """`order.pl_not_the_end`: with selenide below 240 °C, PL rises on and is no end to wait for."""
    for planned in plan.steps:
        step, before = planned.step, planned.before
        asked = isinstance(step, WaitUntil) and step.also_flat == "pl"
        selenide = before.mixture.amount_mmol("TOP selenide") > 0.0
        if asked and selenide and before.temperature_c < SE_CLUSTERS_BELOW_C:
            message = (
                f"with selenide at {show(before.temperature_c, 'temperature')} PL goes on rising "
                "for half an hour after 1S has saturated: `also_flat: pl` will time out, or end "
                "late; wait for the peak, then hold for a time"
            )
            yield step.mark.finding("order.pl_not_the_end", message, Severity.WARNING)


def _dosed(step: Step) -> tuple[str, ...]:
    if isinstance(step, Inject):
        return tuple(part.reagent for part in step.parts())
    return (step.reagent,) if isinstance(step, HfTreat) else ()
