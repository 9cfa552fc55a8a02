"""The record of a run: one SQLite file that says what was done, seen, decided and why."""

from __future__ import annotations

from labctl.record.meta import RunMeta
from labctl.record.reader import (
    Curve,
    Run,
    SpectrumStamp,
    all_runs,
    find_run,
    last_complete,
    open_run,
)
from labctl.record.rows import Assumed, DoseRow, InputRow, Json, Lot
from labctl.record.summary import summary
from labctl.record.writer import Record

__all__ = [
    "Assumed",
    "Curve",
    "DoseRow",
    "InputRow",
    "Json",
    "Lot",
    "Record",
    "Run",
    "RunMeta",
    "SpectrumStamp",
    "all_runs",
    "find_run",
    "last_complete",
    "open_run",
    "summary",
]
