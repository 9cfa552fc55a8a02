import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.framing.harvard import read
from labctl.twin import TwinDevice
from simulators.harvard_elite11 import SimElite11

S = 1_000_000_000


class Plunger:
    """A plant with one syringe that empties."""

    def __init__(self, left_ml=100.0):
        self.left_ml = left_ml

    def move(self, syringe, volume_ml, t_ns):
        moved = min(volume_ml, self.left_ml)
        self.left_ml -= moved
        return moved


def pump(address=0, plant=None):
    settings = DeviceSettings("pump", address=address)
    device = TwinDevice("pump", "harvard_elite11", "line", settings)
    return SimElite11(device, plant or Plunger())


def say(sim, command, t_s=0.0):
    """Send a line; return its lines and prompt."""
    replies = sim.feed(f"{sim.address}{command}\r\n".encode(), round(t_s * S))
    ((_, reply),) = replies
    return read(reply).lines, read(reply).prompt


def run(sim, t_s=0.0, rate="6 m/m", volume="0.5 m"):
    for command in ("diameter 14.57 mm", f"irate {rate}", f"tvolume {volume}"):
        assert say(sim, command, t_s) == ((), ":")
    assert say(sim, "irun", t_s) == ((), ">")


def test_the_exchanges_of_the_manual_and_of_flowchem():
    sim = pump()
    for asked, told in (
        (b"0ver \r\n", b"\n00:11 ELITE I/W Single 3.0.4\r\n00:"),
        (b"0diameter 14.5670 mm\r\n", b"\n00:"),
        (b"0diameter \r\n", b"\n00:14.5670 mm\r\n00:"),
        (b"0FORCE 30\r\n", b"\n00:"),
        (b"0FORCE \r\n", b"\n00:30%\r\n00:"),
        (b"0irate 2.5000000000 m/m\r\n", b"\n00:"),
        (b"0irate \r\n", b"\n00:2.5 ml/min\r\n00:"),
        (b"0irun \r\n", b"\n00>"),
        (b"0crate \r\n", b"\n00:Infusing at 2.5 ml/min\r\n00>"),
        (b"0  \r\n", b"\n00>"),
        (b"0stp \r\n", b"\n00:"),
    ):
        assert sim.feed(asked, 0)[0][1] == told


def test_the_address_comes_with_and_without_a_colon_and_commands_in_four_letters():
    sim = pump(address=12)
    assert sim.feed(b"12:irat 3.2 ul/min\r\n", 0)[0][1] == b"\n12:"
    assert sim.feed(b"12irate\r", 0)[0][1] == b"\n12:3.2 ul/min\r\n12:"
    assert sim.feed(b"@12:diam\n", 0)[0][1].startswith(b"\n12:14.5670 mm\r")


def test_others_get_no_answer_and_no_address_means_zero():
    sim = pump(address=7)
    assert sim.feed(b"6ver\r\nver\r\n12:irat 1 m/m\r\n", 0) == []
    assert pump().feed(b"ver\r\n", 0) != []


def test_a_phd_at_address_zero_does_not_name_itself():
    sim = pump()
    sim.phd = True
    assert sim.feed(b"tvol\r\n", 0)[0][1] == b"\nTarget volume not set\r\n:"


def test_a_dose_ends_at_its_target_and_says_so():
    sim = pump()
    run(sim)
    assert say(sim, "ivolume", 3.0) == (("300 ul",), ">")
    sim.advance(4_900_000_000)
    assert say(sim, "", 5.0) == ((), "T*")
    assert say(sim, "ivolume", 9.0) == (("500 ul",), "T*")
    assert say(sim, "irun", 9.0) == ((), "T*")
    assert say(sim, "civolume", 9.0) == ((), ":")
    assert say(sim, "irun", 9.0) == ((), ">")


def test_stop_keeps_the_counter_and_run_goes_on_to_the_same_target():
    sim = pump()
    run(sim)
    assert say(sim, "stp", 2.0) == ((), ":")
    assert say(sim, "ivolume", 60.0) == (("200 ul",), ":")
    say(sim, "irun", 60.0)
    assert say(sim, "ivolume", 70.0) == (("500 ul",), "T*")


