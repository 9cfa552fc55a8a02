"""Sizing curves against the paper's anchors and Almeida's points."""

import math

import pytest

from labctl.chemistry.sizing import (
    ALMEIDA_EDGE,
    ALMEIDA_VOLUME,
    CURVES,
    PAPER,
    Convention,
    Size,
    curve,
    energy_ev_of,
    wavelength_nm_of,
)
from labctl.errors import RefusedError, UnknownNameError


@pytest.mark.parametrize(("diameter_nm", "peak_nm"), [(2.4, 470.0), (3.3, 580.0)])
def test_both_anchors_of_the_paper_within_half_a_nanometre(diameter_nm, peak_nm):
    size = Size(diameter_nm, Convention.DIAMETER, "paper")
    assert PAPER.wavelength_nm(size) == pytest.approx(peak_nm, abs=0.5)
    assert PAPER.size(peak_nm).diameter_nm == pytest.approx(diameter_nm, abs=0.003)


@pytest.mark.parametrize(
    ("peak_nm", "edge_nm"),
    [(460, 1.495), (480, 1.986), (510, 2.544), (550, 2.758), (580, 3.132), (620, 4.10)],
)
def test_almeida_edge_fit_is_within_its_published_residual(peak_nm, edge_nm):
    assert ALMEIDA_EDGE.energy_ev(edge_nm) == pytest.approx(energy_ev_of(peak_nm), abs=0.12)


@pytest.mark.parametrize(("peak_nm", "edge_nm"), [(470, 1.71), (580, 3.465)])
def test_almeida_edges(peak_nm, edge_nm):
    assert ALMEIDA_EDGE.size(peak_nm).value == pytest.approx(edge_nm, abs=0.01)


def test_almeida_volume_at_580_is_a_third_of_the_paper_sphere():
    volume = ALMEIDA_VOLUME.size(580.0).volume_nm3
    sphere = PAPER.size(580.0).volume_nm3
    assert volume == pytest.approx(5.16, abs=0.02)
    assert sphere == pytest.approx(18.8, abs=0.1)
    assert sphere / volume == pytest.approx(3.65, abs=0.03)


def test_edge_is_not_diameter():
    assert wavelength_nm_of(ALMEIDA_EDGE.energy_ev(2.4)) == pytest.approx(524, abs=1)
    with pytest.raises(RefusedError, match=r"takes edge of the tetrahedron"):
        ALMEIDA_EDGE.wavelength_nm(PAPER.size(470.0))
    with pytest.raises(RefusedError, match="compare volumes"):
        _ = ALMEIDA_EDGE.size(470.0).diameter_nm


def test_volume_of_each_convention():
    assert Size(2.0, Convention.DIAMETER, "x").volume_nm3 == pytest.approx(4 * math.pi / 3)
    assert Size(1.0, Convention.EDGE, "x").volume_nm3 == pytest.approx(0.117851, rel=1e-5)
    assert Size(5.0, Convention.VOLUME, "x").volume_nm3 == 5.0


def test_curve_and_convention_travel_with_the_number():
    assert PAPER.size(520.0).curve == "paper-anchored"
    assert ALMEIDA_EDGE.size(520.0).convention is Convention.EDGE


@pytest.mark.parametrize("name", sorted(CURVES))
def test_round_trip(name):
    chosen = curve(name)
    for peak_nm in (450.0, 500.0, 580.0, 600.0):
        assert chosen.wavelength_nm(chosen.size(peak_nm)) == pytest.approx(peak_nm, abs=1e-9)


def test_outside_its_range_a_curve_refuses():
    with pytest.raises(RefusedError, match="got 700 nm"):
        PAPER.size(700.0)
    with pytest.raises(RefusedError, match="from 2 to"):
        PAPER.wavelength_nm(Size(1.0, Convention.DIAMETER, "x"))


def test_unknown_curve_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'paper-anchored'"):
        curve("paper-anchord")
