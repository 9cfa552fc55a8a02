"""Where a frame ends and whether it is whole: terminators, lengths, checksums, escapes.

A `Frame` looks at what has arrived and says how many bytes make one complete reply, or None while
more is needed. Drivers and simulators share these and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

Frame = Callable[[bytes], int | None]


def until(terminator: bytes) -> Frame:
    r"""Make a frame that ends with its terminator.

    >>> until(b"\r\n")(b"24.7 1 \r\n"), until(b"\r\n")(b"24.7")
    (9, None)
    """
    size = len(terminator)

    def frame(buffer: bytes) -> int | None:
        at = buffer.find(terminator)
        return None if at < 0 else at + size

    return frame


def exactly(count: int) -> Frame:
    """Make a frame of a known number of bytes.

    >>> exactly(8)(b"12345678"), exactly(8)(b"123")
    (8, None)
    """

    def frame(buffer: bytes) -> int | None:
        return count if len(buffer) >= count else None

    return frame
