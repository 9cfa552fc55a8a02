"""What a run came to, for a person: outcome, stages, decisions, doses, product, and what next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

from labctl.cli.board import Painter
from labctl.cli.text import rounded, table, wrapped
from labctl.record import Run
from labctl.record.held import is_held
from labctl.record.reader import NS
from labctl.record.rows import DecisionRow, DoseRow, Json, StepRow

CERTAIN = 0.999
BEFELL = "fault.acted"


def closing(run: Run, paint: Painter) -> list[str]:
    """Return the closing summary of a run, finished or not."""
    meta = run.meta
    begins = dt.datetime.fromisoformat(meta.started_local)
    parts: list[tuple[str, list[str]]] = [
        ("Stages", _stages(run.steps, begins)),
        ("Decisions", wrapped(_decision(made, begins) for made in run.decisions)),
        ("Doses", _doses([dose for dose in run.doses if dose.kind != "prime"], begins)),
        ("Exposure", wrapped(e.message for e in run.events if e.code == "exposure")),
        ("Product, the simulated truth", _product(meta.product)),
        ("Preflight", wrapped(e.message for e in run.events if e.code == "preflight")),
        ("Deviations", wrapped(e.message for e in run.events if e.code == "deviation")),
        ("Left", wrapped(e.message for e in run.events if e.code == "left")),
        ("Faults that were injected", wrapped(e.message for e in run.events if e.code == BEFELL)),
        ("Alarms", wrapped(f"{a.severity} {a.id}: {a.message}" for a in run.alarms)),
    ]
    lines = [*_head(run, paint)]
    for title, rows in parts:
        if rows:
            lines += ["", paint(title, "bold"), *(f"  {row}" for row in rows)]
    return lines


def next_steps(run: Path, report: Path | None) -> list[str]:
    """Return where things are and what to type next."""
    rows = [("record", str(run))]
    if report is not None:
        rows.append(("report", str(report)))
    rows.append(("again", f"labctl show {run}"))
    return table(rows)


def _head(run: Run, paint: Painter) -> list[str]:
    meta = run.meta
    words, colour = _outcome(run)
    mark = f"simulated, seed {meta.seed}" if meta.simulated else f"by {meta.operator}"
    chosen = meta.choices if isinstance(meta.choices, Mapping) else {}
    assumed = {row.name for row in run.assumed}
    values = ", ".join(f"{name} {value}" for name, value in chosen.items() if name not in assumed)
    passed = f"{rounded(run.last_ns() / NS)} of bench time"
    took = "" if meta.wall_s is None else f" in {meta.wall_s:.1f} s"
    where = f"sample {meta.sample} on {meta.rig_name}, {mark}"
    return [
        *(paint(line, "bold", colour) for line in wrapped([words])),
        *wrapped([meta.recipe_name, f"{where}; {values}" if values else where]),
        *_member(run.member),
        passed + took,
    ]


def _member(said: Mapping[str, Json]) -> list[str]:
    """Say which run of which series this is; nothing of a run of its own."""
    values = said.get("values")
    if not isinstance(values, Mapping):
        return []
    chosen = ", ".join(f"{name} = {value}" for name, value in values.items())
    place = f"{said.get('member')} of {said.get('of')} of the series {said.get('series')}"
    return wrapped([f"{place}: {chosen}"])


def _outcome(run: Run) -> tuple[str, str]:
    meta = run.meta
    deviations = sum(event.code == "deviation" for event in run.events)
    cause = next((e.message for e in reversed(run.events) if e.code == "aborting"), "")
    because = f": {cause}" if cause else ""
    count = f"{deviations} deviation{'s' if deviations > 1 else ''}"
    words = {
        "complete": ("Complete, as planned", "green"),
        "complete_with_deviations": (f"Complete, with {count}", "yellow"),
        "safe": (f"Ended in the safe state{because}", "red"),
        "faulted": (f"A fault in labctl ended it{because}", "red"),
    }
    return words.get(meta.outcome or "", (unfinished(run), "yellow"))


def unfinished(run: Run) -> str:
    """Say how a run stands that has not ended: going on, or cut off and where."""
    meta = run.meta
    if is_held(run.directory):
        return f"Not finished: {meta.state}"
    step = run.steps[-1].id if run.steps else "no step"
    hint = "" if meta.simulated else f"; `labctl resume {run.directory.name}` looks, then asks"
    return f"Cut off in {step}: its process is gone{hint}"


def _stages(steps: Sequence[StepRow], begins: dt.datetime) -> list[str]:
    rows = []
    for name in dict.fromkeys(step.stage for step in steps):
        own = [step for step in steps if step.stage == name and not step.parent]
        start_ns = min(step.start_ns for step in own)
        ends = [step.end_ns for step in own if step.end_ns is not None]
        took = rounded((max(ends) - start_ns) / NS) if len(ends) == len(own) else "not ended"
        planned_s = sum(step.planned_s or 0.0 for step in own)
        unfinished = [f"{step.id} {step.state}" for step in own if step.state != "done"]
        rows.append((name, _at(start_ns, begins), took, rounded(planned_s), ", ".join(unfinished)))
    return table(rows, head=("", "began", "took", "planned", ""), right=(2, 3)) if rows else []


def _decision(made: DecisionRow, begins: dt.datetime) -> str:
    facts = made.evidence if isinstance(made.evidence, Mapping) else {}
    if made.verdict is None or made.at_ns is None:
        return f"{made.step}: not decided"
    waited = rounded((made.at_ns - made.start_ns) / NS)
    at_c = _number(facts, "temperature_c")
    where = "" if at_c is None else f" at {at_c:.0f} °C"
    head = f"{_at(made.at_ns, begins)}  {made.step}: 1S {made.verdict} after {waited}{where}"
    said = _evidence(facts) if made.kind == "saturated" else []
    return f"{head}: {', '.join(said) or made.reason}"


def _evidence(facts: Mapping[str, Json]) -> list[str]:
    said = []
    remaining, shift = _number(facts, "remaining_nm"), _number(facts, "shift_nm")
    probability = _number(facts, "probability")
    if remaining is not None:
        said.append(f"{remaining:.2f} nm expected to remain")
    if probability is not None:
        certain = probability > CERTAIN
        said.append(f"probability {f'> {CERTAIN}' if certain else f'{probability:.3f}'}")
    if shift is not None:
        said.append(f"shift {shift:.1f} nm")
    if facts.get("also_flat"):
        said.append("PL flat" if facts.get("flat") else "PL still moving")
    return said


def _doses(doses: Sequence[DoseRow], begins: dt.datetime) -> list[str]:
    rows = [
        (
            dose.id,
            dose.reagent,
            dose.by,
            _at(dose.start_ns, begins),
            _fixed(dose.flask_c, 1),
            _fixed(dose.commanded_ml, 3),
            _fixed(dose.delivered_ml, 3),
            "" if dose.state == "done" else dose.state,
        )
        for dose in doses
    ]
    head = ("", "", "by", "at", "flask °C", "commanded mL", "delivered mL", "")
    return table(rows, head=head, right=(4, 5, 6)) if rows else []


def _product(product: Json) -> list[str]:
    facts = product if isinstance(product, Mapping) else {}
    layers, qy = _number(facts, "layers"), _number(facts, "qy")
    peak_nm = _number(facts, "peak_nm")
    said = []
    if layers is not None:
        said.append(f"{layers:.2f} layers of shell")
    if qy is not None:
        said.append(f"PL quantum yield {100 * qy:.1f} %")
    if peak_nm is not None:
        said.append(f"1S {peak_nm:.1f} nm at 25 °C")
    return [", ".join(said)] if said else []


def _number(facts: Mapping[str, Json], name: str) -> float | None:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) else None


def _fixed(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _at(t_ns: int, begins: dt.datetime) -> str:
    return f"{begins + dt.timedelta(microseconds=t_ns // 1000):%H:%M}"
