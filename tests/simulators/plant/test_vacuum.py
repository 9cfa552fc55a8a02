"""The vacuum line against ideal gas, exponentials, balances and the times of a real line."""

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from labctl.errors import UnknownNameError, UsageError
from simulators.plant.vacuum import (
    Liquid,
    VacuumLine,
    VacuumParameters,
    Volatile,
    conductance_l_s,
)

MTORR_MBAR = 1.333223684e-3
MBAR_L_MMOL = 0.0831446262 * 295.15


def antoine(a: float, b: float, c: float) -> Callable[[float], float]:
    """Vapour pressure in mbar from constants for Torr and °C."""
    return lambda temperature_c: 1.333223684 * 10 ** (a - b / (c + temperature_c))


ODE = Volatile(antoine(7.7993, 2546.74, 203.58), 67.0)
TOLUENE = Volatile(antoine(6.9747, 1357.13, 220.89), 38.0)
ACETONE = Volatile(antoine(7.1316, 1215.74, 229.91), 31.0)
WATER = Volatile(antoine(8.0090, 1696.97, 230.88), 44.0, release_s=600.0)
VOLATILES = {"ODE": ODE, "toluene": TOLUENE, "acetone": ACETONE, "water": WATER}
RIG = VacuumParameters()
TIGHT = replace(RIG, leak_mbar_l_s=0.0, outgassing_at_1h_mbar_l_s=0.0)
SQUALANE_MMOL = 19.2  # 10 mL


def squalane(temperature_c: float = 25.0, **volatile_mmol: float) -> Liquid:
    return Liquid(10.0, temperature_c, dict(volatile_mmol), SQUALANE_MMOL)


def run(line: VacuumLine, liquid: Liquid, duration_s: float, dt_s: float = 1.0) -> float:
    """Step on, taking what evaporates out of the liquid; heat taken along, J."""
    heat_j = 0.0
    for _ in range(round(duration_s / dt_s)):
        step = line.step(dt_s, liquid)
        heat_j += step.heat_w * dt_s
        for name, mmol in step.evaporated_mmol.items():
            liquid.volatile_mmol[name] = liquid.volatile_mmol.get(name, 0.0) - mmol
    return heat_j


def seconds_until(
    line: VacuumLine, liquid: Liquid, reached: Callable[[], bool], at_most_s: float
) -> float:
    for second in range(1, round(at_most_s) + 1):
        run(line, liquid, 1.0)
        if reached():
            return second
    return math.inf


def pumped(line: VacuumLine, liquid: Liquid, fine_s: float = 300.0) -> VacuumLine:
    """Pump as a degas does: rough to its end, then fine; both valves end shut."""
    line.rough_on = line.fine_pump_on = line.rough_open = True
    line.rough_setpoint_mbar = 0.0
    run(line, liquid, 150.0)
    line.rough_open, line.fine_open = False, True
    run(line, liquid, fine_s)
    line.fine_open = False
    return line


def test_closed_flask_follows_the_ideal_gas():
    all_hot = VacuumLine(replace(TIGHT, cold_l=0.0), {})
    liquid = squalane(120.0)
    all_hot.step(1.0, liquid)
    before_mbar, mmol = all_hot.flask_mbar, all_hot.gas_mmol
    liquid.temperature_c = 320.0
    all_hot.step(1.0, liquid)
    assert all_hot.flask_mbar / before_mbar == pytest.approx(593.15 / 393.15)  # 1.51
    assert all_hot.flask_mbar == pytest.approx(mmol * 0.0831446262 * 593.15 / 0.040)


def test_cold_condenser_tempers_the_rise():
    line = VacuumLine(TIGHT, {})
    line.step(1.0, squalane(22.0))
    cold_mbar = line.flask_mbar
    line.step(1.0, squalane(320.0))
    share = 0.040 / 0.640
    assert line.flask_mbar / cold_mbar == pytest.approx(
        1 / (1 - share + share * 295.15 / 593.15), rel=1e-9
    )


