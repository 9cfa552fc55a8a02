"""Amounts and volumes against the worked numbers of Choi 2023, Methods."""

import pytest

from labctl.chemistry import amounts
from labctl.chemistry.substances import find
from labctl.errors import UsageError


@pytest.mark.parametrize(
    ("mmol", "mol_l", "ml"),
    [
        (0.16, 2.17, 0.0737),
        (0.36, 2.17, 0.1659),
        (0.40, 2.17, 0.1843),
        (1.0, 2.17, 0.4608),
        (4.0, 2.17, 1.843),
        (220e-6, 50e-6, 4.40),
        (0.25, 0.5, 0.50),
        (1.5, 0.5, 3.0),
        (4.0, 0.5, 8.0),
    ],
)
def test_dose_volumes(mmol, mol_l, ml):
    assert amounts.volume_ml(mmol, mol_l) == pytest.approx(ml, rel=5e-4)
    assert amounts.amount_mmol(ml, mol_l) == pytest.approx(mmol, rel=5e-4)


@pytest.mark.parametrize(
    ("name", "mmol", "gram"),
    [
        ("zinc acetate", 10, 1.835),
        ("oleic acid", 20, 5.649),
        ("indium acetate", 10, 2.920),
        ("stearic acid", 30, 8.534),
        ("selenium", 24.7, 1.95),
        ("DIAD", 0.33, 0.0667),
    ],
)
def test_weighed_amounts(name, mmol, gram):
    assert amounts.mass_g(find(name), mmol) == pytest.approx(gram, rel=1e-3)
    assert amounts.amount_of_mass_mmol(find(name), gram) == pytest.approx(mmol, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "mmol", "ml"),
    [
        ("oleic acid", 20, 6.312),
        ("oleic acid", 30, 9.468),
        ("P(TMS)3", 1, 0.290),
        ("trioctylphosphine", 4, 1.784),
        ("DIAD", 0.33, 0.0650),
    ],
)
def test_neat_liquids_by_density(name, mmol, ml):
    assert amounts.neat_volume_ml(find(name), mmol) == pytest.approx(ml, rel=2e-3)


def test_hf_at_48_percent_is_27_6_molar_and_0_4_mmol_is_14_5_microlitres():
    per_mmol = amounts.aqueous_volume_ml_mmol(find("HF"), 0.48)
    assert 1 / per_mmol == pytest.approx(27.59, abs=0.03)
    assert 0.4 * per_mmol * 1e3 == pytest.approx(14.50, abs=0.02)
    assert 0.2 * per_mmol * 1e3 == pytest.approx(7.25, abs=0.01)


def test_hf_dose_with_acetone_is_three_and_a_half_molar():
    dose_ml = 0.4 * amounts.aqueous_volume_ml_mmol(find("HF"), 0.48) + 0.100
    assert dose_ml * 1e3 == pytest.approx(114.5, abs=0.05)
    assert 0.4 / dose_ml == pytest.approx(3.49, abs=0.01)


def test_water_with_hf():
    assert 0.4 * amounts.water_per_acid(find("HF"), 0.48) == pytest.approx(0.481, abs=0.001)
    assert amounts.water_per_acid(find("HF"), 1.0) == 0.0


@pytest.mark.parametrize("mass_fraction", [0.0, -0.1, 1.01])
def test_refuses_impossible_mass_fractions(mass_fraction):
    with pytest.raises(UsageError, match="expected 0 to 1"):
        amounts.water_per_acid(find("HF"), mass_fraction)


@pytest.mark.parametrize("name", ["selenium", "zinc oleate", "N2", "InP-OA"])
def test_only_liquids_are_measured_by_their_own_volume(name):
    with pytest.raises(UsageError, match="only a liquid"):
        amounts.neat_volume_ml(find(name), 1.0)


def test_particles_have_no_mass_by_amount():
    with pytest.raises(UsageError, match="counted in particles"):
        amounts.mass_g(find("InP-OA"), 220e-6)


def test_no_volume_at_no_concentration():
    with pytest.raises(UsageError, match="no volume"):
        amounts.volume_ml(1.0, 0.0)
