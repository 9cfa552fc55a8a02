"""A batch sheet to fill in, written from a recipe, a rig and, where there is one, an older sheet.

What was measured or is today's is left empty, and refused by name until it is entered: sample,
lots, concentrations, dates, glovebox. Vessel, people, pumps and drawn volumes are filled in.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.chemistry.reagent import parse_composition
from labctl.outlook.materials import Material, materials, reagents_of, taken
from labctl.plan import plan
from labctl.recipe.model import Reagent, Recipe
from labctl.recipe.steps.base import flattened
from labctl.recipe.steps.charge import Charge
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.inject import Inject
from labctl.rig.batch import Batch, Load, LoadedBatch
from labctl.rig.devices import PumpEntry
from labctl.rig.model import LoadedRig
from labctl.source import compose
from labctl.units import show

SPARE = 1.1
LEAST_SPARE_ML = 0.1
GRADUATION_ML = 0.05
_NOBODY = "nobody"
_DOTS_MOL_L, _STOCK_MOL_L = 50e-6, 0.5
"""Stand in for concentrations nobody knows yet; volumes that rest on them are not written."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What the sheet says of one reagent; `drawn_ml` is None where it cannot be known yet."""

    name: str
    reagent: Reagent
    material: Material
    pump: str
    drawn_ml: float | None
    measured: bool
    old: Load | None


def template(
    recipe: Recipe,
    rig: LoadedRig,
    like: Batch | None,
    today: dt.date,
    members: Sequence[Recipe] = (),
) -> str:
    """Return the text of a sheet to fill in, `like` being an older one of the same recipe.

    `members` are the recipes of its series: one sheet serves them all, so it draws for the run that
    needs most of a reagent.

    Raises:
        FindingsError: names of recipe and rig that do not meet.
    """
    made = members or (recipe,)
    vessel = _vessel(recipe, rig, like)
    pumps = _pumps(made, rig, like)
    draft = {
        name: _draft(_concentration(reagent, _old(like, name)), rig, pumps[name])
        for name, reagent in recipe.head.reagents.items()
    }
    path = like.path if like is not None and like.path else recipe.head.needs.path
    sheet = Batch(
        labctl="batch/1", sample="", operator=_NOBODY, vessel=vessel, path=path, loads=draft
    )
    batch = LoadedBatch(sheet, compose("labctl: batch/1", "<draft>"))
    planned = zip(*(materials(plan(one, rig, batch)) for one in made), strict=True)
    most = [max(each, key=lambda row: row.needed_ml) for each in planned]
    loads = [line for row in most for line in _load(_row(row, recipe, rig, like))]
    head = _head(recipe, rig, vessel, like, today, two=any(map(_needs_two, made)))
    lines = [*head, "loads:" if loads else "loads: {}"]
    return "\n".join([*lines, *loads, *_accept(like), ""])


def drawn_ml(needed_ml: float, syringe_ml: float) -> float:
    """Return how much to draw: a tenth more than needed, at least 0.1 mL, to a full 0.05 mL.

    Never more than the syringe holds; where even what is needed does not fit, `labctl check` says.

    >>> drawn_ml(8.402, 10.0), drawn_ml(0.186, 1.0), drawn_ml(9.8, 10.0)
    (9.25, 0.3, 10.0)
    """
    wanted_ml = max(SPARE * needed_ml, needed_ml + LEAST_SPARE_ML)
    return min(syringe_ml, round(math.ceil(wanted_ml / GRADUATION_ML - 1e-9) * GRADUATION_ML, 3))


def _vessel(recipe: Recipe, rig: LoadedRig, like: Batch | None) -> str:
    """Return the old sheet's vessel, or the rig's first of the size that the recipe needs."""
    vessels = rig.model.vessels
    if like is not None and like.vessel in vessels:
        return like.vessel
    needed_ml = recipe.head.needs.vessel
    fitting = [
        name
        for name, vessel in vessels.items()
        if vessel.fill and math.isclose(vessel.volume, needed_ml, rel_tol=1e-6)
    ]
    return (fitting or list(vessels))[0]


