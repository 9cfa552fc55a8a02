"""What the rules look at: every dose, every evacuation, and how hot a step makes the flask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labctl.bench import Loaded
from labctl.chemistry.flask import Atmosphere, Flask
from labctl.chemistry.mixture import VOLATILE_BELOW_C, Mixture
from labctl.chemistry.substances import SUBSTANCES
from labctl.chemistry.vapour import boiling_point_c
from labctl.errors import Finding, Severity
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.backfill import Backfill
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.charge import Charge
from labctl.recipe.steps.degas import Degas
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.inject import Inject
from labctl.recipe.steps.leak_test import LeakTest
from labctl.recipe.steps.ramp import Ramp
from labctl.recipe.steps.sequences import ROUGH_ENOUGH_MBAR
from labctl.recipe.steps.strip import Strip
from labctl.source import Place

LOWEST_MBAR = 1e-3


@dataclass(frozen=True, slots=True)
class Evacuation:
    """A vacuum that a step opens over the flask: mbar, s, °C.

    `rough_mbar` is where the rough pump ends, `over_s` 0 where it is opened at once, `to_mbar` the
    lowest pressure asked for; `opens_c` is the flask when it opens, `hottest_c` what follows.
    """

    planned: PlannedStep
    rough_mbar: float
    to_mbar: float
    over_s: float
    opens_c: float
    hottest_c: float
    fine: bool
    contents: Mixture


@dataclass(frozen=True, slots=True)
class Dose:
    """One reagent that a step gives: mL, what it brings in mmol, s (0 if no time is said)."""

    planned: PlannedStep
    reagent: str
    load: Loaded
    amount_mmol: float | None
    asked_ml: float | None
    over_s: float
    by_hand: bool
    place: Place

    def volume_ml(self, plan: Plan) -> float:
        """Return the volume at today's concentration; 0 for a solid that is weighed."""
        composition = self.load.composition
        if composition.solvent is None and composition.substance.state == "solid":
            return 0.0
        return plan.scene.volume_ml(self.reagent, self.amount_mmol, self.asked_ml)

    def takes_s(self, plan: Plan) -> float:
        """Return how long it takes to go in: a charge by hand comes at once, one by pump not."""
        if self.by_hand or not isinstance(self.planned.step, Charge):
            return self.over_s
        return self.planned.step.over_s(plan.scene)

    def brings(self, plan: Plan) -> Mapping[str, float]:
        """Return the mmol by substance."""
        if isinstance(self.planned.step, Charge):
            return self.planned.step.effect(Flask(), plan.scene).mixture.amounts
        return plan.scene.contents(self.reagent, self.volume_ml(plan))

    def holds(self, *names: str) -> bool:
        """Say whether the reagent is, or is dissolved in, one of the substances."""
        return bool(names_in(self.load) & set(names))


def evacuations(plan: Plan) -> Iterator[Evacuation]:
    """Yield every vacuum that is opened over the flask, in order."""
    for planned in plan.steps:
        found = _evacuation(plan, planned)
        if found is not None:
            yield found


def _evacuation(plan: Plan, planned: PlannedStep) -> Evacuation | None:
    step, before = planned.step, planned.before
    rough, at_c, held = ROUGH_ENOUGH_MBAR, before.temperature_c, before.mixture
    if isinstance(step, LeakTest):
        return Evacuation(planned, rough, _above(step.pump_to), 0.0, at_c, at_c, True, held)
    if isinstance(step, Degas):
        hot_c = max(at_c, step.at)
        return Evacuation(planned, rough, _above(step.below), 0.0, at_c, hot_c, True, held)
    if isinstance(step, Strip):
        low = _above(step.down_to)
        return Evacuation(planned, low, low, step.over, step.at, step.at, False, held)
    if isinstance(step, HfTreat):
        low = _above(step.open_vacuum.down_to)
        volume_ml = plan.scene.volume_ml(step.reagent, step.amount, None)
        treated = held.add(plan.scene.contents(step.reagent, volume_ml))
        over_s = step.open_vacuum.over
        return Evacuation(planned, low, low, over_s, step.at, step.at, True, treated)
    if isinstance(step, Backfill) and step.cycles > (before.atmosphere is Atmosphere.VACUUM):
        return Evacuation(planned, rough, rough, 0.0, at_c, at_c, False, held)
    return None


def _above(pressure_mbar: float) -> float:
    return max(pressure_mbar, LOWEST_MBAR)


