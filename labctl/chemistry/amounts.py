"""Amounts, masses and volumes of what is dispensed: mmol, g, mL, mol/L.

Volumes are additive and hold at 25 °C. Source of the worked numbers: Choi et al., Nat. Commun.
2023, 14, 43 (Methods).
"""

from __future__ import annotations

from labctl.chemistry.substances import SUBSTANCES, Substance
from labctl.errors import UsageError


def amount_mmol(volume_ml: float, concentration_mol_l: float) -> float:
    """Give the amount in a volume of solution; mol/L is mmol/mL.

    >>> amount_mmol(3.0, 0.5)
    1.5
    """
    return volume_ml * concentration_mol_l


def volume_ml(amount_mmol: float, concentration_mol_l: float) -> float:
    """Give the volume of solution that holds an amount.

    >>> round(volume_ml(0.16, 2.17) * 1e3, 1)
    73.7

    Raises:
        UsageError: the concentration is not above zero.
    """
    if concentration_mol_l <= 0:
        raise UsageError(f"no volume holds {amount_mmol} mmol at {concentration_mol_l} mol/L")
    return amount_mmol / concentration_mol_l


def mass_g(substance: Substance, amount_mmol: float) -> float:
    """Give the mass of an amount.

    Raises:
        UsageError: a nanocrystal, whose amount counts particles and not formula units.
    """
    return amount_mmol * _weighable(substance) / 1e3


def amount_of_mass_mmol(substance: Substance, mass_g: float) -> float:
    """Give the amount in a mass.

    Raises:
        UsageError: a nanocrystal, whose amount counts particles and not formula units.
    """
    return mass_g / _weighable(substance) * 1e3


def neat_volume_ml(substance: Substance, amount_mmol: float) -> float:
    """Give the volume of an amount of a neat liquid, from its density at 25 °C.

    Raises:
        UsageError: it is not a liquid.
    """
    return amount_mmol / neat_concentration_mol_l(substance)


def neat_concentration_mol_l(substance: Substance) -> float:
    """Give the concentration of a neat liquid in itself: density over molar mass.

    Raises:
        UsageError: it is not a liquid.
    """
    if substance.state != "liquid":
        raise UsageError(
            f"{substance.name} is a {substance.state}; only a liquid is measured out by its own "
            "volume, give a mass or a solution"
        )
    return substance.density_g_ml / substance.molar_mass_g_mol * 1e3


def water_per_acid(acid: Substance, mass_fraction: float) -> float:
    """Give the mol of water that come with one mol of an aqueous acid of a mass fraction.

    48 % HF brings 1.20 mol of water per mol.

    Raises:
        UsageError: the mass fraction is not between 0 and 1.
    """
    if not 0 < mass_fraction <= 1:
        raise UsageError(f"{acid.name} cannot be {mass_fraction:.4g} of its mass; expected 0 to 1")
    water = SUBSTANCES["water"]
    return acid.molar_mass_g_mol * (1 / mass_fraction - 1) / water.molar_mass_g_mol


def aqueous_volume_ml_mmol(acid: Substance, mass_fraction: float) -> float:
    """Give the volume of aqueous acid that holds 1 mmol of the acid.

    Raises:
        UsageError: the mass fraction is not between 0 and 1.
    """
    water = SUBSTANCES["water"].molar_volume_ml_mmol * water_per_acid(acid, mass_fraction)
    return acid.molar_volume_ml_mmol + water


def _weighable(substance: Substance) -> float:
    if substance.state == "particle":
        raise UsageError(
            f"{substance.name} is counted in particles; its mass does not follow from an amount"
        )
    return substance.molar_mass_g_mol
