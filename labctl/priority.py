"""Who goes first at one instant, for lines and loops alike; needs no event loop to be imported."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """Who goes first when two things are due at one instant."""

    TRIP = 0
    OPERATOR = 1
    COMMAND = 2
    POLL = 3
