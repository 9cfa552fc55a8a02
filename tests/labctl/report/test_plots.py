"""What is drawn is what was recorded: extremes kept, gaps left open, closed forms met."""

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.readings import Channel, Kind, Quality, Reading, Spectrum
from labctl.record import DoseRow, Record, RunMeta, open_run
from labctl.report.panels import Event, Line, Panel, panels
from labctl.report.spectra import spectra
from labctl.report.story import Series, read
from labctl.report.svg import decades, svg, ticks
from labctl.report.thin import opened, smoothed, thinned

S = 1_000_000_000
NM = array("d", [500.0, 501.0, 502.0, 503.0])


@pytest.fixture
def record(tmp_path):
    meta = RunMeta("x", "x", "x", "x", 1, False, "2025-11-03T09:00:00")
    return Record.create(tmp_path, meta, durable=False)


def story(record, look):
    record.close()
    with open_run(record.path) as run:
        return look(read(run))


def over_time(record):
    return {panel.id: panel for panel in story(record, lambda s: panels(s, 2000))}


def test_what_was_expected_is_a_dashed_line_under_what_was_seen(record):
    record.channels([Channel("flask.T", "temperature")])
    record.channels([Channel("golden.T", "temperature", kind=Kind.ASSUMED)])
    for t_s in range(0, 100, 5):
        record.append(Reading("golden.T", 250.0, Quality.GOOD, t_s * S))
        record.append(Reading("flask.T", 240.0, Quality.GOOD, t_s * S))
    ghost, flask = over_time(record)["temperature"].lines
    assert (ghost.label, ghost.dashed) == ("last good batch", True)
    assert (flask.label, flask.dashed) == ("flask", False)
    assert ghost.colour != flask.colour
    assert set(ghost.series.values) == {250.0}


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=3000))
def test_thinning_keeps_the_extremes_and_the_order(values):
    t_s = [float(i) for i in range(len(values))]
    thin = thinned(Series(t_s, values), 100)
    known = [value for value in values if value is not None]
    kept = [value for value in thin.values if value is not None]
    assert len(thin.t_s) == len(thin.values) <= max(len(values) if len(values) <= 100 else 0, 100)
    assert thin.t_s == sorted(set(thin.t_s))
    assert all(values[int(t)] == value for t, value in zip(thin.t_s, thin.values, strict=True))
    assert (not kept and not known) or (min(kept), max(kept)) == (min(known), max(known))


def test_a_spike_of_one_reading_is_still_seen():
    values = [250.0] * 100_000
    values[54_321] = 400.0
    thin = thinned(Series([float(i) for i in range(100_000)], values), 2000)
    assert 400.0 in thin.values
    assert thin.t_s[thin.values.index(400.0)] == 54_321.0


def test_a_stretch_without_values_stays_a_gap():
    values = [1.0 if i < 4000 or i > 6000 else None for i in range(10_000)]
    thin = thinned(Series([float(i) for i in range(10_000)], values), 100)
    assert None in thin.values
    assert all(4000 <= t <= 6000 for t, v in zip(thin.t_s, thin.values, strict=True) if v is None)


def test_a_long_silence_becomes_a_gap_and_a_slow_rhythm_does_not():
    silent = opened(Series([0.0, 1.0, 2.0, 500.0, 501.0], [1.0, 1.0, 1.0, 1.0, 1.0]))
    assert silent.values == [1.0, 1.0, 1.0, None, 1.0, 1.0]
    slow = Series([0.0, 300.0, 600.0, 900.0], [1.0, 2.0, 3.0, 4.0])
    assert opened(slow) == slow


def test_a_spectrum_is_averaged_in_equal_parts():
    flat = smoothed([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 5.0, None], 2)
    assert (flat.t_s, flat.values) == ([1.5, 3.5], [2.0, None])


def test_fractions_are_shown_in_percent_and_no_pressure_below_zero(record):
    record.channels([Channel("heater.output", "fraction"), Channel("flask.P", "pressure")])
    for t_s in range(3):
        record.append(Reading("heater.output", 0.25, Quality.GOOD, t_s * S))
        record.append(Reading("flask.P", (-0.1, 0.1, 1000.0)[t_s], Quality.GOOD, t_s * S))
    found = over_time(record)
    assert found["output"].lines[0].series.values == [25.0] * 3
    assert found["output"].unit == "%"
    assert found["pressure"].lines[0].series.values == [None, 0.1, 1000.0]


def test_channels_without_a_single_value_make_no_plot(record):
    record.channels([Channel("flask.T", "temperature"), Channel("flask.P", "pressure")])
    record.append(Reading("flask.P", None, Quality.BAD, 0))
    assert over_time(record) == {}


