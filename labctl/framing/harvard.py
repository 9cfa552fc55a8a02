r"""Harvard pump chain replies: lines that begin with LF and end with CR, then a prompt without end.

Every line of a pump with an address of its own begins with two digits and a colon, and its prompt
with the two digits; at address 0 some firmware does the same. A prompt and the beginning of a line
look alike, so a reply can only be cut by who knows how many lines it has. Source: PHD ULTRA user's
guide 5419-002, "Pump chain commands"; Legato 100 user's manual 5617-006, p. 51.

>>> replies(1)(b"\n2.5 ml/min\r\n:"), replies(1)(b"\n03:")
(14, None)
>>> read(b"\n03:2.5 ml/min\r\n03T*")
Reply(address=3, lines=('2.5 ml/min',), prompt='T*')
"""

from __future__ import annotations

import re
from typing import NamedTuple

from labctl.framing import Frame

_PROMPT = re.compile(rb"(\d\d)?(T\*|[<>]\*?|\*|:)\x11?")
_LINE = re.compile(rb"(?:(\d\d):)?([ -~]*)\r")


class Reply(NamedTuple):
    """A whole reply; `address` is None where the pump does not name itself."""

    address: int | None
    lines: tuple[str, ...]
    prompt: str


def replies(lines: int) -> Frame:
    """Make a frame that ends with the first prompt after at least so many lines."""

    def frame(buffer: bytes) -> int | None:
        *body, last = buffer.split(b"\n")
        whole = _PROMPT.fullmatch(last) is not None and len(body) > lines
        return len(buffer) if whole else None

    return frame


def read(reply: bytes) -> Reply | None:
    """Take a reply apart; None if it is none, or its lines come from several addresses."""
    stray, *body, last = reply.split(b"\n") if b"\n" in reply else (reply, b"")
    prompt = _PROMPT.fullmatch(last)
    matches = [_LINE.fullmatch(line) for line in body]
    if prompt is None or stray.strip(b"\r") or not all(matches):
        return None
    own = prompt[1]
    rows = [match for match in matches if match is not None]
    if any(row[1] != own for row in rows):
        return None
    lines = tuple(row[2].decode("ascii") for row in rows)
    return Reply(int(own) if own else None, lines, prompt[2].decode("ascii"))
