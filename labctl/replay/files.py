"""Decides on absorbance spectra from files: read, brought in order, the peak found in each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.errors import UsageError
from labctl.replay.estimators import Estimator, estimator
from labctl.replay.watch import Frame, Watch
from labctl.spectroscopy.absorbance import Absorbance
from labctl.spectroscopy.delimited import Scan, read_delimited, refuse
from labctl.spectroscopy.jcamp import read_jcamp
from labctl.spectroscopy.temperature import to_25c, to_hot

Floats = NDArray[np.float64]
LARGEST_BYTES = 200_000_000
LEAST_SIGMA_AU = 1e-6


def watch_of_files(
    paths: Iterable[Path],
    *,
    estimator_name: str,
    every_s: float | None,
    at_c: float | None,
    near_nm: float | None,
) -> Watch:
    """Read spectra and find their peaks; what a detector would have been given.

    `every_s` spaces the spectra in the order given, `at_c` is the temperature of all; None takes
    what the files say. `near_nm` is where the peak is expected at 25 °C, None the whole spectrum.

    Raises:
        FindingsError: a file that cannot be read as spectra, with the place.
        UnknownNameError: no such estimator.
        UsageError: no time, or no temperature, for a spectrum.
    """
    scans = timed([scan for path in paths for scan in read_file(path)], every_s)
    first_c = _celsius(scans[0][1], at_c)
    hot_nm = None if near_nm is None else to_hot(near_nm, first_c)
    look = estimator(estimator_name, hot_nm)
    frames = [_frame(t_s, scan, _celsius(scan, at_c), look) for t_s, scan in scans]
    course = [(frame.t_s, frame.peak_nm) for frame in frames if frame.usable]
    return Watch("", frames[0].t_s, frames, course=course)


def read_file(path: Path) -> list[Scan]:
    """Read the spectra of one file; what begins with ## is JCAMP-DX, all else columns of text.

    Raises:
        FindingsError: it cannot be read as spectra; says where and what is expected there.
    """
    name = str(path)
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST_BYTES else b""
    except OSError as error:
        refuse(name, 1, 1, f"cannot be read: {error.strerror}", "unreadable")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        refuse(name, 1, 1, "is not text; CSV or JCAMP-DX expected", "not_text")
    return read_jcamp(text, name) if text.lstrip().startswith("##") else read_delimited(text, name)


def timed(scans: Sequence[Scan], every_s: float | None) -> list[tuple[float, Scan]]:
    """Give each spectrum its time in s since the first, in order.

    Raises:
        UsageError: no spectrum at all, one without a time, or two of one time.
    """
    if not scans:
        raise UsageError("no spectra were given")
    if every_s is not None:
        return [(n * every_s, scan) for n, scan in enumerate(scans)]
    known = [(scan.t_s, scan) for scan in scans if scan.t_s is not None]
    if len(known) < len(scans):
        file = next(scan.file for scan in scans if scan.t_s is None)
        raise UsageError(f"{file} gives no time; write --every '30 s' for spectra in this order")
    known.sort(key=lambda pair: pair[0])
    for (t_s, before), (next_s, after) in itertools.pairwise(known):
        if next_s <= t_s:
            raise UsageError(
                f"{after.file} has the time of another spectrum ({before.file}); "
                "write --every '30 s' for spectra in the order given"
            )
    return [(t_s - known[0][0], scan) for t_s, scan in known]


def noise_au(absorbance: Floats) -> float:
    """Give the noise of a spectrum in AU from its second differences; smooth curves have none."""
    bends = np.abs(np.diff(absorbance[np.isfinite(absorbance)], 2))
    spread = float(np.median(bends)) / (0.6745 * math.sqrt(6.0)) if bends.size else 0.0
    return max(spread, LEAST_SIGMA_AU)


def _frame(t_s: float, scan: Scan, at_c: float, look: Estimator) -> Frame:
    sigma = np.full(scan.absorbance.shape, noise_au(scan.absorbance))
    flags = np.zeros(scan.absorbance.shape, np.uint8)
    found = look(Absorbance(scan.wavelength_nm, scan.absorbance, sigma, flags))
    cold = to_25c(found.raw_nm, at_c)
    return Frame(
        t_s,
        found.raw_nm,
        cold.peak_nm,
        found.sigma_nm,
        at_c,
        usable=found.usable,
        band_nm=cold.band_nm,
    )


def _celsius(scan: Scan, at_c: float | None) -> float:
    known = scan.temperature_c if at_c is None else at_c
    if known is None:
        raise UsageError(f"{scan.file} gives no temperature; write --at '200 C', or '25 C' if cold")
    return known
