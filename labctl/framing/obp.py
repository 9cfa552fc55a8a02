"""Ocean Binary Protocol: messages with a header, up to 16 immediate bytes or a payload, a footer.

All integers are little endian. The MD5 checksum, where a message carries one, covers everything
from the start bytes to the end of the payload. Sources: Ocean Optics STS data sheet
030-00000-003-05 (protocol 0x1100) and Ventana data sheet 891-00000-200-05, "Message structure".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntFlag

START = b"\xc1\xc0"
FOOTER = b"\xc5\xc4\xc3\xc2"
VERSION = 0x1100
OVERHEAD = 64
MAX_PAYLOAD = 1 << 20

_HEADER = struct.Struct("<2sHHHII6xBB16sI")
_REMAINING = struct.Struct("<40xI")
_TAIL = 20
_IMMEDIATE = 16
_MD5 = 1
_NO_CHECKSUM = bytes(16)


class Flag(IntFlag):
    """What a message is: a response, an acknowledgement, a wish for one, a refusal."""

    RESPONSE = 0x01
    ACK = 0x02
    REQUEST_ACK = 0x04
    NACK = 0x08
    EXCEPTION = 0x10
    DEPRECATED = 0x20


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its 32-bit type, its data, and the rest of the header.

    `regarding` is chosen by the host and comes back with the reply; `checksum_type` is 0 for none
    and 1 for MD5.
    """

    kind: int
    data: bytes = b""
    flags: int = 0
    error: int = 0
    regarding: int = 0
    checksum_type: int = 0
    version: int = VERSION


def encode(message: Message) -> bytes:
    """Write a message; up to 16 bytes of data go into the header.

    >>> encode(Message(0x00110010, (10_000).to_bytes(4, "little"), Flag.REQUEST_ACK))[:28].hex()
    'c1c00011040000001000110000000000000000000000000410270000'
    """
    data = message.data
    immediate, payload = (data, b"") if len(data) <= _IMMEDIATE else (b"", data)
    header = _HEADER.pack(
        START,
        message.version,
        message.flags,
        message.error,
        message.kind,
        message.regarding,
        message.checksum_type,
        len(immediate),
        immediate,
        len(payload) + _TAIL,
    )
    body = header + payload
    return body + (_digest(body) if message.checksum_type == _MD5 else _NO_CHECKSUM) + FOOTER


def decode(frame: bytes) -> Message:
    """Read one whole message, as cut by `length`; the checksum is `is_whole`'s business.

    Raises:
        ValueError: the start bytes, the lengths or the footer are not those of a message.
    """
    if len(frame) < OVERHEAD or not frame.startswith(START):
        raise ValueError(f"a message starts with {START.hex()} and has at least {OVERHEAD} bytes")
    version, flags, error, kind, regarding, checksum, count, immediate, remaining = (
        _HEADER.unpack_from(frame)[1:]
    )
    if len(frame) != _HEADER.size + remaining or not frame.endswith(FOOTER):
        raise ValueError(f"{remaining} bytes and the footer {FOOTER.hex()} were to follow")
    if count > _IMMEDIATE or (count and remaining != _TAIL):
        raise ValueError(f"{count} immediate bytes do not go with {remaining - _TAIL} of payload")
    data = immediate[:count] if count else frame[_HEADER.size : -_TAIL]
    return Message(kind, data, flags, error, regarding, checksum, version)


def is_whole(frame: bytes) -> bool:
    """Say whether a frame's checksum fits; a frame without one is whole."""
    return frame[22] != _MD5 or frame[-_TAIL : -len(FOOTER)] == _digest(frame[:-_TAIL])


def length(buffer: bytes) -> int | None:
    """Return the length of the message that starts the buffer, or None while it is not known.

    A buffer that cannot start a message is one frame as it stands, for `decode` to refuse.
    """
    if not START.startswith(buffer[:2]):
        return len(buffer)
    if len(buffer) < _HEADER.size:
        return None
    (remaining,) = _REMAINING.unpack_from(buffer)
    if not _TAIL <= remaining <= MAX_PAYLOAD + _TAIL:
        return len(buffer)
    whole = int(_HEADER.size + remaining)
    return whole if len(buffer) >= whole else None


def _digest(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
