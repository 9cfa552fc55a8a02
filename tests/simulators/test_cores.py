"""Cores that grow in the simulated flask: nothing to see at first, then a peak that moves red."""

import numpy as np
import pytest

from labctl.twin import Exposure, TwinReagent, TwinSpec, TwinVessel
from simulators.plant.optics import Optics, OpticsState
from simulators.world import build_world
from simulators.world_dots import Dots

NS = 1_000_000_000
AXIS = Exposure(tuple(np.linspace(350.0, 1000.0, 1301)), 0.05, 20, 0, 65535, 500.0, 6.0)
FLASK = TwinSpec(
    seed=1,
    devices=(),
    vessel=TwinVessel(volume_ml=50.0, mantle_w=80.0, glass_j_k=30.0),
    reagents=(
        TwinReagent("IN", "indium oleate in ODE", 0.5),
        TwinReagent("ODE", "1-octadecene", None),
        TwinReagent("P", "P(TMS)3 in TOP", 0.775),
    ),
    syringes=(),
    path_mm=0.5,
)


def grown(minutes, at_c=260.0, indium=True):
    """Dots from 2 mmol of indium and 1 mmol of phosphine, held so many minutes."""
    dots = Dots()
    if indium:
        dots.meet({"indium oleate": 2.0, "1-octadecene": 30.0})
    dots.meet({"P(TMS)3": 1.0, "trioctylphosphine": 2.24})
    for _ in range(int(minutes * 60)):
        dots.advance(1.0, at_c, 15.29, under_vacuum=False, mixing=1.0)
    return dots


def test_the_peak_passes_470_nm_and_comes_near_its_end_at_487():
    peaks = [grown(minutes).looks().peak_nm for minutes in (1, 2, 4, 8, 30)]
    assert peaks == sorted(peaks)
    assert peaks[2] == pytest.approx(469.1, abs=0.3)
    assert peaks[-1] == pytest.approx(487, abs=1)
    assert grown(4).product()["conversion"] == pytest.approx(1 - np.exp(-4 * 60 * 8e-3), abs=0.02)


def test_hot_the_peak_stands_fourteen_nm_further_red():
    looks = grown(4.5)
    assert looks.looks(260.0).peak_nm - looks.looks().peak_nm == pytest.approx(14.5, abs=0.5)


@pytest.mark.parametrize("dots", [grown(0), grown(10, indium=False), Dots()])
def test_without_growth_there_is_nothing_to_see(dots):
    assert dots.looks() is None
    assert dots.product() == {}


def test_an_aliquot_leaves_the_peak_alone():
    dots = grown(3)
    before = dots.looks()
    dots.keep(0.5)
    assert dots.looks().peak_nm == pytest.approx(before.peak_nm)
    assert dots.looks().nc_nmol == pytest.approx(before.nc_nmol / 2)
    assert before.nc_nmol == pytest.approx(6000, rel=0.01)


def test_the_flask_is_clear_until_cores_are_seen():
    world = build_world(FLASK)
    for reagent, ml in (("ODE", 10.0), ("IN", 4.0), ("P", 1.29)):
        world.charge(reagent, ml, 0)
    assert world.peak_25c_nm(NS) is None
    lamp = np.array(world.counts("absorbance", AXIS, NS), dtype=float)
    world.flask.dots.growth.advance(200.0, 260.0)
    peak_nm = world.peak_25c_nm(2 * NS)
    assert 455 < peak_nm < 470
    lit = np.array(world.counts("absorbance", AXIS, 2 * NS), dtype=float)
    at = np.array(AXIS.wavelengths_nm)
    absorbed = np.log10((lamp - 500) / (lit - 500))
    assert np.median(absorbed[np.abs(at - 700) < 50]) == pytest.approx(0.0, abs=0.01)
    assert 0.5 < np.median(absorbed[np.abs(at - peak_nm) < 3]) < 1.5
    spectra, told_nm = world.sample(0.05, 2 * NS)
    assert told_nm == pytest.approx(peak_nm, abs=0.01)
    assert sorted(spectra) == ["absorbance", "dark", "pl", "reference"]


def test_absorbance_at_the_peak_grows_with_the_cores_and_the_blue_never_explodes():
    optics, at = Optics(), np.linspace(380.0, 600.0, 441)
    before = np.zeros(at.size)
    for conversion in (0.2, 0.4, 0.6, 0.8):
        dots = grown(-np.log(1 - conversion) / 8e-3 / 60)
        looks = dots.looks()
        state = OpticsState(looks.nc_nmol, looks.diameter_nm, looks.peak_nm, 15.29, 0.5)
        absorbed = optics.absorbance(at, state)
        assert np.all(absorbed[at > 400] >= before[at > 400] - 1e-6)
        assert absorbed.max() < 7
        before = absorbed
