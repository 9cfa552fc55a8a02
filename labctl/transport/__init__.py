"""Bytes in, bytes out: one question at a time on a port, over pyserial, TCP, pyvisa or memory."""

from typing import TYPE_CHECKING

from labctl.priority import Priority

if TYPE_CHECKING:
    from labctl.transport.port import Port, Wire

__all__ = ["Port", "Priority", "Wire"]


def __getattr__(name: str) -> object:
    """Load the port when it is asked for: to read a driver's limits needs no event loop.

    Raises:
        AttributeError: the package has nothing of that name.
    """
    if name not in {"Port", "Wire"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from labctl.transport import port  # noqa: PLC0415

    found: object = getattr(port, name)
    return found