def test_doses_add_up_as_their_pump_counted_them(record):
    record.channels([Channel("pump_1.dispensed", "volume")])
    rows = [
        DoseRow("p", "ZN", "pump_1", "prime", "waste", "done", 0, 5 * S, None, 0.5, 0.5),
        DoseRow("a", "ZN", "pump_1", "injection", "flask", "done", 10 * S, 20 * S, 25.0, 1.1, 1.0),
        DoseRow("b", "ZN", "hand", "injection", "flask", "done", 50 * S, 60 * S, 25.0, 0.5, 0.5),
    ]
    for row in rows:
        record.dose(row)
    for t_s, counted in ((12, 0.11), (15, 0.55), (19, 1.1)):
        record.append(Reading("pump_1.dispensed", counted, Quality.GOOD, t_s * S))
    record.finish(100 * S, "complete", "complete")
    (line,) = over_time(record)["doses"].lines
    at = dict(zip(line.series.t_s, line.series.values, strict=True))
    assert at[12.0] == pytest.approx(0.1)
    assert at[15.0] == pytest.approx(0.5)
    assert (at[20.0], at[50.0], at[60.0], at[100.0]) == (1.0, 1.0, 1.5, 1.5)
    assert line.series.t_s == sorted(line.series.t_s)


def frame(record, t_s, kind, counts, integration_s=0.1):
    values = array("I", counts)
    record.spectrum(Spectrum("uvvis", NM, values, integration_s, 1, 0, 65_535, t_s * S), kind)


def test_absorbance_is_the_decadic_logarithm_above_dark(record):
    record.step_ended(record.step_started(0, "I.1", "hold", "I"), 100 * S, "done")
    frame(record, 1, "dark", [90, 90, 90, 90])
    frame(record, 2, "dark", [110, 110, 110, 110])
    frame(record, 3, "reference", [10_100, 10_100, 10_100, 200])
    frame(record, 3, "reference", [9, 9, 9, 9], integration_s=0.5)
    frame(record, 50, "sample", [1100, 10_100, 200, 150])
    (panel,) = story(record, lambda s: spectra(s, 600))
    (line,) = panel.lines
    assert line.series.values == pytest.approx([1.0, 0.0, 2.0])
    assert panel.x_range == (500.0, 502.0)
    assert line.label == "I, after, 0:00:50"


def test_absorbance_needs_dark_and_reference(record):
    record.step_ended(record.step_started(0, "I.1", "hold", "I"), 100 * S, "done")
    frame(record, 50, "sample", [1100, 10_100, 200, 150])
    assert story(record, lambda s: spectra(s, 600)) == []


def test_a_cuvette_is_held_against_its_own_dark_and_reference(record):
    record.step_ended(record.step_started(0, "I.1", "aliquot", "I"), 100 * S, "done")
    frame(record, 50, "cuvette dark", [0, 0, 0, 0])
    frame(record, 50, "cuvette reference", [1000, 1000, 1000, 1000])
    frame(record, 50, "cuvette absorbance", [100, 100, 100, 100])
    (panel,) = story(record, lambda s: spectra(s, 600))
    assert panel.lines[0].series.values == pytest.approx([1.0] * 4)


def test_spectra_are_those_around_the_stages(record):
    for stage, start, end in (("I", 0, 100), ("II", 100, 200)):
        record.step_ended(record.step_started(start * S, stage, "hold", stage), end * S, "done")
    for t_s in (10, 60, 90, 150, 190):
        values = array("d", [float(t_s)] * 4)
        record.curve(t_s * S, "uvvis", "absorbance", NM, values)
    (panel,) = story(record, lambda s: spectra(s, 600))
    assert [line.label for line in panel.lines] == [
        "I, before, 0:00:10",
        "I, after, 0:01:30",
        "II, after, 0:03:10",
    ]


def test_luminescence_is_counts_per_second_above_dark(record):
    record.step_ended(record.step_started(0, "I.1", "hold", "I"), 100 * S, "done")
    frame(record, 1, "dark", [100] * 4, integration_s=0.5)
    frame(record, 50, "pl", [600] * 4, integration_s=0.5)
    (panel,) = story(record, lambda s: spectra(s, 600))
    assert panel.lines[0].series.values == [1000.0] * 4


def test_a_still_picture_breaks_its_line_at_a_gap_and_labels_what_happened():
    line = Line("x", "measured", Series([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, None, 1.0]), 1)
    panel = Panel("a", "A", "°C", [line], x_range=(0.0, 3.0), events=[Event(1.0, "HF", "dose")])
    drawn = svg(panel)
    path = drawn.partition('d="')[2].partition('"')[0]
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert ">HF</text>" in drawn


def test_a_picture_of_one_value_or_of_a_constant_can_be_drawn():
    for values in ([5.0], [0.0, 0.0]):
        line = Line("x", "measured", Series([0.0, 1.0][: len(values)], values), 1)
        for log in (False, values[0] > 0):
            panel = Panel("a", "A", "", [line], log=log)
            assert "nan" not in svg(panel)


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e5))
def test_ticks_are_round_inside_and_neither_few_nor_many(low, span):
    marks = ticks(low, low + span)
    assert 2 <= len(marks) <= 11
    assert all(low - span * 1e-6 <= mark <= low + span * (1 + 1e-6) for mark in marks)


def test_decades_are_powers_of_ten():
    assert decades(0.05, 1100.0) == pytest.approx([0.1, 1.0, 10.0, 100.0, 1000.0])
    assert math.prod(decades(0.1, 10.0)) == pytest.approx(1.0)
