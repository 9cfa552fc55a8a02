"""When the guard must act: pure, so that dry runs step the same logic on the virtual clock.

>>> logic = Logic(Limits(beat_s=3.0, age_s=5.0))
>>> logic.hear(Beat(1, "running", age_s=0.4, heating=True), now_s=10.0)
>>> logic.judge(now_s=12.0)
''
>>> logic.judge(now_s=13.5)
'no heartbeat for 3.5 s'
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long heartbeats may stay away, and how old the flask's temperature may be, in s."""

    beat_s: float = 3.0
    age_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat: its number, the run's state, the age of the flask's last good temperature.

    `age_s` is in s, infinite if there never was one; `heating` says whether heat is enabled.
    """

    seq: int
    state: str
    age_s: float
    heating: bool


class Logic:
    """Hears heartbeats and says why the heater must be cut; a reason once given stays."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._seq = 0
        self._heard_s: float | None = None
        self._reason = ""

    def hear(self, beat: Beat, now_s: float) -> None:
        """Take a heartbeat; one that does not count up is a program that has lost its way."""
        if beat.seq <= self._seq:
            self._cut(f"heartbeat {beat.seq} came after {self._seq}")
        elif beat.heating and not beat.age_s <= self.limits.age_s:
            self._cut(f"heating on a flask temperature {beat.age_s:.1f} s old")
        else:
            self._seq, self._heard_s = beat.seq, now_s

    def lost(self, reason: str) -> None:
        """Take notice that the run is gone."""
        self._cut(reason)

    def judge(self, now_s: float) -> str:
        """Return why the heater must be cut, or nothing; before the first beat nothing heats."""
        if self._heard_s is not None and now_s - self._heard_s > self.limits.beat_s:
            self._cut(f"no heartbeat for {now_s - self._heard_s:.1f} s")
        return self._reason

    def _cut(self, reason: str) -> None:
        self._reason = self._reason or reason
