"""The PPT 100 driver: the vendor's telegrams, and never a number from a gauge that failed."""

import asyncio
import datetime as dt
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.pfeiffer_ppt100 import PfeifferPpt100
from labctl.capabilities import DeviceSettings
from labctl.clock import NS, VirtualClock, WallClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.framing.pfeiffer import seal, unseal
from labctl.loop import run_virtual
from labctl.readings import Channel
from labctl.transport import Port
from labctl.transport.descriptor import TcpWire
from labctl.transport.memory import MemoryWire
from tests.conftest import StillPlant
from tests.foreign import CLIENTS, python_with

KIND = "pfeiffer_ppt100"
PLACES = {1: Channel("line", "pressure", 0.001, 100.0)}
GOOD = b"0011074006100023025\r"
NO_ERROR = b"0011030306000000014\r"


class Says:
    """Answers the n-th question with the n-th reply, again from the first after the last."""

    def __init__(self, *replies: bytes) -> None:
        self.replies, self.heard = replies, []

    def feed(self, data, t_ns):
        if not data:
            return []
        self.heard.append(data)
        reply = self.replies[(len(self.heard) - 1) % len(self.replies)]
        return [(0, reply)] if reply else []


def told(line, main):
    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("ppt", MemoryWire(line, clock, baud=0), clock)
        return await main(PfeifferPpt100(port, DeviceSettings("gauge", places=PLACES)))

    return run_virtual(body)


async def poll(driver):
    return list(await driver.poll())


@pytest.fixture
def on_gauge(on_twin):
    def run(main, mbar=0.05, **given):
        plant = StillPlant(line__P=mbar)
        return on_twin(KIND, main, plant, {"1": "line.P"}, **{"places": PLACES, **given})

    return run


def test_the_vendors_telegrams_are_asked_and_understood():
    line = Says(GOOD, NO_ERROR)
    assert told(line, poll) == [1000.0]
    assert line.heard == [b"0010074002=?106\r", b"0010030302=?101\r"]


@pytest.mark.parametrize(
    ("data", "mbar"), [(b"104223", 1042.0), (b"750015", 7.5e-5), (b"100016", 1e-4)]
)
def test_a_mantissa_and_an_exponent_minus_20_are_a_pressure(data, mbar):
    assert told(Says(seal(b"0011074006" + data), NO_ERROR), poll) == [pytest.approx(mbar)]


@pytest.mark.parametrize("code", [b"Err001", b"Err002", b"Wrn001", b"Err999"])
def test_the_pressure_of_a_gauge_that_failed_is_no_reading(code):
    assert told(Says(GOOD, seal(b"0011030306" + code)), poll) == [None]


@pytest.mark.parametrize("word", [b"NO_DEF", b"_RANGE", b"_LOGIC"])
def test_a_refusal_is_told(word):
    with pytest.raises(RefusedByDeviceError, match=word.decode()):
        told(Says(seal(b"0011074006" + word)), poll)


@pytest.mark.parametrize(
    "reply",
    [
        b"0011074006100023026\r",
        seal(b"0011030306100023"),
        seal(b"0011074006010023"),
        seal(b"0011074006100028"),
        seal(b"0011074005100023"),
        seal(b"00110740061000231"),
        NO_ERROR,
    ],
)
def test_what_is_not_in_the_grammar_or_absurd_is_refused(reply):
    with pytest.raises(GarbledError):
        told(Says(reply, reply if b"0028" not in reply else NO_ERROR), poll)


def test_a_garbled_reply_is_asked_for_once_more():
    line = Says(GOOD[:-2] + b"7\r", GOOD, NO_ERROR)
    assert told(line, poll) == [1000.0]
    assert len(line.heard) == 3


def test_garbage_echo_and_other_gauges_are_passed_over():
    other = seal(b"0021074006500019")
    line = Says(b"\xff" * 40 + b"0010074002=?106\r" + other + GOOD, NO_ERROR)
    assert told(line, poll) == [1000.0]


def test_silence_is_an_error(on_gauge):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.mute = True
        with pytest.raises(NoReplyError):
            await driver.poll()

    on_gauge(main)


