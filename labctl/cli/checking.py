"""`check`: what is wrong with a recipe, found without anything being touched."""

from __future__ import annotations

import json
import sys
from typing import Literal

from labctl.cli import findings as found_text
from labctl.cli.options import add_format, add_recipe, options, request
from labctl.errors import ExitCode, Finding, FindingsError, Severity, UsageError
from labctl.prepare import Prepared, Request, prepare_all, rows

Kind = Literal["recipe", "rig", "batch", "block"]
SCHEMAS: tuple[Kind, ...] = ("recipe", "rig", "batch", "block")


def run(command: str, arguments: list[str]) -> int:
    """Check a recipe, or print the JSON Schema of a kind of file.

    Raises:
        UsageError: neither a recipe nor a schema is asked for.
    """
    parser = options(command)
    add_recipe(parser, optional=True)
    add_format(parser)
    help_ = "print the JSON Schema of a kind of file, for editors"
    parser.add_argument("--schema", choices=SCHEMAS, help=help_)
    asked = parser.read(arguments)
    if asked.schema:
        return _schema(asked.schema)
    if asked.recipe is None:
        raise UsageError("name the recipe to check: labctl check RECIPE")
    prepared, findings = _attempt(request(asked))
    if asked.format == "json":
        print(json.dumps({"findings": rows(findings)}, ensure_ascii=False))
    else:
        if findings:
            print(found_text.listed(findings, sys.stdout))
        if prepared is not None:
            print(f"{asked.recipe}: {_fit(prepared)}")
    refused = any(finding.severity is Severity.ERROR for finding in findings)
    return ExitCode.REFUSED if refused else ExitCode.COMPLETE


def _attempt(asked: Request) -> tuple[Prepared | None, list[Finding]]:
    try:
        prepared = prepare_all(asked)
    except FindingsError as error:
        return None, list(error.findings)
    return prepared, list(prepared.findings)


def _fit(prepared: Prepared) -> str:
    on = f"fit to run on {prepared.plans[0].rig.model.name}"
    return f"{on}, all {len(prepared.members)} of its series" if prepared.members else on


def _schema(kind: Kind) -> int:
    from labctl.schemas import json_schema

    print(json.dumps(json_schema(kind), ensure_ascii=False, indent=2))
    return ExitCode.COMPLETE
