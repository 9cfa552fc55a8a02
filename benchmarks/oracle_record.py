"""Judges the record that a run left: whole, settled, and telling what befell."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.day import DAYS
from benchmarks.invariants import NS, Findings
from labctl.record import Run, open_run
from labctl.twin import FaultSeen

SETTLED = frozenset({"done", "refused", "unknown"})
ADVANCES = frozenset({"saturated", "reached", "steady"})
HEARD_NS = NS // 10
NOTICED = {
    "front_panel(value=200)@heater": 5,
    "reboot@heater": 8,
}
WARNED = frozenset({"warning", "error"})
FEWEST = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What a trial knows of the run besides its record.

    `runs_ns` are when a pump was started, `aborts_ns` when a living run was told to abort and
    `endings_ns` when it said that it ends, `stayed_s` how long step `stay` ran unfrozen, `lives`
    how often the run was begun.
    """

    day: str
    end_ns: int
    stayed_s: float
    lives: int
    runs_ns: Sequence[int]
    aborts_ns: Sequence[int]
    endings_ns: Sequence[int]
    faults: Sequence[FaultSeen]


def judge(directory: Path, told: Told, findings: Findings) -> str:
    """Judge the record in a directory; return its digest."""
    with sqlite3.connect(directory / "run.sqlite") as file:
        (whole,) = file.execute("PRAGMA integrity_check").fetchone()
    if whole != "ok":
        findings.add(24, told.end_ns, f"integrity_check says {whole}")
    with open_run(directory) as run:
        if not run.meta.outcome:
            findings.add(24, told.end_ns, "the record has no outcome")
        for number, seen in _all(run, told):
            findings.add(number, told.end_ns, seen)
        return run.digest()


def _all(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    for part in (_intents, _doses, _decisions, _alarms, _aborts, _held, _noticed, _hf):
        yield from part(run, told)


def _intents(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    doses = [row for row in run.intents if row.kind == "dose"]
    for row in doses:
        if row.state not in SETTLED:
            yield 22, f"intent {row.id} ({row.kind}) is {row.state}"
    for t_ns in told.runs_ns:
        if not any(row.t_ns <= t_ns <= (row.end_ns or t_ns) for row in doses):
            yield 22, f"a pump was started at {t_ns / NS:.0f} s without an intent"


def _doses(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    """A dose with an unknown intent has a question before its next intent."""
    unknown: dict[str, int] = {}
    for row in run.intents:
        if row.kind != "dose":
            continue
        id_ = str(dict(row.data)["id"]) if isinstance(row.data, dict) else ""
        if id_ in unknown:
            since_ns = unknown[id_]
            asked = any(since_ns <= (q.at_ns or 0) <= row.t_ns for q in run.questions)
            if not asked:
                yield 15, f"dose {id_} was unknown, and goes on at {row.t_ns / NS:.0f} s"
        if row.state == "unknown" and row.end_ns is not None:
            unknown[id_] = row.end_ns


def _decisions(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    for decision in run.decisions:
        if decision.verdict in ADVANCES:
            used = sum(row.used for row in run.inputs(decision.id))
            if used < FEWEST:
                yield 20, f"{decision.step}: {decision.verdict} on {used} usable frames"


def _alarms(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    for alarm in run.alarms:
        if not alarm.message or (alarm.t_off_ns is not None and alarm.t_off_ns < alarm.t_on_ns):
            yield 35, f"alarm {alarm.id}: {alarm.message!r}, {alarm.t_on_ns} to {alarm.t_off_ns}"


def _aborts(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    heard = [row.t_ns for row in run.commands if row.verb == "abort" and row.accepted]
    for said_ns in told.aborts_ns:
        if not any(said_ns <= t_ns <= said_ns + HEARD_NS for t_ns in heard):
            yield 30, f"abort at {said_ns / NS:.1f} s was not heard"
        if not any(t_ns <= said_ns + HEARD_NS for t_ns in told.endings_ns):
            yield 30, f"abort at {said_ns / NS:.1f} s was heard, and the run went on"


def _held(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    rows = [row for row in run.steps if row.id == "stay"]
    wanted_s = DAYS[told.day].stay_s
    if rows and rows[-1].state == "done" and told.stayed_s < wanted_s - 3 * told.lives:
        yield 31, f"`stay` was done after {told.stayed_s:.0f} of {wanted_s:.0f} s"


def _noticed(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    running = [row.start_ns for row in run.steps][:1]
    for fault in told.faults:
        within_s = next((s for kind, s in NOTICED.items() if fault.text.startswith(kind)), None)
        if within_s is None or not fault.acted or fault.began_ns is None or not running:
            continue
        began_ns, by_ns = fault.began_ns, fault.began_ns + within_s * NS
        if fault.ended_ns is not None and fault.ended_ns < by_ns:
            continue
        lives = began_ns > running[0] and by_ns < told.end_ns and told.lives == 1
        said = (e.t_ns for e in run.events if e.level in WARNED)
        if lives and not any(began_ns <= t_ns <= by_ns for t_ns in said):
            yield 34, f"{fault.text} from {began_ns / NS:.0f} s was not noticed"


def _hf(run: Run, told: Told) -> Iterator[tuple[int, str]]:
    """After a crash in its step, HF is begun again only if a person said so."""
    rows = [row for row in run.steps if row.id == "s"]
    if not DAYS[told.day].hf or told.lives == 1 or len(rows) <= 1:
        return
    for row in rows[1:]:
        asked = any(
            (q.at_ns or 0) <= row.start_ns and q.answer in {"again", "retry"} for q in run.questions
        )
        if not asked and not any(c.verb in {"retry", "resume"} for c in run.commands):
            yield 16, f"HF was begun again at {row.start_ns / NS:.0f} s, and nobody said so"
