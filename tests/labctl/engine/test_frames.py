"""What is said of the frames: a peak lost and found is told once, a dirty window once."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from labctl.engine.frames import FrameWatch, Pace
from labctl.spectroscopy.absorbance import Absorbance
from labctl.spectroscopy.peak import PeakEstimate

NS = 10**9
AXIS = np.linspace(400.0, 900.0, 600)
PEAK = PeakEstimate(580.0, 0.05, "GOOD", (), 24.0, 0.3, 576.0)


@pytest.fixture
def told():
    return []


@pytest.fixture
def watch(told):
    def event(code, message, data=None, level="info"):
        told.append((code, message, dict(data or {}), level))

    return FrameWatch(SimpleNamespace(event=event), 760.0, 0.03)


def test_a_lost_peak_is_told_after_five_frames_and_once(watch, told):
    watch.seen((), usable=True)
    for n in range(20):
        assert bool(told) is (n >= 5)
        watch.seen(("saturated", "jump") if n else ("jump",), usable=False)
    ((code, message, data, level),) = told
    assert (code, level) == ("track.lost", "warning")
    assert "jump, saturated" in message
    assert data == {"flags": "jump, saturated", "taken": 6, "bad": 5, "missing": 0}


def test_a_found_peak_is_told_once_with_the_count(watch, told):
    for _ in range(7):
        watch.seen(("no_peak",), usable=False)
    watch.seen((), usable=True)
    watch.seen((), usable=True)
    assert [row[0] for row in told] == ["track.lost", "track.found"]
    assert told[1][2] == {"frames": 7, "bad": 7, "missing": 0}


def test_single_bad_frames_are_counted_and_not_told(watch, told):
    for n in range(40):
        watch.seen(("misfit",) if n % 5 else (), usable=n % 5 == 0)
    assert told == []
    assert (watch.taken, watch.bad, watch.missing) == (40, 32, 0)


def test_a_spectrometer_that_does_not_answer_is_told_once_until_it_answers(watch, told):
    for _ in range(8):
        watch.missed("NoReplyError", f"uvvis: no reply to question {watch.missing}")
    watch.seen((), usable=True)
    watch.missed("NoReplyError", "uvvis: no reply")
    codes = [row[0] for row in told]
    assert codes == ["track.silent", "track.lost", "track.found", "track.silent"]
    assert watch.missing == 9


def test_what_a_decision_did_without_is_counted(watch, told):
    watch.seen(("jump",), usable=False)
    before = watch.counts()
    watch.tell(before)
    assert told == []
    for n in range(10):
        watch.seen(("misfit",) if n == 4 else (), usable=n != 4)
    watch.missed("NoReplyError", "uvvis: no reply")
    watch.tell(before)
    assert told[-1][0] == "track.frames"
    assert told[-1][2] == {"taken": 10, "bad": 1, "missing": 1}
    assert told[-1][1] == "of 11 frames 1 were bad and 1 missing"


def spectrum(film_au):
    rng = np.random.default_rng(round(1e4 * abs(film_au)))
    values = film_au + 1e-3 * rng.standard_normal(AXIS.size)
    return Absorbance(AXIS, values, np.full(AXIS.size, 1e-3), np.zeros(AXIS.size, np.uint8))


def test_a_window_that_fouls_is_told_once_and_again_after_a_new_reference(watch, told):
    for level in np.linspace(0.0, 0.08, 80):
        watch.window(spectrum(level), PEAK)
    assert [row[0] for row in told] == ["track.fouling"]
    assert told[0][3] == "warning"
    assert told[0][2]["level_au"] == pytest.approx(0.03, abs=0.002)
    watch.restart()
    for _ in range(20):
        watch.window(spectrum(0.05), PEAK)
    assert [row[0] for row in told] == ["track.fouling"] * 2


def test_a_brighter_lamp_is_the_lamp(watch, told):
    for _ in range(20):
        watch.window(spectrum(-0.05), PEAK)
    assert [row[0] for row in told] == ["track.lamp"]


def test_without_a_limit_or_a_peak_the_window_is_not_judged(watch, told):
    idle = FrameWatch(watch._run, 0.0, 0.0)
    lost = PeakEstimate(math.nan, math.nan, "BAD", ("no_peak",))
    for _ in range(20):
        idle.window(spectrum(0.5), PEAK)
        watch.window(spectrum(0.5), lost)
    assert told == []


def test_frames_come_rarer_while_nobody_waits():
    pace = Pace(10 * NS)
    due = [t for t in range(0, 200, 10) if pace.due(t * NS, 3)]
    assert due == list(range(0, 200, 30))
    assert [t for t in range(200, 240, 10) if pace.due(t * NS, 1)] == [200, 210, 220, 230]
