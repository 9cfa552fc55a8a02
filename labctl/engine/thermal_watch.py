"""Thermal verification: does the flask do what a heated flask can do? Pure logic over samples.

Nine rules, R1 to R9, for faults that no limit on one reading shows: a probe that slipped out, a
relay that sticks, a heater that is open, a sensor that stands still. Each is a trip, since behind
each the heater may go on unseen. What a dose or a quench does to the flask is expected and told by
`disturbed`. docs/explanations/thermal-verification.md says what the rules find, and how soon.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ThermalLimits:
    """The constants of the rules, for a 50-100 mL flask in a mantle, sampled once per second.

    Found on the plant of `simulators/plant/thermal.py` with each of its constants 20 % up or down:
    `python -m benchmarks.thermal` runs it again. `frozen_s` belongs to the sensor: for so long its
    last digit cannot stand still by its own noise (0.05 K at a resolution of 0.1 K).
    `highest_c` is the highest setpoint that the recipe declares, `full` the highest output allowed.
    `power_model_k` is what the observer must expect before R4 misses a rise, `coast_share` how much
    of what the mantle still gives R5 allows.
    """

    highest_c: float
    full: float = 1.0
    range_c: tuple[float, float] = (-10.0, 400.0)
    lost_s: float = 3.0
    slope_s: float = 2.0
    drop_k_s: float = 1.15
    drop_per_s: float = 0.0035
    rise_k_s: float = 3.0
    power_s: float = 60.0
    power_rise_k: float = 1.0
    power_gap_k: float = 15.0
    power_model_k: float = 5.0
    off_s: float = 45.0
    off_rise_s: float = 30.0
    off_rise_k: float = 4.0
    coast_share: float = 1.5
    mantle_off_s: float = 25.0
    mantle_rise_s: float = 20.0
    mantle_rise_k: float = 4.0
    model_k: float = 50.0
    model_s: float = 20.0
    model_pull_per_s: float = 0.006
    frozen_s: float = 180.0
    probes_k: float = 8.0
    probes_s: float = 10.0
    above_k: float = 8.0
    gap_s: float = 5.0
    ambient_c: float = 22.0


@dataclass(frozen=True, slots=True)
class MantleModel:
    """What the observer knows of mantle and flask: W, J/K, W/K; see `simulators/plant/thermal.py`.

    `flask_j_k` is liquid and glass.
    """

    power_w: float
    flask_j_k: float
    mantle_j_k: float = 80.0
    couple_w_k: float = 0.55
    mantle_loss_w_k: float = 0.05
    flask_loss_w_k: float = 0.055
    radiation_w_k4: float = 1.0e-10


class ThermalSample(NamedTuple):
    """One sample: s, °C, output as a fraction of full power; None is what is not known.

    `heating`: heat was asked for. `disturbed`: a dose or a quench is expected to show. `bare`: the
    mantle is lowered or the fan blows, so that the observer's constants do not hold.
    """

    t_s: float
    flask_c: float | None
    output: float | None
    setpoint_c: float | None
    second_c: float | None = None
    mantle_c: float | None = None
    heating: bool = True
    disturbed: bool = False
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule that is broken, and what was seen."""

    rule: str
    message: str


