"""Strain of a core under its shell: Raman shift, concentric spheres, XRD; equations (4) and (5).

Strain is relative and signed: compression is negative, and so is the misfit of a shell whose
lattice constant is smaller. The paper prints (5) without a sign; here it follows the misfit.
"""

from __future__ import annotations

import math

GRUENEISEN = 1.24
POISSON_INP = 0.36
CU_KA_NM = 0.15418


def raman_shift(strain: float) -> float:
    """Relative shift of the LO mode under hydrostatic strain; equation (4)."""
    return math.pow(1 + 3 * strain, -GRUENEISEN) - 1


def strain_of_raman(shift: float) -> float:
    """Strain from the relative shift of the LO mode; equation (4) inverted."""
    return (math.pow(1 + shift, -1 / GRUENEISEN) - 1) / 3


def misfit(core_a_nm: float, shell_a_nm: float) -> float:
    """Misfit of the shell, (a_shell - a_core) / a_core: the ε of (5), negative if it is smaller."""
    return (shell_a_nm - core_a_nm) / core_a_nm


def core_strain(
    misfit: float, core_radius_nm: float, outer_radius_nm: float, poisson: float = POISSON_INP
) -> float:
    """Strain of the core of two concentric isotropic spheres; equation (5), with a sign."""
    shell_share = 1 - (core_radius_nm / outer_radius_nm) ** 3
    return 2 / 3 * (1 - 2 * poisson) / (1 - poisson) * misfit * shell_share


def poisson_of(c11_gpa: float, c12_gpa: float) -> float:
    """Poisson's ratio along the cube axes, c12 / (c11 + c12): the ν of equation (5)."""
    return c12_gpa / (c11_gpa + c12_gpa)


def two_theta_deg(a_nm: float, strain: float = 0.0, wavelength_nm: float = CU_KA_NM) -> float:
    """Bragg angle 2θ of the (111) reflection in degrees: λ = 2 d sin θ, d = a (1 + s) / √3."""
    spacing_nm = a_nm / math.sqrt(3) * (1 + strain)
    return 2 * math.degrees(math.asin(wavelength_nm / (2 * spacing_nm)))
