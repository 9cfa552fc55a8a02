"""The course of a plan from a dry run that is not kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

from labctl.errors import UsageError
from labctl.outlook.course import Course, Point, simulated
from labctl.plan import Plan
from labctl.record import open_run
from labctl.record.summary import seconds
from labctl.session import dry_run

SEED = 1
POINTS = 600


def course_of(plan: Plan) -> Course:
    """Dry-run a plan as fast as it goes, and return how it went.

    Raises:
        UsageError: the dry run did not come to its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = dry_run(plan, seed=SEED, runs=Path(folder))
        with open_run(result.directory) as run:
            spans: dict[str, Point] = {}
            for step in run.steps:
                start_s, end_s = seconds(step.start_ns), seconds(step.end_ns)
                if start_s is not None and end_s is not None:
                    spans[step.id] = (spans.get(step.id, (start_s, 0.0))[0], end_s)
            times_s, values_c = run.series("flask.T")
            outcome = run.meta.outcome or ""
    if not outcome.startswith("complete"):
        why = f": {result.reason}" if result.reason else ""
        raise UsageError(
            f"--simulate: the dry run ended {outcome}{why}; `labctl dry-run` shows how"
        )
    known = [(s, c) for s, c in zip(times_s, values_c, strict=True) if c is not None]
    return simulated(plan, spans, known[:: max(1, len(known) // POINTS)])
