"""Quantities: a closed table of units, one canonical unit per dimension, and text both ways.

Canonical: °C, K, K/min, mbar, mbar/min, mL, mL/min, mm, mmol, mol/L, µmol/L, g, nm, nm/min, s,
sccm, rpm, W, mW, J/K, AU, ppm, V; a percentage is a fraction. A temperature (a point) and a
difference of temperature (in K) are different dimensions.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

from labctl.errors import UnitError, nearest

Celsius = NewType("Celsius", float)
Kelvin = NewType("Kelvin", float)
KelvinPerMinute = NewType("KelvinPerMinute", float)
Millibar = NewType("Millibar", float)
MillibarPerMinute = NewType("MillibarPerMinute", float)
Millilitre = NewType("Millilitre", float)
MillilitrePerMinute = NewType("MillilitrePerMinute", float)
Millimetre = NewType("Millimetre", float)
Millimole = NewType("Millimole", float)
MolePerLitre = NewType("MolePerLitre", float)
Gram = NewType("Gram", float)
Nanometre = NewType("Nanometre", float)
NanometrePerMinute = NewType("NanometrePerMinute", float)
Second = NewType("Second", float)
Rpm = NewType("Rpm", float)
Milliwatt = NewType("Milliwatt", float)
Watt = NewType("Watt", float)
JoulePerKelvin = NewType("JoulePerKelvin", float)
Fraction = NewType("Fraction", float)
AbsorbanceUnit = NewType("AbsorbanceUnit", float)

TORR_MBAR = 1.333223684


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of the table: `canonical = number * scale + offset`."""

    dimension: str
    scale: float
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in the canonical unit of its dimension, with the author's own text."""

    value: float
    dimension: str
    text: str


CANONICAL: dict[str, str] = {
    "temperature": "°C",
    "temperature difference": "K",
    "temperature rate": "K/min",
    "pressure": "mbar",
    "pressure rate": "mbar/min",
    "volume": "mL",
    "volume rate": "mL/min",
    "length": "mm",
    "wavelength": "nm",
    "wavelength rate": "nm/min",
    "amount": "mmol",
    "concentration": "mol/L",
    "mass": "g",
    "time": "s",
    "gas flow": "sccm",
    "rotation": "rpm",
    "power": "mW",
    "heater power": "W",
    "heat capacity": "J/K",
    "heat conductance": "W/K",
    "absorbance": "AU",
    "parts": "ppm",
    "fraction": "%",
    "voltage": "V",
    "baud": "Bd",
    "dilution": "fold",
    "area": "counts·nm per 1e12 photons",
    "truth": "",
}

_PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}


def _table() -> dict[str, Unit]:
    units: dict[str, Unit] = {}

    def add(dimension: str, scales: dict[str, float]) -> None:
        units.update({name: Unit(dimension, scale) for name, scale in scales.items()})

    units["°C"] = Unit("temperature", 1.0)
    add("temperature difference", {"K": 1.0})
    pressure = {"mbar": 1.0, "bar": 1e3, "Pa": 0.01, "hPa": 1.0, "kPa": 10.0, "atm": 1013.25}
    pressure |= {"Torr": TORR_MBAR, "mTorr": TORR_MBAR / 1e3, "µbar": 1e-3}
    volume = {"L": 1e3, "mL": 1.0, "µL": 1e-3}
    add("pressure", pressure)
    add("volume", volume)
    for minute, factor in _PER_MINUTE.items():
        units[f"K/{minute}"] = Unit("temperature rate", factor)
        units[f"nm/{minute}"] = Unit("wavelength rate", factor)
        for name, scale in pressure.items():
            units[f"{name}/{minute}"] = Unit("pressure rate", scale * factor)
        for name, scale in volume.items():
            units[f"{name}/{minute}"] = Unit("volume rate", scale * factor)
    add("length", {"m": 1e3, "cm": 10.0, "mm": 1.0, "µm": 1e-3})
    add("wavelength", {"nm": 1.0})
    add("amount", {"mol": 1e3, "mmol": 1.0, "µmol": 1e-3, "nmol": 1e-6})
    units |= {"mol/L": Unit("concentration", 1.0), "mmol/L": Unit("concentration", 1e-3)}
    units |= {"µmol/L": Unit("concentration", 1e-6), "M": Unit("concentration", 1.0)}
    units |= {"mM": Unit("concentration", 1e-3), "µM": Unit("concentration", 1e-6)}
    add("mass", {"kg": 1e3, "g": 1.0, "mg": 1e-3, "µg": 1e-6})
    add("time", {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0})
    add("gas flow", {"sccm": 1.0})
    add("rotation", {"rpm": 1.0})
    add("power", {"mW": 1.0})
    add("heater power", {"W": 1.0})
    units["J/K"] = Unit("heat capacity", 1.0)
    units["W/K"] = Unit("heat conductance", 1.0)
    add("absorbance", {"AU": 1.0, "mAU": 1e-3})
    add("parts", {"ppm": 1.0})
    units["%"] = Unit("fraction", 0.01)
    add("voltage", {"V": 1.0})
    add("baud", {"Bd": 1.0})
    add("dilution", {"fold": 1.0})
    return units


UNITS: dict[str, Unit] = _table()

_SPELLINGS = {"C": "°C", "degC": "°C", "℃": "°C"}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*")
_DIFFERENCE = {"temperature difference": "°C", "temperature rate": "°C/"}


