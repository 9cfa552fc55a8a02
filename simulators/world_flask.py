"""The flask: heat, gas, liquid and dots brought together, and what is poured in or drawn out.

Heat moves every tick; gas, evaporation and reaction move once a second and whenever a valve turns.
Amounts in mmol, volumes in mL at 25 °C unless said, temperatures in °C, time in ns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from labctl.chemistry.mixture import VOLATILE_BELOW_C
from labctl.chemistry.substances import SUBSTANCES
from labctl.chemistry.thermal import hot_volume_ml
from labctl.chemistry.vapour import boiling_point_c
from labctl.twin import TwinSpec
from simulators.plant.contents import Contents, Stock, volatiles_in
from simulators.plant.thermal import ThermalParameters, ThermalPlant
from simulators.plant.vacuum import Liquid, VacuumLine, VacuumParameters
from simulators.world_dots import Dots

FLASHES: Final = 0.95  # of a volatile that drips into a flask above its boiling point
EVACUATED_BELOW_MBAR: Final = 100.0  # a staged pump-down dries before it has ended
STIRRED_RPM: Final = 200.0
_UNSTIRRED: Final = 0.05
_HEAT_STEP_J_K: Final = 0.05
_LEAST_ML: Final = 0.1


@dataclass(frozen=True, slots=True)
class Aliquot:
    """What was drawn: its volume in mL, the dots in it in nmol, and how they look at 25 °C."""

    volume_ml: float
    nc_nmol: float = 0.0
    diameter_nm: float = 0.0
    peak_nm: float = 0.0
    qy: float = 0.0
    zinc_fluoride_mmol: float = 0.0


class Flask:
    """One flask in its mantle on the vacuum line.

    Inputs besides those of `thermal` and `vacuum`: `stirring_rpm`. Call `settle` before turning
    anything on the vacuum line, so that it turns at its time.
    """

    def __init__(self, spec: TwinSpec, stocks: Iterable[Stock]) -> None:
        vessel = spec.vessel
        volatiles = volatiles_in(stocks)
        self.contents = Contents(volatiles)
        self.dots = Dots()
        self.thermal = ThermalPlant(
            ThermalParameters(
                mantle_power_w=vessel.mantle_w,
                mantle_j_k=vessel.mantle_j_k,
                mantle_to_flask_w_k=vessel.mantle_to_flask_w_k,
                mantle_to_air_w_k=vessel.mantle_to_air_w_k,
                flask_to_air_w_k=vessel.flask_to_air_w_k,
                glass_j_k=vessel.glass_j_k,
                ambient_c=vessel.ambient_c,
            ),
            0.0,
        )
        self.vacuum = VacuumLine(
            VacuumParameters(
                vessel_ml=vessel.volume_ml,
                ambient_mbar=spec.ambient_mbar,
                ambient_c=vessel.ambient_c,
                condenser_c=vessel.ambient_c,
            ),
            volatiles,
        )
        self.stirring_rpm = 0.0
        self.inlet_mbar = spec.ambient_mbar
        self._liquid = Liquid(0.0, vessel.ambient_c, self.contents.volatile_mmol, 0.0)
        self._flashes_above_c = _flashing(volatiles)
        self._heat_j = {name: row.heat_j_mmol for name, row in volatiles.items()}
        self._flash_w = 0.0  # what flashed takes its heat within the next second

    @property
    def hot_ml(self) -> float:
        """Volume of the liquid at its temperature."""
        return hot_volume_ml(self.contents.cold_ml, self.thermal.flask_c)

    def settle(self, t_ns: int) -> None:
        """Bring gas, evaporation and reaction to `t_ns`; the temperature is the present one."""
        dt_s = (t_ns - self.vacuum.t_ns) / 1e9
        if dt_s <= 0.0:
            return
        contents, thermal, vacuum = self.contents, self.thermal, self.vacuum
        flask_c = thermal.flask_c
        liquid = self._liquid
        liquid.temperature_c = flask_c
        liquid.volume_ml = hot_volume_ml(contents.cold_ml, flask_c)
        liquid.involatile_mmol = contents.involatile_mmol
        evaporation = vacuum.advance(t_ns, liquid)
        contents.evaporate(evaporation.evaporated_mmol)
        contents.exchange(flask_c, dt_s)
        thermal.evaporation_w = evaporation.heat_w + self._flash_w
        self._flash_w = 0.0
        self._follow_heat()
        self._follow_inlet()
        self.dots.advance(
            dt_s,
            flask_c,
            max(contents.cold_ml, _LEAST_ML),
            vacuum.flask_mbar < EVACUATED_BELOW_MBAR,
            self.mixing,
        )

    @property
    def mixing(self) -> float:
        """How far the liquid is mixed, 0 to 1: fully from 200 rpm on."""
        share = min(self.stirring_rpm / STIRRED_RPM, 1.0)
        return _UNSTIRRED + (1.0 - _UNSTIRRED) * share

    def pour(self, stock: Stock, volume_ml: float, temperature_c: float) -> None:
        """Mix in a volume of a stock; what boils far below the flask's temperature flashes off."""
        flask_c = self.thermal.flask_c
        self.thermal.add_cold(stock.heat_j_k_ml * volume_ml, temperature_c)
        arrives = {name: mmol * volume_ml for name, mmol in stock.per_ml.items()}
        self.dots.meet(arrives)
        if stock.dots_nmol_ml > 0.0:
            self.dots.charge(stock.dots_nmol_ml * volume_ml, stock.dots_nm)
        self._flash(arrives, flask_c)
        arrives.pop("HF", None)  # what does not flash is spent on the dots
        self.contents.add(arrives)

    def draw(self, volume_ml: float) -> Aliquot:
        """Draw an aliquot, its volume taken at 25 °C; no more than there is."""
        share = min(1.0, volume_ml / self.contents.cold_ml) if self.contents.cold_ml else 0.0
        drawn_ml = share * self.contents.cold_ml
        looks = self.dots.looks()
        if looks is None:
            aliquot = Aliquot(drawn_ml)
        else:
            aliquot = Aliquot(
                drawn_ml,
                looks.nc_nmol * share,
                looks.diameter_nm,
                looks.peak_nm,
                looks.qy,
                looks.zinc_fluoride_mmol * share,
            )
        if share < 1.0:
            self.dots.keep(1.0 - share)
        self.contents.keep(1.0 - share)
        self._follow_heat()
        return aliquot

    def truth(self) -> dict[str, float]:
        """The flask's true state, by name with unit."""
        thermal, vacuum = self.thermal, self.vacuum
        return {
            "flask_c": thermal.flask_c,
            "mantle_c": thermal.mantle_c,
            "heater_w": thermal.given_w,
            "flask_mbar": vacuum.flask_mbar,
            "line_mbar": vacuum.line_mbar,
            "superheat_mbar_s": vacuum.superheat_mbar_s,
            "volume_ml": self.contents.cold_ml,
            "hot_volume_ml": self.hot_ml,
            "stirring_rpm": self.stirring_rpm,
            **{f"{name}_mmol": mmol for name, mmol in self.contents.amounts_mmol().items()},
        }

    def _flash(self, arrives: dict[str, float], flask_c: float) -> None:
        for name, boils_c in self._flashes_above_c.items():
            if name in arrives and flask_c > boils_c:
                gas_mmol = FLASHES * arrives[name]
                arrives[name] -= gas_mmol
                self._flash_w += gas_mmol * self._heat_j[name]
                self.vacuum.add_gas(gas_mmol)

    def _follow_inlet(self) -> None:
        """The rough pump's inlet sees the flask, or behind a shut valve what the pump leaves."""
        vacuum = self.vacuum
        if vacuum.rough_open:
            self.inlet_mbar = vacuum.flask_mbar
        elif vacuum.rough_on:
            floor_mbar = max(vacuum.rough_setpoint_mbar, vacuum.parameters.rough_ultimate_mbar)
            self.inlet_mbar = min(self.inlet_mbar, floor_mbar)

    def _follow_heat(self) -> None:
        """Tell the thermal part of a new heat capacity, but not of every trace: that is dear."""
        if abs(self.contents.heat_j_k - self.thermal.liquid_j_k) > _HEAT_STEP_J_K:
            self.thermal.liquid_j_k = self.contents.heat_j_k


def _flashing(volatiles: Iterable[str]) -> dict[str, float]:
    boils = {name: boiling_point_c(SUBSTANCES[name]) for name in volatiles}
    return {name: boils_c for name, boils_c in boils.items() if boils_c < VOLATILE_BELOW_C}
