"""The list of a preflight, as a person sees it before anything is touched."""

from __future__ import annotations

from pathlib import Path

from labctl.cli.text import table
from labctl.clock import local_now
from labctl.engine.preflight import listed, still_stands
from labctl.plan import Plan


def checklist(planned: Plan, runs: Path) -> list[str]:
    """Return the lines of a plan's preflight; what stands from the last one says since when."""
    rows = listed(planned, still_stands(planned, runs, local_now()))
    if not rows:
        return [f"{planned.rig.model.name} has no `preflight` in its file: nothing is looked at"]
    head = ("before anything heats", "limit", "who looks", "stands")
    return [*table(rows, head=head), ""]
