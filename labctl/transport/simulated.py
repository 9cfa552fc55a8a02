"""What a wire in memory needs on its other end."""

from __future__ import annotations

from typing import Protocol


class Plug(Protocol):
    """How a port's plug is now: `lost` and `busy` say why not, `pulled` how often it was gone."""

    @property
    def lost(self) -> str:
        """Why the port is gone; empty while it is there."""
        ...

    @property
    def busy(self) -> str:
        """Why the port cannot be opened; empty while it can."""
        ...

    @property
    def pulled(self) -> int:
        """How often it was pulled so far."""
        ...


class Answering(Protocol):
    """Something that answers bytes with bytes: a simulated instrument, or a line of several."""

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes that arrived at `t_ns`; return (delay in ns, reply) pairs, in order.

        Called with no bytes to collect what the instrument says by itself.
        """
        ...
