"""`plan`: what a recipe would do, when, with what and with whom, without anything being touched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from labctl.cli.options import Options, add_recipe, add_runs, add_settings, options, request
from labctl.cli.planned import as_json, as_text
from labctl.errors import ExitCode, UsageError
from labctl.outlook.course import Course, estimated
from labctl.plan import Plan
from labctl.prepare import Prepared, prepare_all

FORMATS = ("text", "json", "html")


def run(command: str, arguments: list[str]) -> int:
    """Print a plan, write it as a page, or write a batch sheet to fill in.

    Raises:
        UsageError: options that do not go together.
    """
    asked = _parser(command).read(arguments)
    if asked.write_batch is not None:
        from labctl.cli.sheets import write_sheet

        told = write_sheet(request(asked), asked.write_batch, asked.like, asked.runs)
        print("\n".join(told))
        return ExitCode.COMPLETE
    if asked.like is not None:
        raise UsageError("--like goes with --write-batch SHEET")
    prepared = prepare_all(request(asked))
    if prepared.members and asked.format == "html":
        said = ", ".join(prepared.members[0].values)
        raise UsageError(f"a page to print is of one run; choose it with --set ({said})")
    courses = [_course(plan, simulate=asked.simulate) for plan in prepared.plans]
    text = _written(prepared, courses, asked.format)
    if asked.output is None:
        print(text)
    else:
        _save(text, asked.output)
        print(asked.output)
    return ExitCode.COMPLETE


def _parser(command: str) -> Options:
    parser = options(command)
    add_recipe(parser)
    add_settings(parser)
    format_ = "text is the default; html is one page to print"
    parser.add_argument("--format", choices=FORMATS, default="text", help=format_)
    output = "write it there instead of printing it"
    parser.add_argument("--output", type=Path, metavar="FILE", help=output)
    simulate = "take times and temperatures from a dry run instead of from the steps' estimates"
    parser.add_argument("--simulate", action="store_true", help=simulate)
    sheet = "write a batch sheet to fill in, and nothing else; never over a file that is there"
    parser.add_argument("--write-batch", type=Path, metavar="SHEET", help=sheet)
    like = "the sheet it is copied from; the one of the recipe's last run unless given"
    parser.add_argument("--like", type=Path, metavar="OLD", help=like)
    add_runs(parser)
    return parser


def _course(plan: Plan, *, simulate: bool) -> Course:
    if not simulate:
        return estimated(plan)
    from labctl.cli.simulated import course_of

    return course_of(plan)


def _written(prepared: Prepared, courses: Sequence[Course], form: str) -> str:
    if prepared.members:
        from labctl.cli.series import plan_json, plan_text

        if form == "json":
            return json.dumps(plan_json(prepared, courses), ensure_ascii=False)
        return "\n".join(plan_text(prepared, courses))
    (plan,), (course,) = prepared.plans, courses
    if form == "json":
        return json.dumps(as_json(plan, course, prepared.findings), ensure_ascii=False)
    if form == "html":
        from labctl.report.plan_page import plan_page

        return plan_page(plan, course, prepared.findings)
    return "\n".join(as_text(plan, course, prepared.findings))


def _save(text: str, path: Path) -> None:
    """Write a text.

    Raises:
        UsageError: the place for it cannot be written.
    """
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
