"""What is watched while a dose goes in: how far the flask falls, and what ends the pump's move."""

from __future__ import annotations

from collections.abc import Callable

from labctl.clock import NS
from labctl.engine.run import Run

_STARTS_S = 0.5
"""How long a pump that was told to move may still report that it stands."""


class Dip:
    """How far the flask fell since a dose began."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before_c: float | None = None
        self._lowest_c: float | None = None

    def begin(self) -> None:
        """Count from here."""
        self._before_c = self._lowest_c = self._run.signals.value("flask.T")

    def follow(self) -> bool:
        """Take the flask's temperature; never an end to wait for, so False."""
        at_c = self._run.signals.value("flask.T")
        if at_c is not None:
            self._lowest_c = at_c if self._lowest_c is None else min(self._lowest_c, at_c)
        return False

    def kelvin(self) -> float:
        """Return the fall in K; 0 where it is not known."""
        if self._before_c is None or self._lowest_c is None:
            return 0.0
        return self._before_c - self._lowest_c


class MoveEnds:
    """Says whether a pump has stopped, must stop since the flask is too cold, or is lost."""

    def __init__(
        self, run: Run, dip: Dip, pump: str, limit_c: float | None, is_lost: Callable[[str], bool]
    ) -> None:
        self.cold = self.lost = False
        self._dip = dip
        self._pump = pump
        self._limit_c = limit_c
        self._is_lost = is_lost
        self._signal = f"{pump}.infusing"
        self._signals = run.signals
        self._after_ns = run.clock.now_ns() + round(_STARTS_S * NS)

    def __call__(self) -> bool:
        """Look once; `cold` and `lost` tell why it must stop."""
        self._dip.follow()
        at_c = self._signals.value("flask.T")
        if self._limit_c is not None and at_c is not None and at_c < self._limit_c:
            self.cold = True
            return True
        self.lost = self._is_lost(self._pump)
        if self.lost:
            return True
        latest = self._signals.latest.get(self._signal)
        fresh = latest is not None and latest.t_ns >= self._after_ns
        return fresh and self._signals.value(self._signal) == 0.0
