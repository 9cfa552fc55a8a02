"""The run's own clock: it stands while the run is frozen; waits and holds are counted on it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from labctl.clock import NS, Clock

TICK_NS = NS
PHASE_NS = NS * 97 // 100


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run waits for now, in words; elapsed s when it began and when it should end.

    `extra_s` is what people have added to it.
    """

    waits_for: str
    began_s: float
    ends_s: float | None
    timeout_s: float
    extra_s: float = 0.0


class Elapsed:
    """Elapsed time of a run, and the one loop in which steps wait."""

    def __init__(self, clock: Clock) -> None:
        self.progress: Progress | None = None
        self.freezes = 0
        self.ticked: Callable[[], None] = _nothing
        self._clock = clock
        self._frozen_ns = 0
        self._since_ns: int | None = None
        self._thawed = asyncio.Event()
        self._thawed.set()

    @property
    def frozen(self) -> bool:
        """Whether the clock stands."""
        return self._since_ns is not None

    def begin_at(self, elapsed_s: float) -> None:
        """Count on from an earlier elapsed time, in s: what lies between never counts."""
        self._frozen_ns = self._clock.now_ns() - round(elapsed_s * NS)

    @property
    def frozen_since_ns(self) -> int | None:
        """Since when the clock stands, in ns of the run; None while it goes."""
        return self._since_ns

    def now_s(self) -> float:
        """Return elapsed s."""
        now_ns = self._clock.now_ns() if self._since_ns is None else self._since_ns
        return (now_ns - self._frozen_ns) / NS

    def freeze(self) -> None:
        """Stop the clock."""
        if self._since_ns is None:
            self._since_ns = self._clock.now_ns()
            self.freezes += 1
            self._thawed.clear()

    def thaw(self) -> None:
        """Let the clock go on."""
        if self._since_ns is not None:
            self._frozen_ns += self._clock.now_ns() - self._since_ns
            self._since_ns = None
            self._thawed.set()

    async def gate(self) -> None:
        """Return when the run is not frozen."""
        await self._thawed.wait()

    def say(self, waits_for: str) -> None:
        """Say what is waited for in other words, as more becomes known."""
        if self.progress is not None:
            self.progress = replace(self.progress, waits_for=waits_for)

    def extra_s(self) -> float:
        """Return what people have added to the present wait, in s."""
        return 0.0 if self.progress is None else self.progress.extra_s

    def extend(self, duration_s: float) -> str:
        """Let the present wait last longer, in s; return why not, or nothing."""
        progress = self.progress
        if progress is None or math.isinf(progress.timeout_s):
            return "nothing that could last longer is waited for"
        ends_s = None if progress.ends_s is None else progress.ends_s + duration_s
        extra_s = progress.extra_s + duration_s
        self.progress = replace(progress, ends_s=ends_s, extra_s=extra_s)
        return ""

    async def wait(
        self,
        waits_for: str,
        until: Callable[[], bool | None],
        timeout_s: float,
        ends_s: float | None = None,
    ) -> bool:
        """Wait until a condition holds; False at the timeout.

        The condition is asked once a second, after the second's readings have come in.
        """
        began_s = self.now_s()
        before = self.progress
        self.progress = Progress(waits_for, began_s, ends_s, timeout_s)
        try:
            while True:
                await self.gate()
                self.ticked()
                if until():
                    return True
                left_s = timeout_s + self.extra_s() - (self.now_s() - began_s)
                if left_s <= 0:
                    return False
                await self._tick(left_s)
        finally:
            self.progress = before

    async def _tick(self, left_s: float) -> None:
        now_ns = self._clock.now_ns()
        next_ns = (now_ns - PHASE_NS) // TICK_NS * TICK_NS + TICK_NS + PHASE_NS
        end_ns = next_ns if math.isinf(left_s) else now_ns + math.ceil(left_s * NS)
        await self._clock.sleep_until(min(next_ns, end_ns))


def _nothing() -> None:
    """Nobody listens to the ticks."""
