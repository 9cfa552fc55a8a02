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

_TELEGRAM = re.compile(rb"[ -~]*\Z")
_TAIL = 3


def seal(body: bytes) -> bytes:
    """Append the checksum and CR."""
    return b"%b%03d\r" % (body, sum(body) % 256)


def unseal(telegram: bytes) -> bytes | None:
    r"""Take the body out of a telegram, past garbage before it; None if its checksum fails.

    >>> unseal(b"\xff\xff0011074006100023025\r"), unseal(b"0011074006100023026\r")
    (b'0011074006100023', None)
    """
    match = _TELEGRAM.search(telegram.removesuffix(b"\r"))
    found = match[0] if match else b""
    body = found[:-_TAIL]
    return body if telegram.endswith(b"\r") and seal(body) == found + b"\r" else None


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
