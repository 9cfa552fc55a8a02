"""Arrays as blobs of the record: little-endian, one number per wavelength, no compression.

Counts fit two bytes on nearly every spectrometer. Compressing them takes 15 times longer than
halving them this way and saves no more than another twentieth: they are mostly shot noise.
"""

from __future__ import annotations

import sys
from array import array
from typing import TypeAlias

AXIS_CODE = "f8"

Numbers: TypeAlias = "array[int] | array[float]"

_TYPECODES = {"u2": "H", "u4": "I", "f4": "f", "f8": "d"}


def pack_counts(counts: array[int]) -> tuple[str, bytes]:
    r"""Give counts as `u2` if all fit, else as `u4`.

    >>> pack_counts(array("I", [1, 258]))
    ('u2', b'\x01\x00\x02\x01')
    """
    wide = _little(counts if counts.itemsize == 4 else array("I", counts))
    if any(wide[2::4].strip(b"\0")) or any(wide[3::4].strip(b"\0")):
        return "u4", wide
    narrow = bytearray(len(wide) // 2)
    narrow[0::2], narrow[1::2] = wide[0::4], wide[1::4]
    return "u2", bytes(narrow)


def pack_values(values: array[float], encoding: str = "f4") -> tuple[str, bytes]:
    """Give computed values as float32, or as another float encoding."""
    return encoding, _little(array(_TYPECODES[encoding], values))


def unpack(encoding: str, blob: bytes) -> array[float]:
    r"""Give the numbers of a blob, as floats.

    >>> list(unpack("u2", b"\x01\x00\x02\x01"))
    [1.0, 258.0]
    """
    stored = array(_TYPECODES[encoding], blob)
    if sys.byteorder == "big":
        stored.byteswap()
    return array("d", stored)


def _little(values: Numbers) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()
