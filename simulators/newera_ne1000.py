"""A New Era NE-1000 syringe pump that answers bytes: basic and safe mode, one address of a line.

It starts as after power-up, with its reset alarm waiting to be told. Source: AL-1000 manual,
"RS-232 Communications"; NE-1000 publication 1200-01, chapter 10. Not simulated: triggers, TTL
lines, network bursts, and phase functions other than RAT and STP.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from labctl.framing.newera import ETX, STX, Request, RequestReader, seal
from labctl.twin import Plant, TwinDevice

_NS = 1_000_000_000
_TURN_ROUND_NS = 3_000_000
_PHASES = 41
# The manual's row for a 10 mL syringe of 14.43 mm bore; rates scale with the area.
_ROW_MM, _ROW_MAX_ML_MIN, _ROW_MIN_ML_MIN = 14.43, 6.172, 6.876e-3 / 60
_ML_MIN = {"MM": 1.0, "MH": 1 / 60, "UM": 1e-3, "UH": 1e-3 / 60}
_ML = {"ML": 1.0, "UL": 1e-3}
_SHORT_ML = 1e-9
_MOVING = frozenset({"I", "W", "X"})

_REQUEST = re.compile(r"(\*|\d{0,2})(.*)", re.ASCII | re.DOTALL)
_NUMBER = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
_RATE = re.compile(r"[CI]?([\d.]+)(UM|MM|UH|MH|)", re.ASCII)
_NOT_TEXT = bytes(range(33)) + b"\x7f"

_UNKNOWN, _NOT_NOW, _OUT_OF_RANGE = "?", "?NA", "?OOR"


class SimNe1000:
    """The pump's protocol; faults by `stall`, `power_cycle` and `ignore_next`.

    `touches["plunger"]` is the syringe it pushes. A plant that moves less than it was pushed
    stalls the motor.
    """

    version = "NE1000V3.928"

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.address = device.settings.address
        self.ignore_next = False
        self._motor = _Motor(plant, device.touches.get("plunger", f"syringe.{device.name}"))
        self._inlet = RequestReader()
        self._alarm = "R"
        self._safe_s = 0
        self._watchdog_ns: int | None = None
        self._said: list[tuple[int, bytes]] = []
        self._switches = {"AL": "1", "BP": "1", "PF": "0", "LOC": "0", "TRG": "FT"}
        self._commands: dict[str, Callable[[str], str]] = {
            "": lambda _: "",
            "VER": lambda _: self.version,
            "DIA": self._motor.diameter,
            "PHN": self._motor.phase_number,
            "FUN": self._motor.function,
            "RAT": self._motor.rate,
            "VOL": self._motor.volume,
            "DIR": self._motor.direction,
            "RUN": self._motor.run,
            "PUR": self._motor.purge,
            "STP": self._motor.stop,
            "DIS": self._motor.dispensed,
            "CLD": self._motor.clear,
            "SAF": self._safe_mode,
            "ADR": self._new_address,
            "RESET": self._reset,
        }

    @property
    def speaks(self) -> bool:
        """Whether an alarm waits to be told."""
        return bool(self._said)

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return what is said, each packet (delay in ns, bytes)."""
        self.advance(t_ns)
        self._inlet.take(data, t_ns)
        while (request := self._inlet.next_request(safe=self._safe_s > 0)) is not None:
            self._answer(request, t_ns)
        said, self._said = self._said, []
        return said

    def advance(self, t_ns: int) -> None:
        """Move the plunger to where it is at `t_ns`, or where the watchdog stopped it."""
        due_ns = self._watchdog_ns
        if due_ns is not None and due_ns <= t_ns:
            self._watchdog_ns = None
            self._motor.advance(due_ns)
            self._raise_alarm("T")
        if self._motor.advance(t_ns):
            self._raise_alarm("S")

    def stall(self) -> None:
        """Stall the motor now."""
        self._raise_alarm("S")

    def power_cycle(self) -> None:
        """Switch off and on: mode, bore and program stay, counters and motion do not."""
        self._motor.lose_counts()
        self._watchdog_ns = None
        self._raise_alarm("R")

    def turn(self, _value: float, t_ns: int) -> None:
        """Press Start/Stop at the front while it pumps: it pauses."""
        self.advance(t_ns)
        self._motor.stop("")

    def _raise_alarm(self, kind: str) -> None:
        self._motor.halt()
        self._alarm = kind
        if self._safe_s:
            self._say(f"A?{kind}", 0)

    def _say(self, text: str, delay_ns: int = _TURN_ROUND_NS) -> None:
        said = f"{self.address:02d}{text}".encode("ascii")
        packet = seal(said) if self._safe_s else bytes((STX, *said, ETX))
        self._said.append((delay_ns, packet))

    def _answer(self, request: Request, t_ns: int) -> None:
        match = _REQUEST.fullmatch(_readable(request.text))
        if match is None or (match[1] != "*" and int(match[1] or 0) != self.address):
            return
        data = self._obey(match[2]) if request.intact else "?COM"
        if request.intact and self._safe_s:
            self._watchdog_ns = t_ns + self._safe_s * _NS
        if self._alarm and request.intact:
            self._say(f"A?{self._alarm}")
            self._alarm = ""
        else:
            self._say(self._motor.status + data)

    def _obey(self, command: str) -> str:
        # An alarm that waits is told instead of obeying; only the mode changes with it, so that
        # the reply is already in the new one.
        if self._alarm and not command.startswith("SAF"):
            return ""
        if self.ignore_next:
            self.ignore_next = False
            return "?IGN"
        for size in (5, 3, 2, 0):
            verb, argument = command[:size], command[size:]
            if verb in self._switches:
                return self._switch(verb, argument)
            if verb in self._commands and (verb or not argument):
                return self._commands[verb](argument)
        return _UNKNOWN

    def _switch(self, verb: str, argument: str) -> str:
        if not argument:
            return self._switches[verb]
        if (argument in {"0", "1"}) is (verb == "TRG"):
            return _OUT_OF_RANGE
        self._switches[verb] = argument
        return ""

    def _safe_mode(self, argument: str) -> str:
        if not argument:
            return str(self._safe_s)
        if not argument.isdigit() or int(argument) > 255:
            return _OUT_OF_RANGE
        self._safe_s = int(argument)
        self._watchdog_ns = None
        return ""

    def _new_address(self, argument: str) -> str:
        if not argument:
            return f"{self.address:02d}"
        if not argument.isdigit() or int(argument) > 99:
            return _OUT_OF_RANGE
        self.address = int(argument)
        return ""

    def _reset(self, _: str) -> str:
        self._motor.forget()
        self.address = self._safe_s = 0
        self._watchdog_ns = None
        return ""


