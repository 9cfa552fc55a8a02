"""Decides whether the 1S peak has stopped moving, and never says so on a doubt.

The peak that comes in is corrected to 25 °C. The detector answers with one of five states; only
`saturated` lets a recipe go on. Method and derivation: docs/explanations/saturation.md.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from labctl.spectroscopy.saturation_models import DecayModels, Estimate, Posterior
from labctl.spectroscopy.saturation_samples import (
    SIGMA_FLOOR_NM,
    Bin,
    Binner,
    HealthWatch,
    Sample,
    SteadyClock,
    plausible,
    plausible_temperature,
    without_spoiled,
)
from labctl.spectroscopy.saturation_track import Track
from labctl.spectroscopy.saturation_verdict import (
    LENIENCE,
    MARGIN,
    SaturationSettings,
    State,
    Verdict,
    doubt,
)

__all__ = ["SaturationDetector", "SaturationSettings", "State", "Verdict"]

FEWEST_BINS = 6
FEWEST_SPARSE = 5
SHORTEST_S = 120.0
SPARSE_S = 60.0
"""Samples further apart are aliquots: there will be few of them, and none is a bubble."""
ENOUGH_BINS = 10
"""Bins that a decision needs: five or six numbers are fitted to them."""
FRESH_BINS = 3
"""Bins that must follow a gap or a step before anything is decided."""
SUSPECT_SD = 5.0
SUSPECTS = 3
LARGEST_STEP_NM = 4.0
STEP_CHI2 = 9.0
SHIFT_SD = 3.0
NO_REACTION_S = 600.0
STARVED_S = 120.0
TRANSIENT_S = 120.0
TRANSIENT_K = 6.0
SEGMENT_K = 8.0
LARGEST_SIGMA_NM = 50.0


class SaturationDetector:
    """Watches one reaction; feed it each peak once, in the order measured.

    Raises nothing on any input: a sample that makes no sense is a doubt, and a doubt never
    advances.
    """

    def __init__(self, settings: SaturationSettings | None = None) -> None:
        self.settings = settings or SaturationSettings()
        self._models = DecayModels(self.settings.tau_max_s)
        self._clock = SteadyClock()
        self._health = HealthWatch()
        self._binner = Binner()
        self._early: list[Bin] = []
        self._track: Track | None = None
        self._suspects: list[Bin] = []
        self._temperatures: deque[tuple[float, float]] = deque(maxlen=64)
        self._posterior: Posterior | None = None
        self._baseline: Estimate | None = None
        self._first: list[Sample] = []
        self._first_s = self._good_s = self._settled_s = math.nan
        self._excursion_nm = 0.0
        self._fresh = 0
        self._band_nm = self._baseline_band_nm = self._start_band_nm = 0.0
        self._start_c = math.nan
        self._verdict = doubt("collecting", "no sample yet")

    def set_baseline(self, peak_nm: float, sigma_nm: float, band_nm: float | None = None) -> None:
        """Set the peak at 25 °C before the reaction, its sd in nm and the band of its correction.

        `band_nm` is counted as in `update`; None where `sigma_nm` holds all that is uncertain.
        """
        if plausible(peak_nm) and math.isfinite(sigma_nm) and sigma_nm >= 0.0:
            self._baseline, self._excursion_nm = Estimate(peak_nm, sigma_nm), 0.0
            self._baseline_band_nm = math.nan if band_nm is None else band_nm

    def update(
        self,
        t_s: float,
        peak_nm: float,
        sigma_nm: float | None = None,
        temperature_c: float | None = None,
        hold: bool = False,
        raw_nm: float | None = None,
        band_nm: float = 0.0,
    ) -> Verdict:
        """Take one peak and say what is known now.

        Args:
            t_s: Monotonic time in s.
            peak_nm: 1S peak corrected to 25 °C, in nm; NaN for a frame without one.
            sigma_nm: Its standard deviation in nm; None where the source gives none.
            temperature_c: Temperature of the measurement; None where no correction was needed
                (a cuvette at 25 °C). NaN means unknown, and such a sample is not used.
            hold: The reaction is known to be paused or disturbed (an injection, the stirrer).
            raw_nm: The peak as measured at temperature; tells a frozen source more surely.
            band_nm: Standard deviation of the whole correction to 25 °C, in nm. Two peaks share
                the coefficient, so only the difference of their bands is in doubt: it counts
                against the shift since the baseline and against what remains.
        """
        if not math.isfinite(t_s):
            return doubt("collecting", "the time of the sample is no number")
        longest_s = self._clock.longest_s
        step_s = self._clock.advance(t_s)
        if step_s > longest_s:
            self._interrupt(f"nothing came for {step_s:.0f} s")
        if hold:
            self._restart("on hold: the reaction is paused or disturbed")
            self._good_s = self._clock.last_s
            return self._verdict
        sample = self._sample(peak_nm, sigma_nm, temperature_c, band_nm)
        if sample is None:
            return self._starved()
        self._remember(sample)
        fault = self._health.fault(peak_nm if raw_nm is None else raw_nm, sample.sigma_nm)
        if fault:
            self._restart(fault, "fault")
        elif self._transient(sample):
            self._restart("the temperature is moving")
        else:
            self._bin(sample)
        return self._verdict

    def _sample(
        self, peak_nm: float, sigma_nm: float | None, temperature_c: float | None, band_nm: float
    ) -> Sample | None:
        sigma = math.nan if sigma_nm is None else sigma_nm
        sigma = max(sigma, SIGMA_FLOOR_NM) if sigma > 0.0 else math.nan
        temperature = 25.0 if temperature_c is None else temperature_c
        if not plausible(peak_nm) or not plausible_temperature(temperature):
            return None
        if sigma > LARGEST_SIGMA_NM or not 0.0 <= band_nm <= LARGEST_SIGMA_NM:
            return None
        return Sample(self._clock.last_s, peak_nm, sigma, temperature, band_nm)

    def _starved(self) -> Verdict:
        if math.isnan(self._good_s):
            self._good_s = self._clock.last_s
        missing_s = self._clock.last_s - self._good_s
        if missing_s > max(STARVED_S, 8.0 * self._clock.interval_s):
            self._restart(f"no usable peak for {missing_s:.0f} s", "fault")
            return self._verdict
        return doubt("collecting", "this sample has no usable peak or temperature")

    def _remember(self, sample: Sample) -> None:
        self._good_s = sample.time_s
        self._band_nm = sample.band_nm
        if math.isnan(self._first_s):
            self._first_s = sample.time_s
        if self._baseline is None:
            self._first.append(sample)
            if len(self._first) == 3:
                middle = sorted(self._first, key=lambda s: s.peak_nm)[1]
                sigma = 0.2 if math.isnan(middle.sigma_nm) else middle.sigma_nm
                self.set_baseline(middle.peak_nm, sigma, middle.band_nm)

    def _transient(self, sample: Sample) -> bool:
        self._temperatures.append((sample.time_s, sample.temperature_c))
        recent = [c for t, c in self._temperatures if t >= sample.time_s - TRANSIENT_S]
        if max(recent) - min(recent) > TRANSIENT_K:
            return True
        return abs(sample.temperature_c - self._start_c) > SEGMENT_K

    def _restart(self, reason: str, state: State = "collecting") -> None:
        self._early, self._suspects = [], []
        self._track = self._posterior = None
        self._start_c = self._settled_s = math.nan
        self._fresh = 0
        self._binner.clear()
        self._verdict = doubt(state, reason)

    def _interrupt(self, reason: str) -> None:
        if self._track is None:
            self._restart(reason)
            return
        self._track.step()
        self._suspects, self._settled_s, self._fresh = [], math.nan, 0
        self._posterior = None
        self._binner.clear()
        self._verdict = doubt("collecting", reason)

    def _bin(self, sample: Sample) -> None:
        if math.isnan(self._start_c):
            self._start_c, self._start_band_nm = sample.temperature_c, sample.band_nm
        full = self._binner.add(sample, self._clock.interval_s)
        if full is None:
            if self._verdict.state == "fault":
                self._verdict = doubt("collecting", "the source is alive again")
            return
        if self._track is None:
            self._early.append(full)
            self._begin()
        elif self._expected(full):
            self._suspects.clear()
            self._take([full])
        else:
            self._suspect(full)

    def _begin(self) -> None:
        """Start a track once there is enough to start with."""
        count = len(self._early)
        span_s = self._early[-1].time_s - self._early[0].time_s
        fewest = FEWEST_SPARSE if self._clock.interval_s > SPARSE_S else FEWEST_BINS
        if count < fewest or span_s < SHORTEST_S:
            words = f"{count} bins over {span_s:.0f} s so far"
            self._verdict = replace(doubt("collecting", words), n=count)
            return
        sound = without_spoiled(self._early)
        self._track = Track(self._models, sound[0])
        self._take(sound)

    def _take(self, bins: list[Bin]) -> None:
        track = self._track
        if track is None:
            return
        for full in bins:
            track.add(full)
        self._fresh += len(bins)
        band_nm = abs(self._band_nm - self._start_band_nm)
        posterior = track.posterior(self._binner.scale, self._binner.lowest)
        self._posterior = replace(posterior, band_nm=band_nm)
        self._binner.scale = self._posterior.scale
        self._verdict = self._judge(self._posterior, bins[-1])

    def _expected(self, full: Bin) -> bool:
        if self._posterior is None:
            return True
        course = self._posterior.level(full.time_s, full.temperature_c)
        spread = math.hypot(course.sd, self._binner.scale * full.sigma_nm)
        return abs(full.peak_nm - course.mean) <= SUSPECT_SD * spread

    def _suspect(self, full: Bin) -> None:
        self._suspects.append(full)
        self._settled_s = math.nan
        self._verdict = replace(
            self._verdict, state="changing", reason="the last peaks lie off the course so far"
        )
        if len(self._suspects) < SUSPECTS:
            return
        bins, self._suspects = self._suspects, []
        height_nm = self._step_nm(bins)
        if self._track is not None and not math.isnan(height_nm):
            self._track.step()
            self._fresh = 0
            if self._baseline is not None:
                # What the instrument did is no reaction.
                self._baseline = replace(self._baseline, mean=self._baseline.mean + height_nm)
            self._take(bins)
        else:
            self._restart("the peak has left its course")
            self._early = bins

    def _step_nm(self, bins: list[Bin]) -> float:
        """Give by how much bins lie off the course if all lie off alike, else NaN."""
        if self._posterior is None:
            return math.nan
        courses = [self._posterior.level(b.time_s, b.temperature_c).mean for b in bins]
        off = [b.peak_nm - course for b, course in zip(bins, courses, strict=True)]
        middle = sum(off) / len(off)
        sigmas = [self._binner.scale * b.sigma_nm for b in bins]
        chi2 = sum(((o - middle) / s) ** 2 for o, s in zip(off, sigmas, strict=True))
        return middle if chi2 <= STEP_CHI2 and abs(middle) <= LARGEST_STEP_NM else math.nan

    def _judge(self, posterior: Posterior, last: Bin) -> Verdict:
        outlook, slope = posterior.outlook(), posterior.slope()
        exceed = outlook.exceeds(MARGIN * self.settings.delta_nm)
        left = outlook.total()
        shift = self._shift(posterior, last)
        now_s = last.time_s
        enough = FEWEST_SPARSE if self._clock.interval_s > SPARSE_S else ENOUGH_BINS
        soon = posterior.n < enough or self._fresh < FRESH_BINS
        if exceed > LENIENCE * self.settings.alpha or soon:
            self._settled_s = math.nan
        elif math.isnan(self._settled_s):
            self._settled_s = now_s
        state, reason = self._state(shift, now_s)
        reach = 3.3 * left.sd
        return Verdict(
            state=state,
            remaining_nm=left.mean,
            probability=1.0 - exceed,
            reason=reason,
            n=posterior.n,
            slope_nm_min=60.0 * slope.mean,
            slope_sd_nm_min=60.0 * slope.sd,
            shift_nm=shift.mean,
            shift_sd_nm=shift.sd,
            interval_nm=(left.mean - reach, left.mean + reach),
            segment_band_nm=posterior.band_nm,
        )

    def _shift(self, posterior: Posterior, last: Bin) -> Estimate:
        level = posterior.level(last.time_s, last.temperature_c)
        start = self._baseline or Estimate(level.mean, math.inf)
        band_nm = abs(self._band_nm - self._baseline_band_nm)
        band_nm = 0.0 if math.isnan(band_nm) else band_nm
        shift = Estimate(level.mean - start.mean, math.hypot(level.sd, start.sd, band_nm))
        self._excursion_nm = max(self._excursion_nm, abs(shift.mean) - SHIFT_SD * shift.sd)
        return shift

    def _state(self, shift: Estimate, now_s: float) -> tuple[State, str]:
        settings = self.settings
        if math.isnan(self._settled_s):
            return "changing", f"more than {MARGIN * settings.delta_nm:.2g} nm may still come"
        if self._excursion_nm >= settings.min_shift_nm:
            if now_s - self._settled_s < settings.min_plateau_s:
                return "changing", f"settled; to stay so for {settings.min_plateau_s:.0f} s"
            return "saturated", f"less than {settings.delta_nm:.2g} nm is left to come"
        moved = f"a shift of {shift.mean:.2f} ± {shift.sd:.2f} nm"
        if abs(shift.mean) + SHIFT_SD * shift.sd < settings.min_shift_nm:
            if now_s - self._first_s >= NO_REACTION_S:
                return "no_reaction", f"{moved} is less than {settings.min_shift_nm:.2g} nm"
            return "changing", f"no movement yet; {moved}"
        return "changing", f"{moved} does not prove {settings.min_shift_nm:.2g} nm"
