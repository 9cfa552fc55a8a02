import os
import select
import threading
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.clock import wall_s
from labctl.framing.newera import seal
from labctl.twin import TwinDevice
from simulators.newera_ne1000 import SimNe1000

S = 1_000_000_000


class Plunger:
    """A plant with one syringe that empties."""

    def __init__(self, left_ml=100.0):
        self.left_ml = left_ml
        self.pushed_ml = 0.0

    def move(self, syringe, volume_ml, t_ns):
        moved = min(volume_ml, self.left_ml)
        self.left_ml -= moved
        self.pushed_ml += moved
        return moved


def pump(address=0, plant=None, told=True):
    settings = DeviceSettings("pump", address=address)
    sim = SimNe1000(TwinDevice("pump", "newera_ne1000", "line", settings), plant or Plunger())
    if told:
        say(sim, "")
    return sim


def say(sim, command, t_s=0.0):
    """Send a basic line; return the text of the one reply without STX and ETX, or None."""
    replies = sim.feed(f"{sim.address}{command}\r".encode(), round(t_s * S))
    return replies[-1][1].decode("latin-1").strip("\x02\x03") if replies else None


def run(sim, rate="1.000MM", volume="0.500", t_s=0.0):
    for command in ("DIA14.57", "DIRINF", f"RAT{rate}", "VOLML", f"VOL{volume}"):
        assert say(sim, command, t_s) == "00S"
    assert say(sim, "RUN", t_s) == "00I"


def test_the_manuals_exchanges():
    sim = pump()
    for asked, told in (
        (b"0DIA14.43\r", "02 30 30 53 03"),
        (b"0DIA\r", "02 30 30 53 31 34 2E 34 33 03"),
        (b"0XYZ\r", "02 30 30 53 3F 03"),
    ):
        assert sim.feed(asked, 0)[0][1] == bytes.fromhex(told)
    for command in ("RAT5.0MM", "VOL1.0"):
        say(sim, command)
    assert sim.feed(b"0RUN\r", 0)[0][1] == bytes.fromhex("02 30 30 49 03")


def test_after_power_up_the_alarm_is_told_once_whatever_is_asked():
    sim = pump(told=False)
    assert say(sim, "DIA14.43") == "00A?R"
    assert say(sim, "DIA") != "00S14.43"
    assert say(sim, "VER") == "00SNE1000V3.928"


def test_lines_are_stripped_and_folded_and_a_missing_address_means_zero():
    sim = pump()
    assert sim.feed(b" d\x07ia 9.5 \r", 0)[0][1] == b"\x0200S\x03"
    assert say(sim, "DIA") == "00S9.500"


def test_other_addresses_get_no_answer_but_the_star_does():
    sim = pump(address=7)
    assert sim.feed(b"6VER\r", 0) == sim.feed(b"VER\r", 0) == []
    assert sim.feed(b"*ADR\r", 0)[0][1] == b"\x0207S07\x03"


def test_safe_packets_are_answered_in_basic_mode_without_crc():
    assert pump().feed(bytes.fromhex("02 08 53 41 46 30 55 43 03"), 0)[0][1] == b"\x0200S\x03"


def test_safe_mode_answers_in_packets_and_hears_no_lines():
    sim = pump()
    assert sim.feed(seal(b"SAF20"), 0)[0][1] == seal(b"00S")
    assert sim.feed(b"0VER\r", 0) == []
    assert sim.feed(seal(b"0SAF"), 0)[0][1] == seal(b"00S20")
    assert sim.feed(seal(b"SAF0"), 0)[0][1] == b"\x0200S\x03"


def test_a_damaged_packet_is_answered_with_com_and_not_obeyed():
    sim = pump()
    packet = bytearray(seal(b"0DIA9.500"))
    packet[-2] ^= 1
    assert sim.feed(bytes(packet), 0)[0][1] == b"\x0200S?COM\x03"
    assert say(sim, "DIA") == "00S26.59"


@pytest.mark.parametrize(
    ("bore", "most", "too_much"), [("14.43", "6.172MM", "6.173MM"), ("26.59", "20.95MM", "20.97MM")]
)
def test_the_manuals_table_of_rates(bore, most, too_much):
    sim = pump()
    say(sim, f"DIA{bore}")
    assert (say(sim, f"RAT{most}"), say(sim, f"RAT{too_much}")) == ("00S", "00S?OOR")


