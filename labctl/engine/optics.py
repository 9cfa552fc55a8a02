"""Takes spectra: exposure set on the lamp, dark and reference, lamp and laser by turns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.capabilities import LightSource, Spectrometer
from labctl.clock import NS
from labctl.engine.run import Run
from labctl.errors import StepFailedError
from labctl.readings import Spectrum
from labctl.rig.devices import SpectrometerEntry
from labctl.spectroscopy.absorbance import Absorbance, Detector, absorbance, at_line
from labctl.spectroscopy.photoluminescence import Excitation, Luminescence, luminescence

Floats = NDArray[np.float64]

FIRST_S, SHORTEST_S, LONGEST_S = 0.05, 0.008, 2.0
BRIGHT, FULL = 0.75, 0.98
FULL_WELL_ELECTRONS = 160_000.0
"""Of an array detector of this class; a rig file that knows better says `electrons_per_count`."""
REFERENCE_FRAMES = 10
LASER_MW = 10.0
PL_LOW = 0.1
EMISSION_S = 10.0
SHUTTER_S = 0.1
RECENT_S = 120.0
"""An absorbance older than this no longer says how much of the laser is absorbed."""


@dataclass
class Exposed:
    """A spectrometer with its present exposure and what belongs to it: dark and reference."""

    device: Spectrometer
    entry: SpectrometerEntry
    integration_s: float = FIRST_S
    dark: Floats | None = None
    reference: Floats | None = None

    def detector(self, frame: Spectrum) -> Detector:
        """Return what is known of the detector for a frame: rig file and the frame's own words."""
        entry, full = self.entry, self.device.max_counts
        curve = entry.linearity.curve() if entry.linearity else None
        return Detector(
            saturation_counts=FULL * full,
            electrons_per_count=entry.electrons_per_count or FULL_WELL_ELECTRONS / full,
            read_counts=entry.read_noise,
            averages=frame.averages,
            reference_averages=REFERENCE_FRAMES,
            boxcar=frame.boxcar,
            stray=entry.stray,
            linearity=curve,
        )

    def share(self, frame: Spectrum) -> float:
        """Return how far the brightest pixel is up the range that may be used, 1 at its top."""
        return float(max(frame.counts)) * FULL / self.detector(frame).top_counts


@dataclass(frozen=True, slots=True)
class Lamp:
    """A lamp's reference with its dark, as taken by a spectrometer at a time with an exposure."""

    source: str
    t_ns: int
    integration_s: float
    reference: Floats
    dark: Floats


