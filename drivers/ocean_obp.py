"""Ocean Optics HDX, FX, STS and QE Pro, over the Ocean Binary Protocol: TCP or RS-232.

Sources: Ocean Optics STS data sheet 030-00000-003-05 (messages), seabreeze 2.11.0 and the vendor's
libseabreeze (message types, models). A set asks for its acknowledgement; a query gets a response.
Scans are averaged by the instrument where it knows the message, else here. Every question carries
a number in `regarding`, so that the late reply to an abandoned one is never taken for the next.
"""

from __future__ import annotations

import math
import struct
from array import array
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from labctl.capabilities import DeviceSettings, Identity, Look
from labctl.errors import GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.framing import obp
from labctl.readings import Channel, Spectrum
from labctl.transport import Port, Priority

_GET_SERIAL = 0x00000100
_CLEAR_BUFFER = 0x00100830
_GET_BUFFERED_SPECTRUM = 0x00100928
_GET_SPECTRUM = 0x00101000
_SET_INTEGRATION_US = 0x00110010
_SET_TRIGGER = 0x00110110
_GET_SCANS = 0x00120000
_SET_SCANS = 0x00120010
_GET_BOXCAR = 0x00121000
_SET_BOXCAR = 0x00121010
_GET_WAVELENGTH_COUNT = 0x00180100
_GET_WAVELENGTH_COEFFICIENT = 0x00180101
_GET_DETECTOR_TEMPERATURE = 0x00420004
_SET_COOLER = 0x00420010
_SET_DETECTOR_TEMPERATURE = 0x00420011

_NOT_UNDERSTOOD = obp.Flag.NACK | obp.Flag.EXCEPTION
_UNKNOWN_MESSAGE = 2
_ERRORS = {
    1: "protocol not supported",
    2: "message type unknown",
    3: "checksum wrong",
    4: "message too large",
    5: "payload length wrong for the message",
    6: "payload data invalid",
    7: "not ready",
    8: "checksum type unknown",
    9: "it was reset",
    10: "commands come over too many lines",
    11: "out of memory",
    12: "the information does not exist",
    13: "internal error",
    255: "deferred",
}

Pixels = NDArray[np.uint32]


