"""What a wire in memory needs on its other end."""

from __future__ import annotations

from typing import Protocol


class Answering(Protocol):
    """Something that answers bytes with bytes: a simulated instrument, or a line of several."""

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes that arrived at `t_ns`; return (delay in ns, reply) pairs, in order.

        Called with no bytes to collect what the instrument says by itself.
        """
        ...
