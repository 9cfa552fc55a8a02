"""One-way fan-out for display, telemetry and ETA: a listener may neither raise nor block."""

from __future__ import annotations

import logging
from collections.abc import Callable

from labctl.readings import Event, Reading, Spectrum

Message = Reading | Event | Spectrum
Listener = Callable[[Message], None]

_log = logging.getLogger(__name__)


class Bus:
    """Hands each message to every listener; one that raises is dropped with one log line."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Add a listener; it gets every later message."""
        self._listeners.append(listener)

    @property
    def listened(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def publish(self, message: Message) -> None:
        """Give a message to all listeners, in the order they subscribed."""
        for listener in tuple(self._listeners):
            try:
                listener(message)
            except Exception:  # noqa: BLE001 - a broken display must not touch the run
                self._listeners.remove(listener)
                _log.exception("a listener of the bus failed and was dropped")
