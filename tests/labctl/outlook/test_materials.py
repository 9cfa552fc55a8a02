import dataclasses

import pytest

from labctl.bench import Loaded
from labctl.chemistry.reagent import parse_composition
from labctl.outlook.materials import hazards, mass_g, materials, reagents_of, taken


def loaded(text, mol_l=None):
    return Loaded("X", parse_composition(text), mol_l)


@pytest.mark.parametrize(
    ("text", "mol_l", "volume_ml", "grams"),
    [
        ("squalane", None, 10.0, 8.10),  # 0.810 g/mL
        ("zinc oleate in ODE", 0.5, 1.0, None),
        ("HF 48 %", None, 1.0, None),
        ("TOP sulfide saturated", 2.17, 1.0, None),
        ("InP-OA 3.3 nm in toluene", 50e-6, 1.0, None),
    ],
)
def test_what_is_neat_is_weighed(text, mol_l, volume_ml, grams):
    found = mass_g(loaded(text, mol_l), volume_ml)
    assert found == (grams if grams is None else pytest.approx(grams, rel=2e-3))


def test_a_solid_weighs_its_amount_times_its_molar_mass():
    load = loaded("indium acetate")
    substance = load.composition.substance
    assert substance.state == "solid"
    volume_ml = 2.0 * substance.molar_volume_ml_mmol
    assert mass_g(load, volume_ml) == pytest.approx(2.0 * substance.molar_mass_g_mol / 1e3)


def test_what_is_drawn_is_doses_line_and_spare(paper_plan):
    rows = {row.reagent: row for row in materials(paper_plan)}
    for row in rows.values():
        if row.drawn_ml is not None:
            assert row.doses_ml + row.priming_ml + row.left_ml == pytest.approx(row.drawn_ml)
            assert row.mass_g is None
    assert rows["NC"].left_ml is None
    assert taken(rows["SQ"]) == "10.000 mL (8.100 g)"
    assert taken(rows["NC"]) == "4.400 mL"
    solid = dataclasses.replace(rows["SQ"], weighed=True, mass_g=0.0123)
    assert taken(solid) == "12.3 mg"


def test_hazards_are_those_of_the_substance_and_its_solvent(paper_plan):
    assert "HF" in hazards(paper_plan, "HF")
    assert "flammable" in hazards(paper_plan, "HF")  # acetone
    assert hazards(paper_plan, "SQ") == ()


def test_priming_and_flushing_handle_reagents_too(paper_plan):
    steps = {planned.step.id: planned.step for planned in paper_plan.steps}
    assert reagents_of(steps["load.8"]) == ("ZN", "S")
    assert reagents_of(steps["finally.2"]) == ("ZN", "S", "HF")
    assert reagents_of(steps["hf"]) == ("HF",)
    assert reagents_of(steps["stage1.1"]) == ()
