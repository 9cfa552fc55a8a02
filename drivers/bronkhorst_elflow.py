"""Bronkhorst EL-FLOW mass flow controllers over ProPar: inert gas in sccm.

The protocol has no checksum. So each poll asks for measure and setpoint twice in one message, as a
whole number (32000 is 100 %) and in units of the capacity, and takes neither unless they agree.
Sources: Bronkhorst RS232 interface with ProPar protocol 9.17.027; parameter list 9.17.023 (process
1: measure 0, setpoint 1, control mode 4, capacity 13, fluid 17, alarm 20, unit 31; process 33:
fmeasure 0, fsetpoint 3; process 113: model 2, serial 3, firmware 5, user tag 6).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.capabilities import DeviceSettings, Gate, Identity, Look
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.framing.propar import Message, find_message, reply_to, seal
from labctl.readings import Channel
from labctl.transport import Port, Priority

_TIMEOUT_S = 0.5
_ANY_NODE = 0x80
_FULL = 32000
_MOST, _WRAP = 41942, 0xFFFF
_AGREE = 0.005
_SEND_ACKNOWLEDGED, _SEND, _ASK, _STATUS = 1, 2, 4, 0
_BYTE, _WORD, _LONG, _TEXT = 0x00, 0x20, 0x40, 0x60
_CHAINED = 0x80
_SIZES = {_BYTE: 1, _WORD: 2, _LONG: 4}
_ERROR = 0x01
# Setpoints from the line: 0 bus or RS-232, 18 RS-232 only.
_CONTROL_MODES = frozenset({0, 18})
_NORMAL, _STANDARD = 298.15 / 273.15, 298.15 / 293.15
_SCCM = {"mln/min": _NORMAL, "ln/min": 1e3 * _NORMAL, "mls/min": _STANDARD,
         "ls/min": 1e3 * _STANDARD, "sccm": _STANDARD, "slm": 1e3 * _STANDARD}  # fmt: skip
_STATUSES = {1: "process is claimed", 2: "unknown command", 3: "unknown process",
             4: "unknown parameter", 5: "wrong type", 6: "value out of range",
             13: "read only", 17: "write only"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One parameter: process, number and type."""

    process: int
    number: int
    type: int

    @property
    def key(self) -> int:
        """Type and number in one byte."""
        return self.type | self.number


_MEASURE, _SETPOINT = _Parameter(1, 0, _WORD), _Parameter(1, 1, _WORD)
_MODE, _ALARM = _Parameter(1, 4, _BYTE), _Parameter(1, 20, _BYTE)
_CAPACITY = _Parameter(1, 13, _LONG)
_FLUID, _UNIT = _Parameter(1, 17, _TEXT), _Parameter(1, 31, _TEXT)
_F_MEASURE, _F_SETPOINT = _Parameter(33, 0, _LONG), _Parameter(33, 3, _LONG)
_MODEL, _SERIAL = _Parameter(113, 2, _TEXT), _Parameter(113, 3, _TEXT)
_FIRMWARE, _TAG = _Parameter(113, 5, _TEXT), _Parameter(113, 6, _TEXT)
_POLLED = (_MEASURE, _SETPOINT, _ALARM, _F_MEASURE, _F_SETPOINT)


