"""An IKA RCT digital hotplate stirrer that answers NAMUR lines.

Only reads and commands with an @ are answered; what it does not know, or will not do, it passes
over in silence. Source: IKA Plate (RCT digital) manual, "Interfaces and outputs". The safety
temperature keeps settings 50 K below it; an error ends with RESET or with the power.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from labctl.twin import Plant, TwinDevice

_NS = 1_000_000_000
_LAG_S = 1.0
_PLATE_LAG_S = 180.0
_ROOM_C = 22.0
_TURN_ROUND_NS = 10_000_000
_MOST_RPM, _MOST_C, _SAFETY_C, _SAFETY_MARGIN_K = 1500.0, 310.0, 360.0, 50.0
_WATCHDOG_S = (20, 1500)
_LONGEST = 80
_NAME = "RCT digital"
_NUMBER = re.compile(r"\d{1,4}(\.\d+)?", re.ASCII)


class SimIkaRct:
    """The stirrer's protocol, its motor and its plate.

    `touches["speed"]` turns, `touches["probe2"]` is where its external probe sits; without one the
    probe's value is the plate's. Faults by `fail` and `power_cycle`.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.error = ""
        self._plant = plant
        self._touches = device.touches
        self._line = bytearray()
        self._at_ns = 0
        self._mode = "A"
        self._speed_rpm = 0.0
        self._plate_c = _ROOM_C
        self._set_c, self._set_rpm = 0.0, 0.0
        self._safe_c, self._safe_rpm = 0.0, 0.0
        self._heating = self._stirring = False
        self._watchdog = _Watchdog()
        self._reads: dict[str, Callable[[], str]] = {
            "IN_NAME": lambda: _NAME,
            "IN_PV_1": lambda: f"{self._probe_c():.1f} 1",
            "IN_PV_2": lambda: f"{self._plate_c:.1f} 2",
            "IN_PV_4": lambda: f"{self._speed_rpm:.1f} 4",
            "IN_PV_5": lambda: "0.0 5",
            "IN_SP_1": lambda: f"{self._set_c:.1f} 1",
            "IN_SP_3": lambda: f"{_SAFETY_C:.1f} 3",
            "IN_SP_4": lambda: f"{self._set_rpm:.1f} 4",
        }
        self._switches: dict[str, Callable[[], None]] = {
            "START_1": lambda: self._switch(heating=True),
            "STOP_1": lambda: self._switch(heating=False),
            "START_4": lambda: self._switch(stirring=True),
            "STOP_4": lambda: self._switch(stirring=False),
            "RESET": self._reset,
        }

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return (delay in ns, line) for each question."""
        self.advance(t_ns)
        replies = []
        self._line += data
        while (end := self._line.find(b"\n")) >= 0:
            command = self._line[:end].decode("latin-1").strip(" \r")
            del self._line[: end + 1]
            reply = self._obey(command, t_ns) if len(command) <= _LONGEST else ""
            if reply:
                replies.append((_TURN_ROUND_NS, f"{reply} \r\n".encode("ascii")))
        return replies

    def advance(self, t_ns: int) -> None:
        """Turn, warm and watch until `t_ns`."""
        if self._watchdog.expires(t_ns):
            self._move(self._watchdog.due_ns)
            self._bite()
        self._move(t_ns)

    def fail(self, error: str) -> None:
        """Show an error: Er02 watchdog, Er03 too hot inside, Er04 motor; all end heating."""
        self.error = error
        self._heating = False
        if error != "Er03":
            self._stirring = False

    def power_cycle(self) -> None:
        """Switch off and on; only in mode B it goes on as before."""
        self.error = ""
        self._watchdog = _Watchdog()
        if self._mode != "B":
            self._heating = self._stirring = False

    def turn(self, speed_rpm: float, t_ns: int) -> None:
        """Turn the knob of the speed."""
        self.advance(t_ns)
        self._set_rpm = min(max(speed_rpm, 0.0), _MOST_RPM)

    def _obey(self, command: str, t_ns: int) -> str:
        if command in self._reads:
            return self._reads[command]()
        if command in self._switches:
            self._switches[command]()
        elif command.startswith("SET_MODE_") and command[9:] in {"A", "B", "D"}:
            self._mode = command[9:]
        elif "@" in command:
            return self._set_with_echo(command, t_ns)
        else:
            self._set(command)
        return ""

    def _set(self, command: str) -> None:
        name, _, text = command.partition(" ")
        text = text.strip()
        if not _NUMBER.fullmatch(text):
            return
        value = float(text)
        if name == "OUT_SP_1" and value <= min(_MOST_C, _SAFETY_C - _SAFETY_MARGIN_K):
            self._set_c = value
        elif name == "OUT_SP_4" and value <= _MOST_RPM:
            self._set_rpm = value

    def _set_with_echo(self, command: str, t_ns: int) -> str:
        name, _, text = command.partition("@")
        if not text.isascii() or not text.isdigit():
            return ""
        value = int(text)
        if name == "OUT_SP_12" and value <= _MOST_C:
            self._safe_c = value
        elif name == "OUT_SP_42" and value <= _MOST_RPM:
            self._safe_rpm = value
        elif name not in {"OUT_WD1", "OUT_WD2"} or not self._watchdog.arm(name[-1], value, t_ns):
            return ""
        return str(value)

    def _switch(self, *, heating: bool | None = None, stirring: bool | None = None) -> None:
        self._heating = self._heating if heating is None else heating and not self.error
        if stirring is not None:
            self._stirring = stirring and self.error in {"", "Er03"}

    def _reset(self) -> None:
        self.error = ""
        self._heating = self._stirring = False
        self._watchdog = _Watchdog()

    def _bite(self) -> None:
        if self._watchdog.mode == "1":
            self.fail("Er02")
        else:
            self._set_c, self._set_rpm = self._safe_c, self._safe_rpm
        self._watchdog = _Watchdog()

    def _move(self, t_ns: int) -> None:
        passed_s = (t_ns - self._at_ns) / _NS
        self._at_ns = t_ns
        if passed_s <= 0:
            return
        speed_rpm = self._set_rpm if self._stirring else 0.0
        if self._speed_rpm != speed_rpm:
            self._speed_rpm = _follow(self._speed_rpm, speed_rpm, passed_s / _LAG_S, 0.05)
            self._plant.put(self._touches.get("speed", "stirrer"), self._speed_rpm, t_ns)
        plate_c = max(self._set_c, _ROOM_C) if self._heating else _ROOM_C
        if self._plate_c != plate_c:
            self._plate_c = _follow(self._plate_c, plate_c, passed_s / _PLATE_LAG_S, 0.01)

    def _probe_c(self) -> float:
        if "probe2" not in self._touches:
            return self._plate_c
        return self._plant.get(self._touches["probe2"], self._at_ns)


class _Watchdog:
    """Waits for its own command to come again within its time."""

    def __init__(self) -> None:
        self.mode = ""
        self.due_ns = 0

    def arm(self, mode: str, time_s: int, t_ns: int) -> bool:
        """Start to wait, or with WD2@0 stop; return whether the time is one it knows."""
        if mode == "2" and time_s == 0:
            self.mode = ""
            return True
        if not _WATCHDOG_S[0] <= time_s <= _WATCHDOG_S[1]:
            return False
        self.mode, self.due_ns = mode, t_ns + time_s * _NS
        return True

    def expires(self, t_ns: int) -> bool:
        """Say whether it has waited too long at `t_ns`."""
        return bool(self.mode) and self.due_ns <= t_ns


def _follow(value: float, target: float, lags: float, close: float) -> float:
    """Approach a target as a first-order lag does in `lags` time constants; arrive when close."""
    value = target + (value - target) * math.exp(-lags)
    return target if abs(value - target) < close else value
