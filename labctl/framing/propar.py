"""ProPar messages of Bronkhorst instruments, binary form: escapes, and where a message ends.

`10 02 sequence node length data 10 03`; every 0x10 between the marks is sent twice. There is no
checksum. Source: Bronkhorst RS232 interface with ProPar protocol, 9.17.027, section 3.

>>> seal(2, 0x80, bytes.fromhex("010121 3e80")).hex(" ")
'10 02 02 80 05 01 01 21 3e 80 10 03'
"""

from __future__ import annotations

from typing import NamedTuple

from labctl.framing import Frame

DLE = 0x10
_START, _END = b"\x10\x02", b"\x10\x03"
_HEAD = 3
_LONGEST = 2 * 258


class Message(NamedTuple):
    """One message; `end` is where it ends in the buffer it was found in."""

    sequence: int
    node: int
    data: bytes
    end: int


def seal(sequence: int, node: int, data: bytes) -> bytes:
    """Wrap up to 255 bytes of data into a message."""
    inside = bytes((sequence, node, len(data))) + data
    return _START + inside.replace(b"\x10", b"\x10\x10") + _END


def find_message(buffer: bytes, start: int = 0) -> Message | None:
    r"""Find the first whole message at or after `start`, skipping what is none; None if absent.

    >>> find_message(bytes.fromhex("ff 10 02 01 80 02 10 10 07 10 03"))
    Message(sequence=1, node=128, data=b'\x10\x07', end=11)
    """
    at = buffer.find(_START, start)
    while at >= 0:
        inside = bytearray()
        n = at + 2
        while n + 1 < len(buffer) and (buffer[n] != DLE or buffer[n + 1] == DLE):
            inside.append(buffer[n])
            n += 1 if buffer[n] != DLE else 2
        if n + 1 >= len(buffer) and len(buffer) - at < _LONGEST:
            return None
        if buffer[n : n + 2] == _END and len(inside) == _HEAD + (inside[2:3] or b"\xff")[0]:
            return Message(inside[0], inside[1], bytes(inside[_HEAD:]), n + 2)
        at = buffer.find(_START, at + 1)
    return None


def reply_to(sequence: int, node: int) -> Frame:
    """Make a frame that ends with the first message of that sequence number from that node."""

    def frame(buffer: bytes) -> int | None:
        end = 0
        while (message := find_message(buffer, end)) is not None:
            end = message.end
            if (message.sequence, message.node) == (sequence, node):
                return end
        return None

    return frame
