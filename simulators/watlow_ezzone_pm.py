"""A Watlow EZ-ZONE PM on the standard bus, with its control loop, its parameters and their limits.

Set up as its page asks: input error power off, setpoint limits of the rig; °F on the wire as it
leaves the factory. With a broken sensor the input value stays at the last good one and the input
error says why. A ramp starts from the measured temperature when the setpoint changes. Sources:
EZ-ZONE PM User's Guide 0600-0059-0000 rev. P (parameters, ranges, enumerations); recorded frames of
pywatlow (services 3 and 4, tags 08 and 0F). Not checked: the error code of a refused write, and
that one beyond the limits is refused rather than clipped.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from labctl.framing.watlow import REPLY, REQUEST, ZONE, Frame, RequestReader, encode
from labctl.twin import Plant, TwinDevice
from simulators.eurotherm_control import LINE, MANTLE, ControlLoop

PERIOD_NS = 250_000_000
_PERIOD_S = 0.25
_TURN_ROUND_NS = 4_000_000
_NOISE_K = 0.05
_SMALL_HEATER_W = 40.0
NO_SUCH_OBJECT, NO_SUCH_ATTRIBUTE, NO_SUCH_INSTANCE, NOT_WRITABLE, BEYOND = (
    0x81, 0x83, 0x84, 0x88, 0x89,
)  # fmt: skip
OFF, AUTO, MANUAL, STARTUP, CHANGE, BOTH = 62, 10, 54, 88, 85, 13
FAHRENHEIT, CELSIUS, NO, YES, NO_ERROR, OPEN = 30, 15, 59, 106, 61, 65
_MINUTES, _HOURS = 57, 39
_MODES = (OFF, AUTO, MANUAL)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One parameter: its shape, its default in canonical units, its limits or its choices.

    `shape` is T (temperature), D (temperature difference), F (any float), E (enumeration), U (one
    byte), I (four bytes, signed) or S (text); one without limits and choices is read only.
    """

    shape: str
    default: float = 0.0
    limits: tuple[float, float] | None = None
    choices: tuple[int, ...] = ()
    text: bytes = b""


