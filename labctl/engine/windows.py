"""The recent past of a signal, for interlocks on a rate, a spread or a highest value."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from labctl.clock import NS
from labctl.engine.signals import Signals

FILLED = 0.8
FEWEST = 3
RENEWED_AFTER = 1000


class Window:
    """The readings of one signal within the last `length_s`, fed by `look` after each sample.

    A rate or a spread is known once the readings span 0.8 of the length; nothing is known while the
    signal itself is not.
    """

    def __init__(self, signals: Signals, signal: str, length_s: float) -> None:
        self.length_s = length_s
        self._signals = signals
        self._signal = signal
        self._times_s: deque[float] = deque()
        self._values: deque[float] = deque()
        self._ends_ns = -1
        self._line = _Line()

    def look(self) -> None:
        """Take the latest reading if it is new and known, and forget what is too old."""
        reading = self._signals.latest.get(self._signal)
        if reading is None or reading.t_ns == self._ends_ns:
            return
        value = self._signals.value(self._signal)
        if value is None:
            return
        self._ends_ns = reading.t_ns
        times_s, values, now_s = self._times_s, self._values, reading.t_ns / NS
        times_s.append(now_s)
        values.append(value)
        self._line.add(now_s, value, 1)
        while times_s[0] < now_s - self.length_s:
            self._line.add(times_s.popleft(), values.popleft(), -1)
        if self._line.stale:
            self._line = _Line.through(times_s, values)

    def per_min(self) -> float | None:
        """Return the least-squares slope, in the signal's unit per min, or None."""
        if not self._filled() or len(self._values) < FEWEST:
            return None
        return self._line.per_min()

    def highest(self) -> float | None:
        """Return the highest value, or None where the signal is not known now."""
        return None if self._signals.value(self._signal) is None else max(self._values)

    def within(self, spread: float) -> bool | None:
        """Say whether all values lie within a spread; None while too little is known."""
        if self._signals.value(self._signal) is None:
            return None
        if max(self._values) - min(self._values) > spread:
            return False
        return True if self._filled() else None

    def _filled(self) -> bool:
        if self._signals.value(self._signal) is None:
            return False
        return self._times_s[-1] - self._times_s[0] >= FILLED * self.length_s


class _Line:
    """The sums of a least-squares line; terms come and go, so it is summed anew now and then.

    Times and values are counted from the first, which keeps the sums small.
    """

    __slots__ = ("_count", "_st", "_stt", "_stx", "_sx", "_t", "_terms", "_x")

    def __init__(self, t_s: float = 0.0, x: float = 0.0) -> None:
        self._t, self._x = t_s, x
        self._terms = self._count = 0
        self._st = self._sx = self._stt = self._stx = 0.0

    @classmethod
    def through(cls, times_s: Sequence[float], values: Sequence[float]) -> _Line:
        """Sum the points anew."""
        line = cls(times_s[0], values[0])
        for t_s, x in zip(times_s, values, strict=True):
            line.add(t_s, x, 1)
        line._terms = 0
        return line

    @property
    def stale(self) -> bool:
        """Whether so many terms came and went that it should be summed anew."""
        return self._terms >= RENEWED_AFTER

    def add(self, t_s: float, x: float, sign: int) -> None:
        """Add a point, or take it out again with -1."""
        t, x = t_s - self._t, (x - self._x) * sign
        self._terms += 1
        self._count += sign
        self._sx += x
        self._stx += t * x
        t_signed = t * sign
        self._st += t_signed
        self._stt += t * t_signed

    def per_min(self) -> float | None:
        """Return the slope in units per min; None through points of one time."""
        spread = self._stt - self._st * self._st / self._count
        if spread <= 0.0:
            return None
        return (self._stx - self._st * self._sx / self._count) / spread * 60.0
