"""One decision on a track: fed with every sighting once, closed with its evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from labctl.bench import Criterion, Ruling
from labctl.clock import NS
from labctl.engine.aiming import Aim, is_steady
from labctl.engine.run import Run
from labctl.record import InputRow
from labctl.spectroscopy.photoluminescence import FLAT_POINTS, FLAT_SPANS_S, is_flat
from labctl.spectroscopy.saturation import SaturationDetector, SaturationSettings, Verdict
from labctl.spectroscopy.temperature import REFERENCE_C, Coefficient, band_between

STIRRED = 0.5
"""A bar that turns more slowly than this part of what was asked for does not mix the flask."""
FLAT_WINDOW_S = FLAT_SPANS_S[-1]

Baseline = tuple[float, float, float | None]
"""The peak at 25 °C, its sd and the coefficient's band from 25 °C (None: in the sd), in nm."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One frame's peak: as measured, at 25 °C with the correction's band, and whether it counts.

    `flags` says what was wrong with it, if anything.
    """

    t_ns: int
    raw_nm: float
    peak_nm: float
    sigma_nm: float
    band_nm: float
    temperature_c: float
    usable: bool
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """A baseline: the peak at 25 °C and the PL area per absorbed photon before a dose.

    `temperature_c` is where it was measured; NaN where that is not known.
    """

    peak_nm: float
    sigma_nm: float
    band_nm: float
    area: float
    temperature_c: float = math.nan


class Seen(Protocol):
    """What a decision reads of the tracking."""

    @property
    def sightings(self) -> Sequence[Sighting]:
        """All frames' peaks, in order."""
        ...

    @property
    def areas(self) -> Sequence[tuple[float, float, float]]:
        """PL areas per absorbed photon: elapsed s, area, sigma."""
        ...

    @property
    def levels(self) -> Mapping[str, Level]:
        """Baselines by name."""
        ...

    @property
    def coefficient(self) -> Coefficient:
        """How the peak follows temperature."""
        ...

    @property
    def by_samples(self) -> bool:
        """Whether aliquots take the place of a spectrometer."""
        ...


