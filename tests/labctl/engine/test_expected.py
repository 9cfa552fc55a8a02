"""What a record says of how a run went, step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.engine.expected import Curve, expected_of
from labctl.record import open_run


@pytest.fixture(scope="module")
def expected(paper_run):
    with open_run(paper_run) as run:
        return expected_of(run, "golden", "the last good batch YK-219")


def test_every_step_has_its_trace_in_its_own_time(expected, paper_run):
    with open_run(paper_run) as run:
        steps = {step.id: step for step in run.steps}
    assert set(expected.steps) == set(steps)
    ramp = expected.steps["stage2.2"]
    assert ramp.verb == "ramp"
    assert ramp.flask_c.at(2.0) == pytest.approx(120.0, abs=2.0)
    lasted_s = (steps["stage2.2"].end_ns - steps["stage2.2"].start_ns) / 1e9
    assert ramp.flask_c.at(lasted_s - 2.0) == pytest.approx(250.0, abs=3.0)
    assert ramp.flask_mbar.at(60.0) == pytest.approx(1005.0, abs=30.0)
    assert math.isnan(ramp.flask_c.at(lasted_s + 2.0))
    assert math.isnan(ramp.flask_c.at(-1.0))


def test_an_injection_has_the_shift_it_made_and_no_other(expected):
    sulfide = expected.shifts["s"]
    assert sulfide.reagent == "S"
    assert sulfide.nm.at(120.0) == pytest.approx(0.0, abs=0.3)
    assert sulfide.nm.values[-3:] == pytest.approx([14.5] * 3, abs=0.6)
    assert "hf" not in expected.shifts, "it is followed by half an hour of vacuum in its step"
    assert set(expected.shifts) <= {"zn1", "s", "zn2"}


def test_a_curve_has_no_value_outside_or_across_a_gap():
    curve = Curve(np.array([0.0, 30.0, 300.0]), np.array([1.0, 2.0, 4.0]))
    assert curve.at(15.0, 90.0) == 1.5
    assert math.isnan(curve.at(100.0, 90.0))
    assert curve.at(165.0) == 3.0
    assert math.isnan(curve.at(math.nan))
    assert math.isnan(curve.at(301.0))
    assert curve.within(10.0, 300.0).tolist() == [2.0]
