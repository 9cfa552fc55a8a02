import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.framing.websocket import HEAD_END, Message, Opcode, Stream, encode, request
from labctl.twin import TwinDevice
from simulators.horiba_icl import SimHoribaIcl
from simulators.serve import serve_tcp
from tests.conftest import StillPlant
from tests.foreign import python_with, run_foreign

NS = 1_000_000_000
MASK = b"\1\2\3\4"
SDK = "horiba-sdk==1.0.4"


class Client:
    """Speaks to a simulator and reads what it answers; its clock goes when told."""

    def __init__(self, plant):
        settings = DeviceSettings("pl")
        self.sim = SimHoribaIcl(TwinDevice("pl", "horiba_icl", "icl", settings), plant)
        self.stream = Stream(from_client=False)
        self.t_ns = 0

    def feed(self, data):
        return b"".join(reply for _, reply in self.sim.feed(data, self.t_ns))

    def open(self):
        reply = self.feed(request("icl", bytes(16)))
        assert reply.startswith(b"HTTP/1.1 101 ")
        return self

    def say(self, kind, data):
        return self.stream.feed(self.feed(encode(kind, data, mask=MASK)))

    def ask(self, command, number=7, **parameters):
        asked = {"id": number, "command": command, "parameters": parameters}
        (message,) = self.say(Opcode.TEXT, json.dumps(asked).encode())
        return json.loads(message.data)

    def results(self, command, **parameters):
        answer = self.ask(command, **parameters)
        assert answer["errors"] == []
        return answer["results"]

    def error(self, command, **parameters):
        (text,) = self.ask(command, **parameters)["errors"]
        mark, number, words = text.split(";")
        assert (mark, bool(words)) == ("[E]", True)
        return int(number)

    def wait(self, s):
        self.t_ns += round(s * NS)
        self.sim.advance(self.t_ns)


@pytest.fixture
def client(still_plant):
    return Client(still_plant()).open()


@pytest.fixture
def ready(client):
    for module in ("mono", "saq3"):
        client.results(f"{module}_discover")
        client.results(f"{module}_open", index=0)
    client.wait(60)
    return client


def test_an_answer_has_the_id_the_command_and_the_manuals_names(client):
    answer = client.ask("icl_info", number=1234)
    assert (answer["id"], answer["command"], answer["errors"]) == (1234, "icl_info", [])
    names = ("Alias", "ApiVersion", "Built", "Description", "Id", "Version")
    assert sorted(answer["results"]) == [f"node{name}" for name in names]
    assert client.ask("icl_binMode", mode="none")["results"] == {}


def test_without_an_id_the_answer_has_0(client):
    (message,) = client.say(Opcode.TEXT, b'{"command": "icl_info"}')
    assert json.loads(message.data)["id"] == 0


def test_nothing_is_listed_before_it_was_discovered(client):
    assert client.results("mono_list") == {"devices": []}
    assert client.results("saq3_discover") == {"count": 1}
    (device,) = client.results("saq3_list")["devices"]
    assert sorted(device) == ["deviceType", "index", "serialNumber"]


@pytest.mark.parametrize(
    ("command", "parameters", "number"),
    [
        ("abc_info", {}, -1),
        ("icl_Info", {}, -2),
        ("icl_binMode", {"mode": "some"}, -3),
        ("mono_fly", {"index": 0}, -510),
        ("mono_isBusy", {}, -521),
        ("mono_isBusy", {"index": 1}, -508),
        ("mono_open", {"index": 0}, -501),
        ("mono_moveToPosition", {"index": 0}, -521),
        ("mono_moveToPosition", {"index": 0, "wavelength": 2000}, -513),
        ("mono_moveToPosition", {"index": 0, "wavelength": True}, -513),
        ("mono_moveMirror", {"index": 0, "locationId": 5, "position": 0}, -524),
        ("saq3_fly", {"index": 0}, -910),
        ("saq3_isBusy", {}, -922),
        ("saq3_isBusy", {"index": 3}, -909),
        ("saq3_open", {"index": 0}, -902),
        ("saq3_setAcqSet", {"index": 0, "scanCount": 0}, -925),
        ("saq3_setAcqSet", {"index": 0, "scanCount": 131_071}, -925),
        ("saq3_getAvailableData", {"index": 0}, -924),
        ("saq3_getAvailableData", {"index": 0, "channels": ["heat"]}, -925),
        ("saq3_acqPause", {"index": 0}, -919),
        ("saq3_setHVBiasVoltage", {"index": 0, "biasVoltage": 5000}, -925),
    ],
)
def test_what_makes_no_sense_has_the_manuals_error_number(ready, command, parameters, number):
    assert ready.error(command, **parameters) == number


def test_nothing_works_before_it_is_open(client):
    assert client.error("mono_getPosition", index=0) == -506
    assert client.error("saq3_acqStart", index=0, trigger=1) == -907


