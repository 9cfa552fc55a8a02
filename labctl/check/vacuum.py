"""Rules on vacuum over the flask: what boils, foams, or goes where it must not."""

from __future__ import annotations

import math
from collections.abc import Iterator

from labctl.check.seen import Evacuation, bulk, described, evacuations, volatiles
from labctl.chemistry.acetate import half_time_s, unfreed_mmol
from labctl.chemistry.flask import Atmosphere
from labctl.chemistry.mixture import Mixture
from labctl.chemistry.substances import find
from labctl.errors import Finding, Severity, UnknownNameError
from labctl.plan import Plan
from labctl.recipe.steps.aliquot import Aliquot
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.charge import Charge
from labctl.recipe.steps.degas import Degas
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.inject import Inject
from labctl.recipe.steps.leak_test import LeakTest
from labctl.recipe.steps.prime import Prime
from labctl.recipe.steps.ramp import Ramp
from labctl.recipe.steps.sequences import ROUGH_ENOUGH_MBAR
from labctl.recipe.steps.weigh import Weigh
from labctl.rig.devices import VacuumEntry
from labctl.rules import Interlock
from labctl.units import show

BUMPS_ABOVE_K = 20.0
VOLATILE_SHARE = 0.01
SOLVENT_SHARE = 0.10
STAGED_MBAR_MIN = 66.7  # 50 Torr/min
FILL_SHARE, FOAMING_SHARE = 0.50, 0.33
ACID_SHARE = 0.05
LONG_S = 3600.0
MEETS_FINE_MMOL = 0.5
OPENS_THE_FLASK = (Inject, Charge, HfTreat, Aliquot, Prime, Weigh)


def boiling(plan: Plan) -> Iterator[Finding]:
    """`vacuum.boiling`: no vacuum is opened, and no flask heated under it, where the liquid bumps.

    The bubble point follows from the tracked contents (Raoult). Opened at once, more than 1 mol %
    of something volatile may boil at most 20 K below the flask's temperature; opened in stages it
    leaves quietly. The solvent itself must not boil at what the rough pump reaches.
    """
    for found in evacuations(plan):
        message = _bumps(found) or _boils(found)
        if message:
            yield found.planned.step.mark.finding("vacuum.boiling", message)
    for planned in plan.steps:
        step, before = planned.step, planned.before
        if isinstance(step, Ramp) and before.atmosphere is Atmosphere.VACUUM:
            boils_c = bulk(before.mixture).bubble_point_c(ROUGH_ENOUGH_MBAR)
            if step.to > boils_c:
                message = (
                    f"heated to {show(step.to, 'temperature')} under vacuum the liquid boils: "
                    f"{described(before.mixture)} at {show(boils_c, 'temperature', 3)} and "
                    f"{show(ROUGH_ENOUGH_MBAR, 'pressure')}; backfill before"
                )
                yield step.mark.finding("vacuum.boiling", message)


def too_fast(plan: Plan) -> Iterator[Finding]:
    """`vacuum.too_fast`: a staged vacuum over a solvent falls by at most 50 Torr/min as it boils.

    A few tenths of a millilitre of acetone are excepted: their gas has room in the headspace.
    """
    for found in evacuations(plan):
        solvent_ml = Mixture.of(volatiles(found.contents)).volume_ml()
        if not found.over_s or solvent_ml <= SOLVENT_SHARE * found.contents.volume_ml():
            continue
        start = min(found.contents.vapour_pressure_mbar(found.opens_c), plan.scene.ambient_mbar)
        falls = start * math.log(plan.scene.ambient_mbar / found.to_mbar) / found.over_s * 60
        if falls > STAGED_MBAR_MIN and start > found.to_mbar:
            message = (
                f"the vacuum falls by {show(falls, 'pressure rate', 3)} as "
                f"{show(solvent_ml, 'volume', 3)} of volatile solvent begin to boil at "
                f"{show(start, 'pressure', 3)}; 66.7 mbar/min at most, or it bumps: take longer"
            )
            yield found.planned.step.mark.finding("vacuum.too_fast", message, Severity.WARNING)


def foaming(plan: Plan) -> Iterator[Finding]:
    """`vacuum.foaming`: under vacuum the flask is at most half full; a third with acetate and acid.

    Acetic acid that leaves an acetate in a fatty acid foams.
    """
    for found in evacuations(plan):
        held = found.contents
        foams = _has(held, "acetate") and _has(held, "acid")
        most = FOAMING_SHARE if foams else FILL_SHARE
        hot_ml = held.volume_ml(found.hottest_c)
        if hot_ml > most * plan.scene.vessel_ml:
            why = "acetate in a fatty acid foams" if foams else "it splashes into the line"
            message = (
                f"the flask is {hot_ml / plan.scene.vessel_ml:.0%} full "
                f"({show(hot_ml, 'volume', 3)} at {show(found.hottest_c, 'temperature')}) under "
                f"vacuum; {most:.0%} at most: {why}"
            )
            yield found.planned.step.mark.finding("vacuum.foaming", message)


