"""What the guard is handed at start: its contactor, and the last will of every instrument.

Plain data, so that it goes over a pipe as one line of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import cast


@dataclass(frozen=True, slots=True)
class Line:
    """A port: what pyserial opens (a path, or `socket://host:port`) and how it is set."""

    name: str
    url: str
    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class Contactor:
    """The heater's contactor: frames that open and close it, and the replies that confirm it."""

    line: Line
    opens: bytes
    opened: bytes
    closes: bytes
    closed: bytes


@dataclass(frozen=True, slots=True)
class Bequest:
    """Frames that make one instrument safe, in order; sent blind, with a pause after each in s."""

    device: str
    port: str
    frames: tuple[bytes, ...]
    pause_s: float = 0.05


@dataclass(frozen=True, slots=True)
class Will:
    """Everything the guard needs to know; `pid` is the process that it watches."""

    pid: int
    contactor: Contactor
    lines: tuple[Line, ...] = ()
    bequests: tuple[Bequest, ...] = ()
    beat_s: float = 3.0
    age_s: float = 5.0
    unreachable: tuple[str, ...] = field(default=())

    def encode(self) -> str:
        """Write it as one line of JSON."""
        return json.dumps(asdict(self), default=bytes.hex)


def decode(text: str) -> Will:
    """Read a will back from its line.

    Raises:
        ValueError: something is missing or of another kind.
    """
    try:
        row = json.loads(text)
        contactor = row["contactor"]
        frames = {name: bytes.fromhex(contactor[name]) for name in _FRAMES}
        return Will(
            int(row["pid"]),
            Contactor(line=_line(contactor["line"]), **frames),
            tuple(_line(line) for line in row["lines"]),
            tuple(_bequest(bequest) for bequest in row["bequests"]),
            float(row["beat_s"]),
            float(row["age_s"]),
            tuple(map(str, row["unreachable"])),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no last will: {error!r}") from None


_FRAMES = ("opens", "opened", "closes", "closed")


def _line(row: Mapping[str, object]) -> Line:
    return Line(
        str(row["name"]),
        str(row["url"]),
        cast("int", row["baud"]),
        cast("int", row["data_bits"]),
        str(row["parity"]),
        cast("int", row["stop_bits"]),
    )


def _bequest(row: Mapping[str, object]) -> Bequest:
    frames = cast("list[str]", row["frames"])
    return Bequest(
        str(row["device"]),
        str(row["port"]),
        tuple(bytes.fromhex(frame) for frame in frames),
        float(cast("float", row["pause_s"])),
    )
