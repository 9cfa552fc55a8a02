"""What a reagent is: the text after `is:` in a recipe, and what a dispensed volume of it holds.

Grammar: `SUBSTANCE [SIZE nm] [PERCENT %] [saturated] [in SOLVENT]`. The percentage is the mass
fraction of an aqueous acid; the purity of anything else belongs to its lot. A saturated
phosphine chalcogenide without a solvent is that substance and nothing else; stated weaker than
neat by more than densities are uncertain by, the rest of it is the phosphine that it is made in.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from labctl.chemistry.amounts import (
    aqueous_volume_ml_mmol,
    neat_concentration_mol_l,
    water_per_acid,
)
from labctl.chemistry.substances import Substance, find
from labctl.errors import UsageError

# A typed concentration may exceed that of the neat substance by what densities are uncertain by.
_NEAT_TOLERANCE: Final = 1.05

# What a saturated stock is made in: every chalcogenide of the table is one of TOP.
_CARRIER: Final = "trioctylphosphine"

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_COMPOSITION: Final = re.compile(
    r"\s*(?P<substance>\S.*?)"
    rf"(?:\s+(?P<size>{_NUMBER})\s*nm)?"
    rf"(?:\s+(?P<percent>{_NUMBER})\s*%)?"
    r"(?P<saturated>\s+saturated)?"
    r"(?:\s+in\s+(?P<solvent>\S.*?))?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Composition:
    """A reagent: a substance, the size of its dots in nm, its mass fraction in water, its solvent.

    `mass_fraction` is given for aqueous acids only; `solvent` is None for what is dosed neat.
    """

    substance: Substance
    size_nm: float | None = None
    mass_fraction: float | None = None
    saturated: bool = False
    solvent: Substance | None = None

    @property
    def brings_dots(self) -> bool:
        """Whether dots come with it, or grow from it once it is in."""
        return self.size_nm is not None or self.substance.name == "P(TMS)3"


def parse_composition(text: str) -> Composition:
    """Read the text after `is:`; names and aliases of the table of substances, any case.

    >>> hf = parse_composition("HF 48 % in acetone")
    >>> hf.substance.name, hf.mass_fraction, hf.solvent.name
    ('HF', 0.48, 'acetone')

    Raises:
        UnknownNameError: the substance or the solvent is not in the table.
        UsageError: nothing is named, a size without dots, dots without a solvent, a percentage
            without an aqueous acid, a saturated stock that is no phosphine chalcogenide, or a
            solvent that is no liquid.
    """
    match = _COMPOSITION.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} names no substance; write for example 'zinc oleate in ODE'")
    size, percent, solvent = match["size"], match["percent"], match["solvent"]
    composition = Composition(
        substance=find(match["substance"]),
        size_nm=None if size is None else float(size),
        mass_fraction=None if percent is None else float(percent) / 100,
        saturated=match["saturated"] is not None,
        solvent=None if solvent is None else find(solvent),
    )
    _refuse_nonsense(composition, text.strip())
    return composition


def concentration_of(composition: Composition, stated_mol_l: float | None = None) -> float:
    """Settle the concentration of the named substance in mol/L: the stated one, else the neat one.

    A solution needs a stated one. What is dosed neat has its own, from its density; a saturated
    stock may be stated weaker, anything else must be stated as it is, within 5 %. That of a solid
    is by the room it takes in the liquid.

    Raises:
        UsageError: none stated for a solution, or one that the substance cannot have.
    """
    name = composition.substance.name
    if composition.solvent is None:
        neat = _neat_mol_l(composition)
        lowest = 0.0 if composition.saturated else neat / _NEAT_TOLERANCE
        highest = neat * _NEAT_TOLERANCE
        stated = neat if stated_mol_l is None else stated_mol_l
    elif stated_mol_l is None:
        raise UsageError(f"{name} in {composition.solvent.name} needs a concentration in mol/L")
    else:
        occupied = _occupied_ml_mmol(composition)
        lowest, highest = 0.0, 1 / occupied if occupied else math.inf
        stated = stated_mol_l
    if not lowest < stated < highest:
        raise UsageError(
            f"{name} cannot be {stated:.4g} mol/L; expected between {lowest:.4g} and {highest:.4g}"
        )
    return stated


def dissolved_mol_l(composition: Composition, amount_mmol: float, solvent_ml: float) -> float:
    """Give the concentration that an amount dissolved in a volume of solvent makes.

    Volumes are additive, and an aqueous acid brings its water.

    >>> round(dissolved_mol_l(parse_composition("P(TMS)3 in TOP"), 1.0, 1.0), 3)
    0.775

    Raises:
        UsageError: no amount, or a negative volume.
    """
    if not (amount_mmol > 0 and solvent_ml >= 0):
        raise UsageError(f"{amount_mmol:g} mmol in {solvent_ml:g} mL make no solution")
    return amount_mmol / (amount_mmol * _occupied_ml_mmol(composition) + solvent_ml)


def volume_for_ml(
    composition: Composition, amount_mmol: float, concentration_mol_l: float | None = None
) -> float:
    """Give the volume of the reagent in mL that holds an amount of the named substance.

    >>> round(volume_for_ml(parse_composition("InP-OA in toluene"), 220e-6, 50e-6), 2)
    4.4

    Raises:
        UsageError: as `concentration_of`.
    """
    return amount_mmol / concentration_of(composition, concentration_mol_l)


def contents_of(
    composition: Composition, volume_ml: float, concentration_mol_l: float | None = None
) -> dict[str, float]:
    """Give what a dispensed volume holds: mmol by canonical name, named substance first.

    Volumes are additive: the solvent fills what the dissolved substance (or aqueous acid) leaves;
    dots take no room. An aqueous acid brings its water: 1.20 mol per mol of 48 % HF; a weak
    saturated stock brings free TOP.

    >>> held = contents_of(parse_composition("P(TMS)3 in TOP"), 1.29, 0.775)
    >>> {name: round(mmol, 2) for name, mmol in held.items()}
    {'P(TMS)3': 1.0, 'trioctylphosphine': 2.24}

    Raises:
        UsageError: a volume that is negative or no number, or as `concentration_of`.
    """
    if not 0 <= volume_ml < math.inf:
        raise UsageError(f"{volume_ml} mL of {composition.substance.name} cannot be dispensed")
    mol_l = concentration_of(composition, concentration_mol_l)
    amount = volume_ml * mol_l
    contents = {composition.substance.name: amount}
    if composition.mass_fraction is not None:
        per_acid = water_per_acid(composition.substance, composition.mass_fraction)
        contents["water"] = amount * per_acid
    solvent = _filling(composition, mol_l)
    if solvent is not None:
        room_ml = volume_ml - amount * _occupied_ml_mmol(composition)
        solvent_mmol = room_ml / solvent.molar_volume_ml_mmol
        contents[solvent.name] = contents.get(solvent.name, 0.0) + solvent_mmol
    return contents


def contents_of_amount(
    composition: Composition, amount_mmol: float, concentration_mol_l: float | None = None
) -> dict[str, float]:
    """Give what is dispensed with an amount of the named substance: mmol by canonical name.

    A solid without a solvent is weighed and brings nothing else.

    Raises:
        UsageError: a negative amount, or as `concentration_of`.
    """
    if composition.solvent is None and composition.substance.state == "solid":
        if amount_mmol < 0:
            raise UsageError(
                f"{amount_mmol} mmol of {composition.substance.name} cannot be weighed"
            )
        return {composition.substance.name: amount_mmol}
    volume_ml = volume_for_ml(composition, amount_mmol, concentration_mol_l)
    return contents_of(composition, volume_ml, concentration_mol_l)


def _neat_mol_l(composition: Composition) -> float:
    substance = composition.substance
    if composition.mass_fraction is None and substance.state == "solid":
        return 1e3 * substance.density_g_ml / substance.molar_mass_g_mol  # by the room it takes
    if composition.mass_fraction is None:
        return neat_concentration_mol_l(substance)
    return 1 / aqueous_volume_ml_mmol(composition.substance, composition.mass_fraction)


def _filling(composition: Composition, mol_l: float) -> Substance | None:
    """Return what fills the room that the named substance leaves; None where it leaves none."""
    weak = composition.saturated and mol_l < _neat_mol_l(composition) / _NEAT_TOLERANCE
    return composition.solvent or (find(_CARRIER) if weak else None)


def _occupied_ml_mmol(composition: Composition) -> float:
    if composition.mass_fraction is None:
        return composition.substance.molar_volume_ml_mmol
    return aqueous_volume_ml_mmol(composition.substance, composition.mass_fraction)


def _refuse_nonsense(composition: Composition, text: str) -> None:
    substance, solvent = composition.substance, composition.solvent
    dots = substance.state == "particle"
    if composition.size_nm is not None and not (dots and composition.size_nm > 0):
        raise UsageError(f"{text!r}: only nanocrystals have a size, above 0 nm")
    if composition.mass_fraction is not None and substance.kind != "acid":
        raise UsageError(
            f"{text!r}: a percentage is the mass fraction of an aqueous acid; "
            "the purity of a chemical belongs to its lot"
        )
    if composition.mass_fraction is not None and not 0 < composition.mass_fraction <= 1:
        raise UsageError(f"{text!r}: a mass fraction lies above 0 % and at most at 100 %")
    if composition.saturated and substance.kind != "chalcogenide":
        raise UsageError(f"{text!r}: only a phosphine chalcogenide is dosed as a saturated stock")
    if solvent is not None and solvent.state != "liquid":
        raise UsageError(f"{text!r}: {solvent.name} is a {solvent.state} and dissolves nothing")
    if dots and solvent is None:
        raise UsageError(f"{text!r}: nanocrystals are dosed from a solution; add 'in SOLVENT'")