def test_cold_leak_test_passes_on_a_tight_flask_and_fails_on_a_leaky_one():
    for leak, passes in ((1e-4, True), (1e-3, False)):
        line, liquid = VacuumLine(RIG, VOLATILES), squalane(25.0, water=0.044)  # 100 ppm
        line.leak_mbar_l_s = leak
        pumped(line, liquid)
        assert line.flask_mbar < 100 * MTORR_MBAR
        start_mbar = line.flask_mbar
        run(line, liquid, 300.0)
        rise_mtorr_min = (line.flask_mbar - start_mbar) / MTORR_MBAR / 5.0
        assert (rise_mtorr_min < 20.0) is passes


def test_rise_of_a_closed_flask_is_leak_over_volume():
    line, liquid = VacuumLine(replace(RIG, outgassing_at_1h_mbar_l_s=0.0), {}), squalane(22.0)
    pumped(line, liquid)
    start_mbar = line.flask_mbar
    line.step(600.0, liquid)
    assert line.flask_mbar - start_mbar == pytest.approx(1e-4 * 600 / 0.640, rel=1e-3)


def test_backfill_is_an_exponential_of_3_to_10_seconds():
    line, liquid = pumped(VacuumLine(TIGHT, {}), squalane(22.0)), squalane(22.0)
    start_mbar = line.flask_mbar
    line.n2_open = True
    run(line, liquid, 5.0, 0.5)
    tau_s = 0.640 / 0.09
    assert 3.0 <= tau_s <= 10.0
    assert line.flask_mbar == pytest.approx(1018 - (1018 - start_mbar) * math.exp(-5 / tau_s))
    run(line, liquid, 120.0)
    assert line.flask_mbar == pytest.approx(1018.0, abs=0.01)


def test_empty_cylinder_fills_nothing():
    line, liquid = pumped(VacuumLine(RIG, {}), squalane()), squalane()
    line.n2_open, line.n2_supply = True, False
    run(line, liquid, 60.0)
    assert line.flask_mbar < 1.0


def test_rough_pump_takes_one_to_two_minutes_to_10_mbar_and_ends_at_2():
    line, liquid = VacuumLine(TIGHT, {}), squalane(22.0)
    line.rough_open = line.rough_on = True
    line.rough_setpoint_mbar = 0.0
    seconds = seconds_until(line, liquid, lambda: line.flask_mbar <= 10.0, 300)
    assert 50 <= seconds <= 120
    exact_s = 0.640 / 0.05 * math.log((1013 - 2) / (10 - 2))
    assert exact_s <= seconds <= exact_s + 1.1  # read once a second
    run(line, liquid, 600.0)
    assert line.flask_mbar == pytest.approx(2.0, abs=1e-3)


def test_rough_pump_holds_its_setpoint_and_never_fills():
    line, liquid = VacuumLine(RIG, {}), squalane(22.0)
    line.rough_open = line.rough_on = True
    line.rough_setpoint_mbar = 100.0
    run(line, liquid, 300.0)
    assert line.flask_mbar == pytest.approx(100.0, abs=0.1)
    line.rough_setpoint_mbar = 500.0
    run(line, liquid, 60.0)
    assert line.flask_mbar == pytest.approx(100.0, abs=0.2)


def test_fine_pump_brings_the_line_below_100_mtorr_in_minutes():
    line, liquid = VacuumLine(RIG, {}), squalane(22.0)
    line.rough_open = line.rough_on = line.fine_pump_on = True
    line.rough_setpoint_mbar = 0.0
    run(line, liquid, 120.0)
    line.rough_open, line.fine_open = False, True
    line.step(0.3, liquid)
    assert line.line_mbar > 100 * MTORR_MBAR
    low = 100 * MTORR_MBAR
    assert seconds_until(line, liquid, lambda: line.line_mbar < low, 300) < 180
    assert seconds_until(line, liquid, lambda: line.flask_mbar < low, 300) < 180


def test_a_metered_flow_raises_a_closed_flask_by_flow_over_volume():
    line = VacuumLine(TIGHT, VOLATILES)
    line.rough_open = line.rough_on = True
    line.rough_setpoint_mbar = 100.0
    run(line, squalane(), 300.0)
    line.rough_open = False
    line.inlet_sccm = 30.0
    before_mbar = line.flask_mbar
    run(line, squalane(), 60.0)
    let_in_mbar_l = 30.0 * 1e-3 * 1013.25 * 295.15 / 298.15
    assert line.flask_mbar - before_mbar == pytest.approx(let_in_mbar_l / line.volume_l, rel=1e-3)