def test_after_power_up_the_grating_is_homed_when_it_is_opened(client):
    client.results("mono_open", index=0)
    assert client.results("mono_isBusy", index=0) == {"busy": True}
    assert client.results("mono_isInitialized", index=0) == {"initialized": False}
    assert client.error("mono_moveToPosition", index=0, wavelength=500) == -519
    client.wait(60)
    assert client.results("mono_isInitialized", index=0) == {"initialized": True}


def test_a_move_takes_its_time_and_ends_where_it_should(ready):
    ready.results("mono_moveToPosition", index=0, wavelength=600.0)
    ready.wait(1)
    between = ready.results("mono_getPosition", index=0)["wavelength"]
    assert 0 < between < 600
    assert ready.results("mono_isBusy", index=0)["busy"]
    ready.wait(5)
    assert ready.results("mono_getPosition", index=0)["wavelength"] == pytest.approx(600.0)
    assert not ready.results("mono_isBusy", index=0)["busy"]


def test_slits_mirrors_and_wheels_remember_where_they_were_put(ready):
    for verb, place in (("Mirror", 1), ("FilterWheel", 2)):
        ready.results(f"mono_move{verb}", index=0, locationId=place, position=1)
        ready.wait(10)
        assert ready.results(f"mono_get{verb}Position", index=0, locationId=place)["position"] == 1
    ready.results("mono_moveSlitMM", index=0, locationId=2, position=1.5)
    ready.wait(10)
    assert ready.results("mono_getSlitPositionInMM", index=0, locationId=2) == {"position": 1.5}
    assert ready.results("mono_getSlitStepPosition", index=0, locationId=2) == {"position": 750}


def points(client):
    return client.results("saq3_getAvailableData", index=0)["data"]


def test_each_point_waits_for_its_trigger_in_mode_3(ready):
    ready.results("saq3_setAcqSet", index=0, scanCount=2, timeStep=0, integrationTime=0.5)
    assert ready.results("saq3_getAcqSet", index=0)["scanCount"] == 2
    ready.results("saq3_acqStart", index=0, trigger=3)
    ready.wait(5)
    assert not ready.results("saq3_isDataAvailable", index=0)["isDataAvailable"]
    for number in range(2):
        assert ready.results("saq3_isBusy", index=0) == {"isBusy": True}
        ready.results("saq3_forceTrigger", index=0)
        ready.wait(0.4)
        assert ready.results("saq3_isDataAvailable", index=0) == {"isDataAvailable": False}
        ready.wait(0.2)
        (point,) = points(ready)
        assert point["pointNumber"] == number
    assert ready.results("saq3_isBusy", index=0) == {"isBusy": False}
    assert ready.error("saq3_getAvailableData", index=0) == -924


def test_points_follow_by_themselves_in_mode_1(ready):
    ready.results("saq3_setAcqSet", index=0, scanCount=3, timeStep=1, integrationTime=0.5)
    ready.results("saq3_acqStart", index=0, trigger=1)
    assert ready.error("saq3_setAcqSet", index=0, scanCount=1) == -900
    assert ready.error("saq3_acqStart", index=0, trigger=1) == -900
    ready.wait(10)
    assert [row["elapsedTime"] for row in points(ready)] == [500_000, 1_500_000, 2_500_000]
    assert ready.results("saq3_getLastError", index=0) == {
        "error": "[E];-900;Acquisition still running!!!"
    }


def test_a_stop_discards_the_point_and_a_pause_completes_it(ready):
    ready.results("saq3_setAcqSet", index=0, scanCount=3, timeStep=0, integrationTime=1)
    ready.results("saq3_acqStart", index=0, trigger=1)
    ready.wait(0.5)
    ready.results("saq3_acqPause", index=0)
    ready.wait(10)
    assert len(points(ready)) == 1
    ready.results("saq3_acqContinue", index=0)
    ready.wait(0.5)
    ready.results("saq3_acqStop", index=0)
    ready.wait(10)
    assert ready.results("saq3_isDataAvailable", index=0) == {"isDataAvailable": False}


def test_a_point_is_in_the_manuals_units_and_has_the_channels_asked_for(ready):
    ready.results("saq3_acqStart", index=0, trigger=1)
    ready.wait(1)
    wanted = ["photon", "current"]
    (point,) = ready.results("saq3_getAvailableData", index=0, channels=wanted)["data"]
    assert point["pmtSignal"]["unit"] == "Counts/Second"
    assert point["currentSignal"]["unit"] == "uAmps"
    assert "voltageSignal" not in point
    assert point["overscaleCurrentChannel"] is False


def test_a_flood_of_light_is_over_scale(client, still_plant, ready, monkeypatch):
    monkeypatch.setattr(
        ready.sim.detector._plant, "counts", lambda which, how, t: [how.max_counts] * 99
    )
    ready.results("saq3_acqStart", index=0, trigger=1)
    ready.wait(1)
    (point,) = points(ready)
    assert point["overscaleCurrentChannel"] is True
    assert point["currentSignal"]["value"] == 100.0


