"""What `dry-run`, `run` and `show` print as JSON about a run; times in s since it began."""

from __future__ import annotations

from labctl.record import rows
from labctl.record.reader import NS, Run
from labctl.record.rows import Json


def summary(run: Run) -> dict[str, Json]:
    """Give the public JSON object of a run, finished or not.

    `product` is there in a dry run only, `member` in a run of a series only; doses are charges and
    injections, priming apart.

    Raises:
        RecordError: the record is damaged.
    """
    meta, steps = run.meta, run.steps
    plain: dict[str, Json] = {
        "run": meta.id,
        "directory": str(run.directory),
        "state": meta.state,
        "outcome": meta.outcome,
        "simulated_s": run.last_ns() / NS if meta.end_ns is None else meta.end_ns / NS,
        "wall_s": meta.wall_s,
        "stages": [_stage(name, steps) for name in dict.fromkeys(s.stage for s in steps)],
        "steps": [_step(step) for step in steps],
        "decisions": [_decision(made) for made in run.decisions],
        "doses": [_dose(dose) for dose in run.doses if dose.kind != "prime"],
        "alarms": [_alarm(alarm) for alarm in run.alarms],
        "digest": meta.digest or run.digest(),
    }
    if meta.simulated:
        plain["product"] = meta.product
    if run.member:
        plain["member"] = run.member
    return plain


def seconds(t_ns: int | None) -> float | None:
    """Give ns as s; None stays None."""
    return None if t_ns is None else t_ns / NS


def _stage(name: str, steps: list[rows.StepRow]) -> dict[str, Json]:
    own = [step for step in steps if step.stage == name]
    ends = [step.end_ns for step in own]
    known = [end for end in ends if end is not None]
    end = max(known) if len(known) == len(ends) else None
    return {
        "name": name,
        "start_s": seconds(min(step.start_ns for step in own)),
        "end_s": seconds(end),
    }


def _step(step: rows.StepRow) -> dict[str, Json]:
    return {
        "id": step.id,
        "verb": step.verb,
        "stage": step.stage,
        "start_s": seconds(step.start_ns),
        "clock_s": seconds(step.clock_ns),
        "end_s": seconds(step.end_ns),
    }


def _decision(made: rows.DecisionRow) -> dict[str, Json]:
    return {
        "step": made.step,
        "kind": made.kind,
        "verdict": made.verdict,
        "at_s": seconds(made.at_ns),
        "evidence": made.evidence,
    }


def _dose(dose: rows.DoseRow) -> dict[str, Json]:
    return {
        "id": dose.id,
        "reagent": dose.reagent,
        "by": dose.by,
        "at_s": seconds(dose.start_ns),
        "flask_c": dose.flask_c,
        "commanded_ml": dose.commanded_ml,
        "delivered_ml": dose.delivered_ml,
        "state": dose.state,
    }


def _alarm(alarm: rows.AlarmRow) -> dict[str, Json]:
    return {
        "id": alarm.id,
        "severity": alarm.severity,
        "at_s": seconds(alarm.t_on_ns),
        "message": alarm.message,
    }
