"""Quantities and contents that are typed at the shell, checked to be possible."""

from __future__ import annotations

import argparse
import re

from labctl.chemistry.amounts import amount_of_mass_mmol
from labctl.chemistry.constants import ZERO_CELSIUS_K
from labctl.chemistry.mixture import Mixture
from labctl.chemistry.reagent import (
    Composition,
    contents_of,
    contents_of_amount,
    parse_composition,
)
from labctl.chemistry.stocks import stock_mol_l, stock_of
from labctl.cli.options import Options
from labctl.errors import UnitError, UsageError
from labctl.units import dimension_of, parse, show

_HOTTEST_C = 1000.0
_SMALLEST, _LARGEST = 1e-12, 1e9
_STATED = re.compile(r"(?P<is>.+?)\s+(?P<mol_l>[\d.]+\s*[mµμu]?(?:mol/L|M))", re.DOTALL)


def option(parser: Options, name: str, takes: str, help_: str, default: str | None = None) -> None:
    """Add an option that takes a quantity; required where it has no default."""
    told = help_ if default is None else f"{help_}; {default} unless given"
    # argparse would read a percent sign as a placeholder.
    told = told.replace("%", "%%")
    required = default is None
    parser.add_argument(
        f"--{name}", metavar=takes, help=told, default=default, required=required,
        dest=name.replace("-", "_"),
    )  # fmt: skip


def positive(text: str, dimension: str, what: str) -> float:
    """Read a quantity that must be above zero, in its canonical unit.

    Raises:
        UnitError: it cannot be read.
        UsageError: zero or less, or beyond all that is done at a bench.
    """
    value = parse(text, dimension).value
    _refuse_beyond(value, text, what)
    return value


def celsius_of(text: str, what: str) -> float:
    """Read a temperature from absolute zero to 1000 °C, in °C.

    Raises:
        UnitError: it cannot be read.
        UsageError: out of this range.
    """
    value = parse(text, "temperature").value
    if not -ZERO_CELSIUS_K < value <= _HOTTEST_C:
        low, high = -ZERO_CELSIUS_K, _HOTTEST_C
        raise UsageError(f"{what} is {text!r}; expected above {low:g} and at most {high:g} °C")
    return value


def nanometres(text: str, what: str) -> float:
    """Read a size in nm that must be above zero.

    Raises:
        UsageError: it is no size in nm.
    """
    try:
        return positive(text, "wavelength", what)
    except UnitError:
        raise UsageError(f"{what} is {text!r}; a size is written like '3.3 nm'") from None


def plain_number(text: str, what: str) -> float:
    """Read a number above zero that has no unit.

    Raises:
        UsageError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{what} is {text!r}; a number is expected") from None
    _refuse_beyond(value, text, what)
    return value


def one_of(asked: argparse.Namespace, *names: str) -> str:
    """Return which of several options is given.

    Raises:
        UsageError: none of them, or more than one.
    """
    given = [name for name in names if getattr(asked, name) is not None]
    if len(given) != 1:
        said = " or ".join(f"--{name}" for name in names)
        raise UsageError(f"give {said}, one of them")
    return given[0]


def reagent(text: str, stated: str | None = None) -> tuple[Composition, float | None]:
    """Read a reagent as in a recipe, a concentration at its end, or beside it.

    >>> found, mol_l = reagent("zinc oleate in ODE 0.4 mol/L")
    >>> found.substance.name, mol_l
    ('zinc oleate', 0.4)

    Raises:
        RefusedError: an unknown name, or a concentration that cannot be.
    """
    match = _STATED.fullmatch(text.strip())
    if match is not None and stated is None:
        text, stated = match["is"], match["mol_l"]
    composition = parse_composition(text)
    typed = None if stated is None else positive(stated, "concentration", "the concentration")
    solid = composition.solvent is None and composition.substance.state == "solid"
    return composition, None if solid else stock_mol_l(composition, typed)


def contents(text: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """Read `REAGENT:QUANTITY, …` as mmol by name, and say what was assumed of each.

    >>> held, assumed = contents("squalane:10mL, TOP sulfide saturated:0.40mmol")
    >>> {name: round(mmol, 2) for name, mmol in held.items()}, assumed[0][:33]
    ({'TOP sulfide': 0.4, 'squalane': 19.16}, 'TOP sulfide saturated: 2.17 mol/L')

    Raises:
        UsageError: a part that has no quantity, or an amount that cannot be.
        UnknownNameError: a substance that is not in the table.
    """
    held = Mixture()
    assumed: list[str] = []
    for part in text.split(","):
        name, colon, quantity = part.rpartition(":")
        if not colon or not name.strip():
            raise UsageError(f"{part.strip()!r} has no quantity; write 'squalane:10mL, ODE:3mL'")
        composition, mol_l = reagent(name)
        held = held.add(_held(composition, mol_l, quantity))
        row = stock_of(composition)
        if row is not None and mol_l == row.concentration_mol_l:
            assumed.append(f"{row.text}: {show(mol_l, 'concentration')}, {row.rests_on}")
    return held.amounts, tuple(assumed)


def _held(composition: Composition, mol_l: float | None, quantity: str) -> dict[str, float]:
    dimension = dimension_of(quantity)
    what = f"the quantity of {composition.substance.name}"
    if dimension == "volume":
        if composition.substance.state == "solid" and composition.solvent is None:
            name = composition.substance.name
            raise UsageError(
                f"{what}: {name} is a solid; it is weighed, so give an amount or a mass"
            )
        return contents_of(composition, positive(quantity, "volume", what), mol_l)
    if dimension == "mass":
        mass_g = positive(quantity, "mass", what)
        if composition.solvent is not None:
            raise UsageError(f"{what} is a mass of a solution; give a volume or an amount")
        amount = amount_of_mass_mmol(composition.substance, mass_g)
        return contents_of_amount(composition, amount, mol_l)
    return contents_of_amount(composition, positive(quantity, "amount", what), mol_l)


def _refuse_beyond(value: float, text: str, what: str) -> None:
    if not value > 0:
        raise UsageError(f"{what} is {text!r}; expected more than 0")
    if not _SMALLEST <= value <= _LARGEST:
        raise UsageError(f"{what} is {text!r}; no bench has so much or so little")
