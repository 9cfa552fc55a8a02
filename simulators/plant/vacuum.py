"""The gas side: a flask behind three valves, its vapours, a cold trap, a line gauge, two pumps.

Plumbing, as in the rig file: flask - {n2: manifold and bubbler, rough: membrane pump, fine: trap,
line gauge, rotary pump}. Each gas keeps one balance with constant coefficients over a sub-step,

    V dp/dt = inflow + E (p_eq - p) - sum over k of S_k (p - share floor_k),

solved exactly; E is the speed of evaporation, S_k that of a pump or vent down to its floor. While
gas is drawn a sub-step ends before the permanent gas has changed the pressure by 10 %, because the
conductance of the fine line depends on it. Units: mbar, L, L/s, mmol, °C, s; throughput is in
mbar L/s at ambient temperature. docs/explanations/plant.md says what is modelled and what is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labctl.errors import UnknownNameError, UsageError

_GAS_MBAR_L_MMOL_K = 0.0831446262
_KELVIN = 273.15
# 1 mL/min at 25 °C and 1013.25 mbar, as throughput at 25 °C.
_SCCM_MBAR_L_S, _SCCM_K = 1013.25 / 60e3, 298.15
_SHORTEST_STEP_S = 0.02
_CHANGE_PER_STEP = 0.1
_TRACE_MMOL = 1e-9
_OUTGASSING_BELOW_MBAR = 10.0
_SUPERHEAT_BORNE_MBAR = 2.0
_RELEASE_REFERENCE_K = 383.15
_RELEASE_ACTIVATION_K = 40e3 / 8.314


@dataclass(frozen=True, slots=True)
class VacuumParameters:
    """Constants of one vacuum line.

    `cold_l` is the part of the flask's gas space at ambient temperature: condenser, hose, arm of
    the manifold, gauge. Speeds in L/s: `n2_l_s` is the N2 valve and hose, `rough_l_s` the membrane
    pump behind its needle valve. A liquid in vacuum evaporates like `evaporation_l_s` L/s; under
    `evaporation_halved_mbar` of gas, half as fast. `breakthrough` is what a cold trap lets pass.
    """

    vessel_ml: float = 50.0
    cold_l: float = 0.60
    line_l: float = 0.5
    ambient_mbar: float = 1013.0
    ambient_c: float = 22.0
    condenser_c: float = 22.0
    leak_mbar_l_s: float = 1e-4
    outgassing_at_1h_mbar_l_s: float = 1e-6
    n2_l_s: float = 0.09
    inlet_supply_mbar: float = 2000.0
    bubbler_mbar: float = 5.0
    relief_mbar: float = 80.0
    relief_l_s: float = 2.0
    rough_l_s: float = 0.05
    rough_ultimate_mbar: float = 2.0
    fine_l_s: float = 1.4
    fine_ultimate_mbar: float = 1e-2
    tube_bore_cm: float = 0.8
    tube_length_cm: float = 100.0
    breakthrough: float = 1e-3
    evaporation_l_s: float = 30.0
    evaporation_halved_mbar: float = 1.5


@dataclass(frozen=True, slots=True)
class Volatile:
    """What may leave the flask as vapour: its vapour pressure (mbar, of °C) and heat (J/mmol).

    `release_s` is the time constant, at 110 °C, with which a trace of it reaches the surface of a
    stirred liquid (water in oil: 600 s; activation 40 kJ/mol); 0 means that it boils freely.
    """

    vapour_pressure_mbar: Callable[[float], float]
    heat_j_mmol: float
    release_s: float = 0.0


@dataclass(slots=True)
class Liquid:
    """What is in the flask: volume, temperature, mmol of each volatile, mmol of all the rest."""

    volume_ml: float
    temperature_c: float
    volatile_mmol: dict[str, float]
    involatile_mmol: float


@dataclass(frozen=True, slots=True)
class Evaporation:
    """What a step took out of the liquid: mmol of each volatile (negative: condensed), and heat."""

    evaporated_mmol: dict[str, float]
    heat_w: float


class VacuumLine:
    """Valves, pumps and the gas they move; set the inputs, then `step` or `advance`.

    Inputs: `n2_open`, `rough_open`, `fine_open`, `rough_on`, `rough_setpoint_mbar`, `fine_pump_on`,
    `n2_supply` (cylinder not empty), `inlet_sccm` (a metered flow of N2 into the arm, below
    `inlet_supply_mbar`), `trap_cold`, `leak_mbar_l_s`. Results: `flask_mbar`,
    `line_mbar` (behind the trap), `trap_mmol`, `exhaust_mmol` (through rough pump, bubbler and
    trap), `superheat_mbar_s` (the more of it per minute, the more it bumps) and `t_ns`.
    """

    def __init__(self, parameters: VacuumParameters, volatiles: Mapping[str, Volatile]) -> None:
        self.parameters = parameters
        self.n2_open = self.rough_open = self.fine_open = False
        self.rough_on = self.fine_pump_on = False
        self.rough_setpoint_mbar = parameters.ambient_mbar
        self.n2_supply = self.trap_cold = True
        self.inlet_sccm = 0.0
        self.leak_mbar_l_s = parameters.leak_mbar_l_s
        self.flask_mbar = self.line_mbar = parameters.ambient_mbar
        self.trap_mmol = dict.fromkeys(volatiles, 0.0)
        self.exhaust_mmol = dict.fromkeys(volatiles, 0.0)
        self.superheat_mbar_s = 0.0
        self.t_ns = 0
        self._mbar_l_s_sccm = _SCCM_MBAR_L_S * (parameters.ambient_c + _KELVIN) / _SCCM_K
        self._mbar_l_mmol = _GAS_MBAR_L_MMOL_K * (parameters.ambient_c + _KELVIN)
        self._vapours = [
            _Vapour(name, volatile, volatile.vapour_pressure_mbar(parameters.condenser_c))
            for name, volatile in volatiles.items()
        ]
        self._gas_mbar = parameters.ambient_mbar
        self._cold_mbar = 0.0
        self._evacuated_s = 0.0
        self._hot_l = parameters.vessel_ml / 1000.0
        self._fitted = (math.nan, math.nan)

    @property
    def volume_l(self) -> float:
        """Gas space of the flask, as litres of gas at ambient temperature."""
        return self._hot_l + self.parameters.cold_l

    @property
    def gas_mmol(self) -> float:
        """Permanent gas in the flask's gas space."""
        return self._gas_mbar * self.volume_l / self._mbar_l_mmol

    @property
    def vapour_mmol(self) -> dict[str, float]:
        """Vapour in the flask's gas space, by name."""
        return {vapour.name: vapour.mmol for vapour in self._vapours}

    def add_gas(self, amount_mmol: float) -> None:
        """Let gas into the flask's gas space at once: HF flashing off, PH3, an open port."""
        self._gas_mbar += amount_mmol * self._mbar_l_mmol / self.volume_l
        self._read()

    def advance(self, t_ns: int, liquid: Liquid) -> Evaporation:
        """Bring the line to time `t_ns` with its present inputs; `liquid` is only read.

        Raises:
            UsageError: `t_ns` lies before the time reached, or the flask is over-full.
            UnknownNameError: `liquid` holds a volatile the line was not told of.
        """
        if t_ns < self.t_ns:
            message = f"the vacuum line is at {self.t_ns} ns and cannot go back to {t_ns} ns"
            raise UsageError(message)
        return self.step((t_ns - self.t_ns) / 1e9, liquid)

    def step(self, dt_s: float, liquid: Liquid) -> Evaporation:
        """Move on by `dt_s` seconds with all inputs held; `liquid` is only read.

        Raises:
            UnknownNameError: `liquid` holds a volatile the line was not told of.
            UsageError: the flask is over-full.
        """
        before_mmol = liquid.volatile_mmol
        for name in before_mmol:
            if name not in self.trap_mmol:
                raise UnknownNameError("volatile", name, self.trap_mmol)
        self.t_ns += round(dt_s * 1e9)
        self._fit(liquid)
        left_mmol = before_mmol.copy()
        remaining_s = dt_s
        while remaining_s > 0.0:
            remaining_s -= self._substep(remaining_s, left_mmol, liquid.involatile_mmol)
        gone, heat_j = {}, 0.0
        for vapour in self._vapours:
            name = vapour.name
            if name in left_mmol:
                gone[name] = before_mmol.get(name, 0.0) - left_mmol[name]
                heat_j += gone[name] * vapour.volatile.heat_j_mmol
        return Evaporation(gone, heat_j / dt_s if dt_s else 0.0)

    def _fit(self, liquid: Liquid) -> None:
        """Fit the gas to the room the liquid leaves and to its temperature; amounts stay.

        Raises:
            UsageError: the flask is over-full.
        """
        if (liquid.volume_ml, liquid.temperature_c) == self._fitted:
            return
        parameters = self.parameters
        if not 0.0 <= liquid.volume_ml < parameters.vessel_ml:
            message = (
                f"flask holds {liquid.volume_ml} mL; it has room for less than "
                f"{parameters.vessel_ml} mL"
            )
            raise UsageError(message)
        liquid_k = liquid.temperature_c + _KELVIN
        free_l = (parameters.vessel_ml - liquid.volume_ml) / 1000.0
        hot_l = free_l * (parameters.ambient_c + _KELVIN) / liquid_k
        self._fitted = (liquid.volume_ml, liquid.temperature_c)
        self._gas_mbar *= self.volume_l / (hot_l + parameters.cold_l)
        self._hot_l = hot_l
        slowing = math.exp(_RELEASE_ACTIVATION_K * (1.0 / liquid_k - 1.0 / _RELEASE_REFERENCE_K))
        for vapour in self._vapours:
            volatile = vapour.volatile
            vapour.saturation_mbar = volatile.vapour_pressure_mbar(liquid.temperature_c)
            vapour.release_s = volatile.release_s * slowing
            vapour.spread(hot_l, parameters.cold_l, self._mbar_l_mmol)
        self._read()

    def _read(self) -> None:
        """Work out what the flask's gauge sees.

        Over a hot liquid the vapours may stand higher than all gas in the cold arm, where the
        condenser limits them; then they have pushed the gas out of the flask and their sum counts.
        """
        cold_mbar = hot_mbar = 0.0
        for vapour in self._vapours:
            cold_mbar += vapour.arm_mbar
            hot_mbar += vapour.mbar
        self._cold_mbar = cold_mbar
        self.flask_mbar = max(self._gas_mbar + cold_mbar, hot_mbar)

    def _substep(
        self, longest_s: float, left_mmol: dict[str, float], involatile_mmol: float
    ) -> float:
        """Move on by at most `longest_s` and return how far; `left_mmol` loses what evaporates."""
        parameters = self.parameters
        if self.fine_open and not self.fine_pump_on:
            self._equalise()
        sinks = self._sinks(self._gas_mbar + self._cold_mbar)
        step_s, to_line = self._permanent(longest_s, self._cold_mbar, sinks)
        total_mmol = involatile_mmol + sum(left_mmol.values())
        hindrance = 1.0 + self._gas_mbar / parameters.evaporation_halved_mbar
        resistance = hindrance / parameters.evaporation_l_s
        bubble_mbar = 0.0
        for vapour in self._vapours:
            left = left_mmol.get(vapour.name, 0.0)
            if left + vapour.mmol < _TRACE_MMOL:
                continue
            raoult = vapour.saturation_mbar / total_mmol if total_mmol else 0.0
            gone, drawn = vapour.exchange(
                left, raoult, resistance, sinks, step_s, self._mbar_l_mmol
            )
            left_mmol[vapour.name] = left - gone
            if not vapour.volatile.release_s:
                bubble_mbar += raoult * (left - gone)
            vapour.spread(self._hot_l, parameters.cold_l, self._mbar_l_mmol)
            to_line += self._collect(vapour.name, drawn, sinks) / step_s
        self._read()
        self._draw_line(to_line, step_s)
        excess_mbar = bubble_mbar - self.flask_mbar - _SUPERHEAT_BORNE_MBAR
        self.superheat_mbar_s += max(0.0, excess_mbar) * step_s
        return step_s

    def _sinks(self, arm_mbar: float) -> _Sinks:
        """All that draws gas from the arm at its present pressure."""
        parameters = self.parameters
        sinks = _Sinks(arm_mbar)
        if self.n2_open:
            sinks.draw(parameters.n2_l_s, parameters.ambient_mbar + parameters.bubbler_mbar)
            sinks.draw(parameters.relief_l_s, parameters.ambient_mbar + parameters.relief_mbar)
        if self.rough_open and self.rough_on:
            floor_mbar = max(self.rough_setpoint_mbar, parameters.rough_ultimate_mbar)
            sinks.draw(parameters.rough_l_s, floor_mbar)
        if self.fine_open and self.fine_pump_on and arm_mbar > parameters.fine_ultimate_mbar:
            conductance = conductance_l_s(
                parameters.tube_bore_cm,
                parameters.tube_length_cm,
                (arm_mbar + self.line_mbar) / 2.0,
            )
            sinks.fine_l_s = 1.0 / (1.0 / parameters.fine_l_s + 1.0 / conductance)
            sinks.draw(sinks.fine_l_s, parameters.fine_ultimate_mbar)
        return sinks

    def _permanent(self, longest_s: float, cold_mbar: float, sinks: _Sinks) -> tuple[float, float]:
        """Move the permanent gas; the length of the sub-step and the throughput into the line."""
        parameters = self.parameters
        before_mbar = self._gas_mbar
        arm_mbar = before_mbar + cold_mbar
        inlet_l_s = self.leak_mbar_l_s / parameters.ambient_mbar
        source = inlet_l_s * (parameters.ambient_mbar - cold_mbar) + sinks.hold_l_s * before_mbar
        manifold_mbar = parameters.ambient_mbar + parameters.bubbler_mbar
        if self.n2_open and self.n2_supply and arm_mbar < manifold_mbar:
            inlet_l_s += parameters.n2_l_s
            source += parameters.n2_l_s * (manifold_mbar - cold_mbar)
        if self.inlet_sccm and self.n2_supply and arm_mbar < parameters.inlet_supply_mbar:
            source += self.inlet_sccm * self._mbar_l_s_sccm
        evacuated = arm_mbar < _OUTGASSING_BELOW_MBAR
        if evacuated:
            source += parameters.outgassing_at_1h_mbar_l_s * 3600.0 / max(self._evacuated_s, 60.0)
        speed_l_s = sinks.speed_l_s + inlet_l_s
        step_s = longest_s
        if sinks.speed_l_s:
            rate = abs(source - speed_l_s * before_mbar) / self.volume_l
            allowed_s = _CHANGE_PER_STEP * arm_mbar / rate if rate else longest_s
            step_s = min(longest_s, max(_SHORTEST_STEP_S, allowed_s))
        if evacuated:
            self._evacuated_s += step_s
        self._gas_mbar, mean_mbar = _relax(before_mbar, speed_l_s, source, self.volume_l, step_s)
        if not sinks.fine_l_s:
            return step_s, 0.0
        share_floor_mbar = parameters.fine_ultimate_mbar * before_mbar / arm_mbar
        return step_s, max(0.0, sinks.fine_l_s * (mean_mbar - share_floor_mbar))

    def _collect(self, name: str, drawn_mmol: float, sinks: _Sinks) -> float:
        """Book drawn vapour into trap and exhaust; what comes behind the trap, in mbar L."""
        if drawn_mmol <= 0.0:
            return 0.0
        into_trap = drawn_mmol * sinks.fine_l_s / sinks.speed_l_s
        behind = into_trap * (self.parameters.breakthrough if self.trap_cold else 1.0)
        self.trap_mmol[name] += into_trap - behind
        self.exhaust_mmol[name] += drawn_mmol - into_trap + behind
        return behind * self._mbar_l_mmol

    def _draw_line(self, inflow: float, step_s: float) -> None:
        """Move the gas behind the trap: `inflow` in mbar L/s, the line's own leak, the pump."""
        parameters = self.parameters
        leak_l_s = parameters.leak_mbar_l_s / parameters.ambient_mbar
        pump_l_s = parameters.fine_l_s if self.fine_pump_on else 0.0
        source = inflow + parameters.leak_mbar_l_s + pump_l_s * parameters.fine_ultimate_mbar
        self.line_mbar, _ = _relax(
            self.line_mbar, pump_l_s + leak_l_s, source, parameters.line_l, step_s
        )

    def _equalise(self) -> None:
        """Share the permanent gas of flask and line: the valve is open and the pump stands."""
        flask_l, line_l = self.volume_l, self.parameters.line_l
        held = self._gas_mbar * flask_l + self.line_mbar * line_l
        self._gas_mbar = self.line_mbar = held / (flask_l + line_l)