def test_it_says_who_it_is_and_reads_its_twin(on_gauge):
    async def main(driver, sim, clock):
        who = await driver.connect()
        assert (who.maker, who.model, who.firmware) == ("Pfeiffer Vacuum", "PPT 100", "010100")
        assert list(await driver.poll()) == [pytest.approx(0.05, rel=0.02)]
        sim.error = b"Err001"
        assert list(await driver.poll()) == [None]
        await driver.make_safe()
        assert driver.last_will() == ()

    on_gauge(main, address=7)


def test_a_correction_for_another_gas_or_another_thing_is_refused_at_connect(on_gauge):
    async def corrected(driver, sim, clock):
        sim.values[b"742"] = b"000080"
        with pytest.raises(RefusedByDeviceError, match="correction"):
            await driver.connect()

    async def pump(driver, sim, clock):
        sim.model = b"TC 110"
        with pytest.raises(RefusedByDeviceError, match="PPT 100"):
            await driver.connect()

    on_gauge(corrected)
    on_gauge(pump)


def test_more_channels_than_one_or_no_such_address_is_refused_unasked(on_gauge):
    async def main(driver, sim, clock):
        with pytest.raises(OutOfRangeError):
            await driver.connect()

    on_gauge(main, places={2: PLACES[1]})
    on_gauge(main, address=256)


def test_a_late_reply_never_answers_the_next_question(on_gauge, monkeypatch):
    async def main(driver, sim, clock):
        await driver.connect()
        answer = sim.feed
        late = lambda data, t_ns: [(650_000_000, r) for _, r in answer(data, t_ns)]  # noqa: E731
        monkeypatch.setattr(sim, "feed", late)
        with pytest.raises(NoReplyError):
            await driver.poll()
        monkeypatch.setattr(sim, "feed", answer)
        sim._plant.things["line.P"] = 3.0
        await clock.sleep_until(clock.now_ns() + NS)
        assert list(await driver.poll()) == [pytest.approx(3.0, rel=0.02)]

    on_gauge(main)


def damaged(telegram, chance):
    """One bit flipped, or one character lost, doubled or replaced."""
    data, at = bytearray(telegram), chance.randrange(len(telegram))
    match chance.randrange(4):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            del data[at]
        case 2:
            data.insert(at, data[at])
        case _:
            data[at] = chance.randrange(256)
    return bytes(data)


def test_of_ten_thousand_damaged_replies_no_wrong_pressure_is_believed():
    chance = random.Random(7)
    wrong = 0
    for _ in range(10_000):
        right = seal(
            b"0011074006%04d%02d" % (chance.randrange(1000, 10000), chance.randrange(16, 24))
        )
        body = unseal(damaged(right, chance))
        heard = body is not None and body.startswith(b"0011074006")  # the driver asks no less
        wrong += heard and body != right[:-4]
    assert wrong == 0


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=30) | st.just(GOOD), min_size=1, max_size=4))
def test_any_answer_is_a_reading_or_a_declared_error(replies):
    async def main(driver):
        try:
            assert await poll(driver) in ([None], [1000.0])
        except DeviceError:
            return

    told(Says(*replies), main)


MOCK = """
import socket, sys
from pfeiffer_vacuum_protocol.mock import PPT100
gauge = PPT100(nonascii=sys.argv[1] == "noisy")
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    line, _ = server.accept()
    with line:
        while data := line.recv(64):
            line.sendall(gauge.get_response(data))
"""


@pytest.mark.parametrize("line", ["quiet", "noisy"])
async def test_the_driver_cannot_tell_a_strangers_gauge(line):
    process = await asyncio.create_subprocess_exec(
        python_with(*CLIENTS), "-c", MOCK, line, stdout=asyncio.subprocess.PIPE
    )
    clock = WallClock()
    try:
        number = int(await asyncio.wait_for(process.stdout.readline(), 20))
        port = Port("ppt", TcpWire("ppt", "127.0.0.1", number, clock), clock)
        driver = PfeifferPpt100(port, DeviceSettings("gauge", places=PLACES))
        await port.open()
        assert (await driver.connect()).firmware == "010100"
        assert list(await driver.poll()) == [1000.0]
        await port.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()
