"""Heat: a mantle on a jack, a flask of liquid and two probes in it, and a warm line.

Linear parts are exact for any step; radiation is held over a step of at most 5 s. Temperatures are
in °C outside and in K above ambient inside, which makes the linear part homogeneous.

    Cm dTm/dt = P - U (Tm - Tf) - gm (Tm - Ta)
    Cf dTf/dt = U (Tm - Tf) - gf (Tf - Ta) - es (Tf^4 - Ta^4) - evaporation
    tau dTs/dt = contact (Tf - Ta) - (Ts - Ta)

A lowered mantle has U = 0. The equations and constants are those of a 50 mL flask in an 80 W
mantle, good to about 20 %; docs/explanations/plant.md says what they reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from labctl.errors import UsageError

_KELVIN = 273.15
_LONGEST_STEP_S = 5.0


@dataclass(frozen=True, slots=True)
class ThermalParameters:
    """Constants of one mantle, flask and pair of probes.

    Heat capacities in J/K, conductances in W/K, radiation in W/K^4, times in s. `fan_on_flask_w_k`
    is what the fan adds to a flask hanging free, `fan_on_neck_w_k` to one that sits in its mantle,
    `fan_on_mantle_w_k` to the mantle's outside in either place.
    """

    mantle_power_w: float = 80.0
    mantle_j_k: float = 80.0
    glass_j_k: float = 30.0
    mantle_to_flask_w_k: float = 0.55
    mantle_to_air_w_k: float = 0.05
    flask_to_air_w_k: float = 0.055
    radiation_w_k4: float = 1.0e-10
    fan_on_flask_w_k: float = 0.30
    fan_on_neck_w_k: float = 0.02
    fan_on_mantle_w_k: float = 0.05
    probe_1_s: float = 4.0
    probe_2_s: float = 3.0
    ambient_c: float = 22.0


class ThermalPlant:
    """Mantle, flask and two probes; set the inputs, then `step` or `advance`.

    Inputs, free to change between steps: `mantle_up`, `fan`, `liquid_j_k` (heat capacity of the
    liquid, J/K), `evaporation_w` (heat that vapour takes along) and the contacts of the probes
    (1 in the liquid, 0 in air). `t_ns` is the time reached. A new length of step or a new heat
    capacity costs some twenty ordinary steps, so set `liquid_j_k` only when it has really changed.
    """

    __slots__ = (
        "_flask_k",
        "_heater_w",
        "_key",
        "_mantle_k",
        "_probe_1_k",
        "_probe_2_k",
        "_transition",
        "contact_1",
        "contact_2",
        "contactor_closed",
        "evaporation_w",
        "fan",
        "liquid_j_k",
        "mantle_up",
        "parameters",
        "t_ns",
    )

    def __init__(self, parameters: ThermalParameters, liquid_j_k: float) -> None:
        self.parameters = parameters
        self.liquid_j_k = liquid_j_k
        self.mantle_up = True
        self.contactor_closed = True
        self.fan = False
        self.evaporation_w = 0.0
        self.contact_1 = 1.0
        self.contact_2 = 1.0
        self.t_ns = 0
        self._heater_w = 0.0
        self._mantle_k = self._flask_k = self._probe_1_k = self._probe_2_k = 0.0
        self._key: tuple[float, float, bool, bool] | None = None
        self._transition: tuple[float, ...] = ()

    @property
    def mantle_c(self) -> float:
        """The mantle's temperature, °C."""
        return self._mantle_k + self.parameters.ambient_c

    @property
    def flask_c(self) -> float:
        """The true temperature of liquid and glass, °C."""
        return self._flask_k + self.parameters.ambient_c

    @property
    def probe_1_c(self) -> float:
        """What the thermocouple in its glass well has reached, °C."""
        return self._probe_1_k + self.parameters.ambient_c

    @property
    def probe_2_c(self) -> float:
        """What the Pt1000 has reached, °C."""
        return self._probe_2_k + self.parameters.ambient_c

    @property
    def heater_power_w(self) -> float:
        """The power going into the mantle, W; it can be set.

        Raises:
            UsageError: set below 0 or above what the mantle takes.
        """
        return self._heater_w

    @heater_power_w.setter
    def heater_power_w(self, power_w: float) -> None:
        if not 0.0 <= power_w <= self.parameters.mantle_power_w:
            message = (
                f"mantle asked for {power_w} W; it takes 0 to {self.parameters.mantle_power_w} W"
            )
            raise UsageError(message)
        self._heater_w = power_w

    @property
    def given_w(self) -> float:
        """The power that reaches the mantle, W: none while the contactor is open."""
        return self._heater_w if self.contactor_closed else 0.0

    def settle_at(self, temperature_c: float) -> None:
        """Put mantle, flask and probes at one temperature, °C: a fresh start."""
        self._mantle_k = self._flask_k = temperature_c - self.parameters.ambient_c
        self._probe_1_k, self._probe_2_k = self._flask_k, self._flask_k

    def add_cold(self, heat_capacity_j_k: float, temperature_c: float) -> None:
        """Mix in a liquid at once: flask and addition meet at their common temperature.

        The liquid's heat capacity grows by `heat_capacity_j_k`; the probes follow at their pace.
        """
        flask_j_k = self.parameters.glass_j_k + self.liquid_j_k
        excess_k = temperature_c - self.flask_c
        self._flask_k += excess_k * heat_capacity_j_k / (flask_j_k + heat_capacity_j_k)
        self.liquid_j_k += heat_capacity_j_k

    def advance(self, t_ns: int) -> None:
        """Bring the plant to time `t_ns` with its present inputs.

        Raises:
            UsageError: `t_ns` lies before the time reached.
        """
        if t_ns < self.t_ns:
            message = f"the thermal plant is at {self.t_ns} ns and cannot go back to {t_ns} ns"
            raise UsageError(message)
        if t_ns > self.t_ns:
            self.step((t_ns - self.t_ns) / 1e9)

    def step(self, dt_s: float) -> None:
        """Move on by `dt_s` seconds (positive) with all inputs held."""
        self.t_ns += round(dt_s * 1e9)
        if dt_s <= _LONGEST_STEP_S:
            self._move(dt_s)
            return
        parts = math.ceil(dt_s / _LONGEST_STEP_S)
        for _ in range(parts):
            self._move(dt_s / parts)

    def _move(self, dt_s: float) -> None:
        parameters = self.parameters
        key = (dt_s, self.liquid_j_k, self.mantle_up, self.fan)
        if key != self._key:
            self._transition = _transition(parameters, *key)
            self._key = key
        # fmt: off
        (mm, mf, fm, ff, mp, mq, fp, fq, d1, m1, f1, p1, q1, d2, m2, f2, p2, q2, ambient4,
         offset_k) = self._transition
        # fmt: on
        mantle, flask, power = self._mantle_k, self._flask_k, self.given_w
        square = (flask + offset_k) ** 2
        loss = parameters.radiation_w_k4 * (square * square - ambient4) + self.evaporation_w
        self._mantle_k = mm * mantle + mf * flask + mp * power - mq * loss
        self._flask_k = fm * mantle + ff * flask + fp * power - fq * loss
        source_1 = m1 * mantle + f1 * flask + p1 * power - q1 * loss
        source_2 = m2 * mantle + f2 * flask + p2 * power - q2 * loss
        self._probe_1_k = d1 * self._probe_1_k + self.contact_1 * source_1
        self._probe_2_k = d2 * self._probe_2_k + self.contact_2 * source_2


