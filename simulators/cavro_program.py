"""The command strings of a Cavro pump: letters with numbers, read once and then run.

Source: Cavro XCalibur Operating Manual 733085-B, 3.4; XLP 6000 734237-C, appendix G.
"""

from __future__ import annotations

import re
from typing import NamedTuple

INVALID_COMMAND, INVALID_OPERAND, INVALID_SEQUENCE = 2, 3, 4
STEPS = 3000
MICROSTEPS = 8
_DEEPEST = 10
_STEP = re.compile(r"([A-Za-z])(\d*(?:,\d*)*)", re.ASCII)

# Least and greatest of the first number, by letter; the plunger's places depend on the mode.
_RANGES = {
    "N": (0, 1),
    "S": (0, 40),
    "v": (50, 1000),
    "V": (5, 6000),
    "c": (50, 2700),
    "L": (1, 20),
    "K": (0, 31),
    "k": (0, 80),
    "M": (0, 30000),
    "G": (0, 30000),
    "H": (0, 2),
    "g": (0, 0),
    "B": (0, 0),
    "J": (0, 7),
    "s": (0, 14),
    "e": (0, 14),
    "U": (0, 99),
    "u": (0, 99),
}
_INITIALISE = frozenset("ZYW")
_MOVES = frozenset("APDapd")
_VALVE = frozenset("IOE")
NEEDS_PLACE = _MOVES | _VALVE | {"B"}
SPEEDS = (
    *(6000, 5600, 5000, 4400, 3800, 3200, 2600, 2200, 2000, 1800),
    *(1600, 1400, 1200, 1000, 800, 600, 400, 200),
    *range(190, 10, -10),
    *(18, 16, 14, 12, 10),
)


class Step(NamedTuple):
    """One letter of a program with its numbers."""

    letter: str
    numbers: tuple[int, ...]

    @property
    def number(self) -> int:
        """The first number, or 0."""
        return self.numbers[0] if self.numbers else 0


class BadProgramError(Exception):
    """A string that the pump does not take; `code` is the error it reports."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(str(code))


def read(text: str, ports: int) -> list[Step]:
    """Read a command string for a valve of so many ports, 0 for input, output and bypass.

    Raises:
        BadProgramError: an unknown letter, a number out of range, or loops that do not fit.
    """
    steps, at, depth = [], 0, 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise BadProgramError(INVALID_COMMAND)
        step = Step(match[1], tuple(int(n or 0) for n in match[2].split(",") if match[2]))
        _check(step, ports)
        depth += (step.letter == "g") - (step.letter == "G" and depth > 0)
        if depth > _DEEPEST:
            raise BadProgramError(INVALID_SEQUENCE)
        steps.append(step)
        at = match.end()
    return steps


def _check(step: Step, ports: int) -> None:
    letter = step.letter
    if letter in _INITIALISE:
        good = _initialises(step.numbers, ports)
    elif letter in _VALVE:
        good = step.number <= ports and len(step.numbers) <= 1
    elif letter in _MOVES:
        good = len(step.numbers) == 1 and step.number <= STEPS * MICROSTEPS
    elif letter in _RANGES:
        low, high = _RANGES[letter]
        good = len(step.numbers) <= 1 and low <= step.number <= high
    else:
        raise BadProgramError(INVALID_COMMAND)
    if not good:
        raise BadProgramError(INVALID_OPERAND)


def _initialises(numbers: tuple[int, ...], ports: int) -> bool:
    force, *where = numbers or (0,)
    return (force <= 2 or 10 <= force <= 40) and len(where) <= 2 and max(where, default=0) <= ports
