"""What a killed run must have left, and how it must end: the record against the plant's truth."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labctl.clock import NS
from labctl.record import open_run

TABLES = ("event", "step", "dose", "intent", "question", "command", "alarm", "spectrum", "reading")
SAMPLES_S = 1.0
MOVED_ML, COUNTED_ML = 0.002, 0.01
DOSE_PART, DOSE_ML = 1.02, 0.003


class Judged(Protocol):
    """A case: what it came to, and what it broke."""

    said: str
    outcome: str
    pushed_ml: float
    asked_ml: float
    broken: list[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What stood in the record a moment before the kill, and what a person was told is accepted."""

    rows: Mapping[str, int]
    accepted: int
    step: str


def acknowledged(directory: Path, accepted: int) -> Seen:
    """Read what any reader of the record can see now."""
    with closing(sqlite3.connect(directory / "run.sqlite", timeout=1.0)) as record:
        step = record.execute("SELECT id FROM step ORDER BY seq DESC LIMIT 1").fetchone()
        return Seen(_rows(record), accepted, step[0] if step else "")


def lost(directory: Path, seen: Seen, struck_s: float, pushed_ml: float) -> Iterator[str]:
    """Yield what the killed process had acknowledged and its record does not hold."""
    with closing(sqlite3.connect(directory / "run.sqlite")) as record:
        if record.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            yield "the record is damaged"
        rows = _rows(record)
        answers = record.execute("SELECT count(*) FROM command WHERE verb = 'answer' AND accepted")
        held = answers.fetchone()[0]
        (last_ns,) = record.execute("SELECT max(t_ns) FROM reading").fetchone()
    for table, count in seen.rows.items():
        if rows[table] < count:
            yield f"{count - rows[table]} rows of {table} that were there are lost"
    if held < seen.accepted:
        yield f"{seen.accepted - held} answers are lost that were accepted"
    with open_run(directory) as run:
        intents, anchor = run.intents, run.anchors[-1]
    if pushed_ml > MOVED_ML and not any(i.kind == "dose.starting" for i in intents):
        yield f"the syringe pushed {pushed_ml:.3f} mL and no dose is in the record"
    if last_ns is not None and last_ns > anchor.t_ns:  # this life has read something
        at_s = dt.datetime.fromisoformat(anchor.utc).timestamp() + (last_ns - anchor.t_ns) / NS
        if struck_s - at_s > SAMPLES_S:
            yield f"the last sample is {struck_s - at_s:.1f} s older than the kill"


def broken(case: Judged, directory: Path, truth: Mapping[str, float], pump: str) -> None:
    """Judge how a run ended that went on, or was refused."""
    with open_run(directory) as run:
        case.outcome = run.meta.outcome or ""
        doses = [dose for dose in run.doses if dose.by == pump]
        ids = {dose.id for dose in doses}
        intents = [i for i in run.intents if i.kind == "dose" and _dose_of(i.data) in ids]
    case.asked_ml = sum(dose.commanded_ml or 0.0 for dose in doses)
    case.pushed_ml = truth[f"{pump}.pushed_ml"]
    counted_ml = sum(_counted_ml(intent.result) for intent in intents)
    unknown = any(intent.state == "unknown" for intent in intents)
    found = case.broken
    if case.pushed_ml > case.asked_ml * DOSE_PART + DOSE_ML:
        found.append(f"OVERDOSE: {case.pushed_ml:.3f} mL pushed, {case.asked_ml:.3f} mL asked")
    if case.said:
        return
    if not unknown and abs(counted_ml - case.pushed_ml) > COUNTED_ML:
        found.append(f"{case.pushed_ml:.3f} mL pushed, {counted_ml:.3f} mL in the record")
    if case.outcome not in {"complete", "complete_with_deviations"}:
        found.append(f"it went on and ended {case.outcome or 'without an outcome'}")
    if truth["heater_w"] > 0:
        found.append(f"{truth['heater_w']:.0f} W after the end")
    if still := [intent.id for intent in intents if intent.state == "starting"]:
        found.append(f"intents {still} were never settled")


def _rows(record: sqlite3.Connection) -> dict[str, int]:
    return {
        table: record.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
        for table in TABLES
    }


def _dose_of(data: object) -> object:
    return data.get("id") if isinstance(data, Mapping) else None


def _counted_ml(result: object) -> float:
    counted = result.get("counted_ml") if isinstance(result, Mapping) else None
    return float(counted) if isinstance(counted, int | float) else 0.0
