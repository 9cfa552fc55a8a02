"""Every fault F1 to F37 in one short day: it really acts, and labctl reacts as the table says.

Plant truth judges. `unsafe` marks what is not safe today and `yet` what nobody notices: the table
says so of each, and the test fails when that becomes better, so that the marks go.
"""

from dataclasses import dataclass

import pytest

from benchmarks.day import HEAD, SHEET, STEPS
from labctl.errors import UnknownNameError, UsageError
from labctl.faults import parse_fault
from labctl.registry import fault_table

HOTTEST_C = 105.0  # the recipe's highest plus 15 K
PLANNED_ML = 0.4 / 2.17


@dataclass(frozen=True)
class Row:
    """A fault and what comes of it: complete, or the safe state for a reason with these words."""

    spec: str
    because: str = ""
    yet: bool = False
    unsafe: bool = False


ROWS = [
    Row("byte_flip(count=20,share=0.03)@bus@up"),
    Row("byte_flip@gauge@fill"),
    Row("byte_flip(count=5)@gauge@fill", "over_p tripped"),
    Row("drop_byte@gauge@fill"),
    Row("drop_byte@heater@up+30s"),
    Row("drop_reply@heater@up+30s"),
    Row("drop_reply(count=5)@gauge@fill", "over_p tripped"),
    Row("late_reply@heater@up+30s"),
    Row("late_reply(count=5)@gauge@fill", "over_p tripped"),
    Row("split_reply(share=0.5)@bus"),
    Row("merged_reply@heater@up+30s"),
    Row("echo@bus@up+60s", "too_hot tripped", yet=True),
    Row("garbage_at_open@bus"),
    Row("baud_mismatch@bus", "expected a reply"),
    Row("baud_mismatch@bus@up+60s", "too_hot tripped"),
    Row("crc_storm(share=0.1)@gauge@up", "over_p tripped"),
    Row("crc_storm(share=0.9)@bus@up+60s", "tripped", yet=True),
    Row("usb_unplug@gauge@up+60s~30s", "over_p tripped"),
    Row("usb_unplug@bus@up+60s~30s", "too_hot tripped"),
    Row("usb_unplug@pumps@s+10s~5s", "was lost"),
    Row("port_busy@pumps", "another program holds the port"),
    Row("half_open@gauge@up", "over_p tripped"),
    Row("half_open@bus@up+60s", "too_hot tripped"),
    Row("reboot(away=1s)@heater@up+20s", yet=True),
    Row("reboot@heater@up+20s", "too_hot tripped"),
    Row("reboot@pump_2@s+10s", "it was switched off or reset"),
    Row("reboot(away=1s)@stirrer@up", "stirring requires"),
    Row("reboot@gauges@up", "over_p tripped"),
    Row("stale_reading@heater@up+20s", "thermal_R8 tripped"),
    Row("stale_reading@heater@stay", yet=True),
    Row("stale_reading@gauges@degas+20s", "did not fall"),
    Row("stuck_value(value=45)@heater@up", "thermal_R3 tripped"),
    Row("stuck_value(value=600)@heater@up", "thermal_R1 tripped"),
    Row("busy@gauges@up", "over_p tripped"),
    Row("busy(count=1)@heater@up+30s"),
    Row(
        "front_panel(value=200)@heater@stay",
        "its setpoint is 200 °C, and labctl set 90.7 °C, by its own scale",
    ),
    Row("front_panel(value=0)@stirrer@up", "stirring requires"),
    Row("front_panel(value=0)@pump_2@s+10s", "gave 0.0"),
    Row("front_panel(value=1)@gauges@up", "no_suck requires"),
    Row("tc_open@heater@up+30s", "too_hot tripped"),
    Row("tc_short@heater@up+20s", "thermal_R2 tripped"),
    Row("tc_reversed@heater@up+20s", "thermal_R2 tripped"),
    Row("tc_short@stirrer@look", "thermal_R8 tripped"),
    Row("probe_out@heater@look", "thermal_R2 tripped"),
    Row("probe_slip@heater@look", "thermal_R2 tripped"),
    Row("probe_creep(over=30s)@heater@look", "thermal_R8 tripped"),
    Row("ssr_stuck_on@heater@up+60s", "thermal_R5 tripped"),
    Row("heater_open@heater@up", "thermal_R4 tripped"),
    Row("mantle_unplugged@flask50@up", "thermal_R4 tripped"),
    Row("wrong_mantle(power=0.1)@flask@up", "thermal_R6 tripped"),
    Row("wrong_mantle(power=1.5)@heater"),
    Row("leak_step(rate=1)@flask@degas", "did not fall"),
    Row("gauge_off@gauges@up", "over_p tripped"),
    Row("gauge_out_of_range(channel=2)@gauges@degas", "air_in_trap froze"),
    Row("valve_stuck_closed(valve=vac_rough)@valves@degas", "did not fall"),
    Row("valve_stuck_closed(valve=line_2)@valves@s", "stalled"),
    Row("valve_stuck_open(valve=vac_fine)@valves", "was not filled", unsafe=True),
    Row("pump_off@aux@degas+90s", "air_in_trap froze"),
    Row("pump_off@rough@degas", "did not fall"),
    Row("trap_warm@flask@degas", yet=True),
    Row("n2_empty@flask@fill", "n2_supply froze"),
    Row("pump_stall@pump_2@s+10s", "stalled"),
    Row("occlusion@pump_2@s+10s", yet=True),
    Row("air_bubble@pump_2@s", yet=True),
    Row("syringe_empty@pump_2@s+10s", "stalled"),
    Row("wrong_syringe@pump_2@s", yet=True),
    Row("wrong_syringe(gives=1.5)@pump_2@s", unsafe=True),
    Row("lamp_off@uvvis@look", "0 usable frames"),
    Row("saturation@uvvis@look", "0 usable frames"),
    Row("shutter_stuck@aux", "0 usable frames"),
    Row("bubble_in_beam@uvvis@look"),
    Row("turbidity@uvvis@look"),
]


