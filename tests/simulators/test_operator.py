"""The simulated person: signs, pours, turns, reads, draws, and answers from the world's truth."""

import asyncio
import statistics

import numpy as np
import pytest

from labctl.capabilities import Task, TaskKind
from labctl.errors import UnknownNameError, UsageError
from labctl.twin import TwinReagent, TwinSpec, TwinVessel
from simulators.world import build_world

NS = 1_000_000_000
RIG = TwinSpec(
    seed=3,
    devices=(),
    vessel=TwinVessel(volume_ml=50.0, mantle_w=80.0, glass_j_k=30.0),
    reagents=(
        TwinReagent("SQ", "squalane", None),
        TwinReagent("NC", "InP-OA 3.3 nm in toluene", 50e-6),
    ),
)


class Rig:
    def __init__(self):
        self.world = build_world(RIG)
        self.now_ns = 0
        self.world.follow(lambda: self.now_ns)

    def do(self, kind, subject="", amount=None, **more):
        task = Task(kind, "please", subject, amount, **more)
        return asyncio.run(self.world.operator.do(task))


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def with_dots(rig):
    rig.do(TaskKind.CHARGE, "SQ", 10.0)
    rig.do(TaskKind.CHARGE, "NC", 4.4)
    return rig


@pytest.mark.parametrize(("count", "names"), [(1, ("operator",)), (2, ("operator", "second"))])
def test_signs_with_as_many_names_as_asked(rig, count, names):
    assert rig.do(TaskKind.CONFIRM, signatures=count).signed == names


def test_charges_at_the_runs_present_time(with_dots):
    product = with_dots.world.product(0)
    assert product["nc_nmol"] == pytest.approx(220)
    assert product["volume_ml"] == pytest.approx(14.4, abs=0.1)
    with_dots.now_ns = 90 * NS
    with_dots.do(TaskKind.CHARGE, "SQ", 1.0)
    assert with_dots.world.flask.thermal.t_ns == 90 * NS


def test_an_injection_presses_the_button_for_three_seconds(rig):
    rig.now_ns = 10 * NS
    rig.do(TaskKind.INJECT, "SQ", 2.0)
    assert rig.world.get("button", 12 * NS) == 1
    assert rig.world.get("button", 13 * NS) == 0
    assert rig.world.truth(13 * NS)["volume_ml"] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("kind", [TaskKind.SWITCH, TaskKind.SET])
def test_turns_things(rig, kind):
    rig.do(kind, "valve.n2", 1.0)
    rig.do(kind, "heater", 30.0)
    assert rig.world.get("valve.n2", 0) == 1
    assert rig.world.get("heater", 0) == 30


def test_reads_with_a_little_noise(rig):
    read = [rig.do(TaskKind.READ, "flask.P").value for _ in range(400)]
    assert statistics.fmean(read) == pytest.approx(1005, abs=0.6)
    assert statistics.stdev(read) == pytest.approx(0.002 * 1005, rel=0.15)


def test_answers_first_as_written_then_as_measured_then_by_default(with_dots):
    written = with_dots.do(TaskKind.ANSWER, "flask.T", dimension="temperature", simulated="KOH")
    assert (written.text, written.value, written.by_default) == ("KOH", None, False)
    measured = with_dots.do(TaskKind.ANSWER, "flask.T", dimension="temperature", default="park")
    assert measured.value == pytest.approx(22)
    assert not measured.by_default
    unknown = with_dots.do(TaskKind.ANSWER, "ferrocene", dimension="mass", default="park")
    assert (unknown.text, unknown.value, unknown.by_default) == ("park", None, True)
    choice = with_dots.do(TaskKind.ANSWER, "flask.T", choices=("accept", "park"), default="park")
    assert (choice.text, choice.by_default) == ("park", True)


def test_knows_the_cold_peak_within_its_cuvette(with_dots):
    told = [
        with_dots.do(TaskKind.ANSWER, "peak_25c", dimension="wavelength").value for _ in range(400)
    ]
    assert statistics.fmean(told) == pytest.approx(with_dots.world.product(0)["peak_nm"], abs=0.05)
    assert statistics.stdev(told) == pytest.approx(0.3, rel=0.15)


def test_has_no_peak_without_dots(rig):
    rig.do(TaskKind.CHARGE, "SQ", 10.0)
    reply = rig.do(TaskKind.ANSWER, "peak_25c", dimension="wavelength", default="park")
    assert (reply.text, reply.by_default) == ("park", True)
    assert rig.do(TaskKind.SAMPLE, "blank", 0.05).value is None


def test_an_aliquot_in_the_cuvette_obeys_beer_and_lambert(with_dots):
    with_dots.now_ns = 5 * NS
    cold_ml = with_dots.world.product(5 * NS)["volume_ml"]
    reply = with_dots.do(TaskKind.SAMPLE, "first", 0.5)
    assert reply.text == "first"
    assert reply.value == pytest.approx(580, abs=1.5)
    light, reference, dark = (
        np.array(reply.spectra[name].counts, dtype=float)
        for name in ("absorbance", "reference", "dark")
    )
    spectrum = reply.spectra["absorbance"]
    assert (spectrum.source, spectrum.t_ns, spectrum.max_counts) == ("cuvette", 5 * NS, 65535)
    absorbance = -np.log10((light - dark) / (reference - dark))
    at_413 = np.interp(413.3, spectrum.wavelengths_nm, absorbance)
    molar = 220e-9 * (0.5 / cold_ml) / 3.5e-3
    assert at_413 == pytest.approx(4.02e5 * molar * 1.0, rel=0.03)
    assert with_dots.world.product(5 * NS)["volume_ml"] == pytest.approx(cold_ml - 0.5, abs=1e-3)


def test_emission_of_an_aliquot_lies_red_of_its_peak(with_dots):
    spectrum = with_dots.do(TaskKind.SAMPLE, "first", 3.0).spectra["pl"]
    axis = np.array(spectrum.wavelengths_nm)
    counts = np.array(spectrum.counts, dtype=float)
    window = axis > 450
    centre = np.average(axis[window], weights=np.maximum(counts[window] - 500, 0))
    assert 590 < centre < 680


def test_drawing_more_than_there_is_takes_all(with_dots):
    with_dots.do(TaskKind.SAMPLE, "all", 100.0)
    assert with_dots.world.product(0)["volume_ml"] == 0


def test_refuses_what_cannot_be_done(rig):
    with pytest.raises(UsageError, match="amount"):
        rig.do(TaskKind.CHARGE, "SQ")
    with pytest.raises(UnknownNameError, match="QS"):
        rig.do(TaskKind.CHARGE, "QS", 1.0)
