import os
import select
import threading
import tty

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.clock import wall_s
from labctl.twin import TwinDevice
from simulators.ika_rct import SimIkaRct
from tests.foreign import CLIENTS
from tests.strangers import drive_each

S = 1_000_000_000
TOUCHES = {"speed": "stirrer", "probe2": "flask.T2"}


@pytest.fixture
def plant(still_plant):
    return still_plant(flask__T2=24.7)


def stirrer(plant, touches=None):
    device = TwinDevice("stir", "ika_rct", "line", DeviceSettings("stir"), touches or TOUCHES)
    return SimIkaRct(device, plant)


def say(sim, command, t_s=0.0):
    replies = sim.feed(f"{command} \r\n".encode(), round(t_s * S))
    return replies[0][1] if replies else None


def test_the_manuals_exchange(plant):
    assert stirrer(plant).feed(b"IN_PV_1 \r\n", 0)[0][1] == b"24.7 1 \r\n"


@pytest.mark.parametrize("end", [b"\r\n", b" \r\n", b" \r \n"])
def test_blanks_at_the_end_of_a_line_do_not_matter(plant, end):
    assert stirrer(plant).feed(b"IN_NAME" + end, 0)[0][1] == b"RCT digital \r\n"


@pytest.mark.parametrize(
    "command",
    [
        "OUT_SP_4 600",
        "START_4",
        "STOP_4",
        "START_1",
        "STOP_1",
        "RESET",
        "SET_MODE_B",
        "in_pv_4",
        "IN_PV_9",
        "OUT_WD1@19",
        "OUT_WD1@1501",
        "OUT_WD1@",
        "X" * 81,
    ],
)
def test_sets_and_what_it_does_not_know_get_no_answer(plant, command):
    assert say(stirrer(plant), command) is None


def test_the_speed_follows_its_setpoint_with_a_lag_of_a_second(plant):
    sim = stirrer(plant)
    say(sim, "OUT_SP_4 600")
    assert say(sim, "IN_PV_4", 5.0) == b"0.0 4 \r\n"
    say(sim, "START_4", 5.0)
    assert say(sim, "IN_PV_4", 6.0) == b"379.3 4 \r\n"
    assert plant.things["stirrer"] == pytest.approx(379.27, abs=0.01)
    assert say(sim, "IN_PV_4", 20.0) == b"600.0 4 \r\n"
    assert plant.things["stirrer"] == 600.0
    say(sim, "STOP_4", 20.0)
    assert say(sim, "IN_PV_4", 40.0) == b"0.0 4 \r\n"
    assert say(sim, "IN_SP_4", 40.0) == b"600.0 4 \r\n"


@pytest.mark.parametrize(
    ("command", "question", "value"),
    [
        ("OUT_SP_4 1500", "IN_SP_4", b"1500.0 4 \r\n"),
        ("OUT_SP_4 1501", "IN_SP_4", b"0.0 4 \r\n"),
        ("OUT_SP_1 310", "IN_SP_1", b"310.0 1 \r\n"),
        ("OUT_SP_1 311", "IN_SP_1", b"0.0 1 \r\n"),
        ("OUT_SP_1 -5", "IN_SP_1", b"0.0 1 \r\n"),
    ],
)
def test_settings_beyond_the_range_are_passed_over(plant, command, question, value):
    sim = stirrer(plant)
    say(sim, command)
    assert say(sim, question) == value


def test_the_first_watchdog_switches_all_off_unless_its_command_comes_again(plant):
    sim = stirrer(plant)
    for command in ("OUT_SP_4 600", "START_4", "OUT_SP_1 80", "START_1"):
        say(sim, command)
    assert say(sim, "OUT_WD1@20") == b"20 \r\n"
    say(sim, "OUT_WD1@20", 15.0)
    assert say(sim, "IN_PV_4", 34.9) == b"600.0 4 \r\n"
    assert float(say(sim, "IN_PV_2", 34.9).split()[0]) > 30
    assert say(sim, "IN_PV_4", 60.0) == b"0.0 4 \r\n"
    assert sim.error == "Er02"
    say(sim, "START_4", 60.0)
    assert say(sim, "IN_PV_4", 70.0) == b"0.0 4 \r\n"
    for command in ("RESET", "START_4"):
        say(sim, command, 70.0)
    assert say(sim, "IN_PV_4", 90.0) == b"600.0 4 \r\n"