def _pumps(recipes: Sequence[Recipe], rig: LoadedRig, like: Batch | None) -> dict[str, str]:
    """Say for every reagent which pump holds it, "" for by hand.

    As on the old sheet; otherwise what is injected takes the rig's free pumps in their order, HF
    only one that is kept for it, and nothing else that one.
    """
    entries = {n: e for n, e in rig.model.devices.items() if isinstance(e, PumpEntry)}
    found = {name: row.pump if row.pump in entries else "" for name, row in _rows(like).items()}
    free = [name for name in entries if name not in found.values()]
    injected: set[str] = set().union(*map(_injected, recipes))
    reagents = recipes[0].head.reagents
    for name, reagent in reagents.items():
        if name in found or name not in injected:
            continue
        substance = parse_composition(reagent.is_).substance.name
        fitting = [p for p in free if substance in entries[p].only]
        fitting += [p for p in free if not entries[p].only and substance != "HF"]
        if fitting:
            found[name] = fitting[0]
            free.remove(fitting[0])
    return {name: found.get(name, "") for name in reagents}


def _injected(recipe: Recipe) -> set[str]:
    """Return the reagents that a pump gives if one is there."""
    return {
        reagent
        for stage in recipe.all_stages
        for step in flattened(stage.steps)
        if isinstance(step, Inject | Charge | HfTreat) and getattr(step, "by", None) != "hand"
        for reagent in reagents_of(step)
    }


def _rows(like: Batch | None) -> dict[str, Load]:
    return dict(like.loads) if like else {}


def _old(like: Batch | None, name: str) -> Load | None:
    return _rows(like).get(name)


def _draft(concentration: float | None, rig: LoadedRig, pump: str) -> Load:
    """Return a load as it is planned with: a full syringe, or by hand."""
    if not pump:
        return Load(concentration=concentration, by="hand")
    return Load(concentration=concentration, pump=pump, drawn=_syringe_ml(rig, pump))


def _syringe_ml(rig: LoadedRig, pump: str) -> float:
    entry = rig.model.devices.get(pump)
    return entry.syringe.volume_ml if isinstance(entry, PumpEntry) else 0.0


def _known(reagent: Reagent, old: Load | None) -> bool:
    """Say whether the volume of a dose can be known before today's measurement."""
    composition = parse_composition(reagent.is_)
    if old is not None and old.concentration is not None:
        return True
    return isinstance(reagent.concentration, float) or composition.solvent is None


def _concentration(reagent: Reagent, old: Load | None) -> float | None:
    if old is not None and old.concentration is not None:
        return old.concentration
    if _known(reagent, old):
        return None
    particles = parse_composition(reagent.is_).substance.state == "particle"
    return _DOTS_MOL_L if particles else _STOCK_MOL_L


def _row(material: Material, recipe: Recipe, rig: LoadedRig, like: Batch | None) -> _Row:
    name = material.reagent
    reagent, old = recipe.head.reagents[name], _old(like, name)
    pump = "" if material.drawn_ml is None else material.by
    drawn: float | None = None
    if pump and _known(reagent, old):
        same = old is not None and old.pump == pump and old.drawn >= material.needed_ml
        drawn = old.drawn if old and same else drawn_ml(material.needed_ml, _syringe_ml(rig, pump))
    measured = reagent.concentration == "from batch" or bool(old and old.concentration is not None)
    return _Row(name, reagent, material, pump, drawn, measured, old)


def _head(
    recipe: Recipe,
    rig: LoadedRig,
    vessel: str,
    like: Batch | None,
    today: dt.date,
    *,
    two: bool,
) -> Iterator[str]:
    head = recipe.head
    yield _noted("labctl: batch/1", f"for {head.name} on {rig.model.name}")
    yield _noted(f"date: {today} 09:00", "when it starts, local time at the rig")
    yield _noted("sample:", f"today's; last {like.sample}" if like else "the name of what is made")
    if like is not None and like.golden:
        yield _noted(f"golden: {_text(like.golden)}", "last good batch")
    yield _noted(f"operator: {_text(like.operator)}" if like else "operator:", "who runs it")
    second = like.second if like else ""
    if second or two:
        yield _noted(
            f"second: {_text(second)}" if second else "second:", "the other one of two people"
        )
    yield _noted(f"vessel: {vessel}", f"{show(rig.model.vessels[vessel].volume, 'volume')}")
    if like is not None and like.path is not None:
        yield _noted(f"path: {show(like.path, 'length')}", "of the tip that is on the probe today")
    elif head.needs.path is not None:
        most = show(head.needs.path, "length")
        yield _noted("path:", f"of the tip that is on the probe today, {most} at most")
    if like is not None and like.box is not None:
        yield _noted("box: {O2: , H2O: }", "what the glovebox shows now")
    if like is not None and like.scrubber:
        yield _noted(f"scrubber: {_text(like.scrubber)}", "what is in it today")
    elif rig.model.exhaust is not None and rig.model.exhaust.scrubber is not None:
        known = ", ".join(rig.model.exhaust.scrubber.asked_at_start)
        yield _noted("scrubber:", f"what is in it today, of {known}; two in a row as KOH, CuSO4")


