"""Intrinsic absorption and molar extinction against published values and recomputed ones."""

import pytest

from labctl.chemistry.extinction import (
    INP_K_413,
    INP_N_413,
    REFERENCE_NM,
    absorbance,
    concentration_m,
    intrinsic_absorption_per_cm,
    molar_extinction,
)
from labctl.chemistry.sizing import PAPER, Convention, Size


@pytest.mark.parametrize(("solvent_index", "mu"), [(1.444, 7.5e4), (1.496, 8.2e4)])
def test_intrinsic_absorption_in_octadecene_and_toluene(solvent_index, mu):
    got = intrinsic_absorption_per_cm(REFERENCE_NM, INP_N_413, INP_K_413, solvent_index)
    assert got == pytest.approx(mu, rel=0.01)


def test_in_a_medium_of_its_own_index_the_bulk_value_returns():
    got = intrinsic_absorption_per_cm(500.0, 2.0, 1e-9, 2.0)
    assert got == pytest.approx(4 * 3.14159265 * 1e-9 / 500e-7, rel=1e-6)


@pytest.mark.parametrize(
    ("diameter_nm", "extinction", "micromolar", "per_mm"),
    [(2.4, 1.55e5, 44, 0.63), (3.3, 4.02e5, 22, 0.82)],
)
def test_molar_extinction_in_toluene(diameter_nm, extinction, micromolar, per_mm):
    toluene = intrinsic_absorption_per_cm(REFERENCE_NM, INP_N_413, INP_K_413, 1.496)
    size = Size(diameter_nm, Convention.DIAMETER, "typed")
    assert molar_extinction(toluene, size) == pytest.approx(extinction, rel=0.005)
    octadecene = intrinsic_absorption_per_cm(REFERENCE_NM, INP_N_413, INP_K_413, 1.444)
    flask = absorbance(molar_extinction(octadecene, size), micromolar * 1e-6, path_mm=1.0)
    assert flask == pytest.approx(per_mm, rel=0.02)


def test_concentration_inverts_absorbance():
    extinction = molar_extinction(8.2e4, PAPER.size(580.0))
    assert concentration_m(absorbance(extinction, 22e-6, 2.0), extinction, 2.0) == pytest.approx(
        22e-6
    )
