import dataclasses
import re
from xml.etree import ElementTree as ET

import pytest

from labctl.errors import Finding, Severity
from labctl.outlook.course import Course, estimated
from labctl.plan import Plan
from labctl.report.plan_page import plan_page
from labctl.report.plan_svg import LEFT, RIGHT, WIDTH, timeline

HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture(scope="module")
def course(paper_plan):
    return estimated(paper_plan)


@pytest.fixture(scope="module")
def page(paper_plan, course):
    return plan_page(paper_plan, course, [])


def test_the_page_needs_nothing_else_and_runs_nothing(page):
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=|url\(|https?://", page)
    assert "default-src &#x27;none&#x27;" in page
    assert len(page.encode()) < 60_000


def test_the_page_says_what_the_day_asks_for(page):
    for said in (
        "09:00 to 13:43", "4 h 44 min as estimated", "YK\u00a0and\u00a0MT", "layers 2",
        "10.000 mL (8.100 g) by hand", "9.200 mL into pump_1", "8.065 + 0.337 + 0.798 mL",
        "lot ZN-0912, keep at 80 °C", "flammable", "fullest at stage3.3: 22.9 mL",
        "confirm for HF: ", "gluconate gel in date", "two people at the rig", "no rates given",
        "13.0 mL, 200 °C",
    ):  # fmt: skip
        assert said in page, said
    assert page.count('class="line two"') == 1  # both sign for HF, and for nothing else


def test_text_does_not_become_markup(paper_plan, course):
    head = paper_plan.recipe.head.model_copy(update={"name": HOSTILE})
    recipe = dataclasses.replace(paper_plan.recipe, head=head)
    plan: Plan = dataclasses.replace(paper_plan, recipe=recipe)
    found = [Finding("a.rule", Severity.WARNING, "r.yaml", 1, 1, HOSTILE)]
    page = plan_page(plan, course, found)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)") == 3  # title, heading, finding


def drawn(course, begins):
    return ET.fromstring(timeline(course, begins))  # noqa: S314 - our own


def test_the_timeline_draws_every_stage_and_dose_to_scale(paper_plan, course):
    root = drawn(course, paper_plan.batch.model.date)
    words = [node.text for node in root.iter("text")]
    assert [span.name for span in course.stages] == [
        text for text in words if text in {span.name for span in course.stages}
    ]
    assert {"SQ", "NC", "ZN", "HF", "S", "09:00", "300 °C", "people"} <= set(words)
    bands = [node for node in root.iter("rect") if node.get("class", "").startswith("stage")]
    scale = (WIDTH - LEFT - RIGHT) / course.end_s
    for band, span in zip(bands, course.stages, strict=True):
        assert float(band.get("x")) == pytest.approx(LEFT + span.start_s * scale, abs=0.1)
        assert float(band.get("width")) == pytest.approx(
            (span.end_s - span.start_s) * scale, abs=0.1
        )
    assert float(bands[-1].get("x")) + float(bands[-1].get("width")) <= WIDTH - RIGHT + 0.2


def test_the_hottest_point_is_drawn_highest(paper_plan, course):
    root = drawn(course, paper_plan.batch.model.date)
    (line,) = root.iter("polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
    assert len(points) == len(course.heat)
    hottest = max(range(len(points)), key=lambda n: course.heat[n][1])
    assert points[hottest][1] == min(y for _, y in points)


def test_doses_close_together_share_a_label(paper_plan, course):
    bars = tuple(
        dataclasses.replace(bar, start_s=0.0) if bar.step == "load.7" else bar
        for bar in course.bars
    )
    root = drawn(dataclasses.replace(course, bars=bars), paper_plan.batch.model.date)
    assert "SQ, NC" in [node.text for node in root.iter("text")]


def test_nothing_is_drawn_of_no_time(paper_plan):
    assert timeline(Course((), (), {}), paper_plan.batch.model.date) == ""
