"""WebSocket (RFC 6455) from either side, without I/O: opening handshake, frames, whole messages.

No extensions and no subprotocols. A client masks what it sends, a server does not; a side that gets
it otherwise must fail the connection, as must one that gets any frame the RFC forbids.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HEAD_END: Final = b"\r\n\r\n"
LONGEST: Final = 1 << 24

_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FINAL, _RESERVED, _MASKED = 0x80, 0x70, 0x80
_CONTROL: Final = 0x08
_LONGEST_CONTROL: Final = 125
_SENT_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1012), *range(3000, 5000)})


class Opcode(IntEnum):
    """What a frame is (RFC 6455, 5.2)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, put together from its fragments, or one control frame."""

    kind: Opcode
    data: bytes


def encode(kind: Opcode, data: bytes = b"", *, mask: bytes = b"", final: bool = True) -> bytes:
    """Write one frame; `mask` is the four bytes of a client, empty for a server.

    >>> encode(Opcode.TEXT, b"Hello", mask=bytes.fromhex("37fa213d")).hex(" ")
    '81 85 37 fa 21 3d 7f 9f 4d 51 58'
    """
    first = kind | (_FINAL if final else 0)
    masked = _MASKED if mask else 0
    size = len(data)
    if size <= _LONGEST_CONTROL:
        head = bytes((first, masked | size))
    elif size < 1 << 16:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    return head + mask + (masked_with(mask, data) if mask else data)


def masked_with(mask: bytes, data: bytes) -> bytes:
    """Mask data with four bytes, or unmask it again."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class Stream:
    """Makes whole messages of what arrives from the other side, in any pieces.

    `from_client` says whose frames these are: a client's are masked.
    """

    def __init__(self, *, from_client: bool) -> None:
        self._from_client = from_client
        self._buffer = bytearray()
        self._kind = Opcode.CONTINUATION
        self._parts: list[bytes] = []

    @property
    def between_frames(self) -> bool:
        """Whether no frame is half arrived."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Message]:
        """Take what arrived; return what is now complete.

        Raises:
            ValueError: a frame the RFC forbids; the connection must be failed with code 1002.
        """
        self._buffer += data
        messages = []
        while (frame := self._next_frame()) is not None:
            message = self._joined(*frame)
            if message is not None:
                messages.append(message)
        return messages

    def _next_frame(self) -> tuple[Opcode, bool, bytes] | None:
        if len(self._buffer) < 2:
            return None
        kind, final, size = _checked(self._buffer[0], self._buffer[1], self._from_client)
        start = 2
        if size > _LONGEST_CONTROL:
            width = 2 if size == 126 else 8
            start += width
            if len(self._buffer) < start:
                return None
            size = int.from_bytes(self._buffer[2:start], "big")
            if size > LONGEST:
                raise ValueError(f"a frame of {size} bytes; at most {LONGEST} are taken")
        end = start + (4 if self._from_client else 0) + size
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[end - size : end])
        if self._from_client:
            payload = masked_with(bytes(self._buffer[start : start + 4]), payload)
        del self._buffer[:end]
        return kind, final, payload

    def _joined(self, kind: Opcode, final: bool, data: bytes) -> Message | None:
        if kind & _CONTROL:
            return Message(kind, _checked_close(data) if kind == Opcode.CLOSE else data)
        begun = self._kind != Opcode.CONTINUATION
        if begun == (kind != Opcode.CONTINUATION):
            raise ValueError("a new message within another, or the rest of none")
        if not begun:
            self._kind = kind
        self._parts.append(data)
        if sum(map(len, self._parts)) > LONGEST:
            raise ValueError(f"a message of more than {LONGEST} bytes")
        if not final:
            return None
        message = Message(self._kind, b"".join(self._parts))
        self._kind, self._parts = Opcode.CONTINUATION, []
        if message.kind == Opcode.TEXT:
            message.data.decode("utf-8")  # a UnicodeDecodeError is a ValueError
        return message


def _checked(first: int, second: int, from_client: bool) -> tuple[Opcode, bool, int]:
    final, size = bool(first & _FINAL), second & 0x7F
    kind = Opcode(first & 0x0F)
    if first & _RESERVED:
        raise ValueError("reserved bits are set, and no extension was agreed on")
    if bool(second & _MASKED) is not from_client:
        raise ValueError("only a client masks its frames, and it always does")
    if kind & _CONTROL and (not final or size > _LONGEST_CONTROL):
        raise ValueError("a control frame in fragments, or longer than 125 bytes")
    return kind, final, size


def _checked_close(data: bytes) -> bytes:
    if data and (len(data) < 2 or int.from_bytes(data[:2], "big") not in _SENT_CODES):
        raise ValueError("a close frame with half a code, or one that may not be sent")
    data[2:].decode("utf-8")
    return data


def accept_of(key: str) -> str:
    """Give the answer to a client's key.

    >>> accept_of("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    digest = hashlib.sha1(key.encode("ascii") + _MAGIC, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def request(host: str, nonce: bytes) -> bytes:
    """Write a client's opening request; `nonce` has 16 bytes."""
    lines = (
        "GET / HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(nonce).decode('ascii')}",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join(lines).encode("ascii") + HEAD_END


def why_refused(reply: bytes, nonce: bytes) -> str:
    """Say why a server's reply opens no connection; empty if it does."""
    status, fields = _head(reply)
    expected = accept_of(base64.b64encode(nonce).decode("ascii"))
    if status.split(" ")[:2] != ["HTTP/1.1", "101"]:
        return status or "no HTTP"
    if not _asks_to_upgrade(fields):
        return "no upgrade to websocket"
    if fields.get("sec-websocket-accept") != expected:
        return "the answer to another key"
    unasked = {"sec-websocket-extensions", "sec-websocket-protocol"} & fields.keys()
    return f"{min(unasked)}, which was not asked for" if unasked else ""


def answer(asked: bytes) -> tuple[bytes, bool]:
    """Write a server's reply to an opening request; and whether the connection is then open."""
    line, fields = _head(asked)
    key = fields.get("sec-websocket-key", "")
    words = line.split(" ")
    if len(words) != 3 or words[0] != "GET" or words[2] != "HTTP/1.1" or not _is_key(key):
        return _reply("400 Bad Request", "Connection: close"), False
    if not _asks_to_upgrade(fields) or fields.get("sec-websocket-version") != "13":
        return _reply("426 Upgrade Required", "Sec-WebSocket-Version: 13"), False
    fields_out = ("Upgrade: websocket", "Connection: Upgrade")
    accept = f"Sec-WebSocket-Accept: {accept_of(key)}"
    return _reply("101 Switching Protocols", *fields_out, accept), True


def _reply(status: str, *fields: str) -> bytes:
    length = () if status.startswith("101") else ("Content-Length: 0",)
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, *length)).encode("ascii") + HEAD_END


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


def _asks_to_upgrade(fields: dict[str, str]) -> bool:
    wishes = {word.strip().lower() for word in fields.get("connection", "").split(",")}
    return fields.get("upgrade", "").lower() == "websocket" and "upgrade" in wishes


def _head(data: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return first, fields
