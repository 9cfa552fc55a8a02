"""What a calibration comes to: weighed shots -> what a syringe delivers; points -> YAML."""

from __future__ import annotations

import datetime as dt
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labctl.errors import UsageError
from labctl.source import Place

LEAST_SHOTS = 3
PLAUSIBLE = (0.8, 1.2)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What share of the commanded volume a syringe delivers: mean and sd of its shots, count."""

    mean: float
    sd: float
    shots: int


@dataclass(frozen=True, slots=True)
class Made:
    """What a calibration gives: where in the rig file, what stands there, and in words."""

    place: Place
    words: Mapping[str, str]
    told: str


def delivered(masses_g: Sequence[float], density_g_ml: float, commanded_ml: float) -> Delivered:
    """Return what a syringe delivers, from the masses of equal shots in g.

    The sd is that of one shot (n - 1), which is what a dose has to expect.

    Raises:
        UsageError: fewer than three shots, or a mean that is off by more than 20 %: a leak, a wrong
            bore or a wrong liquid, which no calibration mends.

    >>> delivered([0.500, 0.505, 0.495], 1.0, 0.5)
    Delivered(mean=1.0, sd=0.01, shots=3)
    """
    if len(masses_g) < LEAST_SHOTS:
        raise UsageError(f"{len(masses_g)} shots are too few; weigh {LEAST_SHOTS} or more")
    shares = [mass / density_g_ml / commanded_ml for mass in masses_g]
    mean, sd = statistics.fmean(shares), statistics.stdev(shares)
    if not PLAUSIBLE[0] <= mean <= PLAUSIBLE[1]:
        low, high = PLAUSIBLE
        raise UsageError(
            f"the syringe gave {mean:.1%} of what was asked; {low:.0%} .. {high:.0%} was expected: "
            "look for a leak or a bubble, and check the bore in the rig file and the liquid"
        )
    return Delivered(round(mean, 6), round(sd, 6), len(shares))


def delivered_words(found: Delivered, liquid: str) -> dict[str, str]:
    """Return what a syringe delivers as a rig file has it."""
    return {
        "delivered": f"{found.mean * 100:.2f} %",
        "sd": f"{found.sd * 100:.2f} %",
        "with": f"{liquid} at 25 C by weight",
    }


def points_text(points: Sequence[tuple[float, float]]) -> str:
    """Return pairs of what is read and what is true, in °C, as a rig file has them.

    >>> points_text([(99.2, 98.5), (0.31, 0.0)])
    '[[0.31 C, 0 C], [99.2 C, 98.5 C]]'
    """
    rows = (f"[{round(reads, 2):g} C, {round(true, 2):g} C]" for reads, true in sorted(points))
    return f"[{', '.join(rows)}]"


def dates(by: str, done: dt.date, due: dt.date) -> dict[str, str]:
    """Return who calibrated, when, and until when it is good."""
    plain = re.fullmatch(r"[^\W\d][\w .-]*", by)
    return {"by": by if plain else json.dumps(by), "done": str(done), "due": str(due)}
