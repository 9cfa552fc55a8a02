"""The iHR320 behind a simulated ICL: grating drive, turret, slits, mirrors, filter wheel, shutter.

Times and the answers before homing are assumptions; everything else follows HORIBA's "ICL API
Programmers Manual" 2.1.0 and horiba-sdk 1.0.4. Wavelengths in nm, times in ns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Parameters = Mapping[str, object]
Results = dict[str, object]

_NS = 1_000_000_000
_HOMING_NS = 12 * _NS
_START_NS = 40_000_000
_NM_PER_S = 150.0
_PITCH_NM = 0.002
_TURRET_NS = 8 * _NS
_WHEEL_NS = 2 * _NS
_SLIT_STEPS_PER_MM = 500
_RANGE_NM = (0.0, 1500.0)

_ERRORS = {
    -501: "already open",
    -503: "already closed",
    -505: "not initialized",
    -506: "not open",
    -508: "invalid device index",
    -510: "command not supported",
    -513: "invalid parameter",
    -519: "command error",
    -521: "missing parameter",
    -524: "accessory not found",
}


class IclError(Exception):
    """A command that is refused: the number the ICL answers, and its text."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(number, text)
        self.number = number
        self.text = text


class MonoError(IclError):
    """One of the monochromator's own errors."""

    def __init__(self, number: int) -> None:
        super().__init__(number, f"MONO error: {_ERRORS[number]}")