class SimAl1000(SimNe1000):
    """A WPI Aladdin AL-1000: the same pump under another name."""

    version = "AL1000V3.923"


@dataclass(slots=True)
class _Phase:
    """One phase of the pumping program; the rate as entered, the volume in the unit in effect."""

    function: str = "STP"
    rate: float = 0.0
    rate_unit: str = "MM"
    volume: float = 0.0
    direction: str = "INF"


class _Motor:
    """The pumping program and the plunger it moves; its methods are commands and return data."""

    def __init__(self, plant: Plant, plunger: str) -> None:
        self.status = "S"
        self._plant = plant
        self._plunger = plunger
        self._at_ns = 0
        self.forget()

    def forget(self) -> None:
        """Go back to the factory's settings."""
        self.halt()
        self._bore_mm, self._unit = 26.59, "ML"
        self._phases = [_Phase("RAT"), *(_Phase() for _ in range(_PHASES - 1))]
        self._selected = 0
        self.lose_counts()

    def lose_counts(self) -> None:
        """Set both counters to zero, whatever moves."""
        self._moved_ml = {"INF": 0.0, "WDR": 0.0}

    def halt(self) -> None:
        """Stop and reset the program."""
        self.status = "S"
        self._running = 0
        self._done_ml = 0.0

    def advance(self, t_ns: int) -> bool:
        """Move to `t_ns`, ending each phase at its exact time; return whether the motor stalled."""
        stalled = False
        while self.status in _MOVING and self._at_ns < t_ns:
            phase = self._phases[self._running]
            purging = self.status == "X"
            rate_ml_min = self._limits_ml_min()[1] if purging else self._rate_of(phase)
            target_ml = 0.0 if purging else phase.volume * _ML[self._unit]
            step_ml = rate_ml_min * (t_ns - self._at_ns) / (60 * _NS)
            left_ml = target_ml - self._done_ml if target_ml else math.inf
            ends = step_ml >= left_ml - _SHORT_ML
            asked_ml = left_ml if ends else step_ml
            lasts_ns = math.ceil(asked_ml / rate_ml_min * 60 * _NS)
            self._at_ns = min(self._at_ns + lasts_ns, t_ns)
            stalled = not self._push(asked_ml, phase.direction, t_ns)
            if stalled or not ends:
                break
            self._start(self._running + 1)
        self._at_ns = t_ns
        return stalled

    def diameter(self, argument: str) -> str:
        """DIA: the bore in mm; setting it clears the counters and picks the volume unit."""
        if not argument:
            return _show(self._bore_mm)
        bore_mm = _number(argument)
        if bore_mm is None:
            return _UNKNOWN
        if self._is_moving():
            return _NOT_NOW
        if not 0.1 <= bore_mm <= 50.0:
            return _OUT_OF_RANGE
        self._bore_mm = bore_mm
        self._unit = "ML" if bore_mm > 14.0 else "UL"
        self.lose_counts()
        return ""

    def phase_number(self, argument: str) -> str:
        """PHN: the phase that the settings belong to."""
        if not argument:
            return str(self._selected + 1)
        if not argument.isdigit() or not 1 <= int(argument) <= _PHASES:
            return _OUT_OF_RANGE
        self._selected = int(argument) - 1
        return ""

    def function(self, argument: str) -> str:
        """FUN: what the phase does."""
        phase = self._phases[self._selected]
        if not argument:
            return phase.function
        if self._is_moving() or argument not in {"RAT", "STP"}:
            return _NOT_NOW
        phase.function = argument
        return ""

    def rate(self, argument: str) -> str:
        """RAT: the rate; while pumping the number may change, the unit may not."""
        phase = self._phases[self._selected]
        if not argument:
            return _show(phase.rate) + phase.rate_unit
        match = _RATE.fullmatch(argument)
        value = _number(match[1]) if match else None
        if match is None or value is None:
            return _UNKNOWN
        unit = match[2] or phase.rate_unit
        if self._is_moving() and unit != phase.rate_unit:
            return _NOT_NOW
        low, high = self._limits_ml_min()
        if not low * 0.9995 <= value * _ML_MIN[unit] <= high * 1.0001:
            return _OUT_OF_RANGE
        phase.rate, phase.rate_unit = value, unit
        return ""

    def volume(self, argument: str) -> str:
        """VOL: the volume to dispense, 0 for no end; or the unit of all volumes."""
        phase = self._phases[self._selected]
        if not argument:
            return _show(phase.volume) + self._unit
        if self._is_moving():
            return _NOT_NOW
        if argument in _ML:
            self._unit = argument
            return ""
        value = _number(argument)
        if value is None:
            return _UNKNOWN
        phase.volume = value
        return ""

    def direction(self, argument: str) -> str:
        """DIR: infuse, withdraw, or the reverse of what was set."""
        phase = self._phases[self._selected]
        if not argument:
            return phase.direction
        if argument not in {"INF", "WDR", "REV"}:
            return _NOT_NOW if argument == "STK" else _UNKNOWN
        if self._is_moving():
            return _NOT_NOW
        reverse = "WDR" if phase.direction == "INF" else "INF"
        phase.direction = reverse if argument == "REV" else argument
        return ""

    def run(self, argument: str) -> str:
        """RUN: start at a phase, or go on after a pause."""
        if self._is_moving():
            return _NOT_NOW
        if argument and (not argument.isdigit() or not 1 <= int(argument) <= _PHASES):
            return _OUT_OF_RANGE
        first = int(argument) - 1 if argument else self._running
        phase = self._phases[first]
        if phase.function != "RAT" or not phase.rate:
            return _NOT_NOW
        if self._rate_of(phase) > self._limits_ml_min()[1] * 1.0001:
            return _OUT_OF_RANGE
        if self.status == "P" and not argument:
            self.status = "I" if phase.direction == "INF" else "W"
        else:
            self._start(first)
        return ""

    def purge(self, _: str) -> str:
        """PUR: as fast as it can, until stopped."""
        if self._is_moving():
            return _NOT_NOW
        self.status = "X"
        return ""

    def stop(self, _: str) -> str:
        """STP: pause what runs, reset what is paused."""
        if self.status == "S":
            return _NOT_NOW
        if self.status in {"I", "W"}:
            self.status = "P"
        else:
            self.halt()
        return ""

    def dispensed(self, _: str) -> str:
        """DIS: both counters in the volume unit; they roll over after 9999."""
        infused, withdrawn = (
            _show(self._moved_ml[way] / _ML[self._unit] % 10_000) for way in ("INF", "WDR")
        )
        return f"I{infused}W{withdrawn}{self._unit}"

    def clear(self, argument: str) -> str:
        """CLD: set one counter to zero, at rest."""
        if argument not in self._moved_ml:
            return _UNKNOWN
        if self._is_moving():
            return _NOT_NOW
        self._moved_ml[argument] = 0.0
        return ""

    def _start(self, number: int) -> None:
        self.halt()
        phase = self._phases[number] if number < _PHASES else _Phase()
        if phase.function == "RAT" and phase.rate:
            self._running = number
            self.status = "I" if phase.direction == "INF" else "W"

    def _push(self, volume_ml: float, direction: str, t_ns: int) -> bool:
        sign = 1.0 if direction == "INF" else -1.0
        moved_ml = abs(self._plant.move(self._plunger, sign * volume_ml, t_ns))
        self._moved_ml[direction] += moved_ml
        self._done_ml += moved_ml
        return moved_ml >= volume_ml - _SHORT_ML

    def _is_moving(self) -> bool:
        return self.status in _MOVING

    def _rate_of(self, phase: _Phase) -> float:
        return phase.rate * _ML_MIN[phase.rate_unit]

    def _limits_ml_min(self) -> tuple[float, float]:
        area = (self._bore_mm / _ROW_MM) ** 2
        return _ROW_MIN_ML_MIN * area, _ROW_MAX_ML_MIN * area


def _readable(raw: bytes) -> str:
    return raw.translate(None, _NOT_TEXT).decode("latin-1").upper()


def _number(text: str) -> float | None:
    """Read a number of at most four digits and three decimals."""
    digits = text.replace(".", "", 1)
    if not _NUMBER.fullmatch(text) or len(digits) > 4 or len(text.partition(".")[2]) > 3:
        return None
    return float(text)


def _show(value: float) -> str:
    """Write a number with four digits at most, three decimals at most, and always a point."""
    for decimals in (3, 2, 1):
        text = f"{value:.{decimals}f}"
        if len(text) <= 5:
            return text
    return f"{value:.0f}."
