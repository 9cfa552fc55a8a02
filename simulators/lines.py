"""Several simulated instruments on one line, as on RS-485 or a daisy chain."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.twin import SimDevice


class SharedLine:
    """A line that all instruments hear and at most one answers; itself a `SimDevice`.

    Two instruments with one address both answer: nothing keeps them apart on a real line either.
    """

    def __init__(self, devices: Sequence[SimDevice]) -> None:
        self._devices = tuple(devices)

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Let all hear what arrived at `t_ns`; return (delay in ns, reply), in their order."""
        return [reply for device in self._devices for reply in device.feed(data, t_ns)]

    def advance(self, t_ns: int) -> None:
        """Bring all instruments to `t_ns`, in their order."""
        for device in self._devices:
            device.advance(t_ns)
