"""What the spectrometers see of the flask: lamp, dots, haze, laser, emission, and the detector.

Everything is a function of the state, the time and the generator handed in. Shapes are those of
good InP cores (a Gaussian first exciton in energy on a broadened step); levels of light are
invented and adjustable. Wavelengths in nm, energies in eV, paths in mm, amounts of dots in nmol,
volumes in mL at the flask's temperature, absorbances decadic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.chemistry.extinction import (
    INP_K_413,
    INP_N_413,
    REFERENCE_NM,
    absorbance,
    intrinsic_absorption_per_cm,
    molar_extinction,
)
from labctl.chemistry.sizing import HC_EV_NM, Convention, Size, energy_ev_of

Channel = Literal["absorbance", "pl"]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_BOLTZMANN_EV = 8.617333262e-5
_KELVIN = 273.15
_HALF_TO_SIGMA = 1 / math.sqrt(2 * math.log(2))
_PLANCK_NM_K = 1.438777e7
# Cores so small that 413 nm lies in the gap have no bulk-like absorption there to scale with.
_STEEPEST = 3.0


@dataclass(frozen=True, slots=True)
class Detector:
    """One spectrometer and its settings; `wavelengths_nm` has one ascending value per pixel.

    The array is held, not copied: it must not be changed afterwards. `hot_pixels` are pairs of
    an index and its dark current in counts per second; `boxcar` is in pixels to each side.
    """

    wavelengths_nm: Floats
    integration_s: float
    averages: int = 1
    full_scale: int = 65535
    dark_counts: float = 500.0
    read_noise: float = 6.0
    boxcar: int = 0
    well_electrons: float = 160_000.0
    hot_pixels: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class OpticsState:
    """What the light meets, all plain numbers; without dots the peak is not looked at.

    `peak_nm` is the centre of the first exciton at the flask's temperature. `bubbles_au` adds to
    the absorbance at all wavelengths. `lamp_on_s` counts from switching on; None is off.
    """

    nc_nmol: float
    diameter_nm: float
    peak_nm: float
    volume_ml: float
    path_mm: float
    temperature_c: float = 25.0
    qy: float = 0.0
    zinc_fluoride_mmol: float = 0.0
    bubbles_au: float = 0.0
    lamp_on_s: float | None = None
    shutter_open: bool = False
    laser_mw: float = 0.0
    spectrometer_c: float = 25.0


@dataclass(frozen=True, slots=True)
class OpticsModel:
    """Every assumed figure of the optics; rates are counts per second at the detector."""

    solvent_index: float = 1.496  # toluene, in which the extinctions are quoted
    exciton_ratio: float = 0.35  # first exciton over 413 nm
    half_width_ev: float = 0.125  # of 2.4 nm cores, half width at half maximum
    half_width_slope: float = -0.0444  # eV per nm of diameter: 85 meV at 3.3 nm
    step_at: float = 2.4  # higher states set in so many half widths above the first exciton,
    step_width: float = 0.85  # over so many half widths,
    blue_power: float = 3.0  # and grow with this power of the energy
    haze_per_mol_l: float = 2.0  # absorbance per mm at 500 nm of 1 mol/L of ZnF2 particles
    lamp_kelvin: float = 2900.0
    lamp_rate: float = 4e5  # brightest pixel, warm, nothing in the path
    warm_up_loss: float = 0.06
    warm_up_s: float = 400.0
    drift_per_h: float = 0.004  # of the lamp, of the time handed in
    drift_tilt: float = 0.5  # relative excess of the drift at 400 nm over that at 600 nm
    stray: float = 1e-3  # of the mean light on the detector, on every pixel
    wavelength_offset_nm: float = 0.2  # true minus reported
    wavelength_nm_per_k: float = 0.02  # of the spectrometer's own temperature, from 25 °C
    laser_nm: float = 405.0
    laser_width_nm: float = 1.0  # standard deviation as seen through the slit
    scatter_rate: float = 1.5e4  # per mW, in the absorbance probe at the laser line
    leak_rate: float = 2.0e2  # same through the long-pass of the emission probe
    lamp_into_pl: float = 5.0  # lamp light in the emission probe against the absorbance probe
    emission_rate: float = 3e6  # counts nm per s and mW absorbed and emitted
    emission_shift_ev: float = 0.10
    emission_narrowing: float = 0.8
    quench: float = 135.0  # half of the emission is lost at 200 °C
    quench_ev: float = 0.20


@dataclass(frozen=True, slots=True)
class _Axis:
    """What depends on the wavelengths alone; holds them, so that their id stays theirs."""

    wavelengths_nm: Floats
    energy_ev: Floats
    ev_per_nm: Floats
    blue: Floats
    rayleigh: Floats
    lamp: Floats
    tilt: Floats
    laser: Floats


class Optics:
    """The light paths of one rig; keeps static arrays, never a state."""

    def __init__(self, model: OpticsModel | None = None) -> None:
        self.model = model or OpticsModel()
        m = self.model
        self._axes: dict[int, _Axis] = {}
        self._per_volume = intrinsic_absorption_per_cm(
            REFERENCE_NM, INP_N_413, INP_K_413, m.solvent_index
        )

    def counts(
        self,
        channel: Channel,
        detector: Detector,
        state: OpticsState,
        rng: np.random.Generator,
        t_s: float,
    ) -> Counts:
        """One averaged frame as the spectrometer digitises it, an integer per pixel."""
        light = self.light(channel, detector, state, t_s)
        return _digitise(light, detector, rng)

    def light(self, channel: Channel, detector: Detector, state: OpticsState, t_s: float) -> Floats:
        """Counts per frame before dark and noise, unclipped: the truth behind `counts`."""
        axis = self._axis(detector.wavelengths_nm)
        path = self._lamp_path if channel == "absorbance" else self._emission_path
        return path(axis, state, t_s) * detector.integration_s

    def absorbance(self, wavelengths_nm: Floats, state: OpticsState) -> Floats:
        """Noiseless absorbance of the flask's content, haze and bubbles, on the reported axis."""
        return self._extinction(self._axis(wavelengths_nm), state)

    def absorbance_413(self, state: OpticsState) -> float:
        """Absorbance of the dots alone at 413.3 nm."""
        if state.nc_nmol <= 0:
            return 0.0
        size = Size(state.diameter_nm, Convention.DIAMETER, "state")
        extinction = molar_extinction(self._per_volume, size)
        return absorbance(extinction, state.nc_nmol / state.volume_ml * 1e-6, state.path_mm)

    def quench(self, temperature_c: float) -> float:
        """Part of the emission that survives at a temperature."""
        m = self.model
        thermal_ev = _BOLTZMANN_EV * (temperature_c + _KELVIN)
        return 1 / (1 + m.quench * math.exp(-m.quench_ev / thermal_ev))

    def truth(self, state: OpticsState) -> dict[str, float]:
        """Everything an oracle may be asked, by name."""
        return {
            "peak_nm": state.peak_nm,
            "reported_peak_nm": state.peak_nm - self._offset_nm(state),
            "emission_nm": HC_EV_NM / self._emission_ev(state),
            "absorbance_413": self.absorbance_413(state),
            "absorbed_405": self._absorbed(state),
            "quench": self.quench(state.temperature_c),
        }

    def _lamp_path(self, axis: _Axis, state: OpticsState, t_s: float) -> Floats:
        m = self.model
        rate = np.zeros_like(axis.lamp)
        if state.shutter_open and state.lamp_on_s is not None:
            rate = self._lamp(axis, state.lamp_on_s, t_s)
            rate *= np.exp(-math.log(10) * self._extinction(axis, state))
            rate += m.stray * rate.mean()
        if state.laser_mw > 0:
            rate = rate + m.scatter_rate * state.laser_mw * axis.laser
        return rate

    def _emission_path(self, axis: _Axis, state: OpticsState, t_s: float) -> Floats:
        m = self.model
        emitted = state.laser_mw * self._absorbed(state) * state.qy
        emitted *= m.emission_rate * self.quench(state.temperature_c)
        if emitted > 0:
            sigma_ev = self._half_width_ev(state) * m.emission_narrowing * _HALF_TO_SIGMA
            centre_ev = self._emission_ev(state)
            away = (axis.energy_ev - self._reported_ev(centre_ev, state)) / sigma_ev
            rate = np.exp(-0.5 * away * away) * axis.ev_per_nm
            rate *= emitted / (sigma_ev * math.sqrt(2 * math.pi))
        else:
            rate = np.zeros_like(axis.lamp)
        if state.laser_mw > 0:
            rate += m.leak_rate * state.laser_mw * axis.laser
        if state.shutter_open and state.lamp_on_s is not None:
            rate += m.lamp_into_pl * self._lamp(axis, state.lamp_on_s, t_s)
        return rate

    def _lamp(self, axis: _Axis, lamp_on_s: float, t_s: float) -> Floats:
        m = self.model
        warm = 1 - m.warm_up_loss * math.exp(-lamp_on_s / m.warm_up_s)
        drift = m.drift_per_h * t_s / 3600
        return m.lamp_rate * warm * axis.lamp * (1 + drift * axis.tilt)

    def _extinction(self, axis: _Axis, state: OpticsState) -> Floats:
        m = self.model
        haze = m.haze_per_mol_l * state.path_mm * state.zinc_fluoride_mmol / state.volume_ml
        total = haze * axis.rayleigh + state.bubbles_au
        if state.nc_nmol > 0:
            total += self._dots(axis.energy_ev, axis.blue, state)
        return total

    def _dots(self, energy_ev: Floats, blue: Floats, state: OpticsState) -> Floats:
        """Absorbance of the dots; at 413.3 nm exactly what Beer and Lambert say, from 2.3 nm on."""
        m = self.model
        centre_ev = self._reported_ev(energy_ev_of(state.peak_nm), state)
        half_ev = self._half_width_ev(state)
        onset_ev = centre_ev + m.step_at * half_ev
        width_ev = m.step_width * half_ev
        reference_ev = energy_ev_of(REFERENCE_NM)
        away = (reference_ev - centre_ev) / half_ev
        rest = 1 - m.exciton_ratio * math.exp(-math.log(2) * away * away)
        rest *= min(1 + math.exp((onset_ev - reference_ev) / width_ev), _STEEPEST)
        shape = (energy_ev - centre_ev) * (math.sqrt(math.log(2)) / half_ev)
        exciton = m.exciton_ratio * np.exp(-shape * shape)
        step = rest * blue / (1 + np.exp((onset_ev - energy_ev) / width_ev))
        return np.asarray(self.absorbance_413(state) * (exciton + step))

    def _absorbed(self, state: OpticsState) -> float:
        """Part of the laser's photons that the dots take up along the path."""
        if state.nc_nmol <= 0:
            return 0.0
        energy_ev = np.array([energy_ev_of(self.model.laser_nm)])
        blue = (energy_ev / energy_ev_of(REFERENCE_NM)) ** self.model.blue_power
        return -math.expm1(-math.log(10) * float(self._dots(energy_ev, blue, state)[0]))

    def _emission_ev(self, state: OpticsState) -> float:
        return energy_ev_of(state.peak_nm) - self.model.emission_shift_ev

    def _half_width_ev(self, state: OpticsState) -> float:
        m = self.model
        return m.half_width_ev + m.half_width_slope * (state.diameter_nm - 2.4)

    def _offset_nm(self, state: OpticsState) -> float:
        m = self.model
        return m.wavelength_offset_nm + m.wavelength_nm_per_k * (state.spectrometer_c - 25.0)

    def _reported_ev(self, true_ev: float, state: OpticsState) -> float:
        """Where on the instrument's own axis a feature of this energy appears."""
        return energy_ev_of(HC_EV_NM / true_ev - self._offset_nm(state))

    def _axis(self, wavelengths_nm: Floats) -> _Axis:
        axis = self._axes.get(id(wavelengths_nm))
        if axis is None:
            axis = self._axes[id(wavelengths_nm)] = _axis_of(wavelengths_nm, self.model)
        return axis


