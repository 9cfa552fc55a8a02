"""Rules on how full the flask is, judged on the hot volume."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.errors import Finding, Severity
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.aliquot import Aliquot
from labctl.units import show

REACTION_C = 60.0


def fill_high(plan: Plan) -> Iterator[Finding]:
    """`vessel.fill_high`: the hot liquid never exceeds the vessel's fill; the first step tells."""
    if plan.vessel.fill is None:
        return
    high_ml = plan.vessel.fill[1]
    for planned in _innermost(plan):
        hot_ml, at_c = _hottest(planned)
        if hot_ml > high_ml:
            message = (
                f"the flask would hold {show(hot_ml, 'volume', 3)} at {show(at_c, 'temperature')} "
                f"({planned.after.volume_ml():.1f} mL cold); the most allowed in "
                f"{plan.batch.model.vessel} is {show(high_ml, 'volume')}"
            )
            yield planned.step.mark.finding("vessel.fill_high", message)
            return


def fill_low(plan: Plan) -> Iterator[Finding]:
    """`vessel.fill_low`: thermometer and stir bar are covered when the flask is heated."""
    if plan.vessel.fill is None:
        return
    low_ml = plan.vessel.fill[0]
    for planned in _innermost(plan):
        hot_ml, at_c = _hottest(planned)
        if at_c > REACTION_C and hot_ml < low_ml:
            message = (
                f"the flask holds {show(hot_ml, 'volume', 3)} at {show(at_c, 'temperature')}; at "
                f"least {show(low_ml, 'volume')} are needed to cover thermometer and stir bar"
            )
            yield planned.step.mark.finding("vessel.fill_low", message, Severity.ERROR)
            return


def aliquot(plan: Plan) -> Iterator[Finding]:
    """`vessel.aliquot`: no aliquot takes more than the flask holds."""
    for planned in _innermost(plan):
        step, held_ml = planned.step, planned.before.volume_ml()
        if isinstance(step, Aliquot) and step.volume > held_ml:
            message = (
                f"aliquot {step.label} takes {show(step.volume, 'volume')}; "
                f"the flask holds {show(held_ml, 'volume')}"
            )
            mark = plan.recipe.document.mark((*step.place, "volume"))
            yield mark.finding("vessel.aliquot", message)


def _innermost(plan: Plan) -> Iterator[PlannedStep]:
    """Yield the steps that do something themselves, those inside others too."""
    return (planned for planned in plan.steps if not planned.step.children())


def glass(plan: Plan) -> Iterator[Finding]:
    """`vessel.glass`: the heat capacity of a flask's glass is said, or taken by its size."""
    vessel, name = plan.vessel, plan.batch.model.vessel
    if vessel.empty_heat_capacity is None:
        message = (
            f"{name} gives no `empty_heat_capacity`; {vessel.glass_j_k:.0f} J/K are taken for a "
            f"flask of {show(vessel.volume, 'volume')}; weigh it: 0.8 J/K a gram of glass"
        )
        yield plan.rig.document.mark(("vessels", name)).finding(
            "vessel.glass", message, Severity.NOTE
        )


def _hottest(planned: PlannedStep) -> tuple[float, float]:
    at_c = max(planned.before.temperature_c, planned.after.temperature_c)
    return planned.after.hot_volume_ml(at_c), at_c
