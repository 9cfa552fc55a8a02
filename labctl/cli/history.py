"""`show`, `runs`, `report`: what came of runs, read from their records."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from labctl.cli.closing import closing, next_steps
from labctl.cli.options import add_format, add_runs, options
from labctl.cli.text import Paint, clipped, columns, table
from labctl.errors import ExitCode, LabctlError, UsageError
from labctl.record import all_runs, find_run, open_run, summary
from labctl.record.held import is_held
from labctl.record.rows import Json, RunRow


def run(command: str, arguments: list[str]) -> int:
    """Run `show`, `runs` or `report`."""
    return {"show": _show, "runs": _runs, "report": _report}[command](arguments)


def _show(arguments: list[str]) -> int:
    parser = options("show")
    parser.add_argument(
        "run", metavar="RUN", help="a run id, its beginning, `last`, or a directory"
    )
    add_runs(parser)
    add_format(parser)
    asked = parser.read(arguments)
    directory = find_run(asked.runs, asked.run)
    with open_run(directory) as found:
        if asked.format == "json":
            print(json.dumps(summary(found), ensure_ascii=False))
            return ExitCode.COMPLETE
        print("\n".join(closing(found, Paint(sys.stdout))))
    report = directory / "report.html"
    print()
    print("\n".join(next_steps(directory, report if report.exists() else None)))
    return ExitCode.COMPLETE


def _runs(arguments: list[str]) -> int:
    parser = options("runs")
    add_runs(parser)
    add_format(parser)
    asked = parser.read(arguments)
    found = [(path, *_meta(path)) for path in all_runs(asked.runs)]
    if asked.format == "json":
        print(json.dumps({"runs": [_row(*row) for row in found]}, ensure_ascii=False))
        return ExitCode.COMPLETE
    if not found:
        print(f"no runs in {asked.runs}; `labctl dry-run RECIPE` makes one")
        return ExitCode.COMPLETE
    rows = [
        (
            path.name,
            meta.outcome or _stands(path, meta),
            meta.sample,
            _of(member),
            clipped(meta.recipe_name, 40),
        )
        if meta
        else (path.name, "cannot be read", "", "", "")
        for path, meta, member in found
    ]
    print("\n".join(clipped(line, columns()) for line in table(rows)))
    return ExitCode.COMPLETE


def _report(arguments: list[str]) -> int:
    """Write a run's report.

    Raises:
        UsageError: the place for it cannot be written.
    """
    parser = options("report")
    parser.add_argument(
        "run", metavar="RUN", help="a run id, its beginning, `last`, or a directory"
    )
    output = "where to write it; report.html in the run's directory unless given"
    parser.add_argument("--output", type=Path, metavar="PATH", help=output)
    add_runs(parser)
    asked = parser.read(arguments)

    from labctl.report import write_report

    written = write_report(find_run(asked.runs, asked.run))
    if asked.output is not None:
        try:
            written = Path(shutil.copyfile(written, asked.output))
        except OSError as error:
            raise UsageError(f"{asked.output} cannot be written: {error.strerror}") from None
    print(written)
    return ExitCode.COMPLETE


def _meta(path: Path) -> tuple[RunRow | None, Mapping[str, Json]]:
    """Return what a record says of its run, and of the series that it belongs to."""
    try:
        with open_run(path) as found:
            return found.meta, found.member
    except LabctlError:
        return None, {}


def _stands(path: Path, meta: RunRow) -> str:
    """Say the state of a run that has not ended; one whose process is gone was cut off."""
    return meta.state if is_held(path) else "cut off"


def _of(member: Mapping[str, Json]) -> str:
    """Say which run of a series it is, shortly.

    >>> _of({"member": 2, "of": 6, "values": {"t": "1 min"}})
    '2/6 1 min'
    """
    values = member.get("values")
    said = ", ".join(map(str, values.values())) if isinstance(values, Mapping) else ""
    return f"{member.get('member')}/{member.get('of')} {said}" if member else ""


def _row(path: Path, meta: RunRow | None, member: Mapping[str, Json]) -> dict[str, Json]:
    row: dict[str, Json] = {
        "run": path.name,
        "directory": str(path),
        "recipe": meta.recipe_name if meta else None,
        "sample": meta.sample if meta else None,
        "state": (meta.state if meta.outcome else _stands(path, meta)) if meta else None,
        "outcome": meta.outcome if meta else None,
        "simulated": meta.simulated if meta else None,
    }
    return {**row, "member": member} if member else row
