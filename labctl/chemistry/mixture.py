"""The liquid in the flask: mmol of each substance, its volume, heat capacity and boiling point.

An ideal solution: volumes add, and each vapour pressure is mole fraction times that of the neat
substance (Raoult). Real acetone, water and HF over an oil exceed it. Dots take no room, hold no
heat and count in no mole fraction: at tens of µmol/L they are negligible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.chemistry.constants import ATM_MBAR, ROOM_C
from labctl.chemistry.substances import SUBSTANCES, Substance, find
from labctl.chemistry.thermal import hot_volume_ml
from labctl.chemistry.vapour import boiling_point_c, vapour_pressure_mbar
from labctl.errors import UsageError

# Everything that a vacuum at 120 °C takes out of an oil, and nothing that a synthesis runs in.
VOLATILE_BELOW_C: Final = 160.0

_BUBBLE_TOLERANCE_K: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Mixture:
    """Substances and their amounts in mmol, sorted by canonical name, all above zero.

    Build one with `Mixture.of`, by names or aliases; every change gives a new mixture.
    """

    parts: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, amounts_mmol: Mapping[str, float]) -> Mixture:
        """Build a mixture from mmol by name.

        >>> Mixture.of({"ODE": 3.1, "squalane": 19.2}).parts
        (('1-octadecene', 3.1), ('squalane', 19.2))

        Raises:
            UnknownNameError: a name that is not in the table of substances.
            UsageError: a negative amount, or a gas, which is no part of a liquid.
        """
        return cls().add(amounts_mmol)

    @property
    def amounts(self) -> dict[str, float]:
        """The mmol by canonical name, as a fresh dictionary."""
        return dict(self.parts)

    def amount_mmol(self, name: str) -> float:
        """Give the mmol of a substance; 0 if there is none.

        Raises:
            UnknownNameError: a name that is not in the table of substances.
        """
        return self.amounts.get(find(name).name, 0.0)

    def add(self, amounts_mmol: Mapping[str, float]) -> Mixture:
        """Add mmol by name.

        Raises:
            UnknownNameError: a name that is not in the table of substances.
            UsageError: a negative amount, or a gas, which is no part of a liquid.
        """
        total = self.amounts
        for name, amount in amounts_mmol.items():
            substance = find(name)
            _refuse_unless_liquid(substance, amount)
            total[substance.name] = total.get(substance.name, 0.0) + amount
        return Mixture(tuple(sorted((n, mmol) for n, mmol in total.items() if mmol > 0)))

    def remove(self, name: str, fraction: float = 1.0) -> Mixture:
        """Remove a fraction of one substance: stripped, reacted or boiled away.

        Raises:
            UnknownNameError: a name that is not in the table of substances.
            UsageError: the fraction is not between 0 and 1.
        """
        _refuse_no_fraction(fraction)
        left = self.amounts
        canonical = find(name).name
        left[canonical] = left.get(canonical, 0.0) * (1 - fraction)
        return Mixture.of(left)

    def scaled(self, fraction: float) -> Mixture:
        """Keep a fraction of everything: what an aliquot leaves, or takes.

        Raises:
            UsageError: the fraction is not between 0 and 1.
        """
        _refuse_no_fraction(fraction)
        return Mixture.of({name: mmol * fraction for name, mmol in self.parts})

    def volume_ml(self, temperature_c: float = ROOM_C) -> float:
        """Give the volume: additive molar volumes at 25 °C, expanded by 9e-4 per K."""
        cold = math.fsum(SUBSTANCES[n].molar_volume_ml_mmol * mmol for n, mmol in self.parts)
        return hot_volume_ml(cold, temperature_c)

    def heat_capacity_j_k(self) -> float:
        """Give the heat capacity of the liquid alone, at 25 °C; the glass comes on top."""
        return math.fsum(
            row.molar_mass_g_mol * row.heat_capacity_j_gk * mmol / 1e3
            for row, mmol in self._liquid()
        )

    def mole_fraction(self, name: str) -> float:
        """Give the share of a substance in the moles of the liquid; 0 in an empty flask.

        Raises:
            UnknownNameError: a name that is not in the table of substances.
        """
        return self._mole_fractions().get(find(name).name, 0.0)

    def volatile_fraction(self, boils_below_c: float = VOLATILE_BELOW_C) -> float:
        """Give the mole fraction of all that boils, neat at 1 atm, below a temperature."""
        return math.fsum(
            x
            for name, x in self._mole_fractions().items()
            if boiling_point_c(SUBSTANCES[name]) < boils_below_c
        )

    def partial_pressures_mbar(self, temperature_c: float) -> dict[str, float]:
        """Give the pressure of each volatile substance by Raoult's law: x P(T)."""
        return {
            name: x * vapour_pressure_mbar(SUBSTANCES[name], temperature_c)
            for name, x in self._mole_fractions().items()
            if SUBSTANCES[name].antoine is not None
        }

    def vapour_pressure_mbar(self, temperature_c: float) -> float:
        """Give the pressure over the liquid by Raoult's law: the sum of x P(T)."""
        return math.fsum(self.partial_pressures_mbar(temperature_c).values())

    def bubble_point_c(self, pressure_mbar: float = ATM_MBAR) -> float:
        """Give the temperature where the liquid boils at a pressure; infinite if it never does.

        By bisection: no mixture boils below its lowest-boiling part, and none above the point
        where one part alone reaches the pressure.

        Raises:
            UsageError: a pressure that is not above zero.
        """
        shares = [(SUBSTANCES[name], x) for name, x in self._mole_fractions().items()]
        high = min((boiling_point_c(row, pressure_mbar / x) for row, x in shares), default=math.inf)
        if math.isinf(high):
            return high
        low = min(boiling_point_c(row, pressure_mbar) for row, _ in shares)
        while high - low > _BUBBLE_TOLERANCE_K:
            middle = (low + high) / 2
            if self.vapour_pressure_mbar(middle) < pressure_mbar:
                low = middle
            else:
                high = middle
        return high

    def _liquid(self) -> list[tuple[Substance, float]]:
        rows = ((SUBSTANCES[name], mmol) for name, mmol in self.parts)
        return [(row, mmol) for row, mmol in rows if row.state != "particle"]

    def _mole_fractions(self) -> dict[str, float]:
        liquid = self._liquid()
        total = math.fsum(mmol for _, mmol in liquid)
        return {row.name: mmol / total for row, mmol in liquid}


def _refuse_unless_liquid(substance: Substance, amount_mmol: float) -> None:
    if substance.kind == "gas":
        raise UsageError(f"{substance.name} is a gas and no part of the liquid in the flask")
    if not 0 <= amount_mmol < math.inf:
        raise UsageError(f"{amount_mmol} mmol of {substance.name} cannot be in the flask")


def _refuse_no_fraction(fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise UsageError(f"a fraction of {fraction:.4g} is impossible; expected 0 to 1")
