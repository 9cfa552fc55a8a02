"""The stirrer as a run uses it: it remembers the speed that was asked, to say it again."""

from __future__ import annotations

from labctl.capabilities import Stirrer


class Stirring:
    """Turns the bar; `again` says the last speed once more, on the way to a safe state."""

    def __init__(self, stirrer: Stirrer, *, by_person: bool) -> None:
        self._stirrer = stirrer
        self._by_person = by_person
        self._asked_rpm = 0.0

    @property
    def on(self) -> bool:
        """Whether an instrument was told to stir, and not to stop since."""
        return self._asked_rpm > 0 and not self._by_person

    @property
    def asked_rpm(self) -> float:
        """The speed that was last asked, in rpm."""
        return self._asked_rpm

    async def stir(self, speed_rpm: float) -> None:
        """Turn at a speed in rpm; 0 stops."""
        await self._stirrer.stir(speed_rpm)
        self._asked_rpm = speed_rpm

    async def again(self) -> None:
        """Say the speed again; a bar that was never asked to turn stays at rest."""
        if self.on:
            await self._stirrer.stir(self._asked_rpm)
