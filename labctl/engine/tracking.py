"""The eye in the loop: frames at their pace, the 1S peak hot and at 25 °C, baselines, decisions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from labctl.bench import Criterion, Ruling
from labctl.clock import NS
from labctl.engine.cold_scale import CUVETTE_SD_NM, ColdScale, Hot
from labctl.engine.cuvette import Cuvette
from labctl.engine.deciding import Decision, Level, Sighting
from labctl.engine.frames import IDLE_PACE, FrameWatch, Pace
from labctl.engine.optics import Optics
from labctl.engine.people import People
from labctl.engine.run import Run
from labctl.engine.sightings import hot_of, level_of
from labctl.errors import AbandonedError, DeviceError, StepFailedError
from labctl.readings import Quality, Reading, Scalar
from labctl.rig.devices import OpticalProbe
from labctl.spectroscopy.absorbance import Absorbance, per_cm
from labctl.spectroscopy.peak import PeakEstimate, PeakTracker
from labctl.spectroscopy.photoluminescence import Luminescence
from labctl.spectroscopy.temperature import Coefficient, to_hot

ANCHOR = "anchor"
"""An aliquot whose label begins so anchors the 25 °C scale by its cuvette spectrum."""


class Tracking:
    """Follows the sample through the run; frames go on whether or not a step waits for them."""

    def __init__(self, run: Run, optics: Optics, people: People) -> None:
        self._run = run
        self._optics = optics
        self._cuvette = Cuvette(run, people)
        self._tracker: PeakTracker | None = None
        self._scale = ColdScale(run)
        self._probe = _probe_of(optics)
        fouling = self._probe.fouling if self._probe is not None else None
        limits = (fouling.at, fouling.change_below) if fouling is not None else (0.0, 0.0)
        self.frames = FrameWatch(run, *limits)
        self._based: dict[str, tuple[list[Sighting], float]] = {}
        self._drawn: Hot | None = None
        self._density_au = math.nan
        self.sightings: list[Sighting] = []
        self.areas: list[tuple[float, float, float]] = []
        self.rounds: list[float] = []
        self.restored: dict[str, Level] = {}
        self._waiting = 0

    @property
    def coefficient(self) -> Coefficient:
        """How the peak follows temperature."""
        return self._scale.coefficient

    @property
    def levels(self) -> dict[str, Level]:
        """Baselines by name, on the 25 °C scale as it is known now."""
        found = {n: level_of(seen, area, self._scale) for n, (seen, area) in self._based.items()}
        return {**self.restored, **found}

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
        glow = Pace(round(tracks["pl"].every * NS)) if "pl" in tracks else None
        frame = Pace(period_ns)
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
            self.frames.missed(type(error).__name__, str(error))

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
            self.frames.restart()

    async def lamp(self, over_s: float) -> tuple[float, float]:
        """Return the lamp's share of the detector's range, and its drift as a fraction per min."""
        return await self._optics.lamp(over_s)

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Learn the temperature coefficient from the frames taken while open."""
        if self.by_samples:
            yield
            self._run.event("track.coefficient", "not needed: aliquots are measured cold")
            return
        with self._scale.learning(), self._waited_for():
            yield

    def anchor(self, peak_nm: float) -> None:
        """Shift the 25 °C scale so that the sample last drawn stands where the cuvette says."""
        hot, self._drawn = self._drawn or self._hot(), None
        if hot is None:
            text = f"anchor not used, the flask shows no peak to compare: cuvette {peak_nm:.2f} nm"
            self._run.event("track.anchor_refused", text, {"cuvette_nm": peak_nm}, "warning")
        else:
            self._scale.anchor(hot, peak_nm)

    async def baseline(self, tracks: Sequence[str], name: str, for_s: float) -> None:
        """Measure the level of peak and PL for a time and keep it under a name.

        Raises:
            StepFailedError: too few usable frames came in.
        """
        self._scale.close_quiet()
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
        areas = [area for _, area, _ in self.areas[area_start:]]
        self._based[name] = seen, float(np.median(areas)) if areas else math.nan
        self._tell_level(name, self.levels[name], len(seen))

    async def decide(self, criterion: Criterion) -> Ruling:
        """Watch the track until the criterion holds or the time is over; keep all that was seen."""
        decision = Decision(self._run, self, criterion)
        before = self.frames.counts()
        waits_for = decision.words()
        start_s = self._run.elapsed.now_s()
        ends_s = start_s + criterion.timeout_s
        while not decision.settled:
            left_s = ends_s - self._run.elapsed.now_s()
            if left_s <= 0:
                break
            if self.by_samples:
                period_s = min(left_s, self._cuvette.period_s)
                await self._run.elapsed.wait(waits_for, lambda: False, period_s, ends_s)
                await self._samples(criterion.kind, 1)
                decision.look()
            else:
                with self._waited_for():
                    await self._run.elapsed.wait(waits_for, decision.look, left_s, ends_s)
        self.frames.tell(before)
        return decision.close()

    def _sees(self) -> bool:
        """Whether frames mean something: reference taken, dots in, probe not too hot."""
        exposed = self._optics.absorbance
        if exposed is None or exposed.reference is None or not self._run.flask.dots:
            return False
        at_c = self._run.signals.value("flask.T")
        return at_c is not None and (self._probe is None or at_c <= self._probe.max_T)

    async def _frame(self) -> None:
        found, spectrum = await self._optics.absorbed()
        self._run.record.spectrum(spectrum, "sample")
        self._run.bus.publish(spectrum)
        if self._tracker is None:
            self._tracker = PeakTracker(self._expected_nm())
        estimate = _estimate(self._tracker, found)
        at_c = self._run.signals.value("flask.T")
        self._see(estimate, math.nan if at_c is None else at_c)
        if estimate.quality == "GOOD":
            self._density_au = estimate.optical_density
            self.frames.window(found, estimate)

    def _see(self, estimate: PeakEstimate, at_c: float) -> None:
        known = math.isfinite(at_c)
        usable = estimate.quality == "GOOD" and known
        flags = estimate.flags if known else (*estimate.flags, "no_temperature")
        self.frames.seen(flags, usable=usable)
        if usable:
            self._scale.see(Hot(estimate.peak_nm, estimate.sigma_nm, at_c))
        cold = self._scale.place(estimate.peak_nm, at_c)
        sighting = Sighting(
            self._run.clock.now_ns(),
            estimate.peak_nm,
            cold.peak_nm,
            estimate.sigma_nm,
            cold.band_nm,
            at_c,
            usable,
            flags,
        )
        self.sightings.append(sighting)
        quality = Quality.GOOD if usable else Quality.BAD
        self._publish("peak.hot", estimate.peak_nm, quality)
        self._publish("peak.25C", cold.peak_nm, quality)
        self._publish("peak.sigma", estimate.sigma_nm, quality)
        self._publish("peak.band", cold.band_nm, quality)

    def _hot(self) -> Hot | None:
        return hot_of(self.sightings, self._run.clock.now_ns())

    def _tell_level(self, name: str, level: Level, count: int) -> None:
        message = f"{name}: 1S at 25 °C {level.peak_nm:.2f} ± {level.sigma_nm:.2f} nm"
        data: dict[str, Scalar] = {
            "peak_nm": level.peak_nm,
            "sigma_nm": level.sigma_nm,
            "band_nm": level.band_nm,
            "temperature_c": level.temperature_c,
            "area": level.area,
            "n": count,
        }
        if self._probe is not None and math.isfinite(self._density_au):
            data["absorbance_1cm_au"] = per_cm(self._density_au, self._probe.path)
        self._run.event("baseline", message, data)

    async def _glow(self) -> None:
        seen = await self._optics.glow()
        if seen is not None:
            found, spectrum = seen
            self._run.record.spectrum(spectrum, "pl")
            self._take_glow(found)

    def _take_glow(self, found: Luminescence) -> None:
        good = found.quality == "GOOD"
        if good:
            t_s = self._run.elapsed.now_s()
            self.areas.append((t_s, found.area_per_photon, found.sigma_per_photon))
        quality = Quality.GOOD if good else Quality.BAD
        self._publish("pl.area", found.area_per_photon, quality)
        self._publish("pl.sigma", found.sigma_per_photon, quality)
        self._publish("pl.peak", found.peak_nm, quality)
        self._publish("pl.width", found.width_nm, quality)

    async def _samples(self, why: str, count: int) -> None:
        """Have aliquots drawn and measured cold, one every sampling period."""
        for n in range(count):
            if n:
                period_s = self._cuvette.period_s
                await self._run.elapsed.wait("the next aliquot", lambda: False, period_s)
            await self.sample(f"{why} {len(self.sightings) + 1}", self._cuvette.volume_ml)

    async def sample(self, label: str, volume_ml: float) -> None:
        """Have one aliquot drawn and use its cuvette spectrum, if one comes back.

        Without a spectrometer in the loop the aliquot is a sighting of the peak that the recipe
        follows; beside one it anchors the 25 °C scale if its label begins with `anchor`. Else it
        is only recorded.
        """
        drawn = self._hot()
        aliquot = await self._cuvette.draw(label, volume_ml)
        found = aliquot.absorbance
        if found is not None and self.by_samples:
            self._see_sample(found, aliquot.glow)
        elif found is not None and label.startswith(ANCHOR) and drawn is not None:
            self._anchor_on(drawn, found)
        else:
            self._drawn = drawn

    def _see_sample(self, found: Absorbance, glow: Luminescence | None) -> None:
        # Minutes and nanometres lie between two aliquots: each is looked at afresh.
        track = self._run.plan.recipe.head.track.get("peak")
        if track is None:  # no peak is followed; the spectra are in the record
            return
        last = next((s.raw_nm for s in reversed(self.sightings) if s.usable), None)
        near_nm = last or track.start_near
        if glow is not None:
            self._take_glow(glow)
        self._see(_estimate(PeakTracker(near_nm), found), 25.0)

    def _anchor_on(self, drawn: Hot, found: Absorbance) -> None:
        near_nm = self._scale.place(drawn.peak_nm, drawn.temperature_c).peak_nm
        cold = _estimate(PeakTracker(near_nm), found)
        if cold.quality == "GOOD":
            self._scale.anchor(drawn, cold.peak_nm, math.hypot(cold.sigma_nm, CUVETTE_SD_NM))
        else:
            text = f"anchor not used, the cuvette shows no peak: {', '.join(cold.flags)}"
            self._run.event("track.anchor_refused", text, {}, "warning")

    def _expected_nm(self) -> float | None:
        """Where the recipe expects the peak, at the present temperature."""
        near_nm = self._run.plan.recipe.head.track["peak"].start_near
        at_c = self._run.signals.value("flask.T")
        return near_nm if near_nm is None or at_c is None else to_hot(near_nm, at_c)

    def _publish(self, channel: str, value: float, quality: Quality) -> None:
        known = value if math.isfinite(value) else None
        reading = Reading(
            channel, known, quality if known is not None else Quality.BAD, self._run.clock.now_ns()
        )
        self._run.record.append(reading)
        self._run.signals.latest[channel] = reading
        self._run.bus.publish(reading)


def _estimate(tracker: PeakTracker, found: Absorbance) -> PeakEstimate:
    # The fit takes pixels for independent; a boxcar makes them less so.
    return tracker.update(found.wavelength_nm, found.absorbance, found.white_sigma, found.flags)


def _probe_of(optics: Optics) -> OpticalProbe | None:
    return optics.absorbance.entry.probe if optics.absorbance is not None else None
