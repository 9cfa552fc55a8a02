"""Watlow EZ-ZONE PM temperature controllers on the standard bus.

Ramps run inside the instrument; each parameter is written only where it differs, and read back.
On the wire are °F unless the controller is set to °C for communications: the unit is read at
connect. With a broken sensor the controller goes on sending the last good value, so that the input
error is read after each of them. Sources: EZ-ZONE PM User's Guide 0600-0059-0000 rev. P, chapters
"Operations" and "Setup" (parameters); `labctl.framing.watlow` (frames).
"""

from __future__ import annotations

import math
import struct
from typing import Final

from labctl.capabilities import DeviceSettings, Identity, Look
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.framing.watlow import (
    HOST,
    REQUEST,
    ZONE,
    Frame,
    encode,
    find_frame,
    is_reply,
    reply_from,
)
from labctl.readings import Channel, Kind
from labctl.transport import Port, Priority

_INPUT: Final = 4001
_INPUT_ERROR: Final = 4002
_POWER_HIGH: Final = 6010
_SETPOINT: Final = 7001
_SETPOINT_LOW: Final = 7003
_SETPOINT_HIGH: Final = 7004
_WORKING: Final = 7007
_BROKEN_INPUT: Final = 7013
_RAMP: Final = 7014
_RAMP_SCALE: Final = 7015
_RATE: Final = 7017
_REMOTE: Final = 7021
_MODE: Final = 8001
_POWER: Final = 8033
_SERIAL: Final = 1007
_REVISION: Final = 1003
_UNITS: Final = 17050

_OFF: Final = 62
_AUTO: Final = 10
_NONE: Final = 61
_NO: Final = 59
_ON_CHANGE: Final = 85
_MINUTES: Final = 57
_FAHRENHEIT, _CELSIUS = 30, 15

_READ, _WRITE = 3, 4
_ASKED, _ANSWERED = 1, 2
_FLOAT = b"\x08"
_ENUM = b"\x0f\x01"
_SIGNED = b"\x06"
_F32, _I32, _U16 = struct.Struct(">f"), struct.Struct(">i"), struct.Struct(">H")
_REFUSALS: Final = {0x81: "no such object", 0x83: "no such attribute", 0x84: "no such instance"}
_TIMEOUT_S: Final = 0.5
_CLOSE: Final = 0.05  # in the unit of the wire: what counts as the same float
_CLOSE_K: Final = 1.0
_TRIES: Final = 40
_SLOWEST_K_MIN: Final = 0.1
_MOST_ADDRESS: Final = 16
_MOST_C: Final = 5537.0


