"""Pfeiffer TPG 361/362/366: pressures by the mnemonics protocol, in mbar whatever is displayed.

A command is acknowledged; its data are fetched with ENQ. The two halves are two questions on the
port: none but this driver asks on a gauge's line (mnemonics have no address), and its own reads
are idempotent, so nothing harmful can come between. Source: BG 5510 (TPG 361, TPG 362).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from labctl.capabilities import DeviceSettings, Identity, Look
from labctl.errors import GarbledError, RefusedByDeviceError
from labctl.framing import until
from labctl.framing.mnemonic import ACK, ENQ, ETX, acknowledgement
from labctl.transport import Port, Priority
from labctl.units import TORR_MBAR

_MBAR_PER_UNIT = {b"0": 1.0, b"1": TORR_MBAR, b"2": 0.01}
_ABSURD_MBAR = 2000.0
_LINE = until(b"\r\n")

# One gauge: a number only with status 0. Status 5 may come with an exponent of one digit.
_GAUGE = rb"(?:0,([+-]?\d\.\d{4}E[+-]\d\d)|[1-6],[+-]?\d\.\d{4}E[+-]\d\d?)"
_WITHOUT_GAUGE = frozenset({b"NOSEN", b"NOSENSOR", b"NOID"})


class PfeifferTpg362:
    """The capability `PressureGauge`: one channel per entry of `settings.places`, in mbar."""

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self._inputs = tuple(sorted(settings.places))
        self.channels = tuple(settings.places[n] for n in self._inputs)
        self._port = port
        self._mbar_per_unit = 1.0
        self._question = b"PRX"
        self._grammar = _grammar(max(2, *self._inputs, 0))

    async def connect(self) -> Identity:
        """End the continuous output; read identity, unit and the gauges that are plugged in.

        Raises:
            RefusedByDeviceError: a unit other than mbar, Torr or Pa, or no gauge where the rig
                file has one.
            GarbledError: an answer outside the protocol.
            NoReplyError: no answer.
            PortLostError: the port is gone.
        """
        await self._port.tell(ETX)
        who = (await self._ask(b"AYT")).split(b",")
        if len(who) != 5 or not who[0].startswith(b"TPG 36"):
            raise GarbledError(self.name, "AYT", "TPG 36x with four more fields", repr(who))
        model, _, serial, firmware, _ = (part.decode("ascii", "replace").strip() for part in who)
        await self._read_unit()
        await self._find_gauges()
        return Identity("Pfeiffer Vacuum", model, serial, firmware)

    async def look(self) -> Look:
        """Connect, which sets nothing but ends the output that nobody asked for; raises as it."""
        identity = await self.connect()
        gauges = "present at " + ", ".join(map(str, self._inputs))
        return Look(identity, {"unit": f"{self._mbar_per_unit:g} mbar", "gauges": gauges})

    async def poll(self) -> Sequence[float | None]:
        """Read all gauges with one PRX, in mbar; None unless the gauge itself says it is good.

        Under-range, over-range, error, off, absent and unidentified are no readings. A linear
        gauge at its zero sends zero or less as good: that reads 0, below any trusted range. A
        TPG 361 is asked with PR1.

        Raises:
            GarbledError: an answer outside the grammar, or a pressure above 2000 mbar.
            RefusedByDeviceError: the controller did not acknowledge.
            NoReplyError: no answer.
            PortLostError: the port is gone.
        """
        line = await self._ask(self._question, Priority.POLL)
        match = self._grammar.fullmatch(line)
        if match is None:
            asked = self._question.decode("ascii")
            raise GarbledError(self.name, asked, "status,d.ddddE±dd per gauge", repr(line))
        return [self._pressure_mbar(match[n]) for n in self._inputs]

    async def make_safe(self) -> None:
        """Do nothing: a gauge acts on nothing."""

    def last_will(self) -> tuple[bytes, ...]:
        """Say nothing: a gauge acts on nothing."""
        return ()

    def _pressure_mbar(self, number: bytes | None) -> float | None:
        if number is None:
            return None
        value = float(number) * self._mbar_per_unit
        if value > _ABSURD_MBAR:
            expected = f"at most {_ABSURD_MBAR:g} mbar (was the unit changed at the panel?)"
            raise GarbledError(self.name, "PRX", expected, f"{value:g} mbar")
        return max(value, 0.0)

    async def _read_unit(self) -> None:
        code = await self._ask(b"UNI")
        if code not in _MBAR_PER_UNIT:
            known = "0 (mbar), 1 (Torr) or 2 (Pa); set it at the panel"
            raise RefusedByDeviceError(self.name, "UNI", known, repr(code))
        self._mbar_per_unit = _MBAR_PER_UNIT[code]

    async def _find_gauges(self) -> None:
        fitted = (await self._ask(b"TID")).split(b",")
        self._question = b"PRX" if len(fitted) > 1 else b"PR1"
        self._grammar = _grammar(len(fitted))
        for n, channel in zip(self._inputs, self.channels, strict=True):
            found = fitted[n - 1] if n <= len(fitted) else b"noSENSOR"
            if found.upper() in _WITHOUT_GAUGE:
                asked = f"TID, input {n}"
                expected = f"the gauge {channel.name!r}"
                raise RefusedByDeviceError(self.name, asked, expected, repr(found))

    async def _ask(self, mnemonic: bytes, priority: Priority = Priority.COMMAND) -> bytes:
        ask, name = self._port.ask, self.name
        answer = await ask(name, mnemonic + b"\r\n", acknowledgement, priority=priority)
        data = await ask(name, ENQ, _LINE, priority=priority)
        if answer.endswith(ACK):
            return data[:-2]
        raise RefusedByDeviceError(name, mnemonic.decode(), "ACK", f"NAK, error {data[:-2]!r}")


def _grammar(gauges: int) -> re.Pattern[bytes]:
    return re.compile(b",".join([_GAUGE] * gauges))
