"""What was expected beside what is seen: each departure named once, and no other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.expected import NOTHING, Curve, Expected, Shift, Trace, fitting, ghost
from labctl.engine.shadow import Seen, Shadow

START_C, RATE_K_MIN, TO_C = 120.0, 10.0, 250.0
REST_NM, RISE_NM, TAU_S = 566.0, 14.0, 200.0


def ramp_c(t_s, rate=RATE_K_MIN, start=START_C, to=TO_C):
    """A ramp that begins after half a minute and then stands."""
    moved = max(0.0, t_s - 30.0) / 60.0 * rate
    return start + math.copysign(min(moved, abs(to - start)), to - start)


def curve(of, until_s=1500.0, every_s=1.0):
    times = np.arange(0.0, until_s, every_s)
    return Curve(times, np.array([of(t) for t in times]))


def trace(flask=ramp_c, peak=None):
    seen = NOTHING if peak is None else curve(peak, every_s=30.0)
    return Trace("ramp", curve(flask), seen, NOTHING)


def rising(t_s):
    return RISE_NM * (1.0 - math.exp(-t_s / TAU_S))


def walked(shadow, flask=ramp_c, peak=None, *, step="up", until_s=1500, from_s=0.0):
    """Walk a shadow beside a run that shows these; return what it said, with the time in step."""
    said = []
    for t_s in range(0, until_s, 5):
        new = peak is not None and t_s % 30 == 0
        seen = Seen(from_s + t_s, step, t_s, flask(t_s), peak(t_s) if new else math.nan)
        said += [(t_s, departure) for departure in shadow.look(seen)]
    return said


def sentences(said):
    return [departure.message for _, departure in said]


def test_a_run_as_expected_is_left_alone():
    for wobble in (0.0, 0.4):
        shadow = Shadow(Expected("x", "x", {"up": trace(peak=lambda t: REST_NM + rising(t))}))
        said = walked(
            shadow,
            lambda t, w=wobble: ramp_c(t) + w * math.sin(t),
            lambda t, w=wobble: REST_NM + rising(t) + w * math.cos(t),
        )
        assert said == []


@pytest.mark.parametrize(
    ("rate", "says"),
    [
        (6.0, "flask heats 40 % slower than expected"),
        (2.0, "flask heats 80 % slower than expected"),
        (20.0, "flask heats 100 % faster than expected"),
        (9.0, None),
        (11.5, None),
    ],
)
def test_the_rate_of_heating_is_compared_between_the_same_temperatures(rate, says):
    said = walked(Shadow(Expected("x", "x", {"up": trace()})), lambda t: ramp_c(t, rate))
    if says is None:
        assert said == []
        return
    (at_s, departure), *more = said
    assert more == []
    assert departure.kind == "heating"
    number = float(departure.message.split()[2])
    assert number == pytest.approx(float(says.split()[2]), abs=6)
    assert departure.message.replace(f"{number:.0f}", says.split()[2]) == says
    assert at_s < 600


def test_a_start_from_elsewhere_is_no_slow_ramp():
    shadow = Shadow(Expected("x", "x", {"up": trace()}))
    assert walked(shadow, lambda t: ramp_c(t, start=105.0)) == []
    shadow = Shadow(Expected("x", "x", {"up": trace()}))
    assert walked(shadow, lambda t: ramp_c(t, start=160.0)) == []


def test_a_flask_that_does_not_heat_is_named():
    (said,) = walked(Shadow(Expected("x", "x", {"up": trace()})), lambda t: START_C, until_s=500)
    assert said[1].message == "flask does not heat: still 120 °C after 5 min"


def test_cooling_is_watched_as_well():
    down = trace(lambda t: ramp_c(t, 10.0, 250.0, 120.0))
    said = walked(Shadow(Expected("x", "x", {"up": down})), lambda t: ramp_c(t, 5.0, 250.0, 120.0))
    assert [departure.kind for _, departure in said] == ["cooling"]
    assert said[0][1].message.startswith("flask cools 50 %")
    assert "slower" in said[0][1].message


@pytest.mark.parametrize(
    ("flask", "says"),
    [
        (lambda t: 242.0, ["flask stands at 242 °C, 8 K below what was expected"]),
        (lambda t: 256.0, ["flask stands at 256 °C, 6 K above what was expected"]),
        (lambda t: 246.0, []),
        (lambda t: 242.0 if 300 < t < 340 else 250.0, []),
        (lambda t: 175.0 + t / 20.0, []),
    ],
)
def test_a_hold_at_another_temperature_is_named_while_both_stand(flask, says):
    held = Expected("x", "x", {"up": trace(lambda t: 250.0)})
    assert sentences(walked(Shadow(held), flask)) == says


def test_a_peak_elsewhere_is_named_once_and_again_when_it_moves_on():
    rest = {name: trace(lambda t: 250.0, lambda t: REST_NM) for name in ("up", "next")}
    shadow = Shadow(Expected("golden", "the last good batch YK-219", rest))
    said = walked(shadow, lambda t: 250.0, lambda t: REST_NM + 3.0)
    assert sentences(said) == ["peak 3.0 nm to the red of the last good batch YK-219"]
    same = walked(shadow, lambda t: 250.0, lambda t: REST_NM + 3.2, step="next", from_s=1500.0)
    assert same == []
    back = walked(shadow, lambda t: 250.0, lambda t: REST_NM - 2.0, from_s=3000.0)
    assert sentences(back) == ["peak 2.0 nm to the blue of the last good batch YK-219"]


def test_a_peak_that_came_back_is_named_when_it_leaves_again():
    rest = {name: trace(lambda t: 250.0, lambda t: REST_NM) for name in "abc"}
    shadow = Shadow(Expected("x", "x", rest))
    said = [
        sentences(walked(shadow, lambda t: 250.0, lambda t, o=off: REST_NM + o, step=step))
        for step, off in zip("abc", (3.0, 0.2, 3.0), strict=True)
    ]
    assert said == [["peak 3.0 nm to the red of x"], [], ["peak 3.0 nm to the red of x"]]


def test_peaks_from_before_a_gap_do_not_count():
    seen = Expected("x", "x", {"up": trace(lambda t: 250.0, lambda t: REST_NM)})
    shadow = Shadow(seen)
    for t_s in (0, 30, 300, 330, 600, 630, 900, 930):
        assert shadow.look(Seen(t_s, "up", t_s, 250.0, REST_NM + 5.0)) == []


def test_a_little_later_on_a_fast_rise_is_no_departure():
    moving = Expected("x", "x", {"up": trace(lambda t: 250.0, lambda t: REST_NM + rising(t))})
    late = walked(Shadow(moving), lambda t: 250.0, lambda t: REST_NM + rising(max(0.0, t - 40.0)))
    assert late == []
    half = walked(Shadow(moving), lambda t: 250.0, lambda t: REST_NM + 0.5 * rising(t))
    assert [departure.kind for _, departure in half] == ["peak"]


def injected(part, *, before=True, expected=rising):
    """Walk through a baseline, an injection of 60 s and what follows; the shift is `part` of it."""
    shifts = {"s": Shift("S", curve(expected, 1500.0, 30.0))}
    shadow = Shadow(Expected("x", "x", {}, shifts))
    if before:
        walked(shadow, lambda t: 120.0, lambda t: REST_NM, step="base", until_s=180)
    walked(shadow, lambda t: 120.0, lambda t: REST_NM, step="s", until_s=60, from_s=180.0)
    return walked(
        shadow, lambda t: 120.0, lambda t: REST_NM + part * rising(t), step="wait", from_s=240.0
    )


def test_no_shift_after_an_injection_is_named_in_good_time():
    ((at_s, departure),) = injected(0.0)
    assert departure.message.startswith("no shift 6 min after the injection of S; +1")
    assert at_s <= 300 + 120
    assert departure.data["expected_nm"] == pytest.approx(rising(at_s - 30), abs=1.0)


@pytest.mark.parametrize("part", [0.3, 1.0, 1.5, -0.5])
def test_any_shift_is_one(part):
    assert injected(part) == []


def test_without_a_baseline_or_where_little_was_expected_nothing_is_said():
    assert injected(0.0, before=False) == []
    assert injected(0.0, expected=lambda t: 0.05 * rising(t)) == []


def test_the_ghost_is_what_was_seen_at_the_same_point_of_the_step():
    expected = Expected("golden", "g", {"up": trace(peak=lambda t: REST_NM + rising(t))})
    seen = dict(ghost(expected, "up", 330.0))
    assert seen["golden.T"] == pytest.approx(ramp_c(330.0))
    assert seen["golden.peak"] == pytest.approx(REST_NM + rising(330.0), abs=0.05)
    assert math.isnan(seen["golden.P"])
    assert math.isnan(dict(ghost(expected, "up", 1e5))["golden.T"])
    assert dict(ghost(expected, "elsewhere", 0.0)) == {}


def test_a_step_of_another_recipe_is_not_compared():
    steps = {"up": trace(), "s": trace(), "gone": trace(), "turn#2": trace()}
    shifts = {"s": Shift("S", NOTHING), "up": Shift("S", NOTHING)}
    verbs = {"up": "ramp", "s": "hold", "turn": "ramp", "new": "ramp"}
    kept = fitting(Expected("x", "x", steps, shifts), verbs)
    assert set(kept.steps) == {"up", "turn#2"}
    assert set(kept.shifts) == {"up"}


number = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(st.tuples(st.sampled_from(["up", "s", "?"]), number, number), max_size=60))
def test_nothing_that_is_measured_makes_it_raise(rows):
    steps = {"up": trace(peak=lambda t: REST_NM + rising(t)), "s": trace(lambda t: 250.0)}
    shadow = Shadow(Expected("x", "x", steps, {"s": Shift("S", curve(rising, 900.0, 30.0))}))
    for n, (step, flask_c, peak_nm) in enumerate(rows):
        shadow.look(Seen(30.0 * n, step, 30.0 * n, flask_c, peak_nm))
