"""The temperature shift against independent figures."""

import pytest

from labctl.chemistry.varshni import gap_ev, peak_at, shift_ev, slope_nm_per_k


def test_bulk_gap_at_room_temperature():
    assert gap_ev(25.0) == pytest.approx(1.3535, abs=5e-4)
    assert gap_ev(-273.15) == pytest.approx(1.4236)


@pytest.mark.parametrize(
    ("to_c", "shift_mev"),
    [
        (120, -30.9),
        (200, -57.8),
        (250, -74.9),
        (260, -78.3),
        (280, -85.2),
        (320, -99.0),
        (340, -105.9),
    ],
)
def test_shifts_from_25(to_c, shift_mev):
    assert shift_ev(25.0, to_c) * 1e3 == pytest.approx(shift_mev, abs=0.06)
    assert shift_ev(to_c, 25.0) == -shift_ev(25.0, to_c)


@pytest.mark.parametrize(
    ("cold_nm", "temperature_c", "hot_nm"),
    [
        (470, 120, 475.6),
        (470, 200, 480.5),
        (470, 260, 484.4),
        (470, 320, 488.3),
        (580, 120, 588.5),
        (580, 200, 596.1),
        (580, 260, 602.1),
        (580, 320, 608.2),
    ],
)
def test_where_a_cold_peak_is_read_hot(cold_nm, temperature_c, hot_nm):
    assert peak_at(cold_nm, 25.0, temperature_c) == pytest.approx(hot_nm, abs=0.06)
    assert peak_at(hot_nm, temperature_c, 25.0) == pytest.approx(cold_nm, abs=0.06)


@pytest.mark.parametrize(("peak_nm", "slope"), [(470, 0.060), (580, 0.092)])
def test_slope_at_200(peak_nm, slope):
    assert slope_nm_per_k(peak_nm, 200.0) == pytest.approx(slope, abs=6e-4)


def test_slope_is_the_derivative():
    hot = peak_at(580.0, 25.0, 250.0)
    difference = peak_at(hot, 250.0, 250.5) - peak_at(hot, 250.0, 249.5)
    assert slope_nm_per_k(hot, 250.0) == pytest.approx(difference, rel=1e-5)
