"""Simulated Ocean HDX, FX, STS and QE Pro: the Ocean Binary Protocol from the instrument's side.

Sources: STS data sheet 030-00000-003-05 and libseabreeze (message types, sizes of arguments). The
QE Pro's cooler follows its setpoint with a time constant and cannot go more than 40 K below
ambient; the layout of its 32 metadata bytes beyond count, time and integration is left zero.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labctl.framing import obp
from labctl.twin import Exposure, Plant, TwinDevice

_BAD_PROTOCOL = 1
_UNKNOWN_TYPE = 2
_BAD_CHECKSUM = 3
_BAD_LENGTH = 5
_BAD_VALUE = 6
_UNKNOWN_CHECKSUM = 8
_INTERNAL = 13

_AMBIENT_C = 22.0
_COOLING_K = 40.0
_COOLER_NS = 20e9


@dataclass(frozen=True, slots=True)
class Model:
    """What a model is: pixels, limits in µs, detector in counts, factory coefficients in nm."""

    name: str
    serial: str
    product_id: int
    pixels: int
    max_counts: int
    integration_us: tuple[int, int]
    dark_counts: float
    read_noise: float
    wavelength: tuple[float, ...]
    nonlinearity: tuple[float, ...]


HDX = Model(
    "HDX",
    "HDX00427",
    product_id=0x2003,
    pixels=2068,
    max_counts=0xFFFF,
    integration_us=(6_000, 10_000_000),
    dark_counts=1450.0,
    read_noise=11.0,
    wavelength=(187.60, 0.3874, -6.9e-6, -1.3e-10),
    nonlinearity=(0.9236, 3.1e-6, -4.7e-11, 2.2e-16),
)
FX = Model(
    "FX",
    "FX02241",
    product_id=0x2001,
    pixels=2136,
    max_counts=0xFFFF,
    integration_us=(6_000, 10_000_000),
    dark_counts=1520.0,
    read_noise=13.0,
    wavelength=(196.35, 0.4412, -2.4e-5, 3.9e-10),
    nonlinearity=(0.9187, 2.9e-6, -4.4e-11, 2.0e-16),
)
STS = Model(
    "STS",
    "S04117",
    product_id=0x4000,
    pixels=1024,
    max_counts=0x3FFF,
    integration_us=(10, 85_000_000),
    dark_counts=1490.0,
    read_noise=4.0,
    wavelength=(337.12, 0.4691, -7.1e-6, -3.8e-9),
    nonlinearity=(0.9410, 1.1e-5, -6.0e-10, 1.2e-14),
)
QE_PRO = Model(
    "QE-PRO",
    "QEP01733",
    product_id=0x4004,
    pixels=1044,
    max_counts=0x3FFFF,
    integration_us=(8_000, 1_600_000_000),
    dark_counts=2600.0,
    read_noise=5.5,
    wavelength=(347.85, 0.7982, -4.1e-5, -2.6e-9),
    nonlinearity=(0.9871, 2.2e-7, -1.1e-12, 1.9e-18),
)


class ObpError(Exception):
    """A message the instrument refuses, with the error number it answers."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True, slots=True)
class Handler:
    """How a message type is served: size of its argument in bytes, and what it answers."""

    size: int
    serve: Callable[[bytes, int], bytes | None]