class WatlowEzZonePm:
    """A heater (capability TemperatureController) on control loop 1.

    Channels: `pv`, `setpoint` (the target) and `working` (where the ramp is) in °C, and `output`
    as a fraction of full power.
    """

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (
            Channel("pv", "temperature"),
            Channel("setpoint", "temperature", kind=Kind.COMMANDED),
            Channel("working", "temperature", kind=Kind.COMMANDED),
            Channel("output", "fraction"),
        )
        self._port = port
        self._settings = settings
        self._zone = settings.address + ZONE
        self._ends = reply_from(self._zone)
        self._per_k = 1.8
        self._zero = 32.0

    async def connect(self) -> Identity:
        """Read the unit of the wire, and check what would make setpoints mean something else.

        The output's high scale is lowered to the rig's limit if it stands above; nothing else is
        set.

        Raises:
            OutOfRangeError: the address is not 1 .. 16; nothing was sent.
            RefusedByDeviceError: a setting is not as labctl needs it; the message says what to set.
            NoReplyError: nothing answers.
            GarbledError: a reply that is not in the protocol, twice.
        """
        look = await self.look()
        allowed = self._settings.power_high_fraction * 100.0
        if await self._float(_POWER_HIGH) > allowed + _CLOSE:
            await self._set_float(_POWER_HIGH, allowed)
        return look.identity

    async def look(self) -> Look:
        """Read numbers, unit and settings as `connect` does, and set nothing; raises as it.

        Raises:
            OutOfRangeError: the address is not 1 .. 16; nothing was sent.
            RefusedByDeviceError: a setting is not as labctl needs it; the message says what to set.
        """
        address = self._settings.address
        if not 1 <= address <= _MOST_ADDRESS:
            raise OutOfRangeError(self.name, "its address", f"1 .. {_MOST_ADDRESS}", str(address))
        serial, revision = await self._integer(_SERIAL), await self._integer(_REVISION)
        units = await self._enum(_UNITS)
        if units not in {_FAHRENHEIT, _CELSIUS}:
            expected = f"°F ({_FAHRENHEIT}) or °C ({_CELSIUS})"
            raise RefusedByDeviceError(self.name, "for its display units", expected, str(units))
        self._per_k, self._zero = (1.8, 32.0) if units == _FAHRENHEIT else (1.0, 0.0)
        await self._check_enum(_REMOTE, _NO, "no remote setpoint")
        await self._check_enum(_BROKEN_INPUT, _OFF, "input error power off")
        await self._check_limits()
        facts = {
            "unit": "°F" if units == _FAHRENHEIT else "°C",
            "output": f"up to {await self._float(_POWER_HIGH):g} %, "
            f"the rig allows {self._settings.power_high_fraction * 100:g} %",
        }
        return Look(Identity("Watlow", "EZ-ZONE PM", str(serial), str(revision)), facts)

    async def poll(self) -> tuple[float | None, ...]:
        """Read all channels; `pv` is None while the controller names any error of its input.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
            RefusedByDeviceError: the controller refuses a parameter.
        """
        measured_c = await self._measured_c(Priority.POLL)
        target_c = await self._temperature(_SETPOINT, Priority.POLL)
        working_c = await self._temperature(_WORKING, Priority.POLL)
        power = await self._float(_POWER, Priority.POLL)
        return measured_c, target_c, working_c, power / 100.0

    async def ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        """Go to a setpoint in °C at a rate in K/min, from 0.1 K/min up; 0 means at once.

        The rate is set before the setpoint (no ramp: after it), so that nothing jumps on the way.
        From off, a warm flask is picked up where it is.

        Raises:
            OutOfRangeError: beyond the rig's limits; nothing was sent.
            RefusedByDeviceError: refused, or a setting reads back differently.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        self._check_ramp(setpoint_c, rate_k_min)
        if await self._enum(_MODE) != _AUTO:
            await self._start_where_it_is()
        if rate_k_min:
            await self._set_enum(_RAMP_SCALE, _MINUTES)
            await self._set_float(_RATE, rate_k_min * self._per_k)
            await self._set_enum(_RAMP, _ON_CHANGE)
        await self._set_float(_SETPOINT, self._on_wire(setpoint_c))
        if not rate_k_min:
            await self._set_enum(_RAMP, _OFF)

    async def freeze(self) -> None:
        """Stop a ramp where it is: the setpoint becomes the present working setpoint.

        Raises:
            RefusedByDeviceError: the setpoint reads back differently.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        await self._set_float(_SETPOINT, await self._float(_WORKING))
        await self._set_enum(_RAMP, _OFF)

    async def off(self) -> None:
        """Switch the loop off, and put the setpoint to the rig's lowest; the reading stays alive.

        Raises:
            RefusedByDeviceError: the loop is not off afterwards.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        await self._switch_off(Priority.COMMAND)

    async def make_safe(self) -> None:
        """Switch off as `off` does, before everything else that waits for the line.

        Raises:
            RefusedByDeviceError: the loop is not off afterwards.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        await self._switch_off(Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Say off, the rig's lowest setpoint, and off again: the first may end half a question."""
        lowest = _F32.pack(self._on_wire(self._settings.setpoint_low))
        off = self._question(_WRITE, _MODE, _ENUM + _U16.pack(_OFF))
        return off, self._question(_WRITE, _SETPOINT, _FLOAT + lowest), off

    async def _switch_off(self, priority: Priority) -> None:
        await self._set_enum(_MODE, _OFF, priority)
        lowest = self._on_wire(self._settings.setpoint_low)
        await self._set_float(_SETPOINT, lowest, priority)

    async def _start_where_it_is(self) -> None:
        """Go from off to automatic with the setpoint at what is measured, or next to it.

        Raises:
            RefusedByDeviceError: there is no measured temperature, or the setpoint in use stays
                elsewhere.
        """
        measured_c = await self._measured_c(Priority.COMMAND)
        if measured_c is None:
            raise RefusedByDeviceError(self.name, "to heat", "a sensor that works", "input error")
        low_c, high_c = self._settings.setpoint_low, self._settings.setpoint_high
        start_c = min(max(measured_c, low_c), high_c)
        await self._set_enum(_RAMP, _OFF)
        await self._set_float(_SETPOINT, self._on_wire(start_c))
        for _ in range(_TRIES):
            working_c = await self._temperature(_WORKING, Priority.COMMAND)
            if abs(working_c - start_c) <= _CLOSE_K:
                await self._set_enum(_MODE, _AUTO)
                return
        asked = "to start where the flask is"
        raise RefusedByDeviceError(self.name, asked, f"{start_c:g} °C", f"{working_c:g} °C")

    def _check_ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        settings = self._settings
        low, high, fastest = settings.setpoint_low, settings.setpoint_high, settings.rate_high_k_min
        if not low <= setpoint_c <= high:
            asked, limits = f"{setpoint_c:g} °C", f"{low:g} .. {high:g} °C"
            raise OutOfRangeError(self.name, f"to go to {asked}", limits, asked)
        if rate_k_min and not _SLOWEST_K_MIN <= rate_k_min <= (fastest or _MOST_C):
            limits = f"0 (at once) or {_SLOWEST_K_MIN:g} .. {fastest or _MOST_C:g} K/min"
            asked = f"{rate_k_min:g} K/min"
            raise OutOfRangeError(self.name, f"a ramp of {asked}", limits, asked)

    async def _check_limits(self) -> None:
        low_c = await self._temperature(_SETPOINT_LOW, Priority.COMMAND)
        high_c = await self._temperature(_SETPOINT_HIGH, Priority.COMMAND)
        settings = self._settings
        if settings.setpoint_low < low_c - _CLOSE or settings.setpoint_high > high_c + _CLOSE:
            expected = f"room for {settings.setpoint_low:g} .. {settings.setpoint_high:g} °C"
            got = f"{low_c:g} .. {high_c:g} °C"
            raise RefusedByDeviceError(self.name, "for its setpoint limits", expected, got)

    async def _check_enum(self, parameter: int, needed: int, what: str) -> None:
        found = await self._enum(parameter)
        if found != needed:
            asked, expected = f"for parameter {parameter}", f"{needed}, {what}; set it so"
            raise RefusedByDeviceError(self.name, asked, expected, str(found))

    async def _measured_c(self, priority: Priority) -> float | None:
        """Read the input, and after it whether it could be measured at all."""
        measured_c = await self._temperature(_INPUT, priority)
        error = await self._enum(_INPUT_ERROR, priority)
        return measured_c if error == _NONE else None

    async def _temperature(self, parameter: int, priority: Priority) -> float:
        return (await self._float(parameter, priority) - self._zero) / self._per_k

    def _on_wire(self, temperature_c: float) -> float:
        return temperature_c * self._per_k + self._zero

    async def _set_enum(
        self, parameter: int, value: int, priority: Priority = Priority.COMMAND
    ) -> None:
        if await self._enum(parameter, priority) == value:
            return
        await self._ask(_WRITE, parameter, _ENUM, 2, priority, _U16.pack(value))
        found = await self._enum(parameter, priority)
        if found != value:
            asked = f"to set {parameter} to {value}"
            raise RefusedByDeviceError(self.name, asked, f"{value} read back", str(found))

    async def _set_float(
        self, parameter: int, value: float, priority: Priority = Priority.COMMAND
    ) -> None:
        if abs(await self._float(parameter, priority) - value) <= _CLOSE:
            return
        await self._ask(_WRITE, parameter, _FLOAT, 4, priority, _F32.pack(value))
        found = await self._float(parameter, priority)
        if abs(found - value) > _CLOSE:
            asked = f"to set {parameter} to {value:g}"
            raise RefusedByDeviceError(self.name, asked, f"{value:g} read back", f"{found:g}")

    async def _enum(self, parameter: int, priority: Priority = Priority.COMMAND) -> int:
        (value,) = _U16.unpack(await self._ask(_READ, parameter, _ENUM, 2, priority))
        return int(value)

    async def _integer(self, parameter: int) -> int:
        (value,) = _I32.unpack(await self._ask(_READ, parameter, _SIGNED, 4, Priority.COMMAND))
        return int(value)

    async def _float(self, parameter: int, priority: Priority = Priority.COMMAND) -> float:
        (value,) = _F32.unpack(await self._ask(_READ, parameter, _FLOAT, 4, priority))
        if not math.isfinite(value):
            raise GarbledError(self.name, f"for {parameter}", "a number", str(value))
        return float(value)

    async def _ask(
        self, service: int, parameter: int, tag: bytes, size: int, priority: Priority,
        value: bytes = b"",
    ) -> bytes:  # fmt: skip
        """Read or write one parameter, once more if the reply is garbled; return its value.

        Both are idempotent; what a write achieved is for the read-back to say.

        Raises:
            GarbledError: the second reply was garbled too.
            RefusedByDeviceError: the controller answers with an error.
        """
        question = self._question(service, parameter, tag + value if value else b"")
        answer = _attribute(_ANSWERED, service, parameter) + tag
        for _ in range(2):
            reply = await self._port.ask(
                self.name, question, self._ends, timeout_s=_TIMEOUT_S, priority=priority
            )
            data = self._data_of(reply)
            if len(data) == len(answer) + size and data.startswith(answer):
                return data[len(answer) :]
            if len(data) == 2 and data[0] == _ANSWERED and data[1] & 0x80:
                asked = f"to {'read' if service == _READ else 'write'} parameter {parameter}"
                got = f"error {data[1]:#x}, {_REFUSALS.get(data[1], 'unknown')}"
                raise RefusedByDeviceError(self.name, asked, "its value", got)
        raise GarbledError(self.name, question.hex(" "), "a whole reply", reply.hex(" "))

    def _data_of(self, reply: bytes) -> bytes:
        """Return the data of the reply that ends these bytes; nothing if it is not whole."""
        found = find_frame(reply)
        while found is not None and not is_reply(found.frame, self._zone):
            found = find_frame(reply, found.end)
        return found.frame.data if found is not None and found.intact else b""

    def _question(self, service: int, parameter: int, value: bytes) -> bytes:
        data = _attribute(_ASKED, service, parameter) + value
        return encode(Frame(REQUEST, self._zone, HOST, data))


def _attribute(direction: int, service: int, parameter: int) -> bytes:
    """Return the head of a message about parameter CMMM of loop 1; a read has a mode byte."""
    mode = b"\x01" if service == _READ else b""
    return bytes((direction, service)) + mode + bytes((*divmod(parameter, 1000), 1))
