"""`dry-run`: the whole run on simulated instruments, watched while it goes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from labctl.capabilities import Operator
from labctl.cli import findings as found_text
from labctl.cli.board import PRESSURE_UNITS
from labctl.cli.closing import closing, next_steps
from labctl.cli.faulted import add_faults, faults_of, listed
from labctl.cli.guard import hushed
from labctl.cli.live import Lines, Live
from labctl.cli.options import Options, add_format, add_recipe, add_runs, add_settings, options
from labctl.cli.options import request as request_of
from labctl.cli.series import ran_json, ran_text, recorded, worst
from labctl.cli.terminal import TerminalOperator
from labctl.cli.text import Paint
from labctl.clock import new_run_id
from labctl.engine.expected import Expected, expected_of
from labctl.errors import ExitCode, UsageError
from labctl.plan import Plan
from labctl.prepare import Prepared, prepare_all
from labctl.record import Json, find_run, open_run
from labctl.report import write_report
from labctl.session import Result, dry_run, golden_of, shadow_of, stem_of


def run(command: str, arguments: list[str]) -> int:
    """Check a recipe, run it on the rig's twin, and say what came of it.

    Raises:
        UsageError: no recipe, or options that do not fit.
    """
    asked = _parser(command).read(arguments)
    if asked.list_faults:
        print(listed(as_json=asked.format == "json"))
        return ExitCode.COMPLETE
    if asked.recipe is None:
        raise UsageError("name a recipe, or ask for --list-faults")
    speed = _speed(asked.speed)
    prepared = prepare_all(request_of(asked))
    expected = [_expected(asked.shadow, plan, asked.runs) for plan in prepared.plans]
    if prepared.findings and asked.format != "json":
        print(found_text.listed(prepared.findings), file=sys.stderr)
    if prepared.members:
        return _series(asked, prepared, expected, speed)
    result, report = _one(asked, prepared.plans[0], expected[0], speed)
    if asked.format == "json":
        print(json.dumps(result.summary, ensure_ascii=False))
    else:
        hushed(lambda: _tell(result, report))
    return result.exit_code


def _series(
    asked: argparse.Namespace,
    prepared: Prepared,
    expected: Sequence[Sequence[Expected]],
    speed: float | None,
) -> int:
    """Run all members, one after the other; an interruption ends the series."""
    quiet = asked.format == "json"
    series = new_run_id(stem_of(prepared.plans[0]))
    results: list[Result] = []
    for member, plan, compared in zip(prepared.members, prepared.plans, expected, strict=True):
        if not quiet:
            said = f"{member.number} of {member.of}: {member.label}"
            print(Paint(sys.stdout)(said, "bold"), flush=True)
        made = recorded(series, member)
        results.append(_one(asked, plan, compared, speed, made)[0])
        if results[-1].exit_code is ExitCode.INTERRUPTED:
            break
    if quiet:
        print(json.dumps(ran_json(series, prepared, results), ensure_ascii=False))
    else:
        hushed(lambda: print("\n".join(["", *ran_text(series, prepared, results)])))
    return worst(results).exit_code


def _one(
    asked: argparse.Namespace,
    plan: Plan,
    expected: Sequence[Expected],
    speed: float | None,
    member: Mapping[str, Json] = MappingProxyType({}),
) -> tuple[Result, Path]:
    """Run one plan, watched unless the output is for a machine; return it and its report."""
    screen = None if asked.format == "json" else _screen(asked.pressure_unit)
    try:
        result = dry_run(
            plan,
            seed=asked.seed,
            speed=speed,
            runs=asked.runs,
            asks=_asks(screen) if asked.ask else None,
            watch=None if screen is None else screen.watch,
            expected=expected,
            member=member,
            faults=faults_of(asked.fault),
        )
    finally:
        if screen is not None:
            screen.close()
    return result, write_report(result.directory)


def _parser(command: str) -> Options:
    parser = options(command)
    add_recipe(parser, optional=True)
    add_settings(parser)
    parser.add_argument("--seed", type=int, default=1, help="of everything random; 1 unless given")
    speed = "`max`, or a factor of real time: 60 shows an hour in a minute"
    parser.add_argument("--speed", default="max", metavar="max|FACTOR", help=speed)
    ask = "ask you at the terminal instead of the simulated operator"
    parser.add_argument("--ask", action="store_true", help=ask)
    shadow = "compare with the recipe's `own` dry run, the sheet's `golden` batch, or a RUN"
    parser.add_argument("--shadow", action="append", default=[], metavar="RUN|own|golden",
                        help=f"{shadow}; may be repeated")  # fmt: skip
    unit = "of the live view; mbar unless given"
    add_faults(parser)
    parser.add_argument("--pressure-unit", choices=tuple(PRESSURE_UNITS), default="mbar", help=unit)
    add_runs(parser)
    add_format(parser)
    return parser


def _expected(asked: Sequence[str], plan: Plan, runs: Path) -> list[Expected]:
    """Make what the run is compared with.

    Raises:
        UsageError: no such run, no golden batch on the sheet, or two of one kind.
    """
    found: list[Expected] = []
    for word in asked:
        if word == "own":
            found.append(shadow_of(plan))
        elif word == "golden":
            golden = golden_of(plan, runs)
            if golden is None:
                raise UsageError("--shadow golden: the batch sheet names no `golden` sample")
            found.append(golden)
        else:
            with open_run(find_run(runs, word)) as run:
                found.append(expected_of(run, "shadow", f"run {run.meta.id}"))
    names = [expected.name for expected in found]
    if len(set(names)) < len(names):
        raise UsageError("--shadow takes one RUN, `own` and `golden` at most, each once")
    return found


def _speed(text: str) -> float | None:
    """Read a speed; None is as fast as it goes.

    Raises:
        UsageError: neither `max` nor a positive number.
    """
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0.0 < factor < float("inf"):
        raise UsageError(f"--speed is {text!r}; write `max` or a factor of real time, such as 60")
    return factor


def _screen(unit: str) -> Lines | Live:
    return Live(sys.stdout, unit) if Paint.moves(sys.stdout) else Lines(sys.stdout)


def _asks(screen: Lines | Live | None) -> Callable[[Operator], Operator]:
    def made(hands: Operator) -> Operator:
        return TerminalOperator(hands, sys.stdin, sys.stderr, screen.clear if screen else None)

    return made


def _tell(result: Result, report: Path) -> None:
    paint = Paint(sys.stdout)
    with open_run(result.directory) as run:
        print("\n".join(closing(run, paint)))
    print()
    print("\n".join(next_steps(result.directory, report)))
