"""Aiming at a target: the decision that a peak is there, or will be once the quench bites."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.bench import Aimed, Criterion
from labctl.spectroscopy.arrival import MOST_POINTS, Course, Forecast, course, forecast, is_frozen

Floats = NDArray[np.float64]

WINDOW_S = 60.0
WINDOW_LEADS = 2.5
WINDOW_FRAMES = 10.0
LEVEL_FRAMES = 8
LEVEL_SAMPLES = 3
LEVEL_SD = 2.0
MEDIAN_SD = 1.25
"""The sd of a median over that of a mean."""
LANDING_S = 120.0
LANDING_FRAMES = 3
STEADY_WINDOW_S = 120.0
STEADY_SD = 2.0
STEADY_MIN_POINTS = 6
FROZEN = "the peak reads exactly the same every time"


class Aim:
    """Follows a peak to its target; `look` says whether to stop now, in time for the quench.

    Growth goes on for `lead_s` after the decision, counted at the present rate; so it falls when
    the course meets the target `lead_s` from now, to the nearest frame. A course in doubt decides
    nothing; then only a level that is surely beyond the target does.
    """

    def __init__(self, criterion: Criterion, *, by_samples: bool = False) -> None:
        self.target_nm, self.rising = criterion.target_nm, criterion.rising
        self.lead_s = criterion.lead_s
        self.reason = "no usable frame came in"
        self.level_nm = self.rate_nm_s = math.nan
        self.forecast = Forecast(math.nan, math.nan, self.reason)
        self._rows: deque[tuple[float, float, float, float]] = deque(maxlen=MOST_POINTS)
        self._level_frames = LEVEL_SAMPLES if by_samples else LEVEL_FRAMES

    def look(self, t_s: float, peak_nm: float, sigma_nm: float, raw_nm: float) -> bool:
        """Take one usable frame (s, nm); say whether it is time to stop."""
        self._rows.append((t_s, peak_nm, sigma_nm, raw_nm))
        times, peaks, sigmas, raws = np.array(self._rows).T
        if is_frozen(raws):
            self._tell(FROZEN)
            return False
        period_s = float(np.median(np.diff(times))) if times.size > 1 else 0.0
        span_s = max(WINDOW_S, WINDOW_LEADS * self.lead_s, WINDOW_FRAMES * period_s)
        recent = times > t_s - span_s
        found = course(times[recent], peaks[recent], sigmas[recent])
        if isinstance(found, Course):
            self.level_nm, self.rate_nm_s = found.level_nm(), found.rate_nm_s
            self.forecast = forecast(found, self.target_nm, rising=self.rising)
            self._tell(self.forecast.doubt)
            return self._in_time(found, period_s) or self._beyond(peaks, sigmas)
        self.level_nm = float(np.median(peaks[-LEVEL_SAMPLES:]))
        self._tell(found)
        return self._beyond(peaks, sigmas)

    def words(self) -> str:
        """Say where the peak is and when it will be there."""
        goal = f"1S at 25 °C {'>=' if self.rising else '<='} {self.target_nm:g} nm"
        if not math.isfinite(self.level_nm):
            return goal
        if self.forecast.doubt:
            return f"{goal}: now {self.level_nm:.1f} nm"
        return f"{goal}: now {self.level_nm:.1f} nm, there {_about(self.forecast.in_s)}"

    def aimed(self) -> Aimed:
        """Give what was aimed at, for judging later where the peak came to rest."""
        return Aimed(self.target_nm, self.rising, self.lead_s, self.rate_nm_s)

    def evidence(self) -> dict[str, float | None]:
        """Give what the decision rests on, by name with unit."""
        found = {
            "target_nm": self.target_nm,
            "lead_s": self.lead_s,
            "level_nm": self.level_nm,
            "rate_nm_min": self.rate_nm_s * 60,
            "arrival_s": self.forecast.in_s,
            "arrival_sd_s": self.forecast.sd_s,
        }
        return {name: value if math.isfinite(value) else None for name, value in found.items()}

    def _in_time(self, found: Course, period_s: float) -> bool:
        unsure = LEVEL_SD * self.forecast.sd_s > found.span_s / 2
        if self.forecast.doubt or unsure:
            return False
        return self.forecast.in_s <= self.lead_s + period_s / 2

    def _beyond(self, peaks: Floats, sigmas: Floats) -> bool:
        """Whether the last frames, all but one, and surely their median lie beyond the target."""
        count = self._level_frames
        if len(peaks) < count:
            return False
        sd_nm = MEDIAN_SD * float(np.median(sigmas[-count:])) / math.sqrt(count)
        past_nm = np.sort((peaks[-count:] - self.target_nm) * (1 if self.rising else -1))
        return bool(past_nm[1] >= 0.0 and np.median(past_nm) >= LEVEL_SD * sd_nm)

    def _tell(self, doubt: str) -> None:
        if doubt:
            self.forecast = Forecast(math.nan, math.nan, doubt)
        where = f"1S at 25 °C is {self.level_nm:.2f} nm, the target {self.target_nm:g} nm"
        ahead = doubt or f"there {_about(self.forecast.in_s)}"
        self.reason = f"{where}; {ahead}" if math.isfinite(self.level_nm) else doubt


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a peak came to rest after its quench: nm at 25 °C with the correction's band.

    `over_nm` is how far beyond the target; `better_lead_s` the lead that would have met it.
    """

    peak_nm: float
    band_nm: float
    over_nm: float
    better_lead_s: float

    def words(self) -> str:
        """Say it for a person."""
        where = f"1S at 25 °C came to rest at {self.peak_nm:.2f} ± {self.band_nm:.2f} nm"
        side = "beyond" if self.over_nm > 0 else "short of"
        aim = f"{abs(self.over_nm):.2f} nm {side} the target"
        return f"{where}, {aim}; a lead of {self.better_lead_s:.0f} s would have met it"