def acetic_acid(plan: Plan) -> Iterator[Finding]:
    """`vacuum.acetic_acid`: what an acetate gives off in a fatty acid is pumped off, hot enough.

    Without vacuum the two acids share the metal; below 100 °C the exchange takes hours. More than
    5 % of the acetic acid left at the end is a stock that is none.
    """
    charged = max((unfreed_mmol(planned.after.mixture) for planned in plan.steps), default=0.0)
    left = unfreed_mmol(plan.steps[-1].after.mixture) if plan.steps else 0.0
    if left <= ACID_SHARE * charged:
        return
    step = _drives_off(plan)
    why = (
        f"{show(step.for_, 'time')} of vacuum at {show(step.at, 'temperature')}; half of it takes "
        f"{show(half_time_s(step.at), 'time', 2)} there, and {show(half_time_s(120.0), 'time')} "
        "at 120 °C"
        if isinstance(step, Degas)
        else "nothing pumps it off: `degas` at 120 °C"
    )
    message = f"{left:.3g} of {charged:.3g} mmol acetic acid stay in the flask: {why}"
    yield step.mark.finding("vacuum.acetic_acid", message, Severity.WARNING)


def _drives_off(plan: Plan) -> Step:
    """Return the last `degas` over an acetate, else what put the acetate there."""
    over = [p.step for p in plan.steps if unfreed_mmol(p.before.mixture)]
    pumps = [step for step in over if isinstance(step, Degas)]
    brings = [p.step for p in plan.steps if unfreed_mmol(p.after.mixture)]
    return (pumps[-1:] or brings[:1])[0]


def gauge(plan: Plan) -> Iterator[Finding]:
    """`vacuum.gauge`: no flask gauge is asked for less than the vapour pressure of the solvent.

    1-octadecene has 0.62 mbar at 110 °C: the pressure a procedure gives is one behind the trap.
    """
    for found in evacuations(plan):
        step = found.planned.step
        if isinstance(step, Degas) and step.read_at == "flask":
            vapour = bulk(found.contents).vapour_pressure_mbar(step.at)
            if vapour > step.below:
                message = (
                    f"the flask never falls below {show(step.below, 'pressure', 3)}: "
                    f"{described(bulk(found.contents))} has {show(vapour, 'pressure', 3)} at "
                    f"{show(step.at, 'temperature')}; read at the line"
                )
                yield step.mark.finding("vacuum.gauge", message, Severity.WARNING)


def solvent_loss(plan: Plan) -> Iterator[Finding]:
    """`vacuum.solvent_loss`: over an hour below its vapour pressure, solvent distils into the trap.

    Needs a condenser and a cold trap; what is lost is to be weighed and made up.
    """
    for found in evacuations(plan):
        step = found.planned.step
        if isinstance(step, Degas) and step.for_ > LONG_S:
            vapour = bulk(found.contents).vapour_pressure_mbar(step.at)
            if vapour > step.below:
                message = (
                    f"{show(step.for_, 'time')} of vacuum below {show(step.below, 'pressure', 3)} "
                    f"over {described(bulk(found.contents))}, which has "
                    f"{show(vapour, 'pressure', 3)} at {show(step.at, 'temperature')}: it distils "
                    "over; fit a condenser and weigh what the trap holds"
                )
                yield step.mark.finding("vacuum.solvent_loss", message, Severity.WARNING)


def rough_only(plan: Plan) -> Iterator[Finding]:
    """`vacuum.rough_only`: volatile solvents are taken off with the rough pump before the fine one.

    HF must not reach the fine pump at all; others freeze in its cold trap, if there is one.
    """
    for found in evacuations(plan):
        meets = {
            name: mmol
            for name, mmol in volatiles(found.contents).items()
            if mmol > (0.0 if name == "HF" else MEETS_FINE_MMOL)
        }
        if not found.fine or found.over_s or not meets or _bumps(found):
            continue
        what = ", ".join(f"{mmol:.3g} mmol {name}" for name, mmol in meets.items())
        trapped = plan.rig.model.trap is not None and "HF" not in meets
        message = (
            f"the fine pump would meet {what}; "
            + ("it freezes in the trap: " if trapped else "nothing holds it back: ")
            + "take it off in stages with the rough pump before (`strip`)"
        )
        severity = Severity.WARNING if trapped else Severity.ERROR
        yield found.planned.step.mark.finding("vacuum.rough_only", message, severity)


