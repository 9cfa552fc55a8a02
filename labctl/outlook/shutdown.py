"""The shutdown of a rig after a run, as a recipe of its own: cold, lines, HF, trap, leftovers.

It is written from what was in the syringes, in the words of any recipe, so that it is checked,
asked, gated and recorded as every other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.chemistry.flushing import TIMES, rinse_ml, rinse_of
from labctl.chemistry.reagent import parse_composition
from labctl.errors import UsageError
from labctl.rig.devices import PumpEntry
from labctl.rig.model import LoadedRig
from labctl.units import show

COLD_C = 40.0
HF, PYROPHORIC = "HF", "P(TMS)3"
HF_LIST = (
    "calcium gluconate gel is at hand, gloves and face shield are on",
    "HF waste apart: into plastic with CaCO3, nothing of it in glass, the bottle labelled",
    "the all-plastic syringe is rinsed and stays marked for HF",
)
PYROPHORIC_LIST = (
    "what is left of P(TMS)3, needle and syringe too, is quenched slowly under inert gas with dry "
    "isopropanol in ODE, through the CuSO4 scrubber (PH3)",
)


@dataclass(frozen=True, slots=True)
class Used:
    """A reagent of a run: what it is, the pump that holds it ("" by hand), how much was drawn."""

    name: str
    is_: str
    pump: str = ""
    drawn: str = ""
    concentration_mol_l: float | None = None
    keep_at: str = ""

    @property
    def names(self) -> list[str]:
        """The substances in it."""
        found = parse_composition(self.is_)
        return [found.substance.name, *([found.solvent.name] if found.solvent else [])]


def shutdown_texts(
    rig: LoadedRig, used: Sequence[Used], people: Sequence[str], left: Sequence[str] = ()
) -> tuple[str, str]:
    """Return recipe and batch sheet of a shutdown; `people` are the operator and maybe a second.

    `left` are the sentences of the run on what is left where; they are signed for.

    Raises:
        UsageError: HF was used and no second person is named, or no vessel of the rig is heated.
    """
    heated = [(name, vessel) for name, vessel in rig.model.vessels.items() if vessel.mantle]
    if not heated:
        raise UsageError(f"{rig.model.name} has no vessel with a mantle")
    if len(people) < 2 and _holds(used, HF):
        raise UsageError("HF waste needs two people: name the other one with --second")
    vessel, entry = heated[0]
    pumped = [row for row in used if row.pump]
    recipe = {
        "labctl": "recipe/1",
        "name": "shutdown",
        "needs": {"vessel": f"{entry.volume} mL", "max_T": f"{entry.max_T} C"},
        "reagents": {row.name: _reagent(row) for row in pumped},
        "park": {"shutdown": "25 C"},
        "stages": {"shutdown": list(_steps(rig, used, left))},
    }
    sheet = {
        "labctl": "batch/1",
        "sample": "shutdown",
        "operator": people[0],
        **({"second": people[1]} if len(people) > 1 else {}),
        "vessel": vessel,
        "loads": {row.name: {"pump": row.pump, "drawn": row.drawn} for row in pumped},
    }
    return json.dumps(recipe, ensure_ascii=False), json.dumps(sheet, ensure_ascii=False)


def _holds(used: Sequence[Used], name: str) -> bool:
    return any(name in row.names for row in used)


def _reagent(row: Used) -> dict[str, str]:
    stated = row.concentration_mol_l
    known = {} if stated is None else {"concentration": f"{stated} mol/L"}
    return {"is": row.is_, **known, **({"keep_at": row.keep_at} if row.keep_at else {})}


def _steps(rig: LoadedRig, used: Sequence[Used], left: Sequence[str]) -> Iterator[object]:
    """Yield the steps: the flask cold under inert gas first, the trap only then."""
    yield {"backfill": {"keep_N2_until": f"{COLD_C:g} C"}}
    lines = {row.name: _flush(rig, row) for row in used if row.pump}
    if lines:
        yield {"flush": lines}
    if _holds(used, HF):
        yield {"confirm": {"who": "two people", "list": list(HF_LIST)}}
    if _holds(used, PYROPHORIC):
        yield {"confirm": {"who": "operator", "list": list(PYROPHORIC_LIST)}}
    if rig.model.trap is not None:
        yield {"confirm": {"who": "operator", "list": _trap(rig)}}
    ends = [f"{sentence}: done" for sentence in left]
    ends.append("syringes emptied or labelled with reagent, mL and date; bottles closed")
    yield {"confirm": {"who": "operator", "list": ends}}


def _flush(rig: LoadedRig, row: Used) -> list[str]:
    rinse = rinse_of(row.names)
    entry = rig.model.devices.get(row.pump)
    ml = rinse_ml(entry.line.dead, entry.syringe.volume_ml) if isinstance(entry, PumpEntry) else 1.0
    at = "" if rinse.at_c is None else f" at {rinse.at_c:g} C"
    bottle = _bottle(rig, row.names)
    into = f" into {bottle}" if bottle else ""
    text = f"{TIMES} times {show(ml, 'volume')} {rinse.solvent}{at}{into}"
    return [text, *([rinse.then] if rinse.then else [])]


def _bottle(rig: LoadedRig, names: Sequence[str]) -> str:
    """Return the bottle of the rig that a reagent may go into; HF only into one that is for it."""
    bottles = {name: vessel for name, vessel in rig.model.vessels.items() if not vessel.mantle}
    if HF in names:
        return next((name for name, vessel in bottles.items() if HF in vessel.only), "")
    fitting = [n for n, v in bottles.items() if not v.only and not set(names) & set(v.never)]
    return next(iter(fitting), "")


def _trap(rig: LoadedRig) -> list[str]:
    trap = rig.model.trap
    cools = "" if trap is None else trap.cools
    return [
        f"the trap is shut off from flask and pump, and no air went in while it held {cools}",
        "the dewar is off and the trap warmed, vented through the scrubber in the hood, never shut",
        "it is emptied into the waste of what was pumped off, clean and dry again",
    ]
