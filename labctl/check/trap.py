"""Rules on the cold trap: liquid nitrogen condenses oxygen and argon, and boils away."""

from __future__ import annotations

import math
from collections.abc import Iterator

from labctl.check.seen import evacuations
from labctl.check.vacuum import MEETS_FINE_MMOL
from labctl.chemistry.acetate import unfreed_mmol
from labctl.errors import Finding, Severity
from labctl.plan import Plan
from labctl.recipe.steps.degas import Degas
from labctl.units import show

LN2 = "LN2"
ARGON_BOILS_C, LN2_BOILS_C = -185.8, -195.8


def argon(plan: Plan) -> Iterator[Finding]:
    """`trap.argon`: no argon where the trap is cooled with liquid nitrogen.

    Argon condenses there, and a trap full of it bursts as it warms.
    """
    if plan.rig.model.site.inert == "Ar" and _pumps_through_ln2(plan):
        message = (
            f"argon boils at {ARGON_BOILS_C} °C and condenses in a trap at {LN2_BOILS_C} °C; "
            "use N2, or a trap in dry ice"
        )
        yield plan.rig.document.mark(("site", "inert")).finding("trap.argon", message)


def gated(plan: Plan) -> Iterator[Finding]:
    """`trap.gated`: an inhibit opens the fine vacuum only to a low pressure and a cold trap.

    Air that is pumped or leaks through a trap in liquid nitrogen leaves liquid oxygen in it; a
    warm one lets solvent into the pump.
    """
    if not _pumps_through_ln2(plan):
        return
    rules = [rule for rule in plan.rig.model.interlocks if "vac_fine" in rule.gates]
    if not any("trap.cold" in rule.require.text and ".P" in rule.require.text for rule in rules):
        message = (
            f"{plan.rig.model.name} has no inhibit that gates vac_fine by `trap.cold` and by the "
            "flask's pressure: air would be pumped through liquid nitrogen"
        )
        yield plan.rig.document.key_mark(("interlocks",)).finding("trap.gated", message)


def dewar(plan: Plan) -> Iterator[Finding]:
    """`trap.dewar`: a vacuum that outlasts the dewar of the trap needs somebody to fill it.

    The trap is isolated before every backfill; its level is asked for as often as the rig says.
    """
    trap = plan.rig.model.trap
    if trap is None or trap.cools != LN2:
        return
    for found in evacuations(plan):
        step = found.planned.step
        if isinstance(step, Degas) and step.for_ > trap.ask_level:
            refills = math.ceil(step.for_ / trap.ask_level) - 1
            often = "once" if refills == 1 else f"{refills} times"
            message = (
                f"{show(step.for_, 'time')} of vacuum outlast the dewar: it is filled "
                f"{often} on the way, every {show(trap.ask_level, 'time')}"
            )
            yield step.mark.finding("trap.dewar", message, Severity.WARNING)


def acid(plan: Plan) -> Iterator[Finding]:
    """`trap.acid`: the acetic acid of an acetate freezes in a trap, and does not reach the pump."""
    if plan.rig.model.trap is not None:
        return
    for found in evacuations(plan):
        freed = unfreed_mmol(found.contents) if isinstance(found.planned.step, Degas) else 0.0
        if freed > MEETS_FINE_MMOL:
            message = (
                f"the fine pump would meet {freed:.3g} mmol of acetic acid: {plan.rig.model.name} "
                "has no cold trap before it; it spoils the oil and corrodes the pump"
            )
            yield found.planned.step.mark.finding("trap.acid", message)


def _pumps_through_ln2(plan: Plan) -> bool:
    trap = plan.rig.model.trap
    cold = trap is not None and trap.cools == LN2
    return cold and any(found.fine for found in evacuations(plan))