def test_a_metered_flow_sets_a_floor_under_the_pump():
    line = VacuumLine(TIGHT, VOLATILES)
    line.rough_open = line.rough_on = True
    line.rough_setpoint_mbar = 0.0
    line.inlet_sccm = 20.0
    run(line, squalane(), 900.0)
    through_mbar_l_s = 20.0 * 1e-3 / 60.0 * 1013.25 * 295.15 / 298.15
    floor_mbar = TIGHT.rough_ultimate_mbar + through_mbar_l_s / TIGHT.rough_l_s
    assert line.flask_mbar == pytest.approx(floor_mbar, rel=0.01)


@pytest.mark.parametrize("why", ["the cylinder is empty", "the flask is at its pressure"])
def test_a_metered_flow_ends_when(why):
    line = VacuumLine(TIGHT, VOLATILES)
    line.inlet_sccm = 500.0
    if why == "the cylinder is empty":
        line.n2_supply = False
        run(line, squalane(), 1.0)
        before_mbar = line.flask_mbar
        run(line, squalane(), 600.0)
        assert line.flask_mbar == pytest.approx(before_mbar)
    else:
        run(line, squalane(), 600.0)
        assert TIGHT.inlet_supply_mbar <= line.flask_mbar < TIGHT.inlet_supply_mbar + 15


def test_an_open_bubbler_takes_a_metered_flow():
    line = VacuumLine(TIGHT, VOLATILES)
    line.n2_open = True
    line.inlet_sccm = 50.0
    run(line, squalane(), 600.0)
    assert TIGHT.ambient_mbar < line.flask_mbar < TIGHT.ambient_mbar + 20


def test_leak_sets_the_difference_between_flask_and_line():
    parameters = replace(RIG, outgassing_at_1h_mbar_l_s=0.0, leak_mbar_l_s=5e-3)
    line, liquid = VacuumLine(parameters, {}), squalane(22.0)
    pumped(line, liquid, 600.0)
    line.fine_open = True
    run(line, liquid, 600.0)
    conductance = conductance_l_s(0.8, 100.0, (line.flask_mbar + line.line_mbar) / 2)
    speed = 1 / (1 / 1.4 + 1 / conductance)
    assert line.flask_mbar == pytest.approx(0.01 + 5e-3 / speed, rel=1e-3)
    assert line.line_mbar == pytest.approx(0.01 + 2 * 5e-3 / 1.4, rel=0.02)  # line leaks as much


def test_tube_conductance_is_molecular_then_viscous():
    assert conductance_l_s(0.8, 100.0, 0.0) == pytest.approx(0.062, abs=5e-4)
    assert conductance_l_s(0.8, 100.0, 1.0) == pytest.approx(0.623, abs=1e-3)


def test_cutting_time_finer_changes_a_pump_down_little():
    coarse, fine = VacuumLine(RIG, {}), VacuumLine(RIG, {})
    for line, dt_s in ((coarse, 1.0), (fine, 0.01)):
        line.fine_pump_on = line.fine_open = True
        run(line, squalane(), 10.0, dt_s)
    assert coarse.flask_mbar == pytest.approx(fine.flask_mbar, rel=0.1)


def test_n2_and_vacuum_at_once_both_flow():
    line, liquid = VacuumLine(TIGHT, {}), squalane(22.0)
    line.n2_open = line.fine_open = line.fine_pump_on = True
    run(line, liquid, 60.0)
    assert line.flask_mbar == pytest.approx(1018 * 0.09 / (0.09 + 1.4), rel=0.05)  # and the tube
    assert line.line_mbar > 5.0  # what closes the fine valve on a real rig


