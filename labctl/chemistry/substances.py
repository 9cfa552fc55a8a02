"""The table of substances: what a recipe may name, and the handbook data of each.

Densities and heat capacities hold at 25 °C, gas densities at 25 °C and 1 atm. Molar masses and
densities of the synthesis' own chemicals as in Choi et al., Nat. Commun. 2023, 14, 43; the other
values from the handbooks collected in the `chemicals` and `thermo` libraries. Three groups are
effective values: the metal oleates have the density that makes the stated stock volumes add up,
the phosphine chalcogenides the one that makes a saturated stock 2.17 mol/L, and HF the one it
has inside 48 % aqueous acid of 1.15 g/mL. Heat capacities of oleates, phosphines and phosphine
chalcogenides are estimates by likeness (2.0 to 2.1 J/(g K)); densities of the stearates and of
indium acetate, and heat capacities of that, zinc fluoride and NOBF4, are rough.

Antoine constants, log10(P/Torr) = A − B/(C + T/°C), are least-squares fits to the libraries'
correlations; HF as printed in Poling, Prausnitz, O'Connell, The Properties of Gases and Liquids.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from labctl.chemistry.constants import ATM_MBAR, GAS_CONSTANT_J_MOL_K, ROOM_C, ZERO_CELSIUS_K
from labctl.errors import UnknownNameError

Kind = Literal[
    "solvent",
    "metal",
    "chalcogenide",
    "phosphine",
    "acid",
    "fatty acid",
    "amine",
    "element",
    "gas",
    "nanocrystal",
    "other",
]
State = Literal["liquid", "solid", "gas", "particle"]

HAZARDS: Final = frozenset({
    "HF",
    "corrosive",
    "flammable",
    "moisture",
    "oxidiser",
    "peroxides",
    "pyrophoric",
    "stench",
    "toxic",
    "unstable",
    "volatile",
})  # fmt: skip

_STATE_BY_KIND: Final[dict[Kind, State]] = {
    "gas": "gas",
    "nanocrystal": "particle",
    "metal": "solid",
    "element": "solid",
}


@dataclass(frozen=True, slots=True)
class Antoine:
    """Constants of log10(P/Torr) = a − b/(c + T/°C), and the range in °C they were fitted in."""

    a: float
    b: float
    c: float
    low_c: float
    high_c: float


@dataclass(frozen=True, slots=True)
class Substance:
    """One row of the table; `melts_c` and `boils_c` (1 atm) are None where no value is trusted.

    `antoine` is None for gases and for what does not evaporate in the flask. The amount of a
    nanocrystal counts particles, while its molar mass is that of the formula unit.
    """

    name: str
    aliases: tuple[str, ...]
    formula: str
    kind: Kind
    molar_mass_g_mol: float
    density_g_ml: float
    heat_capacity_j_gk: float
    melts_c: float | None
    boils_c: float | None
    hazards: frozenset[str]
    antoine: Antoine | None = None

    @property
    def state(self) -> State:
        """What it is when measured out at room temperature."""
        if self.kind in _STATE_BY_KIND:
            return _STATE_BY_KIND[self.kind]
        return "solid" if self.melts_c is not None and self.melts_c > ROOM_C else "liquid"

    @property
    def molar_volume_ml_mmol(self) -> float:
        """Volume in mL that 1 mmol adds to a liquid; particles add none."""
        if self.state == "particle":
            return 0.0
        return self.molar_mass_g_mol / self.density_g_ml / 1e3


_ANTOINE: Final = {
    "1-octadecene": Antoine(7.7993, 2546.74, 203.58, 80, 345),
    "squalane": Antoine(7.8581, 2844.32, 153.34, 110, 400),
    "oleic acid": Antoine(8.5814, 3093.70, 184.18, 100, 345),
    "stearic acid": Antoine(8.7608, 3499.15, 225.59, 120, 345),
    "trioctylamine": Antoine(8.3153, 3252.16, 243.57, 100, 345),
    "oleylamine": Antoine(6.3014, 1907.17, 218.60, 100, 320),
    "toluene": Antoine(6.9747, 1357.13, 220.89, 0, 150),
    "octane": Antoine(6.9733, 1385.35, 212.85, 0, 160),
    "hexane": Antoine(6.8950, 1180.32, 225.32, -20, 120),
    "acetone": Antoine(7.1316, 1215.74, 229.91, -20, 150),
    "tetrahydrofuran": Antoine(7.0324, 1222.97, 228.55, -20, 120),
    "dimethylformamide": Antoine(7.2605, 1625.73, 219.49, 0, 170),
    "chloroform": Antoine(6.9827, 1185.60, 227.83, -20, 120),
    "isopropanol": Antoine(7.7817, 1392.13, 201.69, 0, 140),
    "ethanol": Antoine(8.1123, 1601.18, 227.59, 0, 140),
    "water": Antoine(8.0090, 1696.97, 230.88, 0, 160),
    "acetic acid": Antoine(7.5517, 1633.95, 232.03, 17, 160),
    "P(TMS)3": Antoine(7.2219, 1873.89, 190.39, 20, 260),
    "HF": Antoine(7.68098, 1475.60, 287.88, -20, 105),
}


def _row(
    name: str,
    aliases: str,
    formula: str,
    kind: Kind,
    numbers: tuple[float, float, float],
    transitions: tuple[float | None, float | None],
    hazards: str = "",
) -> Substance:
    """Build a row; `aliases` are separated by commas and `hazards` by spaces.

    `numbers` are molar mass (g/mol), density (g/mL) and heat capacity (J/(g K)); `transitions`
    are the melting and the boiling point in °C.
    """
    other_names = tuple(alias.strip() for alias in aliases.split(",") if alias.strip())
    words = frozenset(hazards.split())
    antoine = _ANTOINE.get(name)
    return Substance(name, other_names, formula, kind, *numbers, *transitions, words, antoine)


def _gas(
    name: str, alias: str, molar_mass: float, cp: float, boils: float, hazards: str = ""
) -> Substance:
    molar_volume_ml = GAS_CONSTANT_J_MOL_K * (ROOM_C + ZERO_CELSIUS_K) / ATM_MBAR * 1e4
    numbers = (molar_mass, molar_mass / molar_volume_ml, cp)
    return _row(name, alias, name, "gas", numbers, (None, boils), hazards)


def _dots(name: str, aliases: str = "") -> Substance:
    return _row(name, aliases, "InP", "nanocrystal", (145.79, 4.81, 0.31), (None, None), "toxic")


# fmt: off
_ROWS: Final = (
    _row("squalane", "SQ", "C30H62", "solvent", (422.81, 0.810, 2.10), (-38, 420)),
    _row("1-octadecene", "ODE, octadecene", "C18H36", "solvent", (252.48, 0.789, 2.2), (17.5, 315)),
    _row("toluene", "", "C7H8", "solvent",
         (92.14, 0.862, 1.70), (-95, 110.6), "flammable toxic volatile"),
    _row("octane", "n-octane", "C8H18", "solvent",
         (114.23, 0.699, 2.23), (-56.8, 125.6), "flammable volatile"),
    _row("hexane", "n-hexane", "C6H14", "solvent",
         (86.18, 0.655, 2.27), (-95, 68.7), "flammable toxic volatile"),
    _row("acetone", "propanone", "C3H6O", "solvent",
         (58.08, 0.784, 2.14), (-94.8, 56.1), "flammable volatile"),
    _row("tetrahydrofuran", "THF", "C4H8O", "solvent",
         (72.11, 0.883, 1.90), (-108, 66), "flammable peroxides volatile"),
    _row("dimethylformamide", "DMF", "C3H7NO", "solvent",
         (73.09, 0.944, 2.03), (-61, 152.8), "flammable toxic volatile"),
    _row("chloroform", "CHCl3", "CHCl3", "solvent",
         (119.38, 1.479, 0.96), (-63, 61.2), "toxic volatile"),
    _row("isopropanol", "2-propanol, IPA", "C3H8O", "solvent",
         (60.10, 0.781, 2.58), (-89.5, 82.3), "flammable volatile"),
    _row("ethanol", "EtOH", "C2H6O", "solvent",
         (46.07, 0.785, 2.43), (-114, 78.4), "flammable volatile"),
    _row("water", "H2O", "H2O", "solvent", (18.015, 0.997, 4.18), (0, 100), "volatile"),
    _row("oleic acid", "OA", "C18H34O2", "fatty acid", (282.46, 0.895, 1.94), (13.4, 360)),
    _row("stearic acid", "", "C18H36O2", "fatty acid", (284.48, 0.941, 1.98), (69.3, 371)),
    _row("acetic acid", "AcOH", "C2H4O2", "acid",
         (60.05, 1.044, 2.05), (16.7, 117.9), "corrosive flammable volatile"),
    _row("HF", "hydrofluoric acid, hydrogen fluoride", "HF", "acid",
         (20.006, 1.380, 2.53), (-83.4, 19.5), "HF corrosive toxic volatile"),
    _row("trioctylamine", "TOA", "C24H51N", "amine",
         (353.67, 0.809, 2.12), (-34, 366), "corrosive"),
    _row("oleylamine", "OLA, OAm", "C18H37N", "amine",
         (267.49, 0.813, 2.06), (21, 350), "corrosive"),
    _row("trioctylphosphine", "TOP", "C24H51P", "phosphine",
         (370.64, 0.831, 2.04), (None, None), "corrosive stench"),
    _row("P(TMS)3", "tris(trimethylsilyl)phosphine, (TMS)3P", "C9H27PSi3", "phosphine",
         (250.54, 0.863, 1.75), (24, 243.5), "moisture pyrophoric stench toxic"),
    _row("TOP selenide", "trioctylphosphine selenide, TOPSe, TOP-Se", "C24H51PSe", "chalcogenide",
         (449.61, 0.9757, 2.0), (None, None), "corrosive stench toxic"),
    _row("TOP sulfide", "trioctylphosphine sulfide, TOP sulphide, TOPS, TOP-S", "C24H51PS",
         "chalcogenide",
         (402.70, 0.8739, 2.0), (None, None), "corrosive stench"),
    _row("selenium", "Se, selenium powder", "Se", "element",
         (78.97, 4.81, 0.32), (221, 685), "toxic"),
    _row("sulfur", "S, sulphur", "S", "element", (32.06, 2.07, 0.71), (115.2, 444.6), "flammable"),
    _row("zinc oleate", "Zn(OA)2, Zn oleate", "ZnC36H66O4", "metal",
         (628.29, 0.9954, 2.0), (None, None)),
    _row("zinc stearate", "Zn(SA)2, Zn stearate", "ZnC36H70O4", "metal",
         (632.33, 1.095, 2.0), (None, None)),
    _row("zinc acetate", "Zn(OAc)2, Zn(ac)2, Zn acetate", "ZnC4H6O4", "metal",
         (183.48, 1.84, 1.04), (237, None), "corrosive"),
    _row("zinc fluoride", "ZnF2", "ZnF2", "metal", (103.38, 4.95, 0.64), (872, None), "toxic"),
    _row("indium oleate", "In(OA)3, In oleate", "InC54H99O6", "metal",
         (959.18, 1.0131, 2.0), (None, None)),
    _row("indium stearate", "In(SA)3, In stearate", "InC54H105O6", "metal",
         (965.23, 1.0, 2.0), (None, None)),
    _row("indium acetate", "In(OAc)3, In(ac)3, In acetate", "InC6H9O6", "metal",
         (291.95, 2.2, 1.0), (None, None), "toxic"),
    _row("DIAD", "diisopropyl azodicarboxylate", "C8H14N2O4", "other",
         (202.21, 1.027, 1.59), (4, None), "toxic unstable"),
    _row("NOBF4", "nitrosonium tetrafluoroborate", "NOBF4", "other",
         (116.81, 2.19, 1.0), (250, None), "corrosive moisture oxidiser"),
    _gas("N2", "nitrogen", 28.014, 1.04, -195.8),
    _gas("Ar", "argon", 39.95, 0.52, -185.8),
    _gas("CO2", "carbon dioxide", 44.009, 0.85, -78.5),
    _gas("H2S", "hydrogen sulfide", 34.08, 1.00, -60.3, "flammable stench toxic"),
    _gas("H2Se", "hydrogen selenide", 80.99, 0.43, -41.2, "flammable stench toxic"),
    _gas("PH3", "phosphane, phosphine gas", 33.998, 1.09, -87.7, "pyrophoric stench toxic"),
    _dots("InP-OA", "oleate-capped InP"),
    _dots("InP", "InP nanocrystals"),
    _dots("InP-Zn"),
    _dots("InP-Se"),
    _dots("InP-ZnSe"),
    _dots("InP/ZnSe"),
    _dots("InP/ZnS"),
)
# fmt: on

SUBSTANCES: Final[dict[str, Substance]] = {row.name: row for row in _ROWS}


def find(text: str) -> Substance:
    """Find a substance by name or alias; case, spacing and subscript digits do not matter.

    >>> find("ODE").name, find("p(tms)₃").name, find("Top  Sulfide").name
    ('1-octadecene', 'P(TMS)3', 'TOP sulfide')

    Raises:
        UnknownNameError: no such name; the message offers the nearest one.
    """
    found = _INDEX.get(_folded(text))
    if found is None:
        raise UnknownNameError("substance", text.strip(), known_names())
    return found


def known_names() -> tuple[str, ...]:
    """List every name and alias, as written, in the order of the table."""
    return tuple(name for row in _ROWS for name in (row.name, *row.aliases))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _indexed(rows: Iterable[Substance]) -> dict[str, Substance]:
    return {_folded(name): row for row in rows for name in (row.name, *row.aliases)}


_INDEX: Final = _indexed(_ROWS)
