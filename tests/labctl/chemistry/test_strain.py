"""Equations (4) and (5) against the paper's figures."""

import pytest

from labctl.chemistry.strain import (
    core_strain,
    misfit,
    poisson_of,
    raman_shift,
    strain_of_raman,
    two_theta_deg,
)


def test_raman_shift_of_equation_4():
    assert raman_shift(-0.00646) == pytest.approx(0.02456, abs=1e-5)
    assert raman_shift(-0.00646) * 350 == pytest.approx(8.6, abs=0.01)
    assert strain_of_raman(raman_shift(-0.00646)) == pytest.approx(-0.00646, abs=1e-12)


def test_core_strain_of_equation_5_with_the_printed_inputs():
    assert core_strain(-0.0345, 1.65, 2.35) == pytest.approx(-0.00658, abs=1e-5)


def test_core_strain_with_what_reproduces_the_paper():
    assert core_strain(-0.03387, 1.65, 2.35) == pytest.approx(-0.00646, abs=2e-6)
    assert core_strain(-0.0345, 1.65, 2.324) == pytest.approx(-0.00646, abs=2e-5)
    assert core_strain(misfit(5.8687, 5.670), 1.65, 2.35) == pytest.approx(-0.006457, abs=2e-6)


def test_no_shell_no_strain():
    assert core_strain(-0.0345, 1.65, 1.65) == 0.0


def test_poisson():
    assert poisson_of(101.1, 56.1) == pytest.approx(0.357, abs=5e-4)


@pytest.mark.parametrize(("zns_a_nm", "percent"), [(0.5409, 7.84), (0.54145, 7.74)])
def test_misfit_of_zinc_sulfide(zns_a_nm, percent):
    assert -100 * misfit(0.5869, zns_a_nm) == pytest.approx(percent, abs=0.01)


def test_diffraction_angle_follows_the_strain():
    assert two_theta_deg(0.5869) == pytest.approx(26.301, abs=0.002)
    assert two_theta_deg(0.5869, -0.00646) == pytest.approx(26.475, abs=0.002)