def landing(aimed: Aimed, seen: Sequence[tuple[float, float, float]]) -> Landing | None:
    """Judge where the peak came to rest from usable frames: s, nm at 25 °C, nm of its band.

    The last two minutes count; None where they hold fewer than three frames.
    """
    last = [row for row in seen if row[0] >= seen[-1][0] - LANDING_S]
    if len(last) < LANDING_FRAMES:
        return None
    peak_nm = float(np.median([nm for _, nm, _ in last]))
    over_nm = (peak_nm - aimed.target_nm) * (1 if aimed.rising else -1)
    rate = abs(aimed.rate_nm_s)
    lead_s = aimed.lead_s + over_nm / rate if rate > 0 else math.nan
    return Landing(peak_nm, last[-1][2], over_nm, lead_s)


def steadiness(rows: Sequence[tuple[float, ...]]) -> tuple[float, float] | str:
    """Give how fast the peak moves over usable frames, nm/min ± sd; or say why it cannot be told.

    A row is s, nm at 25 °C, its sd, and nm as measured.
    """
    times, peaks, sigmas, raws = np.array(rows).T
    if is_frozen(raws):
        return FROZEN
    found = course(times, peaks, sigmas, degree=1)
    return found if isinstance(found, str) else (found.rate_nm_s * 60, found.rate_sd_nm_s * 60)


def is_steady(
    rows: Sequence[tuple[float, ...]], t_s: float, waited_s: float, criterion: Criterion
) -> tuple[bool, str]:
    """Say whether the peak is steady at `t_s`, and why; no reason where there are too few frames.

    Rows are as in `steadiness`, in order; `waited_s` is how long it was waited for.
    """
    window = [row for row in rows if row[0] >= t_s - STEADY_WINDOW_S]
    if len(window) < STEADY_MIN_POINTS:
        return False, ""
    found = steadiness(window)
    if isinstance(found, str):
        return False, found
    slope, sd = found
    slow = abs(slope) + STEADY_SD * sd < criterion.slower_than_nm_min
    return slow and waited_s >= criterion.not_before_s, f"1S moves {slope:+.2f} ± {sd:.2f} nm/min"


def _about(in_s: float) -> str:
    if in_s < 5.0:
        return "now"
    return f"in about {round(in_s / 5) * 5} s" if in_s < 90.0 else f"in about {in_s / 60:.0f} min"
