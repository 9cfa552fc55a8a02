"""The stock solutions of Choi et al., Nat. Commun. 2023, 14, 43 (Methods), and how they add up.

Where the paper states no concentration, the row says what is assumed and why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from labctl.chemistry.amounts import neat_volume_ml
from labctl.chemistry.reagent import Composition, concentration_of, parse_composition
from labctl.chemistry.substances import Substance
from labctl.errors import UsageError


@dataclass(frozen=True, slots=True)
class Stock:
    """A stock solution: what it is, its concentration in mol/L, and what that rests on.

    `stated` tells that the paper prints the concentration or the volumes it follows from.
    """

    text: str
    concentration_mol_l: float
    stated: bool
    rests_on: str

    @property
    def composition(self) -> Composition:
        """What the text says, read as in a recipe."""
        return parse_composition(self.text)


_SATURATED = "volumes of phosphine and element add to 2.16 to 2.17 mol/L"

STOCKS: tuple[Stock, ...] = (
    Stock("zinc oleate in ODE", 0.50, True, "stated; 6.312 mL oleic acid + 13.7 mL ODE, 10 mmol"),
    Stock("indium oleate in ODE", 0.50, True, "stated; 10 mmol in 20.0 mL"),
    Stock("TOP selenide saturated", 2.17, False, _SATURATED),
    Stock("TOP sulfide saturated", 2.17, False, _SATURATED),
    Stock("P(TMS)3 in TOP", 0.775, True, "1 mmol and 1 mL TOP make 1.290 mL"),
    Stock("HF 48 % in acetone", 3.5, True, "0.2 mmol and 0.05 mL acetone make 57 µL"),
    Stock("NOBF4 in DMF", 0.05, True, "stated"),
)


def stock_of(composition: Composition) -> Stock | None:
    """Give the paper's stock of a composition, whatever the size of its dots; None if it has none.

    >>> stock_of(parse_composition("TOPS saturated")).concentration_mol_l
    2.17
    """
    plain = replace(composition, size_nm=None)
    return next((row for row in STOCKS if row.composition == plain), None)


def stock_mol_l(composition: Composition, stated_mol_l: float | None = None) -> float:
    """Settle a concentration: the stated one, else that of the paper's stock, else the neat one.

    Raises:
        UsageError: as `concentration_of`.
    """
    if stated_mol_l is None and (row := stock_of(composition)) is not None:
        stated_mol_l = row.concentration_mol_l
    return concentration_of(composition, stated_mol_l)


def saturated_mol_l(
    phosphine: Substance, element: Substance, purity: float = 1.0, *, additive: bool = True
) -> float:
    """Give the most chalcogenide a phosphine can hold: one atom for each of its molecules.

    p / (V_P + p V_X) with molar volumes in L/mol, without V_X unless volumes are additive.
    `purity` is the phosphine's, 0 to 1.

    Raises:
        UsageError: a purity that is not above 0 and at most 1.
    """
    if not 0 < purity <= 1:
        raise UsageError(f"a purity of {purity:g} is impossible; expected above 0 and at most 1")
    grown = purity * element.molar_volume_ml_mmol if additive else 0.0
    return purity / (phosphine.molar_volume_ml_mmol + grown)


def carboxylate_solvent_ml(
    acid: Substance, acids_per_metal: float, metal_mmol: float, concentration_mol_l: float
) -> float:
    """Give the solvent to add to a metal carboxylate made in its own fatty acid.

    The total volume less that of the acid; the acetic acid set free is pumped off.

    Raises:
        UsageError: no concentration above zero, or one that the acid alone exceeds.
    """
    acid_ml = neat_volume_ml(acid, acids_per_metal * metal_mmol)
    highest = metal_mmol / acid_ml
    if not 0 < concentration_mol_l <= highest:
        raise UsageError(
            f"{metal_mmol:g} mmol in {acid_ml:.4g} mL {acid.name} cannot be made "
            f"{concentration_mol_l:g} mol/L; expected above 0 and at most {highest:.3g}"
        )
    return metal_mmol / concentration_mol_l - acid_ml
