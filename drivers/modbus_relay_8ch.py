"""Eight relays on Modbus RTU: Waveshare Modbus RTU Relay 8CH and (D), and boards like it.

A coil says what the relay was told, never where a valve is. The board has no watchdog: what must
happen without power or without labctl is a matter of wiring. Sources: Waveshare wiki, "Modbus RTU
Relay" (firmware V2); Modbus Application Protocol V1.1b3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from labctl.capabilities import DeviceSettings, Gate, Identity, Look, Switching
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError, UnknownNameError
from labctl.framing.modbus import answers, exception_code, reply_length, seal
from labctl.readings import Channel, Kind
from labctl.transport import Port, Priority

_RELAYS: Final = 8
_READ_COILS: Final = 1
_READ_INPUTS: Final = 2
_WRITE_COIL: Final = 5
_WRITE_COILS: Final = 15
_ON: Final = 0xFF00
_TIMEOUT_S: Final = 0.5


class ModbusRelay8ch:
    """Named outputs and inputs (capability RelayBoard); channels are all of them, 0 or 1.

    `settings.outputs` and `settings.inputs` map names to numbers from 1 to 8. An output in
    `settings.rests_on` (a normally open valve) is on while its relay is off, and read as such.

    Raises:
        OutOfRangeError: a number that the board does not have.
    """

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        outputs = [Channel(name, "truth", kind=Kind.COMMANDED) for name in settings.outputs]
        self.channels = (*outputs, *(Channel(name, "truth") for name in settings.inputs))
        self._port = port
        self._address = settings.address
        self._outputs = self._numbered("output", settings.outputs)
        self._inputs = self._numbered("input", settings.inputs)
        self._resting = sum(1 << bit for n, bit in self._outputs.items() if n in settings.rests_on)
        self._coils_question = self._question(_READ_COILS, 0, _RELAYS)
        self._inputs_question = self._question(_READ_INPUTS, 0, _RELAYS)

    @staticmethod
    def switching(address: int, number: int) -> Switching:
        """Return the frames that switch output `number` (from 1); the board echoes them.

        Raises:
            OutOfRangeError: a number that the board does not have.
        """
        if not 1 <= number <= _RELAYS:
            asked = f"for output {number}"
            raise OutOfRangeError("the contactor", asked, f"1 .. {_RELAYS}", str(number))
        off, on = (
            seal(struct.pack(">BBHH", address, _WRITE_COIL, number - 1, value))
            for value in (0, _ON)
        )
        return Switching(off, off, on, on)

    async def connect(self) -> Identity:
        """Read all coils, and the inputs if any are named; the board has no identity to read.

        Raises:
            NoReplyError: nothing answers.
            GarbledError: a reply that is not in the protocol, twice.
            RefusedByDeviceError: the board answers with an exception: it has no inputs, say.
        """
        await self.poll()
        return Identity("Waveshare", "Modbus RTU Relay 8CH")

    async def look(self) -> Look:
        """Connect, which sets nothing here; raises what it raises."""
        await self.connect()
        values = await self.poll()
        states = {
            channel.name: _word(bool(value))
            for channel, value in zip(self.channels, values, strict=True)
        }
        return Look(Identity("Waveshare", "Modbus RTU Relay 8CH"), states)

    async def poll(self) -> tuple[float | None, ...]:
        """Read all coils with one question, and all inputs with another if any are named.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
            RefusedByDeviceError: the board answers with an exception.
        """
        coils = self._resting ^ await self._bits(self._coils_question, Priority.POLL)
        values = [float(coils >> bit & 1) for bit in self._outputs.values()]
        if self._inputs:
            inputs = await self._bits(self._inputs_question, Priority.POLL)
            values += [float(inputs >> bit & 1) for bit in self._inputs.values()]
        return tuple(values)

    async def switch(self, output: str, on: bool, gate: Gate | None = None) -> None:
        """Switch one output and confirm by read-back of the coil; `gate` is asked at the wire.

        Raises:
            UnknownNameError: no output of that name.
            RefusedByDeviceError: refused, or the coil reads back differently.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the protocol, twice.
        """
        if output not in self._outputs:
            raise UnknownNameError(f"output of {self.name}", output, self._outputs)
        bit = self._outputs[output]
        energised = on is not bool(self._resting >> bit & 1)
        question = self._question(_WRITE_COIL, bit, _ON if energised else 0)
        reply = await self._send(question, gate=gate)
        if answers(question, reply):
            self._refuse_exception(question, reply)
        coils = self._resting ^ await self._bits(self._coils_question, Priority.COMMAND)
        if bool(coils >> bit & 1) != on:
            asked = f"to switch {output} (coil {bit + 1}) {_word(on)}"
            raise RefusedByDeviceError(self.name, asked, _word(on), _word(not on))

    async def make_safe(self) -> None:
        """Switch all relays off with one frame; what that means is the rig's wiring.

        Raises:
            RefusedByDeviceError: the board answers with an exception.
            NoReplyError: no reply.
            GarbledError: a reply that is not an echo.
        """
        (question,) = self.last_will()
        reply = await self._send(question, Priority.TRIP)
        if not answers(question, reply) or (len(reply) == 8 and reply[:6] != question[:6]):
            raise GarbledError(self.name, question.hex(" "), "its echo", reply.hex(" "))
        self._refuse_exception(question, reply)

    def last_will(self) -> tuple[bytes, ...]:
        """Switch all relays off with one frame: every output goes where it rests without power."""
        return (self._question(_WRITE_COILS, 0, _RELAYS, b"\x01\x00"),)

    def _numbered(self, what: str, names: Mapping[str, int]) -> dict[str, int]:
        """Return the bit of each name, counted from 0.

        Raises:
            OutOfRangeError: a number that the board does not have.
        """
        for name, number in names.items():
            if not 1 <= number <= _RELAYS:
                asked = f"for {what} {name!r} at {number}"
                raise OutOfRangeError(self.name, asked, f"1 .. {_RELAYS}", str(number))
        return {name: number - 1 for name, number in names.items()}

    def _question(self, function: int, address: int, value: int, data: bytes = b"") -> bytes:
        return seal(struct.pack(">BBHH", self._address, function, address, value) + data)

    async def _bits(self, question: bytes, priority: Priority) -> int:
        """Read eight bits, asking once more if the reply is garbled.

        Raises:
            GarbledError: the second reply was garbled too.
        """
        reply = await self._send(question, priority)
        if not answers(question, reply):
            reply = await self._send(question, priority)
        if answers(question, reply):
            self._refuse_exception(question, reply)
            if len(reply) == 6:
                return reply[3]
        raise GarbledError(self.name, question.hex(" "), "eight bits", reply.hex(" "))

    async def _send(
        self, question: bytes, priority: Priority = Priority.COMMAND, gate: Gate | None = None
    ) -> bytes:
        return await self._port.ask(
            self.name, question, reply_length, timeout_s=_TIMEOUT_S, priority=priority, gate=gate
        )

    def _refuse_exception(self, question: bytes, reply: bytes) -> None:
        code = exception_code(reply)
        if code:
            raise RefusedByDeviceError(
                self.name, question.hex(" "), "no exception", f"exception {code}"
            )


def _word(on: bool) -> str:
    return "on" if on else "off"