def rough_takes(plan: Plan) -> Iterator[Finding]:
    """`vacuum.rough_takes`: the rough pump meets only what the rig says it takes."""
    rough = plan.rig.model.devices.get(plan.rig.entry("rough")[0])
    if not isinstance(rough, VacuumEntry) or not rough.takes:
        return
    takes = {_canonical(name) for name in rough.takes}
    for found in evacuations(plan):
        step = found.planned.step
        wrong = sorted(set(volatiles(found.contents)) - takes - {"water"})
        if wrong:
            message = (
                f"the rough pump would meet {', '.join(wrong)}; on {plan.rig.model.name} it takes "
                f"{', '.join(rough.takes)}"
            )
            yield step.mark.finding("vacuum.rough_takes", message)


def two_sources(plan: Plan) -> Iterator[Finding]:
    """`vacuum.two_sources`: an inhibit of the rig keeps inert gas and both vacuums apart.

    Two open at once draw the gas supply, or the rough pump's exhaust, through the fine pump.
    """
    wanted = {"n2", "vac_rough", "vac_fine"}
    if not any(True for _ in evacuations(plan)):
        return
    if not any(_keeps_apart(rule, wanted) for rule in plan.rig.model.interlocks):
        message = (
            f"{plan.rig.model.name} has no inhibit that gates n2, vac_rough and vac_fine and "
            "counts that at most one is open"
        )
        mark = plan.rig.document.key_mark(("interlocks",))
        yield mark.finding("vacuum.two_sources", message)


def hot_leak_test(plan: Plan) -> Iterator[Finding]:
    """`vacuum.hot_leak_test`: a leak is looked for in a cold flask.

    Hot solvent has a vapour pressure, 1 mbar over 1-octadecene at 120 °C, that looks like a leak.
    """
    for planned in plan.steps:
        step, before = planned.step, planned.before
        if isinstance(step, LeakTest) and before.temperature_c >= step.T_below:
            vapour = before.mixture.vapour_pressure_mbar(before.temperature_c)
            message = (
                f"the flask is at {show(before.temperature_c, 'temperature')}, where "
                f"{described(before.mixture)} has {show(vapour, 'pressure', 3)}; the test asks "
                f"for less than {show(step.T_below, 'temperature')} and would fail"
            )
            yield step.mark.finding("vacuum.hot_leak_test", message)


def backfill_first(plan: Plan) -> Iterator[Finding]:
    """`vacuum.backfill_first`: nothing is added, drawn or primed while the flask is evacuated.

    An open syringe empties itself into an evacuated flask, and a bottle lets air in.
    """
    for planned in plan.steps:
        under = planned.before.atmosphere is Atmosphere.VACUUM
        if under and isinstance(planned.step, OPENS_THE_FLASK):
            message = (
                f"{planned.step.summary()} while the flask is under vacuum since the step before: "
                f"backfill to ambient ({show(plan.scene.ambient_mbar, 'pressure')}) first"
            )
            yield planned.step.mark.finding("vacuum.backfill_first", message)


def _bumps(found: Evacuation) -> str:
    share = found.contents.volatile_fraction()
    if found.over_s or share <= VOLATILE_SHARE:
        return ""
    boils_c = found.contents.bubble_point_c(found.rough_mbar)
    if found.opens_c - boils_c <= BUMPS_ABOVE_K:
        return ""
    return (
        f"opened at once over {show(found.opens_c, 'temperature')} the liquid bumps: "
        f"{described(found.contents)} boils at {show(boils_c, 'temperature', 3)} and "
        f"{show(found.rough_mbar, 'pressure', 3)}; strip it in stages before"
    )


def _boils(found: Evacuation) -> str:
    boils_c = bulk(found.contents).bubble_point_c(found.rough_mbar)
    if found.hottest_c <= boils_c:
        return ""
    return (
        f"at {show(found.hottest_c, 'temperature')} the solvent itself boils: "
        f"{described(bulk(found.contents))} at {show(boils_c, 'temperature', 3)} and "
        f"{show(found.rough_mbar, 'pressure', 3)}"
    )


def _has(mixture: Mixture, what: str) -> bool:
    names = [name for name, _ in mixture.parts]
    return any(name.endswith(what) and name != "acetic acid" for name in names)


def _canonical(name: str) -> str:
    try:
        return find(name).name
    except UnknownNameError:
        return name


def _keeps_apart(rule: Interlock, wanted: set[str]) -> bool:
    counted = "count_open" in rule.require.text and all(w in rule.require.text for w in wanted)
    return rule.severity == "inhibit" and wanted <= set(rule.gates) and counted
