"""Gas volumes and pressures of the procedures, by the ideal gas law."""

import pytest

from labctl.chemistry import gas
from labctl.chemistry.constants import ATM_MBAR
from labctl.errors import UsageError

ACETONE_PER_ML = 0.784 / 58.08 * 1e3


@pytest.mark.parametrize(
    ("hf_mmol", "acetone_ml", "temperature_c", "flash_ml", "rise_atm"),
    [(0.2, 0.05, 150, 39, 0.86), (0.4, 0.10, 120, 72, 1.6), (0.4, 0.40, 120, 203, 4.5)],
)
def test_flash_of_an_hf_dose(hf_mmol, acetone_ml, temperature_c, flash_ml, rise_atm):
    amount = hf_mmol * (1 + 1.203) + acetone_ml * ACETONE_PER_ML
    assert gas.gas_volume_ml(amount, temperature_c) == pytest.approx(flash_ml, abs=0.6)
    rise = gas.pressure_rise_mbar(amount, temperature_c, headspace_ml=45) / ATM_MBAR
    assert rise == pytest.approx(rise_atm, abs=0.05)


def test_the_dose_shut_into_an_evacuated_flask():
    rise = gas.pressure_rise_mbar(2.23, 120, headspace_ml=37) / ATM_MBAR
    assert rise == pytest.approx(1.9, abs=0.05)


@pytest.mark.parametrize(
    ("mmol", "temperature_c", "ml"),
    [(1, 25, 24.5), (20, 120, 645), (4, 300, 188), (4, 25, 97.9), (1, 0, 22.414)],
)
def test_gas_given_off(mmol, temperature_c, ml):
    assert gas.gas_volume_ml(mmol, temperature_c) == pytest.approx(ml, rel=3e-3)


def test_amount_is_the_inverse_of_volume():
    assert gas.gas_amount_mmol(22.414, 0, ATM_MBAR) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(
    ("from_c", "to_c", "ratio"), [(120, 340, 1.56), (120, 320, 1.51), (25, 200, 1.59)]
)
def test_heating_a_closed_volume(from_c, to_c, ratio):
    assert gas.closed_heating_ratio(from_c, to_c) == pytest.approx(ratio, abs=0.005)


def test_cooling_draws_half_the_headspace_in():
    assert gas.drawn_in_ml(30, 320, 25) == pytest.approx(15, abs=0.1)


def test_refuses_the_impossible():
    with pytest.raises(UsageError, match="pressure in mbar"):
        gas.gas_volume_ml(1, 25, 0)
    with pytest.raises(UsageError, match="headspace in mL"):
        gas.pressure_rise_mbar(1, 25, 0)
    with pytest.raises(UsageError, match="absolute temperature"):
        gas.closed_heating_ratio(25, -273.15)
