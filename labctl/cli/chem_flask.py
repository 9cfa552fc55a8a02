"""Calculators of the flask: stocks, boiling, cold additions, gas, hot volumes."""

from __future__ import annotations

import argparse

from labctl.chemistry import gas, thermal
from labctl.chemistry.amounts import mass_g
from labctl.chemistry.constants import ATM_MBAR, ROOM_C
from labctl.chemistry.mixture import Mixture
from labctl.chemistry.reagent import contents_of_amount
from labctl.chemistry.stocks import stock_of
from labctl.chemistry.substances import SUBSTANCES, find
from labctl.chemistry.vapour import boiling_point_c, in_range
from labctl.cli.answer import Answer, Calculator, Value, celsius, number, volume
from labctl.cli.options import Options
from labctl.cli.quantities import celsius_of, contents, one_of, option, positive, reagent
from labctl.errors import UsageError
from labctl.units import show, show_amount

_ANTOINE = "Antoine constants fitted to published correlations, see labctl/chemistry/substances.py"
_IDEAL = "an ideal solution; acetone, water and HF over an oil boil lower"
_CHOI = "Choi et al., Nat. Commun. 2023, 14, 43"
_EXPANSION = f"liquids expand by {thermal.EXPANSION_PER_K:g} per K"


def _takes_stock(parser: Options) -> None:
    option(parser, "of", "REAGENT", "as in a recipe, e.g. 'TOP sulfide saturated'")
    parser.add_argument("--amount", metavar="AMOUNT", help="of the substance, e.g. 0.4mmol")
    parser.add_argument("--volume", metavar="VOLUME", help="of the solution, instead of --amount")
    concentration = "e.g. 0.5mol/L; that of the paper's stock, or of the neat liquid, unless given"
    parser.add_argument("--concentration", metavar="MOL/L", help=concentration)


def _stock(asked: argparse.Namespace) -> Answer:
    which = one_of(asked, "amount", "volume")
    composition, mol_l = reagent(asked.of, asked.concentration)
    substance = composition.substance
    if mol_l is None:
        if which == "volume":
            raise UsageError(f"{substance.name} is weighed; give --amount, or name its solvent")
        return _weighed(asked, substance.name)
    if which == "amount":
        amount = positive(asked.amount, "amount", "--amount")
    else:
        amount = positive(asked.volume, "volume", "--volume") * mol_l
    held = contents_of_amount(composition, amount, mol_l)
    with_it = [(name, mmol) for name, mmol in held.items() if name != substance.name]
    values = (
        volume("volume_ml", "volume", amount / mol_l),
        Value("amount_mmol", "amount", amount, show_amount(amount)),
        Value("concentration_mol_l", "concentration", mol_l, _concentration(mol_l)),
        *(Value(_key(name), f"+ {name}", mmol, show_amount(mmol)) for name, mmol in with_it),
    )
    row = stock_of(composition)
    assumed = ["volumes add, at 25 °C"]
    source = "concentration: density over molar mass of what is dosed neat"
    if row is not None and mol_l == row.concentration_mol_l:
        source = f"{_CHOI}; {row.rests_on}"
        if not row.stated:
            assumed.append(f"{show(mol_l, 'concentration')}: the paper does not state one")
    elif asked.concentration is not None or composition.solvent is not None:
        source = "concentration as given"
    return Answer(values, "V = n / c", source, tuple(assumed))


def _weighed(asked: argparse.Namespace, name: str) -> Answer:
    substance = find(name)
    amount = positive(asked.amount, "amount", "--amount")
    mass = mass_g(substance, amount)
    text = f"{mass:.4g} g" if mass >= 1 else f"{mass * 1e3:.4g} mg"
    values = (
        Value("mass_g", "mass", mass, text),
        Value("amount_mmol", "amount", amount, show_amount(amount)),
    )
    source = f"molar mass {substance.molar_mass_g_mol:g} g/mol"
    return Answer(values, "m = n M", source, ("pure; name its solvent for a solution",))


def _takes_bubble_point(parser: Options) -> None:
    parser.add_argument("mixture", metavar="MIXTURE", help="e.g. 'squalane:10mL, toluene:0.5mL'")
    option(parser, "pressure", "PRESSURE", "in the flask", "1atm")
    option(parser, "at", "TEMPERATURE", "where to give the vapour pressure", "25C")


