import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.outlook.course import clock_ticks, estimated, simulated

NINE = dt.datetime(2025, 11, 3, 9, 0)


def test_the_estimated_course_is_the_plan(paper_plan):
    course = estimated(paper_plan)
    assert course.end_s == pytest.approx(paper_plan.total_s)
    assert [span.name for span in course.stages] == [
        stage.name for stage in paper_plan.recipe.all_stages
    ]
    for before, after in zip(course.stages, course.stages[1:], strict=False):
        assert before.end_s == pytest.approx(after.start_s)
    assert not course.hands_s


def test_the_flask_goes_where_the_ramps_go(paper_plan):
    course = estimated(paper_plan)
    times = [at_s for at_s, _ in course.heat]
    assert times == sorted(times)
    assert max(at_c for _, at_c in course.heat) == 320.0
    start_s, end_s = course.spans["stage1.1"]
    inside = [point for point in course.heat if start_s < point[0] < end_s]
    assert inside == [(pytest.approx(end_s - 60.0), 200.0)]  # it settles for a minute


def test_hf_takes_two_people_and_is_marked(paper_plan):
    bars = {bar.step: bar for bar in estimated(paper_plan).bars}
    assert bars["hf"].people == 2
    assert {name for name, bar in bars.items() if "HF" in bar.dangers} == {
        "hf.2", "hf", "finally.2",
    }  # fmt: skip
    assert bars["zn1"].doses == ("ZN",)
    assert bars["load.8"].doses == ()
    assert bars["zn1"].people == 0


def test_a_simulated_course_has_the_times_of_the_dry_run(paper_plan):
    spans = {"load.1": (0.0, 0.0), "zn1": (10.0, 130.0), "inner": (20.0, 30.0)}
    course = simulated(paper_plan, spans, [(0.0, 22.0)])
    assert [(bar.step, bar.start_s, bar.end_s) for bar in course.bars] == [
        ("load.1", 0.0, 0.0),
        ("zn1", 10.0, 130.0),
    ]
    assert course.simulated
    assert course.end_s == 130.0
    assert course.hands_s == 60.0  # the list that a simulated person signs at once


@given(
    st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2040, 1, 1)),
    st.floats(1.0, 30 * 86400.0),
    st.integers(1, 20),
)
def test_times_of_the_clock_lie_within_and_are_round(begins, length_s, most):
    ticks = clock_ticks(begins, length_s, most)
    assert len(ticks) <= most + 1
    for at_s, _ in ticks:
        assert -1e-6 <= at_s <= length_s + 1e-6
        assert (begins + dt.timedelta(seconds=at_s, microseconds=1)).minute % 5 == 0


def test_times_over_days_are_named_by_the_day():
    assert [text for _, text in clock_ticks(NINE, 5 * 86400, 3)] == ["Wed", "Fri"]
