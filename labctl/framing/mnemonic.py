r"""Pfeiffer mnemonics: where an acknowledgement ends.

`ACK CR LF` or `NAK CR LF` answers a command; the data then follow an ENQ, and end with CR LF
(`framing.until`). Source: TPG 361/362 communication protocol BG 5510, section 1.3.
"""

from __future__ import annotations

ACK = b"\x06\r\n"
NAK = b"\x15\r\n"
ENQ = b"\x05"
ETX = b"\x03"


def acknowledgement(buffer: bytes) -> int | None:
    r"""Return where the first acknowledgement ends, or None while there is none.

    A line of the continuous output may still run out before it; it is part of the frame.

    >>> acknowledgement(ACK), acknowledgement(b"0,1.3300E-02\r\n"), acknowledgement(b"02\r\n" + NAK)
    (3, None, 7)
    """
    ends = [buffer.find(word) + len(word) for word in (ACK, NAK) if word in buffer]
    return min(ends, default=None)
