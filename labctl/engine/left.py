"""What is left when a run ends, and what may be done with it: syringes, lines, flask, trap, waste.

From the ledger of doses, not from what was planned; where a dose is unknown it says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labctl.bench import Loaded
from labctl.chemistry.leftovers import advice
from labctl.chemistry.mixture import VOLATILE_BELOW_C
from labctl.chemistry.substances import SUBSTANCES
from labctl.engine.doses import Doses
from labctl.engine.run import Run
from labctl.engine.safe_state import COLD_C
from labctl.units import show

LEAST_ML = 0.001


@dataclass(frozen=True, slots=True)
class Left:
    """One place with what is in it, and what to do."""

    place: str
    holds: str
    do: str

    def __str__(self) -> str:
        """Say it as one sentence."""
        return f"{self.place}: {self.holds}; {self.do}"


def left_over(run: Run, doses: Doses) -> Iterator[Left]:
    """Yield what is left, place by place."""
    for load in run.plan.scene.loads.values():
        if load.pump:
            yield from _pump(load, run, doses)
    yield from _flask(run)
    yield from _trap(run, doses)
    yield from _waste(doses)


def _pump(load: Loaded, run: Run, doses: Doses) -> Iterator[Left]:
    own = [row for row in doses.ledger() if row[0].by == load.pump]
    pushed_ml = sum(ml for _, ml, _ in own) * load.fraction
    certain = all(sure for _, _, sure in own)
    left_ml = load.drawn_ml - pushed_ml
    warm = "" if load.keep_at_c is None else "while it is warm: "
    do = warm + advice(_names(load))
    at_most = "" if certain else "at most "
    if not certain:
        do = f"look at the plunger, for what the last dose gave is unknown; {do}"
    if left_ml > LEAST_ML:
        held = f"{at_most}{show(left_ml, 'volume')} of {load.name}"
        yield Left(f"syringe of {load.pump}", held, do)
    if (pushed_ml > LEAST_ML or not certain) and load.pump not in run.flushed:
        held = f"{show(min(load.dead_ml, pushed_ml or load.dead_ml), 'volume')} of {load.name}"
        yield Left(f"line of {load.pump}", held, f"flush it today; {do}")


def _names(load: Loaded) -> list[str]:
    solvent = load.composition.solvent
    return [load.composition.substance.name, *([] if solvent is None else [solvent.name])]


def _flask(run: Run) -> Iterator[Left]:
    volume_ml = run.flask.volume_ml()
    if volume_ml <= LEAST_ML:
        return
    flask_c = run.signals.value("flask.T")
    at = "temperature unknown" if flask_c is None else f"at {show(flask_c, 'temperature')}"
    shares = sorted(run.flask.mixture.parts, key=lambda part: -part[1])
    mostly = ", ".join(name for name, _ in shares[:3])
    open_ = run.commanded.get("n2")
    gas = "under inert gas" if open_ else "shut in"
    do = advice(name for name, _ in shares)
    if flask_c is None or flask_c > COLD_C:
        cool = f"cool in air, no water; below {COLD_C:g} °C close the inert gas"
        do = f"{cool if open_ else 'cool in air, no water, before it is opened'}; {do}"
    held = f"{show(volume_ml, 'volume')} went in ({mostly}), {at}, {gas}"
    yield Left("flask", held, do)


def _trap(run: Run, doses: Doses) -> Iterator[Left]:
    trap = run.plan.rig.model.trap
    if trap is None or run.trap_cold_ns is None:
        return
    loads = run.plan.scene.loads
    given = {row.reagent for row, _, _ in doses.ledger() if row.into_ == "flask"}
    volatile = sorted({name for r in given for name in _names(loads[r]) if _volatile(name)})
    held = f"may hold {', '.join(volatile)}" if volatile else "may hold water and what was degassed"
    warm = "shut off from flask and pump; lift the dewar off, warm it vented in the hood, not shut"
    yield Left("trap", f"cold with {trap.cools}; {held}", f"{warm}; then {advice(volatile)}")


def _volatile(name: str) -> bool:
    substance = SUBSTANCES[name]
    boils_c = substance.boils_c
    return substance.state != "gas" and boils_c is not None and boils_c < VOLATILE_BELOW_C


def _waste(doses: Doses) -> Iterator[Left]:
    bottles = dict[str, dict[str, float]]()
    for row, pushed_ml, _ in doses.ledger():
        if row.into_ != "flask" and pushed_ml > LEAST_ML:
            held = bottles.setdefault(row.into_, {})
            held[row.reagent] = held.get(row.reagent, 0.0) + pushed_ml
    for bottle, held in bottles.items():
        volumes = ", ".join(f"{show(ml, 'volume')} of {name}" for name, ml in held.items())
        yield Left(bottle, f"{volumes} from priming", "note it on the bottle")
