"""What a plan takes: volumes per reagent, the fullest flask, and when hands are needed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from labctl.bench import Loaded, Scene
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.charge import Charge
from labctl.recipe.steps.confirm import Confirm
from labctl.recipe.steps.flush import Flush
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.inject import Inject
from labctl.recipe.steps.prime import SPARE, Prime
from labctl.recipe.steps.weigh import Weigh
from labctl.units import show


@dataclass(frozen=True, slots=True)
class Material:
    """One reagent of a plan; volumes in mL. `drawn_ml` is None where it is added by hand.

    `mind` is what its maker and user must mind: temperature, purity, age. `mass_g` is what the
    doses weigh where it is added neat by hand; `weighed` tells a solid: it has no volume to draw.
    `left_ml` stays in the syringe: the spare.
    """

    reagent: str
    composition: str
    lot: str
    mind: tuple[str, ...]
    by: str
    concentration_mol_l: float | None
    doses_ml: float
    priming_ml: float
    drawn_ml: float | None
    mass_g: float | None
    weighed: bool
    hazards: tuple[str, ...]

    @property
    def needed_ml(self) -> float:
        """Doses and priming together."""
        return self.doses_ml + self.priming_ml

    @property
    def left_ml(self) -> float | None:
        """What stays in the syringe; None where it is added by hand."""
        return None if self.drawn_ml is None else self.drawn_ml - self.needed_ml


@dataclass(frozen=True, slots=True)
class Fullest:
    """When the flask holds most: hot and cold mL, °C, and the most that the vessel allows."""

    step: str
    hot_ml: float
    cold_ml: float
    at_c: float
    limit_ml: float | None


@dataclass(frozen=True, slots=True)
class Needed:
    """When a person is needed: rig's local time, s since the start, and for what."""

    at: dt.datetime
    start_s: float
    stage: str
    step: str
    what: str
    items: tuple[str, ...]


def materials(plan: Plan) -> list[Material]:
    """Return what each reagent is needed for, in the order of the recipe."""
    doses = dict.fromkeys(plan.scene.loads, 0.0)
    priming = dict.fromkeys(plan.scene.loads, 0.0)
    for planned in plan.steps:
        for reagent, amount, volume in _parts(planned.step):
            load = plan.scene.loads[reagent]
            given_ml = _volume_ml(plan.scene, load, amount, volume) / load.fraction
            doses[reagent] += planned.times * given_ml
        if isinstance(planned.step, Prime):
            for reagent in planned.step.reagents:
                load = plan.scene.loads[reagent]
                if load.pump:
                    priming[reagent] += planned.times * (SPARE * load.dead_ml + load.hold_up_ml)
        if isinstance(planned.step, Weigh):
            step = planned.step
            shot_ml = step.volume / plan.scene.loads[step.reagent].fraction
            doses[step.reagent] += planned.times * step.shots * shot_ml
    return [_material(plan, name, doses[name], priming[name]) for name in plan.scene.loads]


def fullest(plan: Plan) -> Fullest:
    """Return when the flask holds most, judged on the hot volume."""
    steps = [planned for planned in plan.steps if not planned.parent]
    planned = max(steps, key=lambda p: p.after.hot_volume_ml(_hotter(p)))
    limit = plan.vessel.fill[1] if plan.vessel.fill else None
    at_c = _hotter(planned)
    after = planned.after
    return Fullest(planned.step.id, after.hot_volume_ml(at_c), after.volume_ml(), at_c, limit)


def needed(plan: Plan) -> Iterator[Needed]:
    """Yield every time a person is needed, in order."""
    for planned in plan.steps:
        if planned.estimate.hands and not planned.parent:
            at = plan.batch.model.date + dt.timedelta(seconds=planned.start_s)
            step = planned.step
            items = step.list_ if isinstance(step, Confirm) else ()
            what = planned.estimate.hands
            yield Needed(at, planned.start_s, planned.stage, step.id, what, items)


def _material(plan: Plan, name: str, doses_ml: float, priming_ml: float) -> Material:
    load, row = plan.scene.loads[name], plan.batch.model.loads[name]
    reagent = plan.recipe.head.reagents[name]
    keep = "" if load.keep_at_c is None else f"keep at {show(load.keep_at_c, 'temperature')}"
    made = f"made the {reagent.made}" if reagent.made else ""
    return Material(
        name,
        reagent.is_,
        row.lot,
        tuple(filter(None, (keep, reagent.gate, made))),
        load.pump or "hand",
        load.concentration_mol_l,
        doses_ml,
        priming_ml,
        load.drawn_ml if load.pump else None,
        None if load.pump else mass_g(load, doses_ml),
        _is_weighed(load),
        hazards(plan, name),
    )


def _volume_ml(scene: Scene, load: Loaded, amount: float | None, volume: float | None) -> float:
    """Return the volume of a dose in mL; a solid is weighed, and has the volume of its amount."""
    if volume is None and _is_weighed(load):
        return (amount or 0.0) * load.composition.substance.molar_volume_ml_mmol
    return scene.volume_ml(load.name, amount, volume)


def _is_weighed(load: Loaded) -> bool:
    return load.composition.substance.state == "solid" and load.composition.solvent is None


def mass_g(load: Loaded, volume_ml: float) -> float | None:
    """Return what a volume of a neat solid or liquid weighs, in g; None for a solution."""
    what = load.composition
    if what.solvent is not None or what.mass_fraction is not None or what.saturated:
        return None
    if what.substance.state not in {"solid", "liquid"}:
        return None
    return volume_ml * what.substance.density_g_ml


def taken(row: Material) -> str:
    """Say what a person weighs or measures of what is added by hand: mg or g, or mL with the mass.

    Solids are weighed; a neat liquid may be, so both are given.
    """
    volume = f"{row.doses_ml:.3f} mL"
    if row.mass_g is None:
        return volume
    mass = f"{row.mass_g:.3f} g" if row.mass_g >= 1 else f"{row.mass_g * 1e3:.1f} mg"
    return mass if row.weighed else f"{volume} ({mass})"


def hazards(plan: Plan, reagent: str) -> tuple[str, ...]:
    """Return the hazards of a reagent, of its solvent, and what the recipe says of it."""
    what = plan.scene.loads[reagent].composition
    found = what.substance.hazards | (what.solvent.hazards if what.solvent else frozenset())
    stated = plan.recipe.head.reagents[reagent].hazard
    return tuple(dict.fromkeys((*sorted(found), *filter(None, [stated]))))


def reagents_of(step: Step) -> tuple[str, ...]:
    """Return the reagents that a step handles: doses, primes or flushes."""
    if isinstance(step, Prime):
        return step.reagents
    if isinstance(step, Flush):
        return tuple(step.lines)
    if isinstance(step, Weigh):
        return (step.reagent,)
    return tuple(reagent for reagent, _, _ in _parts(step))


def _parts(step: Step) -> list[tuple[str, float | None, float | None]]:
    """Return the doses of a step: reagent, mmol, mL."""
    if isinstance(step, Inject):
        return [(part.reagent, part.amount, part.volume) for part in step.parts()]
    if isinstance(step, Charge):
        return [(step.reagent, step.amount, step.volume)]
    if isinstance(step, HfTreat):
        return [(step.reagent, step.amount, None)]
    return []


def _hotter(planned: PlannedStep) -> float:
    return max(planned.before.temperature_c, planned.after.temperature_c)
