"""The SpectrAcq3 behind a simulated ICL: a photomultiplier's counts, point after point.

Sources: HORIBA's "ICL API Programmers Manual" 2.1.0 (commands, units, trigger modes, errors) and
horiba-sdk 1.0.4 (names of the results). Its example ties 9.15 uA to 436,278 counts/s; the full
scale of the current and the ceiling of the counter are assumptions. Times in ns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from labctl.twin import Exposure, Plant
from simulators.horiba_monochromator import (
    IclError,
    Monochromator,
    Parameters,
    Results,
    number_in,
)

_NS = 1_000_000_000
_SLICE_S = 0.02
_SLICE_COUNTS = 160_000  # the counter's ceiling, 8 million a second
_DARK_CPS = 60.0
_UA_PER_CPS = 9.15133 / 436_278
_FULL_UA = 100.0
_MOST_POINTS = 131_070
_GRID_NM = tuple(float(nm) for nm in range(340, 1000, 20))
_CHANNELS = {
    "current": "currentSignal",
    "voltage": "voltageSignal",
    "photon": "pmtSignal",
    "pmt": "pmtSignal",
    "ppd": "ppdSignal",
}
_ERRORS = {
    -900: "Acquisition still running!!!",
    -902: "SAQ3 error: already open",
    -904: "SAQ3 error: already closed",
    -907: "SAQ3 error: not open",
    -909: "SAQ3 error: invalid device index",
    -910: "SAQ3 error: command not supported",
    -919: "SAQ3 error: command failed",
    -922: "SAQ3 error: missing input parameter",
    -924: "SAQ3 error: no data available",
    -925: "SAQ3 error: invalid input parameter",
}


class SaqError(IclError):
    """One of the SpectrAcq3's own errors."""

    def __init__(self, number: int) -> None:
        super().__init__(number, _ERRORS[number])


@dataclass
class Acquisition:
    """One run of points: how many, how long, and how each begins (the trigger modes 1, 2, 3)."""

    count: int
    step_ns: int
    integration_ns: int
    trigger: int
    began_ns: int
    done: int = 0
    paused: bool = False
    point_ns: int | None = None


