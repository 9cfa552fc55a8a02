"""The thermal plant against closed forms, an independent integration and the stated numbers."""

import math
from dataclasses import replace

import pytest

from labctl.errors import UsageError
from simulators.plant.thermal import (
    LineHeater,
    LineHeaterParameters,
    ThermalParameters,
    ThermalPlant,
)

FLASK_50 = ThermalParameters()
DARK = replace(FLASK_50, radiation_w_k4=0.0)
ODE_J_K_PER_ML = 1.7
FULL_POWER_W = 0.85 * 80.0


def plant_at(
    temperature_c: float,
    parameters: ThermalParameters = FLASK_50,
    liquid_j_k: float = 10 * ODE_J_K_PER_ML,
) -> ThermalPlant:
    plant = ThermalPlant(parameters, liquid_j_k)
    plant.settle_at(temperature_c)
    return plant


def run(plant: ThermalPlant, duration_s: float, dt_s: float = 1.0) -> None:
    for _ in range(round(duration_s / dt_s)):
        plant.step(dt_s)


def held_at(temperature_c: float, liquid_j_k: float) -> ThermalPlant:
    """A plant held long enough that the mantle stands at its steady excess."""
    plant = plant_at(temperature_c, liquid_j_k=liquid_j_k)
    for _ in range(3000):
        excess_w = 5.0 * (temperature_c - plant.flask_c) + 45.0
        plant.heater_power_w = min(FULL_POWER_W, max(0.0, excess_w))
        plant.step(1.0)
    return plant


def test_about_35_of_60_watts_hold_260_degrees():
    plant = plant_at(260.0)
    plant.heater_power_w = 34.2
    run(plant, 40_000, 5.0)
    assert plant.flask_c == pytest.approx(260.0, abs=1.0)
    plant.heater_power_w = 60.0
    run(plant, 40_000, 5.0)
    assert plant.flask_c > 345.0  # which is why power is limited and watched


def test_steady_state_without_radiation_is_that_of_the_resistor_ladder():
    plant = plant_at(22.0, DARK)
    plant.heater_power_w = 20.0
    run(plant, 60_000, 5.0)
    ladder_w_k = 1 / (1 / 0.55 + 1 / 0.055)
    mantle_k = 20.0 / (0.05 + ladder_w_k)
    assert plant.mantle_c == pytest.approx(22.0 + mantle_k, abs=1e-6)
    assert plant.flask_c == pytest.approx(22.0 + mantle_k * 0.55 / (0.55 + 0.055), abs=1e-6)
    assert plant.probe_1_c == pytest.approx(plant.flask_c, abs=1e-6)


@pytest.mark.parametrize("liquid_j_k", [17.0, 58.0])  # 58: both nodes have one time constant
def test_lowered_mantle_and_flask_cool_each_on_its_own(liquid_j_k: float):
    plant = plant_at(260.0, DARK, liquid_j_k)
    plant.mantle_up = False
    plant.step(4.0)
    plant.step(4.0)
    flask_s = (30.0 + liquid_j_k) / 0.055
    assert plant.flask_c == pytest.approx(22 + 238 * math.exp(-8 / flask_s), abs=1e-6)
    assert plant.mantle_c == pytest.approx(22 + 238 * math.exp(-8 * 0.05 / 80), abs=1e-6)


def test_linear_part_does_not_depend_on_how_time_is_cut():
    whole, cut = plant_at(120.0, DARK), plant_at(120.0, DARK)
    whole.heater_power_w = cut.heater_power_w = 50.0
    whole.step(5.0)
    run(cut, 5.0, 0.125)
    for name in ("mantle_c", "flask_c", "probe_1_c", "probe_2_c"):
        assert getattr(whole, name) == pytest.approx(getattr(cut, name), abs=1e-9)


def test_ramp_agrees_with_an_independent_integration():
    plant = plant_at(200.0)
    plant.heater_power_w, plant.evaporation_w = 60.0, 2.0
    mantle = flask = probe_1 = probe_2 = 200.0
    dt = 0.01
    for _ in range(round(300 / dt)):  # midpoint values are not needed at 10 ms
        radiated = 1e-10 * ((flask + 273.15) ** 4 - 295.15**4)
        into_flask = 0.55 * (mantle - flask)
        lag_1, lag_2 = (flask - probe_1) / 4.0, (flask - probe_2) / 3.0
        mantle += dt * (60.0 - into_flask - 0.05 * (mantle - 22.0)) / 80.0
        flask += dt * (into_flask - 0.055 * (flask - 22.0) - radiated - 2.0) / 47.0
        probe_1 += dt * lag_1
        probe_2 += dt * lag_2
    run(plant, 300, 0.25)
    assert plant.flask_c == pytest.approx(flask, abs=0.02)
    assert plant.mantle_c == pytest.approx(mantle, abs=0.02)
    assert plant.probe_1_c == pytest.approx(probe_1, abs=0.02)
    assert plant.probe_2_c == pytest.approx(probe_2, abs=0.02)
    assert plant.flask_c > plant.probe_2_c > plant.probe_1_c


