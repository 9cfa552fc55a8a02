"""Absorbance spectra written as text columns: two columns, or a matrix with a row of times.

What may be written, and what is refused: docs/how-to/replay-a-decision.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from labctl.errors import Finding, FindingsError, Severity, UnitError
from labctl.units import parse

Floats = NDArray[np.float64]
SHORTEST_NM, LONGEST_NM = 150.0, 3000.0
FEWEST_POINTS = 20
_NOTE = re.compile(r"#\s*(time|temperature)\s*[:=]\s*(.+)", re.IGNORECASE)
_SPREAD = re.compile(r"std\.? ?dev\.?|standard deviation", re.IGNORECASE)
_OTHER = re.compile(r"transmitt|reflect|%\s*[TR]\b|\bCPS\b|counts|micro ?amps", re.IGNORECASE)
_CORNER = re.compile(r".*[/(\\,|]\s*(?:time\s*)?(?:in\s*)?(s|min|h)\s*\)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scan:
    """One absorbance spectrum of a file.

    Both arrays of shape (n,), `wavelength_nm` ascending, `absorbance` in AU, NaN where missing.
    `t_s` is s since an origin that is the file's own (POSIX time in JCAMP-DX), `temperature_c`
    °C; None where the file does not say.
    """

    wavelength_nm: Floats
    absorbance: Floats
    t_s: float | None
    temperature_c: float | None
    file: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file: its number from 1 and its cells."""

    line: int
    cells: list[str]


def refuse(file: str, line: int, column: int, message: str, rule: str) -> NoReturn:
    """Refuse a file at a place in it; line and column count from 1.

    Raises:
        FindingsError: always.
    """
    raise FindingsError([Finding(f"spectra.{rule}", Severity.ERROR, file, line, column, message)])


def read_delimited(text: str, file: str) -> list[Scan]:
    """Read spectra from columns separated by comma, semicolon or tab.

    Raises:
        FindingsError: what cannot be read, with file and line, and what is expected there.
    """
    notes = {m[1].lower(): m[2] for m in map(_NOTE.match, text.splitlines()) if m}
    rows = _without_spread(list(_rows(text)))
    if not rows:
        refuse(file, 1, 1, "holds no columns; wavelength and absorbance expected", "empty")
    width = len(rows[0].cells)
    if width < 2:
        message = f"has one column, {rows[0].cells[0]!r}; wavelength and absorbance expected"
        refuse(file, rows[0].line, 1, message, "columns")
    for row in rows:
        if len(row.cells) != width:
            message = f"has {len(row.cells)} columns; {width} expected, as in line {rows[0].line}"
            refuse(file, row.line, 1, message, "columns")
    heads, body = _parted(rows)
    _refuse_other_quantities(heads, file)
    wavelength, matrix = _numbers(body, file)
    times, temperatures = _head(heads, width, notes, file)
    return [
        Scan(wavelength, column, t_s, at_c, file)
        for column, t_s, at_c in zip(matrix.T, times, temperatures, strict=True)
    ]


def _rows(text: str) -> Iterator[Row]:
    lines = [(n, s) for n, s in enumerate(text.splitlines(), 1) if s.strip() and s[0] != "#"]
    joined = "\n".join(line for _, line in lines)
    mark = next((mark for mark in ("\t", ";") if mark in joined), ",")
    for number, line in lines:
        cells = [cell.strip().strip('"') for cell in line.split(mark)]
        # Where something else separates, a comma is the decimal sign.
        yield Row(number, cells if mark == "," else [cell.replace(",", ".") for cell in cells])


