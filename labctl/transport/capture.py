"""What crossed a port, kept as a file; and the wire that lets a driver hear it again.

A capture is JSON, one object a line. The first says what it is: `{"labctl": "capture/1", "port",
"line", "devices": [{"name", "kind", "settings", "touches"}], "versions", "at"}`. Then come, in
order, times in ns since the capture began: `{"t_ns", "way", "hex"}` for bytes, `>` out, `<` in and
`!` in though nobody waited for them; `{"t_ns", "device", "call"}` where a driver was told to do
something, and `{"t_ns", "device", "result"}` or `{"t_ns", "device", "error"}` for what came of it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labctl.clock import Clock
from labctl.errors import UsageError
from labctl.transport.port import Wire

FORMAT: Final = "capture/1"
OUT, IN, STRAY = ">", "<", "!"

Row = Mapping[str, object]
Note = Callable[[Row], None]


class Recorder:
    """Writes a capture, line by line, so that what a killed program saw is kept.

    A run must not end because its capture cannot go on: then it stops, and `failed` says why.

    Raises:
        UsageError: the file exists, or cannot be made.
    """

    def __init__(self, file: Path, header: Row, clock: Clock) -> None:
        try:
            self._file = file.open("x", encoding="utf-8", buffering=1)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from None
        self._clock = clock
        self.failed = ""
        self._write({"labctl": FORMAT, **header})

    def note(self, row: Row) -> None:
        """Write one row with the time."""
        self._write({"t_ns": self._clock.now_ns(), **row})

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, row: Row) -> None:
        if self.failed or self._file.closed:
            return
        try:
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        except OSError as error:
            self.failed = f"the capture stopped: {error.strerror}"


class CapturingWire:
    """Any wire, with all that crosses it noted."""

    def __init__(self, wire: Wire, recorder: Recorder) -> None:
        self._wire = wire
        self._recorder = recorder

    async def open(self) -> None:
        """Open the wire.

        Raises:
            PortLostError: it cannot be opened.
        """
        await self._wire.open()

    async def write(self, data: bytes) -> None:
        """Note and send bytes.

        Raises:
            PortLostError: the channel is gone.
        """
        self._note(OUT, data)
        await self._wire.write(data)

    def take(self) -> bytes:
        """Return, note and forget what has arrived by now."""
        return self._note(STRAY, self._wire.take())

    async def receive(self, deadline_ns: int) -> bytes:
        """Return and note the next bytes, or none at the deadline or when interrupted.

        Raises:
            PortLostError: the channel is gone.
        """
        return self._note(IN, await self._wire.receive(deadline_ns))

    def interrupt(self) -> None:
        """Make a `receive` that waits return at once with nothing."""
        self._wire.interrupt()

    async def close(self) -> None:
        """Close wire and capture; closing twice is allowed."""
        await self._wire.close()
        self._recorder.close()

    def _note(self, way: str, data: bytes) -> bytes:
        if data:
            self._recorder.note({"way": way, "hex": data.hex()})
        return data


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes that crossed the port at `t_ns`: out, in, or in though nobody waited."""

    t_ns: int
    way: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """What a driver was told to do at `t_ns`, and what came of it; an error by its class."""

    t_ns: int
    device: str
    verb: str
    result: object = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture as it was read."""

    port: str
    line: str
    devices: tuple[Mapping[str, object], ...]
    bytes_: tuple[Bytes, ...]
    calls: tuple[Call, ...]


def read_capture(file: Path) -> Capture:
    """Read a capture; a last line that was cut off is passed over.

    Raises:
        UsageError: it is none, or of another version.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        header = json.loads(lines[0])
        rows = [json.loads(line) for line in lines[1:-1]] + _last(lines[1:])
        if header["labctl"] != FORMAT:
            raise UsageError(f"{file} is {header['labctl']!r}, not {FORMAT}")
        devices = tuple(header["devices"])
        return Capture(header["port"], header["line"], devices, _bytes(rows), _calls(rows))
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(f"{file} is no capture: {error}") from None


def _last(lines: Sequence[str]) -> list[Row]:
    try:
        return [json.loads(lines[-1])] if lines else []
    except ValueError:
        return []


def _bytes(rows: Sequence[Row]) -> tuple[Bytes, ...]:
    return tuple(
        Bytes(int(str(row["t_ns"])), str(row["way"]), bytes.fromhex(str(row["hex"])))
        for row in rows
        if "way" in row
    )


def _calls(rows: Sequence[Row]) -> tuple[Call, ...]:
    """Bind each call to what came of it; one that was cut off has neither."""
    begun: dict[str, Row] = {}
    calls = []
    for row in rows:
        device = str(row.get("device", ""))
        if "call" in row:
            begun[device] = row
        elif device and device in begun:
            call = begun.pop(device)
            came = row.get("result"), str(row.get("error", ""))
            calls.append(Call(int(str(call["t_ns"])), device, str(call["call"]), *came))
    return tuple(calls)


class ReplayWire:
    """Says what was captured, when it was said; whoever writes must write what was written.

    Raises on writing:
        UsageError: other bytes than those of the capture, or more.
    """

    def __init__(self, capture: Capture, clock: Clock) -> None:
        self._port = capture.port
        self._rows = list(capture.bytes_)
        self._at = 0
        self._clock = clock

    @property
    def left(self) -> int:
        """How many writes of the capture were not made yet."""
        return sum(row.way == OUT for row in self._rows[self._at :])

    async def open(self) -> None:
        """Nothing to open."""

    async def write(self, data: bytes) -> None:
        """Take the bytes that were written here in the capture, at their time.

        Raises:
            UsageError: other bytes than those of the capture, or more.
        """
        if not data:
            return
        row = self._rows[self._at] if self._at < len(self._rows) else None
        if row is None or row.way != OUT or row.data != data:
            expected = "nothing more" if row is None else f"{row.way} {row.data!r}"
            where = f"row {self._at + 1} of the capture of port {self._port}"
            raise UsageError(f"{where}: expected {expected}, got > {data!r}")
        self._at += 1
        await self._clock.sleep_until(row.t_ns)

    def take(self) -> bytes:
        """Return what had arrived unasked before the next write."""
        row = self._next(STRAY)
        if row is None:
            return b""
        self._at += 1
        return row.data

    async def receive(self, deadline_ns: int) -> bytes:
        """Return the next bytes when they arrived, or none at the deadline."""
        row = self._next(IN)
        if row is None or row.t_ns > deadline_ns:
            await self._clock.sleep_until(deadline_ns)
            return b""
        self._at += 1
        await self._clock.sleep_until(row.t_ns)
        return row.data

    def interrupt(self) -> None:
        """Nobody waits in real time here."""

    async def close(self) -> None:
        """Nothing to close."""

    def _next(self, way: str) -> Bytes | None:
        """Return the bytes that come next, if they come that way."""
        row = self._rows[self._at] if self._at < len(self._rows) else None
        return row if row is not None and row.way == way else None
