"""A Harvard Pump 11 Elite, or a PHD Ultra, that answers bytes: one address of a pump chain.

As an Elite it names itself in every line, also at address 0 (`names_itself`), and its status line
has times in ms and six flags; a `phd` names itself at other addresses only and has seconds and five
flags. Source: PHD ULTRA user's guide 5419-002, pp. 83-88; Legato 100 manual 5617-006, pp. 51-60.
Not simulated: methods, ramps, TTL lines, force, clock and screen, which only remember what was set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from labctl.twin import Plant, TwinDevice

_NS = 1_000_000_000
_TURN_ROUND_NS = 5_000_000
_XON = "\x11"
# From the pump's own `metrics`: a microstep of 25.4 mm / 24 / 2.4 / 6400, each 26 µs to 27 s.
_MICROSTEP_MM = 25.4 / 24 / (2.4 * 6400)
_FASTEST_MM_S, _SLOWEST_MM_S = _MICROSTEP_MM / 26e-6, _MICROSTEP_MM / 27
_LEAST_MM, _GREATEST_MM = 0.1, 33.0
_SHORT_ML = 1e-9
_FL_PER_ML = 1e12

_REQUEST = re.compile(r"@?(\d{1,2})?:?\s*([a-z]*)\s*(.*?)\s*", re.ASCII | re.IGNORECASE)
_NUMBER = r"(\d+\.?\d*|\.\d+)"
_RATE = re.compile(rf"{_NUMBER}\s*([munp])l?/(hr?|h|m|min|s|sec)", re.ASCII)
_VOLUME = re.compile(rf"{_NUMBER}\s*([munp])l?", re.ASCII)
_LENGTH = re.compile(rf"{_NUMBER}\s*(?:mm)?", re.ASCII)
_ML = {"m": 1.0, "u": 1e-3, "n": 1e-6, "p": 1e-9}
_PER_MIN = {"h": 1 / 60, "m": 1.0, "s": 60.0}

_METRICS = (
    "Pump type          Pump 11",
    "Pump type string   11 ELITE I/W Single",
    "Display type       Sharp",
    "Steps per rev      400",
    "Gear ratio         1:1",
    "Pulley ratio       2.4:1",
    "Lead screw         24 threads per inch",
    "Microstepping      16 microsteps per step",
    "Low speed limit    27 seconds",
    "High speed limit   26 microseconds",
    "Motor polarity     Reverse",
    "Min syringe size   0.1 mm",
    "Max syringe size   33 mm",
    "Direction          Infuse/withdraw",
    "Limit switches     No",
)

Lines = tuple[str, ...]


class _SaysNoError(Exception):
    """A command that is answered with an error of two lines."""

    def __init__(self, first: str, second: str) -> None:
        self.lines = (first, "   " + second)
        super().__init__(first)


class SimElite11:
    """The pump's protocol; faults by `stall` and `power_cycle`.

    `touches["plunger"]` is the syringe it pushes; a plant that moves less stalls the motor.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        settings = device.settings
        self.address = settings.address
        self.phd = False
        self.names_itself = True
        self._plant = plant
        self._plunger = device.touches.get("plunger", f"syringe.{device.name}")
        self._at_ns = 0
        self._buffer = b""
        self._bore_mm, self._syringe_ml = 14.567, 10.0
        self._kept = {
            "force": "30%",
            "poll": "OFF",
            "nvram": "ON",
            "load": "qs iw",
            "time": "",
            "dim": "100",
        }
        self._rates = {"i": 0.0, "w": 0.0}
        self._volumes = {"i": 0.0, "w": 0.0}
        self._times_s = {"i": 0.0, "w": 0.0}
        self._target_ml: float | None = None
        self._way = "i"
        self._prompt = ":"
        self._commands = self._table()

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; a command ends with CR, LF or both."""
        self.advance(t_ns)
        self._buffer += data
        said = []
        while (end := re.search(rb"[\r\n]", self._buffer)) is not None:
            line, ended = self._buffer[: end.start()], end[0]
            self._buffer = self._buffer[end.end() :]
            if line or ended == b"\r":
                reply = self._answer(re.sub(rb"[^ -~]", b"", line).decode("ascii"))
                said += [(_TURN_ROUND_NS, reply)] if reply else []
        return said

    def advance(self, t_ns: int) -> None:
        """Move the plunger to where it is at `t_ns`, or where its target stopped it."""
        if self._prompt in {">", "<"} and t_ns > self._at_ns:
            rate = self._rates[self._way]
            asked_ml = rate * (t_ns - self._at_ns) / (60 * _NS)
            left_ml = math.inf if self._target_ml is None else self._left_ml()
            ends = asked_ml >= left_ml - _SHORT_ML
            asked_ml = min(asked_ml, left_ml)
            sign = 1.0 if self._way == "i" else -1.0
            moved_ml = abs(self._plant.move(self._plunger, sign * asked_ml, t_ns))
            self._volumes[self._way] += moved_ml
            self._times_s[self._way] += moved_ml / rate * 60
            if moved_ml < asked_ml - _SHORT_ML:
                self._prompt = "*"
            elif ends:
                self._prompt = "T*"
        self._at_ns = max(self._at_ns, t_ns)

    def stall(self) -> None:
        """Stall the motor now."""
        self._prompt = "*"

    def power_cycle(self) -> None:
        """Switch off and on: syringe, rates and target stay; motion and counters do not."""
        self._buffer, self._prompt, self._way = b"", ":", "i"
        self._volumes = {"i": 0.0, "w": 0.0}
        self._times_s = {"i": 0.0, "w": 0.0}

    def _answer(self, text: str) -> bytes:
        match = _REQUEST.fullmatch(text.strip())
        if match is None or int(match[1] or 0) != self.address:
            return b""
        try:
            lines = self._obey(match[2].lower(), match[3].lower())
        except _SaysNoError as no:
            lines = no.lines
        named = bool(self.address) or (self.names_itself and not self.phd)
        head, own = (f"{self.address:02d}:", f"{self.address:02d}") if named else ("", "")
        body = "".join(f"\n{head}{line}\r" for line in lines)
        end = _XON if self._kept["poll"] != "OFF" else ""
        return f"{body}\n{own}{self._prompt}{end}".encode("ascii")

    def _obey(self, verb: str, argument: str) -> Lines:
        if not verb and not argument:
            return ()
        for name, command in self._commands.items():
            if verb == name or (len(verb) == 4 and name.startswith(verb)):
                return command(argument)
        raise _SaysNoError(f"Command error: {verb}", "Unknown command")

    def _table(self) -> dict[str, Callable[[str], Lines]]:
        kept = {name: (lambda text, name=name: self._keep(name, text)) for name in self._kept}
        return {
            "ver": lambda _: (self._version(),),
            "version": self._long_version,
            "address": self._new_address,
            "metrics": lambda _: _METRICS,
            "diameter": self._diameter,
            "svolume": self._syringe,
            "irate": lambda text: self._rate("i", text),
            "wrate": lambda text: self._rate("w", text),
            "crate": self._current_rate,
            "irun": lambda _: self._run("i"),
            "wrun": lambda _: self._run("w"),
            "rrun": lambda _: self._run("w" if self._way == "i" else "i"),
            "run": lambda _: self._run(self._way),
            "stp": self._stop,
            "stop": self._stop,
            "tvolume": self._target,
            "ctvolume": self._clear_target,
            "ivolume": lambda _: (_show_ml(self._volumes["i"]),),
            "wvolume": lambda _: (_show_ml(self._volumes["w"]),),
            "civolume": lambda _: self._clear("i"),
            "cwvolume": lambda _: self._clear("w"),
            "cvolume": lambda _: self._clear("iw"),
            "status": lambda _: (self._status(),),
            **kept,
        }

    def _version(self) -> str:
        return "PHD ULTRA I/W 1.0.1" if self.phd else "11 ELITE I/W Single 3.0.4"

    def _long_version(self, _: str) -> Lines:
        firmware = self._version().rpartition(" ")[2]
        return (
            f"Firmware:      v{firmware}",
            f"Pump address:  {self.address}",
            "Serial number: D402476",
        )

    def _keep(self, name: str, text: str) -> Lines:
        if not text:
            return (self._kept[name],)
        self._kept[name] = f"{text}%" if name == "force" else text.upper()
        return (self._kept[name],) if name == "time" else ()

    def _new_address(self, text: str) -> Lines:
        if not text:
            return (f"Pump address is {self.address}",)
        if not text.isdigit() or int(text) > 99:
            raise _SaysNoError(f"Argument error: {text}", "Out of range")
        self.address = int(text)
        return ()

    def _diameter(self, text: str) -> Lines:
        if not text:
            return (f"{self._bore_mm:.4f} mm",)
        self._refuse_while_moving("diameter")
        bore_mm = float(_read(_LENGTH, text)[1])
        if not _LEAST_MM <= bore_mm <= _GREATEST_MM:
            raise _SaysNoError(f"Argument error: {text}", "Out of range")
        if bore_mm != self._bore_mm:
            # The plunger keeps its speed, not its rate.
            self._rates = dict.fromkeys("iw", 0.0)
        self._bore_mm = bore_mm
        return ()

    def _syringe(self, text: str) -> Lines:
        if not text:
            return (_show_ml(self._syringe_ml),)
        self._refuse_while_moving("svolume")
        self._syringe_ml = _volume(text)
        return ()

    def _rate(self, way: str, text: str) -> Lines:
        low, high = self._limits_ml_min()
        if not text:
            return (_show_rate(self._rates[way]),)
        if text == "lim":
            return (f"{_show_rate(low)} to {_show_rate(high)}",)
        if text in {"min", "max"}:
            self._rates[way] = low if text == "min" else high
            return ()
        match = _read(_RATE, text)
        rate = float(match[1]) * _ML[match[2]] * _PER_MIN[match[3][0]]
        if not low * 0.9999 <= rate <= high * 1.0001:
            raise _SaysNoError(f"Argument error: {text}", "Out of range")
        self._rates[way] = rate
        return ()

    def _current_rate(self, _: str) -> Lines:
        if self._prompt not in {">", "<"}:
            raise _SaysNoError("Command error: crate", "Pump is not running")
        doing = "Infusing" if self._way == "i" else "Withdrawing"
        return (f"{doing} at {_show_rate(self._rates[self._way])}",)

    def _run(self, way: str) -> Lines:
        if not self._rates[way]:
            raise _SaysNoError("Command error: run", "Rate not set")
        self._way = way
        if self._target_ml is not None and self._left_ml() <= _SHORT_ML:
            self._prompt = "T*"
        else:
            self._prompt = ">" if way == "i" else "<"
        return ()

    def _stop(self, _: str) -> Lines:
        if self._prompt in {">", "<"}:
            self._prompt = ":"
        return ()

    def _target(self, text: str) -> Lines:
        if not text:
            unset = self._target_ml is None
            return ("Target volume not set" if unset else _show_ml(self._target_ml or 0.0),)
        volume_ml = _volume(text)
        if not 0 < volume_ml <= self._syringe_ml:
            raise _SaysNoError(f"Argument error: {text}", "Target volume out of range")
        self._target_ml = volume_ml
        return ()

    def _clear_target(self, _: str) -> Lines:
        self._target_ml = None
        self._prompt = ":" if self._prompt == "T*" else self._prompt
        return ()

    def _clear(self, ways: str) -> Lines:
        for way in ways:
            self._volumes[way] = self._times_s[way] = 0.0
        self._prompt = ":" if self._prompt == "T*" else self._prompt
        return ()

    def _status(self) -> str:
        moves = self._prompt in {">", "<"}
        rate = round(self._rates[self._way] * _FL_PER_ML / 60) if moves else 0
        volume = round(self._volumes[self._way] * _FL_PER_ML)
        seconds = self._times_s[self._way]
        stalled = "S" if self._prompt == "*" else "."
        if self.phd:
            return f"{rate} {round(seconds)} {volume} {self._way}.{stalled}.I"
        way = self._way.upper() if moves else self._way
        reached = "T" if self._prompt == "T*" else "."
        return f"{rate} {round(seconds * 1e3)} {volume} {way}.{stalled}.I{reached}"

    def _left_ml(self) -> float:
        return max((self._target_ml or 0.0) - self._volumes[self._way], 0.0)

    def _refuse_while_moving(self, what: str) -> None:
        if self._prompt in {">", "<"}:
            raise _SaysNoError(f"Command error: {what}", "Command not allowed while running")

    def _limits_ml_min(self) -> tuple[float, float]:
        area_mm2 = math.pi / 4 * self._bore_mm**2
        per_speed = area_mm2 * 60 / 1000
        return _SLOWEST_MM_S * per_speed, _FASTEST_MM_S * per_speed


def _read(grammar: re.Pattern[str], text: str) -> re.Match[str]:
    match = grammar.fullmatch(text)
    if match is None:
        raise _SaysNoError(f"Argument error: {text}", "Invalid argument")
    return match


def _volume(text: str) -> float:
    match = _read(_VOLUME, text)
    return float(match[1]) * _ML[match[2]]


def _show_ml(value_ml: float) -> str:
    """Write mL with the unit that suits, up to four decimals and no idle zeros."""
    unit = next((unit for unit, size in _ML.items() if value_ml >= size), "m")
    number = f"{value_ml / _ML[unit]:.4f}".rstrip("0").rstrip(".")
    return f"{number} {unit}l"


def _show_rate(rate_ml_min: float) -> str:
    return f"{_show_ml(rate_ml_min)}/min"
