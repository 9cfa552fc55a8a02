"""A Pfeiffer PPT 100 on RS-485 with the Pfeiffer Vacuum Protocol.

Telegrams with a wrong checksum, a wrong length or for another address get silence; unknown
parameters NO_DEF, values beyond their range _RANGE, writes to what is only read _LOGIC. Source:
PPT 100 operating instructions, section 6.2 and chapter 10. Not checked: the range of the sensors'
switch, and what the gauge sends beyond its measuring range (here: its ends).
"""

from __future__ import annotations

from labctl.framing.pfeiffer import seal, unseal
from labctl.twin import Plant, TwinDevice

_ANSWER_AFTER_NS = 5_000_000
_SILENCE_NS = 500_000_000
_LONGEST = 64
_LOW_MBAR, _HIGH_MBAR = 1e-4, 1200.0
_NOISE = 0.003
_READ, _WRITE = b"00", b"10"
_ASKED = b"02=?"
_WRITABLE = {b"741": (3, 0, 1), b"742": (6, 20, 800)}
NO_ERROR, TRANSMITTER, MEMORY = b"000000", b"Err001", b"Err002"


class SimPpt100:
    """The gauge; set `error` to one of the codes above to break it, `mute` to cut its line.

    `touches["1"]` is what it measures.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.error = NO_ERROR
        self.mute = False
        self.model = b"    A3"
        self.address = device.settings.address
        self.values = {b"741": b"000", b"742": b"000100"}
        self._plant = plant
        self._thing = device.touches.get("1", "line.P")
        self._chance = plant.stream(f"{device.name}.noise")
        self._buffer = bytearray()
        self._last_ns = 0

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes that arrived at `t_ns`; return (delay in ns, reply) pairs, in order."""
        if not data:
            return []
        if t_ns - self._last_ns > _SILENCE_NS:
            self._buffer.clear()
        self._last_ns = t_ns
        self._buffer += data
        replies = []
        while (end := self._buffer.find(b"\r") + 1) > 0:
            body = unseal(bytes(self._buffer[:end][-_LONGEST:]))
            del self._buffer[:end]
            answer = self._answer(body, t_ns) if body else None
            if answer is not None and not self.mute:
                replies.append((_ANSWER_AFTER_NS, answer))
        del self._buffer[:-_LONGEST]
        return replies

    def advance(self, t_ns: int) -> None:
        """Do nothing: the gauge has no clockwork that shows."""

    def power_cycle(self) -> None:
        """Switch off and on: half a telegram is forgotten, the settings stay."""
        self._buffer.clear()

    def _answer(self, body: bytes, t_ns: int) -> bytes | None:
        """Answer a body for this gauge; None is silence."""
        action, parameter, data = body[3:5], body[5:8], body[8:]
        if body[:3] != b"%03d" % self.address or not body[:10].isdigit():
            return None
        if action == _READ and data == _ASKED:
            return self._reply(parameter, self._read(parameter, t_ns))
        if action == _WRITE and int(data[:2]) == len(data[2:]):
            return self._write(parameter, data[2:])
        return None

    def _read(self, parameter: bytes, t_ns: int) -> bytes:
        fixed = {b"303": self.error, b"312": b"010100", b"349": self.model} | self.values
        if parameter == b"740":
            return self._pressure(t_ns)
        return fixed.get(parameter, b"NO_DEF")

    def _pressure(self, t_ns: int) -> bytes:
        seen = self._plant.get(self._thing, t_ns) * (1.0 + self._chance.gauss(0.0, _NOISE))
        mantissa, _, exponent = f"{min(max(seen, _LOW_MBAR), _HIGH_MBAR):.3e}".partition("e")
        return b"%04d%02d" % (round(float(mantissa) * 1000), int(exponent) + 20)

    def _write(self, parameter: bytes, data: bytes) -> bytes:
        if parameter not in _WRITABLE:
            known = parameter in {b"303", b"312", b"349", b"740"}
            return self._reply(parameter, b"_LOGIC" if known else b"NO_DEF")
        size, low, high = _WRITABLE[parameter]
        if len(data) != size or not data.isdigit():
            return self._reply(parameter, b"NO_DEF")
        if not low <= int(data) <= high:
            return self._reply(parameter, b"_RANGE")
        self.values[parameter] = data
        return self._reply(parameter, data)

    def _reply(self, parameter: bytes, data: bytes) -> bytes:
        return seal(b"%03d10%b%02d%b" % (self.address, parameter, len(data), data))
