r"""Watlow standard bus: BACnet MS/TP frames, a CRC-8 over the header and a CRC-16 over the data.

`55 FF | type | to | from | length, 2 bytes | CRC-8 | data | CRC-16, low byte first`. Type 5 expects
a reply, type 6 is one; the host is 0, a controller is its address + 15. Sources: ANSI/ASHRAE 135
clause 9.3 and annex G (frames, both CRCs); frames recorded by pywatlow, docs "Messaging structure".

>>> encode(Frame(5, 0x10, 0, bytes.fromhex("010301040101"))).hex()
'55ff0510000006e8010301040101e399'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from labctl.framing import Frame as Ends

REQUEST, REPLY = 5, 6
HOST = 0
ZONE = 15
_PREAMBLE = b"\x55\xff"
_HEADER = 8
_CRC = 2
_LONGEST = 501
_SILENCE_NS = 20_000_000
_POLYNOMIAL = 0x8408


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame without its preamble and checksums: type, receiver, sender, data."""

    kind: int
    to: int
    sender: int
    data: bytes


class Found(NamedTuple):
    """A frame in a buffer, where it ends, and whether the CRC of its data fits."""

    frame: Frame
    end: int
    intact: bool


def encode(frame: Frame) -> bytes:
    """Write a frame."""
    header = bytes((frame.kind, frame.to, frame.sender)) + len(frame.data).to_bytes(2, "big")
    return _PREAMBLE + header + bytes((crc8(header),)) + frame.data + crc16(frame.data)


def crc8(header: bytes) -> int:
    """Return the check byte of a header (type .. length).

    >>> hex(crc8(bytes.fromhex("060010000b")))
    '0x88'
    """
    crc = 0xFF
    for byte in header:
        crc ^= byte
        spread = crc
        for shift in range(1, 8):
            spread ^= crc << shift
        crc = (spread & 0xFE) ^ (spread >> 8 & 1)
    return ~crc & 0xFF


def crc16(data: bytes) -> bytes:
    """Return the two check bytes of the data, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ _POLYNOMIAL if crc & 1 else crc >> 1
    return (crc ^ 0xFFFF).to_bytes(2, "little")


def find_frame(buffer: bytes, start: int = 0) -> Found | None:
    """Find the first whole frame at or after `start`, skipping what is none; None if absent."""
    at = buffer.find(_PREAMBLE, start)
    while 0 <= at <= len(buffer) - _HEADER:
        header = buffer[at + 2 : at + 7]
        size = int.from_bytes(header[3:], "big")
        if crc8(header) == buffer[at + 7] and 0 < size <= _LONGEST:
            end = at + _HEADER + size + _CRC
            if end > len(buffer):
                return None
            data = buffer[at + _HEADER : end - _CRC]
            frame = Frame(header[0], header[1], header[2], data)
            return Found(frame, end, crc16(data) == buffer[end - _CRC : end])
        at = buffer.find(_PREAMBLE, at + 1)
    return None


def reply_from(zone: int) -> Ends:
    """Make a frame that ends with the first reply from a controller to the host.

    What others say before it is passed over, and so is an echo of the question.
    """

    def ends(buffer: bytes) -> int | None:
        found = find_frame(buffer)
        while found is not None and not is_reply(found.frame, zone):
            found = find_frame(buffer, found.end)
        return None if found is None else found.end

    return ends


def is_reply(frame: Frame, zone: int) -> bool:
    """Say whether a frame is a reply of the controller at `zone` to the host."""
    return (frame.kind, frame.to, frame.sender) == (REPLY, HOST, zone)


class RequestReader:
    """Cuts what arrives at a controller into whole frames; a frame that pauses is forgotten."""

    def __init__(self) -> None:
        self._buffer = b""
        self._last_ns = 0

    def take(self, data: bytes, t_ns: int) -> list[Frame]:
        """Add what arrived at `t_ns`; return the frames that are now whole and intact."""
        if not data:
            return []
        kept = self._buffer if t_ns - self._last_ns <= _SILENCE_NS else b""
        self._last_ns = t_ns
        buffer, start, frames = kept + data, 0, []
        while (found := find_frame(buffer, start)) is not None:
            start = found.end
            if found.intact:
                frames.append(found.frame)
        self._buffer = buffer[start:][-_LONGEST - _HEADER - _CRC :]
        return frames
