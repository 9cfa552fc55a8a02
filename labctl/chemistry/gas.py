"""Gas volumes and pressures by the ideal gas law, in mmol, mL, °C and mbar (absolute)."""

from __future__ import annotations

from labctl.chemistry.constants import ATM_MBAR, GAS_CONSTANT_J_MOL_K, ROOM_C, ZERO_CELSIUS_K
from labctl.errors import UsageError


def gas_volume_ml(
    amount_mmol: float, temperature_c: float = ROOM_C, pressure_mbar: float = ATM_MBAR
) -> float:
    """Give the volume of an amount of gas: V = n R T / P.

    What an injected volatile liquid makes when it flashes, and what a reaction gives off.

    >>> round(gas_volume_ml(1.0), 1)
    24.5

    Raises:
        UsageError: a pressure that is not above zero, or below absolute zero.
    """
    _refuse_not_positive("pressure in mbar", pressure_mbar)
    return _energy_mbar_ml(amount_mmol, temperature_c) / pressure_mbar


def pressure_rise_mbar(amount_mmol: float, temperature_c: float, headspace_ml: float) -> float:
    """Give the pressure that an amount of gas adds to a closed headspace: ΔP = n R T / V.

    Raises:
        UsageError: a headspace that is not above zero, or below absolute zero.
    """
    _refuse_not_positive("headspace in mL", headspace_ml)
    return _energy_mbar_ml(amount_mmol, temperature_c) / headspace_ml


def gas_amount_mmol(volume_ml: float, temperature_c: float, pressure_mbar: float) -> float:
    """Give the amount of gas in a volume: n = P V / (R T).

    Raises:
        UsageError: below absolute zero.
    """
    return pressure_mbar * volume_ml / _energy_mbar_ml(1.0, temperature_c)


def closed_heating_ratio(from_c: float, to_c: float) -> float:
    """Give the factor by which the pressure of a closed gas volume changes: T₂/T₁ in kelvin.

    >>> round(closed_heating_ratio(120, 340), 2)
    1.56

    Raises:
        UsageError: below absolute zero.
    """
    return _kelvin(to_c) / _kelvin(from_c)


def drawn_in_ml(headspace_ml: float, hot_c: float, cold_c: float) -> float:
    """Give the volume a headspace draws in when it cools at constant pressure: V (1 − T₂/T₁).

    Measured cold, as it stands in the headspace; what a bubbler sucks back if no gas is fed.

    Raises:
        UsageError: below absolute zero.
    """
    return headspace_ml * (1 - closed_heating_ratio(hot_c, cold_c))


def _energy_mbar_ml(amount_mmol: float, temperature_c: float) -> float:
    # 1 mmol × J/(mol K) × K is 1e-3 J, and 1 J is 1e4 mbar mL.
    return amount_mmol * GAS_CONSTANT_J_MOL_K * _kelvin(temperature_c) * 10


def _kelvin(temperature_c: float) -> float:
    _refuse_not_positive("absolute temperature in K", temperature_c + ZERO_CELSIUS_K)
    return temperature_c + ZERO_CELSIUS_K


def _refuse_not_positive(what: str, value: float) -> None:
    if value <= 0:
        raise UsageError(f"a {what} of {value:.4g} is impossible; expected more than 0")
