"""What a commissioning run measured of a rig, in the words that its rig file has for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from labctl.chemistry.mantle import fit
from labctl.errors import UsageError
from labctl.plan import Plan, plan
from labctl.readings import Scalar
from labctl.recipe.load import recipe_of
from labctl.recipe.steps.ramp import Ramp
from labctl.record.reader import Run
from labctl.record.rows import EventRow, StepRow
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.calibrating import Made, delivered, delivered_words
from labctl.rig.load import rig_of
from labctl.rig.model import Vessel
from labctl.source import compose, validate
from labctl.units import show

LEAK, WEIGHED = "leak_test", "weighed"
COURSE = frozenset({"ramp", "hold", "stir"})
MOST_APART = 1e-3
NS = 1e9


@dataclass(frozen=True, slots=True)
class Source:
    """Where a measurement comes from: who, the day of the run, and whether it was simulated."""

    by: str
    day: dt.date
    simulated: bool


def source_of(run: Run) -> Source:
    """Return who made a run and when."""
    meta = run.meta
    day = dt.datetime.fromisoformat(meta.started_local).date()
    return Source(meta.operator, day, meta.simulated)


def measured(run: Run, rig_name: str, name: str) -> list[Made]:
    """Return what a run measured of a vessel or a pump.

    Raises:
        UsageError: the run was of another rig or did not end well, or measured nothing of it.
    """
    meta = run.meta
    if meta.rig_name != rig_name:
        raise UsageError(f"{meta.id} was on rig {meta.rig_name!r}, not on {rig_name!r}")
    if not (meta.outcome or "").startswith("complete"):
        raise UsageError(f"{meta.id} ended {meta.outcome or 'not at all'}; it measured nothing")
    planned = _plan_of(run)
    found = list(_of_pump(run, name))
    if name == planned.batch.model.vessel:
        found += [*_leak(run, name), *_thermal(run, planned, name)]
    if not found:
        raise UsageError(
            f"{meta.id} ({meta.recipe_name}) measured nothing of {name}; "
            "recipes/commissioning/ has a recipe for each"
        )
    return found


def _plan_of(run: Run) -> Plan:
    meta = run.meta
    sheet = compose(meta.batch_text, "sheet.yaml")
    choices = meta.choices if isinstance(meta.choices, dict) else {}
    recipe = recipe_of(
        compose(meta.recipe_text, "recipe.yaml"), {k: str(v) for k, v in choices.items()}
    )
    batch = LoadedBatch(validate(Batch, sheet, ()), sheet)
    return plan(recipe, rig_of(compose(meta.rig_text, "rig.yaml")), batch)


def _told(run: Run, code: str) -> list[EventRow]:
    return [event for event in run.events if event.code == code]


def _number(data: Mapping[str, Scalar], name: str) -> float:
    """Return a number that an event carries.

    Raises:
        UsageError: it has none.
    """
    value = data[name]
    if value is None:
        raise UsageError(f"the run has no {name} where it says what it measured")
    return float(value)


def _leak(run: Run, name: str) -> Iterator[Made]:
    for event in _told(run, LEAK)[-1:]:
        rise = _number(_data(event), "rise_mbar_min")
        words = {"rise": f"{max(rise, 0.0):.3g} mbar/min"}
        told = f"{name}: the pressure rises by {show(rise, 'pressure rate')} at most"
        yield Made(("vessels", name, "leak"), words, told)


def _of_pump(run: Run, name: str) -> Iterator[Made]:
    shots = [data for event in _told(run, WEIGHED) if (data := _data(event))["pump"] == name]
    if not shots:
        return
    commanded = [_number(shot, "commanded_ml") for shot in shots]
    if max(commanded) - min(commanded) > MOST_APART * max(commanded):
        raise UsageError(f"the shots of {name} are not equal; weigh one volume in a run")
    masses = [_number(shot, "mass_g") for shot in shots]
    found = delivered(masses, _number(shots[0], "density_g_ml"), commanded[0])
    told = f"{name}: delivered {found.mean:.2%}, sd {found.sd:.2%}, {found.shots} shots"
    words = delivered_words(found, str(shots[0]["liquid"]))
    yield Made(("devices", name, "calibration"), words, told)


def _data(event: EventRow) -> Mapping[str, Scalar]:
    return event.data if isinstance(event.data, dict) else {}


def _thermal(run: Run, planned: Plan, name: str) -> Iterator[Made]:
    """Fit the mantle over the course of the ramps, if there is one up and one down."""
    rows = [row for row in run.steps if row.state == "done"]
    ramps = [n for n, row in enumerate(rows) if row.verb == "ramp"]
    if len(ramps) < 2:
        return
    course = rows[ramps[0] : ramps[-1] + 1]
    _undisturbed(planned, course)
    vessel = planned.rig.model.vessels[name]
    before = next(item.before for item in planned.steps if item.step.id == course[0].id)
    flask_j_k = before.heat_capacity_j_k(vessel.glass_j_k)
    times_s, flask_c, power_w = _samples(run, planned, vessel, course)
    found = fit(times_s, flask_c, power_w, flask_j_k)
    mantle = found.mantle
    words = {
        "capacity": f"{mantle.capacity_j_k:g} J/K",
        "to_flask": f"{mantle.to_flask_w_k:g} W/K",
        "mantle_to_air": f"{mantle.mantle_to_air_w_k:g} W/K",
        "flask_to_air": f"{mantle.flask_to_air_w_k:g} W/K",
    }
    told = f"{name}: the mantle, from {len(times_s)} readings, off by {found.rms_k:.2f} K rms"
    yield Made(("vessels", name, "thermal"), words, told)


def _undisturbed(planned: Plan, course: list[StepRow]) -> None:
    """See that nothing but heat came to the flask.

    Raises:
        UsageError: something did.
    """
    steps = {item.step.id: item.step for item in planned.steps}
    for row in course:
        step = steps.get(row.id)
        if row.verb not in COURSE or (isinstance(step, Ramp) and step.cool is not None):
            raise UsageError(f"{row.id} disturbs the flask between the ramps; no mantle is fitted")


def _samples(
    run: Run, planned: Plan, vessel: Vessel, course: list[StepRow]
) -> tuple[list[float], list[float], list[float]]:
    """Return the flask in °C and the power given in W, at the times of the output's readings."""
    heater = planned.rig.entry("heater")[0]
    begin_s, end_s = course[0].start_ns / NS, (course[-1].end_ns or 0) / NS
    at_s, outputs = run.series(f"{heater}.output")
    seen_s, seen_c = run.series("flask.T")
    known = [(s, c) for s, c in zip(seen_s, seen_c, strict=True) if c is not None]
    rows: list[tuple[float, float, float]] = []
    n = 0
    for t_s, output in zip(at_s, outputs, strict=True):
        while n + 1 < len(known) and known[n + 1][0] <= t_s:
            n += 1
        if known and output is not None and begin_s <= t_s <= end_s:
            rows.append((t_s, known[n][1], output * vessel.mantle))
    _unbroken([t_s for t_s, _, _ in rows])
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


LONGEST_GAP_S = 60.0


def _unbroken(times_s: list[float]) -> None:
    """Refuse a course of which a part was not seen.

    Raises:
        UsageError: there is a gap.
    """
    gap_s = max((b - a for a, b in pairwise(times_s)), default=0.0)
    if gap_s > LONGEST_GAP_S:
        raise UsageError(f"nothing was read for {show(gap_s, 'time')}; no mantle is fitted")