def doses(plan: Plan) -> Iterator[Dose]:
    """Yield every dose into the flask, by pump or by hand."""
    for planned in plan.steps:
        yield from doses_of(plan, planned)


def doses_of(plan: Plan, planned: PlannedStep) -> Iterator[Dose]:
    """Yield the doses of one step."""
    step = planned.step
    over_s = float(getattr(step, "over", None) or getattr(step, "within", None) or 0.0)
    if isinstance(step, HfTreat):
        yield _dose(plan, planned, step.reagent, step.amount, None, over_s, ("amount",))
    elif isinstance(step, Charge):
        place = _measure(step.amount)
        yield _dose(plan, planned, step.reagent, step.amount, step.volume, 0.0, place)
    elif isinstance(step, Inject):
        for n, part in enumerate(step.parts()):
            inside: Place = ("together", n) if step.together else ()
            place = (*inside, *_measure(part.amount))
            yield _dose(plan, planned, part.reagent, part.amount, part.volume, over_s, place)


def handled(step: Step) -> tuple[str, ...]:
    """Return the reagents that a step gives or primes, whatever its verb."""
    parts = step.parts() if isinstance(step, Inject) else ()
    one = getattr(step, "reagent", "") if not parts else ""
    several = getattr(step, "reagents", ())
    return (*(part.reagent for part in parts), *((one,) if one else ()), *several)


def met(plan: Plan, planned: PlannedStep) -> Mixture:
    """Return what meets in the flask at a step: what it held, and all that the step gives."""
    mixture = planned.before.mixture
    for dose in doses_of(plan, planned):
        mixture = mixture.add(dose.brings(plan))
    return mixture


def _measure(amount: float | None) -> Place:
    return ("volume",) if amount is None else ("amount",)


def _dose(
    plan: Plan,
    planned: PlannedStep,
    reagent: str,
    amount_mmol: float | None,
    volume_ml: float | None,
    over_s: float,
    place: Place,
) -> Dose:
    load, step = plan.scene.loads[reagent], planned.step
    by_hand = getattr(step, "by", None) == "hand" or not load.pump
    where = (*step.place, *place)
    return Dose(planned, reagent, load, amount_mmol, volume_ml, over_s, by_hand, where)


def dosed_at_c(planned: PlannedStep) -> float:
    """Return the flask's temperature when a step gives its dose, in °C."""
    at_c = getattr(planned.step, "at", None)
    return float(at_c) if isinstance(at_c, float) else planned.before.temperature_c


def heated_to(step: Step) -> tuple[str, float] | None:
    """Return the field and the °C of what a step sets the flask to; None where it sets nothing."""
    if isinstance(step, Ramp):
        return "to", step.to
    if isinstance(step, Inject | Degas | Strip | HfTreat) and step.at is not None:
        return "at", step.at
    return None


def names_in(load: Loaded) -> set[str]:
    """Return the canonical names of a reagent and its solvent; an aqueous acid brings water."""
    composition = load.composition
    names = {composition.substance.name}
    if composition.solvent is not None:
        names.add(composition.solvent.name)
    if composition.mass_fraction is not None:
        names.add("water")
    return names


def volatiles(mixture: Mixture) -> dict[str, float]:
    """Return the mmol of what boils below 160 °C at 1 atm, by name."""
    return {
        name: mmol
        for name, mmol in mixture.parts
        if boiling_point_c(SUBSTANCES[name]) < VOLATILE_BELOW_C
    }


def bulk(mixture: Mixture) -> Mixture:
    """Return the mixture without its volatile part."""
    for name in volatiles(mixture):
        mixture = mixture.remove(name)
    return mixture


def described(mixture: Mixture) -> str:
    """Say what a mixture is made of, its three largest parts in mol %."""
    shares = sorted(((mixture.mole_fraction(n), n) for n, _ in _liquid(mixture)), reverse=True)
    return ", ".join(f"{name} {share:.0%}" for share, name in shares[:3])


def _liquid(mixture: Mixture) -> list[tuple[str, float]]:
    return [(name, mmol) for name, mmol in mixture.parts if SUBSTANCES[name].state != "particle"]


def at(plan: Plan, place: Place, rule: str, message: str, severity: Severity) -> Finding:
    """Make a finding at a place of the recipe."""
    return plan.recipe.document.mark(place).finding(rule, message, severity)
