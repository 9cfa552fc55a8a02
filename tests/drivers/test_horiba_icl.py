import asyncio
import datetime as dt
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.horiba_icl import HoribaIcl
from labctl.capabilities import DeviceSettings, ScanSettings
from labctl.clock import NS, VirtualClock, WallClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    PortLostError,
    RefusedByDeviceError,
)
from labctl.framing.websocket import HEAD_END, Opcode, Stream, answer, encode
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.descriptor import TcpWire
from labctl.transport.memory import MemoryWire
from tests.foreign import python_with

SCAN = ScanSettings(500.0, 520.0, 5.0, 0.1, 4e6)


@pytest.fixture
def on_icl(on_twin, still_plant):
    def run(main, plant=None, **more):
        given_ = {"scan": SCAN} | more
        return on_twin("horiba_icl", main, plant or still_plant(), {"spectrum": "pl"}, 0, **given_)

    return run


class Script:
    """An ICL that opens, then answers each command with what `replies` says of it."""

    def __init__(self, replies=None, status=b"101"):
        self.replies = replies or {}
        self.status = status
        self.asked = []
        self.heard = []
        self._stream = None

    def feed(self, data, t_ns):
        if not data:
            return []
        if self._stream is None:
            reply, _ = answer(data)
            self._stream = Stream(from_client=True)
            return [(0, reply.replace(b"101", self.status, 1))]
        messages = self._stream.feed(data)
        self.heard += messages
        return [(0, self._react(json.loads(m.data))) for m in messages if m.kind == Opcode.TEXT]

    def _react(self, asked):
        self.asked.append(asked["command"])
        found = self.replies.get(asked["command"], {})
        if isinstance(found, bytes):
            return found
        reply = {"id": asked["id"], "command": asked["command"], "results": found, "errors": []}
        return encode(Opcode.TEXT, json.dumps(reply).encode())


GOOD = {
    "mono_list": {"devices": [{"index": 0, "deviceType": "iHR"}]},
    "saq3_list": {"devices": [{"index": 0, "deviceType": "Spectracq 3"}]},
    "mono_isOpen": {"open": True},
    "saq3_isOpen": {"open": True},
    "mono_isBusy": {"busy": False},
    "mono_isInitialized": {"initialized": True},
    "saq3_isBusy": {"isBusy": False},
    "saq3_isDataAvailable": {"isDataAvailable": False},
    "saq3_getAcqSet": {"scanCount": 5, "integrationTime": 0.1},
    "mono_getPosition": {"wavelength": 500.0},
}


def on_script(main, replies=None, status=b"101"):
    script = Script(replies, status)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("icl", MemoryWire(script, clock, baud=0), clock)
        return await main(HoribaIcl(port, DeviceSettings("pl", scan=SCAN)), script)

    return run_virtual(body)


def test_it_scans_what_the_rig_file_says(on_icl):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        began_ns = clock.now_ns()
        spectrum = await driver.acquire(7)
        return identity, spectrum, (clock.now_ns() - began_ns) / NS, await driver.poll()

    identity, spectrum, took_s, (nm,) = on_icl(main)
    assert (identity.maker, identity.model) == ("HORIBA", "iHR, Spectracq 3")
    assert (identity.serial, identity.firmware) == ("SNPG20070026", "ICL 2.1.0.a41d1ab7")
    assert list(spectrum.wavelengths_nm) == [500.0, 505.0, 510.0, 515.0, 520.0]
    assert (spectrum.integration_s, spectrum.averages, spectrum.t_ns) == (0.1, 1, 7)
    assert spectrum.max_counts == 400_000
    # The still plant gives 1000 counts and one per nm.
    assert list(spectrum.counts) == [1000 + nm for nm in (500, 505, 510, 515, 520)]
    assert 10 < took_s < 25
    assert nm == pytest.approx(520.0)


def test_the_first_scan_after_power_up_waits_for_the_grating(on_icl):
    async def main(driver, sim, clock):
        await driver.connect()
        times_s = [clock.now_ns() / NS]
        for _ in range(2):
            await driver.acquire(0)
            times_s.append(clock.now_ns() / NS)
        await driver.connect()
        return [*times_s, clock.now_ns() / NS]

    connected_s, first_s, second_s, again_s = on_icl(main)
    assert connected_s < 1
    assert first_s > 10
    assert second_s - first_s < 5
    assert again_s - second_s < 1


def test_exposure_and_averages_are_set_and_read_back(on_icl):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.set_exposure(0.5, 3)
        spectrum = await driver.acquire(0)
        return spectrum, sim.detector._set

    spectrum, seen = on_icl(main)
    assert (spectrum.integration_s, spectrum.averages, spectrum.max_counts) == (0.5, 3, 2_000_000)
    assert (seen["scanCount"], seen["integrationTime"]) == (15, 0.5)


@pytest.mark.parametrize("exposure", [(0.0005, 1), (61.0, 1), (0.1, 0), (0.1, 30_000)])
def test_an_exposure_it_cannot_take_is_refused_before_anything_is_sent(on_icl, exposure):
    async def main(driver, sim, clock):
        with pytest.raises(OutOfRangeError):
            await driver.set_exposure(*exposure)

    on_icl(main)