class Optics:
    """The spectrometers of a run and their light."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.absorbance = self._exposed("absorbance")
        self.pl = self._exposed("pl")
        self.laser: LightSource | None = run.rig.laser
        self._last: tuple[int, Absorbance] | None = None
        self._delay_ns = 0
        self._settled_ns = 0
        self._lit = False

    async def reference(self) -> None:
        """Set the exposure on the lamp through the solvent, then take dark and reference.

        Raises:
            StepFailedError: the lamp gives too little light.
        """
        exposed = self.absorbance
        if exposed is None:
            raise StepFailedError("no spectrometer plays the role `absorbance`")
        await self._lamp_only()
        share = await self._expose(exposed)
        if share < 0.05:
            message = f"the lamp gives {share:.1%} of the range of {exposed.device.name}"
            raise StepFailedError(f"{message}; is the shutter open and the lamp on?")
        exposed.reference = await self._mean(exposed, "reference")
        await self._shutter(closed=True)
        exposed.dark = await self._mean(exposed, "dark")
        await self._shutter(closed=False)

    async def restore(self, lamp: Lamp) -> bool:
        """Take over a reference taken before, with its exposure; say whether it is of this rig."""
        exposed = self.absorbance
        if exposed is None or exposed.device.name != lamp.source:
            return False
        await exposed.device.set_exposure(lamp.integration_s, 1)
        exposed.integration_s = lamp.integration_s
        exposed.reference, exposed.dark = lamp.reference, lamp.dark
        return True

    async def lamp(self, over_s: float) -> tuple[float, float]:
        """Look at the lamp and again after `over_s`: share of the range used, drift per minute.

        No reference comes of it: that is taken in the solvent. The drift is a fraction.

        Raises:
            StepFailedError: no spectrometer looks at a lamp.
        """
        exposed = self.absorbance
        if exposed is None:
            raise StepFailedError("no spectrometer plays the role `absorbance`")
        await self._lamp_only()
        share = await self._expose(exposed)
        first, began_ns = await self._mean(exposed, "lamp"), self._run.clock.now_ns()
        await self._run.clock.sleep_until(began_ns + round(over_s * NS))
        again = await self._mean(exposed, "lamp")
        minutes = (self._run.clock.now_ns() - began_ns) / NS / 60
        return share, abs(float(again.sum() / max(first.sum(), 1.0)) - 1) / minutes

    async def absorbed(self) -> tuple[Absorbance, Spectrum]:
        """Take one absorbance frame.

        Raises:
            StepFailedError: no reference was taken.
        """
        exposed = self.absorbance
        if exposed is None or exposed.dark is None or exposed.reference is None:
            raise StepFailedError("absorbance needs a reference, taken before the dots went in")
        await self._lamp_only()
        spectrum = await self._acquire(exposed)
        found = absorbance(
            np.asarray(spectrum.wavelengths_nm),
            np.asarray(spectrum.counts, dtype=np.float64),
            exposed.dark,
            exposed.reference,
            exposed.detector(spectrum),
        )
        self._last = self._run.clock.now_ns(), found
        return found, spectrum

    async def glow(self) -> tuple[Luminescence, Spectrum] | None:
        """Take one PL frame with the lamp shut off and the laser on, or None without a laser.

        Raises:
            StepFailedError: no shutter keeps the lamp out, or the laser gives no light.
        """
        exposed, laser = self.pl, self.laser
        if exposed is None or laser is None:
            return None
        if self.absorbance is not None and not self._run.rig.has("shutter"):
            raise StepFailedError("PL needs the role `shutter`, to keep the lamp out")
        try:
            await self._shutter(closed=True)
            if exposed.dark is None:
                await exposed.device.set_exposure(exposed.integration_s, 1)
                exposed.dark = await self._mean(exposed, "dark", 3)
            await self._emit(laser)
            spectrum = await self._acquire(exposed)
        finally:
            await self._lamp_only()
        found = luminescence(
            np.asarray(spectrum.wavelengths_nm),
            np.asarray(spectrum.counts, dtype=np.float64),
            exposed.dark,
            self._excitation(laser.wavelength_nm, exposed.integration_s),
            exposed.detector(spectrum),
        )
        self._adjust(exposed, exposed.share(spectrum))
        return found, spectrum

    async def _lamp_only(self) -> None:
        """Switch the laser off and let the lamp in; what failed in a PL frame is made up for."""
        if self._lit and self.laser is not None:
            await self.laser.shine(0.0)
            self._lit = False
        await self._shutter(closed=False)

    async def _emit(self, laser: LightSource) -> None:
        """Switch the laser on and wait for its light: by law it comes seconds after the command.

        Raises:
            StepFailedError: no light within `EMISSION_S`.
        """
        self._lit = True
        await laser.shine(LASER_MW)
        names = [channel.name for channel in laser.channels]
        until_ns = self._run.clock.now_ns() + round(EMISSION_S * NS)
        await self._run.clock.sleep_until(self._run.clock.now_ns() + self._delay_ns)
        while self._run.clock.now_ns() < until_ns:
            values = dict(zip(names, await laser.poll(), strict=True))
            if values.get("emitting") == 1.0:
                return
            self._delay_ns += NS // 4
            await self._run.clock.sleep_until(self._run.clock.now_ns() + NS // 4)
        raise StepFailedError(f"{laser.name} gives no light within {EMISSION_S:g} s")

    def _excitation(self, line_nm: float, integration_s: float) -> Excitation:
        """Say how much of the laser is absorbed, after the latest frame; NaN if that is old."""
        value = sd = math.nan
        if self._last is not None and self._run.clock.now_ns() - self._last[0] <= RECENT_S * NS:
            value, sd = at_line(self._last[1], line_nm)
        # Negative within its noise is nothing absorbed; NaN passes through.
        value = 0.0 if value < 0.0 else value
        return Excitation(line_nm, LASER_MW, integration_s, value, sd)

    def _exposed(self, role: str) -> Exposed | None:
        device, rig = self._run.rig.spectrometer(role), self._run.plan.rig
        entry = rig.model.devices.get(rig.entry(role)[0])
        if device is None or not isinstance(entry, SpectrometerEntry):
            return None
        return Exposed(device, entry, entry.scan.dwell if entry.scan else FIRST_S)

    def _adjust(self, exposed: Exposed, share: float) -> None:
        """Halve or double the exposure for the next frame; a new exposure needs a new dark.

        A scan keeps its dwell: it is a matter of time, and a counter's range is no measure.
        """
        if exposed.entry.scan is not None:
            return
        if share > 0.9 and exposed.integration_s > SHORTEST_S * 2:
            exposed.integration_s /= 2
            exposed.dark = None
        elif share < PL_LOW and exposed.integration_s < LONGEST_S / 2:
            exposed.integration_s *= 2
            exposed.dark = None

    async def _expose(self, exposed: Exposed) -> float:
        share = 0.0
        for _ in range(6):
            await exposed.device.set_exposure(exposed.integration_s, 1)
            share = exposed.share(await self._acquire(exposed))
            if 0.5 < share < 0.9:
                break
            factor = 0.25 if share >= FULL else BRIGHT / max(share, 0.02)
            wanted_s = exposed.integration_s * min(max(factor, 0.1), 10.0)
            exposed.integration_s = min(max(wanted_s, SHORTEST_S), LONGEST_S)
        return share

    async def _mean(self, exposed: Exposed, kind: str, frames: int = REFERENCE_FRAMES) -> Floats:
        total: Floats | None = None
        for _ in range(frames):
            frame = await self._acquire(exposed)
            self._run.record.spectrum(frame, kind)
            counts = np.asarray(frame.counts, dtype=np.float64)
            total = counts if total is None else total + counts
        return np.zeros(0) if total is None else total / frames

    async def _shutter(self, *, closed: bool) -> None:
        if self._run.rig.has("shutter") and self._run.commanded.get("shutter") is not closed:
            output = self._run.rig.output("shutter")
            await output.board.switch(output.name, closed)
            self._run.commanded["shutter"] = closed
            # The blade travels, and a free-running detector may hand out what it began before.
            self._settled_ns = self._run.clock.now_ns() + round(SHUTTER_S * NS)

    async def _acquire(self, exposed: Exposed) -> Spectrum:
        """Take a frame whose whole exposure lies after the shutter's last move."""
        if self._settled_ns:
            whole_ns = self._settled_ns + round(exposed.integration_s * NS)
            await self._run.clock.sleep_until(max(whole_ns, self._run.clock.now_ns()))
        return await exposed.device.acquire(self._run.clock.now_ns())
