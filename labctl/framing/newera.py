r"""New Era pump packets: the safe mode's length and CRC, and where a reply of either mode ends.

A safe packet is STX, length, text, CRC high, CRC low, ETX, where the length counts itself and all
that follows it. A basic reply is STX, text, ETX. They cannot be confused: a basic text starts with
the two digits of an address, and no safe packet in use is 0x30 bytes long. The CRC is CCITT with
initial value 0 over the text. Source: AL-1000 manual, "RS-232 Communications"; NE-1000 publication
1200-01, 10.2.3.

>>> seal(b"SAF0").hex(" ")
'02 08 53 41 46 30 55 43 03'
"""

from __future__ import annotations

import binascii
from typing import NamedTuple

from labctl.framing import Frame

STX = 0x02
ETX = 0x03
INTER_BYTE_NS = 500_000_000
_LEAST_LENGTH = 4
_FIRST_DIGIT = 0x30


class Packet(NamedTuple):
    """One packet found in a buffer at `start .. end`; an intact one has a CRC that fits, or none.

    `sealed` says whether it was a safe packet, `text` is what it carries without framing.
    """

    start: int
    end: int
    text: bytes
    sealed: bool
    intact: bool


def seal(text: bytes) -> bytes:
    """Wrap a text of at most 251 bytes into a safe packet."""
    crc = binascii.crc_hqx(text, 0)
    return bytes((STX, len(text) + _LEAST_LENGTH, *text, crc >> 8, crc & 0xFF, ETX))


def unseal(packet: bytes) -> bytes | None:
    """Take the text out of a whole safe packet; None if its CRC does not fit."""
    text = packet[2:-3]
    intact = binascii.crc_hqx(text, 0) == packet[-3] << 8 | packet[-2]
    return text if intact else None


def find_packet(buffer: bytes, start: int = 0) -> Packet | None:
    """Find the first complete packet at or after `start`, skipping what is none; None if absent."""
    at = buffer.find(STX, start)
    while 0 <= at < len(buffer) - 1:
        length = buffer[at + 1]
        if length >= _FIRST_DIGIT:
            return _basic(buffer, at)
        end = at + 1 + length
        if length >= _LEAST_LENGTH:
            if end > len(buffer):
                return None
            if buffer[end - 1] == ETX:
                return _safe(buffer, at, end)
        at = buffer.find(STX, at + 1)
    return None


def reply_from(address: int) -> Frame:
    r"""Make a frame that ends with the first packet from a pump, whatever other pumps say before.

    A packet whose CRC does not fit ends it too: whose it was cannot be known.

    >>> frame = reply_from(1)
    >>> frame(b"\x0200S\x03\x0201"), frame(b"\x0200S\x03\x0201S\x03")
    (None, 10)
    """
    sender = b"%02d" % address

    def frame(buffer: bytes) -> int | None:
        start = 0
        while (packet := find_packet(buffer, start)) is not None:
            if packet.text.startswith(sender) or not packet.intact:
                return packet.end
            start = packet.end
        return None

    return frame


class Request(NamedTuple):
    """What arrived at a pump: text with address and command, and whether its CRC fits."""

    text: bytes
    intact: bool = True


class RequestReader:
    """Cuts what arrives at a pump into requests: safe packets always, lines in basic mode only."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._last_ns = 0

    def take(self, data: bytes, t_ns: int) -> None:
        """Add what arrived at `t_ns`; a packet that paused for more than 0.5 s is dropped first."""
        if not data:
            return
        if self._buffer[:1] == b"\x02" and t_ns - self._last_ns > INTER_BYTE_NS:
            self._buffer.clear()
        self._buffer += data
        self._last_ns = t_ns

    def next_request(self, *, safe: bool) -> Request | None:
        """Return the next whole request, if there is one, in the mode of this moment."""
        while self._buffer:
            length = self._packet_length() if self._buffer[0] == STX else self._line_length()
            if length is None:
                return None
            piece = bytes(self._buffer[: max(length, 1)])
            del self._buffer[: len(piece)]
            if length and piece[0] == STX:
                return Request(piece[2:-3], unseal(piece) is not None)
            if piece.endswith(b"\r") and not safe:
                return Request(piece[:-1])
        return None

    def _packet_length(self) -> int | None:
        """Return the length of the packet in front; 0 for none, None while it is not known."""
        if len(self._buffer) < 2:
            return None
        length = self._buffer[1] + 1
        if length <= _LEAST_LENGTH:
            return 0
        if len(self._buffer) < length:
            return None
        return length if self._buffer[length - 1] == ETX else 0

    def _line_length(self) -> int | None:
        """Return how much ends with CR or stands before a packet, None while it is not known."""
        ends = (self._buffer.find(b"\r") + 1, self._buffer.find(STX))
        return min((end for end in ends if end > 0), default=None)


def _basic(buffer: bytes, at: int) -> Packet | None:
    end = buffer.find(ETX, at)
    if end < 0:
        return None
    return Packet(at, end + 1, buffer[at + 1 : end], sealed=False, intact=True)


def _safe(buffer: bytes, at: int, end: int) -> Packet:
    text = unseal(buffer[at:end])
    return Packet(at, end, text or b"", sealed=True, intact=text is not None)


def four_digits(value: float) -> str:
    """Write a number as the pump takes it: at most four digits and three decimals.

    >>> four_digits(14.57), four_digits(0.0042), four_digits(1234.5)
    ('14.57', '0.004', '1234')
    """
    for decimals in (3, 2, 1):
        text = f"{value:.{decimals}f}"
        if len(text) <= 5:
            return text
    return f"{value:.0f}"
