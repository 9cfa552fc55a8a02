"""A Eurotherm 3216 temperature controller on Modbus RTU, with its control loop and its limits.

Each parameter can be read and written twice: as a scaled integer at its address n, with the
decimals of the display, and as IEEE 754 at 0x8000 + 2n, high word first (times there are whole ms).
Source: 3200 Series Engineering Handbook HA028651 issue 7, sections 15.4 and 15.5. Taken from
memory of it and not checked: addresses 30, 516 and 525; that a write beyond a limit is refused and
not clipped; the 5 s after which a remote setpoint is given up.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from labctl.framing.modbus import REGISTERS
from labctl.twin import Plant, TwinDevice
from simulators.eurotherm_control import LINE, MANTLE, ControlLoop, Tuning
from simulators.modbus_slave import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    ExceptionReplyError,
    ModbusSlave,
)

PERIOD_NS = 250_000_000
_PERIOD_S = 0.25
_NOISE_K = 0.05
_REMOTE_NS = 5_000_000_000
_SMALL_HEATER_W = 40.0
_MOST_WORDS = 125
_WIDE = 0x8000
_OPERATING, _CONFIGURING = 0, 2
_MOST_INTEGER = 0x7FFF


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One row of the table: what its number means, its default, its limits, when it is writable.

    `shape` is T (temperature, decimals of the display), P (one decimal), I (integer) or S (whole
    seconds); `when` is w (always), c (in configuration mode only) or r (never).
    """

    shape: str = "I"
    default: float = 0.0
    low: float = -1999.0
    high: float = 9999.0
    when: str = "w"


_TABLE = {
    1: _Parameter("T", when="r"),  # PV
    2: _Parameter("T"),  # target setpoint: writes the selected one of 24 and 25
    3: _Parameter("P", 0.0, 0.0, 100.0),  # manual output, %
    4: _Parameter("P", when="r"),  # working output, %
    5: _Parameter("T", when="r"),  # working setpoint
    6: _Parameter("T", 0.0, 0.1, 999.9),  # proportional band
    7: _Parameter("I", 0.0, 0.0, 1.0),  # control action
    8: _Parameter("S", 0.0, 0.0, 9999.0),  # integral time
    9: _Parameter("S", 0.0, 0.0, 9999.0),  # derivative time
    11: _Parameter("T", -200.0, when="c"),  # range of a type K thermocouple
    12: _Parameter("T", 1372.0, when="c"),
    13: _Parameter("T", 1372.0),  # alarm 1, full scale high
    14: _Parameter("T", -200.0),  # alarm 2, full scale low
    15: _Parameter("I", 0.0, 0.0, 1.0),  # setpoint select
    23: _Parameter("I", 0.0, 0.0, 3.0),  # timer status
    24: _Parameter("T"),  # setpoint 1
    25: _Parameter("T"),  # setpoint 2
    26: _Parameter("T"),  # remote setpoint
    30: _Parameter("P", 100.0, 0.0, 100.0),  # output high limit, %
    35: _Parameter("P", 0.0, 0.0, 3000.0),  # setpoint rate limit, K per unit of 531; 0 is off
    37: _Parameter("P", 0.0, 0.0, 100.0),  # output rate limit
    39: _Parameter("T", when="r"),  # error
    75: _Parameter("I", when="r"),  # status word
    107: _Parameter("I", 0x0211, when="r"),  # version, to be read as hexadecimal
    111: _Parameter("T", 1372.0),  # setpoint high limit
    112: _Parameter("T", 0.0),  # setpoint low limit
    199: _Parameter("I", 0.0, 0.0, 2.0),  # instrument mode: 0 operating, 1 standby, 2 configuration
    203: _Parameter("T"),  # PV write-in, for an input that is none
    273: _Parameter("I", 0.0, 0.0, 1.0),  # 0 automatic, 1 manual
    274: _Parameter("I", 0.0, 0.0, 1.0),  # acknowledge all alarms
    276: _Parameter("I", 0.0, 0.0, 1.0),  # 0 local, 1 remote setpoint
    516: _Parameter("I", 0.0, 0.0, 3.0, "c"),  # units: 0 °C, 1 °F, 2 K, 3 none
    525: _Parameter("I", 1.0, 0.0, 1.0, "c"),  # decimals of the display
    531: _Parameter("I", 0.0, 0.0, 2.0, "c"),  # time unit of 35: 0 min, 1 h, 2 s
    12550: _Parameter("I", 0.0, 0.0, 1.0, "c"),  # resolution of the integers: 0 full, 1 whole
} | {  # dwell, target and rate of eight segments; programs are stored and not run
    1280 + 3 * segment + part: _Parameter(shape)
    for segment in range(8)
    for part, shape in enumerate("STP")
}
_SHAPES = {address: parameter.shape for address, parameter in _TABLE.items()}
_POWERS = (1.0, 10.0)
_SETPOINTS = frozenset({2, 24, 25, 26})


