"""Typed fields for recipe, rig and batch models: quantities, ranges, names, dates.

Each takes the author's text, gives the value in the canonical unit, and describes itself in the
JSON Schema. A text that does not fit raises with the rule id it breaks.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from labctl.errors import UnitError
from labctl.units import parse, parse_range


class Strict(BaseModel):
    """The base of all models: frozen, no unknown key."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True
    )


# What cannot be less than nothing; a rate or a pressure difference may.
_NEVER_NEGATIVE = {"time", "volume", "amount", "mass", "concentration"}
_LONGEST_S = 31 * 86400.0


def _reader(dimension: str, highest: float = math.inf) -> Callable[[object], object]:
    never_negative = dimension in _NEVER_NEGATIVE

    def read(value: object) -> object:
        if isinstance(value, float | int):
            return value
        try:
            number = parse(str(value), dimension).value
        except UnitError as error:
            raise PydanticCustomError(error.rule, "{text}", {"text": str(error)}) from None
        if number < 0 and never_negative:
            text = f"{value!r} is less than nothing"
            raise PydanticCustomError("units.negative", "{text}", {"text": text})
        if number > highest:
            text = f"{value!r} is longer than 31 d, which nothing here waits for"
            raise PydanticCustomError("bounds.too_long", "{text}", {"text": text})
        return number

    return read


def _range_reader(dimension: str) -> Callable[[object], object]:
    def read(value: object) -> object:
        if isinstance(value, tuple):
            return value
        try:
            low, high = parse_range(str(value), dimension)
        except UnitError as error:
            raise PydanticCustomError(error.rule, "{text}", {"text": str(error)}) from None
        return low.value, high.value

    return read


def _schema(dimension: str, example: str) -> WithJsonSchema:
    article = "an" if dimension[0] in "aeiou" else "a"
    said = f"{article} {dimension}, e.g. {example}"
    return WithJsonSchema({"type": "string", "description": said, "examples": [example]})


Temperature = Annotated[
    float, BeforeValidator(_reader("temperature")), _schema("temperature", "120 °C")
]
Difference = Annotated[
    float,
    BeforeValidator(_reader("temperature difference")),
    _schema("temperature difference", "2 K"),
]
Rate = Annotated[
    float, BeforeValidator(_reader("temperature rate")), _schema("temperature rate", "10 K/min")
]
Pressure = Annotated[float, BeforeValidator(_reader("pressure")), _schema("pressure", "100 mTorr")]
PressureRate = Annotated[
    float, BeforeValidator(_reader("pressure rate")), _schema("pressure rate", "20 mTorr/min")
]
Volume = Annotated[float, BeforeValidator(_reader("volume")), _schema("volume", "5 mL")]
Amount = Annotated[float, BeforeValidator(_reader("amount")), _schema("amount", "0.4 mmol")]
Mass = Annotated[float, BeforeValidator(_reader("mass")), _schema("mass", "1.2 mg")]
Concentration = Annotated[
    float, BeforeValidator(_reader("concentration")), _schema("concentration", "0.5 mol/L")
]
Duration = Annotated[
    float, BeforeValidator(_reader("time", _LONGEST_S)), _schema("duration", "30 min")
]
Interval = Annotated[float, BeforeValidator(_reader("time")), _schema("duration", "365 d")]
Length = Annotated[float, BeforeValidator(_reader("length")), _schema("length", "14.57 mm")]
Wavelength = Annotated[
    float, BeforeValidator(_reader("wavelength")), _schema("wavelength", "580 nm")
]
WavelengthRate = Annotated[
    float,
    BeforeValidator(_reader("wavelength rate")),
    _schema("rate of a wavelength", "0.3 nm/min"),
]
Rotation = Annotated[float, BeforeValidator(_reader("rotation")), _schema("speed", "600 rpm")]
Percent = Annotated[float, BeforeValidator(_reader("fraction")), _schema("percentage", "85 %")]
Watts = Annotated[float, BeforeValidator(_reader("heater power")), _schema("power", "80 W")]
Milliwatts = Annotated[float, BeforeValidator(_reader("power")), _schema("light power", "10 mW")]
HeatCapacity = Annotated[
    float, BeforeValidator(_reader("heat capacity")), _schema("heat capacity", "30 J/K")
]
Conductance = Annotated[
    float, BeforeValidator(_reader("heat conductance")), _schema("heat conductance", "0.55 W/K")
]
Absorbance = Annotated[
    float, BeforeValidator(_reader("absorbance")), _schema("absorbance", "0.03 AU")
]
Parts = Annotated[float, BeforeValidator(_reader("parts")), _schema("trace gas", "0.3 ppm")]

TemperatureRange = Annotated[
    tuple[float, float],
    BeforeValidator(_range_reader("temperature")),
    _schema("range", "20 °C .. 345 °C"),
]
DifferenceRange = Annotated[
    tuple[float, float],
    BeforeValidator(_range_reader("temperature difference")),
    _schema("range", "2 K .. 10 K"),
]
VolumeRange = Annotated[
    tuple[float, float], BeforeValidator(_range_reader("volume")), _schema("range", "5 mL .. 25 mL")
]
PressureRange = Annotated[
    tuple[float, float],
    BeforeValidator(_range_reader("pressure")),
    _schema("range", "0.1 mbar .. 1100 mbar"),
]
RotationRange = Annotated[
    tuple[float, float],
    BeforeValidator(_range_reader("rotation")),
    _schema("range", "0 rpm .. 1200 rpm"),
]
PowerRange = Annotated[
    tuple[float, float], BeforeValidator(_range_reader("power")), _schema("range", "0 mW .. 20 mW")
]

FlowRange = Annotated[
    tuple[float, float],
    BeforeValidator(_range_reader("gas flow")),
    _schema("range", "0 sccm .. 200 sccm"),
]


def _read_date(value: object) -> object:
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError:
        message = f"{value!r} is no date; write it like 2025-11-03"
        raise PydanticCustomError("schema.date", "{text}", {"text": message}) from None


def _read_moment(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        try:
            return dt.datetime.strptime(str(value), form)
        except ValueError:
            continue
    message = f"{value!r} is no date and time; write it like 2025-11-03 09:00"
    raise PydanticCustomError("schema.date", "{text}", {"text": message})


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _read_name(value: object) -> object:
    if not _NAME.fullmatch(str(value)):
        message = f"{value!r} is no name; use letters, digits and _, beginning with a letter"
        raise PydanticCustomError("schema.name", "{text}", {"text": message})
    return str(value)


Date = Annotated[dt.date, BeforeValidator(_read_date)]
Moment = Annotated[dt.datetime, BeforeValidator(_read_moment)]
Name = Annotated[str, BeforeValidator(_read_name)]
