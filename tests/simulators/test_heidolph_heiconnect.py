import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.twin import TwinDevice
from simulators.heidolph_heiconnect import SimHeiConnect
from tests.foreign import CLIENTS, HEAVY_CLIENTS
from tests.strangers import drive, drive_each

S = 1_000_000_000
TOUCHES = {"speed": "stirrer", "probe2": "flask.T2"}


@pytest.fixture
def plant(still_plant):
    return still_plant(flask__T2=24.7)


@pytest.fixture
def sim(plant):
    return made(plant)


def made(plant, touches=None):
    settings = DeviceSettings("stir")
    kept = TOUCHES if touches is None else touches
    return SimHeiConnect(TwinDevice("stir", "heidolph_heiconnect", "l", settings, kept), plant)


def say(sim, command, t_s=0.0):
    replies = sim.feed(f"{command}\r\n".encode(), round(t_s * S))
    return replies[0][1].decode().removesuffix("\r\n") if replies else None


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("PA_NEW", "PA_NEW"),
        ("OUT_SP_1 80", "OUT_SP_1 80"),
        ("OUT_SP_3 600", "OUT_SP_3 600"),
        ("OUT_MODE_4 0", "IN_MODE_4 0"),
        ("START_1", "START_1"),
        ("STOP_1", "STOP_1"),
        ("START_2", "START_2"),
        ("STOP_2", "STOP_2"),
        ("CC_ON", "CC_ON"),
        ("CC_OFF", "CC_OFF"),
        ("RESET", "RESET"),
        ("STATUS", "STATUS 0"),
        ("IN_PV_1", "IN_PV_1 24.7"),
        ("IN_PV_3", "IN_PV_3 22.0"),
        ("IN_PV_5", "IN_PV_5 0"),
        ("IN_MODE_1", "IN_MODE_1 1"),
        ("IN_MODE_4", "IN_MODE_4 1"),
        ("SW_VERS", "MR Hei-Connect V1.23"),
    ],
)
def test_every_command_is_answered_by_its_name(sim, command, answer):
    assert say(sim, command) == answer


@pytest.mark.parametrize(
    "command",
    ["", "IN_PV_9", "in_pv_5", "OUT_SP_3 99", "OUT_SP_3 1401", "OUT_SP_1 -5", "OUT_SP_3", "X" * 81],
)
def test_what_it_does_not_know_or_will_not_do_gets_no_answer(sim, command):
    assert say(sim, command) is None


def test_without_a_sensor_it_says_999_9(plant):
    bare = made(plant, touches={"speed": "stirrer"})
    assert say(bare, "IN_PV_1") == "IN_PV_1 999.9"
    assert say(bare, "IN_MODE_1", 1) == "IN_MODE_1 0"


def test_the_speed_follows_with_a_lag_of_a_second(sim, plant):
    say(sim, "OUT_SP_3 600")
    say(sim, "START_2", 1.0)
    assert say(sim, "IN_PV_5", 2.0) == "IN_PV_5 379"
    assert say(sim, "IN_PV_5", 20.0) == "IN_PV_5 600"
    assert plant.things["stirrer"] == 600.0


def test_status_is_manual_then_started_then_stopped_and_blocked_by_a_person(sim):
    assert say(sim, "STATUS", 0) == "STATUS 0"
    say(sim, "START_2", 1)
    assert say(sim, "STATUS", 2) == "STATUS 1"
    say(sim, "STOP_2", 3)
    assert say(sim, "STATUS", 4) == "STATUS 2"
    sim.block()
    assert say(sim, "STATUS", 5) == "STATUS -1"
    assert say(sim, "START_2", 6) is None
    sim.power_cycle()
    assert say(sim, "STATUS", 7) == "STATUS 0"


