"""Absorbance spectra in JCAMP-DX 5.01: XYDATA=(X++(Y..Y)) in AFFN form, and XYPOINTS=(XY..XY).

McDonald and Wilks, Appl. Spectrosc. 42 (1988) 151. The compressed ASDF forms are refused.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from labctl.spectroscopy.delimited import FEWEST_POINTS, Scan, ascending, refuse

Floats = NDArray[np.float64]
_LABEL = re.compile(r"##([^=]*)=(.*)", re.DOTALL)
_AFFN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|\?")
_BETWEEN = re.compile(r"[\s,;]*")
_TO_NM: dict[str, Callable[[Floats], Floats]] = {
    "NANOMETERS": lambda x: x,
    "MICROMETERS": lambda x: 1e3 * x,
    "1/CM": lambda x: 1e7 / x,
}
_LONG_DATES = ("%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M")
_DATES = ("%y/%m/%d", "%Y/%m/%d", "%d/%m/%Y", "%d-%m-%Y", "%Y-%m-%d")
_TIMES = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M")


@dataclass
class _Block:
    """One block of the file: labels with line and text, and the lines of its numbers."""

    line: int
    labels: dict[str, tuple[int, str]] = field(default_factory=dict)
    form: str = ""
    numbers: list[tuple[int, str]] = field(default_factory=list)


def read_jcamp(text: str, file: str) -> list[Scan]:
    """Read all spectra of a file, those of linked blocks in their order.

    Raises:
        FindingsError: what cannot be read, with file and line, and what is expected there.
    """
    blocks = [block for block in _blocks(text) if block.form]
    if not blocks:
        message = "holds no ##XYDATA= or ##XYPOINTS=; a JCAMP-DX 5.01 spectrum expected"
        refuse(file, 1, 1, message, "empty")
    return [_Reader(block, file).scan() for block in blocks]


def _blocks(text: str) -> Iterator[_Block]:
    block = _Block(1)
    for number, written in enumerate(text.splitlines(), 1):
        line = written.partition("$$")[0].strip()
        match = _LABEL.match(line)
        if match is None:
            if line and block.form:
                block.numbers.append((number, line))
            continue
        label = re.sub(r"[\s/_-]", "", match[1]).upper()
        if label in {"TITLE", "END"}:
            yield block
            block = _Block(number)
        elif label in {"XYDATA", "XYPOINTS", "PEAKTABLE"}:
            block.form = f"{label}={''.join(match[2].split())}"
        block.labels[label] = (number, match[2].strip())
    yield block


class _Reader:
    """Reads one block."""

    def __init__(self, block: _Block, file: str) -> None:
        self._block = block
        self._file = file

    def scan(self) -> Scan:
        """Give the block's spectrum.

        Raises:
            FindingsError: what cannot be read.
        """
        self._expect("YUNITS", ("ABSORBANCE",))
        unit = self._expect("XUNITS", tuple(_TO_NM))
        forms = {"XYDATA=(X++(Y..Y))": self._rows, "XYPOINTS=(XY..XY)": self._pairs}
        forms["XYDATA=(XY..XY)"] = self._pairs
        read = forms.get(self._block.form)
        if read is None:
            label = self._block.form.partition("=")[0]
            message = f"{self._block.form} is not read; (X++(Y..Y)) or (XY..XY) expected"
            self._refuse(label, message, "form")
        x, y, lines = read()
        if len(x) < FEWEST_POINTS:
            message = f"holds {len(x)} points; at least {FEWEST_POINTS} expected"
            refuse(self._file, self._block.line, 1, message, "short")
        wavelength, order = ascending(_TO_NM[unit](np.array(x)), lines, self._file)
        return Scan(wavelength, np.array(y)[order], self._time(), self._celsius(), self._file)

    def _rows(self) -> tuple[list[float], list[float], list[int]]:
        """Read lines of one x and equidistant y; each x is checked against the count so far."""
        count = round(self._number("NPOINTS"))
        first, last = self._number("FIRSTX"), self._number("LASTX")
        step = (last - first) / max(count - 1, 1)
        x_factor, y_factor = self._number("XFACTOR", 1.0), self._number("YFACTOR", 1.0)
        values: list[float] = []
        lines: list[int] = []
        for line, text in self._block.numbers:
            x, *row = self._affn(line, text)
            expected = first + step * len(values)
            if abs(x * x_factor - expected) > max(abs(step), 1e-9):
                message = f"begins at x = {x * x_factor:g}; {expected:g} expected"
                refuse(self._file, line, 1, f"{message} after {len(values)} points", "x")
            values += [y_factor * y for y in row]
            lines += [line] * len(row)
        if len(values) != count:
            message = f"##NPOINTS= says {count} points; {len(values)} are there"
            self._refuse("NPOINTS", message, "points")
        return [first + step * i for i in range(count)], values, lines

    def _pairs(self) -> tuple[list[float], list[float], list[int]]:
        x_factor, y_factor = self._number("XFACTOR", 1.0), self._number("YFACTOR", 1.0)
        x: list[float] = []
        y: list[float] = []
        lines: list[int] = []
        for line, text in self._block.numbers:
            row = self._affn(line, text)
            if len(row) % 2:
                refuse(self._file, line, 1, "holds half a pair; x, y expected", "pairs")
            x += [x_factor * value for value in row[::2]]
            y += [y_factor * value for value in row[1::2]]
            lines += [line] * (len(row) // 2)
        return x, y, lines

    def _affn(self, line: int, text: str) -> list[float]:
        """Read numbers, parted by space, comma, semicolon or their own sign; ? is missing."""
        values: list[float] = []
        at = 0
        while at < len(text):
            match = _AFFN.match(text, at)
            if match is None:
                message = f"{text[at]!r} is not read; plain numbers (AFFN) expected, export so"
                refuse(self._file, line, at + 1, message, "compressed")
            values.append(math.nan if match[0] == "?" else float(match[0]))
            between = _BETWEEN.match(text, match.end())
            at = match.end() if between is None else between.end()
        return values

    def _number(self, label: str, default: float | None = None) -> float:
        line, text = self._block.labels.get(label, (self._block.line, ""))
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            refuse(self._file, line, 1, f"##{label}= is {text!r}; a number expected", "label")
        return value

    def _expect(self, label: str, known: tuple[str, ...]) -> str:
        text = self._block.labels.get(label, (0, ""))[1].upper()
        if text not in known:
            self._refuse(label, f"##{label}= is {text!r}; {' or '.join(known)} expected")
        return text

    def _refuse(self, label: str, message: str, rule: str = "label") -> NoReturn:
        line = self._block.labels.get(label, (self._block.line, ""))[0]
        refuse(self._file, line, 1, message, rule)

    def _time(self) -> float | None:
        """Give the time of the measurement as POSIX s; the zone is passed over."""
        labels = {name: text for name, (_, text) in self._block.labels.items()}
        long = re.sub(r"\s+[+-]\d{4}$", "", labels.get("LONGDATE", ""))
        found = _moment(long, _LONG_DATES)
        if found is None and "TIME" in labels:
            day = _moment(labels.get("DATE", ""), _DATES) or dt.datetime(1970, 1, 1)
            hour = _moment(labels["TIME"], _TIMES)
            found = None if hour is None else dt.datetime.combine(day, hour.time())
        return None if found is None else found.replace(tzinfo=dt.UTC).timestamp()

    def _celsius(self) -> float | None:
        if "TEMPERATURE" not in self._block.labels:
            return None
        return self._number("TEMPERATURE")


def _moment(text: str, formats: tuple[str, ...]) -> dt.datetime | None:
    for form in formats:
        try:
            return dt.datetime.strptime(text, form)
        except ValueError:
            continue
    return None
