"""Simulated Pfeiffer TPG 361, 362 and 366: mnemonics protocol, one, two or six gauges.

At power-up it talks by itself, one line of measurements a second, until the first character comes.
`COM` starts that again. A command is ACKed or NAKed; ENQ (alone or with CR LF) fetches the data of
the last command, again and again, or without one the error word. Spaces are ignored, ETX clears the
input. An input that touches a thing named `flask.…` has a capacitance gauge, any other a Pirani set
for N2. Source: TPG 261 manual BG 5195 pages 67-75, TPG 362 protocol BG 5510.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from labctl.twin import Plant, TwinDevice

_ENQ, _ETX, _CR, _LF = 0x05, 0x03, 0x0D, 0x0A
_ACK, _NAK = b"\x06\r\n", b"\x15\r\n"
_ACK_AFTER_NS = 2_000_000
_DATA_AFTER_NS = 4_000_000
_LONGEST_COMMAND = 64
_UNITS_PER_MBAR = {0: 1.0, 1: 0.750061683, 2: 100.0}
_INTERVAL_NS = {0: 100_000_000, 1: 1_000_000_000, 2: 60_000_000_000}
_SYNTAX, _PARAMETER, _NO_ERROR = "0001", "0010", "0000"

_MODELS = {1: "TPG 361,PTG28280", 2: "TPG 362,PTG28290", 6: "TPG 366,PTG28770"}

OK, UNDER, OVER, SENSOR_ERROR, OFF, ABSENT, UNIDENTIFIED = range(7)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One type of gauge: what TID calls it, its range and resolution in mbar, noise as 1 sigma."""

    identity: str
    low_mbar: float
    high_mbar: float
    resolution_mbar: float
    noise_fraction: float
    logarithmic: bool

    def see(self, pressure_mbar: float, chance: random.Random) -> tuple[int, float]:
        """Return status and indicated mbar at a true pressure.

        A Pirani set for N2 loses its grip as the gas becomes a continuum: above 20 mbar it reads
        the root of the ratio too little (142 mbar at one bar). A linear gauge reads on below its
        range, in steps of its resolution.
        """
        seen = pressure_mbar
        if self.logarithmic and seen > 20.0:
            seen = (20.0 * seen) ** 0.5
        seen *= 1.0 + chance.gauss(0.0, self.noise_fraction)
        if seen > self.high_mbar:
            return OVER, self.high_mbar
        if seen < self.low_mbar:
            return UNDER, self.low_mbar
        if self.resolution_mbar:
            seen = round(seen / self.resolution_mbar) * self.resolution_mbar
        return OK, seen


CAPACITANCE = Gauge("CMR/APR", 0.0, 1100.0, 0.01, 0.0005, logarithmic=False)
PIRANI = Gauge("TPR/PCR", 5e-4, 1000.0, 0.0, 0.01, logarithmic=True)