def conductance_l_s(bore_cm: float, length_cm: float, mean_mbar: float) -> float:
    """Conductance of a tube for air at 20 °C in L/s: molecular plus viscous part.

    12.1 d^3/L + 137 d^4 p/L with d, L in cm and p the mean pressure in mbar.

    >>> round(conductance_l_s(0.8, 100.0, 0.0), 3)
    0.062
    """
    return (12.1 * bore_cm**3 + 137.0 * bore_cm**4 * mean_mbar) / length_cm


class _Sinks:
    """All that draws gas now: its speed, how far its floors hold it back, the fine pump's part.

    A gas at p is drawn with `speed_l_s * p - hold_l_s * p_before`, mbar L/s.
    """

    __slots__ = ("arm_mbar", "fine_l_s", "hold_l_s", "speed_l_s")

    def __init__(self, arm_mbar: float) -> None:
        self.arm_mbar = arm_mbar
        self.speed_l_s = self.hold_l_s = self.fine_l_s = 0.0

    def draw(self, speed_l_s: float, floor_mbar: float) -> None:
        """Draw with `speed_l_s` down to `floor_mbar`; below it nothing flows, nothing returns."""
        if self.arm_mbar > floor_mbar:
            self.speed_l_s += speed_l_s
            self.hold_l_s += speed_l_s * floor_mbar / self.arm_mbar


