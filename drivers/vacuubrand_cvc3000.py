"""Vacuubrand CVC 3000 (and VNC 2): a membrane pump kept at a pressure; never vents.

The inlet is behind a flask under inert gas, so no command that opens the air-admittance valve
(OUT_VENT, OUT_SP_V) is in this driver, and an open one is an error wherever the status is read.
Writes are answered only while ECHO is on and only if they were executed; they work only in remote
operation. Ten commands a second at most: give the port a gap of 100 ms. Sources: manuals 999222
pages 40-45, 999161 page 36, 999199 page 31, 999248 page 44.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.capabilities import DeviceSettings, Identity, Look
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.framing import until
from labctl.readings import Channel
from labctl.transport import Port, Priority
from labctl.units import TORR_MBAR

_LOW_MBAR, _HIGH_MBAR = 1.0, 1100.0
_ABSURD_MBAR = 2000.0
_TIMEOUT_S = 0.5
_PUMP_DOWN, _VAC_CONTROL = 1, 2
_MBAR_PER_UNIT = {b"mbar": 1.0, b"hPa": 1.0, b"Torr": TORR_MBAR}
_FAULTS = (
    "pump",
    "in-line valve",
    "coolant valve",
    "vent valve",
    "overpressure",
    "pressure transducer",
    "external (catchpot full?)",
    "internal",
)

_TRANSDUCER = _FAULTS.index("pressure transducer")

_LINE = until(b"\r\n")
_PRESSURE = re.compile(rb"(\d{4}(?:\.\d)?) (mbar|Torr|hPa)\r\n")
_STATUS = re.compile(rb"([01])([01])[01]([01])([0-4])([0-3])\r\n")
_ERRORS = re.compile(rb"(?:[01]{4}|[01]{9})\r\n")
_FAULT_DIGITS = re.compile(rb"[01]{9}\r\n")
_VERSION = re.compile(rb"([A-Z]{3} [0-9A-Z ]+?) V(\d+\.\d+)\r\n")


@dataclass(frozen=True, slots=True)
class _Status:
    """What IN_STAT says: pump on, inlet (in-line valve) open, mode, and 0 while control is off."""

    pump: bool
    inlet: bool
    mode: int
    control: int

    @property
    def at_rest(self) -> bool:
        """Whether nothing is pumped and the inlet is closed."""
        return not (self.pump or self.inlet or self.control)


class VacuubrandCvc3000:
    """The capability `VacuumPump`; channels are pressure (mbar) and pumping (0 or 1)."""

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (Channel("pressure", "pressure"), Channel("pumping", "fraction"))
        self._port = port
        self._low_mbar = max(_LOW_MBAR, settings.setpoint_low)
        self._high_mbar = min(_HIGH_MBAR, settings.setpoint_high or _HIGH_MBAR)
        self._mbar_per_unit = 1.0
        self._pressure_mbar: float | None = None
        self._pumping: float | None = None
        self._sensor_failed = False
        self._turn = 0

    async def connect(self) -> Identity:
        """Take remote control, choose the CVC 3000 commands, read version, faults and state.

        Raises:
            RefusedByDeviceError: the controller reports a fault or an open vent valve.
            GarbledError: an answer outside the protocol.
            NoReplyError: no answer.
            PortLostError: the port is gone.
        """
        await self._take_over(Priority.COMMAND)
        _, model, firmware = await self._ask(b"IN_VER", _VERSION, "MODEL Vx.xx")
        (errors,) = await self._ask(b"IN_ERR", _FAULT_DIGITS, "9 digits")
        found = [what for digit, what in zip(errors[:8], _FAULTS, strict=True) if digit == ord("1")]
        if found:
            raise RefusedByDeviceError(self.name, "IN_ERR", "no fault", ", ".join(found))
        self._sensor_failed = False
        self._pressure_mbar = await self._read_mbar(b"IN_PV_1")
        await self._status()
        return Identity("Vacuubrand", model.decode(), firmware=firmware.decode())

    async def look(self) -> Look:
        """Read version, pressure and its unit without taking control; raises as `connect`."""
        _, model, firmware = await self._ask(b"IN_VER", _VERSION, "MODEL Vx.xx")
        pressure_mbar = await self._read_mbar(b"IN_PV_1")
        facts = {
            "unit": f"{self._mbar_per_unit:g} mbar",
            "pressure": f"{pressure_mbar:.4g} mbar",
            "setpoints": f"{self._low_mbar:g} .. {self._high_mbar:g} mbar",
        }
        return Look(Identity("Vacuubrand", model.decode(), firmware=firmware.decode()), facts)

    async def poll(self) -> Sequence[float | None]:
        """Read pressure, state, pressure, faults by turns, one command a poll; the rest is older.

        While the controller reports a fault of its pressure transducer there is no pressure. After
        a failed poll nothing is known until it was read again.

        Raises:
            RefusedByDeviceError: the vent valve is open.
            GarbledError: an answer outside the protocol.
            DeviceError: the port is gone, or no answer.
        """
        turn, self._turn = self._turn, 0
        try:
            if turn in {0, 2}:
                self._pressure_mbar = await self._read_mbar(b"IN_PV_1", Priority.POLL)
            elif turn == 1:
                await self._status(Priority.POLL)
            else:
                (errors,) = await self._ask(b"IN_ERR", _FAULT_DIGITS, "9 digits", Priority.POLL)
                self._sensor_failed = errors[_TRANSDUCER : _TRANSDUCER + 1] == b"1"
        except DeviceError:
            self._pressure_mbar = self._pumping = None
            raise
        self._turn = (turn + 1) % 4
        return None if self._sensor_failed else self._pressure_mbar, self._pumping

    async def pump_to(self, pressure_mbar: float) -> None:
        """Control at a pressure of 1 .. 1100 mbar (or what the rig allows); 0 pumps down freely.

        The controller takes whole units of its display; the setpoint is read back before the start.

        Raises:
            OutOfRangeError: beyond the limits; nothing was sent.
            RefusedByDeviceError: not executed, not as read back, or the vent valve is open.
            GarbledError: an answer outside the protocol.
            NoReplyError: no answer; the pump may or may not run.
            PortLostError: the port is gone.
        """
        mode = _VAC_CONTROL if pressure_mbar else _PUMP_DOWN
        if pressure_mbar and not self._low_mbar <= pressure_mbar <= self._high_mbar:
            expected = f"0, or {self._low_mbar:g} .. {self._high_mbar:g} mbar"
            raise OutOfRangeError(self.name, "pump_to", expected, f"{pressure_mbar:g} mbar")
        status = await self._status()
        if status.control and status.mode != mode:
            await self.stop()
            status = await self._status()
        if status.mode != mode:
            await self._write(b"OUT_MODE", mode)
        if mode == _VAC_CONTROL:
            await self._set_mbar(pressure_mbar)
        if not status.control:
            await self._write(b"START", 1)
        status = await self._status()
        if not status.control or status.mode != mode:
            raise RefusedByDeviceError(self.name, "START", f"control on, mode {mode}", repr(status))

    async def stop(self) -> None:
        """Stop pumping and close the inlet; nothing is vented.

        Raises:
            RefusedByDeviceError: it still pumps, or the inlet or the vent valve is open.
            GarbledError: an answer outside the protocol.
            NoReplyError: no answer; the pump may still run.
            PortLostError: the port is gone.
        """
        await self._stop(Priority.COMMAND)

    async def make_safe(self) -> None:
        """Stop, before all else that waits on the line; raises like `stop`."""
        await self._stop(Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Take remote control, which a power cut ends, and stop; twice for a line left half said.

        Four commands: whoever sends them keeps to ten a second.
        """
        return (b"REMOTE 1\r\n", b"STOP 1\r\n") * 2

    async def _stop(self, priority: Priority) -> None:
        try:
            await self._write(b"STOP 1", 1, priority)
        except (NoReplyError, RefusedByDeviceError):
            # After a power cut it is in local operation and mute; stopping twice is harmless.
            await self._take_over(priority)
            await self._write(b"STOP 1", 1, priority)
        status = await self._status(priority)
        if not status.at_rest:
            expected = "pump off, inlet closed, control off"
            raise RefusedByDeviceError(self.name, "STOP 1", expected, repr(status))

    async def _take_over(self, priority: Priority) -> None:
        with contextlib.suppress(NoReplyError):  # only an echoing controller answers this
            await self._port.ask(
                self.name, b"REMOTE 1\r\n", _LINE, timeout_s=_TIMEOUT_S, priority=priority
            )
        await self._write(b"ECHO", 1, priority)
        await self._write(b"CVC", 3, priority)

    async def _set_mbar(self, pressure_mbar: float) -> None:
        unit_mbar = self._mbar_per_unit
        await self._write(b"OUT_SP_1", round(pressure_mbar / unit_mbar))
        set_mbar = await self._read_mbar(b"IN_SP_1")
        if abs(set_mbar - pressure_mbar) > 0.51 * unit_mbar:
            expected = f"{pressure_mbar:g} mbar read back"
            raise RefusedByDeviceError(self.name, "OUT_SP_1", expected, f"{set_mbar:g} mbar")

    async def _read_mbar(self, command: bytes, priority: Priority = Priority.COMMAND) -> float:
        _, number, unit = await self._ask(command, _PRESSURE, "dddd mbar|Torr|hPa", priority)
        self._mbar_per_unit = _MBAR_PER_UNIT[unit]
        pressure_mbar = float(number) * self._mbar_per_unit
        if pressure_mbar > _ABSURD_MBAR:
            expected = f"at most {_ABSURD_MBAR:g} mbar"
            raise GarbledError(self.name, command.decode(), expected, f"{pressure_mbar:g} mbar")
        return pressure_mbar

    async def _status(self, priority: Priority = Priority.COMMAND) -> _Status:
        expected = "6 digits: pump, in-line, coolant, vent, mode, state"
        _, pump, inlet, vent, mode, control = await self._ask(
            b"IN_STAT", _STATUS, expected, priority
        )
        status = _Status(pump == b"1", inlet == b"1", int(mode), int(control))
        self._pumping = 1.0 if status.pump or status.control else 0.0
        if vent == b"1":
            what = "open: air enters the line; close it at the controller"
            raise RefusedByDeviceError(self.name, "IN_STAT", "vent valve closed", what)
        return status

    async def _write(
        self, command: bytes, value: int, priority: Priority = Priority.COMMAND
    ) -> None:
        has_parameter = command not in {b"START", b"STOP 1"}
        line = b"%b %d" % (command, value) if has_parameter else command
        try:
            reply = await self._port.ask(
                self.name, line + b"\r\n", _LINE, timeout_s=_TIMEOUT_S, priority=priority
            )
        except NoReplyError:
            (errors,) = await self._ask(b"IN_ERR", _ERRORS, "4 or 9 digits", priority)
            if errors[-3:-2] == b"1":
                got = "last command incorrect"
                raise RefusedByDeviceError(self.name, line.decode(), str(value), got) from None
            raise
        if reply.strip().lstrip(b"0") != b"%d" % value:
            raise GarbledError(self.name, line.decode(), str(value), repr(reply))

    async def _ask(
        self,
        command: bytes,
        grammar: re.Pattern[bytes],
        expected: str,
        priority: Priority = Priority.COMMAND,
    ) -> tuple[bytes, ...]:
        reply = await self._port.ask(
            self.name, command + b"\r\n", _LINE, timeout_s=_TIMEOUT_S, priority=priority
        )
        match = grammar.fullmatch(reply)
        if match is None:
            raise GarbledError(self.name, command.decode(), expected, repr(reply))
        return (match[0], *match.groups())