def test_withdrawing_counts_apart():
    sim = pump()
    run(sim)
    say(sim, "ctvolume", 10.0)
    say(sim, "wrate 6 m/m", 10.0)
    assert say(sim, "wrun", 10.0) == ((), "<")
    assert say(sim, "wvolume", 11.0) == (("100 ul",), "<")
    assert say(sim, "ivolume", 11.0) == (("500 ul",), "<")
    say(sim, "cvolume", 12.0)
    assert say(sim, "wvolume", 12.0)[0] == ("0 ml",)


def test_the_status_lines_of_both_families():
    sim = pump()
    assert say(sim, "status")[0] == ("0 0 0 i...I.",)
    run(sim)
    assert say(sim, "status", 2.0)[0] == ("100000000000 2000 200000000000 I...I.",)
    assert say(sim, "status", 6.0)[0] == ("0 5000 500000000000 i...IT",)
    sim.phd = True
    assert say(sim, "status", 6.0)[0] == ("0 5 500000000000 i...I",)
    sim.stall()
    assert say(sim, "status", 6.0)[0] == ("0 5 500000000000 i.S.I",)


def test_an_empty_syringe_stalls_the_motor_and_the_prompt_is_a_star():
    sim = pump(plant=Plunger(left_ml=0.25))
    run(sim)
    assert say(sim, "", 4.0) == ((), "*")
    assert say(sim, "ivolume", 4.0) == (("250 ul",), "*")


@pytest.mark.parametrize(
    ("command", "first", "second"),
    [
        ("foo", "Command error: foo", "Unknown command"),
        ("irate 1e9 m/m", "Argument error: 1e9 m/m", "Invalid argument"),
        ("irate 9999 m/m", "Argument error: 9999 m/m", "Out of range"),
        ("diameter 40 mm", "Argument error: 40 mm", "Out of range"),
        ("tvolume 11 m", "Argument error: 11 m", "Target volume out of range"),
    ],
)
def test_mistakes_are_answered_in_two_lines(command, first, second):
    assert say(pump(), command) == ((first, "   " + second), ":")


def test_the_limits_follow_the_bore():
    sim = pump()
    low, high = re.fullmatch(r"(.*) nl/min to (.*) ml/min", say(sim, "irate lim")[0][0]).groups()
    assert (float(low), float(high)) == (
        pytest.approx(25.52, rel=1e-3),
        pytest.approx(26.5, rel=1e-3),
    )
    say(sim, "diameter 4.61 mm")
    assert float(say(sim, "irate lim")[0][0].split()[3]) == pytest.approx(2.654, rel=1e-3)


@pytest.mark.parametrize(
    ("written", "read_back"),
    [("2.5 m/m", "2.5 ml/min"), ("150 u/h", "2.5 ul/min"), (".5 ul/s", "30 ul/min")],
)
def test_rates_are_taken_in_any_unit(written, read_back):
    sim = pump()
    say(sim, f"irate {written}")
    assert say(sim, "irate")[0] == (read_back,)


def test_polling_ends_every_reply_with_xon():
    sim = pump()
    sim.feed(b"poll on\r\n", 0)
    assert sim.feed(b"\r\n", 0)[0][1] == b"\n00:\x11"


def test_a_power_cycle_keeps_the_syringe_and_loses_the_counters():
    sim = pump()
    run(sim)
    say(sim, "", 2.0)
    sim.power_cycle()
    assert say(sim, "ivolume", 3.0) == (("0 ml",), ":")
    assert say(sim, "diameter", 3.0)[0] == ("14.5700 mm",)


PIECES = [b"irun\r\n", b"irate 1 m/m\r", b"0status\n", b"\xff", b"irat", b"5ver\r\n", b"\r\n"]


@given(st.lists(st.sampled_from(PIECES)))
def test_bundling_of_bytes_changes_nothing(pieces):
    data = b"".join(pieces)
    whole, single = pump(), pump()
    expected = b"".join(reply for _, reply in whole.feed(data, 0))
    got = b"".join(r for i in range(len(data)) for _, r in single.feed(data[i : i + 1], 0))
    assert got == expected


@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(0, S)), max_size=8))
def test_any_bytes_get_replies_in_the_grammar_or_none(pieces):
    sim, t_ns = pump(), 0
    for data, wait_ns in pieces:
        t_ns += wait_ns
        for _, reply in sim.feed(data + b"\r\n", t_ns):
            assert reply[:1] == b"\n"
            assert reply.isascii()
