"""The flask's heater as a run uses it: it remembers what was asked, to go on after a freeze."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from labctl.capabilities import TemperatureController
from labctl.errors import AbortedError

Permit = Callable[[], Awaitable[None]]
"""Returns when heat may be given, and raises where it may not (a live guard, on hardware)."""


class Heat:
    """Ramps, freezes and resumes; the instrument itself makes the ramp."""

    def __init__(self, controller: TemperatureController, permit: Permit | None = None) -> None:
        self._controller = controller
        self._permit = permit
        self._asked: tuple[float, float] | None = None
        self._forbidden = False

    @property
    def on(self) -> bool:
        """Whether heat was asked for and not switched off since."""
        return self._asked is not None

    @property
    def asked(self) -> tuple[float, float] | None:
        """What was asked: °C and K/min; None without heat."""
        return self._asked

    def recall(self, asked: tuple[float, float] | None) -> None:
        """Let something asked before be what is gone on to; nothing is said to the instrument."""
        self._asked = asked

    def forbid(self) -> None:
        """Let nothing heat any more: the run is on its way to its safe state."""
        self._forbidden = True

    async def ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        """Go to a setpoint in °C at a rate in K/min; 0 K/min means as fast as it can.

        Raises:
            StepFailedError: heat is not permitted.
            AbortedError: the run has ended.
        """
        self._still_on()
        if self._permit is not None:
            await self._permit()
        await self._say(setpoint_c, rate_k_min)
        self._asked = (setpoint_c, rate_k_min)

    async def _say(self, setpoint_c: float, rate_k_min: float) -> None:
        self._still_on()
        try:
            await self._controller.ramp(setpoint_c, rate_k_min)
        finally:
            # A ramp is several writes: the end may have come between them, and its off as well.
            if self._forbidden:
                await self._controller.make_safe()
        self._still_on()

    def _still_on(self) -> None:
        if self._forbidden:
            raise AbortedError("the run has ended; nothing is heated any more")

    async def freeze(self) -> None:
        """Stay at the present working setpoint; what was asked is kept."""
        if self._asked is not None:
            await self._controller.freeze()

    def adopt(self, setpoint_c: float) -> None:
        """Let a setpoint in °C that was chosen at the panel be what was asked for."""
        if self._asked is not None:
            self._asked = (setpoint_c, self._asked[1])

    async def restore(self) -> None:
        """Ask again for what was asked, or for nothing."""
        if self._asked is None:
            await self._controller.off()
        else:
            await self.resume()

    async def resume(self) -> None:
        """Go on to what was asked before the freeze."""
        if self._asked is not None:
            await self.ramp(*self._asked)

    async def stay_at(self, setpoint_c: float) -> None:
        """Let the flask down to a lower setpoint in °C; what was asked before is kept."""
        await self._say(setpoint_c, 0.0)

    async def off_for_now(self) -> None:
        """Switch the output off; what was asked before is kept."""
        await self._controller.off()

    async def off(self) -> None:
        """Switch the output off; there is nothing to resume."""
        self._asked = None
        await self._controller.off()

    async def make_safe(self) -> None:
        """Switch the output off, before everything else on the line."""
        self._asked = None
        await self._controller.make_safe()
