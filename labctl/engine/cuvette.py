"""The cuvette spectra of an aliquot, as the bench instrument beside the rig took them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import numpy as np

from labctl.engine.optics import FULL, FULL_WELL_ELECTRONS, Floats
from labctl.readings import Spectrum
from labctl.spectroscopy.absorbance import Absorbance, Detector, absorbance, at_line
from labctl.spectroscopy.photoluminescence import Excitation, Luminescence, luminescence

LINE_NM = 405.0
NEEDED = frozenset({"absorbance", "dark", "reference"})

Spectra = Mapping[str, Spectrum]


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
