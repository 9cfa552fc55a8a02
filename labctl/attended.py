"""When people are at the rig: `Mon-Fri 08:00-19:00`, several parts joined by commas."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PART = re.compile(r"(\w{3})(?:-(\w{3}))?\s+(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Shift:
    """Days of the week (Monday is 0) and minutes of the day, from start to end."""

    days: tuple[int, ...]
    start_min: int
    end_min: int

    def __str__(self) -> str:
        """Write it as in a rig file, its days from first to last."""
        days = DAYS[self.days[0]] + (f"-{DAYS[self.days[-1]]}" if len(self.days) > 1 else "")
        start, end = (f"{m // 60:02d}:{m % 60:02d}" for m in (self.start_min, self.end_min))
        return f"{days} {start}-{end}"


@dataclass(frozen=True, slots=True)
class Attendance:
    """The hours in which somebody is there; no shift at all means always."""

    shifts: tuple[Shift, ...] = ()

    def __str__(self) -> str:
        """Write it as in a rig file.

        >>> str(read_attendance("Mon-Fri 08:00-19:00, Sat 9:00-12:00"))
        'Mon-Fri 08:00-19:00, Sat 09:00-12:00'
        """
        return ", ".join(map(str, self.shifts)) or "always"

    def covers(self, moment: dt.datetime) -> bool:
        """Say whether somebody is there at a local time."""
        minute = moment.hour * 60 + moment.minute
        return not self.shifts or any(
            moment.weekday() in shift.days and shift.start_min <= minute < shift.end_min
            for shift in self.shifts
        )


def read_attendance(value: object) -> object:
    """Read attended hours.

    >>> read_attendance("Mon-Fri 08:00-19:00").covers(dt.datetime(2025, 11, 3, 9, 0))
    True

    Raises:
        PydanticCustomError: not written like `Mon-Fri 08:00-19:00`.
    """
    if isinstance(value, Attendance):
        return value
    return Attendance(tuple(_shift(part.strip()) for part in str(value).split(",")))


def _shift(text: str) -> Shift:
    match = _PART.fullmatch(text)
    if match is None or match[1] not in DAYS or (match[2] or match[1]) not in DAYS:
        message = f"{text!r} are no hours; write them like 'Mon-Fri 08:00-19:00'"
        raise PydanticCustomError("schema.hours", "{text}", {"text": message})
    first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
    days = tuple((first + n) % 7 for n in range((last - first) % 7 + 1))
    start, end = int(match[3]) * 60 + int(match[4]), int(match[5]) * 60 + int(match[6])
    return Shift(days, start, end)
