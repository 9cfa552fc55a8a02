"""`preflight`: is the rig fit to run? Looks before anything heats, and keeps what it finds."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from labctl.cli.checklist import checklist
from labctl.cli.options import add_format, add_runs, add_settings, options
from labctl.cli.options import request as request_of
from labctl.cli.running import agreed, silently
from labctl.cli.watching import add_operator, follow
from labctl.clock import local_now, new_run_id
from labctl.engine.preflight import with_preflight
from labctl.errors import UsageError
from labctl.hardware.launch import launch
from labctl.hardware.order import place
from labctl.plan import Plan
from labctl.prepare import Request, prepare_one
from labctl.record import open_run
from labctl.rig.claim import Claim
from labctl.rig.load import load_rig
from labctl.session import dry_run


def run(command: str, arguments: list[str]) -> int:
    """Show the list, agree, look at each, keep what was found; exit 3 where something is not fit.

    Raises:
        UsageError: the rig has no limits or no guard, no sheet is named, or nobody agreed.
    """
    asked = _read(command, arguments)
    with tempfile.TemporaryDirectory(prefix="labctl-preflight-") as folder:
        if asked.recipe is None:
            asked.recipe, asked.batch = _bare(asked.rig, Path(folder), asked.operator)
        now = None if asked.simulated else local_now()
        request = Request(asked.recipe, asked.rig, asked.batch, request_of(asked).settings, now)
        planned = _planned(request)
        if asked.format == "text":
            print("\n".join(checklist(planned, asked.runs)), flush=True)
        if asked.simulated:
            return _rehearsed(planned, asked.runs)
        if not asked.yes:
            rig = planned.rig.model.name
            agreed(f"instruments of {rig!r} will be opened and its flask evacuated; nothing heats.")
        directory: Path = asked.runs / new_run_id("preflight")
        with Claim(planned.rig, directory.name):
            pass  # nobody else has the rig; the run's own process claims it again
        place(directory, request, asked.rig, asked.batch, planned.recipe.files, preflight=True)
    launch(directory)
    return silently(directory) if asked.format == "json" else follow(directory, asked.operator)


def _read(command: str, arguments: list[str]) -> argparse.Namespace:
    """Read the arguments.

    Raises:
        UsageError: a recipe without a sheet.
    """
    parser = options(command)
    parser.add_argument("rig", type=Path, metavar="RIG", help="the rig's file")
    more = "what will be run: its gases and lines are looked at too"
    parser.add_argument("recipe", type=Path, nargs="?", metavar="RECIPE", help=more)
    parser.add_argument("--batch", type=Path, metavar="SHEET", help="today's batch sheet")
    add_settings(parser)
    add_operator(parser)
    parser.add_argument("--yes", action="store_true", help="agree beforehand; for scripts")
    rehearsed = "rehearse it on simulated instruments; nothing is kept"
    parser.add_argument("--simulated", action="store_true", help=rehearsed)
    add_runs(parser)
    add_format(parser)
    asked = parser.read(arguments)
    if asked.recipe is not None and asked.batch is None:
        raise UsageError("a recipe needs today's --batch, for what is in which syringe")
    return asked


def _planned(request: Request) -> Plan:
    """Return the plan whose rig is looked at.

    Raises:
        UsageError: the rig says nothing of a preflight, or has no guard.
    """
    planned, _ = prepare_one(request)
    rig = planned.rig.model
    if rig.preflight is None:
        raise UsageError(f"{rig.name} has no `preflight` in its file, so no limits to look against")
    if rig.guard is None:
        raise UsageError("the rig file has no `guard`; nothing runs on hardware without one")
    return planned


def _bare(rig: Path, folder: Path, operator: str) -> tuple[Path, Path]:
    """Write a recipe and a sheet that ask for nothing, where only the rig is looked at.

    Raises:
        UsageError: no vessel of the rig is heated.
    """
    model = load_rig(rig).model
    heated = [(name, vessel) for name, vessel in model.vessels.items() if vessel.mantle]
    if not heated:
        raise UsageError(f"{model.name} has no vessel with a mantle")
    name, vessel = heated[0]
    recipe = {
        "labctl": "recipe/1",
        "name": "preflight",
        "needs": {"vessel": f"{vessel.volume} mL", "max_T": "30 C"},
        "reagents": {},
        "stages": {"preflight": [{"hold": {"for": "1 s"}}]},
    }
    sheet = {"labctl": "batch/1", "sample": "preflight", "operator": operator, "vessel": name,
             "loads": {}}  # fmt: skip
    files = folder / "preflight.yaml", folder / "preflight.batch.yaml"
    for file, row in zip(files, (recipe, sheet), strict=True):
        file.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    return files


def _rehearsed(planned: Plan, runs: Path) -> int:
    """Look at simulated instruments, in virtual time."""
    result = dry_run(with_preflight(planned, {}, lambda outcomes: None, alone=True), runs=runs)
    with open_run(result.directory) as found:
        print("\n".join(event.message for event in found.events if event.code == "preflight"))
    if result.reason:
        print(f"ended: {result.reason}")
    return result.exit_code