class BronkhorstElflow:
    """The capability `MassFlowController`; channels are flow and setpoint in sccm.

    `tag` is the user's name for the instrument, read at connect.
    """

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (Channel("flow", "gas flow"), Channel("setpoint", "gas flow"))
        self.gas = settings.gas
        self.tag = ""
        self.full_scale_sccm = 0.0
        self._port = port
        self._node = settings.address or _ANY_NODE
        self._high_sccm = settings.flow_high_sccm
        self._rests_closed = settings.rests_closed
        self._capacity = 0.0
        self._sequence = 0

    async def connect(self) -> Identity:
        """Read who it is, capacity, unit and fluid; check that setpoints come from the line.

        Raises:
            RefusedByDeviceError: another gas, setpoints from elsewhere, a unit not known here, or
                a limit of the rig above full scale.
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer.
        """
        serial, model, firmware, self.tag, fluid, unit = [
            await self._text(parameter)
            for parameter in (_SERIAL, _MODEL, _FIRMWARE, _TAG, _FLUID, _UNIT)
        ]
        (capacity,) = await self._values((_CAPACITY,))
        (mode,) = await self._values((_MODE,))
        if fluid != self.gas:
            raise RefusedByDeviceError(self.name, "its fluid", self.gas, fluid)
        if unit not in _SCCM:
            expected = f"capacity in one of {', '.join(_SCCM)}"
            raise RefusedByDeviceError(self.name, "its unit", expected, repr(unit))
        if mode not in _CONTROL_MODES:
            expected = "0 or 18: setpoints from the line"
            raise RefusedByDeviceError(self.name, "its control mode", expected, f"{mode:g}")
        if not 0.0 < capacity < 1e7:
            raise GarbledError(self.name, "its capacity", "0 .. 1e7", f"{capacity:g}")
        self._capacity = capacity
        self.full_scale_sccm = capacity * _SCCM[unit]
        self._high_sccm = self._high_sccm or self.full_scale_sccm
        if self._high_sccm > self.full_scale_sccm * 1.001:
            limit = f"limits.flow up to {self._high_sccm:g} sccm"
            expected = f"at most its full scale, {self.full_scale_sccm:g} sccm"
            raise RefusedByDeviceError(self.name, "its full scale", expected, limit)
        return Identity("Bronkhorst", model, serial, firmware)

    async def look(self) -> Look:
        """Connect, which sets nothing here; raises what it raises."""
        identity = await self.connect()
        scale = f"{self.full_scale_sccm:g} sccm, the rig allows {self._high_sccm:g} sccm"
        unit = f"{self.full_scale_sccm / self._capacity:g} sccm"
        return Look(identity, {"unit": unit, "gas": self.gas, "full scale": scale})

    async def poll(self) -> Sequence[float | None]:
        """Read flow and setpoint in sccm; None while the instrument reports an error.

        Raises:
            GarbledError: an answer outside the protocol, or numbers that disagree, twice.
            NoReplyError: no answer.
        """
        for _ in range(2):
            measure, setpoint, alarm, *in_units = await self._values(_POLLED, Priority.POLL)
            shares = (_signed(measure) / _FULL, _signed(setpoint) / _FULL)
            said = [value / self._capacity if self._capacity else math.nan for value in in_units]
            if all(abs(a - b) <= _AGREE for a, b in zip(shares, said, strict=True)):
                if int(alarm) & _ERROR:
                    return None, None
                return said[0] * self.full_scale_sccm, said[1] * self.full_scale_sccm
        expected = "the same as whole numbers and in units"
        raise GarbledError(self.name, "measure and setpoint", expected, f"{shares}, {said}")

    async def set_flow(self, flow_sccm: float, gate: Gate | None = None) -> None:
        """Let in a flow of 0 .. the rig's limit in sccm; the setpoint is read back.

        Raises:
            OutOfRangeError: beyond the limits, or below a 32000th of full scale; nothing was sent.
            RefusedByDeviceError: refused, or the setpoint reads back differently.
            GarbledError: an answer outside the protocol.
            NoReplyError: no answer; the flow may or may not have changed.
        """
        least_sccm = self.full_scale_sccm / _FULL
        if flow_sccm != 0.0 and not least_sccm <= flow_sccm <= self._high_sccm:
            expected = f"0, or {least_sccm:g} .. {self._high_sccm:g} sccm"
            raise OutOfRangeError(self.name, "set_flow", expected, f"{flow_sccm:g} sccm")
        share = flow_sccm / self.full_scale_sccm if flow_sccm else 0.0
        await self._set(min(_FULL, round(_FULL * share)), Priority.COMMAND, gate)

    async def close(self) -> None:
        """Shut the valve; raises like `set_flow`."""
        await self._set(0, Priority.COMMAND)

    async def make_safe(self) -> None:
        """Shut the valve where the rig rests it closed, else leave the purge; as `close`."""
        if self._rests_closed:
            await self._set(0, Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Shut the valve where the rig rests it closed; else none, since a purge keeps air out."""
        if not self._rests_closed:
            return ()
        return (seal(0, self._node, _sent(0)),)

    async def _set(self, raw: int, priority: Priority, gate: Gate | None = None) -> None:
        asked = f"setpoint {raw}"
        message = await self._exchange(_sent(raw), priority, gate)
        if message.data[:1] != bytes((_STATUS,)) or len(message.data) != 3:
            raise GarbledError(self.name, asked, "a status", message.data.hex(" "))
        self._check_status(message, asked)
        (got,) = await self._values((_SETPOINT,), priority)
        if got != raw:
            raise RefusedByDeviceError(self.name, asked, f"{raw} read back", f"{got:g}")

    async def _values(
        self, parameters: tuple[_Parameter, ...], priority: Priority = Priority.COMMAND
    ) -> list[float]:
        """Ask for numbers, once more after garbled bytes.

        Raises:
            GarbledError: twice no answer to these parameters.
        """
        error, said = "", b""
        for _ in range(2):
            message = await self._exchange(_question(parameters), priority)
            self._check_status(message, str(parameters))
            try:
                return _numbers(message.data, parameters)
            except ValueError as wrong:
                error, said = str(wrong), message.data
        raise GarbledError(self.name, str(parameters), error, said.hex(" "))

    async def _text(self, parameter: _Parameter) -> str:
        head = bytes((_SEND, parameter.process, parameter.key))
        for _ in range(2):
            message = await self._exchange(_question((parameter,)), Priority.COMMAND)
            self._check_status(message, str(parameter))
            count, body = message.data[3:4], message.data[4:]
            text = body.removesuffix(b"\0") if count == b"\0" else body
            whole = count in {b"\0", bytes((len(body),))}
            if message.data.startswith(head) and whole and text.isascii():
                return text.decode("ascii").strip(" \0")
        raise GarbledError(self.name, str(parameter), "a text", message.data.hex(" "))

    async def _exchange(self, data: bytes, priority: Priority, gate: Gate | None = None) -> Message:
        self._sequence = self._sequence % 255 + 1
        frame = reply_to(self._sequence, self._node)
        question = seal(self._sequence, self._node, data)
        reply = await self._port.ask(
            self.name, question, frame, timeout_s=_TIMEOUT_S, priority=priority, gate=gate
        )
        found: Message | None = None
        at = 0
        while (message := find_message(reply, at)) is not None:
            found, at = message, message.end
        if found is None:
            raise GarbledError(self.name, question.hex(" "), "a message", reply.hex(" "))
        return found

    def _check_status(self, message: Message, asked: str) -> None:
        """Raise what a status other than 0 says.

        Raises:
            RefusedByDeviceError: the instrument refused.
        """
        if message.data[:1] == bytes((_STATUS,)) and len(message.data) >= 2 and message.data[1]:
            code = message.data[1]
            got = _STATUSES.get(code, "status") + f" ({code})"
            raise RefusedByDeviceError(self.name, asked, "status 0", got)


def _sent(raw: int) -> bytes:
    head = bytes((_SEND_ACKNOWLEDGED, _SETPOINT.process, _SETPOINT.key))
    return head + struct.pack(">H", raw)


def _question(parameters: tuple[_Parameter, ...]) -> bytes:
    """Write one question for several parameters, those of a process in a row."""
    out = bytearray((_ASK,))
    for n, parameter in enumerate(parameters):
        rest = parameters[n + 1 :]
        if n == 0 or parameters[n - 1].process != parameter.process:
            more = any(other.process != parameter.process for other in rest)
            out.append(parameter.process | (_CHAINED if more else 0))
        chained = bool(rest) and rest[0].process == parameter.process
        out.append(parameter.key | (_CHAINED if chained else 0))
        out += bytes((parameter.process, parameter.key))
        if parameter.type == _TEXT:
            out.append(0)
    return bytes(out)


def _numbers(data: bytes, parameters: tuple[_Parameter, ...]) -> list[float]:
    """Read the numbers of an answer, whose marks must be those of the question.

    Raises:
        ValueError: it is no answer to these parameters.
    """
    if data[:1] != bytes((_SEND,)):
        raise ValueError("a send parameter message")
    values: list[float] = []
    at, process = 1, -1
    for parameter in parameters:
        if parameter.process != process:
            process = parameter.process
            if data[at : at + 1] not in {bytes((process,)), bytes((process | _CHAINED,))}:
                raise ValueError(f"process {process}")
            at += 1
        if data[at : at + 1] not in {bytes((parameter.key,)), bytes((parameter.key | _CHAINED,))}:
            raise ValueError(f"parameter {parameter.number} of process {process}")
        piece = data[at + 1 : at + 1 + _SIZES[parameter.type]]
        at += 1 + len(piece)
        values.append(_number(piece, parameter.type))
    if at != len(data):
        raise ValueError("nothing behind the last parameter")
    return values


def _number(piece: bytes, type_: int) -> float:
    if len(piece) != _SIZES[type_]:
        raise ValueError("a whole number")
    if type_ != _LONG:
        return float(int.from_bytes(piece))
    (value,) = struct.unpack(">f", piece)
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return float(value)


def _signed(raw: float) -> float:
    """Read Bronkhorst's signed 16 bits: up to 41942 above zero, the rest below."""
    return raw if raw <= _MOST else raw - _WRAP