_WHOLE_RANGE = (-1128.0, 5537.0)
_RAMPS = (OFF, STARTUP, CHANGE, BOTH)
_TABLE = {
    1001: _Parameter("I", 28),  # hardware: ARM
    1003: _Parameter("I", 15),  # software revision
    1007: _Parameter("I", 123456),  # serial number
    1009: _Parameter("S", text=b"PM6C1CA-AAAAAAA\0"),  # part number
    3005: _Parameter("E", FAHRENHEIT, choices=(FAHRENHEIT, CELSIUS)),  # unit of the display
    4001: _Parameter("T"),  # analog input
    4002: _Parameter("E"),  # its error
    4005: _Parameter("E", 95, choices=(OFF, 95, 56, 104, 112, 113, 114)),  # sensor type
    6008: _Parameter("F"),  # power of output 1, %
    6009: _Parameter("F", 0.0, (0.0, 100.0)),  # its low scale
    6010: _Parameter("F", 100.0, (0.0, 100.0)),  # its high scale
    7001: _Parameter("T", 24.0, _WHOLE_RANGE),  # setpoint
    7002: _Parameter("F", 0.0, (-100.0, 100.0)),  # manual power, %
    7003: _Parameter("T", -1128.0, _WHOLE_RANGE),  # least setpoint
    7004: _Parameter("T", 5537.0, _WHOLE_RANGE),  # greatest setpoint
    7007: _Parameter("T"),  # setpoint in use
    7013: _Parameter("E", 100, choices=(OFF, 14, 33, 100)),  # power with an input error
    7014: _Parameter("E", OFF, choices=_RAMPS),
    7015: _Parameter("E", _MINUTES, choices=(_HOURS, _MINUTES)),  # per hour or per minute
    7017: _Parameter("D", 1.0, (0.0, 5555.0)),  # ramp rate
    7021: _Parameter("E", NO, choices=(NO, YES)),  # remote setpoint
    8001: _Parameter("E", AUTO, choices=_MODES),  # control mode
    8002: _Parameter("E"),  # control mode in force
    8003: _Parameter("E", 71, choices=(OFF, 71, 64)),  # heat algorithm: PID
    8009: _Parameter("D", 14.0, (0.001, 5555.0)),  # proportional band
    8006: _Parameter("F", 180.0, (0.0, 9999.0)),  # integral time, s
    8007: _Parameter("F", 0.0, (0.0, 9999.0)),  # derivative time, s
    8033: _Parameter("F"),  # output power, %
    17001: _Parameter("U", 1, (1, 16)),  # address
    17050: _Parameter("E", FAHRENHEIT, choices=(FAHRENHEIT, CELSIUS)),  # unit of the wire
    17051: _Parameter("E", YES, choices=(NO, YES)),  # writes go to the EEPROM
}
_CLASSES = frozenset(number // 1000 for number in _TABLE)
_LENGTHS = {"T": 5, "D": 5, "F": 5, "E": 4, "U": 2, "I": 5}
_TAGS = {"T": 0x08, "D": 0x08, "F": 0x08, "E": 0x0F, "U": 0x01, "I": 0x06}


class SimEzZonePm:
    """The controller's parameters around its control loop.

    `touches["probe"]` is what its sensor sees, `touches["output"]` what it heats; that thing's full
    power in W is the plant's `THING.full`. Faults: `sensor_broken`. `writes` counts the writes each
    parameter has taken.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.sensor_broken = False
        self.writes: Counter[int] = Counter()
        self._plant = plant
        self._probe = device.touches.get("probe", "flask.T")
        self._heater = device.touches.get("output", "heater")
        self._noise = plant.stream(f"{device.name}.noise")
        self._reader = RequestReader()
        self._loop = ControlLoop(MANTLE)
        self._full_w: float | None = None
        self._seen_c = 0.0
        self._due_ns: int | None = None
        self.values = {number: row.default for number, row in _TABLE.items()}
        settings = device.settings
        self.values |= {7013: OFF, 7003: settings.setpoint_low, 7001: settings.setpoint_low}
        self.values[7004] = settings.setpoint_high or 5537.0
        self.values[17001] = settings.address
        self._live: dict[int, Callable[[], float]] = {
            4001: lambda: self._seen_c,
            4002: lambda: OPEN if self.sensor_broken else NO_ERROR,
            6008: lambda: self._loop.output * 100.0,
            7007: lambda: self._loop.working_c,
            8002: lambda: self.values[8001],
            8033: lambda: self._loop.output * 100.0,
        }

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return (delay in ns, reply) for each request to this address."""
        self.advance(t_ns)
        return [
            (_TURN_ROUND_NS, encode(Frame(REPLY, frame.sender, frame.to, self._answer(frame.data))))
            for frame in self._reader.take(data, t_ns)
            if frame.kind == REQUEST and frame.to == self.values[17001] + ZONE
        ]

    def advance(self, t_ns: int) -> None:
        """Control until `t_ns`, once every 250 ms."""
        if self._due_ns is None:
            self._power_up(t_ns)
        while self._due_ns is not None and self._due_ns <= t_ns:
            self._control(self._due_ns)
            self._due_ns += PERIOD_NS

    def power_cycle(self) -> None:
        """Switch off and on: settings stay; a start-up ramp, if one is set, starts from the PV."""
        self._due_ns = None

    def _power_up(self, t_ns: int) -> None:
        self._due_ns = (t_ns // PERIOD_NS + 1) * PERIOD_NS
        if self._full_w is None:
            self._full_w = self._plant.get(f"{self._heater}.full", t_ns)
            self._loop.tuning = LINE if self._full_w < _SMALL_HEATER_W else MANTLE
        self._measure(t_ns)
        self._loop.start(self._seen_c)
        self._use_settings()
        if self.values[7014] not in {STARTUP, BOTH}:
            self._loop.working_c = self.values[7001]

    def _measure(self, t_ns: int) -> None:
        if not self.sensor_broken:
            seen_c = self._plant.get(self._probe, t_ns)
            self._seen_c = seen_c + self._noise.gauss(0.0, _NOISE_K)

    def _control(self, t_ns: int) -> None:
        self._measure(t_ns)
        before = self._loop.output
        if self.sensor_broken or self.values[8001] == OFF:
            output = self._loop.cut(self._seen_c, _PERIOD_S)
        else:
            output = self._loop.step(self._seen_c, _PERIOD_S)
        if output != before and self._full_w is not None:
            self._plant.put(self._heater, output * self._full_w, t_ns)

    def _use_settings(self) -> None:
        values, loop = self.values, self._loop
        loop.target_c = values[7001]
        ramps = values[7014] != OFF
        loop.rate_k_min = values[7017] / (60.0 if values[7015] == _HOURS else 1.0) if ramps else 0.0
        if not ramps:
            loop.working_c = loop.target_c
        loop.manual = values[8001] == MANUAL
        if loop.manual:
            loop.manual_output = max(values[7002], 0.0) / 100.0
        loop.high = values[6010] / 100.0

    def _answer(self, data: bytes) -> bytes:
        """Answer one message of the attribute service; what is none of it gets an error too."""
        if data[:3] == b"\x01\x03\x01" and len(data) == 6:
            return self._refusal(*data[3:]) or b"\x02\x03\x01" + data[3:] + self._value(data)
        if data[:2] == b"\x01\x04" and len(data) > 6:
            return self._refusal(*data[2:5]) or self._write(data)
        return bytes((2, NO_SUCH_OBJECT))

    def _refusal(self, group: int, member: int, instance: int) -> bytes:
        code = 0
        if group not in _CLASSES:
            code = NO_SUCH_OBJECT
        elif member > 255 or group * 1000 + member not in _TABLE:
            code = NO_SUCH_ATTRIBUTE
        elif instance != 1:
            code = NO_SUCH_INSTANCE
        return bytes((2, code)) if code else b""

    def _value(self, data: bytes) -> bytes:
        number = data[3] * 1000 + data[4]
        live = self._live.get(number)
        return self._pack(number, live() if live else self.values[number])

    def _pack(self, number: int, value: float) -> bytes:
        row = _TABLE[number]
        if row.shape == "S":
            return bytes((0x09, len(row.text))) + row.text
        if row.shape == "E":
            return struct.pack(">BBH", 0x0F, 1, round(value))
        if row.shape == "U":
            return struct.pack(">BB", 0x01, round(value))
        if row.shape == "I":
            return struct.pack(">Bi", 0x06, round(value))
        return struct.pack(">Bf", 0x08, self._on_wire(row.shape, value))

    def _on_wire(self, shape: str, value: float) -> float:
        if shape == "F" or self.values[17050] == CELSIUS:
            return value
        return value * 1.8 + (32.0 if shape == "T" else 0.0)

    def _off_wire(self, shape: str, value: float) -> float:
        if shape == "F" or self.values[17050] == CELSIUS:
            return value
        return (value - (32.0 if shape == "T" else 0.0)) / 1.8

    def _write(self, data: bytes) -> bytes:
        number, body = data[2] * 1000 + data[3], data[5:]
        row = _TABLE[number]
        if row.limits is None and not row.choices:
            return bytes((2, NOT_WRITABLE))
        if body[0] != _TAGS[row.shape] or len(body) != _LENGTHS[row.shape]:
            return bytes((2, BEYOND))
        value = self._unpack(row.shape, body)
        if not self._fits(number, row, value):
            return bytes((2, BEYOND))
        self._store(number, value)
        return b"\x02" + data[1:5] + self._pack(number, value)

    def _unpack(self, shape: str, body: bytes) -> float:
        if shape == "E":
            return float(int.from_bytes(body[2:], "big")) if body[1] == 1 else -1.0
        if shape == "U":
            return float(body[1])
        (value,) = struct.unpack(">f", body[1:])
        return self._off_wire(shape, value)

    def _fits(self, number: int, row: _Parameter, value: float) -> bool:
        if row.choices:
            return value in row.choices
        low, high = row.limits or (0.0, 0.0)
        if number == 7001:
            low, high = self.values[7003], self.values[7004]
        slack = 1e-4 * max(1.0, abs(value))
        return low - slack <= value <= high + slack

    def _store(self, number: int, value: float) -> None:
        self.writes[number] += 1
        changes = number == 7001 and value != self.values[7001]
        self.values[number] = value
        if changes and self.values[7014] in {CHANGE, BOTH}:
            self._loop.working_c = self._seen_c
        self._use_settings()
