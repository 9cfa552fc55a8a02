"""Rules on what the rig can reach and must not exceed."""

from __future__ import annotations

import math
from collections.abc import Iterator

from labctl.errors import Finding
from labctl.plan import Plan, PlannedStep
from labctl.units import show

FIELDS = ("to", "at")
_LONGEST_S = 366 * 86400.0


def temperature(plan: Plan) -> Iterator[Finding]:
    """`limits.temperature`: no step asks for more than the heater's or the vessel's limit."""
    for planned in plan.steps:
        for field, asked_c in _asked(planned):
            if asked_c > plan.scene.max_c:
                place = (*planned.step.place, field)
                message = (
                    f"{planned.step.verb}.{field} is {show(asked_c, 'temperature')}; the most "
                    f"allowed on {plan.rig.model.name} is {show(plan.scene.max_c, 'temperature')}"
                )
                mark = plan.recipe.document.mark(place)
                yield mark.finding("limits.temperature", message)


def needs(plan: Plan) -> Iterator[Finding]:
    """`limits.needs`: the rig reaches the temperature that the recipe says it needs."""
    asked_c = plan.recipe.head.needs.max_T
    if asked_c > plan.scene.max_c:
        message = (
            f"the recipe needs {show(asked_c, 'temperature')}; {plan.rig.model.name} with "
            f"{plan.batch.model.vessel} allows {show(plan.scene.max_c, 'temperature')}"
        )
        mark = plan.recipe.document.mark(("needs", "max_T"))
        yield mark.finding("limits.needs", message)


def heater(plan: Plan) -> Iterator[Finding]:
    """`limits.heater`: the heater has the power to reach what is asked."""
    for planned in plan.steps:
        if not math.isfinite(planned.estimate.duration_s) and not planned.parent:
            message = (
                f"{planned.step.summary()} cannot be reached: {plan.scene.heater_w:g} W do not "
                "hold that temperature against the losses"
            )
            yield planned.step.mark.finding("limits.heater", message)


def duration(plan: Plan) -> Iterator[Finding]:
    """`limits.duration`: no step is expected to take longer than a year."""
    for planned in plan.steps:
        takes_s = planned.estimate.duration_s
        if _LONGEST_S < takes_s < math.inf and not planned.parent:
            message = f"{planned.step.summary()} would take {takes_s / 86400:.3g} days"
            yield planned.step.mark.finding("limits.duration", message)


def _asked(planned: PlannedStep) -> Iterator[tuple[str, float]]:
    for field in FIELDS:
        value = getattr(planned.step, field, None)
        if isinstance(value, float):
            yield field, value