def test_a_rig_file_without_a_scan_is_refused():
    with pytest.raises(OutOfRangeError, match="scan"):
        HoribaIcl(Port("icl", None, None), DeviceSettings("pl"))


def test_a_tube_in_a_flood_of_light_is_given_as_saturated(on_icl, still_plant):
    plant = still_plant()
    plant.counts = lambda which, how, t_ns: [how.max_counts] * len(how.wavelengths_nm)

    async def main(driver, sim, clock):
        await driver.connect()
        return await driver.acquire(0)

    spectrum = on_icl(main, plant)
    assert set(spectrum.counts) == {spectrum.max_counts}


def test_a_grating_that_never_arrives_is_an_error_within_three_minutes(on_icl):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.mono.jammed = True
        began_ns = clock.now_ns()
        with pytest.raises(RefusedByDeviceError, match="at rest within 180 s"):
            await driver.acquire(0)
        return (clock.now_ns() - began_ns) / NS

    assert on_icl(main) < 250


def test_points_that_do_not_come_are_an_error_and_the_next_scan_starts_afresh(on_icl):
    async def main(driver, sim, clock):
        await driver.connect()
        real, sim.detector._trigger = sim.detector._commands["forceTrigger"], None
        sim.detector._commands["forceTrigger"] = lambda _p, _t: {}
        with pytest.raises(NoReplyError, match="point 0"):
            await driver.acquire(0)
        sim.detector._commands["forceTrigger"] = real
        return await driver.acquire(0)

    assert len(on_icl(main).counts) == 5


def test_a_scan_cut_short_leaves_nothing_for_the_next(on_icl):
    async def main(driver, sim, clock):
        await driver.connect()
        whole = await driver.acquire(0)
        scan = asyncio.ensure_future(driver.acquire(0))
        await clock.sleep_until(clock.now_ns() + NS // 2)
        scan.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scan
        return whole.counts == (await driver.acquire(0)).counts

    assert on_icl(main)


def test_pings_are_answered_with_the_next_question(on_icl):
    async def main(driver, sim, clock):
        await driver.connect()
        heard = []
        react = sim._react
        sim._react = lambda message, t: heard.append(message) or react(message, t)
        sim.ping(b"there?")
        await driver.poll()
        await driver.poll()
        return [m.data for m in heard if m.kind == Opcode.PONG]

    assert on_icl(main) == [b"there?"]


def test_a_server_that_hangs_up_is_a_lost_port_until_connected_again(on_icl):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.hang_up()
        for _ in range(2):
            with pytest.raises(PortLostError, match="connect again"):
                await driver.poll()
        await driver.connect()
        return await driver.poll()

    assert len(on_icl(main)) == 1


def test_what_is_no_websocket_server_is_said_to_be_none():
    async def main(driver, script):
        with pytest.raises(RefusedByDeviceError, match="404"):
            await driver.connect()

    on_script(main, status=b"404")


@pytest.mark.parametrize(
    ("command", "results", "error"),
    [
        ("mono_list", {"devices": []}, RefusedByDeviceError),
        ("mono_list", {"devices": "iHR"}, RefusedByDeviceError),
        ("mono_isOpen", {"open": "yes"}, GarbledError),
        ("mono_isBusy", {"isBusy": False}, GarbledError),
        ("mono_isBusy", {"busy": True}, RefusedByDeviceError),
        ("mono_isInitialized", {"initialized": False}, RefusedByDeviceError),
        ("mono_getPosition", {"wavelength": 500.2}, RefusedByDeviceError),
        ("saq3_acqStart", {"errorCount": 1}, RefusedByDeviceError),
        ("saq3_isDataAvailable", {"isDataAvailable": False}, NoReplyError),
        ("saq3_isBusy", {"busy": False}, GarbledError),
        ("saq3_getAcqSet", {"scanCount": 4, "integrationTime": 0.1}, RefusedByDeviceError),
        ("saq3_getAcqSet", {"scanCount": True, "integrationTime": 0.1}, GarbledError),
        ("icl_info", [1], GarbledError),
        ("icl_info", encode(Opcode.TEXT, b"{"), GarbledError),
        ("icl_info", encode(Opcode.TEXT, b'{"id": NaN}'), GarbledError),
        ("icl_info", encode(Opcode.CLOSE), PortLostError),
        ("icl_info", b"\xff\xff", PortLostError),
        ("icl_info", encode(Opcode.TEXT, b'{"id": 99, "command": "icl_info"}'), NoReplyError),
    ],
)
def test_an_answer_that_is_wrong_is_an_error(command, results, error):
    async def scan(driver):
        await driver.connect()
        return await driver.acquire(0)

    async def main(driver, script):
        with pytest.raises(error):
            await scan(driver)

    on_script(main, GOOD | {command: results})


POINT = {
    "pointNumber": 0,
    "pmtSignal": {"unit": "Counts/Second", "value": 436278},
    "overscaleCurrentChannel": False,
}


@pytest.mark.parametrize(
    ("data", "counts"),
    [
        ([POINT], 43628),
        ([POINT | {"overscaleCurrentChannel": True}], 400_000),
        ([POINT | {"pointNumber": 1}], None),
        ([POINT, POINT], None),
        ([], None),
        ([0, 1, 2, 3, 4], None),
        ([POINT | {"pmtSignal": {"unit": "uAmps", "value": 1.0}}], None),
        ([POINT | {"pmtSignal": {"unit": "Counts/Second", "value": -1}}], None),
        ([POINT | {"pmtSignal": {"unit": "Counts/Second", "value": "5"}}], None),
        ([POINT | {"pmtSignal": {"unit": "Counts/Second", "value": float("inf")}}], None),
        ([POINT | {"pmtSignal": {"unit": "Counts/Second", "value": 10**400}}], None),
        ([POINT | {"pmtSignal": {"unit": "Counts/Second", "value": 9e6}}], 400_000),
        ([{"pointNumber": 0, "pmtSignal": POINT["pmtSignal"]}], None),
    ],
)
def test_only_the_point_asked_for_in_the_manuals_units_becomes_counts(data, counts):
    driver = HoribaIcl(Port("icl", None, None), DeviceSettings("pl", scan=SCAN))
    if counts is None:
        with pytest.raises(GarbledError):
            driver._counts(data, 0)
    else:
        assert round(driver._counts(data, 0)) == counts


def test_an_answer_that_comes_too_late_answers_nothing_else(on_icl):
    async def main(driver, sim, clock):
        await driver.connect()
        await clock.sleep_until(clock.now_ns() + 60 * NS)
        feed, delays_s = sim.feed, [6.0, 3.0]

        def slow(data, t_ns):
            replies = feed(data, t_ns)
            wait_s = delays_s.pop(0) if replies and delays_s else 0.0
            return [(round(wait_s * NS), reply) for _, reply in replies]

        sim.feed = slow
        with pytest.raises(NoReplyError):
            await driver.poll()
        sim.mono._from_nm = sim.mono._to_nm = 555.0
        return await driver.poll(), await driver.poll()

    assert on_icl(main) == ((555.0,), (555.0,))


@settings(max_examples=60)
@given(st.binary(max_size=80))
def test_no_bytes_whatever_do_more_than_raise(data):
    async def main(driver, script):
        try:
            await driver.connect()
        except DeviceError:
            return None
        return "connected"

    assert on_script(main, GOOD | {"mono_isOpen": data}) is None


def test_of_damaged_answers_few_are_believed_with_another_value():
    """There is no checksum but TCP's: what is damaged within a number may pass for one."""
    rng = random.Random(5)
    reply = {"id": 1, "command": "mono_getPosition", "results": {"wavelength": 555.25}}
    good = encode(Opcode.TEXT, json.dumps(reply).encode())
    wrong = 0
    for _ in range(2000):
        damaged = bytearray(good)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)

        async def main(driver, script, damaged=bytes(damaged)):
            await driver._icl.open()
            script.replies = {"mono_getPosition": damaged}
            try:
                return (await driver.poll())[0]
            except DeviceError:
                return None

        wrong += on_script(main) not in {None, 555.25}
    assert wrong / 2000 < 0.06


