"""How temperature moves the band gap of InP, and with it the first-exciton peak.

Varshni's law with the bulk parameters of Vurgaftman 2001. That dots follow the bulk is an
assumption; take the coefficient as good to about a quarter and learn it in the run.
"""

from __future__ import annotations

from labctl.chemistry.sizing import energy_ev_of, wavelength_nm_of

GAP_0K_EV = 1.4236
ALPHA_EV_PER_K = 0.363e-3
BETA_K = 162.0
KELVIN = 273.15


def gap_ev(temperature_c: float) -> float:
    """Band gap of bulk InP in eV, E0 - α T² / (T + β); from -273 to about 400 °C."""
    t = temperature_c + KELVIN
    return GAP_0K_EV - ALPHA_EV_PER_K * t * t / (t + BETA_K)


def shift_ev(from_c: float, to_c: float) -> float:
    """Change of the gap in eV on going from one temperature to another; negative on heating."""
    return gap_ev(to_c) - gap_ev(from_c)


def peak_at(peak_nm: float, from_c: float, to_c: float) -> float:
    """Where a peak read at `from_c` would be read at `to_c`, in nm.

    >>> round(peak_at(580.0, 25.0, 250.0), 1)
    601.1
    """
    return wavelength_nm_of(energy_ev_of(peak_nm) + shift_ev(from_c, to_c))


def slope_nm_per_k(peak_nm: float, temperature_c: float) -> float:
    """Slope in nm/K of a peak that is at `peak_nm` at this temperature: -(dE/dT) λ / E."""
    t = temperature_c + KELVIN
    gap_slope = -ALPHA_EV_PER_K * t * (t + 2 * BETA_K) / (t + BETA_K) ** 2
    return -gap_slope * peak_nm / energy_ev_of(peak_nm)
