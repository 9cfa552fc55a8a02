"""A Heidolph MR Hei-Connect hotplate stirrer that answers NAMUR lines by their own names.

What it does not know, or will not do, it passes over in silence; a command that comes before the
one before was answered is lost (the manual asks for 100 ms between them). Assumed, not in the
manual: that heating and stirring pause while "PC Err" is shown, and the answers before PA_NEW.
Sources: manual of the Heidolph MR Hei-Standard, Hei-Tec and Hei-Connect, pages 23-24; Hei-PLATE
manual, page 125 (999.9).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from labctl.twin import Plant, TwinDevice

_NS = 1_000_000_000
_LAG_S, _PLATE_LAG_S = 1.0, 180.0
_ROOM_C = 22.0
_TURN_ROUND_NS = 10_000_000
_PAUSE_NS = 9_000_000
_CHECK_NS = 10 * _NS
_LEAST_RPM, _MOST_RPM, _MOST_C = 100.0, 1400.0, 300.0
_LONGEST = 80
_NO_SENSOR = "999.9"
_SAFETY_DELTA_C = 50.0
_VERSION = "MR Hei-Connect V1.23"
_NUMBER = re.compile(r"\d{1,4}(\.\d+)?", re.ASCII)


class SimHeiConnect:
    """The stirrer's protocol, its motor, its plate and its connection check.

    `touches["speed"]` turns, `touches["probe2"]` is where its external probe sits; without one
    IN_PV_1 says 999.9. Faults: `fail`, `block` (a person stops it), `power_cycle`.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.error = 0
        self.pc_error = False
        self._plant = plant
        self._touches = device.touches
        self._line = bytearray()
        self._at_ns = 0
        self._heard_ns = -_NS
        self._checked = False
        self._remote = False
        self._speed_rpm, self._plate_c = 0.0, _ROOM_C
        self._set_c, self._set_rpm = 25.0, 100.0
        self._heating = self._stirring = False
        self._modes = {"2": 0, "4": 1}
        self._reads: dict[str, Callable[[], str]] = {
            "IN_PV_1": self._probe,
            "IN_PV_2": self._probe,
            "IN_PV_3": lambda: f"{self._plate_c:.1f}",
            "IN_PV_4": lambda: f"{self._plate_c:.1f}",
            "IN_PV_5": lambda: f"{self._speed_rpm:.0f}",
            "IN_SP_1": lambda: f"{self._set_c:.0f}",
            "IN_SP_2": lambda: f"{_SAFETY_DELTA_C:.0f}",
            "IN_SP_3": lambda: f"{self._set_rpm:.0f}",
            "IN_MODE_1": lambda: "1" if "probe2" in self._touches else "0",
            "IN_MODE_2": lambda: str(self._modes["2"]),
            "IN_MODE_4": lambda: str(self._modes["4"]),
            "STATUS": lambda: str(self._status()),
        }
        self._switches: dict[str, Callable[[], None]] = {
            "START_1": lambda: self._switch(heating=True),
            "STOP_1": lambda: self._switch(heating=False),
            "START_2": lambda: self._switch(stirring=True),
            "STOP_2": lambda: self._switch(stirring=False),
            "CC_ON": lambda: self._check(on=True),
            "CC_OFF": lambda: self._check(on=False),
            "PA_NEW": lambda: None,
            "PA_OLD": lambda: None,
            "RESET": self._reset,
        }

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return (delay in ns, line) for each command it heard."""
        self.advance(t_ns)
        replies = []
        for byte in data:
            if byte != 0x0A:
                self._line.append(byte)
                continue
            command = self._line.decode("latin-1").strip(" \r")
            self._line.clear()
            reply = self._hear(command, t_ns) if command else ""
            if reply:
                replies.append((_TURN_ROUND_NS, f"{reply}\r\n".encode("ascii")))
        return replies

    def advance(self, t_ns: int) -> None:
        """Turn, warm and watch the connection until `t_ns`."""
        due_ns = self._heard_ns + _CHECK_NS
        active = self._heating or self._stirring
        if self._checked and active and not self.pc_error and due_ns <= t_ns:
            self._move(due_ns)
            self.pc_error = True
        self._move(t_ns)

    def fail(self, error: int) -> None:
        """Show an error, below -1; it ends heating and stirring until the power is cut."""
        self.error = error
        self._heating = self._stirring = False

    def block(self) -> None:
        """Have a person stop it at its knobs: remote control is blocked."""
        self.fail(-1)

    def power_cycle(self) -> None:
        """Switch off and on: all off, remote operation and connection check ended."""
        self.error = 0
        self._line.clear()
        self._reset()

    def _hear(self, command: str, t_ns: int) -> str:
        if len(command) > _LONGEST or t_ns - self._heard_ns < _PAUSE_NS:
            return ""
        self._heard_ns = t_ns
        self.pc_error = False
        if command == "SW_VERS":
            return _VERSION
        if command in self._reads:
            return f"{command} {self._reads[command]()}"
        if command in self._switches:
            if self.error and command.startswith("START"):
                return ""
            self._switches[command]()
            return command
        return self._set(command)

    def _set(self, command: str) -> str:
        name, _, text = command.partition(" ")
        if not _NUMBER.fullmatch(text):
            return ""
        value = float(text)
        if name == "OUT_SP_1" and value <= _MOST_C:
            self._set_c = value
            return f"{name} {value:.0f}"
        if name == "OUT_SP_3" and _LEAST_RPM <= value <= _MOST_RPM:
            self._set_rpm = value
            return f"{name} {value:.0f}"
        if name in {"OUT_MODE_2", "OUT_MODE_4"} and text in {"0", "1"}:
            self._modes[name[-1]] = int(text)
            return f"IN_MODE_{name[-1]} {text}"
        return ""

    def _status(self) -> int:
        if self.error:
            return self.error
        if not self._remote:
            return 0
        return 1 if self._heating or self._stirring else 2

    def _switch(self, *, heating: bool | None = None, stirring: bool | None = None) -> None:
        self._remote = True
        self._heating = self._heating if heating is None else heating
        self._stirring = self._stirring if stirring is None else stirring

    def _check(self, *, on: bool) -> None:
        self._checked = on

    def _reset(self) -> None:
        self._heating = self._stirring = self._checked = self._remote = self.pc_error = False

    def _move(self, t_ns: int) -> None:
        passed_s = (t_ns - self._at_ns) / _NS
        self._at_ns = t_ns
        if passed_s <= 0:
            return
        going = not self.pc_error
        speed_rpm = self._set_rpm if self._stirring and going else 0.0
        if self._speed_rpm != speed_rpm:
            self._speed_rpm = _follow(self._speed_rpm, speed_rpm, passed_s / _LAG_S, 0.05)
            self._plant.put(self._touches.get("speed", "stirrer"), self._speed_rpm, t_ns)
        plate_c = max(self._set_c, _ROOM_C) if self._heating and going else _ROOM_C
        if self._plate_c != plate_c:
            self._plate_c = _follow(self._plate_c, plate_c, passed_s / _PLATE_LAG_S, 0.01)

    def _probe(self) -> str:
        if "probe2" not in self._touches:
            return _NO_SENSOR
        return f"{self._plant.get(self._touches['probe2'], self._at_ns):.1f}"


def _follow(value: float, target: float, lags: float, close: float) -> float:
    """Approach a target as a first-order lag does in `lags` time constants; arrive when close."""
    value = target + (value - target) * math.exp(-lags)
    return target if abs(value - target) < close else value
