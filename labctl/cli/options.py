"""Options that commands share; a wrong one is refused in a sentence with the nearest known name."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from labctl.cli.help import COMMANDS
from labctl.errors import UsageError, nearest

if TYPE_CHECKING:  # recipes are heavy, and half of the commands read none
    from labctl.prepare import Request

FORMATS = ("text", "json")


class Options(argparse.ArgumentParser):
    """An argument parser that refuses as the rest of labctl does."""

    def error(self, message: str) -> NoReturn:
        """Refuse arguments that do not fit.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; `{self.prog} --help` tells more")

    def read(self, arguments: list[str]) -> argparse.Namespace:
        """Read arguments; name the nearest option for an unknown one.

        Raises:
            UsageError: an argument that is unknown, missing, or cannot be read.
        """
        found, unknown = self.parse_known_args(arguments)
        if unknown:
            known = [text for action in self._actions for text in action.option_strings]
            hint = nearest(unknown[0].partition("=")[0], known)
            self.error(f"{unknown[0]!r} is not expected{hint}")
        return found


def options(command: str) -> Options:
    """Make the parser of one command."""
    return Options(prog=f"labctl {command}", description=COMMANDS[command][2], allow_abbrev=False)


def add_format(parser: Options) -> None:
    """Add `--format`."""
    parser.add_argument("--format", choices=FORMATS, default="text", help="text is the default")


def add_runs(parser: Options) -> None:
    """Add `--runs`."""
    default = Path(os.environ.get("LABCTL_RUNS") or "runs")
    help_ = "where the runs are; $LABCTL_RUNS or ./runs unless given"
    parser.add_argument("--runs", type=Path, default=default, metavar="DIR", help=help_)


def add_recipe(parser: Options, *, optional: bool = False) -> None:
    """Add the recipe and the files that go with it."""
    parser.add_argument("recipe", type=Path, nargs="?" if optional else None, metavar="RECIPE")
    parser.add_argument("--rig", type=Path, help="the rig's file; the bundled one unless given")
    parser.add_argument("--batch", type=Path, metavar="SHEET", help="today's batch sheet; "
                        "the one beside the recipe unless given")  # fmt: skip


def add_settings(parser: Options) -> None:
    """Add `--set`."""
    help_ = "choose a value of the recipe, e.g. --set layers=4; may be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=help_)


def request(found: argparse.Namespace) -> Request:
    """Return what recipe, rig, batch and settings ask for.

    Raises:
        UsageError: a setting without `=`, or one given twice.
    """
    from labctl.prepare import Request

    settings: dict[str, str] = {}
    for text in getattr(found, "set", []):
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"--set {text!r} is no setting; write --set NAME=VALUE")
        if name.strip() in settings:
            raise UsageError(f"--set {name.strip()} is given twice")
        settings[name.strip()] = value.strip()
    return Request(found.recipe, found.rig, found.batch, settings)