class OceanObp:
    """What the models share; a model says its pixels, range, limits and spectrum message."""

    model = ""
    pixels = 0
    max_counts = 0
    integration_limits_s = (0.0, 0.0)
    averages_high = 1000
    boxcar_high = 15
    channels: tuple[Channel, ...] = ()
    _acquire_frame = b""
    _pixel_type = "<u2"
    _metadata_bytes = 0
    _spectrum_bytes = 0
    _margin_s = 2.0

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self._port = port
        self._settings = settings
        self._wavelengths_nm = array("d")
        self._integration_s = 0.1
        self._averages = 1
        self._averages_itself = False
        self._asked = 0

    async def connect(self) -> Identity:
        """Read serial number and wavelengths; set free running, the rig's boxcar, 100 ms, 1 scan.

        Raises:
            GarbledError: the serial number or the wavelength coefficients make no sense.
            OutOfRangeError: a boxcar beyond 0 .. 15 pixels to each side.
            RefusedByDeviceError: a boxcar is asked of an instrument that has none.
            DeviceError: it does not answer, or refuses a setting.
        """
        look = await self.look()
        self._averages_itself = await self._can_average()
        await self._set_boxcar()
        await self._set(_SET_TRIGGER, b"\0", "trigger: free running")
        await self.set_exposure(self._integration_s, self._averages)
        return look.identity

    async def look(self) -> Look:
        """Read serial number and wavelengths, and set nothing; raises as `connect`.

        Raises:
            GarbledError: the serial number or the wavelength coefficients make no sense.
        """
        serial = (await self._query(_GET_SERIAL)).rstrip(b"\0 ")
        if not serial.isascii():
            raise GarbledError(self.name, "serial number", "ASCII text", repr(serial))
        axis = self._wavelengths_nm = await self._read_wavelengths()
        facts = {"axis": f"{axis[0]:.1f} .. {axis[-1]:.1f} nm, {len(axis)} pixels"}
        return Look(Identity("Ocean Optics", self.model, serial.decode("ascii")), facts)

    async def poll(self) -> tuple[float | None, ...]:
        """Read nothing: the spectra are all there is."""
        return ()

    async def make_safe(self) -> None:
        """Do nothing: a spectrometer only looks; the lamp's shutter is another instrument."""

    def last_will(self) -> tuple[bytes, ...]:
        """Say nothing: a spectrometer only looks, and a detector may stay cold."""
        return ()

    async def set_exposure(self, integration_s: float, averages: int) -> None:
        """Set the integration time in s and how many scans are averaged.

        Raises:
            OutOfRangeError: beyond the model's limits, or not 1 .. 1000 scans.
            RefusedByDeviceError: the instrument did not take it.
        """
        low, high = self.integration_limits_s
        if not low <= integration_s <= high:
            raise OutOfRangeError(
                self.name, "integration time", f"{low:g} s .. {high:g} s", f"{integration_s:g} s"
            )
        if not 1 <= averages <= self.averages_high:
            raise OutOfRangeError(
                self.name, "scans to average", f"1 .. {self.averages_high}", str(averages)
            )
        micros = round(integration_s * 1e6)
        await self._set(_SET_INTEGRATION_US, struct.pack("<I", micros), f"{micros} us")
        self._integration_s = integration_s
        if self._averages_itself:
            await self._set(_SET_SCANS, struct.pack("<H", averages), f"{averages} scans")
            scans = await self._number("<H", _GET_SCANS)
            if scans != averages:
                raise RefusedByDeviceError(self.name, "scans to average", str(averages), str(scans))
        self._averages = averages

    async def acquire(self, t_ns: int) -> Spectrum:
        """Take one spectrum, stamped `t_ns`: mean counts over the scans, rounded, shape (n,).

        Raises:
            DeviceError: no spectrum of exactly this model's pixels came back.
        """
        counts = await self._scan()
        if not self._averages_itself and self._averages > 1:
            for _ in range(self._averages - 1):
                counts = counts + await self._scan()
            counts = (counts + self._averages // 2) // self._averages
        raw = array("I")
        raw.frombytes(counts.tobytes())
        return Spectrum(
            self.name,
            self._wavelengths_nm,
            raw,
            self._integration_s,
            self._averages,
            self._settings.boxcar,
            self.max_counts,
            t_ns,
        )

    async def _scan(self) -> Pixels:
        scans = self._averages if self._averages_itself else 1
        timeout_s = self._integration_s * scans + self._margin_s
        data = await self._exchange(self._acquire_frame, "for a spectrum", timeout_s=timeout_s)
        if len(data) != self._spectrum_bytes:
            expected = f"{self._spectrum_bytes} bytes"
            raise GarbledError(self.name, "for a spectrum", expected, f"{len(data)} bytes")
        pixels = np.frombuffer(data, self._pixel_type, self.pixels, self._metadata_bytes)
        return pixels.astype(np.uint32)

    async def _read_wavelengths(self) -> array[float]:
        count = int(await self._number("<B", _GET_WAVELENGTH_COUNT))
        if not 2 <= count <= 8:
            raise GarbledError(self.name, "wavelength coefficients", "2 .. 8 of them", str(count))
        orders = range(count)
        terms = [
            await self._number("<f", _GET_WAVELENGTH_COEFFICIENT, bytes((order,)))
            for order in orders
        ]
        axis = array("d", (sum(terms[k] * p**k for k in orders) for p in range(self.pixels)))
        if not all(left < right for left, right in pairwise(axis)):
            raise GarbledError(self.name, "wavelength coefficients", "a rising axis", str(terms))
        return axis

    async def _can_average(self) -> bool:
        frame = obp.encode(obp.Message(_GET_SCANS))
        reply = await self._reply(frame, "scans to average")
        return not (reply.flags & _NOT_UNDERSTOOD and reply.error == _UNKNOWN_MESSAGE)

    async def _set_boxcar(self) -> None:
        """Have the instrument smooth as the rig file says; an older setting never stays on.

        Raises:
            OutOfRangeError: beyond 0 .. 15 pixels to each side.
            RefusedByDeviceError: it cannot smooth, or another width reads back.
        """
        width = self._settings.boxcar
        asked = f"boxcar {width}"
        if not 0 <= width <= self.boxcar_high:
            raise OutOfRangeError(self.name, asked, f"0 .. {self.boxcar_high}", str(width))
        if not self._averages_itself:
            if width:
                expected = "an instrument that smooths; say `boxcar: 0` in the rig file"
                raise RefusedByDeviceError(self.name, asked, expected, "one that does not")
            return
        await self._set(_SET_BOXCAR, bytes((width,)), asked)
        if width and (found := await self._number("<B", _GET_BOXCAR)) != width:
            raise RefusedByDeviceError(self.name, asked, str(width), f"{found:g}")

    async def _number(self, layout: str, kind: int, data: bytes = b"") -> float:
        answer = await self._query(kind, data)
        if len(answer) != struct.calcsize(layout):
            expected = f"{struct.calcsize(layout)} bytes"
            raise GarbledError(self.name, f"message {kind:#010x}", expected, repr(answer))
        return float(struct.unpack(layout, answer)[0])

    async def _query(self, kind: int, data: bytes = b"") -> bytes:
        return await self._exchange(obp.encode(obp.Message(kind, data)), f"message {kind:#010x}")

    async def _set(self, kind: int, data: bytes, what: str) -> None:
        frame = obp.encode(obp.Message(kind, data, obp.Flag.REQUEST_ACK))
        reply = self._accepted(await self._reply(frame, what), what)
        if not reply.flags & obp.Flag.ACK:
            raise GarbledError(self.name, what, "an acknowledgement", f"flags {reply.flags:#x}")

    async def _exchange(
        self,
        frame: bytes,
        asked: str,
        *,
        timeout_s: float = 2.0,
        priority: Priority = Priority.COMMAND,
    ) -> bytes:
        reply = await self._reply(frame, asked, timeout_s=timeout_s, priority=priority)
        return self._accepted(reply, asked).data

    async def _reply(
        self,
        frame: bytes,
        asked: str,
        *,
        timeout_s: float = 2.0,
        priority: Priority = Priority.COMMAND,
    ) -> obp.Message:
        number = self._asked = self._asked % 0xFFFFFFFF + 1
        question = frame[:12] + number.to_bytes(4, "little") + frame[16:]
        raw = await self._port.ask(
            self.name, question, obp.length, timeout_s=timeout_s, priority=priority
        )
        try:
            reply = obp.decode(raw)
        except ValueError as error:
            raise GarbledError(self.name, asked, str(error), repr(raw[:64])) from None
        if not obp.is_whole(raw):
            raise GarbledError(self.name, asked, "a message whose MD5 fits", repr(raw[-20:]))
        if frame[8:12] != raw[8:12] or reply.regarding not in {0, number}:
            # Its own reply is still to come, and on a slow line takes seconds: it is let go by.
            await self._port.pause(timeout_s)
            raise GarbledError(self.name, asked, "its own reply", f"one to {reply.kind:#010x}")
        return reply

    def _accepted(self, reply: obp.Message, asked: str) -> obp.Message:
        if reply.error or reply.flags & _NOT_UNDERSTOOD:
            reason = _ERRORS.get(reply.error, "no reason known")
            raise RefusedByDeviceError(
                self.name, asked, "acceptance", f"error {reply.error}: {reason}"
            )
        return reply


class OceanHdx(OceanObp):
    """HDX: 2068 pixels of 16 bits, 6 ms .. 10 s, over TCP."""

    model = "HDX"
    pixels = 2068
    max_counts = 0xFFFF
    integration_limits_s = (0.006, 10.0)
    _acquire_frame = obp.encode(obp.Message(_GET_SPECTRUM))
    _spectrum_bytes = 2 * pixels


class OceanFx(OceanHdx):
    """Ocean FX: 2136 pixels of 16 bits, 6 ms .. 10 s, over TCP."""

    model = "FX"
    pixels = 2136
    _spectrum_bytes = 2 * pixels


class OceanSts(OceanHdx):
    """STS: 1024 pixels of 14 bits, 10 µs .. 10 s, over RS-232 at 9600 baud unless set higher."""

    model = "STS"
    pixels = 1024
    max_counts = 0x3FFF
    integration_limits_s = (10e-6, 10.0)
    _spectrum_bytes = 2 * pixels
    _margin_s = 6.0  # 2112 bytes take 2.2 s at 9600 baud


class OceanQePro(OceanObp):
    """QE Pro: 1044 pixels of 18 bits, 8 ms .. 1600 s, cooled, over RS-232 at 115200 baud."""

    model = "QE Pro"
    pixels = 1044
    max_counts = 0x3FFFF
    integration_limits_s = (0.008, 1600.0)
    channels = (Channel("detector", "temperature"),)
    _acquire_frame = obp.encode(obp.Message(_GET_BUFFERED_SPECTRUM))
    _poll_frame = obp.encode(obp.Message(_GET_DETECTOR_TEMPERATURE))
    _pixel_type = "<u4"
    _metadata_bytes = 32
    _spectrum_bytes = 32 + 4 * pixels

    async def connect(self) -> Identity:
        """Connect as all models do; then cool the detector to the rig file's temperature.

        Raises:
            DeviceError: it does not answer, or refuses a setting.
        """
        identity = await super().connect()
        if self._settings.detector_c is not None:
            setpoint = struct.pack("<f", self._settings.detector_c)
            await self._set(_SET_DETECTOR_TEMPERATURE, setpoint, "detector temperature")
            await self._set(_SET_COOLER, b"\1", "cooler on")
        return identity

    async def poll(self) -> tuple[float | None, ...]:
        """Read the detector's temperature in °C.

        Raises:
            GarbledError: the reply is not one number.
            DeviceError: no reading came back.
        """
        data = await self._exchange(
            self._poll_frame, "detector temperature", priority=Priority.POLL
        )
        if len(data) != 4:
            raise GarbledError(self.name, "detector temperature", "4 bytes", repr(data))
        (temperature_c,) = struct.unpack("<f", data)
        return (temperature_c if math.isfinite(temperature_c) else None,)

    async def acquire(self, t_ns: int) -> Spectrum:
        """Take one spectrum as all models do, after emptying the buffer of older ones.

        Raises:
            DeviceError: no spectrum of exactly this model's pixels came back.
        """
        await self._set(_CLEAR_BUFFER, b"", "empty the buffer")
        return await super().acquire(t_ns)