def _needs_two(recipe: Recipe) -> bool:
    held = (parse_composition(reagent.is_) for reagent in recipe.head.reagents.values())
    if any("pyrophoric" in composition.substance.hazards for composition in held):
        return True
    steps = (step for stage in recipe.all_stages for step in flattened(stage.steps))
    return any(isinstance(s, HfTreat) or getattr(s, "who", "") == "two people" for s in steps)


def _load(row: _Row) -> Iterator[str]:
    old, reagent = row.old, row.reagent
    yield _noted(f"  {row.name}:", f"{reagent.is_}: {_needs(row)}")
    yield _noted("    lot:", f"last {old.lot}" if old and old.lot else "as on the bottle")
    if reagent.made or (old and old.made):
        yield _noted("    made:", f"{reagent.made or ''}; last {old.made}" if old else "same day")
    if row.measured:
        last = old.concentration if old else None
        said = "measured" if last is None else f"measured; last {_strength(last)}"
        yield _noted("    concentration:", said)
    if reagent.gate or (old and old.gate):
        was = f"last {old.gate}" if old and old.gate else ""
        yield _noted("    gate:", "; ".join(filter(None, [reagent.gate, was])))
    if not row.pump:
        yield "    by: hand"
        return
    yield f"    pump: {row.pump}"
    if row.drawn_ml is None:
        yield _noted("    drawn:", "follows from the concentration; `labctl check` says the least")
    else:
        spare_ml = row.drawn_ml - row.material.needed_ml
        yield _noted(f"    drawn: {row.drawn_ml:g} mL", f"{spare_ml:.3f} mL of it spare")


def _accept(like: Batch | None) -> Iterator[str]:
    """Accept nothing, and tell what the old sheet accepted: each day is somebody's decision."""
    yield "accept: {}"
    if like is not None and like.accept:
        yield "# Accepted last time; if it still holds, put it under `accept` with name and date:"
        for rule, row in like.accept.items():
            yield f"#   {rule}: {{reason: {_text(row.reason)}, by: {row.by}, date: {row.date}}}"


def _needs(row: _Row) -> str:
    """Say how much is needed, as far as it can be known."""
    if not _known(row.reagent, row.old):
        return "the volume follows from its concentration"
    if not row.pump:
        return taken(row.material)
    material = row.material
    return f"{material.doses_ml:.3f} mL for doses, {material.priming_ml:.3f} mL for the line"


def _strength(mol_l: float) -> str:
    return f"{mol_l * 1e6:.4g} umol/L" if mol_l < 1e-3 else show(mol_l, "concentration")


def _noted(field: str, note: str) -> str:
    """Put a comment behind a field."""
    return f"{field:<30} # {note.strip('; ')}" if note.strip("; ") else field


def _text(value: str) -> str:
    """Quote a text that YAML could take for something else."""
    plain = value and value[0].isalpha() and not set(value) & set(":#{}[],&*!|>'\"%@`\n")
    return value if plain else "'" + value.replace("'", "''") + "'"


def empty_fields(tree: object, place: Sequence[str] = ()) -> Iterator[str]:
    """Yield the names of the fields that a sheet leaves empty.

    >>> list(empty_fields({"sample": "", "loads": {"ZN": {"lot": "", "pump": "pump_1"}}}))
    ['sample', 'loads.ZN.lot']
    """
    if isinstance(tree, dict):
        for key, inner in tree.items():
            yield from empty_fields(inner, (*place, str(key)))
    elif tree == "":
        yield ".".join(place)
