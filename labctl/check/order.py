"""Rules on the order of things; departures from a protocol are warnings."""

from __future__ import annotations

import math
from collections.abc import Iterator

from labctl.check.seen import dosed_at_c, doses_of, names_in
from labctl.chemistry.substances import SUBSTANCES
from labctl.errors import Finding, Severity
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.degas import Degas
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.hold import Hold
from labctl.recipe.steps.prime import Prime
from labctl.recipe.steps.wait_until import WaitUntil
from labctl.units import show

ZINC_C = 240.0
PUMPED_S = 1800.0
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
        for dose in (d for d in doses_of(plan, planned) if not d.by_hand):
            reagent, load = dose.reagent, dose.load
            if (
                reagent not in primed and dose.volume_ml(plan) > load.dead_ml
            ):  # less is told by fluidics.dead_volume
                primed.add(reagent)
                message = (
                    f"the line of {reagent} is dry: {show(load.dead_ml, 'volume')} of its first "
                    "dose stay in it; `prime` it before"
                )
                yield step.mark.finding("order.prime", message, Severity.WARNING)


def vacuum_after_hf(plan: Plan) -> Iterator[Finding]:
    """`order.vacuum_after_hf`: what HF brings (water) is pumped off for half an hour.

    By `hf_treat` itself; where HF is given in another way, by a `degas` before the next dose, if
    there is one.
    """
    for n, planned in enumerate(plan.steps):
        if _gives_hf(plan, planned) and _pumped_after_s(plan, n) < PUMPED_S:
            message = (
                "the source pumps 30 min after HF; a shorter vacuum leaves water that "
                "re-oxidises the surface"
            )
            mark = planned.step.mark
            yield mark.finding("order.vacuum_after_hf", message, Severity.WARNING)


def zinc_first(plan: Plan) -> Iterator[Finding]:
    """`order.zinc_first`: zinc is on the surface before HF takes the oxide off.

    HF on bare InP leaves sites that no zinc covers: the model gives QY 57 % in place of 100 %.
    """
    for n, planned in enumerate(plan.steps):
        bare = planned.before.dots and not _zinc(planned)
        if _gives_hf(plan, planned) and bare and any(map(_zinc, plan.steps[n:])):
            message = (
                "HF is given before any zinc oleate; the surface-initiated scheme exchanges In for "
                "Zn first, so that HF meets a covered surface"
            )
            yield planned.step.mark.finding("order.zinc_first", message, Severity.WARNING)


def zinc_hot(plan: Plan) -> Iterator[Finding]:
    """`order.zinc_hot`: before HF, zinc oleate is given at 240 °C at most.

    Hotter, carboxylate oxidises the surface that HF is to clean.
    """
    treated = [n for n, planned in enumerate(plan.steps) if _gives_hf(plan, planned)]
    for planned in plan.steps[: treated[-1]] if treated else ():
        at_c = dosed_at_c(planned)
        if _brings_zinc(plan, planned) and planned.before.dots and at_c > ZINC_C:
            message = (
                f"zinc oleate at {show(at_c, 'temperature')} before HF; the source exchanges at "
                f"200 °C, and above {show(ZINC_C, 'temperature')} oxide grows"
            )
            yield planned.step.mark.finding("order.zinc_hot", message, Severity.WARNING)


def sulfur_hold(plan: Plan) -> Iterator[Finding]:
    """`order.sulfur_hold`: after the chalcogenide, clusters saturate before more zinc comes.

    A `wait_until` or a `hold` between the two; without, the shell grows uneven.
    """
    waiting = ""
    for planned in plan.steps:
        step = planned.step
        if isinstance(step, WaitUntil | Hold):
            waiting = ""
        elif any(True for _ in doses_of(plan, planned)):
            if waiting and _brings_zinc(plan, planned):
                message = (
                    f"zinc oleate follows {waiting} with no hold between; wait until the peak is "
                    "saturated, so that clusters cover the surface first"
                )
                yield step.mark.finding("order.sulfur_hold", message, Severity.WARNING)
            chalcogenide = _brings_kind(plan, planned, "chalcogenide")
            after_hf = _zinc(planned) and planned.before.dots
            waiting = step.id if chalcogenide and after_hf else waiting


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


def _zinc(planned: PlannedStep) -> bool:
    return planned.before.mixture.amount_mmol("zinc oleate") > 0.0


def _gives_hf(plan: Plan, planned: PlannedStep) -> bool:
    return any(dose.holds("HF") for dose in doses_of(plan, planned))


def _pumped_after_s(plan: Plan, n: int) -> float:
    """Return for how long the flask is pumped before anything else is given; inf if nothing is."""
    given = plan.steps[n].step
    if isinstance(given, HfTreat):
        return given.vacuum.for_
    pumped_s = 0.0
    for planned in plan.steps[n + 1 :]:
        if any(not dose.holds("HF") for dose in doses_of(plan, planned)):
            return pumped_s
        pumped_s += planned.step.for_ if isinstance(planned.step, Degas) else 0.0
    return math.inf


def _brings_zinc(plan: Plan, planned: PlannedStep) -> bool:
    return any(dose.holds("zinc oleate") for dose in doses_of(plan, planned))


def _brings_kind(plan: Plan, planned: PlannedStep, kind: str) -> bool:
    return any(
        SUBSTANCES[name].kind == kind
        for dose in doses_of(plan, planned)
        for name in names_in(dose.load)
    )
