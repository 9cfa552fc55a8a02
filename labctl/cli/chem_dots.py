"""Calculators of the crystal: size, epilayers, ligands, strain."""

from __future__ import annotations

import argparse

from labctl.chemistry import crystal, strain
from labctl.chemistry.crystal import INP, Lattice, LayerRule, lattice
from labctl.chemistry.extinction import (
    INDEX,
    INP_K_413,
    INP_N_413,
    REFERENCE_NM,
    concentration_m,
    intrinsic_absorption_per_cm,
    molar_extinction,
)
from labctl.chemistry.sizing import PAPER, Convention, curve
from labctl.chemistry.substances import find
from labctl.chemistry.varshni import peak_at
from labctl.cli.answer import Answer, Calculator, Value, number
from labctl.cli.options import Options
from labctl.cli.quantities import (
    celsius_of,
    nanometres,
    one_of,
    option,
    plain_number,
    positive,
)
from labctl.errors import UnknownNameError, UsageError
from labctl.units import parse, show_amount

_CHOI = "Choi et al., Nat. Commun. 2023, 14, 43"
_LENGTHS = {Convention.DIAMETER: "diameter", Convention.EDGE: "edge"}
_MOST_LIGANDS_PER_NM2 = 6.0  # upright chains pack no closer than about 0.17 nm² each
_MOST_AU = 2.0
_INP_LO_PER_CM = 350.0


def _takes_size(parser: Options) -> None:
    parser.add_argument("peak", metavar="PEAK", help="first exciton, e.g. 580nm")
    option(parser, "curve", "NAME", "sizing curve", PAPER.name)
    option(parser, "at", "TEMPERATURE", "where the peak was read", "25C")


def _size(asked: argparse.Namespace) -> Answer:
    chosen = curve(asked.curve)
    at_c = celsius_of(asked.at, "--at")
    cold_nm = peak_at(positive(asked.peak, "wavelength", "the peak"), at_c, 25.0)
    size = chosen.size(cold_nm)
    mu = _absorption_per_cm("toluene")
    what = _LENGTHS.get(size.convention)
    first = (number(f"{what}_nm", what, size.value, "nm"),) if what else ()
    values = (
        *first,
        number("volume_nm3", "volume", size.volume_nm3, "nm³"),
        number("extinction_413_per_m_cm", "ε at 413 nm", molar_extinction(mu, size), "L/(mol cm)"),
        number("peak_25c_nm", "peak at 25 °C", cold_nm, "nm"),
        Value("curve", "curve", size.curve, size.curve),
        Value("convention", "a size is a", str(size.convention), str(size.convention)),
    )
    gap, factor, power = chosen.gap_ev, chosen.prefactor_ev, chosen.exponent
    formula = f"E = {gap:g} + {factor:.5g} x^-{power:g} eV, x the {size.convention}"
    assumed = ["ε in toluene from bulk n and k of InP (Aspnes and Studna)"]
    if at_c != 25.0:
        assumed.append("the peak moves with temperature as the bulk gap does (Varshni), to 25 %")
    mind = "counts and coverages depend on the curve: never mix sizes of two curves"
    return Answer(values, formula, chosen.source, tuple(assumed), (mind,))


def _takes_shell(parser: Options) -> None:
    option(parser, "core", "SIZE", "diameter of the core, e.g. 3.3nm")
    option(parser, "shell", "CRYSTAL", "crystal of the shell: ZnS or ZnSe")
    option(parser, "rule", "RULE", "thickness of a layer: d111 (a/√3) or half_a (a/2)", "d111")
    parser.add_argument("--layers", metavar="N", help="number of epilayers")


def _takes_layers(parser: Options) -> None:
    _takes_shell(parser)
    option(parser, "nc", "AMOUNT", "amount of cores, e.g. 220nmol")
    excess = f"{crystal.PRECURSOR_EXCESS:g}"
    option(parser, "excess", "FACTOR", "chalcogenide dosed over built in", excess)
    parser.add_argument("--amount", metavar="AMOUNT", help="chalcogenide dosed, e.g. 0.40mmol")