@pytest.fixture
def day(conducted):
    """Run the short day with faults; `hottest_c` is the flask's own maximum."""

    def run(*faults, seed=1):
        temperatures = []

        def look(world, _inbox, _rig):
            temperatures.append(world.flask.thermal.flask_c)

        during = dict.fromkeys(range(5, 2400, 5), look)
        ended = conducted(STEPS, head=HEAD, sheet=SHEET, faults=faults, during=during, seed=seed)
        ended.hottest_c = max(temperatures, default=22.0)
        return ended

    return run


def test_without_a_fault_the_day_goes_well(day):
    ended = day()
    assert (ended.outcome, ended.faults) == ("complete", ())
    assert safe(ended)
    assert ended.hottest_c > 85


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.spec)
def test_a_fault_acts_and_the_run_reacts(day, row):
    ended = day(row.spec)
    (fault,) = ended.faults
    assert fault.began_ns is not None
    assert fault.acted
    assert ended.outcome == ("safe" if row.because else "complete")
    assert row.because in ended.reason
    assert ended.codes().count("fault.planned") == ended.codes().count("fault.acted") == 1
    listing = fault_table()[parse_fault(row.spec, fault_table()).name]
    assert bool(listing.yet) or not (row.yet or row.unsafe), "say in the table what is missing"
    assert safe(ended) is not row.unsafe, (ended.hottest_c, ended.truth)


def safe(ended):
    """The plant's truth: no heat afterwards, never too hot, no more dosed than planned."""
    truth = ended.truth
    return (
        truth["heater_w"] == 0.0
        and ended.hottest_c <= HOTTEST_C
        and truth["pump_2.delivered_ml"] <= PLANNED_ML * 1.02
        and truth["valve.n2"] + truth["valve.vac_rough"] + truth["valve.vac_fine"] <= 1.0
    )


def test_every_number_from_1_to_37_has_its_fault_and_every_fault_its_row():
    table = fault_table()
    assert {row.number for row in table.values()} == {f"F{n}" for n in range(1, 38)}
    assert {parse_fault(row.spec, table).name for row in ROWS} == set(table)
    assert all(row.does.endswith(".") and row.reaction and row.noticed_by for row in table.values())


def test_the_same_seed_is_the_same_fault_and_another_is_not(day):
    faults = ("byte_flip(count=20,share=0.03)@bus@up", "bubble_in_beam@uvvis@look")
    first, again, other = day(*faults), day(*faults), day(*faults, seed=2)
    assert first.digest == again.digest != other.digest
    assert [row.acted for row in first.faults] == [row.acted for row in again.faults]


def test_a_fault_that_lasts_a_while_ends_and_what_it_did_is_undone(day):
    ended = day("mantle_unplugged@flask@up+30s~60s")
    (fault,) = ended.faults
    assert fault.ended_ns - fault.began_ns == 60 * 10**9
    assert ended.outcome == "complete"
    assert ended.hottest_c > 85


def test_a_fault_whose_step_is_never_reached_is_told_so(day):
    ended = day("port_busy@pumps", "occlusion@pump_2@s")
    told = [event.message for event in ended.events if event.code == "fault.acted"]
    assert "never began" in told[1]


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("leak_step@heater", UsageError, "here: flask"),
        ("probe_slip@gauges", UsageError, "here: heater, stirrer"),
        ("valve_stuck_open(valve=n3)@valves", UsageError, "does nothing"),
        ("occlusion@pump_1", UsageError, "here: pump_2"),
        ("drop_reply@gauges@upp", UnknownNameError, "did you mean 'up'"),
        ("drop_reply@guages", UnknownNameError, "did you mean 'gauges'"),
        ("late_reply@host", UnknownNameError, "target"),
    ],
)
def test_a_fault_that_does_not_fit_is_refused_before_anything_runs(day, spec, error, says):
    with pytest.raises(error, match=says):
        day(spec)
