"""What instruments say: readings, spectra, events. Frozen, stamped with run time, with a unit."""

from __future__ import annotations

from array import array
from bisect import bisect
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


@dataclass(frozen=True, slots=True)
class Correction:
    """What a sensor reads <-> what is true, in one unit, by points of a calibration.

    `reads` and `true` rise together. Between two points the correction is linear in the reading;
    beyond the first and the last it stays as it was measured there.

    >>> probe = Correction((0.3, 99.2, 233.6), (0.0, 98.5, 231.9))
    >>> round(probe.corrected(99.2), 9), round(probe.raw(231.9), 9), round(probe.corrected(300), 9)
    (98.5, 233.6, 298.3)
    """

    reads: tuple[float, ...]
    true: tuple[float, ...]

    def corrected(self, reads: float) -> float:
        """Return what is true where the sensor reads this."""
        return _along(self.reads, self.true, reads)

    def raw(self, true: float) -> float:
        """Return what the sensor reads where this is true."""
        return _along(self.true, self.reads, true)


def _along(xs: tuple[float, ...], ys: tuple[float, ...], x: float) -> float:
    n = bisect(xs, x)
    if n == 0:
        return x + ys[0] - xs[0]
    if n == len(xs):
        return x + ys[-1] - xs[-1]
    share = (x - xs[n - 1]) / (xs[n] - xs[n - 1])
    return ys[n - 1] + share * (ys[n] - ys[n - 1])


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
