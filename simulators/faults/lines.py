"""A line with faults on it: what is said on the way to the instruments and back is mangled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from labctl.twin import SimDevice

Reply = tuple[int, bytes]
Hears = Callable[[bytes], bytes]
Says = Callable[[bytes, list[Reply]], list[Reply]]


@dataclass
class Tap:
    """One place where faults mangle: a whole port, or one instrument on it.

    `hears` change a question on its way, `says` the replies to it; `junk` is said unasked.
    """

    hears: list[Hears] = field(default_factory=list)
    says: list[Says] = field(default_factory=list)
    junk: bytes = b""

    def heard(self, data: bytes) -> bytes:
        """Return what arrives of a question."""
        for change in self.hears:
            data = change(data)
        return data

    def said(self, question: bytes, replies: list[Reply]) -> list[Reply]:
        """Return what comes back."""
        for change in self.says:
            replies = change(question, replies)
        if self.junk:
            replies = [(0, self.junk), *replies]
            self.junk = b""
        return replies

    @contextmanager
    def hearing(self, change: Hears) -> Iterator[None]:
        """Change questions."""
        self.hears.append(change)
        try:
            yield
        finally:
            self.hears.remove(change)

    @contextmanager
    def saying(self, change: Says) -> Iterator[None]:
        """Change replies."""
        self.says.append(change)
        try:
            yield
        finally:
            self.says.remove(change)


class FaultyLine:
    """One port with its instruments and taps; `advance` brings the whole world to a time."""

    def __init__(
        self,
        port: Tap,
        devices: Mapping[str, tuple[SimDevice, Tap]],
        advance: Callable[[int], None],
    ) -> None:
        self._port = port
        self._devices = tuple(devices.values())
        self._advance = advance

    def feed(self, data: bytes, t_ns: int) -> list[Reply]:
        """Let the instruments hear what is left of a question; return what is left of replies."""
        self._advance(t_ns)
        heard = self._port.heard(data)
        replies: list[Reply] = []
        for device, tap in self._devices:
            own = tap.heard(heard)
            replies += tap.said(own, device.feed(own, t_ns))
        return self._port.said(data, replies)

    def advance(self, t_ns: int) -> None:
        """Bring the whole world to `t_ns`."""
        self._advance(t_ns)