class ThermalWatch:
    """Judges one flask sample by sample; `rules` leaves some out, to see what they are good for."""

    def __init__(
        self, limits: ThermalLimits, model: MantleModel, rules: Collection[str] | None = None
    ) -> None:
        self.limits = limits
        self.model = model
        table: dict[str, Callable[[ThermalSample, float], str]] = {
            "R2": self._drop,
            "R3": self._rise,
            "R4": self._no_rise,
            "R5": self._off_and_rising,
            "R6": self._off_the_model,
            "R7": self._frozen,
            "R8": self._two_probes,
            "R9": self._too_hot,
        }
        self._rules = [(id_, f) for id_, f in table.items() if rules is None or id_ in rules]
        self._range = rules is None or "R1" in rules
        self._observer = _Observer(limits)
        self._slope = _Past(limits.slope_s)
        self._minute = _Past(limits.power_s)
        self._half = _Past(limits.off_rise_s)
        self._mantle = _Past(limits.mantle_rise_s)
        self._lost = _Lasts()
        self._full = _Lasts()
        self._off = _Lasts()
        self._model = _Lasts()
        self._apart = _Lasts()
        self._still = _Lasts()
        self._last_c: float | None = None
        self._k_s: float | None = None

    def see(self, sample: ThermalSample) -> Verdict | None:
        """Take the next sample; return the first rule that is broken, or None."""
        limits, flask_c = self.limits, sample.flask_c
        low_c, high_c = limits.range_c
        out = flask_c is None or not low_c <= flask_c <= high_c
        lost_s = self._lost.held(sample.t_s, truth=out)
        if flask_c is None or out:
            wrong = flask_c is not None or lost_s >= limits.lost_s
            if self._range and sample.heating and wrong:
                what = "there is no reading" if flask_c is None else f"it reads {flask_c:.4g} °C"
                return Verdict("R1", f"the flask's probe is open or out of range: {what}")
            return None
        self._follow(sample, flask_c)
        said = [
            Verdict(id_, words) for id_, rule in self._rules if (words := rule(sample, flask_c))
        ]
        return said[0] if said else None

    def _follow(self, sample: ThermalSample, flask_c: float) -> None:
        """Bring everything that remembers up to this sample, whatever is judged by it."""
        limits, t_s, output = self.limits, sample.t_s, sample.output
        before = self._slope.put(t_s, flask_c)
        self._k_s = None
        if before is not None and t_s - before[0] <= limits.gap_s:
            self._k_s = (flask_c - before[1]) / (t_s - before[0])
        if sample.mantle_c is not None:
            self._mantle.put(t_s, sample.mantle_c)
        known = output is not None and sample.setpoint_c is not None
        gap_k = (sample.setpoint_c or 0.0) - flask_c
        at_full = known and (output or 0.0) >= 0.95 * limits.full and gap_k > limits.power_gap_k
        self._full.held(t_s, truth=at_full)
        self._off.held(t_s, truth=output is not None and output < 0.01)
        self._still.held(t_s, truth=flask_c == self._last_c and sample.heating)
        self._last_c = flask_c
        self._observer.follow(sample, flask_c, self.model)
        self._half.put(t_s, flask_c, self._observer.coasted_k)
        self._minute.put(t_s, flask_c, self._observer.coasted_k)
        far = abs(flask_c - self._observer.flask_c) > limits.model_k
        self._model.held(t_s, truth=far and not sample.disturbed)
        second_c = sample.second_c
        apart = second_c is not None and abs(flask_c - second_c) > limits.probes_k
        self._apart.held(t_s, truth=apart and not sample.disturbed)

    def _drop(self, sample: ThermalSample, flask_c: float) -> str:
        limits, k_s = self.limits, self._k_s
        most = limits.drop_k_s + limits.drop_per_s * max(flask_c - limits.ambient_c, 0.0)
        if k_s is None or sample.disturbed or not sample.heating or k_s >= -most:
            return ""
        return f"the flask falls by {-k_s:.1f} K/s, and cannot: is its probe out?"

    def _rise(self, sample: ThermalSample, flask_c: float) -> str:
        k_s = self._k_s
        if k_s is None or sample.disturbed or not sample.heating or k_s <= self.limits.rise_k_s:
            return ""
        return f"the flask rises by {k_s:.1f} K/s to {flask_c:.0f} °C, and cannot"

    def _no_rise(self, sample: ThermalSample, flask_c: float) -> str:
        limits, before, half = self.limits, self._minute.oldest, self._half.oldest
        if before is None or half is None or sample.disturbed:
            return ""
        if self._full.lasts_s < limits.power_s:
            return ""
        rise_k, expected_k = flask_c - before[1], self._observer.coasted_k - before[2]
        # A flask that was cooling goes on falling until the mantle is warm, and then turns.
        turns = flask_c - half[1] >= limits.power_rise_k / 2
        if turns or rise_k >= limits.power_rise_k or expected_k < limits.power_model_k:
            return ""
        return f"{rise_k:.1f} K in {limits.power_s:.0f} s at full power: no heat, or a probe out"

    def _off_and_rising(self, sample: ThermalSample, flask_c: float) -> str:
        limits, off_s = self.limits, self._off.lasts_s
        before, mantle = self._half.oldest, self._mantle.oldest
        if sample.disturbed:  # a mantle warms a flask that was chilled, also without output
            return ""
        if off_s >= limits.off_s and before is not None:
            rise_k, coasts_k = flask_c - before[1], self._observer.coasted_k - before[2]
            if rise_k - limits.coast_share * max(coasts_k, 0.0) > limits.off_rise_k:
                return f"+{rise_k:.1f} K in {limits.off_rise_s:.0f} s without output"
        if off_s < limits.mantle_off_s or mantle is None or sample.mantle_c is None:
            return ""
        rise_k = sample.mantle_c - mantle[1]
        return (
            f"the mantle rises by {rise_k:.1f} K without output"
            if (rise_k > limits.mantle_rise_k)
            else ""
        )

    def _off_the_model(self, sample: ThermalSample, flask_c: float) -> str:
        if self._model.lasts_s < self.limits.model_s or not sample.heating:
            return ""
        return f"{flask_c:.0f} °C, where the power given makes {self._observer.flask_c:.0f} °C"

    def _frozen(self, sample: ThermalSample, flask_c: float) -> str:
        if self._still.lasts_s < self.limits.frozen_s or not sample.heating:
            return ""
        return f"the probe has read {flask_c:g} °C for {self._still.lasts_s:.0f} s without a change"

    def _two_probes(self, sample: ThermalSample, flask_c: float) -> str:
        if self._apart.lasts_s < self.limits.probes_s or sample.second_c is None:
            return ""
        return f"the two probes read {flask_c:.1f} and {sample.second_c:.1f} °C"

    def _too_hot(self, sample: ThermalSample, flask_c: float) -> str:
        limits = self.limits
        if flask_c <= limits.highest_c + limits.above_k:
            return ""
        return f"{flask_c:.1f} °C; the recipe goes to {limits.highest_c:.0f} °C at most"