def _layers(asked: argparse.Namespace) -> Answer:
    core_nm, shell, rule = _shell(asked)
    nc_nmol = positive(asked.nc, "amount", "--nc") * 1e6
    excess = plain_number(asked.excess, "--excess")
    if one_of(asked, "amount", "layers") == "amount":
        dose = positive(asked.amount, "amount", "--amount")
        layers = crystal.layers_of_precursor(dose, core_nm, nc_nmol, shell, excess, rule)
    else:
        layers = plain_number(asked.layers, "--layers")
        dose = crystal.precursor_mmol(layers, core_nm, nc_nmol, shell, excess, rule)
    whole = crystal.layers_of_precursor(dose, core_nm, nc_nmol, shell, 1.0, rule)
    thick_nm = shell.layer_nm(rule)
    values = (
        number("layers", "layers", layers, "", 3),
        Value("dose_mmol", "dose", dose, show_amount(dose)),
        number("built_in_mmol", "built in", dose / excess, "mmol"),
        number("per_crystal", "dose per dot", crystal.per_crystal(dose, nc_nmol), "", 4),
        number("diameter_nm", "diameter after", core_nm + 2 * layers * thick_nm, "nm", 3),
        number("layer_nm", "one layer", thick_nm, "nm"),
        number("layers_if_all", "if all reacts", whole, "layers", 3),
    )
    assumed = (
        f"an excess of {excess:g}; 2.25 fits the paper's three ZnS doses on 3.3 nm within 5 %",
        "layers cover the whole sphere evenly",
    )
    mind = ("the paper's ZnSe doses have excesses of 2.4 on 3.3 nm and 1.6 on 2.4 nm",)
    return Answer(
        values,
        "dose = excess × N(dots) × 4 V(shell) / a³",
        f"{_CHOI}, equation (3); its 171 Se atoms follow from d111, not from the a/2 it states",
        assumed,
        mind if shell.name == "ZnSe" and excess == crystal.PRECURSOR_EXCESS else (),
    )


def _takes_concentration(parser: Options) -> None:
    parser.add_argument("absorbance", metavar="ABSORBANCE", help="at 413 nm, e.g. 0.63AU")
    option(parser, "peak", "PEAK", "first exciton at 25 °C, e.g. 470nm")
    option(parser, "path", "LENGTH", "of the cell, e.g. 1mm")
    option(parser, "curve", "NAME", "sizing curve", PAPER.name)
    option(parser, "solvent", "NAME", "toluene or ODE", "toluene")
    option(parser, "dilution", "FOLD", "of the stock before it was measured", "1fold")


def _concentration(asked: argparse.Namespace) -> Answer:
    read = positive(asked.absorbance, "absorbance", "the absorbance")
    path_mm = positive(asked.path, "length", "--path")
    size = curve(asked.curve).size(positive(asked.peak, "wavelength", "--peak"))
    solvent = find(asked.solvent).name
    if solvent not in INDEX:
        raise UsageError(f"no refractive index of {solvent}; known are {', '.join(INDEX)}")
    extinction = molar_extinction(_absorption_per_cm(solvent), size)
    cell = concentration_m(read, extinction, path_mm)
    stock = cell * positive(asked.dilution, "dilution", "--dilution")
    values = (
        number("concentration_umol_l", "concentration", stock * 1e6, "µmol/L"),
        number("in_the_cell_umol_l", "in the cell", cell * 1e6, "µmol/L"),
        number("extinction_413_per_m_cm", "ε at 413 nm", extinction, "L/(mol cm)"),
        number("volume_nm3", "volume of a dot", size.volume_nm3, "nm³"),
        Value("curve", "curve", size.curve, size.curve),
    )
    saturated = f"{read:g} AU is more than a cell can be trusted with; take a shorter path"
    return Answer(
        values,
        "c = A / (ε l), ε = N_A µ V / (1000 ln 10), µ of Maxwell and Garnett",
        "n and k of bulk InP at 413.3 nm, Aspnes and Studna; " + curve(asked.curve).source,
        (f"absorption at 413 nm as of bulk InP, whatever the size, in {solvent}",),
        (saturated,) if read > _MOST_AU else (),
    )


def _absorption_per_cm(solvent: str) -> float:
    return intrinsic_absorption_per_cm(REFERENCE_NM, INP_N_413, INP_K_413, INDEX[solvent])


def _takes_coverage(parser: Options) -> None:
    option(parser, "core", "SIZE", "diameter of the dots, e.g. 2.4nm")
    option(parser, "nc", "AMOUNT", "amount of dots in the tube, e.g. 3.5nmol")
    option(parser, "ferrocene", "AMOUNT", "amount of ferrocene in the tube, e.g. 1000nmol")
    option(parser, "ratio", "NUMBER", "area of ferrocene over area of oleate, e.g. 19.7")