@dataclass(frozen=True, slots=True)
class LineHeaterParameters:
    """One heated line: at full power it ends at ambient + power/conductance (122 °C)."""

    power_w: float = 20.0
    heat_capacity_j_k: float = 12.0
    to_air_w_k: float = 0.2
    ambient_c: float = 22.0


class LineHeater:
    """A warm line and syringe jacket: one node with a time constant of a minute."""

    def __init__(self, parameters: LineHeaterParameters) -> None:
        self.parameters = parameters
        self.temperature_c = parameters.ambient_c
        self.t_ns = 0
        self._heater_w = 0.0
        self._decays_s, self._decay = 0.0, 1.0

    @property
    def heater_power_w(self) -> float:
        """The power going into the line, W; it can be set.

        Raises:
            UsageError: set below 0 or above what the line takes.
        """
        return self._heater_w

    @heater_power_w.setter
    def heater_power_w(self, power_w: float) -> None:
        if not 0.0 <= power_w <= self.parameters.power_w:
            message = f"warm line asked for {power_w} W; it takes 0 to {self.parameters.power_w} W"
            raise UsageError(message)
        self._heater_w = power_w

    def advance(self, t_ns: int) -> None:
        """Bring the line to time `t_ns` with its present power.

        Raises:
            UsageError: `t_ns` lies before the time reached.
        """
        if t_ns < self.t_ns:
            message = f"the warm line is at {self.t_ns} ns and cannot go back to {t_ns} ns"
            raise UsageError(message)
        if t_ns > self.t_ns:
            self.step((t_ns - self.t_ns) / 1e9)

    def step(self, dt_s: float) -> None:
        """Move on by `dt_s` seconds, exactly, with the power held."""
        self.t_ns += round(dt_s * 1e9)
        line = self.parameters
        final_c = line.ambient_c + self._heater_w / line.to_air_w_k
        if dt_s != self._decays_s:
            self._decays_s, self._decay = dt_s, _cooling(line, dt_s)
        self.temperature_c = final_c + (self.temperature_c - final_c) * self._decay


