"""Calibrated thermometers: what is read is corrected, what is asked for is corrected back.

Above this everything is in true temperatures; the instrument's own reading is recorded beside, as
the channel `NAME.raw`. A setpoint goes out as what the probe will read when the flask is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from labctl.capabilities import (
    Change,
    Device,
    Identity,
    Look,
    NoticesChanges,
    Stirrer,
    TemperatureController,
)
from labctl.readings import Channel, Correction, Kind
from labctl.rig.devices import Entry, StirrerEntry
from labctl.rig.settings import correction_of

RAW = ".raw"
_THERMOMETERS = ("pv", "probe2")
_IN_ITS_SCALE = (*_THERMOMETERS, "setpoint", "working")


class Corrected:
    """A device whose thermometer is corrected; its measured channels have a `.raw` one more.

    A rate is not corrected: between two points a corrected ramp is steeper or flatter by the slope
    of the calibration, some tenths of a percent.
    """

    def __init__(self, device: Device, correction: Correction) -> None:
        self.name = device.name
        self._device = device
        self._notices = device if isinstance(device, NoticesChanges) else None
        self._correction = correction
        self._scaled = [channel.name in _IN_ITS_SCALE for channel in device.channels]
        self._raw = [n for n, c in enumerate(device.channels) if c.name in _THERMOMETERS]
        raws = (device.channels[n] for n in self._raw)
        raw = tuple(Channel(c.name + RAW, c.dimension, c.low, c.high, Kind.MEASURED) for c in raws)
        self.channels = (*device.channels, *raw)

    async def connect(self) -> Identity:
        """Connect the device."""
        return await self._device.connect()

    async def look(self) -> Look:
        """Read how the device is set, in its own scale."""
        return await self._device.look()

    def changed(self) -> Change | None:
        """Return what was changed at the device; values to adopt are true, its text as it shows.

        They are rounded to tenths, as the device is set.
        """
        change = None if self._notices is None else self._notices.changed()
        if change is None or change.found is None or change.meant is None:
            return change
        found, meant = (self._correction.corrected(c) for c in (change.found, change.meant))
        text = f"{change.text}, by its own scale"
        return replace(change, text=text, found=round(found, 1), meant=round(meant, 1))

    async def poll(self) -> Sequence[float | None]:
        """Read all channels, corrected, then what the thermometer itself read."""
        values = await self._device.poll()
        corrected = self._correction.corrected
        told = [
            corrected(value) if scaled and value is not None else value
            for scaled, value in zip(self._scaled, values, strict=True)
        ]
        return [*told, *(values[n] for n in self._raw)]

    async def make_safe(self) -> None:
        """Bring the device to its safe state."""
        await self._device.make_safe()

    def last_will(self) -> tuple[bytes, ...]:
        """Return what makes the device safe, sent blind."""
        return self._device.last_will()


class CorrectedController(Corrected):
    """A temperature controller that brings its place to the true temperature asked for."""

    @property
    def _controller(self) -> TemperatureController:
        return cast("TemperatureController", self._device)

    async def ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        """Go to a true temperature in °C at a rate in K/min."""
        await self._controller.ramp(self._correction.raw(setpoint_c), rate_k_min)

    async def freeze(self) -> None:
        """Stop a ramp where it is."""
        await self._controller.freeze()

    async def off(self) -> None:
        """Switch the output off."""
        await self._controller.off()


class CorrectedStirrer(Corrected):
    """A stirrer whose flask probe is corrected."""

    async def stir(self, speed_rpm: float) -> None:
        """Turn at a speed in rpm; 0 stops."""
        await cast("Stirrer", self._device).stir(speed_rpm)


def corrected(device: Device, entry: Entry) -> Device:
    """Return a device as its calibration makes it; itself where it has none."""
    correction = correction_of(entry)
    if correction is None:
        return device
    kind = CorrectedStirrer if isinstance(entry, StirrerEntry) else CorrectedController
    return kind(device, correction)
