"""A calibrated thermometer: raw beside corrected, and setpoints that reach the true temperature."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import FindingsError
from labctl.readings import Correction
from labctl.rig.load import rig_of
from labctl.source import compose

ROOT = Path(__file__).parents[3]
POINTS = "[[0.3 C, 0.0 C], [99.2 C, 98.5 C], [233.6 C, 231.9 C]]"
PROBE = Correction((0.3, 99.2, 233.6), (0.0, 98.5, 231.9))


@pytest.mark.parametrize(
    ("reads", "true"),
    [
        (0.3, 0.0),
        (99.2, 98.5),
        (166.4, 165.2),  # half way between two points, half way between their corrections
        (-5.0, -5.3),
        (300.0, 298.3),
    ],
)
def test_a_reading_is_corrected_along_its_points_and_as_the_last_one_beyond_them(reads, true):
    assert PROBE.corrected(reads) == pytest.approx(true, abs=1e-9)
    assert PROBE.raw(true) == pytest.approx(reads, abs=1e-9)


@given(
    st.lists(st.tuples(st.floats(1, 50), st.floats(1, 50)), min_size=1, max_size=6),
    st.floats(-100, 500),
)
def test_back_and_forth_is_where_it_was(steps, at):
    reads = tuple(sum(s[0] for s in steps[: n + 1]) for n in range(len(steps)))
    true = tuple(sum(s[1] for s in steps[: n + 1]) for n in range(len(steps)))
    both = Correction(reads, true)
    assert both.raw(both.corrected(at)) == pytest.approx(at, abs=1e-6)


@pytest.mark.parametrize("points", ["[[50 C, 49 C], [20 C, 21 C]]", "[[5 C, 9 C], [20 C, 9 C]]"])
def test_points_that_do_not_rise_are_refused_where_they_stand(points):
    text = (ROOT / "rigs/schlenk.yaml").read_text(encoding="utf-8")
    with pytest.raises(FindingsError) as caught:
        rig_of(compose(text.replace(POINTS, points), "rig.yaml"))
    (told,) = caught.value.findings
    assert told.rule == "schema.calibration"
    assert "does not rise" in told.message
