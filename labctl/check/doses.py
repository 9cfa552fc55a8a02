"""Rules on syringes and pumps: is there enough, does it fit, can the pump go that fast or slow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from labctl.errors import Finding, Severity
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.charge import Charge
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.inject import Inject
from labctl.recipe.steps.prime import SPARE, Prime
from labctl.recipe.steps.weigh import Weigh
from labctl.source import Place
from labctl.units import show


def beyond_syringe(plan: Plan) -> Iterator[Finding]:
    """`doses.beyond_syringe`: no dose, and no filling, exceeds the syringe."""
    for planned, reagent, volume_ml, place in _pumped(plan):
        load = plan.scene.loads[reagent]
        wanted_ml = volume_ml / load.fraction
        if wanted_ml > load.syringe_ml:
            message = (
                f"{planned.step.id}: {show(wanted_ml, 'volume')} of {reagent} do not fit into the "
                f"{show(load.syringe_ml, 'volume')} syringe of {load.pump}"
            )
            yield plan.recipe.document.mark(place).finding("doses.beyond_syringe", message)
    for name, row in plan.batch.model.loads.items():
        load = plan.scene.loads[name]
        if load.pump and row.drawn > load.syringe_ml:
            message = (
                f"{name}: {show(row.drawn, 'volume')} cannot be drawn into the "
                f"{show(load.syringe_ml, 'volume')} syringe of {row.pump}"
            )
            mark = plan.batch.document.mark(("loads", name, "drawn"))
            yield mark.finding("doses.beyond_syringe", message)


def not_enough(plan: Plan) -> Iterator[Finding]:
    """`doses.not_enough`: what is drawn covers all doses, priming and the hanging drop."""
    needed: dict[str, float] = defaultdict(float)
    for planned, reagent, volume_ml, _ in _pumped(plan):
        shots = planned.step.shots if isinstance(planned.step, Weigh) else 1
        fraction = plan.scene.loads[reagent].fraction
        needed[reagent] += planned.times * shots * volume_ml / fraction
    for planned in plan.steps:
        if isinstance(planned.step, Prime):
            for reagent in planned.step.reagents:
                load = plan.scene.loads[reagent]
                if load.pump:
                    needed[reagent] += planned.times * (SPARE * load.dead_ml + load.hold_up_ml)
    for reagent, needed_ml in needed.items():
        load = plan.scene.loads[reagent]
        if needed_ml > load.drawn_ml:
            message = (
                f"{reagent}: {show(load.drawn_ml, 'volume')} are drawn; doses and priming need "
                f"{show(needed_ml, 'volume')}"
            )
            mark = plan.batch.document.mark(("loads", reagent, "drawn"))
            yield mark.finding("doses.not_enough", message)


def rate(plan: Plan) -> Iterator[Finding]:
    """`doses.rate`: the pump with its syringe can push that fast, and that slowly."""
    for planned, reagent, volume_ml, place in _pumped(plan):
        load = plan.scene.loads[reagent]
        over_s = getattr(planned.step, "over", None) or getattr(planned.step, "within", None)
        if not over_s:
            continue
        asked = volume_ml / load.fraction / over_s * 60
        low, high = load.rates_ml_min
        if not low <= asked <= high:
            message = (
                f"{planned.step.id}: {reagent} at {show(asked, 'volume rate')} is outside what "
                f"{load.pump} can do: {show(low, 'volume rate')} to {show(high, 'volume rate')}"
            )
            yield plan.recipe.document.mark(place).finding("doses.rate", message)


def same_day(plan: Plan) -> Iterator[Finding]:
    """`doses.same_day`: what the recipe wants made the same day is of today."""
    today = plan.batch.model.date.date()
    for name, reagent in plan.recipe.head.reagents.items():
        made = plan.batch.model.loads[name].made
        if reagent.made == "same day" and made != today:
            when = f"on {made}" if made else "nobody says when"
            message = f"{name} is to be made on the day of the run, {today}; it was made {when}"
            place = ("loads", name, "made") if made else ("loads", name)
            mark = plan.batch.document.mark(place)
            yield mark.finding("doses.same_day", message, Severity.WARNING)


def _pumped(plan: Plan) -> Iterator[tuple[PlannedStep, str, float, Place]]:
    """Yield every dose that a pump gives: step, reagent, mL, and the place that says how much."""
    for planned in plan.steps:
        for reagent, amount, volume, place in _doses(planned):
            if plan.scene.loads[reagent].pump and getattr(planned.step, "by", None) != "hand":
                volume_ml = plan.scene.volume_ml(reagent, amount, volume)
                yield planned, reagent, volume_ml, (*planned.step.place, *place)


def _doses(planned: PlannedStep) -> Iterator[tuple[str, float | None, float | None, Place]]:
    step = planned.step
    if isinstance(step, Charge):
        yield step.reagent, step.amount, step.volume, (_measure(step.amount),)
    elif isinstance(step, HfTreat):
        yield step.reagent, step.amount, None, ("amount",)
    elif isinstance(step, Weigh):
        yield step.reagent, None, step.volume, ("volume",)
    elif isinstance(step, Inject):
        for n, part in enumerate(step.parts()):
            inside: Place = ("together", n) if step.together else ()
            yield part.reagent, part.amount, part.volume, (*inside, _measure(part.amount))


def _measure(amount: float | None) -> str:
    return "volume" if amount is None else "amount"