class Decision:
    """One decision on the track: fed with every sighting once, closed with its evidence."""

    def __init__(self, run: Run, tracking: Seen, criterion: Criterion) -> None:
        self.settled = ""
        self.reason = "no usable frame came in"
        self._run = run
        self._tracking = tracking
        self._criterion = criterion
        self._seen = len(tracking.sightings)
        self._since_s = run.elapsed.now_s()
        self._baseline = _baseline(tracking, criterion)
        self._detector = _detector(criterion, self._baseline)
        self._at_nm = math.nan if self._baseline is None else self._baseline[0]
        self._verdict: Verdict | None = None
        self.aim = Aim(criterion, by_samples=tracking.by_samples)
        self._rows: list[tuple[float, float, float, float]] = []
        self._flat = not criterion.also_flat
        self._key = run.record.decision_started(
            run.clock.now_ns(), run.step_id, criterion.kind, criterion.track
        )

    def words(self) -> str:
        """Say what is waited for."""
        criterion = self._criterion
        if criterion.kind == "saturated":
            delta = criterion.settings.get("delta_nm", 0.5)
            also = " and PL flat" if criterion.also_flat else ""
            return f"1S saturated (less than {delta:g} nm left){also}"
        if criterion.kind == "reaches":
            return self.aim.words()
        return f"1S slower than {criterion.slower_than_nm_min:g} nm/min"

    def look(self) -> bool:
        """Take in what is new; say whether it is decided."""
        sightings = self._tracking.sightings
        while self._seen < len(sightings) and not self.settled:
            self._take(sightings[self._seen])
            self._seen += 1
            self._run.elapsed.say(self.words())
        return bool(self.settled)

    def close(self) -> Ruling:
        """Write the decision down with its evidence and return it."""
        state = self.settled or "timeout"
        if not self.settled:
            self.reason = f"time is over: {self.reason}"
        evidence = dict(self._verdict.evidence()) if self._verdict is not None else {}
        if self._criterion.kind != "saturated":
            evidence |= {
                "rising": self._criterion.rising,
                "slower_than_nm_min": self._criterion.slower_than_nm_min,
                "not_before_s": self._criterion.not_before_s,
            }
        if self._criterion.kind == "reaches":
            evidence |= self.aim.evidence()
        coefficient = self._tracking.coefficient
        evidence |= {
            "frames": len(self._rows),
            "coefficient": coefficient.scale,
            "coefficient_sigma": coefficient.sigma,
            "coefficient_source": coefficient.source,
            "also_flat": self._criterion.also_flat,
            "flat": self._flat,
            "by_samples": self._tracking.by_samples,
            **self._criterion.settings,
        }
        if self._baseline is not None:
            names = ("baseline_nm", "baseline_sigma_nm", "baseline_band_nm")
            evidence |= dict(zip(names, self._baseline, strict=True))
        last = next((s for s in reversed(self._tracking.sightings) if s.usable), None)
        if last is not None:
            evidence |= {"hot_nm": last.raw_nm, "peak_25c_nm": last.peak_nm}
            evidence |= {"band_nm": last.band_nm, "temperature_c": last.temperature_c}
        self._run.record.decision_ended(
            self._key, self._run.clock.now_ns(), state, self.reason, evidence
        )
        self._run.event("decision", f"{state}: {self.reason}", {"step": self._run.step_id})
        return Ruling(state, self.reason, self.aim.aimed() if state == "reached" else None)

    def _take(self, sighting: Sighting) -> None:
        hold = self._disturbed()
        self._run.record.decision_input(
            InputRow(
                self._key,
                sighting.t_ns,
                _known(sighting.raw_nm),
                _known(sighting.peak_nm),
                _known(sighting.sigma_nm),
                _known(sighting.temperature_c),
                hold,
                sighting.usable,
                _known(self._band_nm(sighting)),
            )
        )
        t_s = sighting.t_ns / NS
        if sighting.usable:
            row = (t_s, sighting.peak_nm, sighting.sigma_nm, sighting.raw_nm)
            self._rows.append(row)
        judge = {
            "saturated": self._saturated,
            "reaches": self._reaches,
            "steady": self._steady,
        }[self._criterion.kind]
        judge(sighting, t_s, hold)

    def _disturbed(self) -> bool:
        """Say whether the reaction is paused or disturbed: frozen, being dosed, not stirred."""
        run = self._run
        if run.elapsed.frozen or run.has_token("injection"):
            return True
        asked_rpm = run.stirring.asked_rpm
        if not asked_rpm or "stirrer.speed" not in run.signals.latest:
            return False
        speed_rpm = run.signals.value("stirrer.speed")
        return speed_rpm is None or speed_rpm < STIRRED * asked_rpm

    def _saturated(self, sighting: Sighting, t_s: float, hold: bool) -> None:
        by_sample = self._tracking.by_samples
        verdict = self._detector.update(
            t_s,
            sighting.peak_nm if sighting.usable else math.nan,
            sighting.sigma_nm,
            None if by_sample else sighting.temperature_c,
            hold and not by_sample,
            sighting.raw_nm,
            self._band_nm(sighting),
        )
        self._verdict = verdict
        self.reason = verdict.reason
        if verdict.state in {"no_reaction", "fault"}:
            self.settled = verdict.state
        elif verdict.state == "saturated":
            self._flat = self._flat or self._pl_is_flat()
            if self._flat:
                self.settled = "saturated"
            else:
                self.reason = "1S is saturated, PL is still moving"

    def _band_nm(self, sighting: Sighting) -> float:
        """Return what the coefficient leaves unsure between 25 °C and a sighting, in nm.

        Two peaks share anchor and coefficient: the difference of their bands is what counts, and
        that of the sightings' own bands is none where an anchor lies between. It is taken at one
        wavelength, so that it changes with temperature alone and not with the reaction.
        """
        if self._tracking.by_samples or not sighting.usable:
            return 0.0
        if math.isnan(self._at_nm):
            self._at_nm = sighting.peak_nm
        return _from_25c_nm(self._at_nm, sighting.temperature_c, self._tracking.coefficient)

    def _pl_is_flat(self) -> bool:
        return areas_are_flat([row for row in self._tracking.areas if row[0] >= self._since_s])

    def _reaches(self, sighting: Sighting, t_s: float, hold: bool) -> None:
        if not sighting.usable:
            return
        if self.aim.look(t_s, sighting.peak_nm, sighting.sigma_nm, sighting.raw_nm):
            self.settled = "reached"
        self.reason = self.aim.reason

    def _steady(self, sighting: Sighting, t_s: float, hold: bool) -> None:
        # Judged at the frame's time, which the record has, and not when it was looked at.
        behind_s = (self._run.clock.now_ns() - sighting.t_ns) / NS
        waited_s = self._run.elapsed.now_s() - behind_s - self._since_s
        steady, reason = is_steady(self._rows, t_s, waited_s, self._criterion)
        self.reason = reason or self.reason
        if steady:
            self.settled = "steady"


def areas_are_flat(rows: Sequence[tuple[float, float, float]]) -> bool:
    """Say whether PL areas (s, area, sigma; in order) have come to rest."""
    if not rows:
        return False
    # A long memory would hold the rise of the beginning against a level that is flat by now.
    recent = [row for row in rows if row[0] >= rows[-1][0] - FLAT_WINDOW_S]
    if len(recent) < FLAT_POINTS:
        recent = list(rows[-FLAT_POINTS:])
    times, areas, sigmas = (np.array(column) for column in zip(*recent, strict=True))
    return is_flat(times, areas, sigmas)


def _baseline(tracking: Seen, criterion: Criterion) -> Baseline | None:
    """Return the peak before the reaction, or None where no baseline was asked for."""
    level = tracking.levels.get(criterion.since)
    if level is None:
        return None
    if tracking.by_samples or not math.isfinite(level.temperature_c):
        return level.peak_nm, math.hypot(level.sigma_nm, level.band_nm), None
    band_nm = _from_25c_nm(level.peak_nm, level.temperature_c, tracking.coefficient)
    return level.peak_nm, level.sigma_nm, band_nm


def _from_25c_nm(peak_nm: float, temperature_c: float, coefficient: Coefficient) -> float:
    return band_between(REFERENCE_C, temperature_c, peak_nm, coefficient)


def _detector(criterion: Criterion, baseline: Baseline | None) -> SaturationDetector:
    if criterion.kind != "saturated":
        return SaturationDetector()
    detector = SaturationDetector(SaturationSettings(**criterion.settings))
    if baseline is not None:
        detector.set_baseline(*baseline)
    return detector


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
