r"""Modbus RTU: CRC-16, and where a request or a reply ends.

Source: Modbus over Serial Line V1.02, section 6.2.2 (CRC) and Application Protocol V1.1b3.

>>> crc16(bytes.fromhex("010300010002")).hex()
'95cb'
"""

from __future__ import annotations

from functools import lru_cache

_POLYNOMIAL = 0xA001
_SILENCE_NS = 20_000_000
_LONGEST = 256


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ _POLYNOMIAL if crc & 1 else crc >> 1
        rows.append(crc)
    return tuple(rows)


_TABLE = _table()

BITS = frozenset({1, 2})
REGISTERS = frozenset({3, 4})
SINGLE = frozenset({5, 6})
MULTIPLE = frozenset({15, 16})


@lru_cache(maxsize=512)
def crc16(data: bytes) -> bytes:
    """Return the two CRC bytes of a frame, low byte first; polls repeat, so they are kept."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return bytes((crc & 0xFF, crc >> 8))


def seal(body: bytes) -> bytes:
    """Append the CRC."""
    return body + crc16(body)


def is_whole(frame: bytes) -> bool:
    """Say whether a frame's CRC fits."""
    return len(frame) >= 4 and crc16(frame[:-2]) == frame[-2:]


def reply_length(buffer: bytes) -> int | None:
    """Return the length of the reply that starts the buffer, or None while it is not known.

    An exception reply has 5 bytes; reads carry their byte count; writes echo 8 bytes.
    """
    if len(buffer) < 5:
        return None
    function = buffer[1]
    if function & 0x80:
        length = 5
    elif function in BITS or function in REGISTERS:
        length = 5 + buffer[2]
    else:
        length = 8
    return length if len(buffer) >= length else None


def request_length(buffer: bytes) -> int | None:
    """Return the length of the request that starts the buffer, or None while it is not known."""
    if len(buffer) < 8:
        return None
    length = 9 + buffer[6] if buffer[1] in MULTIPLE else 8
    return length if len(buffer) >= length else None


@lru_cache(maxsize=512)
def _is_request(data: bytes) -> bool:
    """Say whether the bytes are one whole request; every unit on a line asks it of each poll."""
    return request_length(data) == len(data) and is_whole(data)


def answers(question: bytes, reply: bytes) -> bool:
    """Say whether a reply is whole, from the unit that was asked and for the function asked.

    An exception to that function is an answer too: see `exception_code`.

    >>> answers(bytes.fromhex("010323280001"), bytes.fromhex("018302c0f1"))
    True
    """
    return is_whole(reply) and reply[0] == question[0] and reply[1] & 0x7F == question[1]


def exception_code(reply: bytes) -> int:
    """Return the exception that a reply carries, 0 for none."""
    return reply[2] if reply[1] & 0x80 else 0


class RequestReader:
    """Cuts what arrives at a unit into whole requests, whoever they are for.

    Garbage in front of a request is skipped. A request that pauses is forgotten: the standard
    allows 3.5 characters (4 ms at 9600 baud), to which a USB adapter may add its own 16 ms.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._last_ns = 0

    def take(self, data: bytes, t_ns: int) -> list[bytes]:
        """Add what arrived at `t_ns` and return the requests that are now whole, CRC included."""
        if not data:
            return []
        if self._buffer and t_ns - self._last_ns > _SILENCE_NS:
            self._buffer.clear()
        self._last_ns = t_ns
        if not self._buffer and _is_request(data):
            return [data]
        self._buffer += data
        found = []
        while (request := self._next()) is not None:
            found.append(request)
        return found

    def _next(self) -> bytes | None:
        buffer = self._buffer
        start = 0
        while start + 8 <= len(buffer):
            piece = bytes(buffer[start : start + _LONGEST])
            length = request_length(piece)
            if length is not None and is_whole(piece[:length]):
                del buffer[: start + length]
                return piece[:length]
            if start == 0 and (length is not None or len(piece) == _LONGEST):
                del buffer[0]
            else:
                start += 1
        return None
