"""Absorption spectra with a known 1S centre: cores, spectrometers, and the course of a run.

Absorbances are decadic, wavelengths in nm, energies in eV. The line shapes are none of those that
the estimator fits: two transitions and a broadened edge under a power law, all in energy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HC_EV_NM = 1239.841984
SD_TO_HWHM = math.sqrt(2.0 * math.log(2.0))
BOXCARS = (5, 11, 21)

Broadening = Literal["size", "exciton", "edge"]


@dataclass(frozen=True, slots=True)
class Core:
    """One sample: where its 1S stands (nm), its half-width (eV), absorbance and higher states.

    `second` and `edge` are heights of the second transition and of the edge relative to the 1S,
    `gap` its distance from the 1S in half-widths.
    """

    peak_nm: float
    hwhm_ev: float
    optical_density: float = 0.35
    second: float = 0.65
    edge: float = 1.3
    gap: float = 3.0
    widen: float = 0.0
    broadening: Broadening = "size"

    @property
    def hwhm_nm(self) -> float:
        """Give the half-width at half maximum of the 1S in nm."""
        return self.hwhm_ev * self.peak_nm**2 / HC_EV_NM

    def absorbance(self, wavelength_nm: Floats) -> Floats:
        """Give the absorbance of the dots alone, shape of `wavelength_nm`.

        `widen` is the relative growth of the 1S width. "size" blurs every state by the same
        Gaussian, as a wider size distribution does; "exciton" touches the 1S alone; "edge" widens
        each state in proportion to its width and lets the distance of the states grow by a third.
        """
        away = HC_EV_NM / wavelength_nm - HC_EV_NM / self.peak_nm
        sd = self.hwhm_ev / SD_TO_HWHM
        added = (2.0 * self.widen + self.widen**2) * sd * sd
        first_sd = math.sqrt(sd * sd + added)
        second_sd, edge_sd, gap_ev = 1.25 * sd, 2.0 * sd, self.gap * self.hwhm_ev
        if self.broadening == "size":
            second_sd = math.sqrt((1.25 * sd) ** 2 + added)
            edge_sd = math.sqrt((2.0 * sd) ** 2 + added)
        elif self.broadening == "edge":
            second_sd, edge_sd = second_sd * (1 + self.widen), edge_sd * (1 + self.widen)
            gap_ev *= 1 + self.widen / 3.0
        bell = (sd / first_sd) * np.exp(-0.5 * (away / first_sd) ** 2)
        second_height = self.second * 1.25 * sd / second_sd
        second = second_height * np.exp(-0.5 * ((away - gap_ev) / second_sd) ** 2)
        edge = self.edge / (1.0 + np.exp(-1.7 * (away - 1.9 * gap_ev) / edge_sd))
        rise = 1.0 + np.maximum(away - gap_ev, 0.0) ** 1.5
        return np.asarray(self.optical_density * (bell + second + edge * rise))


CORES = {
    "inp24": Core(470.0, 0.125),
    "inp33": Core(580.0, 0.085, 0.45),
    "poor": Core(510.0, 0.170, 0.30, second=1.1, edge=1.6, gap=1.85),
}


@dataclass(frozen=True, slots=True)
class Spectrometer:
    """Pixels (nm, ascending) and noise: electrons at the brightest, readout, scans averaged."""

    wavelength_nm: Floats
    electrons: float
    read_electrons: float
    averages: int

    def sigma(self, absorbance: Floats) -> Floats:
        """Give the standard deviation of an absorbance measured through a tungsten lamp."""
        nm = self.wavelength_nm
        planck = 1.0 / (nm**4 * np.expm1(1.438777e7 / (nm * 2900.0)))
        lamp = planck * np.exp(-0.5 * ((nm - 600.0) / 180.0) ** 2)
        light = self.electrons * (lamp / lamp.max()) * 10.0 ** (-absorbance)
        noise = np.sqrt(light + self.read_electrons**2)
        return np.asarray(noise / (light * math.sqrt(self.averages) * math.log(10.0)))


SPECTROMETERS = {
    "Flame": Spectrometer(np.linspace(345.0, 1022.0, 2048), 136_000.0, 60.0, 8),
    "QE Pro": Spectrometer(np.linspace(350.0, 1000.0, 1044), 220_000.0, 10.0, 16),
    "8454": Spectrometer(np.arange(300.0, 1101.0), 400_000.0, 20.0, 25),
}


@dataclass(frozen=True, slots=True)
class Course:
    """A run of frames: spectra and sigmas (frames, n), true 1S centres (frames,) in nm."""

    wavelength_nm: Floats
    absorbance: Floats
    sigma: Floats
    peak_nm: Floats


def boxcar(values: Floats, size: int) -> Floats:
    """Smooth along the last axis as a spectrometer does, with a moving mean of `size` pixels."""
    if size <= 1:
        return values
    half = size // 2
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], mode="edge")
    total = np.cumsum(np.insert(padded, 0, 0.0, axis=-1), axis=-1)
    return np.asarray((total[..., size:] - total[..., :-size]) / size)


def course(
    core: Core,
    spectrometer: Spectrometer,
    seed: int,
    *,
    frames: int = 240,
    shift_nm: float = 14.0,
    widen: float = 0.05,
    dilution: float = 0.15,
    haze_step_au: float = 0.002,
    smooth: int = 1,
) -> Course:
    """Give a run: the peak moves `shift_nm` in an exponential and broadens with it.

    A third of the way in the sample is diluted by `dilution`; turbidity (lambda^-4) walks at random
    by `haze_step_au` at 500 nm per frame. Nothing moves in the first 20 frames.
    """
    rng = np.random.default_rng(seed)
    nm = spectrometer.wavelength_nm
    done = -np.expm1(-np.maximum(np.arange(frames) - 20.0, 0.0) / (0.12 * frames))
    peaks = core.peak_nm + shift_nm * done
    haze = 0.03 + np.abs(np.cumsum(haze_step_au * rng.standard_normal(frames)))
    clean = np.empty((frames, nm.size))
    for i in range(frames):
        now = replace(core, peak_nm=float(peaks[i]), widen=core.widen + widen * float(done[i]))
        part = 1.0 - dilution * (i >= frames // 3)
        clean[i] = part * now.absorbance(nm) + haze[i] * (500.0 / nm) ** 4
    sigma = spectrometer.sigma(clean)
    noise = boxcar(sigma * rng.standard_normal(clean.shape), smooth)
    return Course(nm, boxcar(clean, smooth) + noise, sigma, peaks)
