"""Eurotherm 3216, 3208, 3204 and 3504, 3508 temperature controllers on Modbus RTU.

Ramps run inside the instrument: the setpoint (which wears out after 100,000 writes) is written once
per ramp, and only where it changes. Every write is read back. Source: 3200 Series Engineering
Handbook HA028651 issue 7, sections 15.4 and 15.5 (addresses, scaled integers, status word); time
unit of the rate in the 3500 series: the furnace driver of HACS.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final

from labctl.capabilities import Change, DeviceSettings, Identity, Look
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.framing.modbus import answers, exception_code, reply_length, seal
from labctl.readings import Channel, Kind
from labctl.transport import Port, Priority

_PV: Final = 1
_TARGET: Final = 2
_MANUAL_OUTPUT: Final = 3
_RANGE: Final = 11
_TIMER: Final = 23
_OUTPUT_HIGH: Final = 30
_RATE: Final = 35
_STATUS: Final = 75
_VERSION: Final = 107
_SETPOINT_HIGH: Final = 111
_MODE: Final = 199
_MANUAL: Final = 273
_REMOTE: Final = 276
_UNITS: Final = 516
_RATE_UNIT: Final = 531
_RESOLUTION: Final = 12550
_WIDE_SETPOINT_HIGH: Final = 0x8000 + 2 * _SETPOINT_HIGH

_READ: Final = 3
_WRITE: Final = 6
_TIMEOUT_S: Final = 0.5
_TENTHS: Final = 10.0
_NO_PV: Final = 1 << 5 | 1 << 10  # sensor break, out of range
_IN_MANUAL: Final = 1 << 4
_STATUS_EVERY: Final = 2
_CLOSE_K: Final = 1.0
_TRIES: Final = 40
_FIVE: Final = struct.Struct(">5h")
_WORDS: Final = {1: struct.Struct(">h"), 2: struct.Struct(">2h"), 5: _FIVE}

# What must be 0 before a run: address, what it is, what to set.
_MUST_BE_ZERO: Final = (
    (_RESOLUTION, "resolution of the communications", "full"),
    (_UNITS, "units", "°C"),
    (_MODE, "instrument mode", "normal"),
    (_TIMER, "timer or programmer", "reset"),
    (_REMOTE, "setpoint source", "local"),
)


class Eurotherm3216:
    """A heater (capability TemperatureController).

    Channels: `pv`, `setpoint` (the target) and `working` (where the ramp is) in °C, and `output`
    as a fraction of full power.
    """

    model: ClassVar[str] = "3216"
    minutes: ClassVar[int] = 0

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
        self._poll_question = self._reading(_PV, 5)
        self._status_question = self._reading(_STATUS)
        self._range = (-_TENTHS * 273.15, float(0x7FFF))
        self._no_pv = False
        self._polls = 0
        # Target and auto/manual as last commanded; None while a command is under way or failed.
        self._meant: tuple[int, int] | None = None
        self._found = (0, 0)

    async def connect(self) -> Identity:
        """Read the version and check what would make setpoints mean something else.

        The output's high limit is lowered to the rig's if it stands above; nothing else is set.

        Raises:
            RefusedByDeviceError: a setting is not as labctl needs it; the message says what to set.
            NoReplyError: nothing answers.
            GarbledError: a reply that is not in the protocol, twice.
        """
        look = await self.look()
        await self._set_lower(round(self._settings.power_high_fraction * 100 * _TENTHS))
        return look.identity

    async def look(self) -> Look:
        """Read version, settings and limits as `connect` does, and set nothing; raises as it."""
        (version,) = await self._read(_VERSION)
        for address, what, needed in _MUST_BE_ZERO:
            await self._check(address, 0, what, needed)
        await self._check(_RATE_UNIT, self.minutes, "time unit of the setpoint rate", "minutes")
        limits = await self._check_setpoint_limits()
        low, high = await self._read(_RANGE, 2)
        self._range = (float(low), float(high))
        (output_high,) = await self._read(_OUTPUT_HIGH)
        firmware = f"{version >> 8 & 0xFF:x}.{version & 0xFF:02x}"
        facts = {
            "unit": "°C, tenths",
            "setpoints": limits,
            "sensor range": f"{low / _TENTHS:g} .. {high / _TENTHS:g} °C",
            "output": f"up to {output_high / _TENTHS:g} %, "
            f"the rig allows {self._settings.power_high_fraction * 100:g} %",
        }
        return Look(Identity("Eurotherm", self.model, firmware=firmware), facts)

    async def poll(self) -> tuple[float | None, ...]:
        """Read all channels with one question, and every second time the status word.

        Without a working sensor `pv` is None: the status word says so, or a value beyond the range.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
            RefusedByDeviceError: the instrument answers with an exception.
        """
        if self._no_pv or self._polls % _STATUS_EVERY == 0:
            (status,) = _WORDS[1].unpack(await self._ask(self._status_question, Priority.POLL))
            self._no_pv = bool(status & _NO_PV)
            self._found = (self._found[0], int(bool(status & _IN_MANUAL)))
        self._polls += 1
        words = await self._ask(self._poll_question, Priority.POLL)
        pv, target, _, output, working = _FIVE.unpack(words)
        self._found = (target, self._found[1])
        low, high = self._range
        measured_c = pv / _TENTHS if low <= pv <= high and not self._no_pv else None
        return measured_c, target / _TENTHS, working / _TENTHS, output / 1000.0

    def changed(self) -> Change | None:
        """Return a setpoint or a mode that the latest polls found otherwise than commanded."""
        if self._meant is None or self._found == self._meant:
            return None
        (found, manual), (meant, _) = self._found, self._meant
        if found == meant:
            mode = "manual" if manual else "automatic"
            return Change(f"it was put to {mode} at its panel")
        found_c, meant_c = found / _TENTHS, meant / _TENTHS
        text = f"its setpoint is {found_c:g} °C, and labctl set {meant_c:g} °C"
        return Change(text, found_c, meant_c)

    async def ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        """Go to a setpoint in °C at a rate in K/min, both in steps of 0.1; 0 K/min means at once.

        The rate is set before the setpoint (a rate of 0 after it), so that nothing jumps on the
        way. From manual, as `off` leaves it, a warm flask is picked up where it is.

        Raises:
            OutOfRangeError: beyond the rig's limits.
            RefusedByDeviceError: refused, or a setting reads back differently.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        self._check_ramp(setpoint_c, rate_k_min)
        target, rate = round(setpoint_c * _TENTHS), round(rate_k_min * _TENTHS)
        self._meant = None
        (manual,) = await self._read(_MANUAL)
        if manual:
            await self._start_where_it_is()
        if rate:
            await self._set(_RATE, rate)
        await self._set(_TARGET, target)
        if not rate:
            await self._set(_RATE, 0)
        if manual:
            await self._set(_MANUAL, 0)
        self._means(target, 0)

    async def freeze(self) -> None:
        """Stop a ramp where it is: the setpoint becomes the present working setpoint.

        Raises:
            RefusedByDeviceError: the setpoint reads back differently.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        meant, self._meant = self._meant, None
        working = (await self._read(_PV, 5))[4]
        await self._set(_TARGET, working)
        if meant is not None:
            self._means(working, meant[1])

    async def off(self) -> None:
        """Switch to manual with 0 % output, and put the setpoint to the rig's lowest.

        Raises:
            RefusedByDeviceError: the output is not 0 afterwards.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        await self._switch_off(Priority.COMMAND)

    async def make_safe(self) -> None:
        """Switch off as `off` does, before everything else that waits for the line.

        Raises:
            RefusedByDeviceError: the output is not 0 afterwards.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        await self._switch_off(Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Say manual, 0 % output, and the rig's lowest setpoint against a return to automatic."""
        writes = (
            (_MANUAL, 1),
            (_MANUAL_OUTPUT, 0),
            (_TARGET, round(self._settings.setpoint_low * _TENTHS)),
        )
        return tuple(self._writing(address, value) for address, value in writes)

    async def _switch_off(self, priority: Priority) -> None:
        self._meant = None
        await self._write(_MANUAL, 1, priority)
        await self._write(_MANUAL_OUTPUT, 0, priority)
        await self._verify(_MANUAL, 1, priority)
        await self._verify(_MANUAL_OUTPUT, 0, priority)
        low = round(self._settings.setpoint_low * _TENTHS)
        await self._set(_TARGET, low, priority)
        self._means(low, 1)

    def _means(self, target: int, manual: int) -> None:
        """Remember what was commanded; it has been read back."""
        self._meant = self._found = (target, manual)

    async def _start_where_it_is(self) -> None:
        """Put the working setpoint to the measured temperature, if that is far from it.

        This costs one more write of the setpoint, and happens only when heating goes on after a
        stop with the flask still warm.

        Raises:
            RefusedByDeviceError: there is no measured temperature.
        """
        pv, _, _, _, working = await self._read(_PV, 5)
        (status,) = await self._read(_STATUS)
        if status & _NO_PV:
            raise RefusedByDeviceError(self.name, "to heat", "a sensor that works", "sensor break")
        settings = self._settings
        low, high = settings.setpoint_low * _TENTHS, settings.setpoint_high * _TENTHS
        if low <= pv <= high and abs(pv - working) > _CLOSE_K * _TENTHS:
            await self._set(_RATE, 0)
            await self._set(_TARGET, pv)
            await self._until_working(pv)

    async def _until_working(self, setpoint: int) -> None:
        """Read until the working setpoint is where it was put: it moves once per control period.

        Raises:
            RefusedByDeviceError: it does not go there.
        """
        for _ in range(_TRIES):
            working = (await self._read(_PV, 5))[4]
            if abs(working - setpoint) <= _CLOSE_K * _TENTHS:
                return
        asked, expected = "to start where the flask is", f"{setpoint / _TENTHS:g} °C"
        raise RefusedByDeviceError(self.name, asked, expected, f"{working / _TENTHS:g} °C")

    def _check_ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        settings = self._settings
        low, high, fastest = settings.setpoint_low, settings.setpoint_high, settings.rate_high_k_min
        if not low <= setpoint_c <= high:
            asked, limits = f"{setpoint_c:g} °C", f"{low:g} .. {high:g} °C"
            raise OutOfRangeError(self.name, f"to go to {asked}", limits, asked)
        slowest = 1.0 / _TENTHS
        if rate_k_min != 0.0 and not slowest <= rate_k_min <= (fastest or rate_k_min):
            asked = f"{rate_k_min:g} K/min"
            limits = f"0 (at once) or {slowest:g} .. {fastest or 3000:g} K/min"
            raise OutOfRangeError(self.name, f"a ramp of {asked}", limits, asked)

    async def _check(self, address: int, needed: int, what: str, meaning: str) -> None:
        (found,) = await self._read(address)
        if found != needed:
            asked, expected = f"for the {what} ({address})", f"{needed}, {meaning}; set it so"
            raise RefusedByDeviceError(self.name, asked, expected, str(found))

    async def _set_lower(self, allowed: int) -> None:
        (output_high,) = await self._read(_OUTPUT_HIGH)
        if output_high > allowed:
            await self._set(_OUTPUT_HIGH, allowed)

    async def _check_setpoint_limits(self) -> str:
        """Check that the rig's setpoints fit in, and that one unit on the wire is 0.1 °C.

        Returns the limits in words.

        Raises:
            RefusedByDeviceError: either is not so.
        """
        high, low = await self._read(_SETPOINT_HIGH, 2)
        wide = await self._ask(self._reading(_WIDE_SETPOINT_HIGH, 2))
        (high_c,) = struct.unpack(">f", wide)
        if abs(high - high_c * _TENTHS) > 1:
            asked = f"for the setpoint's high limit ({_SETPOINT_HIGH})"
            expected = f"{high_c:g} °C in 0.1 °C; set the display to one decimal"
            raise RefusedByDeviceError(self.name, asked, expected, str(high))
        settings = self._settings
        if settings.setpoint_high * _TENTHS > high or settings.setpoint_low * _TENTHS < low:
            raise RefusedByDeviceError(
                self.name,
                "for its setpoint limits",
                f"room for the rig's {settings.setpoint_low:g} .. {settings.setpoint_high:g} °C",
                f"{low / _TENTHS:g} .. {high / _TENTHS:g} °C",
            )
        return f"{low / _TENTHS:g} .. {high / _TENTHS:g} °C"

    async def _set(self, address: int, value: int, priority: Priority = Priority.COMMAND) -> None:
        """Write where the value differs, and read back; what may be worn out is left alone."""
        if await self._read(address, 1, priority) != (value,):
            await self._write(address, value, priority)
            await self._verify(address, value, priority)

    async def _write(self, address: int, value: int, priority: Priority) -> None:
        """Write one register; whether a garbled echo meant yes is for the read-back to say."""
        question = self._writing(address, value)
        reply = await self._send(question, priority)
        if answers(question, reply):
            self._refuse_exception(question, reply)

    async def _verify(self, address: int, value: int, priority: Priority) -> None:
        (found,) = await self._read(address, 1, priority)
        if found != value:
            asked = f"to set {address} to {value}"
            raise RefusedByDeviceError(self.name, asked, f"{value} read back", str(found))

    async def _read(
        self, address: int, count: int = 1, priority: Priority = Priority.COMMAND
    ) -> tuple[int, ...]:
        return _WORDS[count].unpack(await self._ask(self._reading(address, count), priority))

    async def _ask(self, question: bytes, priority: Priority = Priority.COMMAND) -> bytes:
        """Ask for registers, once more if the reply is garbled; return their bytes.

        Raises:
            GarbledError: the second reply was garbled too.
        """
        reply = await self._send(question, priority)
        if not answers(question, reply):
            reply = await self._send(question, priority)
        if not answers(question, reply):
            raise GarbledError(self.name, question.hex(" "), "a whole reply", reply.hex(" "))
        self._refuse_exception(question, reply)
        if reply[2] != 2 * question[5]:
            expected = f"{question[5]} registers"
            raise GarbledError(self.name, question.hex(" "), expected, reply.hex(" "))
        return reply[3:-2]

    async def _send(self, question: bytes, priority: Priority) -> bytes:
        return await self._port.ask(
            self.name, question, reply_length, timeout_s=_TIMEOUT_S, priority=priority
        )

    def _refuse_exception(self, question: bytes, reply: bytes) -> None:
        code = exception_code(reply)
        if code:
            raise RefusedByDeviceError(
                self.name, question.hex(" "), "no exception", f"exception {code}"
            )

    def _writing(self, address: int, value: int) -> bytes:
        return seal(struct.pack(">BBHh", self._settings.address, _WRITE, address, value))

    def _reading(self, address: int, count: int = 1) -> bytes:
        return seal(struct.pack(">BBHH", self._settings.address, _READ, address, count))


class Eurotherm3504(Eurotherm3216):
    """A 3504 or 3508: seconds, minutes and hours of the rate are 0, 1, 2 and not 2, 0, 1."""

    model = "3504"
    minutes = 1