def test_hot_ode_holds_the_flask_up_while_the_line_goes_below_100_mtorr():
    line = VacuumLine(RIG, VOLATILES)
    liquid = Liquid(10.0, 120.0, {"ODE": 31.0}, 0.0)
    pumped(line, liquid)
    line.fine_open = True
    run(line, liquid, 1800.0)
    assert line.flask_mbar == pytest.approx(821 * MTORR_MBAR, rel=0.07)  # the fit
    assert line.line_mbar < 100 * MTORR_MBAR
    assert 31.0 - liquid.volatile_mmol["ODE"] < 0.01  # the condenser sends it back


def test_without_condenser_the_trap_keeps_it_and_without_trap_the_line_sees_it():
    liquid = Liquid(10.0, 120.0, {"ODE": 31.0}, 0.0)
    line = VacuumLine(replace(RIG, condenser_c=120.0), VOLATILES)
    pumped(line, liquid)
    line.fine_open = True
    run(line, liquid, 600.0)
    assert line.trap_mmol["ODE"] > 1.0
    assert line.line_mbar < 100 * MTORR_MBAR
    line.trap_cold = False
    run(line, liquid, 60.0)
    assert line.line_mbar > 100 * MTORR_MBAR


def test_strip_of_toluene_keeps_pressure_at_its_vapour_until_it_is_gone():
    line, liquid = VacuumLine(RIG, VOLATILES), squalane(40.0, toluene=41.0)
    line.rough_on = line.rough_open = True
    line.rough_setpoint_mbar = 13.3
    run(line, liquid, 300.0)
    fraction = liquid.volatile_mmol["toluene"] / (liquid.volatile_mmol["toluene"] + SQUALANE_MMOL)
    assert line.flask_mbar == pytest.approx(fraction * TOLUENE.vapour_pressure_mbar(40), rel=0.03)
    run(line, liquid, 1500.0)
    assert line.flask_mbar == pytest.approx(13.3, abs=0.3)
    line.rough_setpoint_mbar = 0.0
    run(line, liquid, 7200.0)
    assert line.flask_mbar < 3.0
    assert line.superheat_mbar_s == 0.0  # gentle: no bumping


def test_fine_vacuum_thrown_open_on_hot_toluene_bumps():
    line, liquid = VacuumLine(RIG, VOLATILES), squalane(100.0, toluene=41.0)
    line.fine_pump_on = line.fine_open = True
    run(line, liquid, 10.0, 0.1)
    assert line.superheat_mbar_s > 100.0


def test_heat_taken_is_that_of_the_vapour_made():
    line, liquid = VacuumLine(RIG, VOLATILES), squalane(40.0, toluene=10.0)
    line.fine_pump_on = line.fine_open = True
    heat_j = run(line, liquid, 300.0)
    gone_mmol = 10.0 - liquid.volatile_mmol["toluene"]
    assert gone_mmol > 9.0
    assert heat_j == pytest.approx(38.0 * gone_mmol)


def test_dissolved_water_leaves_with_its_own_time_constant():
    line, liquid = VacuumLine(RIG, VOLATILES), squalane(110.0, water=0.044)
    line.fine_pump_on = line.fine_open = True
    run(line, liquid, 1200.0)
    assert liquid.volatile_mmol["water"] == pytest.approx(0.044 * math.exp(-2), rel=0.1)
    cool, cold_liquid = VacuumLine(RIG, VOLATILES), squalane(40.0, water=0.044)
    cool.fine_pump_on = cool.fine_open = True
    run(cool, cold_liquid, 1200.0)
    assert cold_liquid.volatile_mmol["water"] > 0.035


def test_gas_let_in_is_an_ideal_gas_and_the_relief_lets_it_out():
    line, liquid = VacuumLine(TIGHT, {}), squalane(22.0)
    line.step(1.0, liquid)
    before_mbar = line.flask_mbar
    line.add_gas(0.68)  # HF and acetone of the paper's dose
    assert line.flask_mbar - before_mbar == pytest.approx(0.68 * MBAR_L_MMOL / 0.640)
    line.add_gas(6.0)
    assert line.flask_mbar > 1013 + 100
    line.n2_open = True
    run(line, liquid, 3.0)
    assert line.flask_mbar <= 1013 + 80.5
    run(line, liquid, 60.0)
    assert line.flask_mbar == pytest.approx(1018.0, abs=0.1)


