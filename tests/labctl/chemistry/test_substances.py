"""The table: molar masses follow from formulas, names are unique, look-ups forgive spelling."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.chemistry.substances import HAZARDS, SUBSTANCES, Antoine, find, known_names
from labctl.errors import UnknownNameError

# Abridged standard atomic weights, IUPAC 2021.
ATOMIC_WEIGHT = {
    "H": 1.008, "B": 10.81, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998, "Si": 28.085,
    "P": 30.974, "S": 32.06, "Cl": 35.45, "Ar": 39.95, "Zn": 65.38, "Se": 78.971, "In": 114.818,
}  # fmt: skip

PAPER = """squalane; 1-octadecene; oleic acid; stearic acid; toluene; acetone; octane; THF; DMF;
trioctylphosphine; trioctylamine; zinc oleate; indium oleate; indium stearate; zinc acetate;
indium acetate; P(TMS)3; TOP selenide; TOP sulfide; selenium; sulfur; HF; water; acetic acid; DIAD;
NOBF4; InP-OA; chloroform; H2Se; H2S; PH3; CO2; N2; isopropanol; zinc fluoride"""


def weight_of(formula):
    pieces = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    return sum(ATOMIC_WEIGHT[symbol] * int(count or 1) for symbol, count in pieces)


def test_molar_masses_are_those_of_the_formulas():
    apart = {n: row.molar_mass_g_mol - weight_of(row.formula) for n, row in SUBSTANCES.items()}
    assert {name: off for name, off in apart.items() if abs(off) > 0.03} == {}


def test_numbers_are_those_of_matter():
    for row in SUBSTANCES.values():
        assert row.density_g_ml > 0, row
        assert 0.2 < row.heat_capacity_j_gk < 4.3, row
        assert row.hazards <= HAZARDS, row
        if row.melts_c is not None and row.boils_c is not None:
            assert row.melts_c < row.boils_c, row


def test_what_boils_in_the_flask_can_evaporate_in_the_model():
    boiling = [r for r in SUBSTANCES.values() if r.state == "liquid" and r.boils_c is not None]
    assert [row.name for row in boiling if row.antoine is None] == []


def test_everything_the_procedures_name_is_known():
    assert {find(name).name for name in PAPER.split(";")} <= set(SUBSTANCES)


def test_no_name_means_two_things():
    folded = [name.casefold() for name in known_names()]
    assert len(folded) == len(set(folded))


@given(st.sampled_from(known_names()), st.sampled_from([str.upper, str.lower, str.title]))
def test_case_and_spacing_do_not_matter(name, change):
    assert find(f"  {change(name).replace(' ', '   ')} ") == find(name)


def test_subscript_digits_are_digits():
    assert find("P(TMS)₃") == find("P(TMS)3")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'squalane'"):
        find("sqaulane")


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("1-octadecene", "liquid"),
        ("P(TMS)3", "liquid"),
        ("TOP sulfide", "liquid"),
        ("stearic acid", "solid"),
        ("zinc oleate", "solid"),
        ("selenium", "solid"),
        ("H2Se", "gas"),
        ("InP-OA", "particle"),
    ],
)
def test_state_when_measured_out(name, state):
    assert find(name).state == state


def test_the_dangerous_ones_say_so():
    assert "pyrophoric" in find("P(TMS)3").hazards
    assert {"HF", "toxic"} <= find("HF").hazards
    assert {"toxic", "stench"} <= find("TOP selenide").hazards
    assert "peroxides" in find("THF").hazards
    assert not find("squalane").hazards


def test_gas_density_is_that_of_the_molar_volume_at_room_temperature():
    # 24.465 L/mol at 25 °C and 1 atm; nitrogen is tabulated as 1.145 g/L.
    assert find("N2").density_g_ml * 1e3 == pytest.approx(1.145, abs=0.001)


def test_dots_take_no_room():
    assert find("InP-OA").molar_volume_ml_mmol == 0.0


def test_every_antoine_row_belongs_to_a_substance():
    with_constants = [row for row in SUBSTANCES.values() if isinstance(row.antoine, Antoine)]
    assert len(with_constants) == 19
    assert all(row.antoine.low_c < row.antoine.high_c for row in with_constants)
