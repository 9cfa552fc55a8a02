"""Aiming: the stop falls a lead before the target, never for one frame, never on a dead source."""

from __future__ import annotations

import math
import random

import pytest

from labctl.bench import Criterion
from labctl.engine.aiming import Aim, landing
from labctl.spectroscopy.temperature import to_hot


def aimed(target_nm=470.0, rising=True, lead_s=0.0, **more):
    return Aim(
        Criterion("reaches", "peak", 1800.0, target_nm=target_nm, rising=rising, lead_s=lead_s),
        **more,
    )


def growing(t_s):
    return 487.0 - 60.0 * math.exp(-t_s / 125.0)


def when(target_nm):
    return -125.0 * math.log((487.0 - target_nm) / 60.0)


def stopped(aim, peaks, *, every_s=2.0, noise_nm=0.2, seed=1, from_s=0.0):
    """The s at which the aim stops on a course, or None."""
    noise = random.Random(seed)
    for n in range(300):
        t_s = from_s + n * every_s
        cold = peaks(t_s) + noise.gauss(0, noise_nm)
        if aim.look(t_s, cold, noise_nm, to_hot(cold, 260.0)):
            return t_s
    return None


@pytest.mark.parametrize("lead_s", [0.0, 16.0, 30.0])
@pytest.mark.parametrize("every_s", [2.0, 5.0, 10.0])
@pytest.mark.parametrize("seed", range(5))
def test_it_stops_a_lead_before_the_target_is_met(lead_s, every_s, seed):
    aim = aimed(lead_s=lead_s)
    at_s = stopped(aim, growing, every_s=every_s, seed=seed)
    sd_s = aim.evidence()["arrival_sd_s"]
    assert at_s == pytest.approx(when(470.0) - lead_s, abs=every_s / 2 + 3 * sd_s + lead_s / 8)


def test_a_blueshift_is_aimed_at_from_the_other_side():
    at_s = stopped(aimed(450.0, rising=False, lead_s=10.0), lambda t: 900.0 - growing(t))
    assert at_s == pytest.approx(when(450.0) - 10.0, abs=6)


@pytest.mark.parametrize("seed", range(20))
def test_wild_frames_never_trigger(seed):
    rng = random.Random(seed)

    def wild(t_s):
        return 455.0 + (rng.choice([-30.0, 25.0, 300.0]) if rng.random() < 0.1 else 0.0)

    assert stopped(aimed(lead_s=16.0), wild, seed=seed) is None


def test_two_wild_frames_before_there_is_a_course_never_trigger():
    aim = aimed(lead_s=16.0)
    for n, nm in enumerate([430.0, 500.0, 501.0, 431.0, 431.5]):
        assert not aim.look(2.0 * n, nm, 0.2, nm)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("level_nm", [455.0, 469.6])
def test_a_level_below_the_target_never_triggers(level_nm, seed):
    assert stopped(aimed(lead_s=16.0), lambda t: level_nm, seed=seed, noise_nm=0.1) is None


@pytest.mark.parametrize("level_nm", [455.0, 480.0])
def test_a_dead_source_never_triggers_even_beyond_the_target(level_nm):
    """The correction's thermometer makes the 25 °C value wander while the source is stuck."""
    aim, rng = aimed(lead_s=16.0), random.Random(1)
    for n in range(300):
        assert not aim.look(2.0 * n, level_nm + rng.gauss(0, 0.05), 0.2, 494.4) or n < 5
    assert "exactly the same" in aim.reason


def test_a_level_surely_beyond_the_target_is_there_whatever_the_course():
    at_s = stopped(aimed(), lambda t: 471.0)
    assert at_s == 14.0, "eight frames"
    assert stopped(aimed(by_samples=True), lambda t: 471.0, every_s=300.0) == 600.0


def test_what_slows_down_before_the_target_does_not_stop():
    assert stopped(aimed(lead_s=16.0), lambda t: 469.0 - 40.0 * math.exp(-t / 60.0)) is None


def test_the_person_sees_where_it_is_and_when_it_will_be_there():
    aim = aimed(lead_s=16.0)
    assert aim.words() == "1S at 25 °C >= 470 nm"
    said = []
    for n in range(70):
        aim.look(2.0 * n, growing(2.0 * n), 0.1, 480.0 + n)
        said.append(aim.words())
    assert said[0] == "1S at 25 °C >= 470 nm: now 427.0 nm"
    assert said[20].startswith("1S at 25 °C >= 470 nm: now 44")
    assert said[20].endswith(("in about 2 min", "in about 80 s"))
    assert said[-1].endswith("in about 20 s")


def test_the_landing_is_told_with_the_lead_that_would_have_met_the_target():
    aim = aimed(lead_s=16.0)
    stopped(aim, growing)
    rate = growing(when(470.0) - 16.0) - growing(when(470.0) - 17.0)
    rest = [(200.0 + 3 * n, 471.0, 0.5) for n in range(60)]
    found = landing(aim.aimed(), [(100.0, 440.0, 3.4), *rest])
    assert found.over_nm == pytest.approx(1.0, abs=0.05)
    assert found.better_lead_s == pytest.approx(16.0 + 1.0 / rate, rel=0.2)
    assert found.words().startswith("1S at 25 °C came to rest at 471.0")
    assert "1.00 nm beyond the target" in found.words()


def test_two_frames_are_no_landing():
    assert landing(aimed().aimed(), [(0.0, 470.0, 0.5), (2.0, 470.0, 0.5)]) is None
    assert landing(aimed().aimed(), []) is None
