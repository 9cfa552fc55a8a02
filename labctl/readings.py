"""What instruments say: readings, spectra, events. Frozen, stamped with run time, with a unit."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Quality(IntEnum):
    """How far a value may be trusted; staleness is an age and never stored."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class Kind(StrEnum):
    """Where a number comes from; every number shown to a person carries it."""

    COMMANDED = "commanded"
    MEASURED = "measured"
    TYPED = "typed"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream of readings: name, dimension (see `units`), and the range in which it is trusted.

    A value outside `low .. high` is recorded as UNCERTAIN and counts as unknown for interlocks.
    """

    name: str
    dimension: str
    low: float | None = None
    high: float | None = None
    kind: Kind = Kind.MEASURED


class Reading(NamedTuple):
    """One value of one channel in the canonical unit; None means there is no reading.

    A named tuple, since a run makes hundreds of thousands of them.
    """

    channel: str
    value: float | None
    quality: Quality
    t_ns: int


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Raw counts of one exposure: `counts` and `wavelengths_nm` of shape (n,), nm ascending."""

    source: str
    wavelengths_nm: array[float]
    counts: array[int]
    integration_s: float
    averages: int
    boxcar: int
    max_counts: int
    t_ns: int


Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: a dotted code, a sentence, and the numbers behind it."""

    t_ns: int
    code: str
    message: str
    data: Mapping[str, Scalar] = field(default_factory=dict)
    level: str = "info"
