"""Coherent OBIS LX/LS laser: SCPI-like lines, with handshaking on.

Every query is answered by its value and `OK`, every setting by `OK`, each on a line; what is not
understood by `ERR` and a number. Powers are watts on the wire. Sources: python-microscope 0.7.0
and two more open drivers (commands, status bits, handshake); the laser's manual was not at hand.
"""

from __future__ import annotations

import math
import re

from labctl.capabilities import DeviceSettings, Identity, Look
from labctl.errors import GarbledError, NoReplyError, OutOfRangeError, RefusedByDeviceError
from labctl.readings import Channel
from labctl.transport import Port, Priority

_END = re.compile(rb"(?:\A|\r\n)(?:OK|ERR-?\d+)\r\n")
_VALUE = re.compile(rb"([\x20-\x7e]+)\r\nOK\r\n")
_ERROR = re.compile(rb"(?:[\x20-\x7e]*\r\n)?(ERR-?\d+)\r\n")
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d*)?(?:[Ee][+-]?\d+)?)(?: ?(?:W|nm))?")
_IDENTITY = re.compile(r"Coherent, Inc ?- ?(.+?) ?- ?([^-]+?) ?- ?[^-]+")
_WORD = re.compile(r"[0-9A-Fa-f]{8}")

_HANDSHAKING_ON = "SYST:COMM:HAND ON"
_EMITTING = 0x02
_WAVELENGTH_WITHIN_NM = 5.0
_LEVEL_WITHIN_MW = 0.01
_BEYOND = 1.25