def test_after_ten_silent_seconds_it_pauses_until_it_is_spoken_to(sim, plant):
    for n, command in enumerate(["CC_ON", "OUT_SP_3 600", "START_2"]):
        say(sim, command, n)
    say(sim, "STATUS", 11.0)
    sim.advance(round(20.9 * S))
    assert not sim.pc_error
    sim.advance(40 * S)
    assert sim.pc_error
    assert plant.things["stirrer"] == 0.0
    assert say(sim, "STATUS", 41.0) == "STATUS 1"
    assert say(sim, "IN_PV_5", 50.0) == "IN_PV_5 600"


@pytest.mark.parametrize("quiet", ["CC_OFF", "RESET", "STOP_2"])
def test_nothing_expires_when_it_is_off_or_nothing_turns(sim, quiet):
    for n, command in enumerate(["CC_ON", "START_2", quiet]):
        say(sim, command, n)
    sim.advance(60 * S)
    assert not sim.pc_error


def test_commands_sent_as_a_package_are_lost_but_for_the_first(sim):
    assert sim.feed(b"PA_NEW\r\nSTATUS\r\nCC_ON\r\n", S) == [(10_000_000, b"PA_NEW\r\n")]


lines = st.sampled_from([b"STATUS\r\n", b"OUT_SP_3 600\r\n", b"START_2\n", b"CC_ON\r\n"])


@given(st.lists(lines | st.binary(max_size=8)))
def test_any_bytes_get_the_same_answers_whole_or_one_by_one(pieces):
    class Plant:
        def get(self, thing, t_ns):
            return 20.0

        def put(self, thing, value, t_ns):
            pass

    data = b"".join(pieces)
    single = made(Plant())
    one_by_one = [reply for n in range(len(data)) for reply in single.feed(data[n : n + 1], S)]
    assert made(Plant()).feed(data, S) == one_by_one
    assert all(reply.endswith(b"\r\n") for _, reply in one_by_one)


# A pty cannot be set to the 7E1 of the line, and this client opens nothing but terminals.
FLOWCHEM = """
import asyncio, sys
from flowchem import ureg
from flowchem.devices.heidolph.hei_connect import HeiConnect

async def main():
    stirrer = HeiConnect.from_config(sys.argv[1], name="stir", bytesize=8, parity="N")
    await stirrer.initialize()
    print(stirrer.device_info.version)
    await stirrer.set_speed(ureg.Quantity("600 rpm"))
    await stirrer.start_stirring()
    await asyncio.sleep(2)
    print(await stirrer.get_speed(), await stirrer.get_speed_setpoint(), await stirrer.status())
    print(await stirrer.get_temperature(), await stirrer.get_temperature_control_mode())
    await stirrer.set_heating_mode("precise")
    print(await stirrer.get_heating_mode())
    await stirrer.set_temperature(ureg.Quantity("80 degC"))
    print(await stirrer.get_temperature_setpoint())
    await stirrer.start_heating()
    await stirrer.stop_heating()
    await stirrer.stop_stirring()
    print(await stirrer.status())

asyncio.run(main())
"""


async def test_flowchem_drives_it(sim):
    assert await drive(sim, HEAVY_CLIENTS, FLOWCHEM, "pty", hurry=4) == [
        "MR Hei-Connect V1.23",
        "600.0 600.0 remote-start",
        "24.7 external-sensor",
        "precise",
        "80.0",
        "remote-stop",
    ]


MATTERLAB = """
import sys, time
from matterlab_hotplates.heidolph_hotplate import HeidolphHotplate

line = dict(bytesize=8, parity="none") if sys.argv[1].startswith("/") else {}
stirrer = HeidolphHotplate(sys.argv[1], **line)
stirrer.rpm = 600
time.sleep(0.5)
print(stirrer.rpm, stirrer.temp)
stirrer.rpm = 0
"""


async def test_matterlab_drives_it_and_opens_the_line_anew_each_time(plant):
    for sim, (said,) in await drive_each(
        lambda: made(plant), CLIENTS, MATTERLAB, ("pty", "socket"), hurry=4
    ):
        speed_rpm, probe_c = said.split()
        assert 550 < int(speed_rpm) <= 600
        assert probe_c == "24.7"
        assert not sim._stirring
