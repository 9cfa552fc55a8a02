"""The parameters of the reaction model: Arrhenius rates, per shell and shared by both.

What each rests on is in docs/explanations/reaction-model.md; most are chosen so that the paper's
claims hold together, none is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from labctl.chemistry.crystal import ZNS, ZNSE, Lattice

Shell = Literal["ZnS", "ZnSe"]

GAS = 8.314462618  # J/(mol K)


@dataclass(frozen=True, slots=True)
class Rate:
    """One Arrhenius rate: value at a reference temperature in K, and energy in J/mol."""

    reference: float
    energy: float
    reference_k: float = 473.15

    def at(self, kelvin: float) -> float:
        """Rate at a temperature in K, in the unit of the reference value."""
        return self.reference * math.exp(-self.energy / GAS * (1 / kelvin - 1 / self.reference_k))


@dataclass(frozen=True, slots=True)
class Kinetics:
    """The parameters shared by both shells; sources in docs/explanations/reaction-model.md."""

    exchange: Rate = Rate(0.40, 40e3)  # /M/s, In by Zn
    cluster: Rate = Rate(2.1e-3, 60e3)  # /s
    crystal: Rate = Rate(1.16e-4, 150e3, 533.15)  # /s, at oxide 1
    oxide_barrier: float = 9e3  # J/mol at oxide 1
    reoxidation: Rate = Rate(1.4e-2, 90e3)  # /s
    reoxidation_floor: float = 3e-4
    monomer: Rate = Rate(1.37e-3, 180e3, 593.15)  # /M/s
    buried: Rate = Rate(2.0e-4, 110e3, 553.15)  # /s
    oxide_to_defect: float = 1.0
    oxide_release: float = 0.6
    water_oxidation: float = 2e-5  # /s above 100 °C
    drying_s: float = 300.0
    etch_mmol: float = 0.05  # HF that removes 63 % of the oxide of 220 nmol, no zinc about
    acid_per_water: float = 0.4  # mmol HF that carries water 1
    zinc_takes_half_mmol: float = 3.0  # Zn(OA)2 at which half of the acid is lost to it, 220 nmol


@dataclass(frozen=True, slots=True)
class Chalcogen:
    """What distinguishes sulfur from selenium: lattice, adsorption rate, preference for oleate."""

    lattice: Lattice
    adsorption: Rate
    oleate_factor: float


CHALCOGENS: dict[Shell, Chalcogen] = {
    "ZnSe": Chalcogen(ZNSE, Rate(0.174, 90e3), 30.0),
    "ZnS": Chalcogen(ZNS, Rate(0.25, 200e3, 523.15), 1.0),
}
