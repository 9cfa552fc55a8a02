"""The frames themselves: when they are due, and what is said of lost peaks and dirty windows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from labctl.engine.run import Run
from labctl.readings import Scalar
from labctl.spectroscopy.absorbance import Absorbance
from labctl.spectroscopy.fouling import Foul, FoulingWatch, clear_band
from labctl.spectroscopy.peak import PeakEstimate

IDLE_PACE = 3
"""Frames are this many times rarer while no step waits for the track: light spoils the sample."""
LOST_FRAMES = 5
SAID = {
    "fouling": "the window is fouled or the lamp fades",
    "lamp": "the lamp is brighter than at the reference",
}


class FrameWatch:
    """Counts frames, and tells once of each trouble and of its end.

    `taken` frames came, `bad` of them showed no usable peak, `missing` never came.
    """

    def __init__(self, run: Run, clear_nm: float, limit_au: float) -> None:
        self.taken = self.bad = self.missing = 0
        self._run = run
        self._clear_nm = clear_nm
        self._limit_au = limit_au
        self._window = FoulingWatch(limit_au)
        self._reasons: Counter[str] = Counter()
        self._away = 0
        self._silent = ""

    def restart(self) -> None:
        """Forget the window: a new reference was taken through it."""
        self._window = FoulingWatch(self._limit_au)

    def seen(self, flags: Sequence[str], *, usable: bool) -> None:
        """Take note of one frame's peak, usable or flagged."""
        self.taken += 1
        self._silent = ""
        if usable:
            self._find()
        else:
            self.bad += 1
            self._miss(flags or ("no_peak",))

    def missed(self, kind: str, message: str) -> None:
        """Take note of a frame that never came; a kind of trouble is told once until one comes."""
        self.missing += 1
        if kind != self._silent:
            self._silent = kind
            self._run.event("track.silent", message, level="warning")
        self._miss(("no_frame",))

    def counts(self) -> tuple[int, int, int]:
        """Give how many frames were taken, bad and missing so far."""
        return self.taken, self.bad, self.missing

    def tell(self, before: tuple[int, int, int]) -> None:
        """Tell how many frames were bad or missing since `before`; silence means none was."""
        taken, bad, missing = (now - then for now, then in zip(self.counts(), before, strict=True))
        if bad or missing:
            data = {"taken": taken, "bad": bad, "missing": missing}
            text = f"of {taken + missing} frames {bad} were bad and {missing} missing"
            self._run.event("track.frames", text, data)

    def window(self, found: Absorbance, peak: PeakEstimate) -> None:
        """Look where nothing absorbs; warn once when that has changed for good."""
        if not self._limit_au > 0.0 or not math.isfinite(peak.peak_nm):
            return
        band = clear_band(found, self._clear_nm, peak.peak_nm, peak.hwhm_nm)
        foul = self._window.update(band)
        if foul is not None:
            self._warn(foul)

    def _find(self) -> None:
        if self._away >= LOST_FRAMES:
            data = {"frames": self._away, "bad": self.bad, "missing": self.missing}
            self._run.event("track.found", f"1S found again after {self._away} frames", data)
        self._away = 0
        self._reasons.clear()

    def _miss(self, flags: Sequence[str]) -> None:
        self._away += 1
        self._reasons.update(flags)
        if self._away == LOST_FRAMES:
            why = ", ".join(flag for flag, _ in self._reasons.most_common(3))
            data: dict[str, Scalar] = {
                "flags": why,
                "taken": self.taken,
                "bad": self.bad,
                "missing": self.missing,
            }
            text = f"1S lost for {LOST_FRAMES} frames: {why}"
            self._run.event("track.lost", text, data, "warning")

    def _warn(self, foul: Foul) -> None:
        text = f"{SAID[foul.what]}: {foul.level_au:+.3f} AU at {self._clear_nm:g} nm, "
        text += f"scattering taken off; {self._limit_au:g} AU is the limit"
        data = {"level_au": foul.level_au, "sigma_au": foul.sigma_au, "limit_au": self._limit_au}
        self._run.event(f"track.{foul.what}", text, data, "warning")


class Pace:
    """Says when the next frame is due, on a grid that others share."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._last_ns = -period_ns * IDLE_PACE

    def due(self, now_ns: int, slower: int) -> bool:
        """Whether a frame is due at a pace `slower` times the period; then the next is counted."""
        if now_ns - self._last_ns < self._period_ns * (slower - 0.5):
            return False
        self._last_ns = now_ns
        return True