class SpectrAcq:
    """One SpectrAcq3 with a photomultiplier at the exit of the monochromator."""

    serial = "SNPG20070026"

    def __init__(self, plant: Plant, sees: str, mono: Monochromator) -> None:
        self.is_open = False
        self.blind = False
        self._plant = plant
        self._sees = sees
        self._mono = mono
        self._set: dict[str, float] = {
            "scanCount": 1,
            "timeStep": 0,
            "integrationTime": 0.01,
            "externalParam": 0,
        }
        self._bias_v = 950
        self._polarity, self._pin, self._mode = 1, 0, 1
        self._log: list[str] = []
        self._run: Acquisition | None = None
        self._ready: list[Results] = []
        self._axes: dict[float, tuple[tuple[float, ...], int]] = {}
        self._commands = self._table()

    def power_cycle(self) -> None:
        """Lose power and come back: closed, idle, with the settings of the factory."""
        self.__init__(self._plant, self._sees, self._mono)  # type: ignore[misc]

    def obey(self, command: str, parameters: Parameters, t_ns: int) -> Results:
        """Do what follows `saq3_` in a command.

        Raises:
            SaqError: it is refused.
            IclError: a parameter is.
        """
        self.advance(t_ns)
        serve = self._commands.get(command)
        if serve is None:
            raise SaqError(-910)
        number_in(parameters, "index", SaqError(-922), SaqError(-909), 0, 0)
        if not self.is_open and command not in {"open", "close", "isOpen"}:
            raise SaqError(-907)
        try:
            return serve(parameters, t_ns)
        except IclError as refused:
            self._log.append(f"[E];{refused.number};{refused.text}")
            raise

    def advance(self, t_ns: int) -> None:
        """Complete the points that end by `t_ns`, and begin those that are due."""
        run = self._run
        while run is not None and run.point_ns is not None:
            ends_ns = run.point_ns + run.integration_ns
            if ends_ns > t_ns:
                return
            self._ready.append(self._point(run, ends_ns))
            run.done += 1
            timed = run.trigger != 3 and not run.paused
            run.point_ns = run.point_ns + max(run.step_ns, run.integration_ns) if timed else None
            if run.done == run.count:
                run = self._run = None

    def _point(self, run: Acquisition, t_ns: int) -> Results:
        cps = self._rate(run.integration_ns / _NS, t_ns)
        micro_a = cps * _UA_PER_CPS
        return {
            "currentSignal": {"unit": "uAmps", "value": min(micro_a, _FULL_UA)},
            "elapsedTime": (t_ns - run.began_ns) // 1_000,
            "eventMarker": False,
            "overscaleCurrentChannel": micro_a > _FULL_UA,
            "overscaleVoltageChannel": False,
            "pmtSignal": {"unit": "Counts/Second", "value": cps},
            "pointNumber": run.done,
            "ppdSignal": {"unit": "Counts/Second", "value": 0},
            "voltageSignal": {"unit": "Volts", "value": -0.35},
        }

    def _rate(self, integration_s: float, t_ns: int) -> float:
        """Count photons: one count is one photon, and a flood is counted in short slices."""
        if self.blind or not self._bias_v:
            return 0.0
        counts = self._counts(integration_s, 1, t_ns)
        if counts >= _SLICE_COUNTS:
            counts = self._counts(integration_s, math.ceil(integration_s / _SLICE_S), t_ns)
        return counts / integration_s

    def _counts(self, integration_s: float, slices: int, t_ns: int) -> float:
        slice_s = integration_s / slices
        axis, at = self._axis(self._mono.at_nm(t_ns))
        dark = _DARK_CPS * slice_s
        exposure = Exposure(axis, slice_s, slices, 0, _SLICE_COUNTS, dark, math.sqrt(dark))
        return float(self._plant.counts(self._sees, exposure, t_ns)[at] * slices)

    def _axis(self, nm: float) -> tuple[tuple[float, ...], int]:
        """Put the wavelength that passes on a coarse axis: the light's shape needs one."""
        key = round(nm, 3)
        if key not in self._axes:
            axis = tuple(sorted({*_GRID_NM, max(key, 1.0)}))
            self._axes[key] = axis, axis.index(max(key, 1.0))
        return self._axes[key]

    def _table(self) -> dict[str, Callable[[Parameters, int], Results]]:
        return {
            "open": self._open,
            "close": self._close,
            "isOpen": lambda _p, _t: {"open": self.is_open},
            "isBusy": lambda _p, _t: {"isBusy": self._run is not None},
            "getFirmwareVersion": lambda _p, _t: {"firmwareVersion": "3.2.0"},
            "getFPGAVersion": lambda _p, _t: {"FpgaVersion": "3.2.0"},
            "getBoardRevision": lambda _p, _t: {"boardRevision": "B"},
            "getSerialNumber": lambda _p, _t: {"serialNumber": self.serial},
            "setHVBiasVoltage": self._set_bias,
            "getHVBiasVoltage": lambda _p, _t: {"biasVoltage": self._bias_v},
            "getMaxHVVoltageAllowed": lambda _p, _t: {"biasVoltage": 1100},
            "setAcqSet": self._define,
            "getAcqSet": lambda _p, _t: dict(self._set),
            "acqStart": self._start,
            "acqStop": self._stop,
            "acqPause": lambda _p, t_ns: self._pause(True, t_ns),
            "acqContinue": lambda _p, t_ns: self._pause(False, t_ns),
            "isDataAvailable": lambda _p, _t: {"isDataAvailable": bool(self._ready)},
            "getAvailableData": self._hand_out,
            "forceTrigger": self._trigger,
            "setTriggerInPolarity": self._set_polarity,
            "getTriggerInPolarity": lambda _p, _t: {"polarity": self._polarity},
            "setInTriggerMode": self._set_pin,
            "getInTriggerMode": lambda _p, _t: {
                "inputTriggerMode": self._pin,
                "scanStartMode": self._mode,
            },
            "getLastError": lambda _p, _t: {"error": self._log.pop() if self._log else ""},
            "getErrorLog": lambda _p, _t: {"errors": list(self._log)},
            "clearErrorLog": self._clear_log,
        }

    def _open(self, _parameters: Parameters, _t_ns: int) -> Results:
        if self.is_open:
            raise SaqError(-902)
        self.is_open = True
        return {}

    def _close(self, _parameters: Parameters, _t_ns: int) -> Results:
        if not self.is_open:
            raise SaqError(-904)
        self.is_open = False
        return {}

    def _set_bias(self, parameters: Parameters, _t_ns: int) -> Results:
        self._bias_v = int(self._number(parameters, "biasVoltage", 0, 1100))
        return {}

    def _set_polarity(self, parameters: Parameters, _t_ns: int) -> Results:
        self._polarity = int(self._number(parameters, "polarity", 0, 1))
        return {}

    def _set_pin(self, parameters: Parameters, _t_ns: int) -> Results:
        self._require_idle()
        self._pin = int(self._number(parameters, "mode", 0, 2))
        return {}

    def _clear_log(self, _parameters: Parameters, _t_ns: int) -> Results:
        self._log.clear()
        return {}

    def _define(self, parameters: Parameters, _t_ns: int) -> Results:
        self._require_idle()
        limits = {
            "scanCount": (1, _MOST_POINTS),
            "timeStep": (0, 1e6),
            "integrationTime": (1e-3, 1e4),
            "externalParam": (-(2**31), 2**31),
        }
        asked = {name: limit for name, limit in limits.items() if name in parameters}
        self._set |= {name: self._number(parameters, name, *limit) for name, limit in asked.items()}
        self._set["scanCount"] = int(self._set["scanCount"])
        return {}

    def _start(self, parameters: Parameters, t_ns: int) -> Results:
        self._mode = int(self._number(parameters, "trigger", 1, 3))
        self._require_idle()
        wanted = self._set
        self._run = Acquisition(
            int(wanted["scanCount"]),
            round(wanted["timeStep"] * _NS),
            round(wanted["integrationTime"] * _NS),
            self._mode,
            t_ns,
            point_ns=t_ns if self._mode == 1 else None,
        )
        return {}

    def _stop(self, _parameters: Parameters, _t_ns: int) -> Results:
        self._run = None
        return {}

    def _pause(self, paused: bool, t_ns: int) -> Results:
        run = self._run
        if run is None or run.paused is paused:
            raise SaqError(-919)
        run.paused = paused
        if not paused and run.trigger != 3 and run.point_ns is None:
            run.point_ns = t_ns
        return {}

    def _trigger(self, _parameters: Parameters, t_ns: int) -> Results:
        run = self._run
        waits = run is not None and run.point_ns is None and not run.paused
        if run is not None and waits and (run.trigger == 3 or (run.trigger == 2 and not run.done)):
            run.point_ns = t_ns
        return {}

    def _hand_out(self, parameters: Parameters, _t_ns: int) -> Results:
        wanted = parameters.get("channels", list(_CHANNELS))
        if not isinstance(wanted, list) or not set(wanted) <= set(_CHANNELS):
            raise SaqError(-925)
        if not self._ready:
            raise SaqError(-924)
        left_out = set(_CHANNELS.values()) - {_CHANNELS[name] for name in wanted}
        points, self._ready = self._ready, []
        return {"data": [{k: v for k, v in row.items() if k not in left_out} for row in points]}

    def _require_idle(self) -> None:
        if self._run is not None:
            raise SaqError(-900)

    def _number(self, parameters: Parameters, name: str, low: float, high: float) -> float:
        return number_in(parameters, name, SaqError(-922), SaqError(-925), low, high)
