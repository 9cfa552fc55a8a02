"""Recipe × rig × batch -> Plan: roles bound, volumes computed, the flask after every step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

from labctl.bench import Estimate, Loaded, Scene
from labctl.capabilities import SyringePump
from labctl.chemistry.flask import Flask
from labctl.chemistry.reagent import Composition, parse_composition, volume_for_ml
from labctl.errors import Finding, FindingsError, RefusedError, nearest
from labctl.recipe.model import Reagent, Recipe
from labctl.recipe.steps.base import Step, flattened
from labctl.registry import load
from labctl.rig.batch import LoadedBatch
from labctl.rig.devices import HeaterEntry, PersonEntry, PumpEntry
from labctl.rig.model import LoadedRig, Vessel
from labctl.rig.twinning import path_mm_of
from labctl.source import Mark
from labctl.units import show

NOMINAL_AMBIENT_MBAR = 1005.0
ROOM_C = 22.0
MOST_ROUNDS = 1000
OPTIONAL_ROLES = frozenset({"jack"})


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of the plan: when it starts, what it takes, the flask before and after.

    `times` is how often it is done at most: the rounds of the repeats around it.
    """

    step: Step
    stage: str
    start_s: float
    estimate: Estimate
    before: Flask
    after: Flask
    parent: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe bound to a rig and a batch; frozen."""

    recipe: Recipe
    rig: LoadedRig
    batch: LoadedBatch
    scene: Scene
    vessel: Vessel
    steps: tuple[PlannedStep, ...]

    @property
    def total_s(self) -> float:
        """The expected duration, in s."""
        return sum(planned.estimate.duration_s for planned in self.steps if not planned.parent)

    @property
    def repeats(self) -> bool:
        """Whether anything is done more than once."""
        return any(planned.times > 1 for planned in self.steps)

    def in_round(self, number: int) -> Plan:
        """Return the plan with the flask as it is in an earlier round of each repeat, from 1."""
        return replace(self, steps=tuple(_walk(self.recipe, self.scene, number)))

    def top(self, stage: str) -> list[PlannedStep]:
        """Return the planned steps of a stage, without those inside others."""
        return [planned for planned in self.steps if planned.stage == stage and not planned.parent]


def plan(recipe: Recipe, rig: LoadedRig, batch: LoadedBatch) -> Plan:
    """Bind a recipe to a rig and a batch.

    Raises:
        FindingsError: names that do not meet: reagents, pumps, vessel, roles.
    """
    findings = [*_loads_meet(recipe, batch, rig), *_vessel_meets(recipe, batch, rig)]
    findings += _roles_meet(recipe, rig, batch)
    if findings:
        raise FindingsError(findings)
    scene = _scene(recipe, rig, batch)
    vessel = rig.model.vessels[batch.model.vessel]
    return Plan(recipe, rig, batch, scene, vessel, tuple(_walk(recipe, scene)))


def load_of(name: str, reagent: Reagent, rig: LoadedRig, batch: LoadedBatch) -> Loaded:
    """Return a reagent as it stands today: composition, concentration, pump and line."""
    row = batch.model.loads[name]
    composition = parse_composition(reagent.is_)
    stated = reagent.concentration
    nominal = stated if isinstance(stated, float) else None
    concentration = row.concentration if row.concentration is not None else nominal
    entry = rig.model.devices.get(row.pump)
    if not isinstance(entry, PumpEntry):
        return Loaded(name, composition, concentration, keep_at_c=reagent.keep_at)
    return Loaded(
        name,
        composition,
        concentration,
        row.pump,
        row.drawn,
        entry.line.dead,
        entry.line.hold_up,
        entry.syringe.volume_ml,
        entry.calibration.delivered if entry.calibration else 1.0,
        pump_limits(entry),
        reagent.keep_at,
        entry.valve,
        entry.warmed_by,
    )


def pump_limits(entry: PumpEntry) -> tuple[float, float]:
    """Return the least and greatest rate of a pump with its syringe, in mL/min."""
    pump = cast("SyringePump", load("drivers", entry.kind))
    return pump.rates_ml_min(entry.syringe.bore)


def _scene(recipe: Recipe, rig: LoadedRig, batch: LoadedBatch) -> Scene:
    model = rig.model
    vessel = model.vessels[batch.model.vessel]
    heater = model.devices.get(rig.entry("heater")[0])
    power, high_c = 1.0, vessel.max_T
    if isinstance(heater, HeaterEntry):
        power, high_c = heater.limits.power, min(high_c, heater.limits.setpoint[1])
    person = model.devices.get(rig.person)
    samples = person.samples if isinstance(person, PersonEntry) else None
    by_person = rig.entry("absorbance")[0] in {rig.person, ""}
    loads = {
        name: load_of(name, reagent, rig, batch) for name, reagent in recipe.head.reagents.items()
    }
    return Scene(
        vessel.volume,
        vessel.glass_j_k,
        vessel.mantle * power,
        high_c,
        NOMINAL_AMBIENT_MBAR,
        loads,
        rig.entry("manifold")[0] == rig.person,
        samples.every if samples and by_person else 0.0,
    )


def _walk(recipe: Recipe, scene: Scene, number: int = MOST_ROUNDS) -> Iterator[PlannedStep]:
    flask, at_s = Flask(temperature_c=ROOM_C), 0.0
    for stage in recipe.all_stages:
        for step in stage.steps:
            estimate = step.estimate(flask, scene)
            after = step.effect(flask, scene)
            yield PlannedStep(step, stage.name, at_s, estimate, flask, after)
            for child, inside, grown, times in _inner(step, flask, scene, number):
                inner = child.estimate(inside, scene)
                yield PlannedStep(child, stage.name, at_s, inner, inside, grown, step.id, times)
            flask = after
            at_s += estimate.duration_s if math.isfinite(estimate.duration_s) else 0.0


def _inner(
    step: Step, flask: Flask, scene: Scene, number: int, times: int = 1
) -> Iterator[tuple[Step, Flask, Flask, int]]:
    """Yield the steps inside a step: the flask before and after, how often each is done at most.

    Of a repeat it is the round of that number, or the last one allowed: the flask holds most then.
    """
    rounds = times * step.rounds()
    for arm in step.arms():
        before = flask
        for _ in range(min(number, step.rounds()) - 1):
            before = _after(arm, before, scene)
        for child in arm:
            after = child.effect(before, scene)
            yield child, before, after, rounds
            yield from _inner(child, before, scene, number, rounds)
            before = after


def _after(steps: tuple[Step, ...], flask: Flask, scene: Scene) -> Flask:
    for step in steps:
        flask = step.effect(flask, scene)
    return flask


def _loads_meet(recipe: Recipe, batch: LoadedBatch, rig: LoadedRig) -> Iterator[Finding]:
    loads, document = batch.model.loads, batch.document
    for name, reagent in recipe.head.reagents.items():
        if name not in loads:
            mark = document.key_mark(("loads",))
            message = f"reagent {name} of the recipe is not loaded today{nearest(name, loads)}"
            yield mark.finding("batch.not_loaded", message)
            continue
        row = loads[name]
        pumps = [n for n, e in rig.model.devices.items() if isinstance(e, PumpEntry)]
        if row.pump and pumps and row.pump not in pumps:
            message = f"{name} is in {row.pump!r}, which is no pump of {rig.model.name}"
            mark = document.mark(("loads", name, "pump"))
            yield mark.finding("batch.unknown_pump", message + nearest(row.pump, pumps))
        yield from _concentration(name, reagent, batch)
    for name in loads:
        if name not in recipe.head.reagents:
            message = f"load {name!r} is no reagent of the recipe"
            mark = document.key_mark(("loads", name))
            hint = nearest(name, recipe.head.reagents)
            yield mark.finding("batch.unknown_reagent", message + hint)


def _concentration(name: str, reagent: Reagent, batch: LoadedBatch) -> Iterator[Finding]:
    row = batch.model.loads[name]
    mark = batch.document.key_mark(("loads", name))
    if reagent.concentration == "from batch" and row.concentration is None:
        message = f"the recipe takes the concentration of {name} from the batch; it is not given"
        yield mark.finding("batch.no_concentration", message)
        return
    try:
        composition: Composition = parse_composition(reagent.is_)
        stated = row.concentration if row.concentration is not None else reagent.concentration
        volume_for_ml(composition, 1e-6, stated if isinstance(stated, float) else None)
    except RefusedError as error:
        yield mark.finding("batch.concentration", f"{name}: {error}")


def _vessel_meets(recipe: Recipe, batch: LoadedBatch, rig: LoadedRig) -> Iterator[Finding]:
    name, vessels = batch.model.vessel, rig.model.vessels
    mark = batch.document.mark(("vessel",))
    if name not in vessels:
        message = f"vessel {name!r} is not one of {rig.model.name}{nearest(name, vessels)}"
        yield mark.finding("batch.unknown_vessel", message)
    elif not math.isclose(vessels[name].volume, recipe.head.needs.vessel, rel_tol=1e-6):
        asked, has = recipe.head.needs.vessel, vessels[name].volume
        message = f"the recipe needs a vessel of {show(asked, 'volume')}; {name} has {has:g} mL"
        yield mark.finding("needs.vessel", message)


def _roles_meet(recipe: Recipe, rig: LoadedRig, batch: LoadedBatch) -> list[Finding]:
    return [
        *_tracks_meet(recipe, rig),
        *_path_meets(recipe, rig, batch),
        *_pumps_meet(recipe, rig, batch),
        *_steps_meet(recipe, rig),
    ]


def _tracks_meet(recipe: Recipe, rig: LoadedRig) -> Iterator[Finding]:
    person = rig.model.devices.get(rig.person)
    samples = isinstance(person, PersonEntry) and person.samples
    for track in recipe.head.needs.in_loop:
        if track not in rig.model.roles and not samples:
            message = f"{rig.model.name} has no {track}; bind it, or give the person `samples`"
            mark = recipe.document.key_mark(("needs", "in_loop"))
            yield mark.finding("needs.in_loop", message)


def _path_meets(recipe: Recipe, rig: LoadedRig, batch: LoadedBatch) -> Iterator[Finding]:
    longest_mm = recipe.head.needs.path
    path_mm = batch.model.path or path_mm_of(rig)
    if longest_mm is None or "absorbance" not in rig.model.roles or path_mm <= longest_mm:
        return
    message = (
        f"the sample lets light through {show(longest_mm, 'length')} at most; the probe's path is "
        f"{show(path_mm, 'length')}: screw on a shorter tip and give its `path` on the batch sheet"
    )
    yield recipe.document.mark(("needs", "path")).finding("needs.path", message)


def _pumps_meet(recipe: Recipe, rig: LoadedRig, batch: LoadedBatch) -> Iterator[Finding]:
    loaded = len({row.pump for row in batch.model.loads.values() if row.pump})
    needed = recipe.head.needs.pumps
    if loaded < needed and not rig.entry("operator")[0]:
        message = f"{needed} pumps are needed; the batch sheet loads {loaded}, and nobody injects"
        yield recipe.document.mark(("needs", "pumps")).finding("needs.pumps", message)


def _steps_meet(recipe: Recipe, rig: LoadedRig) -> Iterator[Finding]:
    steps = [step for stage in recipe.all_stages for step in flattened(stage.steps)]
    missing = {
        role: step
        for step in reversed(steps)
        for role in step.roles()
        if role not in rig.model.roles and role not in OPTIONAL_ROLES
    }
    for role, step in missing.items():
        yield _unbound(role, step, rig, step.mark)


def _unbound(role: str, step: Step, rig: LoadedRig, mark: Mark) -> Finding:
    message = f"{step.verb} needs the role {role!r}, which {rig.model.name} does not bind"
    return mark.finding("needs.role", message)
