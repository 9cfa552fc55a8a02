"""Growth of bare InP cores from a phosphine: the flask before there is a shell to think of.

First order in phosphorus, all of it onto the nuclei of the first injection. The paper gives the
two peaks and none of this: rate, energy and yield are assumed so that 470 nm is passed at 86 %
conversion of 1 mmol and 580 nm is reached with about eight further portions of a sixth.
"""

from __future__ import annotations

import math

from labctl.chemistry import varshni
from labctl.chemistry.crystal import diameter_of, phosphorus_atoms
from labctl.chemistry.sizing import PAPER, wavelength_nm_of
from labctl.errors import RefusedError
from simulators.plant.kinetics import CoreKinetics

_KELVIN = 273.15
_SMALLEST_NM = 1.0  # below it no first exciton is seen and the sizing curve means nothing


class CoreGrowth:
    """InP cores growing from P(TMS)3; amounts in mmol, temperatures in °C, times in s."""

    def __init__(self, kinetics: CoreKinetics | None = None) -> None:
        self.kinetics = kinetics or CoreKinetics()
        self.precursor_mmol = 0.0
        self.grown_mmol = 0.0
        self.cores_mmol = 0.0

    def add_phosphine(self, mmol: float) -> None:
        """P(TMS)3 is injected; the first injection sets how many cores there are.

        Raises:
            RefusedError: a negative amount.
        """
        if mmol < 0:
            message = f"asked to add {mmol:g} mmol of P(TMS)3; an amount is zero or more"
            raise RefusedError(message)
        if self.cores_mmol == 0:
            known = self.kinetics
            self.cores_mmol = known.anchor_conversion * mmol / phosphorus_atoms(known.anchor_nm)
        self.precursor_mmol += mmol

    def advance(self, dt_s: float, temperature_c: float) -> None:
        """Let `dt_s` pass at constant temperature; exact for any length."""
        if self.precursor_mmol <= 0.0:
            return
        through = self.kinetics.growth.at(temperature_c + _KELVIN) * dt_s
        grown = self.precursor_mmol * -math.expm1(-through)
        self.precursor_mmol -= grown
        self.grown_mmol += grown

    def keep(self, fraction: float) -> None:
        """Keep a fraction of everything: what an aliquot leaves."""
        self.precursor_mmol *= fraction
        self.grown_mmol *= fraction
        self.cores_mmol *= fraction

    @property
    def conversion(self) -> float:
        """Share of the phosphorus that has become cores, 0 to 1."""
        whole = self.precursor_mmol + self.grown_mmol
        return self.grown_mmol / whole if whole > 0 else 0.0

    @property
    def diameter_nm(self) -> float:
        """Diameter of the cores in nm; 0 before there are any."""
        return diameter_of(self.grown_mmol / self.cores_mmol) if self.cores_mmol > 0 else 0.0

    def peak_nm(self, temperature_c: float = 25.0) -> float | None:
        """Centre of the first-exciton absorption in nm, or None while cores are too small."""
        if self.diameter_nm < _SMALLEST_NM:
            return None
        energy_ev = PAPER.energy_ev(self.diameter_nm)
        return wavelength_nm_of(energy_ev + varshni.shift_ev(25.0, temperature_c))

    def truth(self) -> dict[str, float]:
        """Everything an oracle may be asked, by name."""
        return {
            "precursor_mmol": self.precursor_mmol,
            "grown_mmol": self.grown_mmol,
            "cores_nmol": self.cores_mmol * 1e6,
            "diameter_nm": self.diameter_nm,
        }
