"""The flask's heater as a run uses it: it remembers what was asked, to go on after a freeze."""

from __future__ import annotations

from labctl.capabilities import TemperatureController


class Heat:
    """Ramps, freezes and resumes; the instrument itself makes the ramp."""

    def __init__(self, controller: TemperatureController) -> None:
        self._controller = controller
        self._asked: tuple[float, float] | None = None

    async def ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        """Go to a setpoint in °C at a rate in K/min; 0 K/min means as fast as it can."""
        await self._controller.ramp(setpoint_c, rate_k_min)
        self._asked = (setpoint_c, rate_k_min)

    async def freeze(self) -> None:
        """Stay at the present working setpoint; what was asked is kept."""
        if self._asked is not None:
            await self._controller.freeze()

    async def resume(self) -> None:
        """Go on to what was asked before the freeze."""
        if self._asked is not None:
            await self._controller.ramp(*self._asked)

    async def off(self) -> None:
        """Switch the output off; there is nothing to resume."""
        self._asked = None
        await self._controller.off()

    async def make_safe(self) -> None:
        """Switch the output off, before everything else on the line."""
        self._asked = None
        await self._controller.make_safe()
