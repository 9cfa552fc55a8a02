"""Stocks by their composition, what saturation can mean, and fatty acid solutions."""

import pytest

from labctl.chemistry.amounts import neat_volume_ml
from labctl.chemistry.reagent import dissolved_mol_l, parse_composition
from labctl.chemistry.stocks import (
    STOCKS,
    carboxylate_solvent_ml,
    saturated_mol_l,
    stock_mol_l,
    stock_of,
)
from labctl.chemistry.substances import find
from labctl.errors import UsageError

TOP, SELENIUM, OLEIC = find("TOP"), find("selenium"), find("oleic acid")


@pytest.mark.parametrize("row", STOCKS, ids=lambda row: row.text)
def test_a_stock_is_one_that_its_substance_can_have(row):
    assert stock_of(row.composition) is row
    assert stock_mol_l(row.composition) == row.concentration_mol_l


def test_what_is_typed_wins_over_the_stock():
    assert stock_mol_l(parse_composition("Zn(OA)2 in octadecene"), 0.4) == 0.4


def test_what_is_no_stock_has_the_neat_concentration_or_none():
    assert stock_of(parse_composition("InP-OA 3.3 nm in toluene")) is None
    assert stock_mol_l(parse_composition("toluene")) == pytest.approx(9.355, abs=1e-3)
    with pytest.raises(UsageError, match="needs a concentration"):
        stock_mol_l(parse_composition("InP-OA 3.3 nm in toluene"))


def test_impure_phosphine_holds_less_and_swells_less():
    # 1 mL TOP of 97 % takes 2.175 mmol Se, which is 35.7 µL.
    assert saturated_mol_l(TOP, SELENIUM, 0.97) == pytest.approx(2.1748 / 1.0357, abs=1e-3)


@pytest.mark.parametrize("purity", [0.0, -1.0, 1.01])
def test_refuses_impossible_purities(purity):
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        saturated_mol_l(TOP, SELENIUM, purity)


def test_acid_and_solvent_fill_the_volume():
    for concentration in (0.1, 0.3, 0.5):
        solvent = carboxylate_solvent_ml(OLEIC, 2, 10, concentration)
        total = solvent + neat_volume_ml(OLEIC, 20)
        assert 10 / total == pytest.approx(concentration)


@pytest.mark.parametrize("concentration", [0.0, -0.5, 1.6])
def test_refuses_more_metal_than_its_acid_holds(concentration):
    # 10 mmol in 6.31 mL oleic acid is 1.584 mol/L.
    with pytest.raises(UsageError, match=r"at most 1\.58"):
        carboxylate_solvent_ml(OLEIC, 2, 10, concentration)


@pytest.mark.parametrize(("mmol", "solvent_ml"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -0.1)])
def test_nothing_dissolved_is_no_solution(mmol, solvent_ml):
    with pytest.raises(UsageError, match="make no solution"):
        dissolved_mol_l(parse_composition("P(TMS)3 in TOP"), mmol, solvent_ml)