@lru_cache(maxsize=4096)
def parse(text: str, dimension: str) -> Quantity:
    """Read `NUMBER UNIT` as a quantity of the given dimension, in its canonical unit.

    >>> parse("100 mTorr", "pressure").value
    0.1333223684
    >>> parse("120 C", "temperature").value
    120.0

    Raises:
        UnitError: bare number (`units.bare_number`), unknown unit (`units.unknown_unit`), another
            dimension (`units.dimension`), or no number at all (`units.value`).
    """
    match = _QUANTITY.fullmatch(text)
    want = CANONICAL[dimension]
    if match is None:
        message = f"{text!r} is no {dimension}; write a number and a unit, for example '1 {want}'"
        raise UnitError(message)
    number, written = float(match[1]), match[2]
    if not math.isfinite(number):
        raise UnitError(f"{match[1]!r} is beyond any {dimension}")
    if not written:
        message = f"{text!r} has no unit; a {dimension} is written like '{match[1]} {want}'"
        raise UnitError(message, "units.bare_number")
    unit = _lookup(spelling(written), dimension, text)
    return Quantity(number * unit.scale + unit.offset, dimension, text.strip())


def parse_range(text: str, dimension: str) -> tuple[Quantity, Quantity]:
    """Read `A .. B` as two quantities with A ≤ B.

    >>> [q.value for q in parse_range("5 mL .. 25 mL", "volume")]
    [5.0, 25.0]

    Raises:
        UnitError: no `..`, a part that is no quantity, or A above B (`units.range`).
    """
    low_text, dots, high_text = text.partition("..")
    if not dots:
        message = f"{text!r} is no range; write 'LOW .. HIGH' with a unit on each"
        raise UnitError(message, "units.range")
    low, high = parse(low_text, dimension), parse(high_text, dimension)
    if low.value > high.value:
        message = f"{text!r} runs backwards; the lower end comes first"
        raise UnitError(message, "units.range")
    return low, high


def dimension_of(text: str) -> str:
    """Name the dimension of a quantity written as text.

    >>> dimension_of("10 K/min")
    'temperature rate'

    Raises:
        UnitError: no number, no unit, or a unit that is not in the table.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None or not match[2]:
        message = f"{text!r} is no quantity; write a number and a unit"
        raise UnitError(message, "units.bare_number" if match else "units.value")
    name = spelling(match[2])
    if name not in UNITS:
        message = f"unit {match[2]!r} in {text!r} is not known{nearest(name, UNITS)}"
        raise UnitError(message, "units.unknown_unit")
    return UNITS[name].dimension


def show(value: float, dimension: str, digits: int = 4) -> str:
    """Print a canonical value in the one form labctl uses, to `digits` significant digits.

    >>> show(0.1333223684, "pressure"), show(5400, "time"), show(0.02, "fraction")
    ('0.1333 mbar', '1 h 30 min', '2 %')
    """
    if dimension == "time":
        return show_duration(value)
    number = value * 100 if dimension == "fraction" else value
    return f"{number:.{digits}g} {CANONICAL[dimension]}"


def show_duration(seconds: float) -> str:
    """Print a duration as a person says it.

    >>> show_duration(150), show_duration(30.4), show_duration(0.25), show_duration(86400)
    ('2 min 30 s', '30 s', '0.25 s', '24 h')
    """
    if abs(seconds) < 10:
        return f"{seconds:.3g} s"
    total = round(seconds)
    hours, rest = divmod(abs(total), 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (left, "s")) if n] or [
        "0 s"
    ]
    return ("-" if total < 0 else "") + " ".join(parts[:2])


def show_amount(amount_mmol: float) -> str:
    """Print an amount as a chemist says it.

    >>> show_amount(0.00022), show_amount(0.4)
    ('220 nmol', '0.4 mmol')
    """
    if amount_mmol >= 0.01:
        return f"{amount_mmol:.4g} mmol"
    if amount_mmol >= 1e-3:
        return f"{amount_mmol * 1e3:.4g} µmol"
    return f"{amount_mmol * 1e6:.4g} nmol"


def spelling(unit: str) -> str:
    """Bring the spellings people type to the one of the table.

    >>> spelling("°C/min"), spelling("degC"), spelling("ul"), spelling("umol/L")
    ('K/min', '°C', 'µL', 'µmol/L')
    """
    text = unit.replace("\u03bc", "\u00b5")
    if text in _SPELLINGS:
        return _SPELLINGS[text]
    head, slash, tail = text.partition("/")
    if slash and _SPELLINGS.get(head, head) == "°C":
        return f"K/{tail}"
    if head in {"ul", "uL", "µl", "ml", "l"}:
        head = {"ml": "mL", "l": "L"}.get(head, "µL")
    elif head not in UNITS and head.startswith("u") and f"µ{head[1:]}" in UNITS:
        head = f"µ{head[1:]}"
    return head + slash + tail


def _lookup(name: str, dimension: str, text: str) -> Unit:
    unit = UNITS.get(name)
    if unit is None:
        same = [u for u, row in UNITS.items() if row.dimension == dimension]
        hint = nearest(name, same) or nearest(name, UNITS)
        message = f"unit {name!r} in {text!r} is not known{hint}"
        raise UnitError(message, "units.unknown_unit")
    if unit.dimension != dimension:
        if dimension == "temperature difference" and unit.dimension == "temperature":
            message = f"{text!r} is a temperature; a difference is written in K"
        else:
            message = (
                f"{text!r} is a {unit.dimension}; "
                f"a {dimension} is needed, for example '1 {CANONICAL[dimension]}'"
            )
        raise UnitError(message, "units.dimension")
    return unit
