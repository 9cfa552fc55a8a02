r"""Pfeiffer Vacuum Protocol: telegrams of ASCII digits with a checksum, ended by CR.

`aaa | action 00 or 10 | ppp | length | data | sum of all before, modulo 256, 3 digits | CR`. Sums
cannot see two characters that changed places. Source: PPT 100 operating instructions, chapter
"Pfeiffer Vacuum protocol for RS-485".

>>> seal(b"0010074002=?")
b'0010074002=?106\r'
"""

from __future__ import annotations

import re

from labctl.framing import Frame

_HEAD = re.compile(rb"(?=\d{3}[01]0\d{3}(\d\d))")
_HEAD_SIZE, _TAIL = 10, 3


def seal(body: bytes) -> bytes:
    """Append the checksum and CR."""
    return b"%b%03d\r" % (body, sum(body) % 256)


def unseal(telegram: bytes) -> bytes | None:
    r"""Take the body out of a telegram, past garbage before it; None if length or checksum fail.

    >>> unseal(b"\xff 7\xff0011074006100023025\r"), unseal(b"0011074006100023026\r")
    (b'0011074006100023', None)
    """
    text = telegram.removesuffix(b"\r")
    for head in _HEAD.finditer(text):
        found = text[head.start() :]
        body = found[:-_TAIL]
        if len(body) == _HEAD_SIZE + int(head[1]) and seal(body) == found + b"\r":
            return body
    return None


def reply_from(address: int) -> Frame:
    """Make a frame that ends with the first telegram of an address that carries data.

    What other addresses say, and an echo of the question, is passed over; a telegram whose
    checksum fails ends it too: whose it was cannot be known.
    """
    sender = b"%03d10" % address

    def ends(buffer: bytes) -> int | None:
        start = 0
        while (end := buffer.find(b"\r", start) + 1) > 0:
            body = unseal(buffer[start:end])
            if body is None or body.startswith(sender):
                return end
            start = end
        return None

    return ends
