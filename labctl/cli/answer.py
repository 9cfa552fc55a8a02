"""What a calculator answers: values with units, and what they rest on; as text and as JSON."""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from labctl.cli.options import Options
from labctl.cli.text import WIDTH, clipped, padded
from labctl.units import CANONICAL

_MARGIN = 18


@dataclass(frozen=True, slots=True)
class Value:
    """One result: its key in JSON (with the unit), its label, the value, how it is printed."""

    key: str
    label: str
    value: float | str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Results, the formula and its source, what was assumed, and what to mind."""

    values: tuple[Value, ...]
    formula: str
    source: str
    assumed: tuple[str, ...] = ()
    mind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Calculator:
    """What a calculator takes, and how it answers."""

    takes: Callable[[Options], None]
    answers: Callable[[argparse.Namespace], Answer]


def number(key: str, label: str, value: float, unit: str, digits: int = 4) -> Value:
    """Make a result from a number in the unit it is printed with.

    >>> number("diameter_nm", "diameter", 3.3, "nm").text
    '3.3 nm'
    """
    return Value(key, label, value, f"{value:.{digits}g} {unit}".rstrip())


def volume(key: str, label: str, value_ml: float) -> Value:
    """Make a result from a volume; below 1 mL it is printed in µL.

    >>> volume("volume_ml", "volume", 0.18433).text
    '184.3 µL'
    """
    small = abs(value_ml) < 1
    text = f"{value_ml * 1e3:.4g} µL" if small else f"{value_ml:.4g} {CANONICAL['volume']}"
    return Value(key, label, value_ml, text)


def celsius(key: str, label: str, value_c: float, never: str) -> Value:
    """Make a result from a temperature; an infinite one is printed as a sentence."""
    text = never if math.isinf(value_c) else f"{value_c:.1f} °C"
    return Value(key, label, value_c, text)


def as_text(answer: Answer) -> str:
    """Return an answer as lines: results first, then what they rest on."""
    results = [(value.label, value.text) for value in answer.values]
    rests = [("formula", answer.formula), ("source", answer.source)]
    rests += [("assumed", text) for text in answer.assumed]
    rests += [("mind", text) for text in answer.mind]
    return "\n".join([*_lines(results), "", *_lines(rests)])


def as_json(calculator: str, answer: Answer) -> dict[str, object]:
    """Return an answer as plain values; what is infinite is null."""
    values = {value.key: _plain(value.value) for value in answer.values}
    return {
        "calculator": calculator,
        "values": values,
        "formula": answer.formula,
        "source": answer.source,
        "assumed": list(answer.assumed),
        "mind": list(answer.mind),
    }


def _plain(value: float | str) -> float | str | None:
    return value if isinstance(value, str) or math.isfinite(value) else None


def _lines(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines: list[str] = []
    for label, text in rows:
        first, *more = textwrap.wrap(text, WIDTH - _MARGIN, break_on_hyphens=False)
        lines.append(padded(clipped(label, _MARGIN - 1), _MARGIN) + first)
        lines += [" " * _MARGIN + line for line in more]
    return lines
