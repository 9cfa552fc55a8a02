"""A simulated Bronkhorst EL-FLOW that speaks binary ProPar, node 3.

It answers to its own node and to 0x80 and is silent for others. Reads and writes may be chained;
the first parameter that cannot be had ends the message with its status. Sources: Bronkhorst RS232
interface with ProPar protocol 9.17.027, parameter list 9.17.023. ASCII ProPar is left out.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

from labctl.framing.propar import DLE, find_message, seal
from labctl.twin import Plant, TwinDevice

_NS = 1_000_000_000
_TURN_ROUND_NS = 5_000_000
_INTER_BYTE_NS = 100_000_000
_LAG_S = 0.8
_CAPACITY = 100.0
_SCCM_PER_UNIT = 298.15 / 273.15
_FULL = 32000
_GAS_C, _VALVE = 22.0, 0xFFFFFF
_ANY_NODE, _NODE = 0x80, 3
_STATUS, _SEND_ACKNOWLEDGED, _SEND, _BROADCAST, _ASK = range(5)
_OK, _COMMAND, _PROCESS, _PARAMETER, _TYPE, _VALUE, _READ_ONLY = 0, 2, 3, 4, 5, 6, 13
_CHAINED = 0x80
_BYTE, _WORD, _LONG, _TEXT = 0x00, 0x20, 0x40, 0x60
_SIZES = {_BYTE: 1, _WORD: 2, _LONG: 4}
_PROTOCOL_ERROR = 4


@dataclass(frozen=True, slots=True)
class _Entry:
    """One parameter: its type, how it is read, and how written (None: read only)."""

    type: int
    read: Callable[[], bytes]
    write: Callable[[bytes], int] | None = None


class SimElflow:
    """The controller; puts sccm to `touches["flow"]`.

    Settings at hand: `fluid`, `unit`, `capacity`, `control_mode` (0 bus, 1 analog, 18 RS-232),
    `alarm` (bit 0 error, bit 1 warning). Faults: `stall`, `alarm`, `power_cycle`.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.node = device.settings.address % _ANY_NODE or _NODE
        self.fluid, self.unit, self.capacity = device.settings.gas, "mln/min", _CAPACITY
        self.serial, self.tag = "M14202209A", "USERTAG"
        self.control_mode = self.alarm = 0
        self.setpoint = 0
        self.share = 0.0
        self.zero = 0.0
        self.stalled = False
        self._plant = plant
        self._touches = device.touches
        self._buffer = bytearray()
        self._last_ns = self._at_ns = 0
        self._put = 0.0
        self._table = self._parameters()

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return (delay in ns, message) for each one to this node."""
        self.advance(t_ns)
        if data and t_ns - self._last_ns > _INTER_BYTE_NS:
            self._buffer.clear()
        self._last_ns = t_ns if data else self._last_ns
        self._buffer += data
        replies = []
        while (message := find_message(bytes(self._buffer))) is not None:
            del self._buffer[: message.end]
            if message.node in {self.node, _ANY_NODE}:
                answer = self._answer(message.data)
                if answer:
                    said = seal(message.sequence, message.node, answer)
                    replies.append((_TURN_ROUND_NS, said))
        self._drop_noise()
        return replies

    def advance(self, t_ns: int) -> None:
        """Let the valve follow until `t_ns`."""
        passed_s = (t_ns - self._at_ns) / _NS
        if passed_s <= 0:
            return
        self._at_ns = t_ns
        target = self.setpoint / _FULL
        if "supply" in self._touches and not self._plant.get(self._touches["supply"], t_ns):
            target = 0.0
        if not self.stalled:
            rest = (self.share - target) * math.exp(-passed_s / _LAG_S)
            self.share = target + rest if abs(rest) > 1e-5 else target
        if self.share != self._put:
            self._put = self.share
            sccm = self.share * self.capacity * _SCCM_PER_UNIT
            self._plant.put(self._touches.get("flow", "n2_flow"), sccm, t_ns)

    def stall(self, *, stalled: bool = True) -> None:
        """Jam the valve where it is, or free it."""
        self.stalled = stalled

    def power_cycle(self) -> None:
        """Switch off and on: the setpoint starts at 0."""
        self._buffer.clear()
        self.setpoint = 0

    def _drop_noise(self) -> None:
        """Forget what can no longer become a message."""
        at = self._buffer.find(b"\x10\x02")
        if at < 0:
            keep = 1 if self._buffer[-1:] == bytes((DLE,)) else 0
            del self._buffer[: len(self._buffer) - keep]
        else:
            del self._buffer[:at]
        if len(self._buffer) > 1024:
            self._buffer.clear()

    def _answer(self, data: bytes) -> bytes:
        command = data[0] if data else -1
        if command == _ASK:
            return self._asked(data)
        if command in {_SEND_ACKNOWLEDGED, _SEND, _BROADCAST}:
            status, at = self._written(data)
            return bytes((_STATUS, status, at)) if command == _SEND_ACKNOWLEDGED else b""
        if command in {_STATUS, -1}:
            return b""
        return bytes((_STATUS, _COMMAND, 0))

    def _asked(self, data: bytes) -> bytes:
        """Answer a request: indexes as asked for, each with its parameter's value."""
        out = bytearray((_SEND,))
        at, in_row, more = 1, False, True
        while at < len(data):
            if not in_row:
                if not more:
                    return bytes((_PROTOCOL_ERROR,))
                more = bool(data[at] & _CHAINED)
                out.append(data[at])
                at += 1
            piece = data[at : at + 3]
            if len(piece) < 3:
                return bytes((_PROTOCOL_ERROR,))
            index, process, key = piece
            entry, status = self._entry(process, key & 0x1F, key & _TEXT)
            if entry is None or (index ^ key) & _TEXT:
                return bytes((_STATUS, status or _TYPE, at))
            in_row = bool(index & _CHAINED)
            at += 3
            value = entry.read()
            out.append(index)
            if entry.type == _TEXT:
                asked = data[at : at + 1]
                if not asked:
                    return bytes((_PROTOCOL_ERROR,))
                at += 1
                value = _text(value, asked[0])
            out += value
        return bytes(out)

    def _written(self, data: bytes) -> tuple[int, int]:
        """Write the parameters of a message; return status and place."""
        at, in_row, process = 1, False, 0
        while at < len(data):
            if not in_row:
                process = data[at] & 0x7F
                at += 1
            if at >= len(data):
                return _PROTOCOL_ERROR, at
            key = data[at]
            in_row = bool(key & _CHAINED)
            entry, status = self._entry(process, key & 0x1F, key & _TEXT)
            if entry is None:
                return status, at
            if entry.write is None:
                return _READ_ONLY, at
            at += 1
            count = _SIZES.get(entry.type) or _text_size(data, at)
            piece = data[at : at + count]
            if len(piece) != count:
                return _PROTOCOL_ERROR, at
            status = entry.write(piece)
            if status:
                return status, at
            at += count
        return _OK, at

    def _entry(self, process: int, number: int, type_: int) -> tuple[_Entry | None, int]:
        numbers = self._table.get(process & 0x7F)
        if numbers is None:
            return None, _PROCESS
        entry = numbers.get(number)
        if entry is None:
            return None, _PARAMETER
        return (entry, _OK) if entry.type == type_ else (None, _TYPE)

    def _measured(self) -> float:
        return self.share + self.zero

    def _parameters(self) -> dict[int, dict[int, _Entry]]:
        """The parameters by process and number."""
        return {
            0: {
                0: _Entry(_TEXT, lambda: b"\x07SN" + _ascii(self.serial), lambda piece: _OK),
                1: _Entry(_BYTE, lambda: bytes((self.node,))),
                3: _Entry(_BYTE, lambda: b"\0"),
                18: _Entry(_BYTE, lambda: b"\1"),
            },
            1: {
                0: _Entry(_WORD, lambda: _word(self._measured())),
                1: _Entry(_WORD, lambda: struct.pack(">H", self.setpoint), self._set_raw),
                2: _Entry(_WORD, lambda: b"\0\0"),
                4: _Entry(_BYTE, lambda: bytes((self.control_mode,)), self._set_mode),
                13: _Entry(_LONG, lambda: struct.pack(">f", self.capacity)),
                16: _Entry(_BYTE, lambda: b"\0"),
                17: _Entry(_TEXT, lambda: self.fluid.ljust(10).encode()),
                20: _Entry(_BYTE, lambda: bytes((self.alarm,))),
                31: _Entry(_TEXT, lambda: self.unit.ljust(7).encode()),
            },
            33: {
                0: _Entry(_LONG, lambda: struct.pack(">f", self._measured() * self.capacity)),
                3: _Entry(_LONG, self._f_setpoint, self._set_units),
                7: _Entry(_LONG, lambda: struct.pack(">f", _GAS_C)),
                22: _Entry(_LONG, lambda: struct.pack(">f", 0.0)),
            },
            113: {
                1: _Entry(_TEXT, lambda: b"DMFC  "),
                2: _Entry(_TEXT, lambda: b"F-201CV-100-RAD-33-V"),
                3: _Entry(_TEXT, lambda: _ascii(self.serial)),
                5: _Entry(_TEXT, lambda: b"V1.12"),
                6: _Entry(_TEXT, lambda: _ascii(self.tag), self._set_tag),
            },
            114: {1: _Entry(_LONG, lambda: struct.pack(">I", round(self.share * _VALVE)))},
        }

    def _f_setpoint(self) -> bytes:
        return struct.pack(">f", self.setpoint / _FULL * self.capacity)

    def _set_raw(self, piece: bytes) -> int:
        raw = int.from_bytes(piece)
        if raw > _FULL:
            return _VALUE
        return self._take(raw)

    def _set_units(self, piece: bytes) -> int:
        (value,) = struct.unpack(">f", piece)
        if not 0.0 <= value <= self.capacity:
            return _VALUE
        return self._take(round(value / self.capacity * _FULL))

    def _take(self, raw: int) -> int:
        """Take a setpoint; one from the line is passed over while it comes from elsewhere."""
        if self.control_mode in {0, 18}:
            self.setpoint = raw
        return _OK

    def _set_mode(self, piece: bytes) -> int:
        if piece[0] > 24:
            return _VALUE
        self.control_mode = piece[0]
        return _OK

    def _set_tag(self, piece: bytes) -> int:
        self.tag = piece[1:].decode("ascii", "replace").strip(" \0")
        return _OK


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")


def _text_size(data: bytes, at: int) -> int:
    """The bytes of a text with its length in front; of length 0 it ends with a NUL."""
    length = data[at] if at < len(data) else 0
    return length + 1 if length else max(data.find(b"\0", at + 1) - at + 1, 2)


def _word(share: float) -> bytes:
    """Write a share of full scale: up to 41942, below zero from 65535 down."""
    raw = max(-23593, min(41942, round(share * _FULL)))
    return struct.pack(">H", raw if raw >= 0 else 0xFFFF + raw)


def _text(value: bytes, asked: int) -> bytes:
    """Write a text of the length asked for; 0 is as long as it is, with a NUL behind it."""
    if not asked:
        return b"\0" + value + b"\0"
    return bytes((asked,)) + value[:asked].ljust(asked)
