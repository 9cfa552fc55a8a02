"""Questions at the terminal for a command that guides a person; values always with their unit."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from typing import TypeVar

from labctl.errors import UnitError, UsageError
from labctl.units import parse

T = TypeVar("T")


def ask(prompt: str, read: Callable[[str], T]) -> T:
    """Ask until what is typed can be read.

    Raises:
        UsageError: the input ends.
    """
    while True:
        print(f"{prompt}: ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            raise UsageError("no more input; nothing was written")
        try:
            return read(line.strip())
        except (UnitError, UsageError) as error:
            print(f"  {error}")


def quantity(dimension: str) -> Callable[[str], float]:
    """Return what reads a quantity with its unit, in the canonical unit."""
    return lambda text: parse(text, dimension).value


def quantity_or_end(dimension: str) -> Callable[[str], float | None]:
    """Return what reads a quantity, or None for `end`."""
    return lambda text: None if text == "end" else parse(text, dimension).value


def word(*known: str) -> Callable[[str], str]:
    """Return what reads one of some words."""

    def read(text: str) -> str:
        if text not in known:
            raise UsageError(f"{text!r} is none of: {', '.join(known)}")
        return text

    return read


def later(than: dt.date) -> Callable[[str], dt.date]:
    """Return what reads a date after another one."""

    def read(text: str) -> dt.date:
        try:
            found = dt.date.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{text!r} is no date; write it as {than}") from None
        if found <= than:
            raise UsageError(f"{found} is not after {than}")
        return found

    return read
