"""How strongly dots absorb far above the gap: intrinsic absorption, molar extinction, amounts.

At 413 nm a dot absorbs like so much bulk InP in its solvent, whatever its size. Absorption per
volume in cm⁻¹, molar extinction in L/(mol cm), concentrations in mol/L, paths in mm.
"""

from __future__ import annotations

import math

from labctl.chemistry.constants import AVOGADRO_PER_MOL
from labctl.chemistry.sizing import Size

REFERENCE_NM = 413.3
INP_N_413 = 4.395
INP_K_413 = 1.247
"""Aspnes and Studna's n and k of InP at 413.3 nm."""
INDEX: dict[str, float] = {"1-octadecene": 1.444, "toluene": 1.496}
"""Refractive index of a solvent at room temperature."""

FIRST_EXCITON_PER_413 = 0.35
"""Absorbance at the first exciton over that at 413 nm; assumed, it varies with size and spread."""

_CM3_PER_NM3 = 1e-21


def intrinsic_absorption_per_cm(
    wavelength_nm: float, n: float, k: float, solvent_index: float
) -> float:
    """Absorption of dots per volume of semiconductor in cm⁻¹, Maxwell-Garnett at low filling.

    mu = 4 pi n k / (lambda n_s) x |3 n_s² / (eps + 2 n_s²)|², eps = (n + ik)².
    """
    solvent = solvent_index**2
    field = 3 * solvent / (complex(n, k) ** 2 + 2 * solvent)
    wavelength_cm = wavelength_nm * 1e-7
    return 4 * math.pi * n * k / (wavelength_cm * solvent_index) * abs(field) ** 2


def molar_extinction(absorption_per_cm: float, size: Size) -> float:
    """Decadic molar extinction of one dot, L/(mol cm): N_A mu V / (1000 ln 10)."""
    volume_cm3 = size.volume_nm3 * _CM3_PER_NM3
    return AVOGADRO_PER_MOL * absorption_per_cm * volume_cm3 / (1000 * math.log(10))


def absorbance(extinction: float, concentration_m: float, path_mm: float) -> float:
    """Beer and Lambert: absorbance of a solution in a cell of `path_mm`."""
    return extinction * concentration_m * path_mm / 10


def concentration_m(absorbance_au: float, extinction: float, path_mm: float) -> float:
    """Concentration in mol/L from an absorbance, the inverse of `absorbance`."""
    return absorbance_au * 10 / (extinction * path_mm)
