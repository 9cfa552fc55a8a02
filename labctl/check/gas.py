"""Rules on gas: closed and cooling flasks, what flashes or boils, and gas that a reaction makes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from labctl.check.seen import (
    Dose,
    at,
    described,
    dosed_at_c,
    doses,
    doses_of,
    heated_to,
    met,
    volatiles,
)
from labctl.chemistry.flask import Atmosphere
from labctl.chemistry.gas import closed_heating_ratio, drawn_in_ml, gas_volume_ml
from labctl.chemistry.mixture import Mixture
from labctl.chemistry.substances import SUBSTANCES
from labctl.chemistry.vapour import boiling_point_c
from labctl.errors import Finding, Severity
from labctl.plan import Plan, PlannedStep
from labctl.units import parse, show

RISES_K, COOLS_K = 15.0, 15.0
FLASHES_ABOVE_K = 20.0
FLASH_PER_OIL = 0.02  # 0.1 mL in 5 mL of oil
FLASH_ML_MIN = 0.06
RESIDUAL_SHARE = 0.01
RESIDUAL_C = 150.0
KETONISES_C = 300.0
TRACE_MMOL = 0.1
_VOLUME = re.compile(r"\d+\.?\d*\s*(?:mL|ml)")


def closed_heating(plan: Plan) -> Iterator[Finding]:
    """`gas.closed_heating`: a flask that is heated by more than 15 K is open to a bubbler.

    Heated shut from 120 to 320 °C the gas reaches 1.5 times its pressure; joints lift at 1.1.
    """
    if _bubbler(plan):
        return
    for planned in plan.steps:
        goal = heated_to(planned.step)
        inert = planned.before.atmosphere is not Atmosphere.VACUUM
        from_c = planned.before.temperature_c
        if goal is not None and inert and goal[1] - from_c > RISES_K:
            ratio = closed_heating_ratio(from_c, goal[1])
            message = (
                f"heated from {show(from_c, 'temperature')} to {show(goal[1], 'temperature')} with "
                f"no bubbler on {plan.rig.model.name}, the gas reaches {ratio:.2f} times its "
                "pressure; joints lift at 1.1"
            )
            place = (*planned.step.place, goal[0])
            yield at(plan, place, "gas.closed_heating", message, Severity.ERROR)
            return


def suck_back(plan: Plan) -> Iterator[Finding]:
    """`gas.suck_back`: a suck-back trap takes what a cooling flask draws out of the bubbler.

    From 320 to 25 °C half the gas contracts; without the trap, bubbler oil or the scrubber's water
    comes onto hot oil as soon as the gas supply fails. The largest cooling is told.
    """
    exhaust = plan.rig.model.exhaust
    if exhaust is None or "bubbler" not in exhaust.from_:
        return
    traps = [text for text in exhaust.through if "suck-back" in text]
    holds_ml = sum(_stated_ml(text) for text in traps)
    cooled = [(_drawn_ml(plan, p), p) for p in plan.steps if _cools(p)]
    if not cooled:
        return
    drawn_ml, worst = max(cooled, key=lambda pair: pair[0])
    if drawn_ml <= holds_ml:
        return
    stands = f"the trap holds {show(holds_ml, 'volume')}" if traps else "there is no suck-back trap"
    message = (
        f"cooling from {show(worst.before.temperature_c, 'temperature')} to "
        f"{show(worst.after.temperature_c, 'temperature')} draws in "
        f"{show(drawn_ml, 'volume', 3)} from the bubbler if the gas supply fails; {stands}"
    )
    yield worst.step.mark.finding("gas.suck_back", message)


def flash(plan: Plan) -> Iterator[Finding]:
    """`gas.flash`: a liquid that boils 20 K below the flask is given little and slowly.

    At most 0.1 mL per 5 mL of oil and 0.06 mL/min, or it flashes and throws the oil out.
    """
    for dose in doses(plan):
        at_c = dosed_at_c(dose.planned)
        flashing = _flashing(plan, dose, at_c)
        if not flashing:
            continue
        oil_ml = dose.planned.before.volume_ml()
        liquid_ml = Mixture.of(flashing).volume_ml()
        rate = dose.volume_ml(plan) / dose.over_s * 60 if dose.over_s else float("inf")
        if liquid_ml > FLASH_PER_OIL * oil_ml or rate > FLASH_ML_MIN:
            yield at(plan, dose.place, "gas.flash", _flash_says(plan, dose, flashing, at_c, rate),
                     Severity.ERROR)  # fmt: skip


def boiling(plan: Plan) -> Iterator[Finding]:
    """`gas.boiling`: no step heats the flask above the bubble point of what it holds."""
    for planned, field, to_c, boils_c in _above_bubble(plan):
        mixture = planned.before.mixture
        if mixture.volatile_fraction() <= RESIDUAL_SHARE:
            message = (
                f"the flask boils at {show(boils_c, 'temperature', 4)} and "
                f"{show(plan.scene.ambient_mbar, 'pressure')} ({described(mixture)}); "
                f"{show(to_c, 'temperature')} is asked for"
            )
            place = (*planned.step.place, field)
            yield at(plan, place, "gas.boiling", message, Severity.ERROR)


def residual_solvent(plan: Plan) -> Iterator[Finding]:
    """`gas.residual_solvent`: the solvent of a stock is stripped before the flask goes past 150 °C.

    Half a millilitre of toluene in 11 mL of squalane brings the bubble point to 194 °C.
    """
    for planned in plan.steps:
        goal, mixture = heated_to(planned.step), planned.before.mixture
        share = mixture.volatile_fraction()
        if goal is None or goal[1] <= RESIDUAL_C or share <= RESIDUAL_SHARE:
            continue
        names = ", ".join(f"{mmol:.2g} mmol {name}" for name, mmol in volatiles(mixture).items())
        boils_c = mixture.bubble_point_c(plan.scene.ambient_mbar)
        message = (
            f"the flask still holds {names} when it is heated to "
            f"{show(goal[1], 'temperature')}; it boils at {show(boils_c, 'temperature', 3)}: "
            "strip it before"
        )
        place = (*planned.step.place, goal[0])
        yield at(plan, place, "gas.residual_solvent", message, Severity.ERROR)
        return


def ketonisation(plan: Plan) -> Iterator[Finding]:
    """`gas.ketonisation`: above 300 °C free fatty acid turns to ketone, CO2 and water.

    2 RCOOH give one of each; the water oxidises InP again.
    """
    for planned in plan.steps:
        goal, mixture = heated_to(planned.step), planned.before.mixture
        acid = mixture.amount_mmol("oleic acid") + mixture.amount_mmol("stearic acid")
        if goal is not None and goal[1] > KETONISES_C and acid > TRACE_MMOL:
            volume_ml = gas_volume_ml(acid, goal[1], plan.scene.ambient_mbar)
            message = (
                f"{acid:.3g} mmol of free acid at {show(goal[1], 'temperature')} make up to "
                f"{show(volume_ml, 'volume', 3)} of CO2 and steam"
            )
            place = (*planned.step.place, goal[0])
            yield at(plan, place, "gas.ketonisation", message, Severity.WARNING)


def phosphine(plan: Plan) -> Iterator[Finding]:
    """`gas.phosphine`: P(TMS)3 does not meet acid, water or alcohol in the flask: it makes PH3.

    Whichever of the two comes second, or both in one step.
    """
    for planned in plan.steps:
        held = met(plan, planned)
        phosphine, protons = held.amount_mmol("P(TMS)3"), _protons(held.amounts)
        second = [d for d in doses_of(plan, planned) if _makes_ph3(d.brings(plan))]
        if second and phosphine > 0 and protons > TRACE_MMOL:
            made = min(protons / 3, phosphine)
            message = (
                f"P(TMS)3 meets {protons:.3g} mmol of acid, water or alcohol in the flask and "
                f"makes up to {show(gas_volume_ml(made), 'volume', 3)} of PH3; degas the acid out "
                "before"
            )
            yield at(plan, second[-1].place, "gas.phosphine", message, Severity.ERROR)


PROTIC = frozenset({"water", "ethanol", "isopropanol"})


def _makes_ph3(brought: Mapping[str, float]) -> bool:
    return brought.get("P(TMS)3", 0.0) > 0 or _protons(brought) > TRACE_MMOL


def _protons(amounts: Mapping[str, float]) -> float:
    return sum(
        mmol
        for name, mmol in amounts.items()
        if SUBSTANCES[name].kind in {"acid", "fatty acid"} or name in PROTIC
    )


def _bubbler(plan: Plan) -> bool:
    exhaust = plan.rig.model.exhaust
    return exhaust is not None and "bubbler" in exhaust.from_


def _stated_ml(text: str) -> float:
    found = _VOLUME.search(text)
    return parse(found[0], "volume").value if found else 0.0


def _cools(planned: PlannedStep) -> bool:
    fell_k = planned.before.temperature_c - planned.after.temperature_c
    return fell_k > COOLS_K and planned.before.atmosphere is not Atmosphere.VACUUM


def _drawn_ml(plan: Plan, planned: PlannedStep) -> float:
    hot_c, cold_c = planned.before.temperature_c, planned.after.temperature_c
    headspace_ml = max(0.0, plan.scene.vessel_ml - planned.after.hot_volume_ml())
    return drawn_in_ml(headspace_ml, hot_c, cold_c)


def _flashing(plan: Plan, dose: Dose, at_c: float) -> Mapping[str, float]:
    """Return the mmol that boil well below the flask; nothing for what is charged cold."""
    if at_c - FLASHES_ABOVE_K < min(map(_boils_c, _names(dose)), default=float("inf")):
        return {}
    return {
        name: mmol
        for name, mmol in dose.brings(plan).items()
        if _boils_c(name) < at_c - FLASHES_ABOVE_K
    }


def _names(dose: Dose) -> list[str]:
    composition = dose.load.composition
    solvent = [composition.solvent.name] if composition.solvent else []
    return [composition.substance.name, *solvent]


def _boils_c(name: str) -> float:
    return boiling_point_c(SUBSTANCES[name])


def _flash_says(
    plan: Plan, dose: Dose, flashing: Mapping[str, float], at_c: float, rate: float
) -> str:
    gas_ml = gas_volume_ml(sum(flashing.values()), at_c, plan.scene.ambient_mbar)
    space_ml = plan.scene.vessel_ml - dose.planned.before.hot_volume_ml(at_c)
    liquid_ml = Mixture.of(flashing).volume_ml()
    return (
        f"{show(liquid_ml, 'volume', 3)} of {', '.join(flashing)} into "
        f"{show(at_c, 'temperature')} at {show(rate, 'volume rate', 3)} make "
        f"{show(gas_ml, 'volume', 3)} of gas over {show(space_ml, 'volume', 3)} of headspace; at "
        f"most 2 % of the oil and {show(FLASH_ML_MIN, 'volume rate')}"
    )


def _above_bubble(plan: Plan) -> Iterator[tuple[PlannedStep, str, float, float]]:
    for planned in plan.steps:
        goal = heated_to(planned.step)
        if goal is None or planned.before.atmosphere is Atmosphere.VACUUM:
            continue
        boils_c = planned.before.mixture.bubble_point_c(plan.scene.ambient_mbar)
        if goal[1] > boils_c:
            yield planned, *goal, boils_c
