"""The eye in the loop: frames at their pace, the 1S peak hot and at 25 °C, baselines, decisions."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from labctl.bench import Criterion, Ruling
from labctl.capabilities import Task, TaskKind
from labctl.clock import NS
from labctl.engine.deciding import Decision, Level, Sighting
from labctl.engine.optics import FULL, Floats, Optics
from labctl.engine.people import People
from labctl.engine.run import Run
from labctl.errors import AbandonedError, DeviceError, StepFailedError
from labctl.readings import Quality, Reading, Spectrum
from labctl.rig.devices import PersonEntry, SpectrometerEntry
from labctl.spectroscopy.absorbance import Absorbance, Detector, absorbance
from labctl.spectroscopy.peak import PeakEstimate, PeakTracker
from labctl.spectroscopy.photoluminescence import Excitation, Luminescence, luminescence
from labctl.spectroscopy.temperature import NOMINAL, Coefficient, CoefficientLearner, to_25c, to_hot
from labctl.units import show

CUVETTE_LINE_NM = 405.0
IDLE_PACE = 3


class Tracking:
    """Follows the sample through the run; frames go on whether or not a step waits for them."""

    def __init__(self, run: Run, optics: Optics, people: People) -> None:
        self._run = run
        self._optics = optics
        self._people = people
        self._tracker: PeakTracker | None = None
        self._learner: CoefficientLearner | None = None
        self._offset_nm = 0.0
        self.coefficient: Coefficient = NOMINAL
        self.levels: dict[str, Level] = {}
        self.sightings: list[Sighting] = []
        self.areas: list[tuple[float, float, float]] = []
        self.rounds: list[float] = []
        self._waiting = 0

    @property
    def by_samples(self) -> bool:
        """Whether a person's aliquots take the place of a spectrometer in the loop."""
        return self._optics.absorbance is None

    async def follow(self) -> None:
        """Take frames while there is something to see, until cancelled.

        The recipe's pace holds while a step waits for the track; otherwise a third of it spares
        the sample light.
        """
        tracks = self._run.plan.recipe.head.track
        if "peak" not in tracks or self.by_samples:
            return
        period_ns = round(tracks["peak"].every * NS)
        glow = _Pace(round(tracks["pl"].every * NS)) if "pl" in tracks else None
        frame = _Pace(period_ns)
        while True:
            now_ns = self._run.clock.now_ns()
            await self._run.clock.sleep_until(now_ns // period_ns * period_ns + period_ns)
            now_ns, slower = self._run.clock.now_ns(), 1 if self._waiting else IDLE_PACE
            if self._sees() and frame.due(now_ns, slower):
                glows = glow is not None and glow.due(now_ns, slower)
                await self._expose(glows=glows)

    async def _expose(self, *, glows: bool) -> None:
        try:
            await self._frame()
            if glows:
                await self._glow()
        except AbandonedError:
            return
        except (DeviceError, StepFailedError) as error:
            self._run.event("track.silent", str(error), level="warning")

    @contextmanager
    def _waited_for(self) -> Iterator[None]:
        """While open, frames come at the recipe's pace."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def reference(self) -> None:
        """Take the lamp's reference."""
        if not self.by_samples:
            await self._optics.reference()

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Learn the temperature coefficient from the frames taken while open."""
        self._learner = None if self.by_samples else CoefficientLearner()
        try:
            with self._waited_for():
                yield
        finally:
            learner, self._learner = self._learner, None
            if learner is None:
                self._run.event("track.coefficient", "not needed: aliquots are measured cold")
            else:
                self.coefficient = learner.result()
                self._tell_coefficient()

    def anchor(self, peak_nm: float) -> None:
        """Shift the 25 °C scale so that the present sample stands where the cuvette says."""
        if self.sightings:
            seen_nm = self.sightings[-1].peak_nm - self._offset_nm
            self._offset_nm = peak_nm - seen_nm
            data = {"offset_nm": self._offset_nm, "cuvette_nm": peak_nm}
            self._run.event("track.anchored", f"25 °C scale moved {self._offset_nm:+.2f} nm", data)

    async def baseline(self, tracks: Sequence[str], name: str, for_s: float) -> None:
        """Measure the level of peak and PL for a time and keep it under a name.

        Raises:
            StepFailedError: too few usable frames came in.
        """
        start = len(self.sightings)
        area_start = len(self.areas)
        if self.by_samples:
            await self._samples(f"baseline {name}", 2)
        else:
            with self._waited_for():
                await self._run.elapsed.wait(f"baseline {name}", lambda: False, for_s)
        seen = [s for s in self.sightings[start:] if s.usable]
        if len(seen) < 2:
            raise StepFailedError(f"baseline {name}: {len(seen)} usable frames came in {for_s:g} s")
        values = np.array([s.peak_nm for s in seen])
        sigma = float(np.median([s.sigma_nm for s in seen])) / math.sqrt(len(seen))
        band = float(np.mean([s.band_nm for s in seen]))
        areas = [area for _, area, _ in self.areas[area_start:]]
        level = Level(
            float(np.median(values)),
            sigma,
            band,
            float(np.median(areas)) if areas else math.nan,
        )
        self.levels[name] = level
        message = f"{name}: 1S at 25 °C {level.peak_nm:.2f} ± {level.sigma_nm:.2f} nm"
        data = {"peak_nm": level.peak_nm, "sigma_nm": level.sigma_nm, "n": len(seen)}
        self._run.event("baseline", message, data)

    async def decide(self, criterion: Criterion) -> Ruling:
        """Watch the track until the criterion holds or the time is over; keep all that was seen."""
        decision = Decision(self._run, self, criterion)
        waits_for = decision.words()
        start_s = self._run.elapsed.now_s()
        ends_s = start_s + criterion.timeout_s
        while not decision.settled:
            left_s = ends_s - self._run.elapsed.now_s()
            if left_s <= 0:
                break
            if self.by_samples:
                period_s = min(left_s, self._sample_period_s())
                await self._run.elapsed.wait(waits_for, lambda: False, period_s, ends_s)
                await self._samples(criterion.kind, 1)
                decision.look()
            else:
                with self._waited_for():
                    await self._run.elapsed.wait(waits_for, decision.look, left_s, ends_s)
        return decision.close()

    def _sees(self) -> bool:
        """Whether frames mean something: reference taken, dots in, probe not too hot."""
        exposed = self._optics.absorbance
        if exposed is None or exposed.reference is None or not self._run.flask.dots:
            return False
        entry = self._run.plan.rig.model.devices[self._run.plan.rig.entry("absorbance")[0]]
        at_c = self._run.signals.value("flask.T")
        if not isinstance(entry, SpectrometerEntry) or entry.probe is None or at_c is None:
            return at_c is not None
        return at_c <= entry.probe.max_T

    async def _frame(self) -> None:
        found, spectrum = await self._optics.absorbed()
        self._run.record.spectrum(spectrum, "sample")
        self._run.bus.publish(spectrum)
        if self._tracker is None:
            self._tracker = PeakTracker(self._expected_nm())
        estimate = self._tracker.update(
            found.wavelength_nm, found.absorbance, found.sigma, found.flags
        )
        at_c = self._run.signals.value("flask.T")
        self._see(estimate, math.nan if at_c is None else at_c, self.coefficient)

    def _see(self, estimate: PeakEstimate, at_c: float, coefficient: Coefficient) -> None:
        now_ns = self._run.clock.now_ns()
        usable = estimate.quality == "GOOD" and math.isfinite(at_c)
        corrected = to_25c(estimate.peak_nm, at_c, coefficient)
        peak_nm = corrected.peak_nm + self._offset_nm
        sighting = Sighting(
            now_ns, estimate.peak_nm, peak_nm, estimate.sigma_nm, corrected.band_nm, at_c, usable
        )
        self.sightings.append(sighting)
        if usable and self._learner is not None:
            t_s = now_ns / NS
            self._learner.add(t_s, at_c, estimate.peak_nm, estimate.sigma_nm)
        quality = Quality.GOOD if usable else Quality.BAD
        self._publish("peak.hot", estimate.peak_nm, quality)
        self._publish("peak.25C", peak_nm, quality)
        self._publish("peak.sigma", estimate.sigma_nm, quality)

    async def _glow(self) -> None:
        seen = await self._optics.glow()
        if seen is None:
            return
        found, spectrum = seen
        self._run.record.spectrum(spectrum, "pl")
        self._take_area(found)

    def _take_area(self, found: Luminescence) -> None:
        if found.quality == "GOOD":
            t_s = self._run.elapsed.now_s()
            self.areas.append((t_s, found.area_per_photon, found.sigma_per_photon))
        quality = Quality.GOOD if found.quality == "GOOD" else Quality.BAD
        self._publish("pl.area", found.area_per_photon, quality)
        self._publish("pl.sigma", found.sigma_per_photon, quality)

    async def _samples(self, why: str, count: int) -> None:
        """Have aliquots drawn and measured cold, one every sampling period."""
        for n in range(count):
            if n:
                period_s = self._sample_period_s()
                await self._run.elapsed.wait("the next aliquot", lambda: False, period_s)
            await self.sample(f"{why} {len(self.sightings) + 1}", self._sample_ml())

    async def sample(self, label: str, volume_ml: float) -> None:
        """Have one aliquot drawn and use its cuvette spectrum, if one comes back."""
        text = f"draw {show(volume_ml, 'volume')} as {label} and measure it in the cuvette"
        reply = await self._people.do(Task(TaskKind.SAMPLE, text, label, volume_ml, "volume"))
        spectra = reply.spectra
        for kind, spectrum in spectra.items():
            self._run.record.spectrum(spectrum, f"cuvette {kind}")
        if not self.by_samples or not {"absorbance", "dark", "reference"} <= set(spectra):
            return
        sample = spectra["absorbance"]
        detector = Detector(
            saturation_counts=FULL * sample.max_counts,
            averages=sample.averages,
            reference_averages=spectra["reference"].averages,
        )
        found = absorbance(
            np.asarray(sample.wavelengths_nm),
            _floats(sample.counts),
            _floats(spectra["dark"].counts),
            _floats(spectra["reference"].counts),
            detector,
        )
        # Minutes and nanometres lie between two aliquots: each is looked at afresh.
        last = next((s.raw_nm for s in reversed(self.sightings) if s.usable), None)
        near = last or self._run.plan.recipe.head.track["peak"].start_near
        estimate = PeakTracker(near).update(
            found.wavelength_nm, found.absorbance, found.sigma, found.flags
        )
        self._see_glow(spectra, found)
        self._see(estimate, 25.0, Coefficient(sigma=0.0, reason="measured at 25 °C"))

    def _expected_nm(self) -> float | None:
        """Where the recipe expects the peak, at the present temperature."""
        near_nm = self._run.plan.recipe.head.track["peak"].start_near
        at_c = self._run.signals.value("flask.T")
        return near_nm if near_nm is None or at_c is None else to_hot(near_nm, at_c)

    def _see_glow(self, spectra: Mapping[str, Spectrum], found: Absorbance) -> None:
        """Take the PL of a cuvette, relative to what the diluted sample absorbs."""
        if "pl" not in spectra:
            return
        frame = spectra["pl"]
        at_line = float(np.interp(CUVETTE_LINE_NM, found.wavelength_nm, found.absorbance))
        glow = luminescence(
            np.asarray(frame.wavelengths_nm),
            _floats(frame.counts),
            _floats(spectra["dark"].counts),
            Excitation(CUVETTE_LINE_NM, 1.0, frame.integration_s, at_line),
            Detector(saturation_counts=FULL * frame.max_counts, averages=frame.averages),
        )
        self._take_area(glow)

    def _sample_period_s(self) -> float:
        person = self._run.plan.rig.model.devices.get(self._run.plan.rig.person)
        return person.samples.every if isinstance(person, PersonEntry) and person.samples else 300.0

    def _sample_ml(self) -> float:
        person = self._run.plan.rig.model.devices.get(self._run.plan.rig.person)
        return person.samples.volume if isinstance(person, PersonEntry) and person.samples else 0.05

    def _tell_coefficient(self) -> None:
        found = self.coefficient
        message = f"peak coefficient {found.scale:.3f} ± {found.sigma:.3f} of bulk InP: "
        data = {
            "scale": found.scale,
            "sigma": found.sigma,
            "source": found.source,
            "points": found.points,
            "span_k": found.span_k,
        }
        self._run.event("track.coefficient", message + f"{found.source}, {found.reason}", data)

    def _publish(self, channel: str, value: float, quality: Quality) -> None:
        known = value if math.isfinite(value) else None
        reading = Reading(
            channel, known, quality if known is not None else Quality.BAD, self._run.clock.now_ns()
        )
        self._run.record.append(reading)
        self._run.signals.latest[channel] = reading
        self._run.bus.publish(reading)


def _floats(counts: array[int]) -> Floats:
    return np.asarray(counts, dtype=np.float64)


class _Pace:
    """Says when the next frame is due, on a grid that others share."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._last_ns = -period_ns * IDLE_PACE

    def due(self, now_ns: int, slower: int) -> bool:
        """Whether a frame is due at a pace `slower` times the period; then the next is counted."""
        if now_ns - self._last_ns < self._period_ns * (slower - 0.5):
            return False
        self._last_ns = now_ns
        return True