def _coverage(asked: argparse.Namespace) -> Answer:
    core_nm = nanometres(asked.core, "--core")
    nc_nmol = positive(asked.nc, "amount", "--nc") * 1e6
    ferrocene_nmol = positive(asked.ferrocene, "amount", "--ferrocene") * 1e6
    ratio = plain_number(asked.ratio, "--ratio")
    surface = crystal.surface_nm2(core_nm)
    density = crystal.ligands_per_nm2(ratio, ferrocene_nmol, nc_nmol, surface)
    phosphorus = crystal.phosphorus_atoms(core_nm)
    values = (
        number("ligands_per_nm2", "ligands", density, "per nm²"),
        number("ligands_per_crystal", "ligands per dot", density * surface, "", 3),
        number("surface_nm2", "surface", surface, "nm²"),
        number("phosphorus_per_crystal", "P per dot", phosphorus, ""),
        number("indium_per_crystal", "In per dot", crystal.indium_atoms(phosphorus), ""),
    )
    mind = "more than 6 per nm² have no room; is --ratio upside down?"
    return Answer(
        values,
        "Y = (A(oleate)/2) / (A(ferrocene)/10) × F / (N S), S = π d²; P = 4 V / a³",
        f"{_CHOI}, equations (1) and (2)",
        ("dots are spheres, a(InP) is 0.5869 nm, In:P is 1.44 as in the paper",),
        (mind,) if density > _MOST_LIGANDS_PER_NM2 else (),
    )


def _takes_strain(parser: Options) -> None:
    _takes_shell(parser)
    parser.add_argument("--thickness", metavar="SIZE", help="of the shell, instead of --layers")
    parser.add_argument("--misfit", metavar="PERCENT", help="of the shell, e.g. --misfit=-3.45%%")


def _strain(asked: argparse.Namespace) -> Answer:
    core_nm, shell, rule = _shell(asked)
    if one_of(asked, "layers", "thickness") == "layers":
        thick_nm = plain_number(asked.layers, "--layers") * shell.layer_nm(rule)
    else:
        thick_nm = nanometres(asked.thickness, "--thickness")
    misfit = strain.misfit(INP.a_nm, shell.a_nm)
    if asked.misfit is not None:
        misfit = parse(asked.misfit, "fraction").value
    if not abs(misfit) < 1:
        raise UsageError(f"--misfit is {asked.misfit!r}; expected between -100 and 100 %")
    found = strain.core_strain(misfit, core_nm / 2, core_nm / 2 + thick_nm)
    shift = strain.raman_shift(found)
    angle = strain.two_theta_deg(INP.a_nm, found)
    values = (
        number("strain_percent", "strain", 100 * found, "%", 3),
        number("misfit_percent", "misfit", 100 * misfit, "%", 3),
        number("shell_nm", "shell", thick_nm, "nm", 3),
        number("raman_shift_percent", "Raman shift", 100 * shift, "%", 3),
        number("raman_shift_per_cm", "of InP LO", shift * _INP_LO_PER_CM, "cm⁻¹", 3),
        Value("two_theta_deg", "2θ of (111)", angle, f"{angle:.3f}°"),
    )
    assumed = (
        f"ν {strain.POISSON_INP:g} for core and shell, Grüneisen {strain.GRUENEISEN:g}",
        f"InP LO at {_INP_LO_PER_CM:g} cm⁻¹, Cu Kα {strain.CU_KA_NM:g} nm; minus is compression",
    )
    return Answer(
        values,
        "s = 2/3 (1-2ν)/(1-ν) ε (1 - (r/R)³); Δω/ω = (1+3s)^-1.24 - 1",
        f"{_CHOI}, equations (5) and (4); the sign of (5) follows the misfit",
        assumed,
        ("for two layers of ZnSe the paper prints -0.00646; its printed inputs give -0.00658",),
    )


def _shell(asked: argparse.Namespace) -> tuple[float, Lattice, LayerRule]:
    """Read core, shell and rule of layers.

    Raises:
        UnknownNameError: a rule or a crystal that there is not.
        UsageError: a core of no size.
    """
    if asked.rule not in list(LayerRule):
        raise UnknownNameError("layer rule", asked.rule, [rule.value for rule in LayerRule])
    return nanometres(asked.core, "--core"), lattice(asked.shell), LayerRule(asked.rule)


CALCULATORS: dict[str, Calculator] = {
    "size": Calculator(_takes_size, _size),
    "layers": Calculator(_takes_layers, _layers),
    "concentration": Calculator(_takes_concentration, _concentration),
    "coverage": Calculator(_takes_coverage, _coverage),
    "strain": Calculator(_takes_strain, _strain),
}