class _Vapour:
    """One volatile in the gas space: `mbar` over the liquid, `arm_mbar` past the condenser."""

    __slots__ = (
        "arm_mbar",
        "ceiling_mbar",
        "mbar",
        "mmol",
        "name",
        "release_s",
        "room_l",
        "saturation_mbar",
        "volatile",
    )

    def __init__(self, name: str, volatile: Volatile, ceiling_mbar: float) -> None:
        self.name = name
        self.volatile = volatile
        self.ceiling_mbar = ceiling_mbar
        self.mmol = self.mbar = self.arm_mbar = 0.0
        self.release_s = self.saturation_mbar = self.room_l = 0.0

    def spread(self, hot_l: float, cold_l: float, mbar_l_mmol: float) -> None:
        """Spread the amount: evenly up to the condenser's ceiling, the rest over the liquid."""
        load = self.mmol * mbar_l_mmol
        if load <= (hot_l + cold_l) * self.ceiling_mbar:
            self.room_l = hot_l + cold_l
            self.mbar = self.arm_mbar = load / self.room_l
        else:
            self.room_l = hot_l
            self.mbar = (load - cold_l * self.ceiling_mbar) / hot_l
            self.arm_mbar = self.ceiling_mbar

    def exchange(
        self,
        left_mmol: float,
        raoult: float,
        resistance: float,
        sinks: _Sinks,
        step_s: float,
        mbar_l_mmol: float,
    ) -> tuple[float, float]:
        """Evaporate and be drawn for one sub-step; mmol out of the liquid, mmol drawn away.

        `raoult` is mbar per mmol in the liquid, `resistance` that of the surface in s/L. What has
        evaporated is missing in the liquid, so a small amount comes to rest between both.
        """
        passing = self.arm_mbar / self.mbar if self.mbar else 1.0
        speed_l_s = sinks.speed_l_s * passing
        hold = sinks.hold_l_s * self.arm_mbar
        evaporation_l_s = 1.0 / (resistance + raoult * self.release_s / mbar_l_mmol)
        feedback = raoult * self.room_l / mbar_l_mmol
        source = hold + evaporation_l_s * (raoult * left_mmol + feedback * self.mbar)
        speed_in_all = speed_l_s + evaporation_l_s * (1.0 + feedback)
        after, mean = _relax(self.mbar, speed_in_all, source, self.room_l, step_s)
        drawn = max(0.0, speed_l_s * mean - hold) * step_s / mbar_l_mmol
        gone = (after - self.mbar) * self.room_l / mbar_l_mmol + drawn
        if gone > left_mmol:
            gone = left_mmol
            source = hold + gone * mbar_l_mmol / step_s
            _, mean = _relax(self.mbar, speed_l_s, source, self.room_l, step_s)
            drawn = max(0.0, speed_l_s * mean - hold) * step_s / mbar_l_mmol
        self.mmol = max(0.0, self.mmol + gone - drawn)
        return gone, drawn


def _relax(
    before: float, speed_l_s: float, source: float, volume_l: float, dt_s: float
) -> tuple[float, float]:
    """Solve V dp/dt = source - speed p exactly; the pressure after `dt_s`, and the mean till then.

    >>> _relax(0.0, 0.0, 1.0, 0.5, 2.0)
    (4.0, 2.0)
    """
    exponent = speed_l_s * dt_s / volume_l
    if exponent < 1e-9:
        after = before + (source - speed_l_s * before) * dt_s / volume_l
        return after, (before + after) / 2.0
    final = source / speed_l_s
    done = -math.expm1(-exponent)
    return before + (final - before) * done, final + (before - final) * done / exponent