def test_open_to_the_bubbler_pressure_stays_while_the_flask_heats_and_is_quenched():
    line = VacuumLine(RIG, VOLATILES)
    liquid = Liquid(18.6, 120.0, {"ODE": 25.0}, 24.0)
    line.n2_open = True
    run(line, liquid, 60.0)
    lowest, highest = math.inf, 0.0
    ramp = [120 + second / 6 for second in range(1200)]
    quench = [320 - 1.9 * second for second in range(90)]
    for temperature_c in ramp + quench:
        liquid.temperature_c = temperature_c
        run(line, liquid, 1.0)
        lowest, highest = min(lowest, line.flask_mbar), max(highest, line.flask_mbar)
    assert lowest > 1013 - 10
    assert highest < 1013 + 60
    assert 25.0 - liquid.volatile_mmol["ODE"] < 0.5


def test_flashing_acetone_presses_on_a_shut_flask_and_not_on_an_open_one():
    highest = {}
    for n2_open in (False, True):
        line, liquid = VacuumLine(RIG, VOLATILES), squalane(120.0)
        line.n2_open = n2_open
        run(line, liquid, 30.0)
        highest[n2_open] = 0.0
        for _ in range(150):  # 0.4 mL over 2.5 min
            liquid.volatile_mmol["acetone"] = liquid.volatile_mmol.get("acetone", 0) + 5.4 / 150
            run(line, liquid, 1.0)
            highest[n2_open] = max(highest[n2_open], line.flask_mbar)
    assert highest[False] > 1013 + 60
    assert highest[True] < 1013 + 60


def test_standing_pump_behind_an_open_valve_shares_the_gas():
    line, liquid = VacuumLine(TIGHT, {}), squalane(22.0)
    line.fine_pump_on = True
    run(line, liquid, 60.0)
    held = line.flask_mbar * 0.640 + line.line_mbar * 0.5
    line.fine_pump_on, line.fine_open = False, True
    line.step(0.1, liquid)
    assert line.flask_mbar == pytest.approx(held / 1.140, rel=1e-4)
    assert line.line_mbar == pytest.approx(line.flask_mbar, rel=1e-4)


def test_no_valve_sequence_makes_or_loses_a_volatile():
    dice = random.Random(7)
    line = VacuumLine(RIG, VOLATILES)
    liquid = squalane(60.0, toluene=20.0, acetone=2.0, water=0.1)
    start = dict(liquid.volatile_mmol)
    line.fine_pump_on = line.rough_on = True
    for _ in range(300):
        line.n2_open, line.rough_open, line.fine_open = (dice.random() < 0.4 for _ in range(3))
        line.rough_setpoint_mbar = dice.choice([5.0, 50.0, 500.0])
        line.trap_cold = dice.random() < 0.8
        liquid.temperature_c = dice.uniform(20.0, 120.0)
        run(line, liquid, 5.0, dice.choice([0.25, 1.0, 5.0]))
        assert min(line.flask_mbar, line.line_mbar) > 0.0
        assert min(liquid.volatile_mmol.values()) >= 0.0
    for name, mmol in start.items():
        found = liquid.volatile_mmol[name] + line.vapour_mmol[name]
        found += line.trap_mmol[name] + line.exhaust_mmol[name]
        assert found == pytest.approx(mmol, rel=1e-6)


def test_unknown_volatile_and_time_running_back_are_refused():
    line = VacuumLine(RIG, VOLATILES)
    with pytest.raises(UnknownNameError, match="toluene"):
        line.step(1.0, squalane(25.0, tolune=1.0))
    line.advance(2_000_000_000, squalane())
    line.advance(2_000_000_000, squalane())
    assert line.t_ns == 2_000_000_000
    with pytest.raises(UsageError, match="back"):
        line.advance(1_000_000_000, squalane())


def test_overfull_flask_is_refused():
    line = VacuumLine(RIG, VOLATILES)
    with pytest.raises(UsageError, match=r"51.*50"):
        line.step(1.0, Liquid(51.0, 25.0, {}, SQUALANE_MMOL))