def test_one_long_step_is_near_many_short_ones():
    long, short = plant_at(300.0), plant_at(300.0)
    long.mantle_up = short.mantle_up = False
    long.step(600.0)
    run(short, 600.0, 0.25)
    assert long.flask_c == pytest.approx(short.flask_c, abs=0.5)
    assert long.t_ns == short.t_ns == 600_000_000_000


def test_cold_addition_takes_16_kelvin():
    plant = plant_at(260.0)
    plant.add_cold(2 * ODE_J_K_PER_ML, 25.0)
    assert plant.flask_c == pytest.approx(260 - 3.4 * 235 / 50.4)
    assert 260 - plant.flask_c == pytest.approx(16.0, abs=0.3)
    assert plant.liquid_j_k == pytest.approx(12 * ODE_J_K_PER_ML)
    assert plant.probe_1_c == 260.0
    run(plant, 4.0, 0.25)
    assert plant.probe_1_c < 255.0


def test_evaporation_cools_by_its_own_heat():
    with_vapour, without = plant_at(120.0, DARK), plant_at(120.0, DARK)
    with_vapour.evaporation_w = 4.7
    with_vapour.step(1.0)
    without.step(1.0)
    assert without.flask_c - with_vapour.flask_c == pytest.approx(0.1, rel=0.02)


def test_partly_slipped_probe_reads_its_share_of_the_excess():
    plant = plant_at(200.0)
    plant.contact_1 = 0.85
    plant.heater_power_w = 24.0
    run(plant, 120, 0.25)
    excess = plant.flask_c - 22.0
    assert plant.probe_1_c == pytest.approx(22.0 + 0.85 * excess, abs=0.3)
    assert plant.probe_2_c == pytest.approx(plant.flask_c, abs=0.3)


def test_natural_cooling_without_mantle_is_0_3_kelvin_per_second():
    plant = plant_at(260.0, liquid_j_k=31.0)
    plant.mantle_up = False
    plant.step(1.0)
    assert 0.25 <= 260.0 - plant.flask_c <= 0.45


@pytest.mark.parametrize(
    ("mantle_up", "fan", "keeps_30"),
    [(False, True, True), (False, False, False), (True, True, False), (True, False, False)],
)
def test_only_jack_down_and_fan_quench_30_kelvin_per_minute(
    mantle_up: bool, fan: bool, keeps_30: bool
):
    plant = held_at(320.0, 31.0)
    plant.heater_power_w = 0.0
    plant.mantle_up, plant.fan = mantle_up, fan
    slowest_k_min = math.inf
    while plant.flask_c > 200.0:
        before_c = plant.flask_c
        plant.step(1.0)
        slowest_k_min = min(slowest_k_min, 60 * (before_c - plant.flask_c))
    assert (slowest_k_min >= 30.0) is keeps_30


def test_85_percent_of_80_watts_ramp_10_kelvin_per_minute_and_reach_320():
    plant = plant_at(22.0, liquid_j_k=31.0)
    plant.heater_power_w = FULL_POWER_W
    rates_k_min = {}
    while plant.flask_c < 320.0 and plant.t_ns < 3_600_000_000_000:
        before_c = plant.flask_c
        plant.step(1.0)
        for mark_c in (120, 200, 250, 319):
            if before_c < mark_c <= plant.flask_c:
                rates_k_min[mark_c] = 60 * (plant.flask_c - before_c)
    assert min(rates_k_min[mark_c] for mark_c in (120, 200, 250)) >= 10.0
    assert rates_k_min[319] >= 8.0


def test_mantle_refuses_what_it_cannot_take():
    plant = plant_at(22.0)
    with pytest.raises(UsageError, match=r"90.*80"):
        plant.heater_power_w = 90.0
    with pytest.raises(UsageError):
        plant.heater_power_w = -1.0
    assert plant.heater_power_w == 0.0


def test_advance_goes_to_a_time_and_never_back():
    plant, stepped = plant_at(100.0), plant_at(100.0)
    plant.advance(250_000_000)
    plant.advance(250_000_000)
    stepped.step(0.25)
    assert plant.flask_c == stepped.flask_c
    assert plant.t_ns == 250_000_000
    with pytest.raises(UsageError, match="back"):
        plant.advance(0)


def test_warm_line_has_a_time_constant_of_a_minute():
    line = LineHeater(LineHeaterParameters())
    line.heater_power_w = 11.6
    line.advance(60_000_000_000)
    assert line.temperature_c == pytest.approx(22 + 58 * (1 - math.exp(-1)))
    run_s = 3600.0
    line.step(run_s)
    assert line.temperature_c == pytest.approx(80.0)
    with pytest.raises(UsageError, match="20"):
        line.heater_power_w = 21.0
    with pytest.raises(UsageError, match="back"):
        line.advance(0)