FAKE_ICL = """
import asyncio
from horiba_sdk.devices.fake_icl_server import FakeICLServer

async def main():
    server = FakeICLServer("127.0.0.1", 0)
    await server.start()
    print(server._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(30)

asyncio.run(main())
"""


async def test_the_makers_own_fake_server_is_understood_as_far_as_it_goes():
    """It gives every answer the id 1234, and has other keys than the maker's client reads."""
    python = python_with("horiba-sdk==1.0.4")
    process = await asyncio.create_subprocess_exec(
        python, "-c", FAKE_ICL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        number = int(await asyncio.wait_for(process.stdout.readline(), 30))
        clock = WallClock()
        port = Port("icl", TcpWire("icl", "127.0.0.1", number, clock), clock)
        driver = HoribaIcl(port, DeviceSettings("pl", scan=SCAN))
        await port.open()
        try:
            await driver._icl.open()
            said = {}
            for command in ("icl_info", "mono_isBusy", "mono_getPosition"):
                driver._icl._asked = 1233
                said[command] = await driver._icl.ask(command, {"index": 0})
            driver._icl._asked = 1233
            with pytest.raises(GarbledError, match="isBusy"):
                await driver._clear()
        finally:
            await port.close()
    finally:
        process.kill()
        await process.communicate()
        process._transport.close()
    assert said["icl_info"]["nodeVersion"] == "2.0.0.108.d762232a"
    assert said["mono_isBusy"] == {"busy": False}
    assert said["mono_getPosition"] == {"wavelength": 320.0}


def test_the_request_that_opens_asks_for_no_extension(on_icl):
    async def main(driver, sim, clock):
        sent = []
        driver._port.trace = lambda t, way, data: sent.append(data) if way == ">" else None
        await driver.connect()
        return sent[0]

    head = on_icl(main)
    assert head.endswith(HEAD_END)
    assert b"Extensions" not in head
