"""`run`: a recipe on real instruments, conducted by a process of its own while you watch."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from labctl.cli import findings as found_text
from labctl.cli.checklist import checklist
from labctl.cli.options import add_format, add_recipe, add_runs, add_settings, options
from labctl.cli.options import request as request_of
from labctl.cli.watching import add_operator, ended, follow
from labctl.clock import local_now, new_run_id
from labctl.control.client import Client
from labctl.control.server import FILE_NAME
from labctl.errors import ExitCode, UsageError
from labctl.hardware.launch import launch
from labctl.hardware.order import place
from labctl.prepare import prepare_one
from labctl.record import open_run, summary
from labctl.rig.claim import Claim

AGREE = "yes"


def run(command: str, arguments: list[str]) -> int:
    """Check, agree, launch, and follow until it is over or left alone.

    Raises:
        UsageError: no rig or no batch sheet is named, the rig has no guard, or nobody agreed.
    """
    parser = options(command)
    add_recipe(parser)
    add_settings(parser)
    add_operator(parser)
    parser.add_argument("--sample", default="", metavar="ID", help="instead of the sheet's")
    parser.add_argument("--yes", action="store_true", help="agree beforehand; for scripts")
    keep = "keep all that crosses the ports, in `wire/` beside the record"
    parser.add_argument("--capture", action="store_true", help=keep)
    parser.add_argument("--detach", action="store_true", help="launch, and do not watch")
    add_runs(parser)
    add_format(parser)
    asked = parser.read(arguments)
    if asked.rig is None or asked.batch is None:
        raise UsageError("on real instruments name both --rig and today's --batch")
    request = replace(
        request_of(asked),
        now=local_now(),
        operator=asked.operator,
        sample=asked.sample,
        hardware=True,
    )
    planned, findings = prepare_one(request)
    if planned.rig.model.guard is None:
        raise UsageError("the rig file has no `guard`; nothing is heated on hardware without one")
    quiet = asked.format == "json"
    if findings and not quiet:
        print(found_text.listed(findings), file=sys.stderr)
    if not quiet:
        print("\n".join(checklist(planned, asked.runs)))
    if not asked.yes:
        name, rig = planned.recipe.head.name, planned.rig.model.name
        what = f"runs {name!r} on rig {rig!r}: instruments will be opened and heat given"
        agreed(f"{asked.operator} {what}.")
    directory = asked.runs / new_run_id(asked.recipe.name.removesuffix(".yaml"))
    with Claim(planned.rig, directory.name):
        pass  # nobody else has the rig; the run's own process claims it again
    files = planned.recipe.files
    place(directory, request, asked.rig, asked.batch, files, capture=asked.capture)
    launch(directory)
    if asked.detach:
        print(json.dumps({"run": directory.name, "directory": str(directory)}) if quiet
              else f"launched {directory.name}; `labctl watch` follows it")  # fmt: skip
        return ExitCode.COMPLETE
    if quiet:
        return silently(directory)
    return follow(directory, asked.operator)


def agreed(what: str) -> None:
    """Have the operator agree in words to what will be done.

    Raises:
        UsageError: anything but the word itself was typed.
    """
    print(what)
    print(f"Type `{AGREE}` to begin: ", end="", flush=True)
    if sys.stdin.readline().strip() != AGREE:
        raise UsageError("nobody agreed; nothing was touched")


def silently(directory: Path) -> int:
    """Wait for the end, then print the one JSON object."""
    if (directory / FILE_NAME).exists():
        with Client(directory) as client:
            client.ask("watch")
            while (message := client.next()) is not None and not message.get("over"):
                pass
    with open_run(directory) as found:
        print(json.dumps(summary(found), ensure_ascii=False))
    return ended(directory, aloud=False)