class CoherentObis:
    """A diode laser; `channels` are the measured power in mW and whether it emits (0 or 1)."""

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (Channel("power", "power"), Channel("emitting", "truth"))
        self.wavelength_nm = settings.wavelength_nm
        self._port = port
        self._settings = settings
        self._low_mw = 0.0
        self._high_mw = 0.0
        self._believed_mw = math.inf

    async def connect(self) -> Identity:
        """Switch handshaking on; check mode and wavelength; read limits and faults.

        Raises:
            RefusedByDeviceError: another wavelength than the rig's, not at constant power, a fault.
            DeviceError: it does not answer, or not in its grammar.
        """
        await self._set(_HANDSHAKING_ON)
        return (await self.look()).identity

    async def look(self) -> Look:
        """Read identity, mode, wavelength, limits and faults as `connect` does, and set nothing.

        Raises:
            RefusedByDeviceError: another wavelength than the rig's, not at constant power, a fault.
        """
        identity = await self._identify()
        await self._require_mode()
        wavelength_nm = await self._number("SYST:INF:WAV?")
        expected_nm = self._settings.wavelength_nm or wavelength_nm
        if abs(wavelength_nm - expected_nm) > _WAVELENGTH_WITHIN_NM:
            raise RefusedByDeviceError(
                self.name, "wavelength", f"{expected_nm:g} nm as in the rig", f"{wavelength_nm:g}"
            )
        self.wavelength_nm = wavelength_nm
        self._low_mw = 1e3 * await self._number("SOUR:POW:LIM:LOW?")
        high_mw = 1e3 * await self._number("SOUR:POW:LIM:HIGH?")
        self._high_mw = min(high_mw, self._settings.power_high_mw or high_mw)
        self._believed_mw = _BEYOND * high_mw
        await self._require_no_fault()
        power = f"{self._low_mw:g} .. {high_mw:g} mW, the rig allows {self._high_mw:g} mW"
        return Look(identity, {"wavelength": f"{wavelength_nm:g} nm", "power": power})

    async def poll(self) -> tuple[float | None, ...]:
        """Read the measured power in mW and whether light comes out.

        Raises:
            DeviceError: it does not answer, or not in its grammar.
        """
        power_mw = await self._power_mw()
        status = await self._word("SYST:STAT?", Priority.POLL)
        return power_mw, float(bool(status & _EMITTING))

    async def _power_mw(self) -> float:
        """Read the power; more than the laser can give is no reading, for nothing else checks it.

        Raises:
            GarbledError: more than that, twice.
        """
        for _ in range(2):
            power_mw = 1e3 * await self._number("SOUR:POW:LEV?", Priority.POLL)
            if abs(power_mw) <= self._believed_mw:
                return power_mw
        expected = f"at most {self._believed_mw:g} mW"
        raise GarbledError(self.name, "SOUR:POW:LEV?", expected, f"{power_mw:g} mW")

    async def shine(self, power_mw: float) -> None:
        """Switch on at a power in mW; 0 switches off.

        Returns when the laser holds the level and is on. With its CDRH delay, light comes up to
        5 s later: the channel `emitting` tells when.

        Raises:
            OutOfRangeError: more than the rig or the laser allows, or less than it can hold.
            RefusedByDeviceError: the interlock is open, a fault stands, or it did not obey.
            DeviceError: it does not answer, or not in its grammar.
        """
        if power_mw == 0:
            await self._switch("OFF")
            return
        if not max(self._low_mw, 0.0) <= power_mw <= self._high_mw:
            limits = f"0 or {self._low_mw:g} mW .. {self._high_mw:g} mW"
            raise OutOfRangeError(self.name, "power", limits, f"{power_mw:g} mW")
        await self._require_closed_interlock()
        await self._require_no_fault()
        await self._set(f"SOUR:POW:LEV:IMM:AMPL {power_mw / 1e3:.6f}")
        level_mw = 1e3 * await self._number("SOUR:POW:LEV:IMM:AMPL?")
        if abs(level_mw - power_mw) > _LEVEL_WITHIN_MW:
            raise RefusedByDeviceError(
                self.name, "power level", f"{power_mw:g} mW", f"{level_mw:g} mW"
            )
        await self._switch("ON")

    async def make_safe(self) -> None:
        """Switch the light off, ahead of everything else.

        Raises:
            DeviceError: it did not confirm that it is off.
        """
        try:
            await self._switch("OFF", Priority.TRIP)
        except (GarbledError, NoReplyError):
            # a late answer to the question that this one cut short, or handshaking was off
            await self._set(_HANDSHAKING_ON, Priority.TRIP)
            await self._switch("OFF", Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Switch the light off, twice: the first may only end a line of ours left half said."""
        return (b"SOUR:AM:STAT OFF\r\n",) * 2

    async def _switch(self, state: str, priority: Priority = Priority.COMMAND) -> None:
        await self._set(f"SOUR:AM:STAT {state}", priority)
        seen = await self._query("SOUR:AM:STAT?", priority)
        if seen != state:
            raise RefusedByDeviceError(self.name, "emission", state, seen)

    async def _identify(self) -> Identity:
        text = await self._query("*IDN?")
        match = _IDENTITY.fullmatch(text)
        if match is None:
            raise GarbledError(self.name, "*IDN?", "Coherent, Inc-MODEL-FIRMWARE-DATE", text)
        return Identity("Coherent", match[1], await self._query("SYST:INF:SNUM?"), match[2])

    async def _require_mode(self) -> None:
        mode = await self._query("SOUR:AM:SOUR?")
        if mode != "CWP":
            raise RefusedByDeviceError(
                self.name,
                "operating mode",
                "CWP, constant power (send SOUR:AM:INT CWP with the emission off)",
                mode,
            )

    async def _require_closed_interlock(self) -> None:
        interlock = await self._query("SYST:LOCK?")
        if interlock != "ON":
            raise RefusedByDeviceError(
                self.name, "interlock", "ON, a closed shield (close it and try again)", interlock
            )

    async def _require_no_fault(self) -> None:
        fault = await self._word("SYST:FAUL?")
        if fault:
            raise RefusedByDeviceError(self.name, "faults", "none", f"{fault:08X}")

    async def _number(self, query: str, priority: Priority = Priority.COMMAND) -> float:
        text = await self._query(query, priority)
        match = _NUMBER.fullmatch(text)
        if match is None or not math.isfinite(float(match[1])):
            raise GarbledError(self.name, query, "a number in W or nm", text)
        return float(match[1])

    async def _word(self, query: str, priority: Priority = Priority.COMMAND) -> int:
        text = await self._query(query, priority)
        if _WORD.fullmatch(text) is None:
            raise GarbledError(self.name, query, "eight hexadecimal digits", text)
        return int(text, 16)

    async def _query(self, query: str, priority: Priority = Priority.COMMAND) -> str:
        reply = await self._ask(query, priority)
        match = _VALUE.fullmatch(reply)
        if match is None:
            raise GarbledError(self.name, query, "one line and OK", repr(reply))
        return match[1].decode("ascii").strip()

    async def _set(self, command: str, priority: Priority = Priority.COMMAND) -> None:
        reply = await self._ask(command, priority)
        if reply != b"OK\r\n":
            raise GarbledError(self.name, command, "OK", repr(reply))

    async def _ask(self, line: str, priority: Priority) -> bytes:
        reply = await self._port.ask(
            self.name, line.encode("ascii") + b"\r\n", _whole, priority=priority
        )
        error = _ERROR.fullmatch(reply)
        if error is not None:
            raise RefusedByDeviceError(self.name, line, "OK", error[1].decode("ascii"))
        return reply


def _whole(buffer: bytes) -> int | None:
    match = _END.search(buffer)
    return match.end() if match else None
