"""Finds the peaks of a record again: raw counts to absorbance, an estimator, the 25 °C scale."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labctl.engine.optics import FULL
from labctl.errors import UsageError
from labctl.record import Run, SpectrumStamp
from labctl.record.reader import NS
from labctl.replay.estimators import NOTHING, Found, estimator
from labctl.replay.watch import Frame, Watch, recipe_in
from labctl.spectroscopy.absorbance import Absorbance, Detector, absorbance
from labctl.spectroscopy.temperature import HC_EV_NM, gap_shift_ev, to_hot

Floats = NDArray[np.float64]
CUVETTE = "cuvette "
TOGETHER_S = 60.0
"""Frames of the reference, or of the dark, taken within this time belong together."""
SAME_FRAME_S = 60.0


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peaks found again: times in s, ascending, and what was found then."""

    t_s: list[float]
    found: list[Found]

    def at(self, t_s: float) -> Found:
        """Give what was found in the last spectrum before a time, nothing if that is long ago."""
        index = bisect_right(self.t_s, t_s) - 1
        if index < 0 or t_s - self.t_s[index] > SAME_FRAME_S:
            return NOTHING
        # Of spectra of one instant, the first is the one that a step asked for.
        return self.found[bisect_left(self.t_s, self.t_s[index])]


def peaks(run: Run, name: str) -> Peaks:
    """Find the peak in all raw spectra of the sample, in order, with an estimator.

    Raises:
        UnknownNameError: no such estimator.
        UsageError: the record holds no spectra that make an absorbance.
    """
    near_nm = _near_nm(run)
    kind = "sample" if run.spectra("sample") else f"{CUVETTE}absorbance"
    if kind == "sample" and near_nm is not None:
        near_nm = to_hot(near_nm, _first_c(run, run.spectra(kind)[0]))
    look = estimator(name, near_nm, afresh=kind != "sample")
    times: list[float] = []
    found: list[Found] = []
    for stamp, seen in _absorbed(run, kind):
        times.append(stamp.t_ns / NS)
        found.append(look(seen))
    if not times:
        raise UsageError(
            f"{run.directory} holds no raw spectra of the sample with dark and reference; "
            "replay it without --estimator"
        )
    return Peaks(times, found)


def with_peaks(watch: Watch, again: Peaks) -> Watch:
    """Put the peaks found again in the place of the recorded ones, on the same 25 °C scale."""
    scale = _Scale()
    seen = [scale.moved(frame, again.at(frame.t_s)) for frame in watch.seen]
    later = [scale.moved(frame, again.at(frame.t_s)) for frame in watch.later]
    return replace(watch, seen=seen, later=later)


class _Scale:
    """The run's own correction to 25 °C, taken from its frames: in eV, by the last one known."""

    def __init__(self) -> None:
        self._shift_ev = math.nan
        self._at_c = math.nan

    def moved(self, frame: Frame, found: Found) -> Frame:
        shift_ev = HC_EV_NM / frame.raw_nm - HC_EV_NM / frame.peak_nm
        if math.isfinite(shift_ev):
            self._shift_ev, self._at_c = shift_ev, frame.temperature_c
        else:
            more_ev = gap_shift_ev(frame.temperature_c) - gap_shift_ev(self._at_c)
            shift_ev = self._shift_ev + more_ev
        peak_nm = HC_EV_NM / (HC_EV_NM / found.raw_nm - shift_ev)
        usable = found.usable and math.isfinite(peak_nm)
        return replace(
            frame, raw_nm=found.raw_nm, peak_nm=peak_nm, sigma_nm=found.sigma_nm, usable=usable
        )


def _absorbed(run: Run, kind: str) -> Iterator[tuple[SpectrumStamp, Absorbance]]:
    means = _Means(run, CUVETTE if kind.startswith(CUVETTE) else "")
    for stamp in run.spectra(kind):
        dark, full = means.of("dark", stamp), means.of("reference", stamp)
        if dark is None or full is None or stamp.max_counts is None:
            continue
        curve = run.curve(stamp)
        detector = Detector(
            saturation_counts=FULL * stamp.max_counts,
            averages=stamp.averages or 1,
            reference_averages=full[1],
        )
        counts, nm = _floats(curve.values), _floats(curve.wavelengths_nm)
        yield stamp, absorbance(nm, counts, dark[0], full[0], detector)


class _Means:
    """Means of dark and reference frames, each the group taken last before a spectrum.

    A cuvette has one of its own of each, written down beside it.
    """

    def __init__(self, run: Run, prefix: str) -> None:
        self._run = run
        self._cuvette = bool(prefix)
        self._stamps = {kind: run.spectra(prefix + kind) for kind in ("dark", "reference")}
        self._made: dict[int, tuple[Floats, int]] = {}

    def of(self, kind: str, sample: SpectrumStamp) -> tuple[Floats, int] | None:
        """Give the mean counts and how many exposures they rest on."""
        alike = [
            stamp
            for stamp in self._stamps[kind]
            if stamp.source == sample.source
            and stamp.t_ns <= sample.t_ns
            and stamp.integration_s == sample.integration_s
        ]
        if not alike:
            return None
        last = min(alike, key=lambda s: abs(s.id - sample.id)) if self._cuvette else alike[-1]
        if last.id not in self._made:
            since_ns = last.t_ns - TOGETHER_S * NS
            group = [last] if self._cuvette else [s for s in alike if s.t_ns >= since_ns]
            # Summed in order, as the run did, so that the same frames give the same bits.
            total = sum((_floats(self._run.curve(stamp).values) for stamp in group), np.zeros(1))
            frames = len(group) if len(group) > 1 else last.averages or 1
            self._made[last.id] = (total / len(group), frames)
        return self._made[last.id]


def _near_nm(run: Run) -> float | None:
    recipe = recipe_in(run)
    track = None if recipe is None else recipe.head.track.get("peak")
    return None if track is None else track.start_near


def _first_c(run: Run, stamp: SpectrumStamp) -> float:
    times, values = run.series("flask.T") if "flask.T" in run.channels else ([], [])
    index = bisect_right(times, stamp.t_ns / NS) - 1
    value = values[index] if index >= 0 else None
    return 25.0 if value is None else value


def _floats(values: Sequence[float] | array[float]) -> Floats:
    return np.asarray(values, dtype=np.float64)
