"""Simulated Vacuubrand CVC 3000: ASCII commands, remote gating, echo, both command sets.

Reads and REMOTE, CVC, STORE always work, other writes only in remote operation. A write is answered
only after ECHO 1 and only if it was executed; otherwise the last digit of IN_ERR is set until the
next good command. Any of CR, LF, CR LF ends a command. The eleventh command within a second is not
heard. Automatic, VACUU-LAN and program modes control like "vac control"; the air that a vent valve
lets in is not modelled. Sources: manuals 999222 pages 40-45, 999188 page 37 (CVC 2000 set), 999248
page 44.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from labctl.twin import Plant, TwinDevice

_ANSWER_AFTER_NS = 10_000_000
_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_COMMANDS_PER_SECOND = 10
_LONGEST_COMMAND = 32
_MBAR_PER_UNIT = {"mbar": 1.0, "hPa": 1.0, "Torr": 1.33322}
_ALWAYS_HEARD = frozenset({"REMOTE", "CVC", "STORE"})
_ATMOSPHERE_MBAR = 1000.0
_HIGHEST_MBAR = 1100.0
_HYSTERESIS_MBAR = 1.0
_OFF, _PUMPING, _REACHED, _BELOW = range(4)
_PUMP_DOWN = 1
_COMMAND = re.compile(r"([A-Z]+(?:_[A-Z0-9]+)*)(?: (\S+))?")


@dataclass(slots=True)
class _Settings:
    """What is set: pressures in mbar, times in min (0 is off), speed in % (101 is "HI")."""

    setpoint_mbar: float = 100.0
    speed_percent: int = 100
    start_up_mbar: float = 120.0
    delay_min: int = 0
    switch_off_mbar: float = 0.0
    runtime_min: int = 0
    mode: int = 2
    config: str = "2000"


class SimCvc3000:
    """The controller with pump, in-line valve and sensor; `faults` are digits 1-8 of IN_ERR."""

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.unit = "mbar"
        self.command_set = 3
        self.faults = "00000000"
        self._plant = plant
        self._pump = device.touches.get("pump", "rough_pump")
        self._sensor = device.touches.get("pressure", "rough.P")
        self._set = _Settings()
        self._line = bytearray()
        self._heard_ns: deque[int] = deque(maxlen=_COMMANDS_PER_SECOND)
        self._remote = self._echo = self._last_incorrect = False
        self._vent = self._vent_to_atmosphere = self._vents_to_setpoint = False
        self._state = _OFF
        self._started_ns = self._stopped_ns = 0
        self._reads = self._read_table()
        self._writes = self._write_table()

    def power_cycle(self, t_ns: int) -> None:
        """Lose power and come back: local operation, no echo, pump off, settings kept."""
        self._remote = self._echo = self._last_incorrect = False
        self._vent = self._vent_to_atmosphere = False
        self._line.clear()
        self._stop(t_ns)

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes that arrived at `t_ns`; return (delay in ns, reply) pairs, in order."""
        replies = []
        for byte in data:
            if byte not in b"\r\n":
                if len(self._line) <= _LONGEST_COMMAND:
                    self._line.append(byte)
                continue
            text = self._line.decode("ascii", "replace")
            self._line.clear()
            answer = self._hear(text, t_ns) if text else None
            if answer is not None:
                replies.append((_ANSWER_AFTER_NS, answer.encode("ascii") + b"\r\n"))
        return replies

    def advance(self, t_ns: int) -> None:
        """Bring the control to `t_ns`: state, automatic end, vent valve."""
        pressure_mbar = self._plant.get(self._sensor, t_ns)
        if self._vent_to_atmosphere and pressure_mbar >= _ATMOSPHERE_MBAR:
            self._vent = self._vent_to_atmosphere = False
        if self._state == _OFF:
            return
        runtime_ns = self._set.runtime_min * _MINUTE_NS
        if (runtime_ns and t_ns - self._started_ns >= runtime_ns) or (
            self._set.mode == _PUMP_DOWN and pressure_mbar <= self._set.switch_off_mbar
        ):
            self._stop(t_ns)
            return
        self._state = self._judge(pressure_mbar)
        if self._vents_to_setpoint:
            self._vent = self._state == _BELOW

    def _judge(self, pressure_mbar: float) -> int:
        over_mbar = pressure_mbar - self._set.setpoint_mbar
        if self._set.mode == _PUMP_DOWN or over_mbar > _HYSTERESIS_MBAR:
            return _PUMPING
        return _REACHED if over_mbar >= -_HYSTERESIS_MBAR else _BELOW

    def _hear(self, text: str, t_ns: int) -> str | None:
        heard = self._heard_ns
        if len(heard) == _COMMANDS_PER_SECOND and t_ns - heard[0] < _SECOND_NS:
            return None
        heard.append(t_ns)
        match = _COMMAND.fullmatch(text)
        name, word = (match[1], match[2]) if match else ("", None)
        read = self._reads.get(name)
        if read is not None and word is None:
            answer: str | None = read(t_ns)
            self._last_incorrect = False
            return answer
        write = self._writes.get(name)
        answer = None
        if write is not None and (self._remote or name in _ALWAYS_HEARD):
            answer = write(word or "", t_ns)
        self._last_incorrect = answer is None
        return answer if self._echo else None

    def _start(self, word: str, t_ns: int) -> str | None:
        if word:
            return None
        if self._state == _OFF:
            self._started_ns = t_ns
        self._vent = False
        self._state = self._judge(self._plant.get(self._sensor, t_ns))
        self._drive(t_ns)
        return "1"

    def _stop(self, t_ns: int) -> None:
        if self._state != _OFF:
            self._state = _OFF
            self._stopped_ns = t_ns
            self._plant.put(self._pump, 0.0, t_ns)

    def _drive(self, t_ns: int) -> None:
        free = self._set.mode == _PUMP_DOWN
        setpoint_mbar = 0.0 if free else self._set.setpoint_mbar
        self._plant.put(f"{self._pump}.setpoint", setpoint_mbar, t_ns)
        self._plant.put(self._pump, 1.0, t_ns)

    def _pressure(self, pressure_mbar: float) -> str:
        shown = min(9999, max(0, round(pressure_mbar / _MBAR_PER_UNIT[self.unit])))
        return f"{shown:04d} {self.unit}"

    def _read_table(self) -> dict[str, Callable[[int], str]]:
        now = self._plant.get
        return {
            "IN_PV_1": lambda t_ns: self._pressure(now(self._sensor, t_ns)),
            "IN_PV_2": lambda _: self._speed(self._set.speed_percent if self._state else 0),
            "IN_PV_3": self._process_time,
            "IN_SP_1": lambda _: self._pressure(self._set.setpoint_mbar),
            "IN_SP_2": lambda _: self._speed(self._set.speed_percent),
            "IN_SP_3": lambda _: self._pressure(self._set.start_up_mbar),
            "IN_SP_4": lambda _: _hours(self._set.delay_min),
            "IN_SP_5": lambda _: self._pressure(self._set.switch_off_mbar),
            "IN_SP_6": lambda _: _hours(self._set.runtime_min),
            "IN_CFG": lambda _: f"{self._set.config}{self._remote:d}",
            "IN_ERR": lambda _: self._errors(),
            "IN_STAT": lambda _: self._status(),
            "IN_VER": lambda _: "CVC 3000 V2.00",
        }

    def _speed(self, percent: int) -> str:
        if self.command_set == 2:
            return f"{0.6 * percent:04.1f} Hz" if percent <= 100 else "99.9 Hz"
        return f"{percent:03d}%" if percent <= 100 else "HI"

    def _process_time(self, t_ns: int) -> str:
        end_ns = t_ns if self._state else self._stopped_ns
        return _hours((end_ns - self._started_ns) // _MINUTE_NS)

    def _errors(self) -> str:
        if self.command_set == 3:
            return f"{self.faults}{self._last_incorrect:d}"
        electronics = "1" in self.faults[0] + self.faults[6:]
        return f"{electronics:d}{self.faults[4:6]}{self._last_incorrect:d}"

    def _status(self) -> str:
        running = self._state != _OFF
        if self.command_set == 2:
            return f"0{self._vent:d}{self._set.mode}{self._state}"
        inlet = running and self._state != _BELOW
        return f"{running:d}{inlet:d}0{self._vent:d}{self._set.mode}{self._state}"

    def _write_table(self) -> dict[str, Callable[[str, int], str | None]]:
        return {
            "CVC": self._choose_set,
            "ECHO": self._set_echo,
            "OUT_CFG": self._set_config,
            "OUT_MODE": self._set_mode,
            "OUT_SENSOR": lambda word, _: word if word == "1" else None,
            "OUT_SP_1": lambda word, t_ns: self._set_vacuum(word, t_ns, venting=False),
            "OUT_SP_2": self._set_speed,
            "OUT_SP_3": lambda word, _: self._set_pressure("start_up_mbar", word),
            "OUT_SP_4": lambda word, _: self._set_time("delay_min", word),
            "OUT_SP_5": lambda word, _: self._set_pressure("switch_off_mbar", word),
            "OUT_SP_6": lambda word, _: self._set_time("runtime_min", word),
            "OUT_SP_V": lambda word, t_ns: self._set_vacuum(word, t_ns, venting=True),
            "OUT_VENT": self._set_vent,
            "REMOTE": self._set_remote,
            "START": self._start,
            "STOP": self._obey_stop,
            "STORE": lambda word, _: None if word else "1",
        }

    def _choose_set(self, word: str, _: int) -> str | None:
        if word not in {"2", "3"}:
            return None
        self.command_set = int(word)
        return word

    def _set_echo(self, word: str, _: int) -> str | None:
        if word not in {"0", "1"}:
            return None
        self._echo = word == "1"
        return word

    def _set_remote(self, word: str, _: int) -> str | None:
        if word not in {"0", "1"}:
            return None
        self._remote = word == "1"
        return word

    def _set_config(self, word: str, _: int) -> str | None:
        if not re.fullmatch(r"[0-4][01]{4}", word):
            return None
        self._set.config = word[:4]
        return word

    def _set_mode(self, word: str, _: int) -> str | None:
        if not re.fullmatch(r"[0-4]", word) or self._state != _OFF:
            return None
        self._set.mode = int(word)
        return word

    def _set_speed(self, word: str, _: int) -> str | None:
        if word == "HI":
            self._set.speed_percent = 101
            return word
        if not re.fullmatch(r"\d{1,3}", word) or not 1 <= int(word) <= 100:
            return None
        self._set.speed_percent = int(word)
        return f"{int(word):03d}"

    def _set_vacuum(self, word: str, t_ns: int, *, venting: bool) -> str | None:
        if not word.strip("0"):
            return None
        answer = self._set_pressure("setpoint_mbar", word)
        if answer is not None:
            self._vents_to_setpoint = venting
            if self._state != _OFF:
                self._drive(t_ns)
                self._state = self._judge(self._plant.get(self._sensor, t_ns))
        return answer

    def _set_pressure(self, name: str, word: str) -> str | None:
        if not re.fullmatch(r"\d{1,4}", word):
            return None
        pressure_mbar = int(word) * _MBAR_PER_UNIT[self.unit]
        if pressure_mbar > _HIGHEST_MBAR:
            return None
        setattr(self._set, name, pressure_mbar)
        return f"{int(word):04d}"

    def _set_time(self, name: str, word: str) -> str | None:
        if not re.fullmatch(r"\d\d:[0-5]\d", word):
            return None
        setattr(self._set, name, 60 * int(word[:2]) + int(word[3:]))
        return word

    def _set_vent(self, word: str, t_ns: int) -> str | None:
        if word not in {"0", "1", "2"}:
            return None
        self._vent = word != "0"
        self._vent_to_atmosphere = word == "2"
        if self._vent:
            self._stop(t_ns)
        return word

    def _obey_stop(self, word: str, t_ns: int) -> str | None:
        if word not in {"", "0", "1", "2"}:
            return None
        if word == "2":
            self._set.setpoint_mbar = self._plant.get(self._sensor, t_ns)
        self._stop(t_ns)
        if word in {"", "0"}:
            self.faults = "00000000"
        return word or "0"


def _hours(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d} h:m"
