"""Rules on syringes' contents and lines: what shares one, wets one, clogs one, or stays in one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labctl.bench import Loaded
from labctl.check.seen import at, doses, doses_of, names_in
from labctl.chemistry.substances import SUBSTANCES, find
from labctl.errors import Finding, Severity, UnknownNameError
from labctl.plan import Plan
from labctl.recipe.steps.flush import Flush
from labctl.recipe.steps.prime import Prime
from labctl.rig.devices import HeaterEntry, PumpEntry
from labctl.source import Place
from labctl.units import show

DROP_SHARE = 0.05
LEAST_SHARE = 0.01
ROOM_C = 30.0
BOX_WARNS_PPM, BOX_STOPS_PPM = 1.0, 10.0
PROTIC = frozenset({"HF", "acetic acid", "ethanol", "isopropanol", "oleic acid", "water"})
SPOILS_PYROPHORIC = PROTIC | {"acetone"}
_INTO = re.compile(r"\binto\s+(\w+)")


def shared_line(plan: Plan) -> Iterator[Finding]:
    """`fluidics.shared_line`: one pump and its line hold one reagent.

    HF with an oleate makes a solid, with a chalcogenide H2S or H2Se; P(TMS)3 with anything protic
    makes PH3: in a syringe there is no room for the gas.
    """
    holds: dict[str, str] = {}
    for name, load in plan.scene.loads.items():
        other = holds.setdefault(load.pump, name) if load.pump else name
        if other != name:
            made = _made(plan.scene.loads[other], load)
            message = f"{load.pump} already holds {other}; one syringe holds one reagent"
            message += f", and these two make {made}" if made else ""
            mark = plan.batch.document.mark(("loads", name, "pump"))
            yield mark.finding("fluidics.shared_line", message)


def only(plan: Plan) -> Iterator[Finding]:
    """`fluidics.only`: a pump that the rig keeps for one substance holds no other."""
    for name, load in plan.scene.loads.items():
        entry = plan.rig.model.devices.get(load.pump)
        if isinstance(entry, PumpEntry) and entry.only:
            kept = {_canonical(word) for word in entry.only}
            substance = load.composition.substance.name
            if substance not in kept:
                message = f"{load.pump} is kept for {', '.join(entry.only)}; {name} is {substance}"
                mark = plan.batch.document.mark(("loads", name, "pump"))
                yield mark.finding("fluidics.only", message)


def wetted(plan: Plan) -> Iterator[Finding]:
    """`fluidics.wetted`: a pump wets only what the recipe allows, and never FKM with acetone."""
    for name, reagent in plan.recipe.head.reagents.items():
        load = plan.scene.loads[name]
        entry = plan.rig.model.devices.get(load.pump)
        if not isinstance(entry, PumpEntry) or load.composition.substance.name == "HF":
            continue
        allowed = {material.casefold() for material in reagent.wetted}
        wrong = [part for part in entry.wetted if allowed and part.casefold() not in allowed]
        if "acetone" in names_in(load):
            wrong += [part for part in entry.wetted if part.upper() == "FKM"]
        if wrong:
            allows = ", ".join(reagent.wetted) or "no FKM"
            message = f"{load.pump} wets {', '.join(wrong)}; {name} may touch {allows}"
            mark = plan.rig.document.mark(("devices", load.pump, "wetted"))
            yield mark.finding("fluidics.wetted", message)


def dead_volume(plan: Plan) -> Iterator[Finding]:
    """`fluidics.dead_volume`: a first dose into a dry line is more than the line holds."""
    wet: set[str] = set()
    for planned in plan.steps:
        if isinstance(planned.step, Prime):
            wet |= set(planned.step.reagents)
        for dose in (d for d in doses_of(plan, planned) if not d.by_hand):
            volume_ml = dose.volume_ml(plan)
            if dose.reagent not in wet and volume_ml <= dose.load.dead_ml:
                message = (
                    f"{volume_ml * 1e3:.3g} µL of {dose.reagent} stay in the dry line "
                    f"of {dose.load.dead_ml * 1e3:.3g} µL: nothing arrives; `prime` it before"
                )
                yield at(plan, dose.place, "fluidics.dead_volume", message, Severity.ERROR)
            wet.add(dose.reagent)


def hanging_drop(plan: Plan) -> Iterator[Finding]:
    """`fluidics.hanging_drop`: the drop that stays at the tip is at most 5 % of a dose.

    A primed line gives all but that; dilute the stock, or give so little by hand.
    """
    for dose in doses(plan):
        volume_ml = dose.volume_ml(plan)
        given = not dose.by_hand and volume_ml > 0
        if given and dose.load.hold_up_ml > DROP_SHARE * volume_ml:
            message = (
                f"the hanging drop of {dose.load.pump}, {dose.load.hold_up_ml * 1e3:.3g} µL, is "
                f"{dose.load.hold_up_ml / volume_ml:.1%} of {volume_ml * 1e3:.3g} µL of "
                f"{dose.reagent}; dilute it, or give it by hand"
            )
            yield at(plan, dose.place, "fluidics.hanging_drop", message, Severity.WARNING)


def least_dose(plan: Plan) -> Iterator[Finding]:
    """`fluidics.least_dose`: a dose is at least 1 % of its syringe; less is not well metered."""
    for dose in doses(plan):
        volume_ml, full_ml = dose.volume_ml(plan), dose.load.syringe_ml
        if not dose.by_hand and volume_ml < LEAST_SHARE * full_ml:
            message = (
                f"{volume_ml * 1e3:.3g} µL of {dose.reagent} are {volume_ml / full_ml:.1%} of the "
                f"{show(full_ml, 'volume')} syringe of {dose.load.pump}; use a smaller one"
            )
            yield at(plan, dose.place, "fluidics.least_dose", message, Severity.WARNING)


def cold_line(plan: Plan) -> Iterator[Finding]:
    """`fluidics.cold_line`: a reagent that must be kept warm is in a pump that something warms.

    Zinc oleate is a wax at room temperature: a cold line plugs. More than the warmer can do is an
    error, since the line would never be released.
    """
    for name, load in plan.scene.loads.items():
        if not load.pump or load.keep_at_c is None or load.keep_at_c <= ROOM_C:
            continue
        warmer = plan.rig.model.devices.get(load.warmed_by)
        place: Place = ("reagents", name, "keep_at")
        wants = f"{name} is to be kept at {show(load.keep_at_c, 'temperature')}"
        if not load.warmed_by:
            message = f"{wants}; nothing warms {load.pump}, and its line may plug"
            yield at(plan, place, "fluidics.cold_line", message, Severity.WARNING)
        elif isinstance(warmer, HeaterEntry) and load.keep_at_c > warmer.limits.setpoint[1]:
            most = show(warmer.limits.setpoint[1], "temperature")
            message = f"{wants}; {load.warmed_by} goes to {most} at most"
            yield at(plan, place, "fluidics.cold_line", message, Severity.ERROR)


def pyrophoric(plan: Plan) -> Iterator[Finding]:
    """`fluidics.pyrophoric`: what catches fire in air is drawn in the glovebox, and says so."""
    for name, reagent in plan.recipe.head.reagents.items():
        if _pyrophoric(plan.scene.loads[name]) and reagent.drawn_in != "glovebox":
            message = (
                f"{name} ({plan.scene.loads[name].composition.substance.name}) catches fire in "
                "air: draw it in the glovebox, gastight, and write `drawn_in: glovebox`"
            )
            mark = plan.recipe.document.key_mark(("reagents", name))
            yield mark.finding("fluidics.pyrophoric", message)


def glovebox(plan: Plan) -> Iterator[Finding]:
    """`fluidics.glovebox`: O2 and H2O of the box are on the sheet, below 1 ppm; over 10 stops."""
    drawn = [name for name, r in plan.recipe.head.reagents.items() if r.drawn_in == "glovebox"]
    box, document = plan.batch.model.box, plan.batch.document
    if not drawn:
        return
    for gas in ("O2", "H2O"):
        value = None if box is None else (box.O2 if gas == "O2" else box.H2O)
        if value is None:
            mark = document.key_mark(("box",) if box else ("loads",))
            message = f"{drawn[0]} is drawn in the glovebox; its {gas} is not on the sheet (`box`)"
            yield mark.finding("fluidics.glovebox", message, Severity.WARNING)
        elif value > BOX_WARNS_PPM:
            stops = value > BOX_STOPS_PPM
            message = (
                f"{gas} in the glovebox is {show(value, 'parts')} while {drawn[0]} is drawn; "
                f"{BOX_WARNS_PPM:g} ppm is good, over {BOX_STOPS_PPM:g} ppm it may ignite"
            )
            severity = Severity.ERROR if stops else Severity.WARNING
            yield document.mark(("box", gas)).finding("fluidics.glovebox", message, severity)


def flush(plan: Plan) -> Iterator[Finding]:
    """`fluidics.flush`: no acetone, water or alcohol through a line of P(TMS)3 or of an oleate.

    P(TMS)3 makes PH3 with them; a metal oleate is no hazard, but it plugs the line in acetone.
    """
    for planned in plan.steps:
        step = planned.step
        for name, texts in step.lines.items() if isinstance(step, Flush) else ():
            load = plan.scene.loads[name]
            used = {word for text in texts for word in _substances(text)} & SPOILS_PYROPHORIC
            if used and _pyrophoric(load):
                message = f"{', '.join(sorted(used))} through the line of {name} makes PH3"
                message += "; flush it with a dry oil under N2"
                yield step.mark.finding("fluidics.flush", message)
            elif used and load.composition.substance.kind == "metal":
                message = f"{name} plugs its line in {', '.join(sorted(used))}; use warm toluene"
                yield step.mark.finding("fluidics.flush", message, Severity.WARNING)


def waste(plan: Plan) -> Iterator[Finding]:
    """`fluidics.waste`: what leaves a line goes into a bottle that the rig allows it in."""
    for planned in plan.steps:
        step, emptied = planned.step, list[tuple[str, str, Place]]()
        if isinstance(step, Prime):
            emptied = [(name, step.into, (*step.place, "into")) for name in step.reagents]
        elif isinstance(step, Flush):
            emptied = [
                (name, into, (*step.place, name))
                for name, texts in step.lines.items()
                for into in _INTO.findall(" ".join(texts))
            ]
        for name, into, place in emptied:
            vessel = plan.rig.model.vessels.get(into)
            substance = plan.scene.loads[name].composition.substance.name
            if vessel is None:
                continue
            never = {_canonical(word) for word in vessel.never}
            allowed = {_canonical(word) for word in vessel.only}
            if substance in never or (allowed and substance not in allowed):
                message = f"{name} is {substance}, which must not go into {into} ({vessel.is_})"
                yield at(plan, place, "fluidics.waste", message, Severity.ERROR)


def _made(one: Loaded, other: Loaded) -> str:
    """Say what two reagents make in one line; nothing where they only mix."""
    names = names_in(one) | names_in(other)
    kinds = {SUBSTANCES[name].kind for name in names}
    if "P(TMS)3" in names and names & SPOILS_PYROPHORIC:
        return "PH3"
    if "HF" in names and "chalcogenide" in kinds:
        return "H2S or H2Se"
    return "a solid fluoride" if "HF" in names and "metal" in kinds else ""


def _pyrophoric(load: Loaded) -> bool:
    return "pyrophoric" in load.composition.substance.hazards


def _substances(text: str) -> Iterator[str]:
    for word in re.findall(r"[\w()-]+", text.partition(" into ")[0]):
        yield _canonical(word)


def _canonical(name: str) -> str:
    try:
        return find(name).name
    except UnknownNameError:
        return name
