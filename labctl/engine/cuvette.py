"""Aliquots: drawn by a person, measured cold in a cuvette by the instrument beside the rig."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labctl.capabilities import Task, TaskKind
from labctl.engine.optics import FULL, FULL_WELL_ELECTRONS, Floats
from labctl.engine.people import People
from labctl.engine.run import Run
from labctl.readings import Spectrum
from labctl.rig.devices import PersonEntry, Samples
from labctl.spectroscopy.absorbance import Absorbance, Detector, absorbance, at_line
from labctl.spectroscopy.photoluminescence import Excitation, Luminescence, luminescence
from labctl.units import show

LINE_NM = 405.0
NEEDED = frozenset({"absorbance", "dark", "reference"})

USUAL_S, USUAL_ML = 300.0, 0.05

Spectra = Mapping[str, Spectrum]


@dataclass(frozen=True, slots=True)
class Aliquot:
    """What the cuvette shows of an aliquot; None where it was not measured."""

    absorbance: Absorbance | None
    glow: Luminescence | None


class Cuvette:
    """Has aliquots drawn and measured, as often and as large as the rig's person entry says."""

    def __init__(self, run: Run, people: People) -> None:
        self._run = run
        self._people = people

    @property
    def period_s(self) -> float:
        """How far apart the aliquots of a series are."""
        samples = self._samples()
        return samples.every if samples is not None else USUAL_S

    @property
    def volume_ml(self) -> float:
        """How much an aliquot of a series is."""
        samples = self._samples()
        return samples.volume if samples is not None else USUAL_ML

    async def draw(self, label: str, volume_ml: float) -> Aliquot:
        """Have one aliquot drawn and measured; its spectra go to the record."""
        text = f"draw {show(volume_ml, 'volume')} as {label} and measure it in the cuvette"
        reply = await self._people.do(Task(TaskKind.SAMPLE, text, label, volume_ml, "volume"))
        self._run.draw(label, volume_ml)
        for kind, spectrum in reply.spectra.items():
            self._run.record.spectrum(spectrum, f"cuvette {kind}")
        found = absorbed(reply.spectra)
        return Aliquot(found, None if found is None else glow(reply.spectra, found))

    def _samples(self) -> Samples | None:
        rig = self._run.plan.rig
        person = rig.model.devices.get(rig.person)
        return person.samples if isinstance(person, PersonEntry) else None


def absorbed(spectra: Spectra) -> Absorbance | None:
    """Give the absorbance of an aliquot; None where it was not measured, or not whole."""
    if not set(spectra) >= NEEDED:
        return None
    sample = spectra["absorbance"]
    return absorbance(
        np.asarray(sample.wavelengths_nm),
        _floats(sample.counts),
        _floats(spectra["dark"].counts),
        _floats(spectra["reference"].counts),
        _detector(sample, spectra["reference"].averages),
    )


def glow(spectra: Spectra, found: Absorbance) -> Luminescence | None:
    """Give the PL of an aliquot, relative to what the diluted sample absorbs; None without one."""
    if not set(spectra) >= {"pl", "dark"}:
        return None
    frame = spectra["pl"]
    return luminescence(
        np.asarray(frame.wavelengths_nm),
        _floats(frame.counts),
        _floats(spectra["dark"].counts),
        Excitation(LINE_NM, 1.0, frame.integration_s, *at_line(found, LINE_NM)),
        _detector(frame, spectra["dark"].averages),
    )


def _detector(frame: Spectrum, reference_averages: int) -> Detector:
    return Detector(
        saturation_counts=FULL * frame.max_counts,
        electrons_per_count=FULL_WELL_ELECTRONS / frame.max_counts,
        averages=frame.averages,
        reference_averages=reference_averages,
        boxcar=frame.boxcar,
    )


def _floats(counts: array[int]) -> Floats:
    return np.asarray(counts, dtype=np.float64)