def test_the_second_watchdog_goes_to_the_safe_values(plant):
    sim = stirrer(plant)
    for command in ("OUT_SP_4 600", "START_4"):
        say(sim, command)
    assert say(sim, "OUT_SP_42@100") == b"100 \r\n"
    assert say(sim, "OUT_SP_12@30") == b"30 \r\n"
    assert say(sim, "OUT_WD2@20") == b"20 \r\n"
    assert say(sim, "IN_PV_4", 50.0) == b"100.0 4 \r\n"
    say(sim, "OUT_SP_4 600", 50.0)
    assert say(sim, "OUT_WD2@20", 50.0) == b"20 \r\n"
    assert say(sim, "OUT_WD2@0", 60.0) == b"0 \r\n"
    assert say(sim, "IN_PV_4", 99.0) == b"600.0 4 \r\n"


@pytest.mark.parametrize(("mode", "speed"), [("A", b"0.0"), ("B", b"500.0"), ("D", b"0.0")])
def test_only_in_mode_b_it_goes_on_after_a_power_cut(plant, mode, speed):
    sim = stirrer(plant)
    for command in (f"SET_MODE_{mode}", "OUT_SP_4 500", "START_4"):
        say(sim, command)
    sim.power_cycle()
    assert say(sim, "IN_PV_4", 30.0) == speed + b" 4 \r\n"


def test_an_error_of_the_motor_ends_stirring_and_heat(plant):
    sim = stirrer(plant)
    for command in ("OUT_SP_4 500", "START_4", "OUT_SP_1 100", "START_1"):
        say(sim, command)
    sim.fail("Er04")
    assert say(sim, "IN_PV_4", 30.0) == b"0.0 4 \r\n"
    assert say(sim, "IN_PV_2", 30.0) == b"22.0 2 \r\n"


@given(st.lists(st.sampled_from([b"IN_PV_4 \r\n", b"OUT_WD1@20\r\n", b"\xff", b"IN_", b"\n"])))
def test_bundling_of_bytes_changes_nothing(pieces):
    class Plant:
        def get(self, thing, t_ns):
            return 20.0

    data = b"".join(pieces)
    whole, single = stirrer(Plant()), stirrer(Plant())
    expected = whole.feed(data, 0)
    assert [r for i in range(len(data)) for r in single.feed(data[i : i + 1], 0)] == expected


@given(st.binary(max_size=120))
def test_any_bytes_are_answered_in_the_grammar_or_not_at_all(data):
    class Plant:
        def get(self, thing, t_ns):
            return 20.0

        def put(self, thing, value, t_ns):
            pass

    for _, reply in stirrer(Plant()).feed(data + b"\nIN_NAME\n", S):
        assert reply.endswith(b" \r\n")


def test_the_ika_client_drives_it_but_for_the_line_format(plant, monkeypatch):
    client = pytest.importorskip("ika.magnetic_stirrer", reason="ika is not installed")
    sim = stirrer(plant)
    opened = []

    def serial_8n1(port, *_):
        # A pty cannot be set to the 7E1 that the client asks for.
        opened.append(serial.Serial(port, 9600, timeout=2))
        return opened[0]

    monkeypatch.setattr("ika.abc.Serial", serial_8n1)
    master, slave = os.openpty()
    tty.setraw(slave)
    done = threading.Event()

    def serve():
        while not done.is_set():
            ready = select.select([master], [], [], 0.01)[0]
            for _, reply in sim.feed(os.read(master, 99) if ready else b"", round(wall_s() * S)):
                os.write(master, reply)

    server = threading.Thread(target=serve)
    server.start()
    try:
        stirring = client.MagneticStirrer(os.ttyname(slave))
        stirring.set_target_stir_rate(600)
        stirring.start_stirring()
        assert stirring.target_stir_rate() == 600.0
        assert stirring.probe_temperature() == 24.7
        assert stirring.hardware_safety_temperature() == 360.0
        assert stirring.set_wd_safety_limit_speed(100) == 100.0
        assert 0 < stirring.stir_rate() <= 600
    finally:
        done.set()
        server.join()
        for descriptor in (master, slave):
            os.close(descriptor)
        opened[0].close()


MATTERLAB = """
import sys, time
from matterlab_hotplates.ika_hotplate import IKAHotplate

line = dict(bytesize=8, parity="none") if sys.argv[1].startswith("/") else {}
stirrer = IKAHotplate(sys.argv[1], **line)
stirrer.rpm = 600
time.sleep(0.5)
print(stirrer.rpm, stirrer.temp)
stirrer.rpm = 0
"""


async def test_matterlab_drives_it_and_opens_the_line_anew_each_time(plant):
    for sim, (said,) in await drive_each(
        lambda: stirrer(plant), CLIENTS, MATTERLAB, ("pty", "socket"), hurry=4
    ):
        speed_rpm, probe_c = said.split()
        assert 550 < int(speed_rpm) <= 600
        assert probe_c == "24.7"
        assert not sim._stirring
