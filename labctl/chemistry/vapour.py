"""Vapour pressures and boiling points of neat substances, by the Antoine equation.

log10(P/Torr) = A − B/(C + T/°C), constants in `labctl.chemistry.substances`. A liquid without
constants (phosphines and their chalcogenides, oleates) counts as non-volatile: the boiling point
quoted for trioctylphosphine, 291 °C, is one at reduced pressure. Values outside the fitted range
are extrapolated; `in_range` tells.
"""

from __future__ import annotations

import math

from labctl.chemistry.constants import ATM_MBAR, TORR_MBAR
from labctl.chemistry.substances import Substance
from labctl.errors import UsageError


def vapour_pressure_mbar(substance: Substance, temperature_c: float) -> float:
    """Give the vapour pressure of the neat substance; 0 for what does not evaporate.

    Antoine equation; 0 also below the temperature where the equation has its pole.

    Raises:
        UsageError: a gas, which has no vapour pressure in this model.
    """
    if substance.kind == "gas":
        raise UsageError(f"{substance.name} is a gas; it has no vapour pressure in the flask")
    antoine = substance.antoine
    if antoine is None or temperature_c <= -antoine.c:
        return 0.0
    return float(TORR_MBAR * 10 ** (antoine.a - antoine.b / (antoine.c + temperature_c)))


def boiling_point_c(substance: Substance, pressure_mbar: float = ATM_MBAR) -> float:
    """Give the boiling point of the neat substance at a pressure; infinite if it never boils.

    The Antoine equation solved for T.

    Raises:
        UsageError: a gas, or a pressure that is not above zero.
    """
    if substance.kind == "gas":
        raise UsageError(f"{substance.name} is a gas; it boiled at {substance.boils_c} °C")
    if pressure_mbar <= 0:
        raise UsageError(f"nothing boils at {pressure_mbar} mbar; expected a pressure above zero")
    antoine = substance.antoine
    if antoine is None:
        return math.inf
    below_limit = antoine.a - math.log10(pressure_mbar / TORR_MBAR)
    return antoine.b / below_limit - antoine.c if below_limit > 0 else math.inf


def in_range(substance: Substance, temperature_c: float) -> bool:
    """Tell whether the constants were fitted at this temperature; true for the non-volatile."""
    antoine = substance.antoine
    return antoine is None or antoine.low_c <= temperature_c <= antoine.high_c
