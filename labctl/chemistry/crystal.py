"""Atoms, surfaces and epilayers of zinc-blende spheres; equations (1) to (3) of the paper.

Lengths in nm, amounts in mmol, crystals in nmol. A layer is one (111) spacing unless said: the
paper's 171 selenium atoms of equation (3) follow from that thickness, not from the a/2 it states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from labctl.errors import UnknownNameError

PRECURSOR_EXCESS = 2.25
"""Chalcogenide dosed over chalcogen built in, mean of the paper's three ZnS doses."""

INDIUM_PER_PHOSPHORUS = 1.44
"""In:P of the oleate-capped cores, as the paper measured it."""

_ATOMS_PER_CELL = 4  # of each sublattice in the cubic cell


class LayerRule(StrEnum):
    """How thick one epilayer is taken to be."""

    D111 = "d111"
    HALF_A = "half_a"


@dataclass(frozen=True, slots=True)
class Lattice:
    """A zinc-blende crystal: its name and cubic lattice constant in nm at 25 °C."""

    name: str
    a_nm: float

    @property
    def d111_nm(self) -> float:
        """Spacing of the (111) planes in nm."""
        return self.a_nm / math.sqrt(3)

    @property
    def cell_nm3(self) -> float:
        """Volume of the cubic cell in nm³."""
        return self.a_nm**3

    def layer_nm(self, rule: LayerRule = LayerRule.D111) -> float:
        """Thickness of one epilayer in nm under the given rule."""
        return self.d111_nm if rule is LayerRule.D111 else self.a_nm / 2


INP = Lattice("InP", 0.5869)
ZNSE = Lattice("ZnSe", 0.5668)
ZNS = Lattice("ZnS", 0.5409)
LATTICES: dict[str, Lattice] = {row.name: row for row in (INP, ZNSE, ZNS)}


def lattice(name: str) -> Lattice:
    """Look a crystal up by its formula; case does not matter.

    >>> lattice("zns").a_nm
    0.5409

    Raises:
        UnknownNameError: no such crystal; the message offers the nearest one.
    """
    for known, row in LATTICES.items():
        if known.casefold() == name.strip().casefold():
            return row
    raise UnknownNameError("crystal", name, LATTICES)


def phosphorus_atoms(diameter_nm: float, lattice: Lattice = INP) -> float:
    """Phosphorus atoms of one core: volume over cell volume, times four; equation (1)."""
    return _sphere_nm3(diameter_nm / 2) / lattice.cell_nm3 * _ATOMS_PER_CELL


def diameter_of(phosphorus: float, lattice: Lattice = INP) -> float:
    """Diameter in nm of the core that holds so many phosphorus atoms; equation (1) inverted."""
    volume_nm3 = phosphorus * lattice.cell_nm3 / _ATOMS_PER_CELL
    return math.cbrt(6 * volume_nm3 / math.pi)


def indium_atoms(phosphorus: float, ratio: float = INDIUM_PER_PHOSPHORUS) -> float:
    """Indium atoms of one core, its phosphorus times the measured In:P of 1.44; with (1).

    >>> round(indium_atoms(149))
    215
    """
    return phosphorus * ratio


def surface_nm2(diameter_nm: float) -> float:
    """Surface of one core in nm², pi d²; the S of equation (2)."""
    return math.pi * diameter_nm**2


def ligands_per_nm2(
    ferrocene_per_oleate: float, ferrocene_nmol: float, nc_nmol: float, surface_nm2: float
) -> float:
    """Oleates per nm² from the ¹H NMR areas; equation (2).

    `ferrocene_per_oleate` is A(ferrocene)/A(oleate); ferrocene counts ten protons, oleate two.
    """
    oleate_per_ferrocene = (1 / 2) / (ferrocene_per_oleate / 10)
    return oleate_per_ferrocene * ferrocene_nmol / (nc_nmol * surface_nm2)


def shell_atoms(diameter_nm: float, thickness_nm: float, lattice: Lattice) -> float:
    """Chalcogen atoms in a shell of the given thickness on one core; equation (3)."""
    radius = diameter_nm / 2
    volume = _sphere_nm3(radius + thickness_nm) - _sphere_nm3(radius)
    return volume / lattice.cell_nm3 * _ATOMS_PER_CELL


def layers_of(
    atoms: float, diameter_nm: float, lattice: Lattice, rule: LayerRule = LayerRule.D111
) -> float:
    """Number of epilayers that so many chalcogen atoms make on one core; equation (3) inverted."""
    radius = diameter_nm / 2
    volume = _sphere_nm3(radius) + atoms * lattice.cell_nm3 / _ATOMS_PER_CELL
    return (math.cbrt(3 * volume / (4 * math.pi)) - radius) / lattice.layer_nm(rule)


def precursor_mmol(
    layers: float,
    diameter_nm: float,
    nc_nmol: float,
    lattice: Lattice,
    excess: float = PRECURSOR_EXCESS,
    rule: LayerRule = LayerRule.D111,
) -> float:
    """Chalcogenide in mmol to dose for so many epilayers on `nc_nmol` of cores.

    Equation (3) times the cores times the excess; with 2.25 the paper's 0.16, 0.40 and 1.0 mmol
    for 1, 2 and 4 layers of ZnS on 3.3 nm come out as 0.161, 0.381 and 1.042.
    """
    atoms = shell_atoms(diameter_nm, layers * lattice.layer_nm(rule), lattice)
    return excess * atoms * nc_nmol * 1e-6


def layers_of_precursor(
    amount_mmol: float,
    diameter_nm: float,
    nc_nmol: float,
    lattice: Lattice,
    excess: float = PRECURSOR_EXCESS,
    rule: LayerRule = LayerRule.D111,
) -> float:
    """Number of epilayers that a dose of chalcogenide makes; the inverse of `precursor_mmol`.

    An excess of 1 means that all of it is built in.
    """
    atoms = per_crystal(amount_mmol, nc_nmol) / excess
    return layers_of(atoms, diameter_nm, lattice, rule)


def per_crystal(amount_mmol: float, nc_nmol: float) -> float:
    """Atoms or molecules of a dose for each crystal in the flask.

    >>> round(per_crystal(0.40, 220))
    1818
    """
    return amount_mmol / (nc_nmol * 1e-6)


def shelled_diameter_nm(
    diameter_nm: float, layers: float, lattice: Lattice, rule: LayerRule = LayerRule.D111
) -> float:
    """Diameter in nm of a core under so many epilayers: d + 2 n t.

    >>> [round(shelled_diameter_nm(3.3, n, ZNS), 2) for n in (1, 2, 4)]
    [3.92, 4.55, 5.8]
    """
    return diameter_nm + 2 * layers * lattice.layer_nm(rule)


def _sphere_nm3(radius_nm: float) -> float:
    return 4 * math.pi / 3 * radius_nm**3