class SimTpg362:
    """The controller with its gauges; set `force[input] = status` to break a gauge.

    Wired to more inputs than it has, it is a TPG 366.
    """

    inputs: ClassVar[int] = 2

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.force: dict[int, int] = {}
        self.unit = 0
        self._plant = plant
        self._chance = plant.stream(f"{device.name}.noise")
        self._things = {int(n): thing for n, thing in device.touches.items() if n.isdecimal()}
        inputs = {*device.settings.places, *self._things}
        self._count = self.inputs if max(inputs, default=1) <= self.inputs else 6
        self._full_scale = [5] * self._count
        self._error = _NO_ERROR
        self._line = bytearray()
        self._after_enq = False
        self._data: Callable[[int], str] | None = None
        self._interval_ns = _INTERVAL_NS[1]
        self._next_ns: int | None = self._interval_ns
        self._spoken: deque[bytes] = deque(maxlen=64)
        self._commands = {
            "AYT": self._are_you_there,
            "COM": self._continuous,
            "ERR": self._error_status,
            "FSR": self._full_scale_range,
            "PNR": self._firmware,
            "RES": self._reset,
            "SEN": self._switch,
            "TID": self._identities,
            "UNI": self._units,
        }
        for n in range(1, self._count + 1):
            self._commands[f"PR{n}"] = partial(self._pressure, n)
        if self._count > 1:
            self._commands["PRX"] = self._pressures

    @property
    def speaks(self) -> bool:
        """Whether lines of the continuous output wait to be heard."""
        return bool(self._spoken)

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes that arrived at `t_ns`; return (delay in ns, reply) pairs, in order."""
        replies = [(0, line) for line in self._spoken]
        self._spoken.clear()
        if data:
            self._next_ns = None
        for byte in data:
            reply = self._take(byte, t_ns)
            if reply is not None:
                replies.append(reply)
        return replies

    def advance(self, t_ns: int) -> None:
        """Say the lines of the continuous output that are due by `t_ns`."""
        while self._next_ns is not None and self._next_ns <= t_ns:
            self._spoken.append(_reply(self._prx(t_ns)))
            self._next_ns += self._interval_ns

    def power_cycle(self, t_ns: int) -> None:
        """Switch off and on: it talks by itself again; the unit is kept."""
        self._line.clear()
        self._spoken.clear()
        self._data, self._after_enq, self._error = None, False, _NO_ERROR
        self._interval_ns = _INTERVAL_NS[1]
        self._next_ns = t_ns + self._interval_ns

    def turn(self, unit: float, _t_ns: int) -> None:
        """Choose another unit at the front: 0 mbar, 1 Torr, 2 Pa."""
        self.unit = round(unit) if round(unit) in _UNITS_PER_MBAR else self.unit

    def _take(self, byte: int, t_ns: int) -> tuple[int, bytes] | None:
        swallow, self._after_enq = self._after_enq, byte == _ENQ
        if byte == _ENQ:
            return _DATA_AFTER_NS, _reply(self._fetch(t_ns))
        if byte == _ETX:
            self._line.clear()
        elif byte == _CR and not swallow:
            return _ACK_AFTER_NS, self._execute(t_ns)
        elif byte not in {_CR, _LF, 0x20} and len(self._line) < _LONGEST_COMMAND:
            self._line.append(byte)
        return None

    def _fetch(self, t_ns: int) -> str:
        return self._read_error() if self._data is None else self._data(t_ns)

    def _execute(self, t_ns: int) -> bytes:
        name, *words = self._line.decode("ascii", "replace").split(",")
        self._line.clear()
        self._data = None
        command = self._commands.get(name)
        if command is None:
            return self._refuse(_SYNTAX)
        digits = [word for word in words if word.isascii() and word.isdigit() and len(word) < 3]
        if len(digits) != len(words):
            return self._refuse(_SYNTAX)
        data = command([int(word) for word in digits])
        if data is None:
            return self._refuse(_PARAMETER)
        self._data = data
        if name == "COM":
            self._next_ns = t_ns + self._interval_ns
        return _ACK

    def _refuse(self, error: str) -> bytes:
        self._error = error
        return _NAK

    def _read_error(self) -> str:
        error, self._error = self._error, _NO_ERROR
        return error

    def _measure(self, gauge: int, t_ns: int) -> str:
        thing = self._things.get(gauge)
        status = self.force.get(gauge, OK if thing else ABSENT)
        if thing is None or status >= SENSOR_ERROR:
            return f"{status},2.0000E-02"
        kind = _gauge_at(thing)
        seen_status, seen_mbar = kind.see(self._plant.get(thing, t_ns), self._chance)
        value = seen_mbar * _UNITS_PER_MBAR[self.unit]
        number = f"{value:.2E}".replace("E", "00E") if kind.logarithmic else f"{value:.4E}"
        return f"{status or seen_status},{number}"

    def _prx(self, t_ns: int) -> str:
        return ",".join([self._measure(n, t_ns) for n in range(1, self._count + 1)])

    def _are_you_there(self, words: list[int]) -> Callable[[int], str] | None:
        return _says(f"{_MODELS[self._count]},44990000,010300,010100", words)

    def _firmware(self, words: list[int]) -> Callable[[int], str] | None:
        return _says("010300", words)

    def _identities(self, words: list[int]) -> Callable[[int], str] | None:
        fitted = (self._things.get(n) for n in range(1, self._count + 1))
        names = (_gauge_at(thing).identity if thing else "noSENSOR" for thing in fitted)
        return _says(",".join(names), words)

    def _error_status(self, words: list[int]) -> Callable[[int], str] | None:
        return None if words else lambda _: self._read_error()

    def _reset(self, words: list[int]) -> Callable[[int], str] | None:
        if words not in ([], [1]):
            return None
        broken = sorted(n for n, status in self.force.items() if status == SENSOR_ERROR)
        return _says(",".join(str(7 + 2 * n) for n in broken) or "0", [])

    def _pressure(self, gauge: int, words: list[int]) -> Callable[[int], str] | None:
        return None if words else partial(self._measure, gauge)

    def _pressures(self, words: list[int]) -> Callable[[int], str] | None:
        return None if words else self._prx

    def _continuous(self, words: list[int]) -> Callable[[int], str] | None:
        (mode,) = words if len(words) == 1 else (-1 if words else 1,)
        if mode not in _INTERVAL_NS:
            return None
        self._interval_ns = _INTERVAL_NS[mode]
        return self._prx

    def _units(self, words: list[int]) -> Callable[[int], str] | None:
        if words:
            if len(words) != 1 or words[0] not in _UNITS_PER_MBAR:
                return None
            self.unit = words[0]
        return lambda _: str(self.unit)

    def _full_scale_range(self, words: list[int]) -> Callable[[int], str] | None:
        if words:
            if len(words) != self._count or max(words) > 9:
                return None
            self._full_scale = words
        return lambda _: ",".join(map(str, self._full_scale))

    def _switch(self, words: list[int]) -> Callable[[int], str] | None:
        # Neither type of gauge has anything to switch: 0 is "cannot be changed", and stays.
        if words and (len(words) != self._count or max(words) > 2):
            return None
        return _says(",".join("0" * self._count), [])


class SimTpg361(SimTpg362):
    """The controller for one gauge, which has no PRX."""

    inputs = 1


class SimTpg366(SimTpg362):
    """The controller for six gauges."""

    inputs = 6


def _gauge_at(thing: str) -> Gauge:
    return CAPACITANCE if thing.startswith("flask.") else PIRANI


def _says(text: str, words: list[int]) -> Callable[[int], str] | None:
    return None if words else lambda _: text


def _reply(text: str) -> bytes:
    return text.encode("ascii") + b"\r\n"
