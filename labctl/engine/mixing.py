"""Stirring judged by physics: after a dose two probes in one well-mixed liquid soon agree.

A bar that has lost its magnet lies still while the plate turns at the right speed. Then a cold dose
stays where it fell, and the probes differ for as long as it takes to spread, some 20 s, against
0.3 s at 600 rpm. Probes that lag by 4 and 3 s differ in a stirred flask too, by 2 to 3 K while the
fastest dose by hand goes in; so more than 3 K for 15 s is a doubt. It needs two probes, and tells
nothing without a dose that is felt.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MixingLimits:
    """Probes that differ by `apart_k` for `for_s` while a dose shows are a doubt."""

    apart_k: float = 3.0
    for_s: float = 15.0


class Mixing:
    """Judges one flask sample by sample; each dose is doubted at most once."""

    def __init__(self, limits: MixingLimits | None = None) -> None:
        self._limits = limits or MixingLimits()
        self._base_k: float | None = None
        self._since_s: float | None = None
        self._doubted = False

    def see(
        self, t_s: float, first_c: float | None, second_c: float | None, *, dosed: bool
    ) -> str | None:
        """Take what both probes read in °C at a time in s; return the doubt in words, or None.

        `dosed` from the beginning of a dose until it must have spread. What the probes differed by
        before the dose is not counted.
        """
        if first_c is None or second_c is None:
            self._since_s = None
            return None
        apart_k = first_c - second_c
        if not dosed:
            self._base_k, self._since_s, self._doubted = apart_k, None, False
            return None
        more_k = abs(apart_k - (self._base_k or 0.0))
        if more_k <= self._limits.apart_k:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = t_s
        if self._doubted or t_s - self._since_s < self._limits.for_s:
            return None
        self._doubted = True
        lasts_s = t_s - self._since_s
        return f"the probes differ by {more_k:.1f} K more than before the dose, for {lasts_s:.0f} s"