def _cooling(line: LineHeaterParameters, dt_s: float) -> float:
    """Share of a line's distance from its end that is left after `dt_s`."""
    return math.exp(-dt_s * line.to_air_w_k / line.heat_capacity_j_k)


@lru_cache(maxsize=256)
def _transition(
    parameters: ThermalParameters, dt_s: float, liquid_j_k: float, mantle_up: bool, fan: bool
) -> tuple[float, ...]:
    """Matrix exponential of the four nodes over `dt_s`, and its integral, by spectral parts.

    The mantle-flask block has the eigenvalues mean ± half and the projectors (A - other)/(2 half);
    `half` cannot vanish but for two uncoupled nodes of one time constant, where any split will do.
    """
    mantle_j_k, flask_j_k = parameters.mantle_j_k, parameters.glass_j_k + liquid_j_k
    couple, mantle_air, flask_air = _conductances(parameters, mantle_up, fan)
    a, b = -(couple + mantle_air) / mantle_j_k, couple / mantle_j_k
    c, d = couple / flask_j_k, -(couple + flask_air) / flask_j_k
    mean = (a + d) / 2.0
    half = max(math.sqrt(((a - d) / 2.0) ** 2 + b * c), 1e-9)
    # one row per eigenvalue: rate, then the projector's entries mm, mf, fm, ff
    modes = [
        (mean + s * half, *(e / (2.0 * s * half) for e in (a - o, b, c, d - o)))
        for s, o in ((1.0, mean - half), (-1.0, mean + half))
    ]
    decays = [math.exp(rate * dt_s) for rate, *_ in modes]
    integrals = [_growth(rate, dt_s) for rate, *_ in modes]
    mm, mf, fm, ff = (_weigh(modes, decays, entry) for entry in range(1, 5))
    mp, mq, fp, fq = (_weigh(modes, integrals, entry) for entry in range(1, 5))
    ambient_k = parameters.ambient_c + _KELVIN
    return (
        *(mm, mf, fm, ff, mp / mantle_j_k, mq / flask_j_k, fp / mantle_j_k, fq / flask_j_k),
        *_probe(modes, parameters.probe_1_s, dt_s, mantle_j_k, flask_j_k),
        *_probe(modes, parameters.probe_2_s, dt_s, mantle_j_k, flask_j_k),
        *(ambient_k**4, ambient_k),
    )


def _probe(
    modes: list[tuple[float, ...]], tau_s: float, dt_s: float, mantle_j_k: float, flask_j_k: float
) -> tuple[float, ...]:
    """Coefficients of a lag behind the flask: own decay, then mantle, flask, power and loss."""
    decay = math.exp(-dt_s / tau_s)
    rise = _growth(-1.0 / tau_s, dt_s)
    lags = [decay * _growth(rate + 1.0 / tau_s, dt_s) for rate, *_ in modes]
    forced = [(lag - rise) / rate for lag, (rate, *_) in zip(lags, modes, strict=True)]
    from_mantle, from_flask = (_weigh(modes, lags, entry) / tau_s for entry in (3, 4))
    power, loss = (_weigh(modes, forced, entry) / tau_s for entry in (3, 4))
    return decay, from_mantle, from_flask, power / mantle_j_k, loss / flask_j_k


def _weigh(modes: list[tuple[float, ...]], weights: list[float], entry: int) -> float:
    return weights[0] * modes[0][entry] + weights[1] * modes[1][entry]


def _growth(rate: float, dt_s: float) -> float:
    """Integral of exp(rate t) from 0 to `dt_s`."""
    return math.expm1(rate * dt_s) / rate if rate else dt_s


def _conductances(
    parameters: ThermalParameters, mantle_up: bool, fan: bool
) -> tuple[float, float, float]:
    """Conductances in W/K: mantle to flask, mantle to air, flask to air."""
    couple = parameters.mantle_to_flask_w_k if mantle_up else 0.0
    mantle_air, flask_air = parameters.mantle_to_air_w_k, parameters.flask_to_air_w_k
    if fan:
        mantle_air += parameters.fan_on_mantle_w_k
        flask_air += parameters.fan_on_neck_w_k if mantle_up else parameters.fan_on_flask_w_k
    return couple, mantle_air, flask_air