def test_the_manuals_least_rate():
    sim = pump()
    say(sim, "DIA14.43")
    assert (say(sim, "RAT6.876UH"), say(sim, "RAT6.870UH")) == ("00S", "00S?OOR")


@pytest.mark.parametrize(("bore", "unit"), [("14.00", "UL"), ("14.01", "ML")])
def test_the_bore_picks_the_volume_unit_until_it_is_set(bore, unit):
    sim = pump()
    say(sim, f"DIA{bore}")
    assert say(sim, "VOL") == f"00S0.000{unit}"
    say(sim, "VOLML")
    assert say(sim, "VOL") == "00S0.000ML"


@pytest.mark.parametrize("number", ["12345", "1.2345", "1.2.3", "1e-05", "-1", "."])
def test_numbers_of_another_format_are_not_understood(number):
    sim = pump()
    assert say(sim, f"VOL{number}") == "00S?"
    assert say(sim, "VOL") == "00S0.000ML"


def test_a_dose_ends_at_its_exact_time_and_volume():
    plant = Plunger()
    sim = pump(plant=plant)
    run(sim)
    assert say(sim, "DIS", 12.0) == "00II0.200W0.000ML"
    sim.advance(29_900_000_000)
    assert say(sim, "", 29.999) == "00I"
    assert say(sim, "", 30.0) == "00S"
    assert say(sim, "DIS", 45.0) == "00SI0.500W0.000ML"
    assert plant.pushed_ml == pytest.approx(0.5, abs=1e-12)


def test_stop_pauses_run_goes_on_and_a_second_stop_forgets_the_remainder():
    sim = pump()
    run(sim)
    assert say(sim, "STP", 6.0) == "00P"
    assert say(sim, "RUN", 60.0) == "00I"
    assert say(sim, "DIS", 84.0) == "00SI0.500W0.000ML"
    assert say(sim, "RUN", 90.0) == "00I"
    assert [say(sim, "STP", 91.0) for _ in range(3)] == ["00P", "00S", "00S?NA"]


def test_while_pumping_the_rate_may_change_and_its_unit_may_not():
    sim = pump()
    run(sim, volume="1.000")
    assert say(sim, "RAT0.500UM", 1.0) == "00I?NA"
    assert say(sim, "DIA10.0", 1.0) == say(sim, "CLDINF", 1.0) == "00I?NA"
    assert say(sim, "RAT2.0", 30.0) == "00I"
    assert say(sim, "DIS", 44.9).startswith("00I")
    assert say(sim, "", 45.0) == "00S"


def test_a_program_of_two_phases_runs_on_where_the_first_ends():
    sim = pump()
    for command in ("PHN2", "FUNRAT", "RAT0.500MM", "VOL0.100", "PHN1"):
        say(sim, command)
    run(sim)
    assert say(sim, "DIS", 36.0) == "00II0.550W0.000ML"
    assert say(sim, "DIS", 42.0) == "00SI0.600W0.000ML"


def test_withdrawing_counts_apart_and_setting_the_bore_clears_both_counters():
    sim = pump()
    run(sim)
    say(sim, "", 30.0)
    say(sim, "DIRWDR", 30.0)
    assert say(sim, "RUN", 30.0) == "00W"
    assert say(sim, "DIS", 60.0) == "00SI0.500W0.500ML"
    say(sim, "CLDINF", 60.0)
    assert say(sim, "DIS", 60.0) == "00SI0.000W0.500ML"
    say(sim, "DIA14.57", 60.0)
    assert say(sim, "DIS", 60.0) == "00SI0.000W0.000ML"


def test_an_empty_syringe_stalls_the_motor():
    sim = pump(plant=Plunger(left_ml=0.25))
    run(sim)
    assert say(sim, "", 20.0) == "00A?S"
    assert say(sim, "DIS", 21.0) == "00SI0.250W0.000ML"


def test_purging_goes_at_full_speed_until_stopped():
    plant = Plunger()
    sim = pump(plant=plant)
    say(sim, "DIA14.43")
    assert (say(sim, "PUR"), say(sim, "STP", 30.0)) == ("00X", "00S")
    assert plant.pushed_ml == pytest.approx(3.086)


