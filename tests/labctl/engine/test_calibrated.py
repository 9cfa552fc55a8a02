"""A run on calibrated thermometers is a run in true temperatures, with what was read beside."""

import pytest

NS = 10**9
STEPS = """  - ramp: {to: 98.5 C, rate: 15 K/min, within: 4 K}
  - hold: {for: 10 min}
"""


@pytest.fixture
def held(conducted):
    seen = {}

    def look(world, *_):
        seen["flask_c"] = world.truth(800 * NS)["flask_c"]

    run = conducted(STEPS, during={800: look})
    assert run.outcome == "complete", run.reason
    return run, seen["flask_c"]


def at(run, signal, s):
    times, values = run.series[signal]
    return next(value for t, value in zip(times, values, strict=True) if t >= s)


def test_the_flask_reaches_the_true_temperature_and_the_controller_is_asked_for_what_it_reads(held):
    run, flask_c = held
    assert flask_c == pytest.approx(98.5, abs=0.4)
    assert at(run, "flask.T", 800) == pytest.approx(98.5, abs=0.4)
    assert at(run, "heater.setpoint", 800) == pytest.approx(98.5, abs=0.06)
    # Unit 1, function 6, register 2: 99.2 °C in tenths.
    assert any(data[:6] == bytes((1, 6, 0, 2, 992 >> 8, 992 & 255)) for _, data in run.sent("bus"))


def test_what_the_probe_read_stands_beside_the_corrected_reading(held):
    run, _ = held
    raw, true = at(run, "flask.T.raw", 800), at(run, "flask.T", 800)
    assert raw * 10 == pytest.approx(round(raw * 10)), "tenths, as the instrument sends them"
    assert raw - true == pytest.approx(0.7, abs=0.02)
    second = at(run, "flask.T2.raw", 800) - at(run, "flask.T2", 800)
    assert second == pytest.approx(0.4, abs=1e-6), "an offset of -0.4 K is added to the reading"


def test_without_a_calibration_there_is_no_raw_channel(conducted, rig_text):
    points = "reads_true: [[0.3 C, 0.0 C], [99.2 C, 98.5 C], [233.6 C, 231.9 C]], "
    assert points in rig_text
    run = conducted("  - hold: {for: 1 s}\n", rig=rig_text.replace(points, ""))
    assert "flask.T" in run.series
    assert "flask.T.raw" not in run.series


def test_a_commissioned_mantle_heats_in_a_dry_run_as_it_was_measured(conducted, rig_text):
    heavy = (
        "mantle: 80 W, thermal: {capacity: 160 J/K, to_flask: 0.55 W/K, mantle_to_air: 0.05 W/K, "
        "flask_to_air: 0.055 W/K}"
    )
    steps = "  - ramp: {id: up, to: 60 C, within: 2 K}\n"
    took_s = []
    for text in (rig_text, rig_text.replace("mantle: 80 W", heavy)):
        run = conducted(steps, rig=text)
        assert run.outcome == "complete", run.reason
        took_s.append((run.step("up").end_ns - run.step("up").start_ns) / 1e9)
    assert took_s[1] > took_s[0] + 15