def test_a_ping_is_answered_and_a_close_too(client):
    assert client.say(Opcode.PING, b"there?") == [Message(Opcode.PONG, b"there?")]
    assert client.say(Opcode.CLOSE, b"\x03\xe8") == [Message(Opcode.CLOSE, b"\x03\xe8")]
    assert client.feed(encode(Opcode.PING, mask=MASK)) == b""
    client.stream = Stream(from_client=False)
    assert client.open().ask("icl_info")["errors"] == []


def test_who_does_not_mask_is_shown_out(client):
    assert client.feed(encode(Opcode.PING)).hex() == "880203ea"


def test_somebody_new_may_connect_after_a_client_that_died(client):
    client.results("mono_open", index=0)
    assert client.open().results("mono_isOpen", index=0) == {"open": True}


def test_a_power_cut_closes_the_instruments_and_forgets_the_list(ready):
    ready.sim.power_cycle()
    assert ready.error("saq3_isBusy", index=0) == -907
    assert ready.results("mono_list") == {"devices": []}


@given(st.integers(1, 60))
def test_bytes_in_any_pieces_are_answered_alike(size):
    def run(piece):
        client = Client(StillPlant())
        asked = json.dumps({"id": 1, "command": "icl_info"}).encode()
        data = b"noise" + request("icl", bytes(16)) + encode(Opcode.TEXT, asked, mask=MASK) * 2
        pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
        return b"".join(client.feed(part) for part in pieces)

    assert run(size) == run(10_000)


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_do_any_harm(data, opened):
    client = Client(StillPlant())
    client.feed(request("icl", bytes(16)) if opened else b"")
    client.feed(data)
    client.feed(data + HEAD_END)


@given(st.text(max_size=60) | st.sampled_from(["[]", "1", '{"command": 3}', "[" * 5000]))
def test_no_text_goes_unanswered(text):
    client = Client(StillPlant()).open()
    (message,) = client.say(Opcode.TEXT, text.encode("utf-8", "replace"))
    assert json.loads(message.data)["errors"]


SCAN_OF_THE_SDK = """
import asyncio, sys
from horiba_sdk.communication import Command
from horiba_sdk.devices.device_manager import DeviceManager
from horiba_sdk.devices.single_devices.spectracq3 import DataPoint
from horiba_sdk.devices.single_devices import Monochromator

async def main():
    manager = DeviceManager(start_icl=False, icl_port=sys.argv[1])
    await manager.start()
    (mono,), (saq,) = manager.monochromators, manager.spectracq3_devices
    assert manager.charge_coupled_devices == []
    async with mono, saq:
        while await mono.is_busy():
            await asyncio.sleep(0.2)
        assert await mono.is_initialized()
        assert (await mono.configuration())["model"] == "iHR320"
        assert await mono.get_turret_grating() is Monochromator.Grating.SECOND
        assert await mono.get_slit_position_in_mm(Monochromator.Slit.A) == 0.5
        await mono.open_shutter()
        assert (await mono.get_current_shutter_position()).name == "OPENED"
        assert await saq.get_max_hv_voltage_allowed() == 1100
        await saq.set_hv_bias_voltage(900)
        assert await saq.get_hv_bias_voltage() == 900
        print(await saq.get_serial_number(), await saq.get_firmware_version(),
              await saq.get_fpga_version(), await saq.get_board_revision())
        await saq.set_acq_set(3, 0, 0.05, 0)
        assert (await saq.get_acq_set())["integrationTime"] == 0.05
        await saq.acq_start(3)
        assert await saq.is_busy()
        for n, nm in enumerate((550, 560, 570)):
            await mono.move_to_target_wavelength(nm)
            while await mono.is_busy():
                await asyncio.sleep(0.02)
            assert abs(await mono.get_current_wavelength() - nm) < 0.01
            await saq.force_trigger()
            while not await saq.is_data_available():
                await asyncio.sleep(0.02)
            (point,) = await saq.get_available_data(["current", "voltage", "ppd", "photon"])
            point = DataPoint(**point)
            assert point.pointNumber == n and point.pmtSignal.unit == "Counts/Second"
        assert not await saq.is_busy()
        try:
            await mono.move_to_target_wavelength(9999)
        except Exception as error:
            print(error)
        assert await saq.get_error_log() == []
    await manager.stop()

asyncio.run(main())
"""


async def test_the_makers_own_sdk_scans_with_it(still_plant):
    loop = asyncio.get_running_loop()
    python = python_with(SDK)
    settings = DeviceSettings("pl")
    sim = SimHoribaIcl(TwinDevice("pl", "horiba_icl", "icl", settings), still_plant())
    started = loop.time()
    # The clock of the instrument runs ten times faster than the client's.
    served = await serve_tcp(sim, lambda: round((loop.time() - started) * 10 * NS))
    try:
        said = await loop.run_in_executor(
            None, run_foreign, python, SCAN_OF_THE_SDK, str(served.port)
        )
    finally:
        await served.close()
    assert said.splitlines() == [
        "SNPG20070026 3.2.0 3.2.0 B",
        "Error from the ICL: MONO error: invalid parameter",
    ]
