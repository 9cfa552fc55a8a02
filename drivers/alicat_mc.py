"""Alicat MC mass flow controllers: inert gas in sccm.

Known by what the instrument says of itself (`??M*`, `??D*`), so that firmware 5v to 10v and every
unit ordered work; no numbered register is read or written. A unit letter followed by a digit would
be the legacy setpoint in 64000ths of full scale: every command is built in one place that cannot
make one. Sources: Alicat Serial Primer rev. 2 (2023), data frame, status codes, appendix B; replies
of 5v12, 6v21, 8v30 and 10v20 instruments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.capabilities import DeviceSettings, Gate, Identity, Look
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.readings import Channel
from labctl.transport import Port, Priority
from labctl.units import TORR_MBAR

_TIMEOUT_S = 0.5
_TABLE_TIMEOUT_S = 3.0
_PSI_MBAR = 68.947573
# What is normal to 0 °C is more at the 25 °C of a labctl sccm.
_NORMAL = 298.15 / 273.15
_SCCM = {
    "SCCM": 1.0,
    "SmL/m": 1.0,
    "SLPM": 1e3,
    "SL/m": 1e3,
    "NCCM": _NORMAL,
    "NmL/m": _NORMAL,
    "NLPM": 1e3 * _NORMAL,
    "NL/m": 1e3 * _NORMAL,
}
_MBAR = {"PSI": _PSI_MBAR, "MBAR": 1.0, "HPA": 1.0, "BAR": 1e3, "KPA": 10.0, "PA": 0.01,
         "TORR": TORR_MBAR, "ATM": 1013.25}  # fmt: skip
_LET_GO = "$$C"
_CELSIUS = frozenset({"C", "`C"})

_NUMBER = r"(?=[+-][\d.]{6} )[+-]\d+\.\d+"
_FRAME = re.compile(
    rf"([A-Z]) ({_NUMBER}) ({_NUMBER}) (?:{_NUMBER}) ({_NUMBER}) ([+-]?\d+\.\d+)"
    r"(?: [+-]?\d{1,9}\.\d+)? +([A-Za-z][A-Za-z0-9-]{0,6})"
    r"((?: +(?:ADC|COM|EXH|GTA|HLD|LCK|MOV|OPL|OVR|P2O|POV|TMF|TOV|VOV))*) *"
)
_MADE = re.compile(r"[A-Z] +M(\d\d) +(?:Model Number|Serial Number|Software Revision) +(\S+) *")
_FULL_SCALE = re.compile(r"[A-Z] \+?(\d+\.\d+) +\d+ (\S+) *")
_SET = re.compile(r"[A-Z] [+-]?\d+\.\d+ ([+-]?\d+\.\d+) \d+ (\S+) *")
_SOURCE = re.compile(r"[A-Z] ([ASU]) *")
_CANONICAL = re.compile(r"[A-Z] +D\d\d (\d{3}) .*? \d/\d \d+ \d+ (\S+) *")
_LEGACY = re.compile(r"[A-Z] +D\d\d (\w+) +signed +\S+ +(\S+) +(\S+) *")
_STATISTICS = {"002": "pressure", "003": "temperature", "005": "mass", "037": "setpoint"}
_LAST_ROW = re.compile(rb"\r?[^\r]*D\d\d (?:702 \*Status .* LCK|Status .* MOV .*)\r")
_LAST_MADE = re.compile(rb"\r?[^\r]* M09 [^\r]*\r")


@dataclass(frozen=True, slots=True)
class _Frame:
    """A data frame in its own units, as text where the digits count."""

    pressure: str
    temperature: str
    flow: str
    setpoint: str
    gas: str
    flags: frozenset[str]


class AlicatMc:
    """The capability `MassFlowController`; flow and setpoint in sccm, pressure, temperature."""

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (
            Channel("flow", "gas flow"),
            Channel("setpoint", "gas flow"),
            Channel("pressure", "pressure"),
            Channel("temperature", "temperature"),
        )
        self.gas = settings.gas
        self.full_scale_sccm = 0.0
        self._port = port
        self._letter = chr(ord("A") + max(settings.address, 1) - 1)
        self._high_sccm = settings.flow_high_sccm
        self._rests_closed = settings.rests_closed
        self._sccm_per_unit = self._mbar_per_unit = 1.0
        self._decimals = 2

    async def connect(self) -> Identity:
        """Read who it is, its units and full scale; check gas, setpoint source and limits.

        Raises:
            RefusedByDeviceError: another gas, a setpoint that is not mass flow or not from the
                line, a unit not known here, or a limit of the rig above full scale.
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer.
        """
        frame = await self._poll(Priority.COMMAND)
        self._decimals = len(frame.setpoint.partition(".")[2])
        made = await self._made()
        await self._read_units()
        if frame.gas != self.gas:
            raise RefusedByDeviceError(self.name, "its gas", self.gas, frame.gas)
        await self._check_source(made["09"])
        self._high_sccm = self._high_sccm or self.full_scale_sccm
        if self._high_sccm > self.full_scale_sccm * 1.001:
            limit = f"limits.flow up to {self._high_sccm:g} sccm"
            expected = f"at most its full scale, {self.full_scale_sccm:g} sccm"
            raise RefusedByDeviceError(self.name, "its full scale", expected, limit)
        return Identity("Alicat", made["04"], made["05"], made["09"])

    async def look(self) -> Look:
        """Connect, which sets nothing here; raises what it raises."""
        identity = await self.connect()
        scale = f"{self.full_scale_sccm:g} sccm, the rig allows {self._high_sccm:g} sccm"
        unit = f"{self._sccm_per_unit:g} sccm, {self._mbar_per_unit:g} mbar"
        return Look(identity, {"unit": unit, "gas": self.gas, "full scale": scale})

    async def poll(self) -> Sequence[float | None]:
        """Read flow and setpoint in sccm, pressure in mbar, temperature in °C.

        Over range, or in another gas than the rig's, a value is None; held valves obey no setpoint.

        Raises:
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer.
        """
        frame = await self._poll(Priority.POLL)
        flags = frame.flags
        broken = "ADC" in flags
        untrue = broken or flags & {"MOV", "VOV"} or frame.gas != self.gas
        return (
            None if untrue else float(frame.flow) * self._sccm_per_unit,
            None if broken or "HLD" in flags else float(frame.setpoint) * self._sccm_per_unit,
            None if broken or "POV" in flags else float(frame.pressure) * self._mbar_per_unit,
            None if broken or "TOV" in flags else float(frame.temperature),
        )

    async def set_flow(self, flow_sccm: float, gate: Gate | None = None) -> None:
        """Let in a flow of 0 .. the rig's limit in sccm; the setpoint is read back.

        Raises:
            OutOfRangeError: beyond the limits, or finer than its last digit; nothing was sent.
            RefusedByDeviceError: the setpoint reads back differently, or the valve is held.
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer; the flow may or may not have changed.
        """
        least_sccm = 10.0**-self._decimals * self._sccm_per_unit
        if flow_sccm != 0.0 and not least_sccm <= flow_sccm <= self._high_sccm:
            expected = f"0, or {least_sccm:g} .. {self._high_sccm:g} sccm"
            raise OutOfRangeError(self.name, "set_flow", expected, f"{flow_sccm:g} sccm")
        await self._set(flow_sccm, Priority.COMMAND, gate)

    async def close(self) -> None:
        """Shut the valve; raises like `set_flow`."""
        await self._set(0.0, Priority.COMMAND)

    async def make_safe(self) -> None:
        """Shut the valve, a held one too, where the rig rests it closed; else leave the purge.

        Raises:
            DeviceError: like `close`.
        """
        if not self._rests_closed:
            return
        if "HLD" in (await self._poll(Priority.TRIP)).flags:
            await self._read(_LET_GO, _FRAME, priority=Priority.TRIP)
        await self._set(0.0, Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Shut the valve where the rig rests it closed; else none, since a purge keeps air out."""
        if not self._rests_closed:
            return ()
        return self._command(_LET_GO), self._command(f"S {0:.{self._decimals}f}")

    async def _set(self, flow_sccm: float, priority: Priority, gate: Gate | None = None) -> None:
        asked = f"{flow_sccm / self._sccm_per_unit:.{self._decimals}f}"
        await self._read(f"S {asked}", _FRAME, priority=priority, gate=gate)
        frame = await self._poll(priority)
        if "HLD" in frame.flags:
            raise RefusedByDeviceError(self.name, f"S {asked}", "a valve that obeys", "HLD")
        got = frame.setpoint
        if float(got) != float(asked):  # on its way there, if it ramps
            reply = await self._ask("LS", priority)
            ramping = _SET.fullmatch(reply)
            got = ramping[1] if ramping else got
        if float(got) != float(asked):
            expected = f"{asked} read back; is the setpoint source the serial line?"
            raise RefusedByDeviceError(self.name, f"S {asked}", expected, got)

    async def _poll(self, priority: Priority) -> _Frame:
        match = await self._read("", _FRAME, priority=priority)
        _, pressure, temperature, flow, setpoint, gas, flags = match.groups()
        return _Frame(pressure, temperature, flow, setpoint, gas, frozenset(flags.split()))

    async def _made(self) -> dict[str, str]:
        rows = await self._rows("??M*", _LAST_MADE)
        made = {match[1]: match[2] for row in rows if (match := _MADE.fullmatch(row))}
        if not {"04", "05", "09"} <= made.keys():
            raise GarbledError(self.name, "??M*", "model, serial number, firmware", repr(rows))
        return made

    async def _read_units(self) -> None:
        rows = await self._rows("??D*", _LAST_ROW)
        units, scale = {}, 0.0
        for row in rows:
            if match := _CANONICAL.fullmatch(row):
                units[_STATISTICS.get(match[1], "")] = match[2]
            elif match := _LEGACY.fullmatch(row):
                units[match[1].lower()] = match[3]
                scale = float(match[2]) if match[1] == "Mass" else scale
        flow, pressure = units.get("mass", ""), units.get("pressure", "")
        self._sccm_per_unit = self._known(_SCCM, flow, "flow")
        self._mbar_per_unit = self._known(_MBAR, pressure.upper().removesuffix("A"), "pressure")
        if units.get("temperature") not in _CELSIUS:
            raise RefusedByDeviceError(self.name, "??D*", "temperature in °C", repr(units))
        if units.get("setpoint") != flow:
            raise RefusedByDeviceError(self.name, "??D*", "a setpoint of mass flow", repr(units))
        if not scale:
            match = await self._read("FPF 5", _FULL_SCALE)
            scale = float(match[1])
            if match[2] != flow:
                raise RefusedByDeviceError(self.name, "FPF 5", flow, match[2])
        self.full_scale_sccm = scale * self._sccm_per_unit

    async def _check_source(self, firmware: str) -> None:
        major, _, minor = firmware.partition("v")
        if not (major.isdigit() and (int(major), minor[:2]) >= (10, "05")):
            return  # older ones do not tell; a setpoint that is passed over shows at read-back
        source = _SOURCE.fullmatch(await self._ask("LSS", Priority.COMMAND))
        if source and source[1] == "A":
            raise RefusedByDeviceError(self.name, "LSS", "setpoints from the serial line", "analog")

    def _known(self, table: dict[str, float], unit: str, what: str) -> float:
        if unit not in table:
            raise RefusedByDeviceError(
                self.name, "??D*", f"{what} in one of {', '.join(table)}", repr(unit)
            )
        return table[unit]

    async def _read(
        self,
        body: str,
        grammar: re.Pattern[str],
        *,
        priority: Priority = Priority.COMMAND,
        gate: Gate | None = None,
    ) -> re.Match[str]:
        """Ask once, and once more after garbled bytes: every command here may be repeated.

        Raises:
            RefusedByDeviceError: it answers with a question mark.
            GarbledError: twice no answer in the grammar.
        """
        for _ in range(2):
            reply = await self._ask(body, priority, gate)
            match = grammar.fullmatch(reply)
            if match is not None and reply[0] == self._letter:
                return match
            if reply.endswith("?"):
                raise RefusedByDeviceError(self.name, body, "an answer", reply)
        raise GarbledError(self.name, repr(self._letter + body), grammar.pattern, repr(reply))

    async def _ask(self, body: str, priority: Priority, gate: Gate | None = None) -> str:
        reply = await self._port.ask(
            self.name,
            self._command(body),
            _line,
            timeout_s=_TIMEOUT_S,
            priority=priority,
            gate=gate,
        )
        return reply.strip(b"\r\n").decode("ascii", "replace")

    async def _rows(self, body: str, last: re.Pattern[bytes]) -> list[str]:
        def frame(buffer: bytes) -> int | None:
            match = last.search(buffer)
            return match.end() if match else _refusal(buffer)

        reply = await self._port.ask(
            self.name, self._command(body), frame, timeout_s=_TABLE_TIMEOUT_S
        )
        rows = [row for row in reply.decode("ascii", "replace").split("\r") if row]
        if any(not row.startswith(f"{self._letter} ") for row in rows):
            raise GarbledError(self.name, body, f"rows of {self._letter}", repr(rows))
        return rows

    def _command(self, body: str) -> bytes:
        """Build what goes out: the letter, then nothing or a word; never a number.

        Raises:
            OutOfRangeError: it would be read as a legacy setpoint.
        """
        if body and body[0] not in "SLF?" and body != _LET_GO:
            raise OutOfRangeError(self.name, body, "a command that begins with a word", body)
        return f"{self._letter}{body}\r".encode("ascii")


def _line(buffer: bytes) -> int | None:
    """Find the end of the first line that is not empty: tables end with an empty one."""
    start = len(buffer) - len(buffer.lstrip(b"\r\n"))
    at = buffer.find(b"\r", start)
    return None if at < 0 else at + 1


def _refusal(buffer: bytes) -> int | None:
    line = _line(buffer)
    return line if line is not None and buffer[:line].strip().endswith(b"?") else None
