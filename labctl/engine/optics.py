"""Takes spectra: exposure set on the lamp, dark and reference, lamp and laser by turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.capabilities import LightSource, Spectrometer
from labctl.clock import NS
from labctl.engine.run import Run
from labctl.errors import StepFailedError
from labctl.readings import Spectrum
from labctl.spectroscopy.absorbance import Absorbance, Detector, absorbance
from labctl.spectroscopy.photoluminescence import Excitation, Luminescence, luminescence

Floats = NDArray[np.float64]

FIRST_S, SHORTEST_S, LONGEST_S = 0.05, 0.008, 2.0
BRIGHT, FULL = 0.75, 0.98
REFERENCE_FRAMES = 10
LASER_MW = 10.0
PL_LOW = 0.1
EMISSION_S = 10.0


@dataclass
class Exposed:
    """A spectrometer with its present exposure and what belongs to it: dark and reference."""

    device: Spectrometer
    integration_s: float = FIRST_S
    dark: Floats | None = None
    reference: Floats | None = None


class Optics:
    """The spectrometers of a run and their light."""

    def __init__(self, run: Run) -> None:
        self._run = run
        absorbing, glowing = run.rig.spectrometer("absorbance"), run.rig.spectrometer("pl")
        self.absorbance = Exposed(absorbing) if absorbing else None
        self.pl = Exposed(glowing) if glowing else None
        self.laser: LightSource | None = run.rig.laser
        self.last: Absorbance | None = None
        self._delay_ns = 0

    async def reference(self) -> None:
        """Set the exposure on the lamp through the solvent, then take dark and reference.

        Raises:
            StepFailedError: the lamp gives too little light.
        """
        exposed = self.absorbance
        if exposed is None:
            raise StepFailedError("no spectrometer plays the role `absorbance`")
        await self._shutter(closed=False)
        brightest = await self._expose(exposed)
        if brightest < 0.05 * exposed.device.max_counts:
            message = f"the lamp gives {brightest:.0f} of {exposed.device.max_counts} counts"
            raise StepFailedError(f"{message}; is the shutter open and the lamp on?")
        exposed.reference = await self._mean(exposed, "reference")
        await self._shutter(closed=True)
        exposed.dark = await self._mean(exposed, "dark")
        await self._shutter(closed=False)

    async def absorbed(self) -> tuple[Absorbance, Spectrum]:
        """Take one absorbance frame.

        Raises:
            StepFailedError: no reference was taken.
        """
        exposed = self.absorbance
        if exposed is None or exposed.dark is None or exposed.reference is None:
            raise StepFailedError("absorbance needs a reference, taken before the dots went in")
        spectrum = await exposed.device.acquire(self._run.clock.now_ns())
        detector = Detector(
            saturation_counts=FULL * exposed.device.max_counts,
            averages=spectrum.averages,
            reference_averages=REFERENCE_FRAMES,
        )
        found = absorbance(
            np.asarray(spectrum.wavelengths_nm),
            np.asarray(spectrum.counts, dtype=np.float64),
            exposed.dark,
            exposed.reference,
            detector,
        )
        self.last = found
        return found, spectrum

    async def glow(self) -> tuple[Luminescence, Spectrum] | None:
        """Take one PL frame with the lamp shut off and the laser on, or None without a laser."""
        exposed, laser = self.pl, self.laser
        if exposed is None or laser is None:
            return None
        await self._shutter(closed=True)
        try:
            if exposed.dark is None:
                await exposed.device.set_exposure(exposed.integration_s, 1)
                exposed.dark = await self._mean(exposed, "dark", 3)
            await self._emit(laser)
            spectrum = await exposed.device.acquire(self._run.clock.now_ns())
        finally:
            await laser.shine(0.0)
            await self._shutter(closed=False)
        found = luminescence(
            np.asarray(spectrum.wavelengths_nm),
            np.asarray(spectrum.counts, dtype=np.float64),
            exposed.dark,
            self._excitation(laser.wavelength_nm, exposed.integration_s),
            Detector(saturation_counts=FULL * exposed.device.max_counts),
        )
        self._adjust(exposed, max(spectrum.counts))
        return found, spectrum

    async def _emit(self, laser: LightSource) -> None:
        """Switch the laser on and wait for its light: by law it comes seconds after the command.

        Raises:
            StepFailedError: no light within `EMISSION_S`.
        """
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
        at_line = 0.3
        if self.last is not None and bool(self.last.good.any()):
            good = self.last.good
            at_line = float(
                np.interp(line_nm, self.last.wavelength_nm[good], self.last.absorbance[good])
            )
        return Excitation(line_nm, LASER_MW, integration_s, max(0.0, at_line))

    def _adjust(self, exposed: Exposed, brightest: int) -> None:
        """Halve or double the exposure for the next frame; a new exposure needs a new dark."""
        share = brightest / exposed.device.max_counts
        if share > 0.9 and exposed.integration_s > SHORTEST_S * 2:
            exposed.integration_s /= 2
            exposed.dark = None
        elif share < PL_LOW and exposed.integration_s < LONGEST_S / 2:
            exposed.integration_s *= 2
            exposed.dark = None

    async def _expose(self, exposed: Exposed) -> float:
        brightest = 0.0
        for _ in range(6):
            await exposed.device.set_exposure(exposed.integration_s, 1)
            frame = await exposed.device.acquire(self._run.clock.now_ns())
            brightest = float(max(frame.counts))
            share = brightest / exposed.device.max_counts
            if 0.5 < share < 0.9:
                break
            factor = 0.25 if share >= FULL else BRIGHT / max(share, 0.02)
            wanted_s = exposed.integration_s * min(max(factor, 0.1), 10.0)
            exposed.integration_s = min(max(wanted_s, SHORTEST_S), LONGEST_S)
        return brightest

    async def _mean(self, exposed: Exposed, kind: str, frames: int = REFERENCE_FRAMES) -> Floats:
        total: Floats | None = None
        for _ in range(frames):
            frame = await exposed.device.acquire(self._run.clock.now_ns())
            self._run.record.spectrum(frame, kind)
            counts = np.asarray(frame.counts, dtype=np.float64)
            total = counts if total is None else total + counts
        return np.zeros(0) if total is None else total / frames

    async def _shutter(self, *, closed: bool) -> None:
        if self._run.rig.has("shutter") and self._run.commanded.get("shutter") is not closed:
            output = self._run.rig.output("shutter")
            await output.board.switch(output.name, closed)
            self._run.commanded["shutter"] = closed
