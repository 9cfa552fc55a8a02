"""The 25 °C scale of a run: the coefficient learnt, the cold aliquot it hangs on, what was told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from labctl.chemistry.substances import find
from labctl.clock import NS
from labctl.engine.machine import State
from labctl.engine.run import Run
from labctl.spectroscopy.temperature import (
    UNDECLARED_FLOOR,
    Anchor,
    Coefficient,
    CoefficientLearner,
    Corrected,
    Correction,
    combined,
)

INERT = frozenset({"solvent", "nanocrystal"})
TYPED_SD_NM = 0.5
"""Of a 1S read off a spectrophotometer of 1 nm pitch by a person."""
CUVETTE_SD_NM = 0.2
"""What another solvent and another instrument may add to a fitted cuvette spectrum."""
IMPLAUSIBLE_SD, IMPLAUSIBLE_NM = 3.0, 3.0


@dataclass(frozen=True, slots=True)
class Hot:
    """A peak as it stood in the flask: nm with its sd, and °C."""

    peak_nm: float
    sigma_nm: float
    temperature_c: float


class ColdScale:
    """Places hot peaks on the 25 °C scale, and improves it when the run teaches something.

    Online it learns from the ordinary frames while temperature moves and the flask holds nothing
    but dots and solvent; once a reagent has come, only a cool-down declared as `learn` counts.
    """

    def __init__(self, run: Run) -> None:
        self.correction = Correction()
        self._run = run
        self._declared: CoefficientLearner | None = None
        self._quiet: CoefficientLearner | None = CoefficientLearner(
            "ramps before any reagent", UNDECLARED_FLOOR
        )

    @property
    def coefficient(self) -> Coefficient:
        """How the peak follows temperature."""
        return self.correction.coefficient

    def place(self, peak_nm: float, temperature_c: float) -> Corrected:
        """Move a peak to 25 °C, with the band of the correction."""
        return self.correction.to_25c(peak_nm, temperature_c)

    def see(self, hot: Hot) -> None:
        """Take a usable peak as measured, for whoever learns from it."""
        row = (self._run.clock.now_ns() / NS, hot.temperature_c, hot.peak_nm, hot.sigma_nm)
        if self._declared is not None:
            self._declared.add(*row)
        if self._quiet is None:
            return
        if not self._nothing_reacts():
            self.close_quiet()
        elif self._run.machine.state is State.RUNNING:
            self._quiet.add(*row)

    def close_quiet(self) -> None:
        """End online learning and use what it taught, if it is sure."""
        learner, self._quiet = self._quiet, None
        if learner is None:
            return
        found = learner.result()
        if found.source == "learnt":
            self._use(found)

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Learn the coefficient from the peaks seen while open."""
        self.close_quiet()
        self._declared = CoefficientLearner()
        try:
            yield
        finally:
            found = self._declared.result()
            self._declared = None
            if found.source == "nominal" and self.coefficient.source == "learnt":
                # A cool-down that teaches nothing does not disprove what the ramps did.
                self._tell(f"cool-down not used: {found.reason}; kept")
            else:
                self._use(found)

    def anchor(self, hot: Hot, cold_nm: float, cold_sd_nm: float = TYPED_SD_NM) -> bool:
        """Tie the scale to a cold measurement of what stood at `hot`; refuse an implausible one."""
        plain = Correction(self.coefficient).to_25c(hot.peak_nm, hot.temperature_c)
        offset_nm = cold_nm - plain.peak_nm
        sigma_nm = math.hypot(hot.sigma_nm, cold_sd_nm)
        limit_nm = IMPLAUSIBLE_NM + IMPLAUSIBLE_SD * math.hypot(sigma_nm, plain.band_nm)
        told = f"cuvette {cold_nm:.2f} ± {cold_sd_nm:.2f} nm, flask {hot.peak_nm:.2f} nm at "
        told += f"{hot.temperature_c:.0f} °C"
        data = {
            "cuvette_nm": cold_nm,
            "offset_nm": offset_nm,
            "sigma_nm": sigma_nm,
            "hot_nm": hot.peak_nm,
            "temperature_c": hot.temperature_c,
        }
        if not abs(offset_nm) <= limit_nm:
            text = f"anchor not used, {offset_nm:+.1f} nm off is not plausible: {told}"
            self._run.event("track.anchor_refused", text, data, "warning")
            return False
        anchor = Anchor(hot.peak_nm, hot.temperature_c, cold_nm, sigma_nm)
        self.correction = replace(self.correction, anchor=anchor)
        text = f"25 °C scale moved {offset_nm:+.2f} ± {sigma_nm:.2f} nm: {told}"
        self._run.event("track.anchored", text, data)
        return True

    def _nothing_reacts(self) -> bool:
        """Whether the flask can hold no reaction: dots in solvent, and nothing being poured."""
        parts = self._run.flask.mixture.parts
        inert = all(find(name).kind in INERT for name, _ in parts)
        return inert and not self._run.has_token("injection")

    def _use(self, found: Coefficient) -> None:
        both = combined(self.coefficient, found)
        self.correction = replace(self.correction, coefficient=both)
        self._tell(f"{both.source}, {both.reason}")

    def _tell(self, why: str) -> None:
        found = self.coefficient
        message = f"peak coefficient {found.scale:.3f} ± {found.sigma:.3f} of bulk InP: {why}"
        data = {
            "scale": found.scale,
            "sigma": found.sigma,
            "source": found.source,
            "points": found.points,
            "span_k": found.span_k,
        }
        self._run.event("track.coefficient", message, data)
