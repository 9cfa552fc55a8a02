"""The grammar of `is:` and what a dispensed volume holds, against Choi 2023's stocks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.chemistry.reagent import (
    concentration_of,
    contents_of,
    contents_of_amount,
    parse_composition,
    volume_for_ml,
)
from labctl.chemistry.substances import SUBSTANCES, find, known_names
from labctl.errors import RefusedError, UnknownNameError, UsageError

ZINC = parse_composition("zinc oleate in ODE")
HF = parse_composition("HF 48 % in acetone")
SULFIDE = parse_composition("TOP sulfide saturated")
DOTS = parse_composition("InP-OA 3.3 nm in toluene")
LIQUIDS = [name for name in known_names() if find(name).state == "liquid"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("squalane", ("squalane", None, None, False, None)),
        ("1-octadecene", ("1-octadecene", None, None, False, None)),
        ("InP-OA 3.3 nm in toluene", ("InP-OA", 3.3, None, False, "toluene")),
        ("InP 2.4nm in octane", ("InP", 2.4, None, False, "octane")),
        ("HF 48 % in acetone", ("HF", None, 0.48, False, "acetone")),
        ("HF 48%", ("HF", None, 0.48, False, None)),
        ("TOP sulfide saturated", ("TOP sulfide", None, None, True, None)),
        ("trioctylphosphine  selenide Saturated", ("TOP selenide", None, None, True, None)),
        ("zinc oleate in ODE", ("zinc oleate", None, None, False, "1-octadecene")),
        ("indium oleate in 1-octadecene", ("indium oleate", None, None, False, "1-octadecene")),
        ("P(TMS)3 in TOP", ("P(TMS)3", None, None, False, "trioctylphosphine")),
        ("NOBF4 in DMF", ("NOBF4", None, None, False, "dimethylformamide")),
    ],
)
def test_reads_the_reagents_of_the_recipes(text, expected):
    got = parse_composition(text)
    solvent = got.solvent and got.solvent.name
    assert (got.substance.name, got.size_nm, got.mass_fraction, got.saturated, solvent) == expected


@given(
    st.sampled_from(known_names()),
    st.sampled_from(LIQUIDS),
    st.sampled_from([str, str.upper, str.lower]),
)
def test_every_name_is_read_whole_beside_every_solvent(name, solvent, change):
    got = parse_composition(change(f"{name} in {solvent}"))
    assert (got.substance, got.solvent) == (find(name), find(solvent))


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        composition = parse_composition(text)
    except RefusedError:
        return
    assert composition.substance.name in SUBSTANCES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no substance"),
        ("squalane 3.3 nm", "only nanocrystals have a size"),
        ("InP-OA 0 nm in toluene", "above 0 nm"),
        ("squalane 99 %", "belongs to its lot"),
        ("HF 0 % in acetone", "mass fraction lies above"),
        ("HF 480 % in acetone", "mass fraction lies above"),
        ("zinc oleate saturated in ODE", "only a phosphine chalcogenide"),
        ("zinc oleate in selenium", "dissolves nothing"),
        ("zinc oleate in N2", "dissolves nothing"),
        ("InP-OA 3.3 nm", "add 'in SOLVENT'"),
    ],
)
def test_refuses_what_means_nothing(text, message):
    with pytest.raises(UsageError, match=message):
        parse_composition(text)


@pytest.mark.parametrize("text", ["zink oleate in ODE", "zinc oleate in ODF", "saturated", "48 %"])
def test_refuses_unknown_names(text):
    with pytest.raises(UnknownNameError):
        parse_composition(text)


def test_zinc_stock_is_the_stated_half_molar_by_additive_volumes():
    # 10 mmol as zinc oleate and 13.7 mL ODE make 20.0 mL (Methods: 0.5 M).
    held = contents_of(ZINC, 20.012, 0.4997)
    assert held["zinc oleate"] == pytest.approx(10.0, rel=1e-4)
    assert held["1-octadecene"] * 252.48 / 1000 / 0.789 == pytest.approx(13.70, abs=0.01)


def test_indium_stock_is_made_up_with_ten_and_a_half_millilitres():
    held = contents_of(parse_composition("indium oleate in ODE"), 20.0, 0.5)
    assert held["1-octadecene"] * 252.48 / 1000 / 0.789 == pytest.approx(10.53, abs=0.01)


def test_phosphine_precursor_carries_its_phosphine():
    held = contents_of(parse_composition("P(TMS)3 in TOP"), 1.290, 0.775)
    assert held["P(TMS)3"] == pytest.approx(1.0, abs=0.001)
    assert held["trioctylphosphine"] == pytest.approx(2.24, abs=0.005)


def test_hf_dose_brings_water_and_a_tenth_of_a_millilitre_of_acetone():
    held = contents_of_amount(HF, 0.400, 0.400 / 0.1145)
    assert list(held) == ["HF", "water", "acetone"]
    assert held["HF"] == pytest.approx(0.400)
    assert held["water"] == pytest.approx(0.481, abs=0.001)
    assert held["acetone"] == pytest.approx(0.100 * 0.784 / 58.08 * 1000, rel=0.002)


def test_aqueous_hf_in_water_is_one_pool_of_water():
    # 1 mmol of 48 % acid is 36.2 µL with 1.203 mmol water; 963.8 µL more is 53.3 mmol.
    held = contents_of(parse_composition("HF 48 % in water"), 1.0, 1.0)
    assert held == {"HF": pytest.approx(1.0), "water": pytest.approx(54.54, abs=0.01)}


def test_saturated_sulfide_is_the_whole_volume():
    assert contents_of(SULFIDE, 0.1843, 2.17) == {"TOP sulfide": pytest.approx(0.400, abs=1e-4)}
    assert concentration_of(SULFIDE) == pytest.approx(2.17, abs=0.002)
    assert concentration_of(SULFIDE, 1.9) == 1.9


def test_a_saturated_stock_stated_weaker_than_neat_is_filled_up_with_top():
    # 1.9 mmol of 402.70 g/mol at 0.8739 g/mL is 0.8755 mL; 0.1245 mL of TOP (0.831 g/mL,
    # 370.65 g/mol) is 0.279 mmol.
    held = contents_of(SULFIDE, 1.0, 1.9)
    assert held == {
        "TOP sulfide": pytest.approx(1.9),
        "trioctylphosphine": pytest.approx(0.279, abs=0.001),
    }


def test_neat_liquid_is_measured_by_density():
    held = contents_of(parse_composition("squalane"), 10.0)
    assert held == {"squalane": pytest.approx(8.10 / 422.81 * 1000)}


def test_dots_take_no_room_in_their_solvent():
    held = contents_of(DOTS, 4.4, 50e-6)
    assert held["InP-OA"] == pytest.approx(220e-6)
    assert held["toluene"] == pytest.approx(4.4 * 0.862 / 92.14 * 1000)


def test_dose_volumes_of_the_paper():
    assert volume_for_ml(ZINC, 1.5, 0.5) == pytest.approx(3.0)
    assert volume_for_ml(DOTS, 220e-6, 50e-6) == pytest.approx(4.4)
    assert volume_for_ml(SULFIDE, 0.16, 2.17) * 1e3 == pytest.approx(73.7, abs=0.05)


def test_a_solid_is_weighed_and_comes_alone():
    selenium = parse_composition("selenium")
    assert contents_of_amount(selenium, 24.7) == {"selenium": 24.7}
    room_ml = volume_for_ml(selenium, 24.7)
    assert room_ml * 4.81 == pytest.approx(24.7e-3 * 78.97), "density times room is mass"
    assert contents_of(selenium, room_ml) == {"selenium": pytest.approx(24.7)}


@pytest.mark.parametrize(
    ("composition", "stated"),
    [
        (ZINC, None),
        (ZINC, 0.0),
        (ZINC, 1.6),
        (HF, 27.7),
        (SULFIDE, 2.4),
        (parse_composition("squalane"), 1.0),
        (parse_composition("selenium"), 1.0),
    ],
)
def test_refuses_concentrations_that_cannot_be(composition, stated):
    with pytest.raises(UsageError):
        concentration_of(composition, stated)


@pytest.mark.parametrize("volume_ml", [-1.0, math.nan, math.inf])
def test_refuses_impossible_doses(volume_ml):
    with pytest.raises(UsageError, match="cannot be dispensed"):
        contents_of(ZINC, volume_ml, 0.5)


def test_refuses_negative_weights():
    with pytest.raises(UsageError, match="cannot be weighed"):
        contents_of_amount(parse_composition("selenium"), -1.0)


@given(st.floats(0.001, 50), st.floats(0.001, 1.5))
def test_volumes_add_up(volume_ml, concentration):
    held = contents_of(ZINC, volume_ml, concentration)
    total = sum(SUBSTANCES[name].molar_volume_ml_mmol * mmol for name, mmol in held.items())
    assert total == pytest.approx(volume_ml)
