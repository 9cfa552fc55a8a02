"""IKA RCT digital and RCT 5 hotplate stirrers, used for stirring and for a second flask probe.

Heating is never started: there is no method that could. Set commands have no reply, so each is
followed by a read. Source: IKA Plate (RCT digital) manual, "Interfaces and outputs" (NAMUR).
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
_MOST_RPM = 1500
_WATCHDOG_S = (20, 1500)
# How often in its time the watchdog is fed: polls may then be up to 8 s apart.
_FEED_EVERY_S = 8

# The manual prints the end of a line as blank, CR, blank, LF; instruments leave out either blank.
_END = rb" ?\r ?\n"
_VALUE = re.compile(rb"(-?\d{1,4}(?:\.\d{1,2})?) ([1-5])" + _END)
_ECHO = re.compile(rb"(\d{1,4})(?:\.0)?" + _END)
_NAME = re.compile(rb"([!-~](?:[ -~]{0,60}[!-~])?)" + _END)

_SPEED = b"IN_PV_4 \r\n"
_PROBE = b"IN_PV_1 \r\n"


class IkaRct:
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
        self._watchdog_s = self._checked_watchdog_s(settings.watchdog_s)
        self._feed_after = max(1, self._watchdog_s // _FEED_EVERY_S)
        self._unfed_polls = 0

    async def connect(self) -> Identity:
        """Read the name and arm the watchdog; a bar that turns is left turning.

        At rest the remote state is reset first, which ends what an expired watchdog left behind.

        Raises:
            NoReplyError: nothing answers.
            GarbledError: a reply that is not in the grammar, twice.
            RefusedByDeviceError: the watchdog's time comes back differently.
        """
        reply = await self._read(b"IN_NAME \r\n", _NAME)
        if await self._value(_SPEED) == 0.0:
            await self._port.tell(b"RESET \r\n")
        await self._feed_watchdog(Priority.COMMAND)
        return Identity("IKA", reply[1].decode("ascii"))

    async def look(self) -> Look:
        """Read name, speed and the set speed; nothing is reset or armed; raises as `connect`."""
        reply = await self._read(b"IN_NAME \r\n", _NAME)
        speed_rpm = await self._value(_SPEED)
        set_rpm = await self._value(b"IN_SP_4 \r\n")
        facts = {"speed": f"{speed_rpm:g} rpm, set to {set_rpm:g} rpm"}
        facts["limit"] = f"{_MOST_RPM} rpm, the rig allows {self._high_rpm:g} rpm"
        return Look(Identity("IKA", reply[1].decode("ascii")), facts)

    async def poll(self) -> tuple[float | None, ...]:
        """Read the speed in rpm and the second probe in °C, and feed the watchdog when it is time.

        The watchdog wants its own command within its time; other questions do not feed it. With
        polls at most 8 s apart it is fed in time, and a feed that failed is repeated.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
            RefusedByDeviceError: the watchdog's time comes back differently.
        """
        self._unfed_polls += 1
        if self._unfed_polls >= self._feed_after:
            await self._feed_watchdog(Priority.POLL)
        speed_rpm = await self._value(_SPEED, Priority.POLL)
        if not self._has_probe2:
            return (speed_rpm,)
        return speed_rpm, await self._value(_PROBE, Priority.POLL)

    async def stir(self, speed_rpm: float) -> None:
        """Turn at a speed in whole rpm; 0 stops.

        The setpoint is read back; whether the bar follows is for the `speed` channel to show.

        Raises:
            OutOfRangeError: negative, above the rig's limit or 1500 rpm, or not whole.
            NoReplyError: no reply to the read-back.
            GarbledError: a reply that is not in the grammar, twice.
            RefusedByDeviceError: the setpoint reads back differently.
        """
        asked = f"{speed_rpm:g} rpm"
        if not 0 <= speed_rpm <= self._high_rpm or speed_rpm % 1:
            expected = f"a whole number in 0 .. {self._high_rpm:g} rpm"
            raise OutOfRangeError(self.name, f"to stir at {asked}", expected, asked)
        await self._port.tell(b"OUT_SP_4 %d \r\n" % speed_rpm)
        await self._port.tell(b"START_4 \r\n" if speed_rpm else b"STOP_4 \r\n")
        setpoint_rpm = await self._value(b"IN_SP_4 \r\n")
        if setpoint_rpm != speed_rpm:
            raise RefusedByDeviceError(
                self.name, f"to stir at {asked}", f"{asked} read back", f"{setpoint_rpm:g} rpm"
            )

    async def make_safe(self) -> None:
        """Switch the heating off and leave the bar turning, which keeps a hot flask even.

        Raises:
            NoReplyError: it does not answer, so that it may not have heard.
            GarbledError: a reply that is not in the grammar, twice.
        """
        await self._port.tell(b"STOP_1 \r\n", priority=Priority.TRIP)
        await self._value(b"IN_SP_1 \r\n", Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Switch the heating off, twice: the first may only end a line of ours left half said.

        The bar is left turning; the watchdog, where it is armed, stops both in its own time.
        """
        return (b"STOP_1 \r\n",) * 2

    async def _feed_watchdog(self, priority: Priority) -> None:
        if not self._watchdog_s:
            return
        question = b"OUT_WD1@%d \r\n" % self._watchdog_s
        reply = await self._read(question, _ECHO, priority)
        if int(reply[1]) != self._watchdog_s:
            raise RefusedByDeviceError(
                self.name, repr(question), f"{self._watchdog_s} echoed", repr(reply[0])
            )
        self._unfed_polls = 0

    async def _value(self, question: bytes, priority: Priority = Priority.COMMAND) -> float:
        reply = await self._read(question, _VALUE, priority)
        if reply[2][0] != question[6]:
            raise GarbledError(
                self.name, repr(question), f"channel {question[6:7].decode()}", repr(reply[0])
            )
        return float(reply[1])

    async def _read(
        self,
        question: bytes,
        grammar: re.Pattern[bytes],
        priority: Priority = Priority.COMMAND,
    ) -> re.Match[bytes]:
        reply = await self._ask(question, priority)
        match = grammar.fullmatch(reply)
        if match is None:
            reply = await self._ask(question, priority)
            match = grammar.fullmatch(reply)
        if match is None:
            raise GarbledError(self.name, repr(question), repr(grammar.pattern), repr(reply))
        return match

    async def _ask(self, question: bytes, priority: Priority) -> bytes:
        return await self._port.ask(
            self.name, question, _LINE, timeout_s=_TIMEOUT_S, priority=priority
        )

    def _checked_watchdog_s(self, watchdog_s: float) -> int:
        low, high = _WATCHDOG_S
        if watchdog_s and (not low <= watchdog_s <= high or watchdog_s % 1):
            asked = f"{watchdog_s:g} s"
            expected = f"0 or whole seconds in {low} .. {high} s"
            raise OutOfRangeError(self.name, f"a watchdog of {asked}", expected, asked)
        return round(watchdog_s)