def _bubble_point(asked: argparse.Namespace) -> Answer:
    held, assumed = contents(asked.mixture)
    mixture = Mixture.of(held)
    at_c = celsius_of(asked.at, "--at")
    pressure = positive(asked.pressure, "pressure", "--pressure")
    bubble_c = mixture.bubble_point_c(pressure)
    over = mixture.vapour_pressure_mbar(at_c)
    values = (
        celsius("bubble_point_c", "boils at", bubble_c, "never; nothing in it evaporates"),
        Value("pressure_mbar", "pressure", pressure, show(pressure, "pressure")),
        Value("vapour_pressure_mbar", "exerts", over, f"{show(over, 'pressure')} at {at_c:g} °C"),
        volume("volume_ml", "volume at 25 °C", mixture.volume_ml()),
        *(
            number(_key(name, "mole_fraction"), f"x {name}", mixture.mole_fraction(name), "")
            for name in mixture.amounts
            if SUBSTANCES[name].state != "particle"
        ),
    )
    far = [n for n in mixture.amounts if bubble_c < 1e4 and not in_range(SUBSTANCES[n], bubble_c)]
    mind = f"{', '.join(far)}: outside the range of the fit at this temperature" if far else ""
    return Answer(
        values,
        "Σ x P(T) = P (Raoult), log10(P/Torr) = A - B/(C + T/°C)",
        _ANTOINE,
        (_IDEAL, *assumed),
        (mind,) if mind else (),
    )


def _takes_drop(parser: Options) -> None:
    option(parser, "flask", "MIXTURE", "what is in it, e.g. 'squalane:10mL, ODE:3mL'")
    option(parser, "at", "TEMPERATURE", "of the flask, e.g. 250C")
    option(parser, "add", "MIXTURE", "what goes in, e.g. 'zinc oleate in ODE:5mL'")
    option(parser, "from", "TEMPERATURE", "of what goes in", "25C")
    option(parser, "glass", "J/K", "heat capacity of the glass that cools along", "30J/K")
    parser.add_argument("--rate", metavar="RATE", help="if added slowly, e.g. '1 mL/min'")


def _drop(asked: argparse.Namespace) -> Answer:
    (flask, known), (added, more) = contents(asked.flask), contents(asked.add)
    at_c, from_c = celsius_of(asked.at, "--at"), celsius_of(getattr(asked, "from"), "--from")
    glass = positive(asked.glass, "heat capacity", "--glass")
    assumed = dict.fromkeys((f"the glass takes {glass:g} J/K; 30 is a 50 mL flask", *known, *more))
    liquid, cold = Mixture.of(flask).heat_capacity_j_k(), Mixture.of(added).heat_capacity_j_k()
    drop = thermal.cold_addition_drop_k(at_c, liquid + glass, from_c, cold)
    bare = thermal.cold_addition_drop_k(at_c, liquid, from_c, cold)
    values = [
        number("drop_k", "falls by", drop, "K", 3),
        number("after_c", "to", at_c - drop, "°C"),
        number("drop_without_glass_k", "without glass", bare, "K", 3),
        number("flask_j_k", "liquid + glass", liquid + glass, "J/K", 3),
        number("added_j_k", "addition", cold, "J/K", 3),
    ]
    if asked.rate is not None:
        rate = positive(asked.rate, "volume rate", "--rate")
        per_ml = cold / Mixture.of(added).volume_ml()
        power = thermal.warming_power_w(rate, at_c, from_c, per_ml)
        values.append(number("power_w", "if slow, it draws", power, "W", 3))
    return Answer(
        tuple(values),
        "ΔT = Ca (Tf - Ta) / (Cf + Cglass + Ca)",
        "heat balance; heat capacities at 25 °C, see labctl/chemistry/substances.py",
        ("added at once, mixed at once, no heat from the mantle, nothing boils", *assumed),
    )


def _takes_flash(parser: Options) -> None:
    parser.add_argument("added", metavar="ADDED", help="e.g. 'HF 48 %% in acetone:0.4mmol'")
    option(parser, "at", "TEMPERATURE", "of the flask, e.g. 120C")
    option(parser, "pressure", "PRESSURE", "in the flask", "1atm")
    parser.add_argument("--headspace", metavar="VOLUME", help="if it is shut, e.g. 37mL")


