"""The light of the rig: the probes in the flask, and the cuvette beside it.

Wavelengths in nm, powers in mW, time in ns; the lamp has been on for an hour when a run begins.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Final

import numpy as np

from labctl.errors import UnknownNameError
from labctl.readings import Spectrum
from labctl.twin import Exposure, TwinSpec, seed_of
from simulators.plant.optics import (
    Channel,
    Counts,
    Detector,
    Floats,
    Optics,
    OpticsModel,
    OpticsState,
)
from simulators.world_flask import Aliquot, Flask

_WARM_S: Final = 3600.0
_CHANNELS: Final[dict[str, Channel]] = {"absorbance": "absorbance", "pl": "pl"}
_LEAST_ML: Final = 0.1
CUVETTE_MM: Final = 10.0
DILUTED_INTO_ML: Final = 3.0
_CUVETTE_LASER_MW: Final = 5.0
_CUVETTE: Final = Detector(
    np.linspace(350.0, 950.0, 1201), integration_s=0.1, averages=100, read_noise=4.0
)
_CUVETTE_MODEL: Final = OpticsModel(stray=2e-4, drift_per_h=0.0, wavelength_offset_nm=0.0)


class Light:
    """Lamp, shutter, laser and the two spectrometers; inputs `shutter_closed` and `laser_mw`.

    Faults set `lamp_lit`, `bubbles_au` (at all wavelengths) and `haze_au` (at 500 nm).
    """

    def __init__(self, spec: TwinSpec) -> None:
        self.shutter_closed = False
        self.laser_mw = 0.0
        self.lamp_lit = True
        self.bubbles_au = self.haze_au = 0.0
        self._path_mm = spec.path_mm
        self._optics = Optics()
        self._noise = {
            name: np.random.default_rng(seed_of(spec.seed, f"optics.{name}")) for name in _CHANNELS
        }
        self._axes: dict[int, tuple[tuple[float, ...], Floats]] = {}

    def counts(self, which: str, exposure: Exposure, flask: Flask, t_ns: int) -> array[int]:
        """Expose one spectrometer to the flask.

        Raises:
            UnknownNameError: neither `absorbance` nor `pl`.
        """
        if which not in _CHANNELS:
            raise UnknownNameError("spectrometer", which, _CHANNELS)
        t_s = t_ns / 1e9
        return _whole(
            self._optics.counts(
                _CHANNELS[which],
                self._detector(exposure),
                self.state(flask, t_s),
                self._noise[which],
                t_s,
            )
        )

    def state(self, flask: Flask, t_s: float) -> OpticsState:
        """What the light meets now; plain solvent before there are dots."""
        temperature_c = flask.thermal.flask_c
        lit = OpticsState(
            nc_nmol=0.0,
            diameter_nm=0.0,
            peak_nm=0.0,
            volume_ml=max(flask.hot_ml, _LEAST_ML),
            path_mm=self._path_mm,
            temperature_c=temperature_c,
            bubbles_au=self.bubbles_au,
            lamp_on_s=_WARM_S + t_s if self.lamp_lit else None,
            shutter_open=not self.shutter_closed,
            laser_mw=self.laser_mw,
        )
        looks = flask.dots.looks(temperature_c)
        lit = lit if looks is None else replace(lit, **asdict(looks))
        return self._clouded(lit) if self.haze_au else lit

    def _clouded(self, lit: OpticsState) -> OpticsState:
        """Cloud the flask as so much fine salt would."""
        per_mmol_au = self._optics.model.haze_per_mol_l * lit.path_mm / lit.volume_ml
        salt_mmol = lit.zinc_fluoride_mmol + self.haze_au / per_mmol_au
        return replace(lit, zinc_fluoride_mmol=salt_mmol)

    def _detector(self, exposure: Exposure) -> Detector:
        held = self._axes.get(id(exposure.wavelengths_nm))
        if held is None:
            held = exposure.wavelengths_nm, np.array(exposure.wavelengths_nm)
            self._axes[id(exposure.wavelengths_nm)] = held
        return Detector(
            held[1],
            exposure.integration_s,
            exposure.averages,
            exposure.max_counts,
            exposure.dark_counts,
            exposure.read_noise,
            exposure.boxcar,
        )


class Cuvette:
    """A bench spectrophotometer and fluorimeter: an aliquot in 3 mL of solvent, 10 mm, 25 °C."""

    def __init__(self, seed: int) -> None:
        self._optics = Optics(_CUVETTE_MODEL)
        self._noise = np.random.default_rng(seed_of(seed, "optics.cuvette"))

    def spectra(self, aliquot: Aliquot, t_ns: int) -> Mapping[str, Spectrum]:
        """Take `absorbance`, its `reference` (solvent) and `dark`, and `pl`."""
        lit = OpticsState(
            nc_nmol=aliquot.nc_nmol,
            diameter_nm=aliquot.diameter_nm,
            peak_nm=aliquot.peak_nm,
            volume_ml=aliquot.volume_ml + DILUTED_INTO_ML,
            path_mm=CUVETTE_MM,
            qy=aliquot.qy,
            zinc_fluoride_mmol=aliquot.zinc_fluoride_mmol,
            lamp_on_s=_WARM_S,
            shutter_open=True,
        )
        dark = replace(lit, shutter_open=False)
        return {
            "absorbance": self._take("absorbance", lit, t_ns),
            "reference": self._take(
                "absorbance", replace(lit, nc_nmol=0.0, zinc_fluoride_mmol=0.0), t_ns
            ),
            "dark": self._take("absorbance", dark, t_ns),
            "pl": self._take("pl", replace(dark, laser_mw=_CUVETTE_LASER_MW), t_ns),
        }

    def _take(self, channel: Channel, state: OpticsState, t_ns: int) -> Spectrum:
        counts = self._optics.counts(channel, _CUVETTE, state, self._noise, 0.0)
        return Spectrum(
            source="cuvette",
            wavelengths_nm=array("d", _CUVETTE.wavelengths_nm.tobytes()),
            counts=_whole(counts),
            integration_s=_CUVETTE.integration_s,
            averages=_CUVETTE.averages,
            boxcar=_CUVETTE.boxcar,
            max_counts=_CUVETTE.full_scale,
            t_ns=t_ns,
        )


def _whole(counts: Counts) -> array[int]:
    return array("I", counts.astype(np.uint32).tobytes())
