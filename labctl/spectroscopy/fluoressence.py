"""Emission spectra as HORIBA FluorEssence exports them for the Fluoromax: text parted by tabs.

The first lines are short names, long names and units, with or without a first column that says so;
below stand numbers. Every signal belongs to the nearest column named Wavelength at its left. The
form is taken from public readers of such files; maps of several excitations are not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labctl.spectroscopy.delimited import FEWEST_POINTS, Floats, ascending, refuse

_NAMES, _UNITS = "Long Name", "Units"
_AXIS = "Wavelength"


@dataclass(frozen=True, slots=True)
class Emission:
    """One signal over the wavelength: `S1c / R1c`, say, in `CPS / MicroAmps`.

    Both arrays of shape (n,), `wavelength_nm` ascending, `values` in `unit`.
    """

    signal: str
    unit: str
    wavelength_nm: Floats
    values: Floats


def read_fluoressence(text: str, file: str) -> dict[str, Emission]:
    """Read all signals of an exported spectrum, by their long names.

    Raises:
        FindingsError: what cannot be read, with file, line and what is expected there.
    """
    rows = [line.split("\t") for line in text.splitlines()]
    at = next((n for n, row in enumerate(rows) if _AXIS in row), None)
    if at is None or at + 1 >= len(rows):
        message = f"no line of long names with {_AXIS!r}; a text export of FluorEssence expected"
        refuse(file, 1, 1, message, "names")
    labelled = rows[at][0].strip() == _NAMES
    names = [cell.strip() for cell in rows[at]]
    units = [cell.strip() for cell in rows[at + 1]]
    if len(units) != len(names) or units[names.index(_AXIS)] != "nm":
        refuse(file, at + 2, 1, "a line of units with nm under the wavelength expected", "units")
    first = next(
        (n for n in range(at + 2, len(rows)) if _is_number(rows[n][names.index(_AXIS)])), len(rows)
    )
    lines = [n for n in range(first, len(rows)) if any(cell.strip() for cell in rows[n])]
    table = np.array([_numbers(rows[n], n, len(names), labelled, file) for n in lines])
    if len(table) < FEWEST_POINTS:
        message = f"holds {len(table)} wavelengths; at least {FEWEST_POINTS} expected"
        refuse(file, at + 1, 1, message, "short")
    return _signals(names, units, table, [n + 1 for n in lines], file)


def _signals(
    names: list[str], units: list[str], table: Floats, lines: list[int], file: str
) -> dict[str, Emission]:
    found: dict[str, Emission] = {}
    axis = names.index(_AXIS)
    for column in range(axis, len(names)):
        if names[column] == _AXIS:
            axis = column
        elif names[column] and names[column] != _NAMES:
            known = np.isfinite(table[:, axis]) & np.isfinite(table[:, column])
            at_lines = [line for line, whole in zip(lines, known, strict=True) if whole]
            nm, order = ascending(table[known, axis], at_lines, file)
            values = table[known, column][order]
            found[names[column]] = Emission(names[column], units[column], nm, values)
    return found


def _numbers(row: list[str], at: int, width: int, labelled: bool, file: str) -> list[float]:
    """Read a line of numbers; an empty cell is a missing one, and so is a line's own number."""
    if len(row) != width:
        message = f"has {len(row)} columns; {width} expected, as in the line of names"
        refuse(file, at + 1, 1, message, "columns")
    numbers = []
    for n, cell in enumerate(row):
        blank = not cell.strip() or (labelled and n == 0)
        if not blank and not _is_number(cell):
            refuse(file, at + 1, n + 1, f"{cell!r} is no number", "number")
        numbers.append(math.nan if blank else float(cell))
    return numbers


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
