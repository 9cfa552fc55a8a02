"""Core growth against the paper's two peaks."""

import pytest

from labctl.errors import RefusedError
from simulators.plant.growth import CoreGrowth


def test_470_nm_is_passed_at_86_percent_conversion():
    growth = CoreGrowth()
    growth.add_phosphine(1.0)
    seen = []
    while growth.grown_mmol < 0.86:
        growth.advance(0.5, 260.0)
        seen.append(growth.peak_nm() or 0.0)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(470.0, abs=0.3)
    assert growth.peak_nm(260.0) == pytest.approx(484.4, abs=0.3)


def test_580_nm_takes_about_eight_portions():
    growth = CoreGrowth()
    growth.add_phosphine(1.0)
    growth.advance(900.0, 260.0)
    portions = 0
    while (growth.peak_nm() or 0.0) < 577.0:
        growth.add_phosphine(0.16)
        growth.advance(600.0, 260.0)
        portions += 1
    assert 7 <= portions <= 9


def test_phosphorus_is_conserved_and_one_long_step_equals_many():
    one, many = CoreGrowth(), CoreGrowth()
    for growth in (one, many):
        growth.add_phosphine(1.0)
    one.advance(600.0, 240.0)
    for _ in range(600):
        many.advance(1.0, 240.0)
    assert one.grown_mmol == pytest.approx(many.grown_mmol, rel=1e-12)
    assert one.grown_mmol + one.precursor_mmol == pytest.approx(1.0)


def test_before_growth_there_is_no_peak():
    growth = CoreGrowth()
    assert growth.peak_nm() is None
    growth.add_phosphine(1.0)
    assert growth.peak_nm() is None
    assert growth.truth()["cores_nmol"] == pytest.approx(6005, abs=10)


def test_an_aliquot_takes_its_share_and_changes_no_peak():
    growth = CoreGrowth()
    growth.add_phosphine(1.0)
    growth.advance(250.0, 260.0)
    peak_nm, conversion = growth.peak_nm(), growth.conversion
    growth.keep(0.75)
    assert growth.peak_nm() == pytest.approx(peak_nm)
    assert growth.conversion == pytest.approx(conversion)
    assert growth.cores_mmol == pytest.approx(0.75 * 0.86 / 143.2, rel=1e-3)
    assert growth.grown_mmol + growth.precursor_mmol == pytest.approx(0.75)


def test_at_120_degrees_hardly_anything_grows_in_a_minute():
    growth = CoreGrowth()
    growth.add_phosphine(1.0)
    growth.advance(60.0, 120.0)
    assert growth.conversion < 1e-3


def test_a_negative_dose_is_refused():
    with pytest.raises(RefusedError, match="-1 mmol"):
        CoreGrowth().add_phosphine(-1.0)
