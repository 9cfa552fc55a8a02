"""Text for a terminal: colours where they help, columns that line up, durations and clock times."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TextIO

WIDTH = 80
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Paint:
    """Colours text for one stream; plain where colours are not wanted (NO_COLOR) or not seen."""

    def __init__(self, stream: TextIO) -> None:
        self.on = self.moves(stream) and not os.environ.get("NO_COLOR")

    @staticmethod
    def moves(stream: TextIO) -> bool:
        """Say whether a stream is a terminal on which text can be drawn over."""
        return stream.isatty() and os.environ.get("TERM") != "dumb"

    def __call__(self, text: str, *styles: str) -> str:
        """Return a text in the given styles: bold, dim, red, green, yellow, cyan."""
        if not self.on or not text or not styles:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"


def columns() -> int:
    """Return how wide the terminal is; 80 where there is none."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def rows() -> int:
    """Return how many lines the terminal has; 24 where there is none."""
    return shutil.get_terminal_size((WIDTH, 24)).lines


def shown(text: str) -> int:
    """Return how many columns a text takes; escapes take none, wide characters two."""
    plain = _ESCAPE.sub("", text)
    if plain.isascii():
        return len(plain)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in plain)
    return len(plain) + wide - sum(unicodedata.combining(c) > 0 for c in plain)


def clipped(text: str, width: int) -> str:
    """Cut a plain text to a width, with an ellipsis where something is missing.

    >>> clipped("squalane", 5)
    'squa…'
    """
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Fill a text with spaces to a width, counting what is seen."""
    fill = " " * max(0, width - shown(text))
    return fill + text if right else text + fill


def table(
    cells: Iterable[Sequence[str]], *, head: Sequence[str] = (), right: Iterable[int] = ()
) -> list[str]:
    """Return rows of cells as lines that line up; `right` are the columns set to the right.

    >>> table([("ZN", "3.02"), ("HF", "0.114")], right=[1])
    ['ZN   3.02', 'HF  0.114']
    """
    lines = [tuple(row) for row in ([head] if head else [])] + [tuple(row) for row in cells]
    to_right = set(right)
    widths = [max(map(shown, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            padded(cell, width, right=n in to_right)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def wrapped(texts: Iterable[str], room: int = 0) -> list[str]:
    """Break texts into lines that fit a terminal behind a margin; what goes on is set in."""
    width = max(WIDTH // 2, (room or columns()) - 4)
    return [
        line
        for text in texts
        for line in textwrap.wrap(text, width, subsequent_indent="    ", break_on_hyphens=False)
    ]


def clock(seconds: float) -> str:
    """Print a time since the start as H:MM:SS.

    >>> clock(3725.4)
    '1:02:05'
    """
    total = round(seconds)
    return f"{total // 3600}:{total // 60 % 60:02}:{total % 60:02}"


def rounded(seconds: float) -> str:
    """Print a duration for planning: seconds below a minute, minutes below a day.

    >>> rounded(42), rounded(150), rounded(5400)
    ('42 s', '3 min', '1 h 30 min')
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = int(seconds / 60 + 0.5)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02} min" if hours else f"{minutes} min"
