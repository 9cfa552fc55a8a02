"""Decides again what a run decided: other settings, another estimator, spectra from files."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.record import Run
from labctl.replay.courses import Remade, remade
from labctl.replay.decide import Outcome, Replayed, Timer, ToCome, replayed
from labctl.replay.estimators import ESTIMATORS
from labctl.replay.recorded import peaks, with_peaks
from labctl.replay.watch import Frame, Watch, watches

__all__ = [
    "ESTIMATORS",
    "RECORDED",
    "Frame",
    "Outcome",
    "Remade",
    "Replayed",
    "Timer",
    "ToCome",
    "Watch",
    "replay_run",
    "replayed",
]

RECORDED = "recorded"
"""The estimator of a replay that takes the peaks as the detector got them."""
KINDS = frozenset({"saturated", "reaches", "steady"})


def replay_run(
    run: Run, settings: Mapping[str, float], *, estimator: str = RECORDED, timer_s: float = 600.0
) -> list[Replayed | Remade]:
    """Make every decision of a run again; with no other settings, it is the same.

    `settings` are those of SaturationSettings that are to replace the recipe's; they change nothing
    in decisions on a target or on steadiness.

    Raises:
        RecordError: the record is damaged.
        UnknownNameError: no such estimator.
        UsageError: a setting outside its range, or no raw spectra for an estimator.
    """
    found = watches(run, KINDS)
    if found and estimator != RECORDED:
        again = peaks(run, estimator)
        found = [with_peaks(watch, again) for watch in found]
    made = (
        replayed(watch, settings, timer_s) if _saturates(watch) else remade(run, watch)
        for watch in found
    )
    return [one for one in made if one is not None]


def _saturates(watch: Watch) -> bool:
    return watch.recorded is None or watch.recorded.kind == "saturated"
