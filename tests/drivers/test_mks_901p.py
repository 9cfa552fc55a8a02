"""The MKS driver: vendor bytes, units, and never a number from a transducer that has none."""

import datetime as dt
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.mks_901p import Mks901p
from labctl.capabilities import DeviceSettings
from labctl.clock import NS, VirtualClock
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.loop import run_virtual
from labctl.readings import Channel
from labctl.transport import Port
from labctl.transport.memory import MemoryWire
from tests.conftest import StillPlant

PLACES = {4: Channel("flask", "pressure", 0.01, 1100.0)}


class Says:
    """Answers each query with its own words, in a frame or raw; remembers what was asked."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = {"U": b"MBAR", "T": b"O", "PR4": b"1.234E-2", **answers}
        self.heard: list[bytes] = []

    def feed(self, data, t_ns):
        if not data:
            return []
        self.heard.append(data)
        answer = self.answers[data[4:-4].decode()]
        return [(0, answer if b"@" in answer or not answer else b"@253ACK%b;FF" % answer)]


def told(line, main, places=PLACES):
    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("mks", MemoryWire(line, clock, baud=0), clock)
        return await main(Mks901p(port, DeviceSettings("gauge", address=253, places=places)))

    return run_virtual(body)


async def poll(driver):
    return list(await driver.poll())


@pytest.fixture
def on_gauge(on_twin):
    def run(main, mbar=0.05, kind="mks_901p", **given):
        plant = StillPlant(flask__P=mbar)
        touches = {"4": "flask.P"}
        return on_twin(kind, main, plant, touches, **{"places": PLACES, "address": 253, **given})

    return run


def test_the_vendors_bytes_are_asked_and_understood():
    line = Says()
    assert told(line, poll) == [0.01234]
    assert line.heard == [b"@253U?;FF", b"@253PR4?;FF", b"@253T?;FF"]


@pytest.mark.parametrize(
    ("unit", "mbar"),
    [(b"TORR", 0.01234 * 1013.25 / 760), (b"MBAR", 0.01234), (b"PASCAL", 1.234e-4)],
)
def test_any_unit_becomes_mbar(unit, mbar):
    assert told(Says(U=unit), poll) == [pytest.approx(mbar)]


@pytest.mark.parametrize("state", [b"M", b"C", b"Z", b"R"])
def test_a_status_other_than_ok_is_no_reading(state):
    assert told(Says(T=state), poll) == [None]


def test_the_cold_cathode_on_is_good_and_zero_is_no_reading():
    assert told(Says(T=b"G"), poll) == [0.01234]
    assert told(Says(PR4=b"0.000E+0"), poll) == [None]


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(8, "too high"), (9, "too low"), (160, "unrecognised"), (169, "argument"), (172, "range"),
     (175, "character"), (180, "locked"), (195, "setpoint"), (152, "unknown")],
)  # fmt: skip
def test_a_nak_is_an_error_with_its_meaning(code, meaning):
    with pytest.raises(RefusedByDeviceError, match=meaning):
        told(Says(PR4=b"@253NAK%d;FF" % code), poll)


@pytest.mark.parametrize(
    "value",
    [b"1.23E-2", b"-1.234E-2", b"1.234e-2", b"1.234E-2 ", b"1234", b"", b"1.234E2", b"1.234E+123",
     b"9.999E+3", b"OFF", b"LO<E-11"],
)  # fmt: skip
def test_what_is_not_in_the_grammar_or_absurd_is_refused(value):
    with pytest.raises(GarbledError):
        told(Says(PR4=b"@253ACK%b;FF" % value), poll)


def test_noise_echo_and_other_transducers_are_passed_over():
    said = b"\xff@253PR4?;FF@001ACK9.999E-1;FF@253ACK1.234E-2;FF"
    assert told(Says(PR4=said), poll) == [0.01234]


def test_silence_is_an_error():
    with pytest.raises(NoReplyError):
        told(Says(PR4=b""), poll)
    with pytest.raises(NoReplyError):
        told(Says(PR4=b"@001ACK1.234E-2;FF"), poll)


def test_a_unit_changed_by_someone_is_seen_within_five_polls(on_gauge):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.values["U"] = "PASCAL"
        for _ in range(5):
            last = await driver.poll()
        assert list(last) == [pytest.approx(0.05, rel=0.03)]

    on_gauge(main)


@pytest.mark.parametrize(("kind", "model"), [("mks_901p", "901P"), ("mks_974b", "974B")])
def test_it_says_who_it_is_and_reads_its_twin(on_gauge, kind, model):
    async def main(driver, sim, clock):
        who = await driver.connect()
        assert (who.maker, who.model, who.firmware) == ("MKS", model, "1.12")
        assert list(await driver.poll()) == [pytest.approx(0.05, rel=0.03)]
        sim.state = "M"
        assert list(await driver.poll()) == [None]
        sim.mute = True
        with pytest.raises(NoReplyError):
            await driver.poll()
        await driver.make_safe()
        assert driver.last_will() == ()

    on_gauge(main, kind=kind)


def test_a_cold_cathode_that_is_off_has_no_reading(on_gauge):
    async def main(driver, sim, clock):
        await driver.connect()
        assert (await driver.poll())[1] is None
        sim._plant.things["flask.P"] = 1e-5
        assert (await driver.poll())[1] == pytest.approx(1e-5, rel=0.03)

    on_gauge(main, kind="mks_974b", places={4: PLACES[4], 5: Channel("high", "pressure")})


@pytest.mark.parametrize("wrong", [{"places": {2: PLACES[4]}}, {"places": {5: PLACES[4]}},
                                   {"address": 254}])  # fmt: skip
def test_a_channel_it_has_not_or_no_address_of_one_is_refused_unasked(on_gauge, wrong):
    async def main(driver, sim, clock):
        with pytest.raises(OutOfRangeError):
            await driver.connect()

    on_gauge(main, **wrong)


def test_another_model_or_unit_is_refused_at_connect(on_gauge):
    async def unit(driver, sim, clock):
        sim.values["U"] = "MICRON"
        with pytest.raises(RefusedByDeviceError, match="PASCAL"):
            await driver.connect()

    async def model(driver, sim, clock):
        sim.model = "925"
        with pytest.raises(RefusedByDeviceError, match="901P"):
            await driver.connect()

    on_gauge(unit)
    on_gauge(model)


def test_a_late_reply_never_answers_the_next_question(on_gauge, monkeypatch):
    async def main(driver, sim, clock):
        await driver.connect()
        answer = sim.feed
        late = lambda data, t_ns: [(650_000_000, r) for _, r in answer(data, t_ns)]  # noqa: E731
        monkeypatch.setattr(sim, "feed", late)
        with pytest.raises(NoReplyError):
            await driver.poll()
        monkeypatch.setattr(sim, "feed", answer)
        sim._plant.things["flask.P"] = 3.0
        await clock.sleep_until(clock.now_ns() + NS)
        assert list(await driver.poll()) == [pytest.approx(3.0, rel=0.03)]

    on_gauge(main)


def damaged(reply, chance):
    """One bit flipped, or one character lost or doubled."""
    data, at = bytearray(reply), chance.randrange(len(reply))
    match chance.randrange(3):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            del data[at]
        case _:
            data.insert(at, data[at])
    return bytes(data)


def test_without_a_checksum_some_damaged_replies_are_believed_and_it_is_known_how_many():
    chance = random.Random(11)
    right = b"@253ACK1.234E-2;FF"
    line = Says()

    async def main(driver):
        wrong = 0
        for _ in range(2000):
            line.answers["PR4"] = damaged(right, chance)
            try:
                (got,) = await driver.poll()
            except DeviceError:
                continue
            wrong += got is not None and got != 0.01234
        return wrong

    share = told(line, main) / 2000
    assert 0.03 < share < 0.08, share


@settings(max_examples=60)
@given(st.binary(max_size=30))
def test_any_answer_is_a_reading_or_a_declared_error(said):
    async def main(driver):
        try:
            await driver.poll()
        except DeviceError:
            return

    told(Says(PR4=b"@253ACK" + said + b";FF"), main)
