"""A Waveshare Modbus RTU Relay 8CH with the eight inputs of its (D) version.

Coils 0 to 7 are the relays; coil 0x00FF is all of them. A write of n to coil 0x0200 + k switches
relay k on for n x 100 ms, to 0x0400 + k off for as long. All relays are off after power-up, and
there is no watchdog. Sources: Waveshare wiki, "Modbus RTU Relay" (firmware V2) and "(D)"; the
meaning of pulses and of coil 0x00FF was not checked on hardware.
"""

from __future__ import annotations

import struct

from labctl.framing.modbus import BITS, REGISTERS
from labctl.twin import Plant, TwinDevice
from simulators.modbus_slave import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    ExceptionReplyError,
    ModbusSlave,
)

_RELAYS = 8
_ALL = 0x00FF
_ON, _OFF, _TOGGLE = 0xFF00, 0x0000, 0x5500
_PULSE_ON, _PULSE_OFF = 0x0200, 0x0400
_PULSE_UNIT_NS = 100_000_000
_LONGEST_PULSE = 0x7FFF
_ADDRESS_REGISTER, _VERSION_REGISTER = 0x4000, 0x8000
_VERSION = 200  # hundredths: V2.00
_READ_INPUTS = 2
_WRITE_COIL, _WRITE_REGISTER, _WRITE_COILS = 5, 6, 15


class SimRelay8ch:
    """The board: `touches` maps its outputs' names to what they switch, inputs to what they see.

    Names and numbers (from 1) are those of the settings. `coils` is the state of the relays. What
    `settings.rests_on` names is wired the other way round: on while its relay is off.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        settings, touches = device.settings, device.touches
        self.coils = [False] * _RELAYS
        self._plant = plant
        self._switches = {number - 1: touches.get(n) for n, number in settings.outputs.items()}
        self._sees = {number - 1: touches.get(n) for n, number in settings.inputs.items()}
        self._resting = {settings.outputs[name] - 1 for name in settings.rests_on}
        for relay in sorted(self._resting):
            self._wire(relay, 0)
        self._ends_ns: dict[int, int] = {}
        self._slave = ModbusSlave(settings.address, self._obey)

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return (delay in ns, reply) for each request to this unit."""
        self.advance(t_ns)
        return self._slave.feed(data, t_ns)

    def advance(self, t_ns: int) -> None:
        """End the pulses that are over at `t_ns`."""
        if self._ends_ns:
            for relay in sorted(r for r, end_ns in self._ends_ns.items() if end_ns <= t_ns):
                self._switch(relay, not self.coils[relay], self._ends_ns[relay])

    def power_cycle(self, t_ns: int) -> None:
        """Switch off and on: all relays drop."""
        for relay in range(_RELAYS):
            self._switch(relay, False, t_ns)

    def _switch(self, relay: int, on: bool, t_ns: int) -> None:
        self._ends_ns.pop(relay, None)
        if self.coils[relay] == on:
            return
        self.coils[relay] = on
        self._wire(relay, t_ns)

    def _wire(self, relay: int, t_ns: int) -> None:
        thing = self._switches.get(relay)
        if thing is not None:
            self._plant.put(thing, float(self.coils[relay] is not (relay in self._resting)), t_ns)

    def _obey(self, function: int, data: bytes, t_ns: int) -> bytes:
        if function in BITS:
            return self._read_bits(function, data, t_ns)
        if function in REGISTERS:
            return self._read_register(*struct.unpack(">HH", data))
        if function == _WRITE_COIL:
            self._write_coil(data, t_ns)
            return data
        if function == _WRITE_REGISTER:
            self._write_register(*struct.unpack(">HH", data))
            return data
        if function == _WRITE_COILS:
            self._write_coils(data, t_ns)
            return data[:4]
        raise ExceptionReplyError(ILLEGAL_FUNCTION)

    def _read_bits(self, function: int, data: bytes, t_ns: int) -> bytes:
        first, count = struct.unpack(">HH", data)
        _check_range(first, count)
        inputs = function == _READ_INPUTS
        states = [self._input(k, t_ns) if inputs else self.coils[k] for k in range(_RELAYS)]
        packed = sum(1 << k for k, on in enumerate(states[first : first + count]) if on)
        return bytes((1, packed))

    def _input(self, number: int, t_ns: int) -> bool:
        thing = self._sees.get(number)
        return thing is not None and self._plant.get(thing, t_ns) >= 0.5

    def _read_register(self, address: int, count: int) -> bytes:
        known = {_ADDRESS_REGISTER: self._slave.address, _VERSION_REGISTER: _VERSION}
        if count != 1:
            raise ExceptionReplyError(ILLEGAL_VALUE)
        if address not in known:
            raise ExceptionReplyError(ILLEGAL_ADDRESS)
        return struct.pack(">BH", 2, known[address])

    def _write_register(self, address: int, value: int) -> None:
        if address != _ADDRESS_REGISTER:
            raise ExceptionReplyError(ILLEGAL_ADDRESS)
        if not 1 <= value <= 255:
            raise ExceptionReplyError(ILLEGAL_VALUE)
        self._slave.address = value

    def _write_coil(self, data: bytes, t_ns: int) -> None:
        coil, value = struct.unpack(">HH", data)
        kind, relay = coil & 0xFF00, coil & 0x00FF
        if kind in {_PULSE_ON, _PULSE_OFF} and relay < _RELAYS:
            self._pulse(relay, kind == _PULSE_ON, value, t_ns)
            return
        if value not in {_ON, _OFF, _TOGGLE}:
            raise ExceptionReplyError(ILLEGAL_VALUE)
        if coil != _ALL and coil >= _RELAYS:
            raise ExceptionReplyError(ILLEGAL_ADDRESS)
        for k in range(_RELAYS) if coil == _ALL else (coil,):
            self._switch(k, not self.coils[k] if value == _TOGGLE else value == _ON, t_ns)

    def _pulse(self, relay: int, on: bool, units: int, t_ns: int) -> None:
        if not 1 <= units <= _LONGEST_PULSE:
            raise ExceptionReplyError(ILLEGAL_VALUE)
        self._switch(relay, on, t_ns)
        self._ends_ns[relay] = t_ns + units * _PULSE_UNIT_NS

    def _write_coils(self, data: bytes, t_ns: int) -> None:
        first, count, size = struct.unpack(">HHB", data[:5])
        _check_range(first, count)
        if size != 1 or len(data) != 6:
            raise ExceptionReplyError(ILLEGAL_VALUE)
        for k in range(count):
            self._switch(first + k, bool(data[5] >> k & 1), t_ns)


def _check_range(first: int, count: int) -> None:
    if not 1 <= count <= 2000:
        raise ExceptionReplyError(ILLEGAL_VALUE)
    if first + count > _RELAYS:
        raise ExceptionReplyError(ILLEGAL_ADDRESS)
