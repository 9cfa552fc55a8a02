r"""Tecan Cavro frames: the OEM protocol with its checksum, and the DT protocol for terminals.

OEM: STX, address, sequence, data, ETX, XOR of all before; the answer comes from address `0`. The
sequence is 0x30 plus a number of 0..7, plus 8 for a repetition. DT: `/`, address, data, CR, and an
answer `/0`, status, data, ETX, CR, LF. A pump with switch position n has address 0x31 + n. Source:
Cavro XCalibur Operating Manual 733085-B, 3.2.

>>> oem_command(0x31, b"Q", 1).hex(" ")
'02 31 31 51 03 50'
>>> dt_command(0x31, b"Q")
b'/1Q\r'
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import NamedTuple

STX, ETX, CR, SLASH = 0x02, 0x03, 0x0D, 0x2F
FIRST_ADDRESS = 0x31
HOST = 0x30
_REPEATED = 0x08
_LONGEST = 512


class Answer(NamedTuple):
    """What a pump answered: the status byte and the data."""

    status: int
    data: bytes


class Command(NamedTuple):
    """What arrived at a pump; `sequence` is None in DT, else the number, and whether repeated."""

    address: int
    data: bytes
    sequence: int | None = None
    repeated: bool = False


def checksum(data: bytes) -> int:
    """Return the XOR of all bytes."""
    return reduce(xor, data, 0)


def oem_command(address: int, data: bytes, sequence: int, *, repeated: bool = False) -> bytes:
    """Wrap a command; `sequence` is 0..7."""
    number = HOST | sequence | (_REPEATED if repeated else 0)
    return _sealed(bytes((STX, address, number, *data, ETX)))


def dt_command(address: int, data: bytes) -> bytes:
    """Write a command as a terminal sends it."""
    return bytes((SLASH, address, *data, CR))


def oem_answer(answer: Answer) -> bytes:
    """Wrap an answer to the host."""
    return _sealed(bytes((STX, HOST, answer.status, *answer.data, ETX)))


def dt_answer(answer: Answer) -> bytes:
    """Write an answer as a terminal shows it."""
    return bytes((SLASH, HOST, answer.status, *answer.data, ETX)) + b"\r\n"


def oem_frame(buffer: bytes) -> int | None:
    """Return where the first answer in OEM frames ends, noise before it included."""
    start = buffer.find(bytes((STX, HOST)))
    end = buffer.find(ETX, start) if start >= 0 else -1
    return end + 2 if 0 <= end < len(buffer) - 1 else None


def dt_frame(buffer: bytes) -> int | None:
    """Return where the first answer to a terminal ends, noise before it included."""
    start = buffer.find(bytes((SLASH, HOST)))
    end = buffer.find(b"\x03\r\n", start) if start >= 0 else -1
    return end + 3 if end >= 0 else None


def read_oem(frame: bytes) -> Answer | None:
    """Take an answer out of the end of what came; None if its checksum does not fit."""
    whole = frame[max(frame.find(bytes((STX, HOST))), 0) :]
    if len(whole) < 5 or checksum(whole[:-1]) != whole[-1] or whole[:2] != bytes((STX, HOST)):
        return None
    return Answer(whole[2], whole[3:-2])


def read_dt(frame: bytes) -> Answer | None:
    """Take an answer out of the end of what came; None if it is none."""
    whole = frame[max(frame.find(bytes((SLASH, HOST))), 0) :]
    if len(whole) < 6 or whole[:2] != bytes((SLASH, HOST)):
        return None
    return Answer(whole[2], whole[3:-3])


class CommandReader:
    """Cuts what arrives at a pump into commands of either protocol; a bad checksum is silence."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def take(self, data: bytes) -> None:
        """Add what arrived."""
        self._buffer += data

    def next_command(self) -> Command | None:
        """Return the next whole command, skipping what is none; None while more is needed."""
        while self._buffer:
            del self._buffer[: min(self._starts(0), default=len(self._buffer))]
            if not self._buffer:
                return None
            oem = self._buffer[0] == STX
            length = self._oem_length() if oem else self._dt_length()
            if length is None:
                return None
            piece = bytes(self._buffer[:length])
            del self._buffer[: max(length, 1)]
            command = _oem(piece) if oem else _dt(piece)
            if command is not None:
                return command
        return None

    def _starts(self, after: int) -> list[int]:
        found = (self._buffer.find(start, after) for start in (STX, SLASH))
        return [at for at in found if at >= 0]

    def _oem_length(self) -> int | None:
        """Return the length of the frame in front; 1 for none, None while it is not known."""
        end = self._buffer.find(ETX, 1)
        # No command holds either start: what stands before one is noise.
        again = min(self._starts(1), default=-1)
        if again > 0 and (end < 0 or again < end):
            return again
        if end < 0:
            return 1 if len(self._buffer) > _LONGEST else None
        return end + 2 if len(self._buffer) > end + 1 else None

    def _dt_length(self) -> int | None:
        end = self._buffer.find(CR) + 1
        ends = [*self._starts(1), *([end] if end else [])]
        if not ends:
            return 1 if len(self._buffer) > _LONGEST else None
        return min(ends)


def _sealed(frame: bytes) -> bytes:
    return frame + bytes((checksum(frame),))


def _oem(frame: bytes) -> Command | None:
    if len(frame) < 5 or frame[-2] != ETX or checksum(frame[:-1]) != frame[-1]:
        return None
    number = frame[2]
    return Command(frame[1], frame[3:-2], number & 7, bool(number & _REPEATED))


def _dt(line: bytes) -> Command | None:
    if len(line) < 3 or line[-1] != CR:
        return None
    return Command(line[1], line[2:-1])
