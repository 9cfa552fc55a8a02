"""Rules on heat: cold additions, what a probe or a material stands, and air over hot oil."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.check.seen import Dose, at, dosed_at_c, doses_of, heated_to
from labctl.chemistry.flask import Atmosphere
from labctl.chemistry.heating import loss_w
from labctl.chemistry.mixture import Mixture
from labctl.chemistry.thermal import cold_addition_drop_k
from labctl.errors import Finding, Severity
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.charge import Charge
from labctl.recipe.steps.confirm import Confirm
from labctl.recipe.steps.degas import Degas
from labctl.recipe.steps.strip import Strip
from labctl.rig.devices import HeaterEntry, PumpEntry, SpectrometerEntry, StirrerEntry
from labctl.units import show

FALLS_K, SHOCKS_K = 10.0, 40.0
MANTLE_LAG_S = 60.0
DOSE_C = 25.0
AIR_C = 60.0
STANDS_C = {"PE": 80.0, "PP": 80.0, "FKM": 200.0, "PEEK": 250.0, "PTFE": 250.0, "PFA": 260.0}
RAISED = ("raised", "lifted", "out of", "removed", "taken out")


def cold_drop(plan: Plan) -> Iterator[Finding]:
    """`thermal.cold_drop`: a cold dose comes slowly enough for the mantle to hold the flask.

    Any dose: by pump or by hand, alone or together, HF, a charge into a hot flask. Heat capacities
    of liquid and glass, less what the mantle gives after its first minute. More than 10 K is a
    departure; more than 40 K without `keep_above` is a hazard.
    """
    for planned in plan.steps:
        given = list(doses_of(plan, planned))
        cold = Mixture()
        for dose in given:
            cold = cold.add(dose.brings(plan))
        added, held = (
            cold.heat_capacity_j_k(),
            planned.before.heat_capacity_j_k(plan.scene.glass_j_k),
        )
        if added <= 0.0:
            continue
        at_c, over_s = dosed_at_c(planned), max(dose.takes_s(plan) for dose in given)
        once_k = cold_addition_drop_k(at_c, held, DOSE_C, added)
        spare_w = max(0.0, plan.scene.heater_w - loss_w(at_c))
        falls_k = once_k - spare_w * max(0.0, over_s - MANTLE_LAG_S) / (held + added)
        if falls_k > FALLS_K:
            yield _cools(planned, given, at_c, over_s, falls_k)


def _cools(
    planned: PlannedStep, given: list[Dose], at_c: float, over_s: float, falls_k: float
) -> Finding:
    step = planned.step
    bad = falls_k > SHOCKS_K and getattr(step, "keep_above", None) is None
    named = " and ".join(dose.reagent for dose in given)
    slower = "`inject` it over minutes" if isinstance(step, Charge) else "give it more slowly"
    during = f"over {show(over_s, 'time')}" if over_s else "at once"
    message = (
        f"{named} {during} cools the flask from "
        f"{show(at_c, 'temperature')} by {falls_k:.0f} K (glass included); {slower}"
        + (", and `keep_above` a temperature" if bad else "")
    )
    severity = Severity.ERROR if bad else Severity.WARNING
    return step.mark.finding("thermal.cold_drop", message, severity)


def probe_limit(plan: Plan) -> Iterator[Finding]:
    """`thermal.probe_limit`: no probe is in the liquid above the temperature that it stands.

    A `confirm` that the optical probe is raised takes it out of the liquid.
    """
    limits, raised, told = _probes(plan), False, set[str]()
    for planned in plan.steps:
        step, goal = planned.step, heated_to(planned.step)
        if isinstance(step, Confirm):
            raised = raised or any(_says_raised(line) for line in step.list_)
        for name, (limit_c, optical) in limits.items() if goal else ():
            if goal and goal[1] > limit_c and not (optical and raised) and name not in told:
                told.add(name)
                message = (
                    f"{show(goal[1], 'temperature')} with {name} in the liquid, which stands "
                    f"{show(limit_c, 'temperature')}"
                )
                message += "; have it raised before (`confirm`)" if optical else ""
                place = (*step.place, goal[0])
                yield at(plan, place, "thermal.probe_limit", message, Severity.ERROR)


def materials(plan: Plan) -> Iterator[Finding]:
    """`thermal.materials`: PTFE stands 250 °C, PFA 260, PEEK 250, FKM 200, PP and PE 80.

    The stir bar is judged in the flask, a warm line at the temperature it is kept at.
    """
    named = plan.vessel.stir_bar.upper()
    bar_c = min((c for name, c in STANDS_C.items() if name in named.split()), default=None)
    hottest = next((p for p in plan.steps if bar_c is not None and _above(p, bar_c)), None)
    goal = heated_to(hottest.step) if hottest else None
    if hottest and goal and bar_c is not None:
        message = (
            f"the stir bar of {plan.batch.model.vessel} is {plan.vessel.stir_bar}, which stands "
            f"{show(bar_c, 'temperature')}; {show(goal[1], 'temperature')} is asked for: use a "
            "glass-coated one"
        )
        place = (*hottest.step.place, goal[0])
        yield at(plan, place, "thermal.materials", message, Severity.ERROR)
    for name, load in plan.scene.loads.items():
        entry = plan.rig.model.devices.get(load.pump)
        if load.keep_at_c is None or not isinstance(entry, PumpEntry):
            continue
        soft = [m for m in entry.wetted if STANDS_C.get(m.upper(), 1e9) < load.keep_at_c]
        if soft:
            message = (
                f"{name} is kept at {show(load.keep_at_c, 'temperature')} in {load.pump}; "
                f"{soft[0]} stands {show(STANDS_C[soft[0].upper()], 'temperature')}"
            )
            place = ("reagents", name, "keep_at")
            yield at(plan, place, "thermal.materials", message, Severity.ERROR)


def air_exposure(plan: Plan) -> Iterator[Finding]:
    """`thermal.air_exposure`: air is replaced before the flask goes above 60 °C.

    A needle through the septum under inert gas is no exposure, at any temperature.
    """
    for planned in plan.steps:
        goal = heated_to(planned.step)
        aired = planned.before.atmosphere is Atmosphere.AIR
        if goal and aired and goal[1] > AIR_C and not isinstance(planned.step, Degas | Strip):
            message = (
                f"the flask still holds air when it is heated to {show(goal[1], 'temperature')}; "
                f"evacuate and backfill before it passes {show(AIR_C, 'temperature')}"
            )
            place = (*planned.step.place, goal[0])
            yield at(plan, place, "thermal.air_exposure", message, Severity.ERROR)
            return


def _above(planned: PlannedStep, limit_c: float) -> bool:
    goal = heated_to(planned.step)
    return goal is not None and goal[1] > limit_c


def _says_raised(line: str) -> bool:
    return "probe" in line.casefold() and any(word in line.casefold() for word in RAISED)


def _probes(plan: Plan) -> dict[str, tuple[float, bool]]:
    """Return what sits in the liquid: its limit in °C, and whether it is the optical probe."""
    found: dict[str, tuple[float, bool]] = {}
    for role in ("heater", "stirrer", *plan.recipe.head.needs.in_loop):
        name = plan.rig.entry(role)[0]
        entry = plan.rig.model.devices.get(name)
        if isinstance(entry, HeaterEntry) and entry.probe and entry.probe.max is not None:
            found[f"the thermometer of {name}"] = (entry.probe.max, False)
        if isinstance(entry, StirrerEntry) and entry.probe2 and entry.probe2.max is not None:
            found[f"the thermometer of {name}"] = (entry.probe2.max, False)
        if isinstance(entry, SpectrometerEntry) and entry.probe:
            found[f"the optical probe of {name}"] = (entry.probe.max_T, True)
    return found
