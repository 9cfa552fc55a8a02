"""MKS series 900 transducers: where a reply ends.

`@aaaACKdata;FF` or `@aaaNAKcode;FF`: `;FF` is three characters, and there is no checksum. Source:
MKS 910, 971 and 902B operation manuals, "Query and Command Syntax".
"""

from __future__ import annotations

import re

from labctl.framing import Frame

TERMINATOR = b";FF"


def reply_from(address: int) -> Frame:
    """Make a frame that ends with the first reply of an address; what others say is passed over.

    >>> reply_from(253)(b"@001ACK1.00E-2;FF@253NAK160;FF")
    30
    """
    reply = re.compile(rb"@%03d(?:ACK|NAK)[^@;]*;FF" % address)

    def ends(buffer: bytes) -> int | None:
        match = reply.search(buffer)
        return match.end() if match else None

    return ends
