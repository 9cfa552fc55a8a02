"""Pfeiffer PPT 100 and its sisters with the Pfeiffer Vacuum Protocol (CPT, RPT, HPT, MPT 100).

One gauge per address on RS-485; pressures come in hPa whatever anybody displays. The error code is
read after each pressure, since the pressure of a gauge that failed looks like any other. Source:
PPT 100 operating instructions, sections 6.2 and 10 (parameters 303, 312, 349, 740, 742).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from labctl.capabilities import DeviceSettings, Identity, Look
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.framing.pfeiffer import reply_from, seal, unseal
from labctl.transport import Port, Priority

_ERROR, _FIRMWARE, _TYPE, _PRESSURE, _CORRECTION = 303, 312, 349, 740, 742
_MODELS = {b"A1": "CPT 100", b"A2": "RPT 100", b"A3": "PPT 100", b"A4": "HPT 100", b"A5": "MPT 100"}
_NO_ERROR = b"000000"
_UNITY = b"000100"
_U_EXPO = re.compile(rb"([1-9]\d{3})(\d\d)")
_CODE = re.compile(rb"000000|(?:Err|Wrn)\d{3}")
_SIX = re.compile(rb"[ -~]{6}")
_REFUSALS = frozenset({b"NO_DEF", b"_RANGE", b"_LOGIC"})
_ABSURD_MBAR = 2000.0
_TIMEOUT_S = 0.5
_MOST_ADDRESS = 255


class PfeifferPpt100:
    """The capability `PressureGauge`: one channel, in mbar; `settings.places` names it as 1."""

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = tuple(settings.places[n] for n in sorted(settings.places))
        self._places = tuple(sorted(settings.places))
        self._address = settings.address
        self._port = port
        self._ends = reply_from(settings.address)

    async def connect(self) -> Identity:
        """Read type and firmware; check that no other gas than N2 is corrected for.

        Raises:
            OutOfRangeError: the rig file names another channel than 1, or no such address.
            RefusedByDeviceError: an unknown type, or a correction factor other than 1.00.
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer.
            PortLostError: the port is gone.
        """
        if self._places != (1,):
            raise OutOfRangeError(self.name, "its channels", "1, alone", str(self._places))
        if not 1 <= self._address <= _MOST_ADDRESS:
            got = str(self._address)
            raise OutOfRangeError(self.name, "its address", f"1 .. {_MOST_ADDRESS}", got)
        found = (await self._read(_TYPE, _SIX)).strip()
        if found not in _MODELS:
            known = ", ".join(sorted(_MODELS.values()))
            raise RefusedByDeviceError(self.name, f"parameter {_TYPE}", known, repr(found))
        correction = await self._read(_CORRECTION, _SIX)
        if correction != _UNITY:
            expected = "a correction factor of 1.00 (air, N2); set it so"
            asked = f"parameter {_CORRECTION}"
            raise RefusedByDeviceError(self.name, asked, expected, repr(correction))
        firmware = (await self._read(_FIRMWARE, _SIX)).decode("ascii")
        return Identity("Pfeiffer Vacuum", _MODELS[found], firmware=firmware)

    async def look(self) -> Look:
        """Connect, which sets nothing here; raises what it raises."""
        return Look(await self.connect(), {"unit": "hPa", "gas correction": "1.00"})

    async def poll(self) -> Sequence[float | None]:
        """Read the pressure in mbar; None while the gauge reports any error.

        Raises:
            GarbledError: an answer outside the protocol, twice, or more than 2000 mbar.
            RefusedByDeviceError: the gauge does not know the parameter.
            NoReplyError: no answer.
            PortLostError: the port is gone.
        """
        data = await self._read(_PRESSURE, _U_EXPO, Priority.POLL)
        code = await self._read(_ERROR, _CODE, Priority.POLL)
        if code != _NO_ERROR:
            return [None]
        mbar = int(data[:4]) / 1000.0 * 10.0 ** (int(data[4:]) - 20)
        if mbar > _ABSURD_MBAR:
            expected = f"at most {_ABSURD_MBAR:g} mbar"
            raise GarbledError(self.name, f"parameter {_PRESSURE}", expected, f"{mbar:g} mbar")
        return [mbar]

    async def make_safe(self) -> None:
        """Do nothing: a gauge acts on nothing."""

    def last_will(self) -> tuple[bytes, ...]:
        """Return nothing: a gauge acts on nothing."""
        return ()

    async def _read(
        self, parameter: int, grammar: re.Pattern[bytes], priority: Priority = Priority.COMMAND
    ) -> bytes:
        """Read the data of a parameter, once more if the reply is garbled.

        Raises:
            GarbledError: the second reply was garbled too.
            RefusedByDeviceError: the gauge does not know the parameter.
        """
        question = seal(b"%03d00%03d02=?" % (self._address, parameter))
        head = b"%03d10%03d06" % (self._address, parameter)
        for _ in range(2):
            reply = await self._port.ask(
                self.name, question, self._ends, timeout_s=_TIMEOUT_S, priority=priority
            )
            body = unseal(reply.rpartition(b"\r")[0].rpartition(b"\r")[2] + b"\r")
            data = (body or b"").removeprefix(head)
            if data in _REFUSALS:
                asked = f"parameter {parameter}"
                raise RefusedByDeviceError(self.name, asked, "its value", data.decode("ascii"))
            if grammar.fullmatch(data):
                return data
        expected = f"six characters of parameter {parameter} and their checksum"
        raise GarbledError(self.name, question.decode("ascii"), expected, repr(reply))