def _axis_of(nm: Floats, m: OpticsModel) -> _Axis:
    energy_ev = HC_EV_NM / nm
    halogen = 1 / (nm**4 * np.expm1(_PLANCK_NM_K / (nm * m.lamp_kelvin)))
    response = np.exp(-0.5 * ((nm - 600) / 180) ** 2)  # grating and silicon together
    lamp = halogen * response
    line = (nm + m.wavelength_offset_nm - m.laser_nm) / m.laser_width_nm
    return _Axis(
        wavelengths_nm=nm,
        energy_ev=energy_ev,
        ev_per_nm=HC_EV_NM / nm**2,
        blue=(energy_ev / energy_ev_of(REFERENCE_NM)) ** m.blue_power,
        rayleigh=(500.0 / nm) ** 4,
        lamp=lamp / lamp.max(),
        tilt=1 + m.drift_tilt * (600.0 - nm) / 200.0,
        laser=np.exp(-0.5 * line * line),
    )


def _digitise(light: Floats, detector: Detector, rng: np.random.Generator) -> Counts:
    """Shot and read noise of the average, dark offset, full scale, smoothing, whole numbers."""
    counts_per_electron = detector.full_scale / detector.well_electrons
    noise = np.sqrt(light * counts_per_electron + detector.read_noise**2)
    noise *= rng.standard_normal(light.size) / math.sqrt(detector.averages)
    frame = light + noise
    frame += detector.dark_counts
    for index, rate in detector.hot_pixels:
        frame[index] += rate * detector.integration_s
    np.clip(frame, 0, detector.full_scale, out=frame)
    if detector.boxcar > 0:
        frame = _smooth(frame, detector.boxcar)
    return np.rint(frame).astype(np.int64)


def _smooth(frame: Floats, reach: int) -> Floats:
    """Moving mean over `reach` pixels to each side; at the ends over those that exist."""
    total = np.concatenate(([0.0], np.cumsum(frame)))
    pixel = np.arange(frame.size)
    low = np.maximum(pixel - reach, 0)
    high = np.minimum(pixel + reach + 1, frame.size)
    return np.asarray((total[high] - total[low]) / (high - low))
