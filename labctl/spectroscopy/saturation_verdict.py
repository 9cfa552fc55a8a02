"""What a saturation detector is told and what it answers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

from labctl.errors import UsageError

State = Literal["collecting", "changing", "saturated", "no_reaction", "fault"]

MARGIN = 0.7
"""Part of delta that may remain, as far as the models go: the rest is kept for other courses."""
LENIENCE = 5.0
"""What MARGIN x delta may be exceeded with, in alphas; delta itself then is with less than one."""


@dataclass(frozen=True, slots=True)
class SaturationSettings:
    """What the recipe says about the end of a reaction.

    `delta_nm`: further movement that counts as none; `tau_max_s`: slowest tail held possible;
    `alpha`: risk of a wrong `saturated`; `min_shift_nm`: less than this is no reaction;
    `min_plateau_s`: how long the conditions must hold without a break.

    Raises:
        UsageError: a value outside its range.
    """

    delta_nm: float = 0.5
    tau_max_s: float = 1500.0
    alpha: float = 1e-3
    min_shift_nm: float = 1.2
    min_plateau_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that no reaction could meet.

        Raises:
            UsageError: a value outside its range.
        """
        ranges = {
            "delta_nm": (self.delta_nm, 0.01, 50.0),
            "tau_max_s": (self.tau_max_s, 30.0, 1e5),
            "alpha": (self.alpha, 1e-6, 0.1),
            "min_shift_nm": (self.min_shift_nm, 0.0, 200.0),
            "min_plateau_s": (self.min_plateau_s, 0.0, 1e5),
        }
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise UsageError(f"{name} is {value:g}; it must lie between {low:g} and {high:g}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state and all numbers it rests on; a number that is not known yet is NaN.

    `remaining_nm` is the movement still expected (signed), `interval_nm` bounds it at 99.9 %;
    `probability` is that of less than MARGIN x delta remaining; `n` counts bins, not frames;
    slopes in nm/min; `shift_nm` is from the baseline to now; `segment_band_nm` is how far the doubt
    about the correction to 25 °C has grown since the segment began, and is held in both sds.
    """

    state: State
    remaining_nm: float
    probability: float
    reason: str
    n: int = 0
    slope_nm_min: float = math.nan
    slope_sd_nm_min: float = math.nan
    shift_nm: float = math.nan
    shift_sd_nm: float = math.nan
    interval_nm: tuple[float, float] = (math.nan, math.nan)
    segment_band_nm: float = 0.0

    def evidence(self) -> dict[str, str | int | float | list[float] | None]:
        """Give the verdict as plain values for a record; NaN becomes None."""
        low, high = self.interval_nm
        plain: dict[str, str | int | float | list[float] | None] = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }
        plain["interval_nm"] = None if math.isnan(low) else [low, high]
        return plain


def doubt(state: State, reason: str) -> Verdict:
    """Give a verdict that rests on nothing measured."""
    return Verdict(state, math.nan, 0.0, reason)
