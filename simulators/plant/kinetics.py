"""The parameters of the reaction model, each with what it rests on.

`stated` is a number of the paper (Choi et al., Nat. Commun. 2023, 14, 43), `constrained` is chosen
so that a statement of the paper holds, `assumed` is fixed by nothing in it. None is measured. The
table of docs/reference/reaction-parameters.md is written from this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_type_hints

from labctl.chemistry.crystal import ZNS, ZNSE, Lattice

Shell = Literal["ZnS", "ZnSe"]
Rests = Literal["stated", "constrained", "assumed"]

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
class Basis:
    """What a parameter rests on: symbol, unit, kind of evidence, and the evidence or a remark."""

    symbol: str
    unit: str
    rests: Rests
    on: str


@dataclass(frozen=True, slots=True)
class Kinetics:
    """What both shells share; amounts of acid and zinc are per 220 nmol of cores."""

    exchange: Annotated[
        Rate,
        Basis(
            "k_zn",
            "/M/s",
            "constrained",
            "blueshift with zinc alone; oxide after zinc at 120 against 280 °C",
        ),
    ] = Rate(0.40, 40e3)
    oleate_limited: Annotated[
        float, Basis("", "layers", "stated", "74 selenium atoms per core without zinc, 171 with it")
    ] = 74 / 171
    cluster: Annotated[
        Rate,
        Basis(
            "k_cl",
            "/s",
            "constrained",
            "yield still rising after the shift has saturated; the HF series",
        ),
    ] = Rate(2.1e-3, 60e3)
    crystal: Annotated[
        Rate,
        Basis(
            "k_cr",
            "/s at o = 1",
            "constrained",
            "first ZnSe phonon at 260 °C, at 240 °C without oxide",
        ),
    ] = Rate(1.16e-4, 150e3, 533.15)
    oxide_barrier: Annotated[
        float, Basis("D_ox", "J/mol at o = 1", "assumed", "oxide delays the crystal by about 20 K")
    ] = 9e3
    reoxidation: Annotated[
        Rate, Basis("k_re", "/s", "constrained", "oxide back at 280 °C, not at 120 °C")
    ] = Rate(1.4e-2, 90e3)
    reoxidation_floor: Annotated[
        float, Basis("φ₀", "", "constrained", "yield of the surface-initiated shells")
    ] = 3e-4
    oxide_release: Annotated[
        float, Basis("", "", "constrained", "oxide visible at 260 °C, gone at 340 °C")
    ] = 0.6
    monomer: Annotated[
        Rate,
        Basis("k₂", "/M/s", "constrained", "ZnS layers 2 and 4 at 320 °C; no monomer at 250 °C"),
    ] = Rate(1.37e-3, 180e3, 593.15)
    buried: Annotated[Rate, Basis("k_q", "/s", "constrained", "yields after annealing")] = Rate(
        2.0e-4, 110e3, 553.15
    )
    holes_half: Annotated[float, Basis("h³", "", "assumed", "law and value: holes cubed")] = 0.02
    oxide_to_defect: Annotated[
        float, Basis("η", "", "constrained", "with HF the yield falls to that without at 340 °C")
    ] = 1.0
    islands_zinc_mmol: Annotated[
        float, Basis("n_i", "mmol", "assumed", "skipping the hold of Stage II must cost yield")
    ] = 1.5
    water_oxidation: Annotated[
        float, Basis("k_w", "/s above 100 °C", "assumed", "wet is worse")
    ] = 2e-5
    drying_s: Annotated[float, Basis("", "s", "assumed", "half an hour of vacuum is enough")] = (
        300.0
    )
    etch_mmol: Annotated[
        float, Basis("n₀", "mmol", "assumed", "together with the next; removes 63 % of the oxide")
    ] = 0.05
    zinc_takes_half_mmol: Annotated[
        float, Basis("", "mmol", "assumed", "Zn(OA)₂ at which half of the acid is lost to it")
    ] = 3.0
    oxide_takes_mmol: Annotated[
        float, Basis("n_o", "mmol at o = 1", "assumed", "acid that all the oxide binds")
    ] = 0.10
    acid_per_water: Annotated[
        float, Basis("", "mmol", "stated", "w counts in the larger dose of HF")
    ] = 0.4
    desorbed: Annotated[
        float,
        Basis("", "of u", "constrained", "blueshift on HF gone only when clusters have formed"),
    ] = 0.95
    acid_per_adsorbate: Annotated[
        float, Basis("", "per chalcogen", "assumed", "ZnX + 2 HF gives ZnF₂ + H₂X")
    ] = 2.0
    etch_ev: Annotated[float, Basis("", "eV", "assumed", "size of the blueshift on HF")] = 0.070
    exchange_ev: Annotated[float, Basis("", "eV", "assumed", "size of the blueshift on zinc")] = (
        0.025
    )
    layer_ev: Annotated[float, Basis("", "eV", "assumed", "size of the redshift of one layer")] = (
        0.080
    )
    layer_decay: Annotated[
        float, Basis("", "layers", "assumed", "how fast further layers matter less")
    ] = 1.6
    traps: Annotated[
        float,
        Basis("", "", "constrained", "yields of InP-Zn, InP-Se and of InP-ZnSe at 10 and 30 min"),
    ] = 100.0
    traps_unexchanged: Annotated[float, Basis("", "", "constrained", "the same yields")] = 2.0
    traps_lone_chalcogen: Annotated[
        float, Basis("", "", "constrained", "yield of InP-Se near nothing")
    ] = 5.0
    oxide_quenches: Annotated[
        float, Basis("", "", "constrained", "yield 42 to 58 % with the oxide")
    ] = 0.95
    defects_quench: Annotated[float, Basis("", "", "constrained", "yields after annealing")] = 1.5
    radiative_per_ns: Annotated[
        float, Basis("", "/ns", "stated", "decay 0.023 /ns at a yield of 97.3 %")
    ] = 0.0224


@dataclass(frozen=True, slots=True)
class Chalcogen:
    """What distinguishes sulfur from selenium: lattice, adsorption rate, preference for oleate."""

    lattice: Lattice
    adsorption: Annotated[
        Rate,
        Basis(
            "k_x",
            "/M/s",
            "constrained",
            "Se: redshift nearly complete after 10 min at 200 °C; S: at 250 °C, hardly at 200 °C",
        ),
    ]
    oleate_factor: Annotated[float, Basis("F", "", "assumed", "Se: oleate sites come first")]


CHALCOGENS: dict[Shell, Chalcogen] = {
    "ZnSe": Chalcogen(ZNSE, Rate(0.174, 90e3), 30.0),
    "ZnS": Chalcogen(ZNS, Rate(0.25, 200e3, 523.15), 1.0),
}


@dataclass(frozen=True, slots=True)
class CoreKinetics:
    """Growth of bare cores from a phosphine."""

    growth: Annotated[Rate, Basis("k", "/s", "assumed", "470 nm after minutes at 260 °C")] = Rate(
        8e-3, 90e3, 533.15
    )
    anchor_conversion: Annotated[
        float,
        Basis("", "", "assumed", "conversion of the first dose at 2.4 nm: sets how many cores"),
    ] = 0.86
    anchor_nm: Annotated[
        float, Basis("", "nm", "stated", "diameter of the cores with 1S at 470 nm")
    ] = 2.4


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of the table: name, value as text, and what it rests on."""

    name: str
    value: str
    basis: Basis


def parameters() -> list[Parameter]:
    """Return every parameter of the model with what it rests on, in the order of this file."""
    rows = _rows(Kinetics())
    for shell, chalcogen in CHALCOGENS.items():
        rows += [
            Parameter(f"{row.name}, {shell}", row.value, row.basis) for row in _rows(chalcogen)
        ]
    return rows + _rows(CoreKinetics())


def _rows(owner: Kinetics | Chalcogen | CoreKinetics) -> list[Parameter]:
    hints = get_type_hints(type(owner), include_extras=True)
    return [
        Parameter(name.replace("_", " "), _said(getattr(owner, name)), hint.__metadata__[0])
        for name, hint in hints.items()
        if hasattr(hint, "__metadata__")
    ]


def _said(value: Rate | float) -> str:
    if isinstance(value, Rate):
        at_c = value.reference_k - 273.15
        return f"{value.reference:g} at {at_c:.0f} °C, {value.energy / 1e3:g} kJ/mol"
    return f"{value:.4g}"