def number_in(
    parameters: Parameters, name: str, missing: IclError, wrong: IclError, low: float, high: float
) -> float:
    """Read a number from a command's parameters.

    Raises:
        IclError: it is missing, no number, or outside `low .. high`.
    """
    if name not in parameters:
        raise missing
    value = parameters[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise wrong
    return float(value)


class Monochromator:
    """One monochromator; `jammed` keeps it busy for ever. It must be homed after power-up."""

    model, serial = "iHR320", "1745B-2017-iHR320"

    def __init__(self) -> None:
        self.jammed = False
        self.is_open = False
        self._initialised = False
        self._from_nm = self._to_nm = 0.0
        self._began_ns = self._ends_ns = 0
        self._positions = {"grating": 1, "wheel1": 1, "wheel2": 1, "mirror0": 0, "mirror1": 0}
        self._slits_mm = {1: 0.5, 2: 0.0, 4: 0.5}
        self._shutter = 0
        self._commands = self._table()

    def power_cycle(self) -> None:
        """Lose power and come back: closed, and where the grating is nobody knows."""
        self.__init__()  # type: ignore[misc]

    def obey(self, command: str, parameters: Parameters, t_ns: int) -> Results:
        """Do what follows `mono_` in a command.

        Raises:
            MonoError: it is refused.
        """
        serve = self._commands.get(command)
        if serve is None:
            raise MonoError(-510)
        self._number(parameters, "index", 0, 0, -508)
        if not self.is_open and command not in {"open", "close", "isOpen"}:
            raise MonoError(-506)
        return serve(parameters, t_ns)

    def is_busy(self, t_ns: int) -> bool:
        """Say whether something moves."""
        return self.jammed or t_ns < self._ends_ns

    def at_nm(self, t_ns: int) -> float:
        """Say which wavelength passes at a time."""
        if self.jammed or t_ns >= self._ends_ns:
            return self._from_nm if self.jammed else self._to_nm
        part = max(0.0, (t_ns - self._began_ns) / (self._ends_ns - self._began_ns))
        return self._from_nm + part * (self._to_nm - self._from_nm)

    def _table(self) -> dict[str, Callable[[Parameters, int], Results]]:
        return {
            "open": self._open,
            "close": self._close,
            "isOpen": lambda _p, _t: {"open": self.is_open},
            "isBusy": lambda _p, t_ns: {"busy": self.is_busy(t_ns)},
            "init": self._init,
            "isInitialized": lambda _p, t_ns: {
                "initialized": self._initialised and not self.is_busy(t_ns)
            },
            "getConfig": lambda _p, _t: {"configuration": _configuration()},
            "getPosition": lambda _p, t_ns: {"wavelength": self.at_nm(t_ns)},
            "setPosition": self._calibrate,
            "moveToPosition": self._move,
            "getGratingPosition": lambda _p, _t: {"position": self._positions["grating"]},
            "moveGrating": lambda p, t: self._turn("grating", p, (0, 2), _TURRET_NS, t),
            "getFilterWheelPosition": lambda p, _t: {"position": self._at(self._wheel(p))},
            "moveFilterWheel": lambda p, t: self._turn(self._wheel(p), p, (1, 6), _WHEEL_NS, t),
            "getMirrorPosition": lambda p, _t: {"position": self._at(self._mirror(p))},
            "moveMirror": lambda p, t: self._turn(self._mirror(p), p, (0, 1), _WHEEL_NS, t),
            "getSlitPositionInMM": lambda p, _t: {"position": self._slits_mm[self._slit(p)]},
            "moveSlitMM": lambda p, t: self._slide(p, 1.0, t),
            "getSlitStepPosition": lambda p, _t: {
                "position": round(self._slits_mm[self._slit(p)] * _SLIT_STEPS_PER_MM)
            },
            "moveSlit": lambda p, t: self._slide(p, 1.0 / _SLIT_STEPS_PER_MM, t),
            "shutterOpen": lambda _p, _t: self._shut(1),
            "shutterClose": lambda _p, _t: self._shut(0),
            "getShutterStatus": lambda _p, _t: {"location": 0, "position": self._shutter},
        }

    def _open(self, _parameters: Parameters, t_ns: int) -> Results:
        if self.is_open:
            raise MonoError(-501)
        self.is_open = True
        if not self._initialised:
            self._home(t_ns)
        return {}

    def _close(self, _parameters: Parameters, _t_ns: int) -> Results:
        if not self.is_open:
            raise MonoError(-503)
        self.is_open = False
        return {}

    def _init(self, parameters: Parameters, t_ns: int) -> Results:
        if parameters.get("force") is True or not self._initialised:
            self._home(t_ns)
        return {}

    def _home(self, t_ns: int) -> None:
        self._travel(0.0, _HOMING_NS, t_ns)
        self._initialised = True

    def _calibrate(self, parameters: Parameters, t_ns: int) -> Results:
        self._require_rest(t_ns)
        self._from_nm = self._to_nm = self._number(parameters, "wavelength", *_RANGE_NM)
        return {}

    def _move(self, parameters: Parameters, t_ns: int) -> Results:
        target_nm = self._number(parameters, "wavelength", *_RANGE_NM)
        self._require_rest(t_ns)
        if not self._initialised:
            raise MonoError(-505)
        target_nm = round(target_nm / _PITCH_NM) * _PITCH_NM
        way_ns = round(abs(target_nm - self._to_nm) / _NM_PER_S * _NS)
        self._travel(target_nm, _START_NS + way_ns, t_ns)
        return {}

    def _travel(self, target_nm: float, takes_ns: int, t_ns: int) -> None:
        self._from_nm, self._to_nm = self.at_nm(t_ns), target_nm
        self._began_ns, self._ends_ns = t_ns, t_ns + takes_ns

    def _turn(
        self, part: str, parameters: Parameters, ends: tuple[int, int], takes_ns: int, t_ns: int
    ) -> Results:
        position = self._number(parameters, "position", *ends)
        self._require_rest(t_ns)
        self._positions[part] = int(position)
        self._travel(self._to_nm, takes_ns, t_ns)
        return {}

    def _slide(self, parameters: Parameters, mm_per_unit: float, t_ns: int) -> Results:
        slit = self._slit(parameters)
        position = self._number(parameters, "position", 0.0, 7.0 / mm_per_unit)
        self._require_rest(t_ns)
        self._slits_mm[slit] = position * mm_per_unit
        self._travel(self._to_nm, _WHEEL_NS, t_ns)
        return {}

    def _shut(self, position: int) -> Results:
        self._shutter = position
        return {}

    def _require_rest(self, t_ns: int) -> None:
        if self.is_busy(t_ns):
            raise MonoError(-519)

    def _at(self, part: str) -> int:
        return self._positions[part]

    def _wheel(self, parameters: Parameters) -> str:
        return f"wheel{self._number(parameters, 'locationId', 1, 2, -524):.0f}"

    def _mirror(self, parameters: Parameters) -> str:
        return f"mirror{self._number(parameters, 'locationId', 0, 1, -524):.0f}"

    def _slit(self, parameters: Parameters) -> int:
        location = int(self._number(parameters, "locationId", 1, 4, -524))
        if location not in self._slits_mm:
            raise MonoError(-524)
        return location

    def _number(
        self, parameters: Parameters, name: str, low: float, high: float, wrong: int = -513
    ) -> float:
        return number_in(parameters, name, MonoError(-521), MonoError(wrong), low, high)


def _configuration() -> Results:
    grooves = (1200, 600, 300)
    return {
        "filterWheels": [{"locationId": 1}, {"locationId": 2}],
        "gratings": [
            {"blaze": 0, "grooveDensity": n, "positionIndex": k} for k, n in enumerate(grooves)
        ],
        "mirrors": [{"locationId": 1}, {"locationId": 2}],
        "model": Monochromator.model,
        "ports": [{"locationId": n, "slitType": 2} for n in (1, 2, 4)],
        "productId": "257",
        "serialNumber": Monochromator.serial,
    }
