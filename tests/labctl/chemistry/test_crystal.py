"""Equations (1) to (3), doses and sizes of the paper, recomputed by hand."""

import pytest

from labctl.chemistry.crystal import (
    INP,
    ZNS,
    Lattice,
    LayerRule,
    diameter_of,
    indium_atoms,
    layers_of,
    ligands_per_nm2,
    phosphorus_atoms,
    precursor_mmol,
    shell_atoms,
    surface_nm2,
)

PAPER_ZNSE = Lattice("ZnSe", 0.567)


def test_phosphorus_of_equation_1():
    assert 148 <= phosphorus_atoms(2.43) <= 150
    assert phosphorus_atoms(2.40) == pytest.approx(143.2, abs=0.2)
    assert phosphorus_atoms(3.3) == pytest.approx(372.3, abs=0.2)
    assert phosphorus_atoms(2.40, Lattice("none", 0.5792)) == pytest.approx(149, abs=0.1)


def test_149_phosphorus_needs_the_unrounded_diameter():
    assert 2.4291 <= diameter_of(149) <= 2.4346


def test_indium():
    assert round(indium_atoms(149)) == 215


def test_surface_is_the_one_of_the_rounded_diameter():
    assert surface_nm2(2.40) == pytest.approx(18.1, abs=0.01)
    assert surface_nm2(2.432) == pytest.approx(18.58, abs=0.01)


def test_ligands_of_equation_2_and_the_direction_of_its_ratio():
    density = ligands_per_nm2(19.7, ferrocene_nmol=1000, nc_nmol=3.5, surface_nm2=18.1)
    assert density == pytest.approx(4.006, abs=0.001)
    assert int(density * 18.1) == 72
    inverted = ligands_per_nm2(1 / 19.7, ferrocene_nmol=1000, nc_nmol=3.5, surface_nm2=18.1)
    assert inverted == pytest.approx(1555, abs=1)


def test_selenium_of_equation_3_follows_the_111_spacing():
    layer = PAPER_ZNSE.layer_nm()
    assert layer == pytest.approx(0.3274, abs=1e-4)
    for diameter_nm, atoms in ((2.40, 168.7), (2.42, 171.1), (2.43, 172.6)):
        assert shell_atoms(diameter_nm, layer, PAPER_ZNSE) == pytest.approx(atoms, abs=0.3)
        assert atoms == pytest.approx(171, abs=3)


def test_selenium_with_the_stated_thickness():
    stated = PAPER_ZNSE.layer_nm(LayerRule.HALF_A)
    assert stated == pytest.approx(0.2835)
    assert shell_atoms(2.4, stated, PAPER_ZNSE) == pytest.approx(141.3, abs=0.1)
    assert shell_atoms(2.4, INP.d111_nm, PAPER_ZNSE) == pytest.approx(176.1, abs=0.2)


def test_spacings():
    assert INP.d111_nm == pytest.approx(0.3388, abs=1e-4)
    assert ZNS.d111_nm == pytest.approx(0.3123, abs=1e-4)


@pytest.mark.parametrize(
    ("layers", "atoms", "geometric", "dosed", "ratio"),
    [
        (1, 324, 0.0714, 0.16, 2.24),
        (2, 770, 0.1695, 0.40, 2.36),
        (4, 2104, 0.463, 1.0, 2.16),
    ],
)
def test_zns_doses(layers, atoms, geometric, dosed, ratio):
    assert shell_atoms(3.3, layers * ZNS.d111_nm, ZNS) == pytest.approx(atoms, abs=1.5)
    needed = precursor_mmol(layers, 3.3, 220, ZNS, excess=1.0)
    assert needed == pytest.approx(geometric, rel=0.004)
    assert dosed / needed == pytest.approx(ratio, abs=0.01)
    assert precursor_mmol(layers, 3.3, 220, ZNS) == pytest.approx(dosed, rel=0.05)


@pytest.mark.parametrize(
    ("diameter_nm", "atoms", "dosed", "ratio"), [(3.3, 746, 0.40, 2.44), (2.4, 450, 0.16, 1.62)]
)
def test_znse_doses(diameter_nm, atoms, dosed, ratio):
    counted = shell_atoms(diameter_nm, 2 * INP.d111_nm, PAPER_ZNSE)
    assert counted == pytest.approx(atoms, abs=1.5)
    assert dosed / (counted * 220e-6) == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize(
    ("diameter_nm", "lattice", "mmol", "layers"),
    [
        (3.3, ZNS, 0.16, 1.9),
        (3.3, ZNS, 0.40, 3.6),
        (3.3, ZNS, 1.0, 6.3),
        (3.3, PAPER_ZNSE, 0.40, 3.7),
        (2.4, PAPER_ZNSE, 0.16, 2.7),
    ],
)
def test_layers_if_all_were_consumed(diameter_nm, lattice, mmol, layers):
    per_nc = mmol * 1e6 / 220
    assert layers_of(per_nc, diameter_nm, lattice) == pytest.approx(layers, abs=0.15)


def test_layers_invert_atoms():
    atoms = shell_atoms(3.3, 2.6 * ZNS.d111_nm, ZNS)
    assert layers_of(atoms, 3.3, ZNS) == pytest.approx(2.6, abs=1e-12)


@pytest.mark.parametrize(
    ("layers", "seen_nm", "spread_nm"), [(1, 3.6, 0.4), (2, 4.7, 0.6), (4, 5.6, 0.8)]
)
def test_sizes_in_the_micrographs(layers, seen_nm, spread_nm):
    assert 3.3 + 2 * layers * ZNS.d111_nm == pytest.approx(seen_nm, abs=spread_nm)
