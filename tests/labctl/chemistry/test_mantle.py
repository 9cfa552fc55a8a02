"""The fit of a mantle finds the constants of a plant that was written apart from it."""

from __future__ import annotations

import pytest

from labctl.chemistry.mantle import fit
from labctl.errors import UsageError
from simulators.plant.thermal import ThermalParameters, ThermalPlant

LIQUID_J_K = 35.0


def course(parameters, *, to_c=150.0, hold_s=1800, fan=False):
    """Heat with a thermostat's on and off, hold, and let it cool to 70 °C; 1 Hz."""
    plant = ThermalPlant(parameters, LIQUID_J_K)
    times, probe, power = [], [], []
    end_s = None
    while end_s is None or plant.probe_1_c > 70.0:
        t_s = len(times)
        if end_s is None and plant.probe_1_c > to_c - 1.0:
            end_s = t_s + hold_s
        heats = (end_s is None or t_s < end_s) and plant.probe_1_c < to_c
        plant.heater_power_w = 40.0 if heats else 0.0
        plant.fan = fan
        times.append(float(t_s))
        probe.append(plant.probe_1_c)
        power.append(plant.heater_power_w)
        plant.step(1.0)
    return times, probe, power, LIQUID_J_K + parameters.glass_j_k


@pytest.mark.parametrize(
    ("capacity", "couple", "loss"), [(80, 0.55, 1.0), (96, 0.44, 0.8), (64, 0.66, 1.2)]
)
def test_the_constants_of_a_plant_are_found_within_five_percent(capacity, couple, loss):
    parameters = ThermalParameters(
        mantle_j_k=capacity,
        mantle_to_flask_w_k=couple,
        mantle_to_air_w_k=0.05 * loss,
        flask_to_air_w_k=0.055 * loss,
    )
    found = fit(*course(parameters))
    assert found.mantle.capacity_j_k == pytest.approx(capacity, rel=0.05)
    assert found.mantle.to_flask_w_k == pytest.approx(couple, rel=0.05)
    assert found.mantle.mantle_to_air_w_k == pytest.approx(0.05 * loss, rel=0.05)
    assert found.mantle.flask_to_air_w_k == pytest.approx(0.055 * loss, rel=0.05)
    assert found.rms_k < 0.5


def test_a_course_without_heat_or_too_short_is_no_fit():
    times, probe, power, flask_j_k = course(ThermalParameters())
    with pytest.raises(UsageError, match="30 min"):
        fit(times[:600], probe[:600], power[:600], flask_j_k)
    with pytest.raises(UsageError, match="heated by 60 K"):
        fit(times, [22.0] * len(times), power, flask_j_k)


def test_a_mantle_of_another_power_than_the_rig_file_says_is_refused():
    times, probe, power, flask_j_k = course(ThermalParameters())
    with pytest.raises(UsageError, match="mantle's power in the rig file"):
        fit(times, probe, [5 * watts for watts in power], flask_j_k)
