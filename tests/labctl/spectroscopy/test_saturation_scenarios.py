from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.courses import settled
from benchmarks.kinetics import exponential, paused
from benchmarks.scenarios import FAMILIES, KINETICS, build


@pytest.mark.parametrize(("amplitude_nm", "tau_s"), [(20.0, 200.0), (-5.0, 60.0), (3.0, 900.0)])
def test_the_oracle_knows_when_half_a_nanometre_is_left(amplitude_nm, tau_s):
    expected = tau_s * math.log(abs(amplitude_nm) / 0.5)
    assert settled(exponential(amplitude_nm, tau_s)) == pytest.approx(expected, abs=6.0)


def test_a_pause_is_no_end():
    course = paused(exponential(20.0, 200.0), 300.0, 240.0)
    assert settled(course) == pytest.approx(200.0 * math.log(40.0) + 240.0, abs=6.0)


def test_what_never_ends_never_settles():
    assert math.isinf(settled(lambda t: 0.2 * np.sqrt(t)))
    assert math.isinf(settled(lambda t: 0.04 / 60.0 * t))
    assert settled(lambda t: 0.0 * t) == 0.0


def test_an_excursion_on_the_way_counts():
    """Blue by 4 nm, then red: where the peak stands still for a moment is no end."""
    blue, red = exponential(-4.0, 60.0), exponential(10.0, 400.0)
    assert settled(lambda t: blue(t) + red(t)) == pytest.approx(400.0 * math.log(20.0), abs=6.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_is_its_seed(family):
    first, again, other = build(family, 1), build(family, 1), build(family, 2)
    assert repr(first.samples) == repr(again.samples)
    assert repr(first.samples) != repr(other.samples)
    assert len(first.true_s) == len(first.samples) >= 40
    assert first.kind in {"identifiable", "ambiguous", "held", "fault", "idle"}
    assert first.family in {family, *KINETICS}


def test_there_are_more_families_than_the_field_has_named():
    assert len(FAMILIES) >= 34