def test_the_watchdog_stops_the_plunger_by_itself_and_says_so():
    plant = Plunger()
    sim = pump(plant=plant)
    run(sim, volume="5.000")
    sim.feed(seal(b"0SAF10"), 5 * S)
    sim.feed(seal(b"0"), 8 * S)
    sim.advance(17_999_999_999)
    assert sim.feed(b"", 17_999_999_999) == []
    sim.advance(19 * S)
    assert sim.feed(b"", 19 * S) == [(0, seal(b"00A?T"))]
    assert plant.pushed_ml == pytest.approx(18 / 60)
    assert sim.feed(seal(b"0DIS"), 40 * S)[0][1] == seal(b"00A?T")
    assert sim.feed(seal(b"0DIS"), 40 * S)[0][1] == seal(b"00SI0.300W0.000ML")


def test_a_power_cycle_keeps_mode_and_bore_and_loses_counters():
    sim = pump()
    run(sim)
    sim.feed(seal(b"0SAF10"), 6 * S)
    sim.power_cycle()
    assert sim.feed(b"", 7 * S)[0][1] == seal(b"00A?R")
    sim.advance(60 * S)
    assert [sim.feed(seal(b"0DIS"), 60 * S)[0][1] for _ in range(2)] == [
        seal(b"00A?R"),
        seal(b"00SI0.000W0.000ML"),
    ]
    assert sim.feed(seal(b"0DIA"), 60 * S)[0][1] == seal(b"00S14.57")


def test_a_command_may_be_ignored():
    sim = pump()
    sim.ignore_next = True
    assert (say(sim, "DIA10.0"), say(sim, "DIA")) == ("00S?IGN", "00S26.59")


@given(st.lists(st.sampled_from([b"0RUN\r", seal(b"0SAF9"), seal(b"SAF0"), b"\xff\x02", b"DIA1"])))
def test_bundling_of_bytes_changes_nothing(pieces):
    data = b"".join(pieces)
    whole, single = pump(), pump()
    expected = [reply for _, reply in whole.feed(data, 0)]
    got = [r for i in range(len(data)) for _, r in single.feed(data[i : i + 1], 0)]
    assert got == expected


@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(0, S)), max_size=8))
def test_any_bytes_get_replies_in_the_grammar_or_none(pieces):
    sim, t_ns = pump(), 0
    for data, wait_ns in pieces:
        t_ns += wait_ns
        for _, reply in sim.feed(data + b"\r", t_ns):
            assert (reply[0], reply[-1]) == (2, 3)


class Served:
    """A simulator on a pty, in a thread, in real time."""

    def __init__(self, sim):
        self._sim = sim
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self.path

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def _serve(self):
        while not self._stop.is_set():
            ready = select.select([self._master], [], [], 0.01)[0]
            data = os.read(self._master, 256) if ready else b""
            for _, reply in self._sim.feed(data, round(wall_s() * S)):
                os.write(self._master, reply)


@pytest.mark.parametrize("safe_s", [0, 10])
def test_nesp_lib_drives_it(safe_s):
    nesp_lib = pytest.importorskip("nesp_lib", reason="NESP-Lib is not installed")
    plant = Plunger()
    with Served(pump(plant=plant, told=False)) as path, nesp_lib.Port(path, 19200) as port:
        client = nesp_lib.Pump(port, safe_mode_timeout_s=safe_s)
        assert (client.model_number, client.firmware_version) == (1000, (3, 928))
        client.syringe_diameter_mm = 14.43
        assert client.syringe_diameter_mm == 14.43
        client.pumping_direction = nesp_lib.PumpingDirection.INFUSE
        client.pumping_rate_ml_per_min = 6.0
        client.pumping_volume_ml = 0.02
        client.run()
        assert client.status is nesp_lib.Status.STOPPED
        assert client.volume_infused_ml == pytest.approx(0.02)
        client.volume_infused_clear()
        assert client.volume_infused_ml == 0.0
        with pytest.raises(ValueError, match="rate invalid"):
            client.pumping_rate_ml_per_min = 7.0
        client.safe_mode_timeout_s = 0
    assert plant.pushed_ml == pytest.approx(0.02)
