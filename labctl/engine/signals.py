"""The latest reading of every signal, under the name the rig gives it.

A value outside the range in which its channel is trusted says only that the truth lies beyond that
end; the end stands for it. So 0.00 mbar on a gauge trusted from 0.1 mbar counts as 0.1 mbar.
"""

from __future__ import annotations

from collections.abc import Sequence

from labctl.clock import NS, Clock
from labctl.readings import Channel, Quality, Reading


class Signals:
    """What is known now; a reading older than `stale_s` is not known.

    While `looks_back` is true, a signal of an instrument without a checksum is what it was one
    reading before (`before` keeps it), however old that is.
    """

    def __init__(self, clock: Clock, stale_s: float = 10.0) -> None:
        self._clock = clock
        self._stale_ns = round(stale_s * NS)
        self._patience_ns: dict[str, int] = {}
        self._channels: dict[str, Channel] = {}
        self.latest: dict[str, Reading] = {}
        self.before: dict[str, Reading] = {}
        self.looks_back = False

    def declare(self, channel: Channel) -> None:
        """Tell the trusted range of a signal; its name is the signal's."""
        self._channels[channel.name] = channel

    def patient(self, signal: str, stale_s: float) -> None:
        """Let a signal that is read rarely (by a person, by aliquots) stay known for longer."""
        self._patience_ns[signal] = round(stale_s * NS)

    def value(self, signal: str) -> float | None:
        """Return the latest fresh value, at the end of its trusted range if beyond, or None."""
        looks_back = self.looks_back
        reading = self._read(signal) if looks_back else self.latest.get(signal)
        if reading is None:
            return None
        _, value, quality, t_ns = reading
        if value is None or quality is Quality.BAD:
            return None
        age_ns = self._clock.now_ns() - t_ns
        if age_ns > self._stale_ns and not (looks_back or self._patient(signal, age_ns)):
            return None
        if quality is Quality.GOOD:
            return value
        return self._at_the_end(self._channels.get(signal), value)

    def dimension(self, signal: str) -> str:
        """Return what a signal is measured in (see `units`)."""
        return self._channels[signal].dimension

    def bounds(self, signal: str) -> tuple[float, float] | None:
        """Return between what the latest fresh value lies; both ends alike for a good one."""
        value, reading = self.value(signal), self.latest.get(signal)
        if value is None or reading is None:
            return None
        if reading.quality is Quality.GOOD:
            return value, value
        return (
            (0.0, value) if reading.value is not None and reading.value < value else (value, value)
        )

    def age_ns(self, signal: str) -> int | None:
        """Return how old the latest usable reading is, or None where there is none."""
        reading = self._read(signal) if self.looks_back else self.latest.get(signal)
        if reading is None:
            return None
        _, value, quality, t_ns = reading
        if value is None or quality is Quality.BAD:
            return None
        return self._clock.now_ns() - t_ns

    def fresh(self, signals: Sequence[str], oldest_ns: int) -> bool:
        """Say whether each has a usable reading that is not older; looking back, any usable one."""
        if self.looks_back:
            return all(self.age_ns(signal) is not None for signal in signals)
        latest, first_ns = self.latest, self._clock.now_ns() - oldest_ns
        for signal in signals:
            reading = latest.get(signal)
            if reading is None:
                return False
            _, value, quality, t_ns = reading
            if t_ns < first_ns or value is None or quality is Quality.BAD:
                return False
        return True

    def _patient(self, signal: str, age_ns: int) -> bool:
        return age_ns <= self._patience_ns.get(signal, self._stale_ns)

    def _read(self, signal: str) -> Reading | None:
        if self.looks_back and signal in self.before:
            return self.before[signal]
        return self.latest.get(signal)

    @staticmethod
    def _at_the_end(channel: Channel | None, value: float) -> float | None:
        if channel is None:
            return None
        if channel.low is not None and value < channel.low:
            return channel.low
        return channel.high if channel.high is not None and value > channel.high else None
