import dataclasses
import datetime as dt
import io
import re

import pytest

from labctl.cli.board import View, frame, pressure
from labctl.cli.course import Course, Hands
from labctl.cli.live import Live
from labctl.cli.text import Paint, shown
from labctl.prepare import Request, prepare

VIEW = View(
    title="InP/ZnS, surface-initiated, 3.3 nm cores (A16)",
    sample="YK-231",
    simulated=True,
    state="running",
    now=dt.datetime(2025, 11, 3, 12, 20, 5),
    elapsed_s=12005.0,
    share=0.75,
    left_s=4800.0,
    stage=("stage2", 5, 7),
    step="stage2.3",
    does="wait until peak is saturated",
    waits_for="1S saturated (less than 0.5 nm left) and PL flat",
    countdown_s=754.0,
    allowed_s=754.0,
    flask_c=250.04,
    setpoint_c=250.0,
    probe2_c=249.8,
    warm_c=None,
    pressures=(("flask", "1005 mbar"), ("line", "0.010 mbar")),
    hot_nm=602.667,
    cold_nm=581.446,
    pl_area=10.84,
    needed_in_s=1140.0,
    needed_for="aliquot stage2",
    deviations=(),
    alarms=(),
    happened=("11:47 before_s: 1S at 25 °C 566.67 ± 0.02 nm",),
)


def plain(text, *_):
    return text


def test_the_view_shows_what_a_bench_needs():
    text = "\n".join(frame(VIEW, 79, plain))
    for said in (
        "SIMULATED", "12:20:05", "3:20:05 done", "until 13:40", "75 %", "stage2  5 of 7",
        "(stage2.3)", "0:12:34 left", "250.0 °C", "probe 2 249.8 °C", "warm unknown",
        "1005 mbar flask", "602.67 nm hot", "581.45 nm at 25 °C", "PL 10.8",
        "you are needed at 12:39: aliquot stage2", "566.67",
    ):  # fmt: skip
        assert said in text


@pytest.mark.parametrize("width", [40, 60, 79, 132])
def test_no_line_is_wider_than_the_terminal(width):
    long = dataclasses.replace(
        VIEW, title="x" * 200, does="y" * 200, waits_for="z" * 200, needed_for="n" * 200,
        deviations=("d" * 200,), alarms=("a" * 200, "b" * 200), happened=("h" * 200,),
        state="waiting",
    )  # fmt: skip
    for view in (VIEW, long):
        assert max(map(shown, frame(view, width, plain))) <= width


def test_alarms_and_deviations_are_counted_with_the_latest():
    view = dataclasses.replace(VIEW, alarms=("old", "new"), deviations=("only",))
    text = "\n".join(frame(view, 79, plain))
    assert "2 alarms: new" in text
    assert "deviation: only" in text


def test_what_is_not_known_is_not_a_number():
    view = dataclasses.replace(
        VIEW, flask_c=None, hot_nm=None, cold_nm=None, pl_area=None, countdown_s=None,
        needed_in_s=None, pressures=(),
    )  # fmt: skip
    text = "\n".join(frame(view, 79, plain))
    assert "at most 0:12:34" in text
    assert "nobody is needed any more" in text
    assert not re.search(r"None|nan", text)


@pytest.mark.parametrize(
    ("low", "high", "unit", "text"),
    [
        (760.0, 760.0, "Torr", "570 Torr"),
        (13.332, 13.332, "Torr", "10.0 Torr"),
        (0.0, 0.1, "mbar", "< 0.100 mbar"),
        (5.0, float("inf"), "mbar", "> 5.0 mbar"),
        (None, None, "mbar", "unknown"),
    ],
)
def test_pressure_in_the_unit_chosen(low, high, unit, text):
    assert pressure(low, high, unit) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("variable", "coloured"), [("COLORTERM", True), ("NO_COLOR", False)])
def test_no_color_is_respected(variable, coloured, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, "1")
    assert ("\x1b[" in Paint(Terminal())("text", "bold")) is coloured
    assert Paint(io.StringIO())("text", "bold") == "text"


def test_the_course_knows_what_is_left_and_when_hands_are_needed(recipe):
    plan, _ = prepare(Request(recipe))
    course = Course(plan)
    assert course.left_s(0.0) == pytest.approx(plan.total_s)
    assert course.hands(0.0) == Hands(0.0, "operator to confirm")
    steps = {planned.step.id: planned for planned in plan.steps}
    course.started("stage2.3", 9000.0)
    assert course.stage() == ("stage2", 5, 7)
    waited = steps["stage2.3"]
    assert course.behind_s(9060.0) == pytest.approx(waited.start_s + 60.0)
    assert course.hands(9060.0) == Hands(waited.estimate.duration_s - 60.0, "aliquot stage2")
    # A step that takes longer than planned holds the course where it should have ended.
    late_s = 9000.0 + 2 * waited.estimate.duration_s
    assert course.hands(late_s) == Hands(0.0, "aliquot stage2")
    assert course.behind_s(late_s) == pytest.approx(steps["stage2.4"].start_s)
    course.started("stage2.3#1", 9100.0)
    assert course.step.step.id == "stage2.3"


def test_a_view_that_was_never_shown_leaves_no_trace():
    stream = Terminal()
    Live(stream, "mbar").close()
    assert not stream.getvalue()
