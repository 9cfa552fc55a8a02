"""Heidolph MR Hei-Connect hotplate stirrers, used for stirring and for a second flask probe.

Heating is never started: there is no method that could. Every command is answered by its own name.
The manual asks for 0.1 s between commands, which the port keeps. Source: manual of the Heidolph MR
Hei-Standard, Hei-Tec and Hei-Connect, "Remote control", pages 23-24.
"""

from __future__ import annotations

import re

from labctl.capabilities import DeviceSettings, Identity, Look
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.framing import until
from labctl.readings import Channel
from labctl.transport import Port, Priority

_LINE = until(b"\n")
_TIMEOUT_S = 0.5
_LEAST_RPM, _MOST_RPM = 100, 1400
# The connection check has one time: after 10 s without a command it shows "PC Err".
_WATCHDOG_S = 10.0
_NO_SENSOR_C = 999.9
_BLOCKED = -1
_STATUSES = {0: "manual", 1: "remote, started", 2: "remote, stopped", _BLOCKED: "remote blocked"}

_NUMBER = re.compile(r"-?\d{1,4}(?:\.\d{1,2})?")
_WHOLE = re.compile(r"-?\d{1,2}")
_NOTHING = re.compile("")
_VERSION = re.compile(r"(?:SW_VERS )?[!-~](?:[ -~]{0,60}[!-~])?")


class HeidolphHeiConnect:
    """A stirrer (capability Stirrer); channels are `speed` and, where fitted, `probe2`.

    Raises:
        OutOfRangeError: the settings ask for a watchdog time the instrument does not have.
    """

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        speed = Channel("speed", "rotation")
        probe2 = Channel("probe2", "temperature")
        self.channels = (speed, probe2) if settings.has_probe2 else (speed,)
        self._port = port
        self._has_probe2 = settings.has_probe2
        self._high_rpm = min(settings.speed_high_rpm or _MOST_RPM, _MOST_RPM)
        if settings.watchdog_s not in {0.0, _WATCHDOG_S}:
            asked = f"{settings.watchdog_s:g} s"
            raise OutOfRangeError(self.name, f"a watchdog of {asked}", "0 s or 10 s", asked)
        self._watched = bool(settings.watchdog_s)

    async def connect(self) -> Identity:
        """Choose the present protocol, read version and status, switch on the connection check.

        Raises:
            RefusedByDeviceError: it is blocked by a person, or reports an error.
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer.
        """
        await self._obey("PA_NEW")
        firmware = (await self._read("SW_VERS", _VERSION)).removeprefix("SW_VERS ")
        await self._check_status(Priority.COMMAND)
        if self._watched:
            await self._obey("CC_ON")
        return Identity("Heidolph", "MR Hei-Connect", firmware=firmware)

    async def look(self) -> Look:
        """Read version, status and speed in the protocol it has; raises as `connect`."""
        firmware = (await self._read("SW_VERS", _VERSION)).removeprefix("SW_VERS ")
        await self._check_status(Priority.COMMAND)
        speed_rpm = await self._value("IN_PV_5")
        facts = {"speed": f"{speed_rpm:g} rpm"}
        facts["limit"] = f"{_MOST_RPM} rpm, the rig allows {self._high_rpm:g} rpm"
        return Look(Identity("Heidolph", "MR Hei-Connect", firmware=firmware), facts)

    async def poll(self) -> tuple[float | None, ...]:
        """Read the speed in rpm, the second probe in °C (None without one), and the status.

        Any command feeds the connection check, so polls at most 8 s apart keep it.

        Raises:
            RefusedByDeviceError: it is blocked by a person, or reports an error.
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer.
        """
        await self._check_status(Priority.POLL)
        speed_rpm = await self._value("IN_PV_5", Priority.POLL)
        if not self._has_probe2:
            return (speed_rpm,)
        probe2_c = await self._value("IN_PV_1", Priority.POLL)
        return speed_rpm, None if probe2_c == _NO_SENSOR_C else probe2_c

    async def stir(self, speed_rpm: float) -> None:
        """Turn at a speed in whole rpm, 100 or more; 0 stops.

        The setpoint is read back; whether the bar follows is for the `speed` channel to show.

        Raises:
            OutOfRangeError: 1 .. 99 rpm, above the rig's limit or 1400 rpm, or not whole.
            RefusedByDeviceError: the setpoint reads back differently.
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer.
        """
        asked = f"{speed_rpm:g} rpm"
        if speed_rpm and (not _LEAST_RPM <= speed_rpm <= self._high_rpm or speed_rpm % 1):
            expected = f"0, or a whole number in {_LEAST_RPM} .. {self._high_rpm:g} rpm"
            raise OutOfRangeError(self.name, f"to stir at {asked}", expected, asked)
        if not speed_rpm:
            await self._obey("STOP_2")
            return
        reply = await self._read(f"OUT_SP_3 {speed_rpm:.0f}", _NUMBER, "OUT_SP_3")
        setpoint_rpm = await self._value("IN_SP_3")
        if float(reply) != speed_rpm or setpoint_rpm != speed_rpm:
            got = f"{reply} echoed, {setpoint_rpm:g} rpm read back"
            raise RefusedByDeviceError(self.name, f"to stir at {asked}", asked, got)
        await self._obey("START_2")

    async def make_safe(self) -> None:
        """Switch the heating off and leave the bar turning, which keeps a hot flask even.

        Raises:
            GarbledError: an answer outside the protocol, twice.
            NoReplyError: no answer, so that it may not have heard.
        """
        await self._obey("STOP_1", Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Heating off; the bar turns on until the connection check ends it."""
        return (b"STOP_1\r\n",)

    async def _check_status(self, priority: Priority) -> None:
        status = int(await self._read("STATUS", _WHOLE, priority=priority))
        if status not in _STATUSES or status == _BLOCKED:
            expected = "no error; end it at the instrument, switch it off and on"
            got = f"{_STATUSES.get(status, 'error')} ({status})"
            raise RefusedByDeviceError(self.name, "STATUS", expected, got)

    async def _value(self, command: str, priority: Priority = Priority.COMMAND) -> float:
        return float(await self._read(command, _NUMBER, priority=priority))

    async def _obey(self, command: str, priority: Priority = Priority.COMMAND) -> None:
        await self._read(command, _NOTHING, priority=priority)

    async def _read(
        self,
        command: str,
        grammar: re.Pattern[str],
        name: str = "",
        *,
        priority: Priority = Priority.COMMAND,
    ) -> str:
        """Ask once, and once more after garbled bytes; return what stands behind the name.

        Raises:
            GarbledError: twice no answer by that name in the grammar.
        """
        name = name or command
        for _ in range(2):
            line = await self._port.ask(
                self.name,
                command.encode("ascii") + b"\r\n",
                _LINE,
                timeout_s=_TIMEOUT_S,
                priority=priority,
            )
            text = line.decode("ascii", "replace").removesuffix("\r\n").rstrip(" ")
            bare = text if command == "SW_VERS" else _behind(text, name)
            if line.endswith(b"\r\n") and bare is not None and grammar.fullmatch(bare):
                return bare
        raise GarbledError(self.name, command, f"{name} {grammar.pattern}".strip(), repr(line))


def _behind(text: str, name: str) -> str | None:
    """Return what stands behind a name, which may be nothing; None where the name is another."""
    head, _, rest = text.partition(" ")
    return rest if head == name else None