def _parted(rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    first = next((n for n, row in enumerate(rows) if _number(row.cells[0]) is not None), len(rows))
    return rows[:first], rows[first:]


def _without_spread(rows: list[Row]) -> list[Row]:
    """Leave out the columns whose head says standard deviation, as the Agilent 8453 exports it."""
    heads, _ = _parted(rows)
    spread = {n for row in heads for n, cell in enumerate(row.cells) if n and _SPREAD.search(cell)}
    return [
        Row(row.line, [cell for n, cell in enumerate(row.cells) if n not in spread]) for row in rows
    ]


def _refuse_other_quantities(heads: Sequence[Row], file: str) -> None:
    """Refuse what is no absorbance by its own words, rather than read it as one.

    Raises:
        FindingsError: a head names transmittance, reflectance or counts.
    """
    for row in heads:
        for column, cell in enumerate(row.cells, 1):
            if _OTHER.search(cell):
                message = f"{cell!r} is no absorbance; export absorbance in AU"
                refuse(file, row.line, column, message, "quantity")


def _numbers(body: Sequence[Row], file: str) -> tuple[Floats, Floats]:
    values: list[list[float]] = []
    for row in body:
        values.append([])
        for column, cell in enumerate(row.cells, 1):
            number = _number(cell)
            if number is None:
                what = "a wavelength in nm" if column == 1 else "an absorbance"
                refuse(file, row.line, column, f"{cell!r} is not {what}", "number")
            values[-1].append(number)
    if len(values) < FEWEST_POINTS:
        line = body[0].line if body else 1
        message = f"holds {len(values)} wavelengths; at least {FEWEST_POINTS} expected"
        refuse(file, line, 1, message, "short")
    table = np.array(values)
    lines = [row.line for row in body]
    wavelength, order = ascending(table[:, 0], lines, file)
    return wavelength, table[order, 1:]


def ascending(wavelength: Floats, lines: Sequence[int], file: str) -> tuple[Floats, slice]:
    """Give wavelengths (nm) in ascending order, and the slice that orders others alike.

    Raises:
        FindingsError: they are no wavelengths in nm, or neither ascend nor descend.
    """
    absurd = np.flatnonzero(~((wavelength >= SHORTEST_NM) & (wavelength <= LONGEST_NM)))
    if absurd.size:
        at = int(absurd[0])
        message = f"{wavelength[at]:g} is no wavelength in nm; 150 .. 3000 nm expected"
        refuse(file, lines[at], 1, message, "wavelength")
    order = slice(None, None, -1) if wavelength[0] > wavelength[-1] else slice(None)
    steps = np.diff(wavelength[order])
    if not bool(np.all(steps > 0)):
        wrong = int(np.flatnonzero(steps <= 0)[0])
        at = wrong + 1 if order.step is None else len(lines) - 1 - wrong
        message = f"{wavelength[at]:g} nm breaks the order; all ascending or all descending"
        refuse(file, lines[at], 1, f"{message} expected", "order")
    return wavelength[order], order


def _head(
    heads: Sequence[Row], width: int, notes: dict[str, str], file: str
) -> tuple[list[float | None], list[float | None]]:
    """Read times (s) and temperatures (°C) of the columns from the lines above the numbers."""
    times: list[float | None] = [None] * (width - 1)
    temperatures: list[float | None] = [None] * (width - 1)
    if "time" in notes:
        times = [_quantity(notes["time"], "time", file, 1, 1)] * (width - 1)
    if "temperature" in notes:
        temperatures = [_quantity(notes["temperature"], "temperature", file, 1, 1)] * (width - 1)
    for row in heads:
        if row.cells[0].lower().startswith("temperature"):
            temperatures = [_celsius(cell, file, row, n) for n, cell in _columns(row)]
        elif width > 2 or _number(row.cells[1]) is not None:
            corner = _CORNER.fullmatch(row.cells[0])
            unit = corner[1].lower() if corner else ""
            times = [_time(cell, unit, file, row, n) for n, cell in _columns(row)]
    if width > 2 and None in times:
        message = "has no row of times above the absorbances; a first line 'nm / s' expected"
        refuse(file, 1, 1, message, "times")
    return times, temperatures


def _columns(row: Row) -> Iterator[tuple[int, str]]:
    return enumerate(row.cells[1:], 2)


def _time(cell: str, unit: str, file: str, row: Row, column: int) -> float:
    if _number(cell) is None:
        return _quantity(cell, "time", file, row.line, column)
    if not unit:
        message = f"time {cell!r} has no unit; write '{cell} s', or 'nm / s' in the first cell"
        refuse(file, row.line, column, message, "times")
    return _quantity(f"{cell} {unit}", "time", file, row.line, column)


def _celsius(cell: str, file: str, row: Row, column: int) -> float:
    text = f"{cell} °C" if _number(cell) is not None and "c" in row.cells[0].lower()[11:] else cell
    return _quantity(text, "temperature", file, row.line, column)


def _quantity(text: str, dimension: str, file: str, line: int, column: int) -> float:
    try:
        return parse(text, dimension).value
    except UnitError as error:
        refuse(file, line, column, str(error), error.rule.partition(".")[2])


def _number(cell: str) -> float | None:
    """Read a number; `nan` is a missing one, anything else that is no finite number is None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if math.isinf(value) else value
