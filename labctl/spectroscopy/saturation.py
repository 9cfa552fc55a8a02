"""Decides whether the 1S peak has stopped moving, and never says so on a doubt.

The peak that comes in is corrected to 25 °C. The detector answers with one of five states; only
`saturated` lets a recipe go on. Method and derivation: docs/explanations/how-it-decides.md.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from labctl.spectroscopy.saturation_models import DecayModels, Estimate, Posterior, recent_slope
from labctl.spectroscopy.saturation_samples import (
    SIGMA_FLOOR_NM,
    Binner,
    HealthWatch,
    Sample,
    SteadyClock,
    plausible,
    plausible_temperature,
    series_of,
)
from labctl.spectroscopy.saturation_verdict import (
    MARGIN,
    SaturationSettings,
    State,
    Verdict,
    doubt,
)

__all__ = ["SaturationDetector", "SaturationSettings", "State", "Verdict"]

TAIL = 0.6
LASTING = 1.5
"""The present slope, lasting LASTING times the reaction so far, may add TAIL x delta."""
FEWEST_BINS = 8
SHORTEST_S = 180.0
MOST_BINS = 240
WINDOW = 1.5
"""Bins older than this many tau_max say nothing about a tail of tau_max."""
FEWEST_IN_WINDOW = 24
SUSPECT_SD = 5.0
SUSPECTS = 3
SHIFT_SD = 3.0
NO_REACTION_S = 600.0
STARVED_S = 120.0
GAP_S = 300.0
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
        self._bins: list[Sample] = []
        self._suspects: list[Sample] = []
        self._temperatures: deque[tuple[float, float]] = deque(maxlen=64)
        self._posterior: Posterior | None = None
        self._baseline: Estimate | None = None
        self._first: list[float] = []
        self._first_s = self._good_s = self._settled_s = math.nan
        self._excursion_nm = 0.0
        self._verdict = doubt("collecting", "no sample yet")

    def set_baseline(self, peak_nm: float, sigma_nm: float) -> None:
        """Set the peak at 25 °C before the reaction and its sd in nm, correction band included."""
        if plausible(peak_nm) and math.isfinite(sigma_nm) and sigma_nm >= 0.0:
            self._baseline, self._excursion_nm = Estimate(peak_nm, sigma_nm), 0.0

    def update(
        self,
        t_s: float,
        peak_nm: float,
        sigma_nm: float | None = None,
        temperature_c: float | None = None,
        hold: bool = False,
        raw_nm: float | None = None,
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
        """
        if not math.isfinite(t_s):
            return doubt("collecting", "the time of the sample is no number")
        step_s = self._clock.advance(t_s)
        if step_s > max(GAP_S, 10.0 * self._clock.interval_s):
            self._restart(f"nothing came for {step_s:.0f} s")
        if hold:
            self._restart("on hold: the reaction is paused or disturbed")
            self._good_s = self._clock.last_s
            return self._verdict
        sample = self._sample(peak_nm, sigma_nm, temperature_c)
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
        self, peak_nm: float, sigma_nm: float | None, temperature_c: float | None
    ) -> Sample | None:
        sigma = math.nan if sigma_nm is None else sigma_nm
        sigma = max(sigma, SIGMA_FLOOR_NM) if sigma > 0.0 else math.nan
        temperature = 25.0 if temperature_c is None else temperature_c
        if not plausible(peak_nm) or not plausible_temperature(temperature):
            return None
        if sigma > LARGEST_SIGMA_NM:
            return None
        return Sample(self._clock.last_s, peak_nm, sigma, temperature)

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
        if math.isnan(self._first_s):
            self._first_s = sample.time_s
        if self._baseline is None:
            self._first.append(sample.peak_nm)
            if len(self._first) == 3:
                sigma = 0.2 if math.isnan(sample.sigma_nm) else sample.sigma_nm
                self._baseline = Estimate(sorted(self._first)[1], sigma)

    def _transient(self, sample: Sample) -> bool:
        self._temperatures.append((sample.time_s, sample.temperature_c))
        recent = [c for t, c in self._temperatures if t >= sample.time_s - TRANSIENT_S]
        if max(recent) - min(recent) > TRANSIENT_K:
            return True
        return bool(self._bins) and (
            abs(sample.temperature_c - self._bins[0].temperature_c) > SEGMENT_K
        )

    def _restart(self, reason: str, state: State = "collecting") -> None:
        self._bins, self._suspects, self._posterior = [], [], None
        self._settled_s = math.nan
        self._binner.clear()
        self._verdict = doubt(state, reason)

    def _bin(self, sample: Sample) -> None:
        full = self._binner.add(sample, self._clock.interval_s)
        if full is None:
            if self._verdict.state == "fault":
                self._verdict = doubt("collecting", "the source is alive again")
            return
        if self._expected(full):
            self._suspects.clear()
            self._bins = [*self._bins[-MOST_BINS:], full]
        else:
            self._suspects.append(full)
            self._settled_s = math.nan
            self._verdict = replace(
                self._verdict, state="changing", reason="the last peaks lie off the course so far"
            )
            if len(self._suspects) < SUSPECTS:
                return
            self._bins, self._suspects = self._suspects, []
        self._evaluate()

    def _expected(self, full: Sample) -> bool:
        if self._posterior is None:
            return True
        course = self._posterior.level(full.time_s, full.temperature_c)
        sigma = full.sigma_nm if math.isfinite(full.sigma_nm) else 0.1
        spread = math.hypot(course.sd, self._binner.scale * sigma)
        return abs(full.peak_nm - course.mean) <= SUSPECT_SD * spread

    def _evaluate(self) -> None:
        span_s = self._bins[-1].time_s - self._bins[0].time_s
        sparse = self._clock.interval_s > SHORTEST_S / FEWEST_BINS
        if len(self._bins) < (5 if sparse else FEWEST_BINS) or span_s < SHORTEST_S:
            self._posterior = None
            self._verdict = replace(
                doubt("collecting", f"{len(self._bins)} bins over {span_s:.0f} s so far"),
                n=len(self._bins),
            )
            return
        oldest_s = self._bins[-1].time_s - WINDOW * self.settings.tau_max_s
        old = sum(b.time_s < oldest_s for b in self._bins[:-FEWEST_IN_WINDOW])
        self._bins = self._bins[old:]
        series, self._binner.scale = series_of(self._bins)
        self._posterior = self._models.posterior(series)
        self._verdict = self._judge(self._posterior, recent_slope(series))

    def _judge(self, posterior: Posterior, recent_nm_s: float) -> Verdict:
        exceed = posterior.exceeds(MARGIN * self.settings.delta_nm)
        left, slope = posterior.remaining_total(), posterior.slope()
        shift = self._shift(posterior)
        now_s = posterior.end_s
        if exceed > self.settings.alpha or self._drags(posterior, slope, recent_nm_s):
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
            n=len(self._bins),
            slope_nm_min=60.0 * slope.mean,
            slope_sd_nm_min=60.0 * slope.sd,
            shift_nm=shift.mean,
            shift_sd_nm=shift.sd,
            interval_nm=(left.mean - reach, left.mean + reach),
        )

    def _drags(self, posterior: Posterior, slope: Estimate, recent_nm_s: float) -> bool:
        # A tail that follows no exponential goes on for as long as it has gone on already.
        elapsed_s = posterior.end_s - posterior.start_s
        lasting_s = min(LASTING * elapsed_s, self.settings.tau_max_s)
        return max(abs(slope.mean), abs(recent_nm_s)) * lasting_s > TAIL * self.settings.delta_nm

    def _shift(self, posterior: Posterior) -> Estimate:
        level = posterior.level(posterior.end_s, posterior.temperature_c)
        start = self._baseline or Estimate(level.mean, math.inf)
        shift = Estimate(level.mean - start.mean, math.hypot(level.sd, start.sd))
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