class _Past:
    """Keeps one value for a time: `oldest` is (s, value, another) so long ago, or None."""

    def __init__(self, length_s: float) -> None:
        self.oldest: tuple[float, float, float] | None = None
        self._length_s = length_s
        self._kept: deque[tuple[float, float, float]] = deque()

    def put(
        self, t_s: float, value: float, another: float = 0.0
    ) -> tuple[float, float, float] | None:
        """Keep a value; return the youngest that is old enough."""
        kept = self._kept
        kept.append((t_s, value, another))
        while kept[0][0] <= t_s - self._length_s:
            self.oldest = kept.popleft()
        return self.oldest


class _Lasts:
    """How long something has been true without a break, in s."""

    def __init__(self) -> None:
        self.lasts_s = 0.0
        self._since_s: float | None = None

    def held(self, t_s: float, *, truth: bool) -> float:
        """Take whether it is true now; return for how long it has been."""
        if not truth:
            self._since_s, self.lasts_s = None, 0.0
            return 0.0
        if self._since_s is None:
            self._since_s = t_s
        self.lasts_s = t_s - self._since_s
        return self.lasts_s


class _Observer:
    """Mantle and flask as the power given would have them, pulled slowly to what is measured.

    `coasted_k` sums what the flask has risen by the mantle's heat, in K, whatever was measured.
    """

    def __init__(self, limits: ThermalLimits) -> None:
        self.flask_c = 0.0
        self.coasted_k = 0.0
        self._limits = limits
        self._mantle_c = 0.0
        self._at_s: float | None = None

    def follow(self, sample: ThermalSample, flask_c: float, model: MantleModel) -> None:
        """Move on to a sample; while the flask is disturbed or bare, begin anew from it."""
        at_s, self._at_s = self._at_s, sample.t_s
        dt_s = 0.0 if at_s is None else sample.t_s - at_s
        lost = at_s is None or dt_s > self._limits.gap_s or sample.output is None
        if lost or sample.disturbed or sample.bare:
            self.flask_c = flask_c
            self._mantle_c = flask_c if lost or sample.bare else max(self._mantle_c, flask_c)
            if not sample.disturbed or sample.output is None:
                return
        self._step(dt_s, (sample.output or 0.0) * model.power_w, model)
        self.flask_c += (flask_c - self.flask_c) * self._limits.model_pull_per_s * dt_s

    def _step(self, dt_s: float, power_w: float, model: MantleModel) -> None:
        ambient_c = self._limits.ambient_c
        flow_w = model.couple_w_k * (self._mantle_c - self.flask_c)
        out_w = model.mantle_loss_w_k * (self._mantle_c - ambient_c)
        kelvin, ambient = self.flask_c + 273.15, ambient_c + 273.15
        loss_w = model.flask_loss_w_k * (self.flask_c - ambient_c)
        loss_w += model.radiation_w_k4 * (kelvin**4 - ambient**4)
        self._mantle_c += dt_s * (power_w - flow_w - out_w) / model.mantle_j_k
        rise_k = dt_s * (flow_w - loss_w) / model.flask_j_k
        self.flask_c += rise_k
        self.coasted_k += rise_k
