"""MKS 901P and 974B vacuum transducers: pressures in mbar, whatever unit they are set to.

A channel's number is that of its query: 1 MicroPirani, 3 combined with three digits, 4 combined
with four, 5 cold cathode (974B). The piezo (2) measures a difference to the ambient, which is no
pressure of the vessel. The status is read after the values, and the unit with every fifth poll.
There is no checksum. Source: MKS 910, 971 and 902B operation manuals, "Query Command list"; 974B:
the class of PyMeasure 0.16.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from labctl.capabilities import DeviceSettings, Identity, Look
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.framing.mks import reply_from
from labctl.transport import Port, Priority
from labctl.units import TORR_MBAR

_MBAR_PER_UNIT = {b"TORR": TORR_MBAR, b"MBAR": 1.0, b"PASCAL": 0.01}
_NAKS = {
    b"8": "zero adjustment at too high a pressure",
    b"9": "atmospheric adjustment at too low a pressure",
    b"160": "unrecognised message",
    b"169": "invalid argument",
    b"172": "value out of range",
    b"175": "command or query character invalid",
    b"180": "protected setting (locked)",
    b"195": "control setpoint enabled",
}
_THREE = re.compile(rb"\d\.\d\dE[+-]\d\d?")
_FOUR = re.compile(rb"\d\.\d\d\dE[+-]\d\d?")
_STATE = re.compile(rb"[OMCZRG]")
_WORD = re.compile(rb"[ -:<-?A-~]{1,32}")
_GOOD = frozenset(b"OG")
_UNIT_EVERY = 5
_ABSURD_MBAR = 2000.0
_TIMEOUT_S = 0.5
_MOST_ADDRESS = 253


class Mks901p:
    """The capability `PressureGauge`: one channel per entry of `settings.places`, in mbar."""

    model: ClassVar[str] = "901P"
    queries: ClassVar[frozenset[int]] = frozenset({1, 3, 4})

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self._numbers = tuple(sorted(settings.places))
        self.channels = tuple(settings.places[n] for n in self._numbers)
        self._address = settings.address
        self._port = port
        self._ends = reply_from(settings.address)
        self._mbar_per_unit = 1.0
        self._polls = 0

    async def connect(self) -> Identity:
        """Read identity and unit.

        Raises:
            OutOfRangeError: a channel this transducer has not, or an address that is not 1 .. 253.
            RefusedByDeviceError: another model answers, or in another unit than Torr, mbar, Pa.
            GarbledError: an answer outside the protocol.
            NoReplyError: no answer.
            PortLostError: the port is gone.
        """
        unknown = set(self._numbers) - self.queries
        if unknown:
            known = ", ".join(map(str, sorted(self.queries)))
            raise OutOfRangeError(self.name, "its channels", known, str(sorted(unknown)))
        if not 1 <= self._address <= _MOST_ADDRESS:
            expected = f"1 .. {_MOST_ADDRESS} (from the factory: 253)"
            raise OutOfRangeError(self.name, "its address", expected, str(self._address))
        model = (await self._ask(b"MD", _WORD)).decode("ascii")
        if not model.startswith(self.model):
            raise RefusedByDeviceError(self.name, "MD", self.model, model)
        serial = await self._ask(b"SN", _WORD)
        firmware = await self._ask(b"FV", _WORD)
        await self._read_unit(Priority.COMMAND)
        return Identity("MKS", model, serial.decode("ascii"), firmware.decode("ascii"))

    async def look(self) -> Look:
        """Connect, which sets nothing here; raises what it raises."""
        return Look(await self.connect(), {"unit": f"{self._mbar_per_unit:g} mbar"})

    async def poll(self) -> Sequence[float | None]:
        """Read all channels in mbar; None where nothing is measured.

        No reading is: any state but O (ok) and G (ok, cold cathode on), and a value of zero, which
        is what a sensor that is off or below its range sends.

        Raises:
            RefusedByDeviceError: the transducer answers NAK.
            GarbledError: an answer outside the grammar, or a pressure above 2000 mbar.
            NoReplyError: no answer.
            PortLostError: the port is gone.
        """
        if self._polls % _UNIT_EVERY == 0:
            await self._read_unit(Priority.POLL)
        self._polls += 1
        values = [await self._pressure_mbar(number) for number in self._numbers]
        state = await self._ask(b"T", _STATE, Priority.POLL)
        if state[0] not in _GOOD:
            return [None] * len(values)
        return [value or None for value in values]

    async def make_safe(self) -> None:
        """Do nothing: a gauge acts on nothing."""

    def last_will(self) -> tuple[bytes, ...]:
        """Return nothing: a gauge acts on nothing."""
        return ()

    async def _read_unit(self, priority: Priority) -> None:
        unit = await self._ask(b"U", _WORD, priority)
        if unit not in _MBAR_PER_UNIT:
            raise RefusedByDeviceError(self.name, "U", "TORR, MBAR or PASCAL", repr(unit))
        self._mbar_per_unit = _MBAR_PER_UNIT[unit]

    async def _pressure_mbar(self, number: int) -> float:
        grammar = _FOUR if number == 4 else _THREE
        mbar = float(await self._ask(b"PR%d" % number, grammar, Priority.POLL))
        mbar *= self._mbar_per_unit
        if mbar > _ABSURD_MBAR:
            expected = f"at most {_ABSURD_MBAR:g} mbar"
            raise GarbledError(self.name, f"PR{number}", expected, f"{mbar:g} mbar")
        return mbar

    async def _ask(
        self, query: bytes, grammar: re.Pattern[bytes], priority: Priority = Priority.COMMAND
    ) -> bytes:
        question = b"@%03d%b?;FF" % (self._address, query)
        reply = await self._port.ask(
            self.name, question, self._ends, timeout_s=_TIMEOUT_S, priority=priority
        )
        start = reply.rfind(b"@%03d" % self._address)
        kind, data = reply[start + 4 : start + 7], reply[start + 7 : -3]
        if kind == b"NAK":
            got = f"NAK {data.decode('ascii', 'replace')}, {_NAKS.get(data, 'unknown')}"
            raise RefusedByDeviceError(self.name, query.decode(), "ACK", got)
        if not grammar.fullmatch(data):
            raise GarbledError(self.name, query.decode(), "its value", repr(reply))
        return data


class Mks974b(Mks901p):
    """The 974B QuadMag, which adds a cold cathode (channel 5)."""

    model = "974B"
    queries = frozenset({1, 3, 4, 5})