class SimEurotherm3216:
    """The controller's registers around its control loop.

    `touches["probe"]` is what its sensor sees, `touches["output"]` what it heats; that thing's
    full power in W is the plant's `THING.full`, and with it comes the tuning. Faults:
    `sensor_broken`. `writes` counts the writes each address has taken: 2, 24 and 25 wear out.
    """

    per_minute: ClassVar[dict[int, float]] = {0: 1.0, 1: 1.0 / 60.0, 2: 60.0}  # min, h, s
    minutes: ClassVar[int] = 0

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.sensor_broken = False
        self.writes: Counter[int] = Counter()
        self._plant = plant
        self._probe = device.touches.get("probe", "flask.T")
        self._heater = device.touches.get("output", "heater")
        self._noise = plant.stream(f"{device.name}.noise")
        self._full_w: float | None = None
        self._measured_c = 0.0
        self._due_ns: int | None = None
        self._now_ns = self._remote_ns = 0
        self._loop = ControlLoop(MANTLE)
        self._values = {n: parameter.default for n, parameter in _TABLE.items()}
        self._values[531] = self.minutes
        settings = device.settings
        self._values[111] = settings.setpoint_high or self._values[111]
        self._values[24] = self._values[25] = self._values[26] = settings.setpoint_low
        self._live: dict[int, Callable[[], float]] = {
            1: lambda: self._measured_c,
            2: lambda: self._values[self._selected],
            3: lambda: self._loop.manual_output * 100.0,
            4: lambda: self._loop.output * 100.0,
            5: lambda: self._loop.working_c,
            39: lambda: self._measured_c - self._loop.working_c,
            75: self._status,
        }
        self._slave = ModbusSlave(settings.address, self._obey)

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return (delay in ns, reply) for each request to this unit."""
        self.advance(t_ns)
        return self._slave.feed(data, t_ns)

    def advance(self, t_ns: int) -> None:
        """Control until `t_ns`, once every 250 ms."""
        if self._due_ns is None:
            self._power_up(t_ns)
            return
        while self._due_ns <= t_ns:
            self._control(self._due_ns)
            self._due_ns += PERIOD_NS
        self._now_ns = max(self._now_ns, t_ns)

    def power_cycle(self) -> None:
        """Switch off and on: settings stay, the working setpoint starts from what is measured."""
        self._due_ns = None
        self._values[199] = _OPERATING
        self._plant.put(self._heater, 0.0, self._now_ns)

    def turn(self, setpoint_c: float, t_ns: int) -> None:
        """Turn the selected setpoint at the front; within its limits, as the keys do."""
        self.advance(t_ns)
        self._values[self._selected] = min(max(setpoint_c, self._values[112]), self._values[111])
        self._use_settings()

    def _power_up(self, t_ns: int) -> None:
        self._now_ns = self._remote_ns = t_ns
        self._due_ns = (t_ns // PERIOD_NS + 1) * PERIOD_NS
        if self._full_w is None:
            self._full_w = self._plant.get(f"{self._heater}.full", t_ns)
            self._tune(LINE if self._full_w < _SMALL_HEATER_W else MANTLE)
        self._measure(t_ns)
        self._loop.start(self._measured_c)
        self._use_settings()

    def _tune(self, tuning: Tuning) -> None:
        self._loop.tuning = tuning
        found = (tuning.band_k, tuning.integral_s, tuning.derivative_s)
        self._values |= dict(zip((6, 8, 9), found, strict=True))

    def _measure(self, t_ns: int) -> None:
        if self.sensor_broken:
            self._measured_c = self._range_end_c(0.06)
        else:
            seen_c = self._plant.get(self._probe, t_ns)
            self._measured_c = seen_c + self._noise.gauss(0.0, _NOISE_K)

    def _range_end_c(self, beyond: float) -> float:
        """Return the top of the range, or a fraction of the span beyond it."""
        low_c, high_c = self._values[11], self._values[12]
        return high_c + beyond * (high_c - low_c)

    def _control(self, t_ns: int) -> None:
        self._measure(t_ns)
        loop = self._loop
        before = loop.output
        if self._values[276] and t_ns - self._remote_ns >= _REMOTE_NS:
            self._use_settings()
        if self.sensor_broken or self._values[199] != _OPERATING:
            output = loop.cut(self._measured_c, _PERIOD_S)
        else:
            output = loop.step(self._measured_c, _PERIOD_S)
        if output != before and self._full_w is not None:
            self._plant.put(self._heater, output * self._full_w, t_ns)

    @property
    def _selected(self) -> int:
        return 25 if self._values[15] else 24

    @property
    def _remote_failed(self) -> bool:
        return bool(self._values[276]) and self._now_ns - self._remote_ns >= _REMOTE_NS

    def _status(self) -> float:
        values, loop = self._values, self._loop
        bits = {
            0: self._measured_c > values[13],
            1: self._measured_c < values[14],
            4: loop.manual,
            5: self.sensor_broken,
            10: self._measured_c > self._range_end_c(0.05),
            13: loop.working_c != loop.target_c,
            14: self._remote_failed,
        }
        return sum(1 << bit for bit, active in bits.items() if active)

    def _use_settings(self) -> None:
        """Take over into the loop what was written."""
        values, loop = self._values, self._loop
        remote = values[276] and not self._remote_failed
        loop.target_c = values[26] if remote else values[self._selected]
        loop.rate_k_min = values[35] * self.per_minute[round(values[531])]
        loop.manual = values[273] == 1.0
        loop.high = values[30] / 100.0
        loop.tuning = Tuning(values[6], values[8], values[9], loop.tuning.slope_s_k)

    def _obey(self, function: int, data: bytes, t_ns: int) -> bytes:
        if function in REGISTERS:
            words = self._read(*struct.unpack(">HH", data))
            return bytes((len(words),)) + words
        if function == 6:
            address, value = struct.unpack(">Hh", data)
            self._write(self._checked(address, self._scaled(address, value)), t_ns)
            return data
        if function == 16:
            self._write_many(data, t_ns)
            return data[:4]
        raise ExceptionReplyError(ILLEGAL_FUNCTION)

    def _read(self, address: int, count: int) -> bytes:
        """Read words; a gap in the table within a block reads as 0.

        Raises:
            ExceptionReplyError: too many words, or the block starts or ends in a gap.
        """
        if not 1 <= count <= _MOST_WORDS:
            raise ExceptionReplyError(ILLEGAL_VALUE)
        if not (_exists(address) and _exists(address + count - 1)):
            raise ExceptionReplyError(ILLEGAL_ADDRESS)
        if address >= _WIDE:
            return b"".join(self._half(n) for n in range(address, address + count))
        return struct.pack(f">{count}h", *[self._word(n) for n in range(address, address + count)])

    def _half(self, address: int) -> bytes:
        """Return one of the two words of a wide value."""
        if not _exists(address):
            return b"\0\0"
        number, low = divmod(address - _WIDE, 2)
        return self._wide(number)[2 * low : 2 * low + 2]

    def _word(self, address: int) -> int:
        """Return the word at an address; a gap reads as 0."""
        if address not in _TABLE:
            return 0
        live = self._live.get(address)
        value = live() if live else self._values[address]
        scaled = round(value * _POWERS[self._decimals(address)])
        if -_MOST_INTEGER <= scaled <= _MOST_INTEGER:
            return scaled
        return _MOST_INTEGER if scaled > 0 else -_MOST_INTEGER

    def _wide(self, number: int) -> bytes:
        value = self._value(number)
        if _TABLE[number].shape == "S":
            return struct.pack(">i", round(value * 1000))
        return struct.pack(">f", value)

    def _value(self, number: int) -> float:
        live = self._live.get(number)
        return live() if live else self._values[number]

    def _decimals(self, address: int) -> int:
        shape = _SHAPES.get(address, "I")
        if shape in "IS" or self._values[12550]:
            return 0
        return round(self._values[525]) if shape == "T" else 1

    def _scaled(self, address: int, value: int) -> float:
        return float(value / 10 ** self._decimals(address))

    def _write_many(self, request: bytes, t_ns: int) -> None:
        """Write words, all or none; in the wide view whole pairs only.

        Raises:
            ExceptionReplyError: the counts do not fit, or half a value is written.
        """
        count, size = struct.unpack(">HB", request[2:5])
        address, data = int.from_bytes(request[:2], "big"), request[5:]
        if size != 2 * count or len(data) != size or not 1 <= count <= _MOST_WORDS - 2:
            raise ExceptionReplyError(ILLEGAL_VALUE)
        if address < _WIDE:
            values = struct.unpack(f">{count}h", data)
            asked = [(address + k, self._scaled(address + k, v)) for k, v in enumerate(values)]
        elif address % 2 or count % 2:
            raise ExceptionReplyError(ILLEGAL_ADDRESS)
        else:
            first = (address - _WIDE) // 2
            asked = [
                (first + k, _unpacked(first + k, data[4 * k : 4 * k + 4]))
                for k in range(count // 2)
            ]
        for write in [self._checked(number, value) for number, value in asked]:
            self._write(write, t_ns)

    def _checked(self, number: int, value: float) -> tuple[int, float]:
        """Return what may be written.

        Raises:
            ExceptionReplyError: no such address, not now, or beyond its limits.
        """
        parameter = _TABLE.get(number)
        if parameter is None or parameter.when == "r":
            raise ExceptionReplyError(ILLEGAL_ADDRESS)
        if parameter.when == "c" and self._values[199] != _CONFIGURING:
            raise ExceptionReplyError(ILLEGAL_ADDRESS)
        low, high = parameter.low, parameter.high
        if number in _SETPOINTS:
            low, high = self._values[112], self._values[111]
        if not low <= value <= high or (parameter.shape in "IS" and value % 1):
            raise ExceptionReplyError(ILLEGAL_VALUE)
        return number, value

    def _write(self, write: tuple[int, float], t_ns: int) -> None:
        number, value = write
        self.writes[number] += 1
        if number == 3:
            if self._loop.manual:
                self._loop.manual_output = value / 100.0
            return
        if number in {26, 276}:
            self._remote_ns = t_ns
        self._values[self._selected if number == 2 else number] = value
        self._use_settings()


class SimEurotherm3504(SimEurotherm3216):
    """A 3504, whose time units of the rate are 0 s, 1 min, 2 h; it is set to minutes."""

    per_minute: ClassVar[dict[int, float]] = {0: 60.0, 1: 1.0, 2: 1.0 / 60.0}
    minutes = 1


def _exists(address: int) -> bool:
    return (address if address < _WIDE else (address - _WIDE) // 2) in _TABLE


def _unpacked(number: int, data: bytes) -> float:
    """Read a wide value; not a number is beyond every limit."""
    if number in _TABLE and _TABLE[number].shape == "S":
        return int.from_bytes(data, "big", signed=True) / 1000.0
    (value,) = struct.unpack(">f", data)
    return float(value)