def _flash(asked: argparse.Namespace) -> Answer:
    held, assumed = contents(asked.added)
    at_c = celsius_of(asked.at, "--at")
    pressure = positive(asked.pressure, "pressure", "--pressure")
    flashing = {
        name: mmol
        for name, mmol in held.items()
        if boiling_point_c(SUBSTANCES[name], pressure) < at_c
    }
    amount = sum(flashing.values())
    values = [
        volume("gas_ml", "gas", gas.gas_volume_ml(amount, at_c, pressure)),
        Value("gas_mmol", "amount", amount, show_amount(amount)),
        *(Value(_key(name), f"of it {name}", n, show_amount(n)) for name, n in flashing.items()),
    ]
    if asked.headspace is not None:
        headspace = positive(asked.headspace, "volume", "--headspace")
        rise = gas.pressure_rise_mbar(amount, at_c, headspace)
        text = f"{show(rise, 'pressure')} ({rise / ATM_MBAR:.2g} atm)"
        values.append(Value("rise_mbar", "if shut, adds", rise, text))
    return Answer(
        tuple(values),
        "V = n R T / P",
        "ideal gas law; boiling points by the Antoine equation",
        ("what boils below the flask's temperature turns to gas at once and whole", *assumed),
    )


def _takes_expand(parser: Options) -> None:
    parser.add_argument("volume", metavar="VOLUME", help="when cold, e.g. 18.6mL")
    option(parser, "to", "TEMPERATURE", "when hot, e.g. 320C")
    option(parser, "from", "TEMPERATURE", "where it was measured", "25C")
    parser.add_argument("--flask", metavar="VOLUME", help="of the flask, for how full it is")


def _expand(asked: argparse.Namespace) -> Answer:
    cold = positive(asked.volume, "volume", "the volume")
    to_c, from_c = celsius_of(asked.to, "--to"), celsius_of(getattr(asked, "from"), "--from")
    hot = thermal.hot_volume_ml(cold, to_c, from_c)
    values = [volume("hot_ml", "hot", hot), volume("cold_ml", "cold", cold)]
    if asked.flask is not None:
        full = hot / positive(asked.flask, "volume", "--flask")
        values.append(number("full_percent", "the flask is", 100 * full, "% full", 3))
    formula = f"V = V0 (1 + {thermal.EXPANSION_PER_K:g} (T - T0))"
    return Answer(tuple(values), formula, "mean of oils", (_EXPANSION,))


def _takes_suck_back(parser: Options) -> None:
    parser.add_argument("headspace", metavar="HEADSPACE", help="gas over the liquid, e.g. 30mL")
    option(parser, "from", "TEMPERATURE", "when hot, e.g. 320C")
    option(parser, "to", "TEMPERATURE", "when cold", f"{ROOM_C:g}C")


def _suck_back(asked: argparse.Namespace) -> Answer:
    headspace = positive(asked.headspace, "volume", "the headspace")
    hot_c, cold_c = celsius_of(getattr(asked, "from"), "--from"), celsius_of(asked.to, "--to")
    if not cold_c < hot_c:
        raise UsageError(f"it does not cool from {hot_c:g} to {cold_c:g} °C; nothing is drawn in")
    left = gas.closed_heating_ratio(hot_c, cold_c)
    values = (
        volume("drawn_in_ml", "draws in", gas.drawn_in_ml(headspace, hot_c, cold_c)),
        number("shut_atm", "if shut", left, "of its pressure is left", 3),
    )
    assumed = "all of the headspace is as hot as the liquid; no vapour condenses in it"
    return Answer(
        values,
        "ΔV = V (1 - Tcold/Thot), in kelvin",
        "ideal gas law",
        (assumed,),
        ("without a flow of inert gas this much bubbler oil or air comes in",),
    )


def _key(name: str, what: str = "mmol") -> str:
    """Give the key of a substance's value in JSON.

    >>> _key("P(TMS)3")
    'P(TMS)3_mmol'
    """
    return f"{name.replace(' ', '_')}_{what}"


def _concentration(mol_l: float) -> str:
    return show(mol_l, "concentration") if mol_l >= 0.01 else f"{mol_l * 1e6:.4g} µmol/L"


CALCULATORS: dict[str, Calculator] = {
    "stock": Calculator(_takes_stock, _stock),
    "bubble-point": Calculator(_takes_bubble_point, _bubble_point),
    "drop": Calculator(_takes_drop, _drop),
    "flash": Calculator(_takes_flash, _flash),
    "expand": Calculator(_takes_expand, _expand),
    "suck-back": Calculator(_takes_suck_back, _suck_back),
}
