"""How a New Era pump is spoken to, in basic and in safe mode: packets, status letters, alarms.

Source: AL-1000 manual, "RS-232 Communications"; NE-1000 publication 1200-01, chapter 10.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from labctl.errors import GarbledError, NoReplyError, RefusedByDeviceError
from labctl.framing.newera import Packet, find_packet, reply_from, seal
from labctl.transport import Priority

if TYPE_CHECKING:
    from labctl.capabilities import Gate
    from labctl.transport import Port

_TIMEOUT_S = 0.5
_QUIET_S = 0.05
NUMBER = r"(\d{1,4}(?:\.\d{0,3})?|\.\d{1,3})"
_REPLY = re.compile(r"(\d\d)(?:A\?([RSTEO])|([IWSPTUX])(.*))", re.ASCII)
PLAIN = re.compile(NUMBER, re.ASCII)
ALARMS = {
    "R": "it was switched off or reset, and its counter is lost",
    "S": "its motor stalled; look for a shut valve, a blocked line or an empty syringe",
    "T": "it heard nothing for the time of its watchdog and stopped",
    "E": "its pumping program has an error; connect again",
    "O": "its pumping program left its phases; connect again",
}
_REFUSALS = {
    "?": "it does not know the command",
    "?NA": "the command does not apply now",
    "?OOR": "the value is out of its range",
    "?IGN": "it ignored the command because a phase was just starting; ask again",
}


class Dialogue:
    """Questions to one address and their answers; keeps the last alarm until it is cleared."""

    def __init__(self, port: Port, name: str, address: int, *, safe: bool) -> None:
        self.alarm, self.restarted = "", False
        self._port = port
        self._name = name
        self._address = address
        self._frame = reply_from(address)
        self._safe = safe
        self._agreed = False
        port.unsolicited.append(self._overhear)

    async def agree_on_mode(self, watchdog_s: int) -> None:
        """Enter safe mode with a watchdog, or basic mode with 0.

        What waits to be told is told first: an alarm, or nothing at all just after power-up.
        """
        self._agreed = False
        for _ in range(2):
            with contextlib.suppress(RefusedByDeviceError, NoReplyError):
                await self.ask(f"SAF{watchdog_s}")
        await self.ask(f"SAF{watchdog_s}")
        self._agreed = True
        await self.verify("SAF", PLAIN, str(watchdog_s))
        self.alarm = ""

    async def set(self, command: str, value: str, grammar: re.Pattern[str], *expected: str) -> None:
        """Write a setting and read it back."""
        await self.ask(command + value)
        await self.verify(command, grammar, *expected)

    async def verify(self, command: str, grammar: re.Pattern[str], *expected: str) -> None:
        """Read a setting, which must be as expected; numbers are compared as numbers.

        Raises:
            RefusedByDeviceError: it is not as expected.
        """
        got = await self.query(command, grammar)
        if not all(_same(wanted, seen) for wanted, seen in zip(expected, got, strict=True)):
            raise RefusedByDeviceError(
                self._name, command, f"{' '.join(expected)} read back", " ".join(got)
            )

    async def query(self, command: str, grammar: re.Pattern[str]) -> tuple[str, ...]:
        """Read the parts of a setting.

        Raises:
            GarbledError: the reply is not in the setting's grammar.
        """
        _, data = await self.read(command)
        match = grammar.fullmatch(data)
        if match is None:
            raise GarbledError(self._name, command, grammar.pattern, repr(data))
        return match.groups()

    async def read(self, command: str, priority: Priority = Priority.COMMAND) -> tuple[str, str]:
        """Ask what changes nothing, once more if the reply was garbled."""
        try:
            return await self.ask(command, priority)
        except GarbledError:
            return await self.ask(command, priority)

    async def ask(
        self, command: str, priority: Priority = Priority.COMMAND, gate: Gate | None = None
    ) -> tuple[str, str]:
        """Ask once; return status and data.

        Raises:
            RefusedByDeviceError: the pump said no, or reported an alarm.
        """
        status, data = await self.exchange(command, priority, gate)
        if data.startswith("?"):
            why = _REFUSALS.get(data, "it does not say why")
            raise RefusedByDeviceError(
                self._name, command or "status", "its consent", f"{status}{data}: {why}"
            )
        return status, data

    async def exchange(
        self, command: str, priority: Priority, gate: Gate | None = None
    ) -> tuple[str, str]:
        """Ask once; return status and data, which may be a refusal.

        Raises:
            GarbledError: the reply is no packet of this pump, or the pump got a damaged one.
            RefusedByDeviceError: the pump reported an alarm, and did nothing else.
        """
        question = self.written(command)
        reply = await self._port.ask(
            self._name, question, self._frame, timeout_s=_TIMEOUT_S, priority=priority, gate=gate
        )
        alarm, status, data = self._parse(command, reply)
        if alarm:
            self.alarm, self.restarted = alarm, self.restarted or alarm == "R"
            await self._hear_out(priority)
            raise RefusedByDeviceError(
                self._name, command or "status", "no alarm", f"alarm {alarm}: {ALARMS[alarm]}"
            )
        if data == "?COM":
            raise GarbledError(self._name, command, "that it reads the question", "?COM")
        return status, data

    def written(self, command: str) -> bytes:
        """Write a command to this address as the mode wants it."""
        text = f"{self._address}{command}".encode("ascii")
        # Until the mode is agreed on, and to agree: safe packets are understood in both modes.
        sealed = self._safe or not self._agreed or command.startswith("SAF")
        return seal(text) if sealed else text + b"\r"

    async def _hear_out(self, priority: Priority) -> None:
        # The alarm may have come by itself while the question was on its way; then the answer to
        # the question still follows and must not become the answer to the next one.
        if self._safe:
            with contextlib.suppress(NoReplyError):
                await self._port.ask(
                    self._name, b"", self._frame, timeout_s=_QUIET_S, priority=priority
                )

    def _parse(self, command: str, reply: bytes) -> tuple[str | None, str, str]:
        packet = self._last_packet(reply)
        if (
            packet is not None
            and packet.intact
            and (packet.sealed is self._safe or not self._agreed)
        ):
            match = _REPLY.fullmatch(packet.text.decode("latin-1"))
            if match is not None and int(match[1]) == self._address:
                return match[2], match[3], match[4]
        expected = f"a packet of pump {self._address:02d} with address, status and data"
        raise GarbledError(self._name, command or "status", expected, repr(reply))

    def _last_packet(self, reply: bytes) -> Packet | None:
        # Before this pump answers, others may report alarms, which belong to their own drivers.
        packet = find_packet(reply)
        while packet is not None and packet.end < len(reply):
            for listener in self._port.unsolicited:
                listener(reply[packet.start : packet.end])
            packet = find_packet(reply, packet.end)
        return packet

    def _overhear(self, data: bytes) -> None:
        packet = find_packet(data)
        while packet is not None:
            match = _REPLY.fullmatch(packet.text.decode("latin-1"))
            if packet.intact and match and match[2] and int(match[1]) == self._address:
                self.alarm, self.restarted = match[2], self.restarted or match[2] == "R"
            packet = find_packet(data, packet.end)


def _same(wanted: str, seen: str) -> bool:
    return wanted == seen if wanted.isalpha() else float(wanted) == float(seen)