class SimObp:
    """What the models share: framing, errors, acknowledgements, coefficients, exposure.

    Faults: `refuses` maps message types to the error they get, `deprecated` holds types that are
    answered with that flag, and `broken` makes every answer a hardware exception.
    """

    def __init__(self, device: TwinDevice, plant: Plant, model: Model) -> None:
        self.model = model
        self.refuses: dict[int, int] = {}
        self.deprecated: set[int] = set()
        self.broken = False
        self._plant = plant
        self._sees = device.touches.get("spectrum", "absorbance")
        self._buffer = bytearray()
        self._integration_us = 100_000
        self._scans = 1
        self._boxcar = 0
        self._trigger = 0
        self._free_ns = 0
        self._noise = plant.stream(f"{device.name}.noise")
        stored = struct.unpack("<4f", struct.pack("<4f", *model.wavelength))
        self._axis_nm = _polynomial(stored, model.pixels)
        self._handlers = self._common()

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes; answer every whole message in turn, skipping what cannot start one."""
        self._buffer += data
        replies = []
        while (arrived := self._next_message()) is not None:
            self._free_ns = max(self._free_ns, t_ns)
            reply = self._answer(*arrived, t_ns)
            if reply is not None:
                replies.append((self._free_ns - t_ns, reply))
        return replies

    def advance(self, t_ns: int) -> None:
        """Nothing moves by itself."""

    def _next_message(self) -> tuple[obp.Message, bytes] | None:
        while True:
            self._skip_noise()
            length = obp.length(bytes(self._buffer))
            if length is None:
                return None
            frame = bytes(self._buffer[:length])
            try:
                message = obp.decode(frame)
            except ValueError:
                del self._buffer[: len(obp.START)]
                continue
            del self._buffer[:length]
            return message, frame

    def _skip_noise(self) -> None:
        at = self._buffer.find(obp.START)
        if at < 0:
            at = len(self._buffer) - self._buffer.endswith(obp.START[:1])
        del self._buffer[:at]

    def _answer(self, asked: obp.Message, frame: bytes, t_ns: int) -> bytes | None:
        flags, error, data = obp.Flag.RESPONSE, 0, None
        try:
            self._check(asked, frame)
            data = self._serve(asked, t_ns)
        except ObpError as refused:
            flags, error = flags | obp.Flag.NACK, refused.number
        wants_ack = bool(asked.flags & obp.Flag.REQUEST_ACK)
        if asked.kind in self.deprecated:
            flags |= obp.Flag.DEPRECATED
        if self.broken:
            flags, error, data = obp.Flag.RESPONSE | obp.Flag.EXCEPTION, _INTERNAL, b""
        if data is None and not error and not wants_ack:
            return None
        if wants_ack and not error:
            flags |= obp.Flag.ACK
        kind, regarding = asked.kind, asked.regarding
        checksum = asked.checksum_type if asked.checksum_type == 1 else 0
        return obp.encode(obp.Message(kind, data or b"", flags, error, regarding, checksum))

    def _check(self, asked: obp.Message, frame: bytes) -> None:
        if asked.version != obp.VERSION:
            raise ObpError(_BAD_PROTOCOL)
        if asked.checksum_type not in {0, 1}:
            raise ObpError(_UNKNOWN_CHECKSUM)
        if not obp.is_whole(frame):
            raise ObpError(_BAD_CHECKSUM)

    def _serve(self, asked: obp.Message, t_ns: int) -> bytes | None:
        if asked.kind in self.refuses:
            raise ObpError(self.refuses[asked.kind])
        handler = self._handlers.get(asked.kind)
        if handler is None:
            raise ObpError(_UNKNOWN_TYPE)
        if len(asked.data) != handler.size:
            raise ObpError(_BAD_LENGTH)
        return handler.serve(asked.data, t_ns)

    def _common(self) -> dict[int, Handler]:
        model = self.model
        low_us, high_us = model.integration_us
        return {
            0x00000100: _constant(model.serial.encode()),
            0x00000101: _constant(b"\x10"),
            0x00000E00: _constant(struct.pack("<H", 0x2457)),
            0x00000E01: _constant(struct.pack("<H", model.product_id)),
            0x00000E11: _constant(model.name.encode()),
            0x00110000: Handler(0, lambda _data, _t: struct.pack("<I", self._integration_us)),
            0x00110001: _constant(struct.pack("<I", low_us)),
            0x00110002: _constant(struct.pack("<I", high_us)),
            0x00110003: _constant(struct.pack("<I", 1)),
            0x00110010: Handler(4, self._set_integration),
            0x00110100: Handler(0, lambda _data, _t: bytes((self._trigger,))),
            0x00110110: Handler(1, self._set_trigger),
            0x00110220: _constant(struct.pack("<I", model.pixels)),
            0x00180100: _constant(bytes((len(model.wavelength),))),
            0x00180101: _coefficients(model.wavelength),
            0x00181100: _constant(bytes((len(model.nonlinearity),))),
            0x00181101: _coefficients(model.nonlinearity),
        }

    def _set_integration(self, data: bytes, _t_ns: int) -> None:
        (micros,) = struct.unpack("<I", data)
        low_us, high_us = self.model.integration_us
        if not low_us <= micros <= high_us:
            raise ObpError(_BAD_VALUE)
        self._integration_us = micros

    def _set_trigger(self, data: bytes, _t_ns: int) -> None:
        if data[0] not in {0, 1, 2, 3, 0xFF}:
            raise ObpError(_BAD_VALUE)
        self._trigger = data[0]

    def _expose(self, t_ns: int, pixel_type: str) -> bytes | None:
        if self._trigger:
            return None  # it waits for an edge on a pin that nothing drives
        model = self.model
        self._free_ns += self._integration_us * 1_000 * self._scans
        exposure = Exposure(
            self._axis_nm,
            self._integration_us * 1e-6,
            self._scans,
            self._boxcar,
            model.max_counts,
            model.dark_counts,
            model.read_noise,
        )
        counts = self._plant.counts(self._sees, exposure, t_ns)
        pixels = np.frombuffer(counts, np.uint32)
        return np.minimum(pixels, model.max_counts).astype(pixel_type).tobytes()


class SimHdx(SimObp):
    """HDX: spectra of 16-bit pixels without metadata; averages scans and smooths by itself."""

    _model = HDX

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        super().__init__(device, plant, self._model)
        spectrum = Handler(0, lambda _data, t_ns: self._expose(t_ns, "<u2"))
        self._handlers |= {
            0x00101000: spectrum,
            0x00101100: spectrum,
            0x00120000: Handler(0, lambda _data, _t: struct.pack("<H", self._scans)),
            0x00120010: Handler(2, self._set_scans),
            0x00121000: Handler(0, lambda _data, _t: bytes((self._boxcar,))),
            0x00121010: Handler(1, self._set_boxcar),
        }

    def _set_scans(self, data: bytes, _t_ns: int) -> None:
        (scans,) = struct.unpack("<H", data)
        if not 1 <= scans <= 5_000:
            raise ObpError(_BAD_VALUE)
        self._scans = scans

    def _set_boxcar(self, data: bytes, _t_ns: int) -> None:
        if data[0] > 15:
            raise ObpError(_BAD_VALUE)
        self._boxcar = data[0]


class SimFx(SimHdx):
    """Ocean FX: as the HDX, with 2136 pixels."""

    _model = FX


class SimSts(SimHdx):
    """STS: as the HDX, with 1024 pixels of 14 bits."""

    _model = STS


class SimQePro(SimObp):
    """QE Pro: 32 bytes of metadata and 32-bit pixels from a buffer; a cooled detector."""

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        super().__init__(device, plant, QE_PRO)
        self._detector_c = _AMBIENT_C
        self._setpoint_c = -10.0
        self._cools = False
        self._at_ns = 0
        self._taken = 0
        self._handlers |= {
            0x00100830: Handler(0, lambda _data, _t: None),
            0x00100900: _constant(struct.pack("<I", 0)),
            0x00100928: Handler(0, self._buffered),
            0x00420000: Handler(0, lambda _data, _t: bytes((self._cools,))),
            0x00420001: Handler(0, lambda _data, _t: struct.pack("<f", self._setpoint_c)),
            0x00420003: Handler(0, lambda _data, _t: bytes((self._is_stable(),))),
            0x00420004: Handler(0, self._temperature),
            0x00420010: Handler(1, self._switch_cooler),
            0x00420011: Handler(4, self._set_setpoint),
        }

    def advance(self, t_ns: int) -> None:
        """Let the detector approach where the cooler, or the room, pulls it."""
        goal_c = self._goal_c()
        if goal_c != self._detector_c:
            share = 1.0 - math.exp(-(t_ns - self._at_ns) / _COOLER_NS)
            self._detector_c += share * (goal_c - self._detector_c)
        self._at_ns = t_ns

    def _goal_c(self) -> float:
        return max(self._setpoint_c, _AMBIENT_C - _COOLING_K) if self._cools else _AMBIENT_C

    def _is_stable(self) -> bool:
        return self._cools and abs(self._detector_c - self._setpoint_c) < 0.5

    def _buffered(self, _data: bytes, t_ns: int) -> bytes | None:
        pixels = self._expose(t_ns, "<u4")
        if pixels is None:
            return None
        self._taken += 1
        head = struct.pack("<IQI16x", self._taken, t_ns // 1_000, self._integration_us)
        return head + pixels

    def _temperature(self, _data: bytes, _t_ns: int) -> bytes:
        return struct.pack("<f", self._detector_c + self._noise.gauss(0.0, 0.02))

    def _switch_cooler(self, data: bytes, _t_ns: int) -> None:
        if data[0] > 1:
            raise ObpError(_BAD_VALUE)
        self._cools = bool(data[0])

    def _set_setpoint(self, data: bytes, _t_ns: int) -> None:
        (setpoint_c,) = struct.unpack("<f", data)
        if not -60.0 <= setpoint_c <= _AMBIENT_C:
            raise ObpError(_BAD_VALUE)
        self._setpoint_c = setpoint_c


def _constant(answer: bytes) -> Handler:
    return Handler(0, lambda _data, _t: answer)


def _coefficients(values: tuple[float, ...]) -> Handler:
    def serve(data: bytes, _t_ns: int) -> bytes:
        if data[0] >= len(values):
            raise ObpError(_BAD_VALUE)
        return struct.pack("<f", values[data[0]])

    return Handler(1, serve)


def _polynomial(coefficients: tuple[float, ...], pixels: int) -> tuple[float, ...]:
    rising = tuple(reversed(coefficients))
    axis = []
    for pixel in range(pixels):
        value = 0.0
        for coefficient in rising:
            value = value * pixel + coefficient
        axis.append(value)
    return tuple(axis)
