"""The report of a run: one HTML file that needs nothing else, made from the record alone."""

from __future__ import annotations

from pathlib import Path

from labctl.record import open_run
from labctl.report.page import page
from labctl.report.story import read

FILE_NAME = "report.html"


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run's directory, finished or not; return its path.

    Raises:
        RecordError: the directory holds no run, or a damaged one.
    """
    with open_run(run_dir) as run:
        text = page(read(run))
        path = run.directory / FILE_NAME
    path.write_text(text, encoding="utf-8")
    return path
