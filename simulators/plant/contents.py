"""The liquid in the flask as it changes, and what one millilitre of a stock brings into it.

mmol by canonical name; volumes in mL at 25 °C, heat capacities in J/K, temperatures in °C. What may
leave as vapour is kept apart from what stays, because the one changes every second under vacuum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from labctl.chemistry.acetate import ACETATES, ACID, EXCHANGES, Exchange, set_free_mmol
from labctl.chemistry.constants import GAS_CONSTANT_J_MOL_K, ZERO_CELSIUS_K
from labctl.chemistry.mixture import Mixture
from labctl.chemistry.reagent import contents_of, parse_composition
from labctl.chemistry.substances import SUBSTANCES, Substance
from labctl.chemistry.vapour import boiling_point_c, vapour_pressure_mbar
from labctl.errors import UsageError
from labctl.twin import TwinReagent
from simulators.plant.vacuum import Volatile

EVAPORATES_BELOW_C: Final = 330.0  # boiling point: 1-octadecene is in, squalane and oleic acid out
WET_SOLVENT: Final = 1e-4  # mass fraction of water in a solvent from the bottle
_WATER_RELEASE_S: Final = 600.0
_TRACE_MMOL: Final = 1e-7
_ENDED_MMOL: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Stock:
    """What 1 mL brings: mmol by name, heat capacity in J/K, and nmol and size of dots."""

    name: str
    per_ml: Mapping[str, float]
    heat_j_k_ml: float
    dots_nmol_ml: float = 0.0
    dots_nm: float = 0.0


class Contents:
    """What the flask holds; `cold_ml`, `heat_j_k` and `involatile_mmol` follow every change."""

    def __init__(self, volatiles: Iterable[str]) -> None:
        self.volatile_mmol = dict.fromkeys(volatiles, 0.0)
        self.cold_ml = self.heat_j_k = self.involatile_mmol = 0.0
        self._staying_mmol: dict[str, float] = {}
        self._staying_ml = self._staying_j_k = 0.0
        self._per_mmol = {name: _per_mmol(name) for name in self.volatile_mmol}

    def add(self, amounts_mmol: Mapping[str, float]) -> None:
        """Mix in mmol by canonical name."""
        for name, mmol in amounts_mmol.items():
            group = self.volatile_mmol if name in self.volatile_mmol else self._staying_mmol
            group[name] = group.get(name, 0.0) + mmol
        self._sum_staying()

    def evaporate(self, gone_mmol: Mapping[str, float]) -> None:
        """Take out what has become vapour; a negative amount has condensed."""
        for name, mmol in gone_mmol.items():
            self.volatile_mmol[name] = max(0.0, self.volatile_mmol[name] - mmol)
        self._sum()

    def exchange(self, temperature_c: float, dt_s: float) -> None:
        """Let acetate and fatty acid exchange: acetic acid comes free, or goes back."""
        if ACETATES.isdisjoint(self._staying_mmol):
            return
        freed = [self._exchanged(exchange, temperature_c, dt_s) for exchange in EXCHANGES]
        if any(freed):
            self._sum_staying()
        elif self.volatile_mmol[ACID] < _ENDED_MMOL:
            self._forget_traces()

    def _exchanged(self, exchange: Exchange, temperature_c: float, dt_s: float) -> bool:
        staying = self._staying_mmol
        begun = exchange.acetate in staying and exchange.acid in staying
        if not begun and exchange.carboxylate not in staying:
            return False
        held = {**staying, ACID: self.volatile_mmol[ACID]}
        freed_mmol = set_free_mmol(exchange, held, temperature_c, dt_s)
        if abs(freed_mmol) < _TRACE_MMOL:
            return False
        self.volatile_mmol[ACID] += freed_mmol
        for name, mmol in exchange.change(freed_mmol).items():
            self._staying_mmol[name] = max(0.0, self._staying_mmol.get(name, 0.0) + mmol)
        return True

    def _forget_traces(self) -> None:
        """Drop an acetate that is used up: nothing is left to follow every second."""
        for name in ACETATES & self._staying_mmol.keys():
            if self._staying_mmol[name] < _ENDED_MMOL:
                del self._staying_mmol[name]

    def keep(self, fraction: float) -> None:
        """Keep a fraction of everything: what an aliquot leaves."""
        for group in (self.volatile_mmol, self._staying_mmol):
            for name in group:
                group[name] *= fraction
        self._sum_staying()

    def amounts_mmol(self) -> dict[str, float]:
        """Everything that is there, by name, sorted."""
        both = {**self._staying_mmol, **self.volatile_mmol}
        return {name: both[name] for name in sorted(both) if both[name] > 0.0}

    def _sum_staying(self) -> None:
        liquid = Mixture(tuple(sorted(self._staying_mmol.items())))
        self._staying_ml = liquid.volume_ml()
        self._staying_j_k = liquid.heat_capacity_j_k()
        self.involatile_mmol = math.fsum(
            mmol for name, mmol in liquid.parts if SUBSTANCES[name].state != "particle"
        )
        self._sum()

    def _sum(self) -> None:
        cold_ml, heat_j_k = self._staying_ml, self._staying_j_k
        for name, mmol in self.volatile_mmol.items():
            ml, j_k = self._per_mmol[name]
            cold_ml += ml * mmol
            heat_j_k += j_k * mmol
        self.cold_ml, self.heat_j_k = cold_ml, heat_j_k


def stock_of(reagent: TwinReagent) -> Stock:
    """Read what a reagent is; a neat solvent brings 100 ppm of water along.

    Raises:
        UnknownNameError: a substance that is not in the table.
        UsageError: a composition that makes no sense, or dots without a size.
    """
    composition = parse_composition(reagent.composition)
    substance = composition.substance
    per_ml = contents_of(composition, 1.0, reagent.concentration_mol_l)
    heat_j_k_ml = Mixture.of(per_ml).heat_capacity_j_k()
    if substance.kind == "solvent" and substance.name != "water":
        water = SUBSTANCES["water"].molar_mass_g_mol
        per_ml["water"] = WET_SOLVENT * substance.density_g_ml / water * 1e3
    if substance.state != "particle":
        return Stock(reagent.name, per_ml, heat_j_k_ml)
    if composition.size_nm is None:
        raise UsageError(f"{reagent.composition!r} has no size; a simulated flask needs one in nm")
    dots_nmol_ml = per_ml[substance.name] * 1e6
    return Stock(reagent.name, per_ml, heat_j_k_ml, dots_nmol_ml, composition.size_nm)


def volatiles_in(stocks: Iterable[Stock]) -> dict[str, Volatile]:
    """Find what may evaporate, sorted by name; heats follow from the Antoine fits.

    Water always, and acetic acid where there is an acetate.
    """
    names = {"water"}.union(*(stock.per_ml for stock in stocks))
    if names & ACETATES:
        names.add(ACID)
    rows = [SUBSTANCES[name] for name in sorted(names)]
    return {row.name: _volatile(row) for row in rows if boiling_point_c(row) < EVAPORATES_BELOW_C}


def _volatile(row: Substance) -> Volatile:
    release_s = _WATER_RELEASE_S if row.name == "water" else 0.0
    return Volatile(partial(vapour_pressure_mbar, row), heat_of_vaporisation_j_mmol(row), release_s)


def heat_of_vaporisation_j_mmol(row: Substance) -> float:
    """Give the heat of vaporisation at the boiling point, from the slope of the Antoine equation.

    >>> round(heat_of_vaporisation_j_mmol(SUBSTANCES["water"]))
    41

    Raises:
        UsageError: the substance does not evaporate.
    """
    if row.antoine is None:
        raise UsageError(f"{row.name} does not evaporate")
    boils_c = boiling_point_c(row)
    slope_k = math.log(10) * row.antoine.b / (row.antoine.c + boils_c) ** 2
    return GAS_CONSTANT_J_MOL_K * slope_k * (boils_c + ZERO_CELSIUS_K) ** 2 / 1e3


def _per_mmol(name: str) -> tuple[float, float]:
    """Volume and heat capacity of 1 mmol."""
    row = SUBSTANCES[name]
    return row.molar_volume_ml_mmol, row.molar_mass_g_mol * row.heat_capacity_j_gk / 1e3
