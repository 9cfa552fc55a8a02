"""`check` and `plan`: what a recipe would do, without anything being touched."""

from __future__ import annotations

import json
import sys
from typing import Literal

from labctl.cli import findings as found_text
from labctl.cli.options import Options, add_format, add_recipe, add_settings, options, request
from labctl.cli.planned import as_json, as_text
from labctl.errors import ExitCode, Finding, FindingsError, Severity, UsageError
from labctl.plan import Plan
from labctl.prepare import Request, prepare, rows

Kind = Literal["recipe", "rig", "batch"]
SCHEMAS: tuple[Kind, ...] = ("recipe", "rig", "batch")


def run(command: str, arguments: list[str]) -> int:
    """Run `check` or `plan`."""
    return _check(arguments) if command == "check" else _plan(arguments)


def _check(arguments: list[str]) -> int:
    """Check a recipe, or print the JSON Schema of a kind of file.

    Raises:
        UsageError: neither a recipe nor a schema is asked for.
    """
    parser = options("check")
    add_recipe(parser, optional=True)
    add_format(parser)
    help_ = "print the JSON Schema of a kind of file, for editors"
    parser.add_argument("--schema", choices=SCHEMAS, help=help_)
    asked = parser.read(arguments)
    if asked.schema:
        return _schema(asked.schema)
    if asked.recipe is None:
        raise UsageError("name the recipe to check: labctl check RECIPE")
    plan, findings = _attempt(request(asked))
    if asked.format == "json":
        print(json.dumps({"findings": rows(findings)}, ensure_ascii=False))
    else:
        if findings:
            print(found_text.listed(findings, sys.stdout))
        if plan is not None:
            print(f"{asked.recipe}: fit to run on {plan.rig.model.name}")
    refused = any(finding.severity is Severity.ERROR for finding in findings)
    return ExitCode.REFUSED if refused else ExitCode.COMPLETE


def _attempt(asked: Request) -> tuple[Plan | None, list[Finding]]:
    try:
        return prepare(asked)
    except FindingsError as error:
        return None, list(error.findings)


def _schema(kind: Kind) -> int:
    from labctl.schemas import json_schema

    print(json.dumps(json_schema(kind), ensure_ascii=False, indent=2))
    return ExitCode.COMPLETE


def _plan(arguments: list[str]) -> int:
    parser: Options = options("plan")
    add_recipe(parser)
    add_settings(parser)
    add_format(parser)
    asked = parser.read(arguments)
    plan, findings = prepare(request(asked))
    if asked.format == "json":
        print(json.dumps(as_json(plan, findings), ensure_ascii=False))
    else:
        print("\n".join(as_text(plan, findings)))
    return ExitCode.COMPLETE
