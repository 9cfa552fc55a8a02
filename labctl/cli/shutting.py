"""`shutdown`: leave a rig cold, flushed and empty after a run, step by step, on record."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from labctl.cli.options import add_format, add_runs, options
from labctl.cli.running import agreed, silently
from labctl.cli.watching import add_operator, follow
from labctl.clock import local_now, new_run_id
from labctl.errors import UsageError
from labctl.hardware.launch import launch
from labctl.hardware.order import place
from labctl.outlook.shutdown import Used, shutdown_texts
from labctl.plan import Plan
from labctl.prepare import Request, prepare_one
from labctl.record import Run, find_run, open_run
from labctl.rig.claim import Claim
from labctl.rig.load import load_rig
from labctl.session import dry_run
from labctl.source import compose


def run(command: str, arguments: list[str]) -> int:
    """Show what will be done, agree, and do it as a run of its own.

    Raises:
        UsageError: no run is named or found, HF without a second person, or nobody agreed.
    """
    asked = _read(command, arguments)
    used, left = _of_run(asked.runs, asked.after)
    people = [asked.operator, *([asked.second] if asked.second else [])]
    with tempfile.TemporaryDirectory(prefix="labctl-shutdown-") as folder:
        recipe, sheet = Path(folder) / "shutdown.yaml", Path(folder) / "shutdown.batch.yaml"
        texts = shutdown_texts(load_rig(asked.rig), used, people, left)
        for file, text in zip((recipe, sheet), texts, strict=True):
            file.write_text(text, encoding="utf-8")
        request = Request(recipe, asked.rig, sheet, now=local_now())
        planned, _ = prepare_one(request)
        if asked.format == "text":
            print("\n".join(_listed(planned)), flush=True)
        if asked.simulated:
            return dry_run(planned, runs=asked.runs).exit_code
        if planned.rig.model.guard is None:
            raise UsageError("the rig file has no `guard`; nothing runs on hardware without one")
        if not asked.yes:
            rig = planned.rig.model.name
            agreed(f"{asked.operator} shuts {rig!r} down: instruments will be opened.")
        directory: Path = asked.runs / new_run_id("shutdown")
        with Claim(planned.rig, directory.name):
            pass  # nobody else has the rig; the run's own process claims it again
        place(directory, request, asked.rig, sheet, {}, ends=True)
    launch(directory)
    return silently(directory) if asked.format == "json" else follow(directory, asked.operator)


def _read(command: str, arguments: list[str]) -> argparse.Namespace:
    parser = options(command)
    parser.add_argument("rig", type=Path, metavar="RIG", help="the rig's file")
    after = "the run whose reagents are in the syringes; the last one unless given"
    parser.add_argument("--after", default="last", metavar="RUN", help=after)
    add_operator(parser)
    parser.add_argument("--second", default="", metavar="NAME", help="who is there too, for HF")
    parser.add_argument("--yes", action="store_true", help="agree beforehand; for scripts")
    rehearsed = "rehearse it on simulated instruments"
    parser.add_argument("--simulated", action="store_true", help=rehearsed)
    add_runs(parser)
    add_format(parser)
    return parser.read(arguments)


def _of_run(runs: Path, ref: str) -> tuple[list[Used], list[str]]:
    """Return the reagents of a run, and its sentences on what is left where."""
    with open_run(find_run(runs, ref)) as found:
        left = [event.message for event in found.events if event.code == "left"]
        return _used(found), left


def _used(found: Run) -> list[Used]:
    meta = found.meta
    reagents = compose(meta.recipe_text).mapping(("reagents",))
    loads = compose(meta.batch_text).mapping(("loads",))
    rows = []
    for lot in found.lots:
        pump = "" if lot.by == "hand" else lot.by
        reagent, load = reagents.get(lot.reagent), loads.get(lot.reagent)
        keep_at = str(reagent.get("keep_at", "")) if isinstance(reagent, dict) else ""
        drawn = str(load.get("drawn", "")) if isinstance(load, dict) else ""
        rows.append(Used(lot.reagent, lot.substance, pump, drawn, lot.concentration_mol_l, keep_at))
    return rows


def _listed(planned: Plan) -> list[str]:
    """Return the steps, with all that is flushed and signed."""
    lines = [f"shutdown of {planned.rig.model.name}"]
    for item in planned.steps:
        lines.append(f"  {item.step.summary()}")
        flushed: dict[str, tuple[str, ...]] = getattr(item.step, "lines", {})
        lines += [f"    {name}: {', then '.join(texts)}" for name, texts in flushed.items()]
        lines += [f"    - {row}" for row in getattr(item.step, "list_", ())]
    return lines
