"""What a person writes of a fault is read as meant, or refused with the nearest name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import RefusedError, UnknownNameError, UsageError
from labctl.faults import parse_fault, placed
from labctl.registry import fault_table

TABLE = fault_table()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("late_reply@gauges+20min", ("late_reply", "gauges", "", 1200.0, None)),
        ("probe_slip@heater@stage2", ("probe_slip", "heater", "stage2", 0.0, None)),
        ("leak_step@flask@stage2.3+90 s~5 min", ("leak_step", "flask", "stage2.3", 90.0, 300.0)),
        ("trap_warm@flask50~2h", ("trap_warm", "flask50", "", 0.0, 7200.0)),
    ],
)
def test_name_target_anchor_delay_and_duration(text, read):
    fault = parse_fault(text, TABLE)
    assert (fault.name, fault.target, fault.anchor, fault.delay_s, fault.duration_s) == read
    assert fault.text == text


def test_arguments_carry_units_and_the_rest_has_its_defaults():
    fault = parse_fault("late_reply(by=1500 ms, count=3)@gauges", TABLE)
    assert fault.arguments == {"by": 1.5, "count": 3.0, "share": 1.0}
    assert parse_fault("valve_stuck_open(valve=n2)@valves", TABLE).arguments == {"valve": "n2"}


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("late_repl@gauges", UnknownNameError, "did you mean 'late_reply'"),
        ("late_reply", UsageError, "NAME"),
        ("late_reply@", UsageError, "NAME"),
        ("late_reply(byy=1 s)@g", UnknownNameError, "did you mean 'by'"),
        ("late_reply(by=1)@g", UsageError, "no unit"),
        ("late_reply(by=2 h)@g", UsageError, "expected 0 to 3600"),
        ("late_reply(by)@g", UsageError, "NAME=VALUE"),
        ("late_reply(by=1 s,by=2 s)@g", UsageError, "given twice"),
        ("probe_slip(contact=nan)@heater", UsageError, "expected 0 to 1"),
        ("stuck_value@heater", UsageError, "value is missing"),
        ("late_reply@g+20", UsageError, "no unit"),
        ("late_reply@g+-5s", UsageError, "before its anchor"),
        ("late_reply@g~soon", UsageError, "time"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(text, error, says):
    with pytest.raises(error, match=says):
        parse_fault(text, TABLE)


@given(st.text(alphabet="late_reply@gaugs()=,+~1s. -\n", max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        fault = parse_fault(text, TABLE)
    except RefusedError:
        return
    assert fault.name in TABLE


def test_an_anchor_is_a_stage_or_a_step_and_the_vessel_in_use_is_the_flask():
    fault = parse_fault("leak_step@flask50@degas", TABLE)
    (found,) = placed([fault], ["degas"], ["degas.1"], "flask50")
    assert found.target == "flask"
    with pytest.raises(UnknownNameError, match="did you mean 'degas'"):
        placed([parse_fault("leak_step@flask@degass", TABLE)], ["degas"], ["d.1"], "flask50")
