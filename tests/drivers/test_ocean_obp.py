"""The Ocean driver against its simulators in virtual time, and against replies made by hand."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
import struct
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.ocean_obp import OceanHdx, OceanQePro
from labctl.capabilities import DeviceSettings, Identity
from labctl.clock import VirtualClock
from labctl.errors import DeviceError, GarbledError, OutOfRangeError, RefusedByDeviceError
from labctl.framing import obp
from labctl.loop import run_virtual
from labctl.transport import Port
from labctl.transport.memory import MemoryWire

HDX = "ocean_hdx"
QE_PRO = "ocean_qepro"
NOISE = {"spectrum": "pl"}


class Scripted:
    """Answers each question with what `reply` makes of it, and keeps the questions."""

    def __init__(self, reply):
        self.reply = reply
        self.asked = []

    def feed(self, data, t_ns):
        if not data:
            return []
        question = obp.decode(data)
        self.asked.append(question)
        answer = self.reply(question)
        return [] if answer is None else [(0, answer)]


def drive(cls, reply, main, **fields):
    scripted = Scripted(reply)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", MemoryWire(scripted, clock, baud=0), clock)
        return await main(cls(port, DeviceSettings("unit", **fields)))

    return run_virtual(body), scripted


def answer(question, data=b"", flags=1, error=0, **fields):
    fields = {"regarding": question.regarding, **fields}
    return obp.encode(obp.Message(question.kind, data, flags, error, **fields))


def test_the_hdx_says_who_it_is_and_where_its_pixels_are(on_twin):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        spectrum = await driver.acquire(7)
        return identity, spectrum, await driver.poll()

    identity, spectrum, polled = on_twin(HDX, main, baud=0)
    assert identity == Identity("Ocean Optics", "HDX", "HDX00427")
    # the factory polynomial 187.60 + 0.3874 p - 6.9e-6 p^2 - 1.3e-10 p^3, stored as 32-bit floats
    assert spectrum.wavelengths_nm[0] == pytest.approx(187.60, abs=1e-4)
    assert spectrum.wavelengths_nm[1000] == pytest.approx(187.6 + 387.4 - 6.9 - 0.13, abs=1e-3)
    assert len(spectrum.wavelengths_nm) == len(spectrum.counts) == 2068
    assert spectrum.t_ns == 7
    assert spectrum.max_counts == 65535
    assert polled == ()


@pytest.mark.parametrize("width", [0, 2, 15])
def test_the_boxcar_of_the_rig_file_is_set_and_stands_with_the_spectrum(on_twin, width):
    async def main(driver, sim, clock):
        sim.feed(obp.encode(obp.Message(0x00121010, b"\7", obp.Flag.REQUEST_ACK)), 0)
        await driver.connect()
        ((_, reply),) = sim.feed(obp.encode(obp.Message(0x00121000)), clock.now_ns())
        return obp.decode(reply).data, await driver.acquire(0)

    held, spectrum = on_twin(HDX, main, baud=0, boxcar=width)
    assert held == bytes((width,)), "what a client before us left is gone"
    assert spectrum.boxcar == width


def test_a_boxcar_that_reads_back_differently_is_refused(on_twin):
    async def main(driver, sim, clock):
        sim._boxcar, sim._handlers = 1, sim._handlers | {0x00121010: sim._handlers[0x00110110]}
        await driver.connect()

    with pytest.raises(RefusedByDeviceError, match=r"boxcar 2.* 2.* 1"):
        on_twin(HDX, main, baud=0, boxcar=2)


def test_a_boxcar_is_refused_by_an_instrument_that_has_none(on_twin):
    async def main(driver, sim, clock):
        await driver.connect()

    with pytest.raises(RefusedByDeviceError, match="boxcar: 0"):
        on_twin(QE_PRO, main, baud=115200, boxcar=2)


def test_a_boxcar_beyond_the_instruments_is_refused_before_anything_is_set(on_twin):
    async def main(driver, sim, clock):
        await driver.connect()

    with pytest.raises(OutOfRangeError, match=r"0 \.\. 15"):
        on_twin(HDX, main, baud=0, boxcar=16)


def test_the_counts_are_the_instruments_own_in_pixel_order(on_twin):
    async def main(driver, sim, clock):
        await driver.connect()
        return await driver.acquire(0)

    spectrum = on_twin(HDX, main, baud=0)
    assert spectrum.counts.typecode == "I"
    assert spectrum.counts.tolist() == [round(1000 + nm) for nm in spectrum.wavelengths_nm]


def test_the_hdx_averages_by_itself_and_takes_its_time(on_twin):
    async def main(driver, sim, clock):
        await driver.connect()
        await driver.set_exposure(0.05, 20)
        before_ns = clock.now_ns()
        spectrum = await driver.acquire(0)
        return spectrum, clock.now_ns() - before_ns

    spectrum, took_ns = on_twin(HDX, main, baud=0)
    assert (spectrum.integration_s, spectrum.averages) == (0.05, 20)
    assert took_ns == 1_000_000_000


def test_the_qepro_is_averaged_here_and_rounded_to_the_nearest_count(on_twin, still_plant):
    class Stepping(still_plant):
        level = 0

        def counts(self, which, exposure, t_ns):
            assert which == "pl"
            assert exposure.averages == 1
            self.level += 1
            return array("I", [200_000 + self.level % 2] * 1044)

    async def main(driver, sim, clock):
        await driver.connect()
        await driver.set_exposure(0.1, 4)
        even = await driver.acquire(0)
        await driver.set_exposure(0.1, 3)
        return even, await driver.acquire(0)

    even, odd = on_twin(QE_PRO, main, Stepping(), NOISE, baud=115200)
    assert set(even.counts) == {200_001}  # 200000.5 rounds up
    assert set(odd.counts) == {200_001}  # two of three scans
    assert odd.averages == 3


def test_the_detector_is_cooled_to_the_rig_files_temperature(on_twin):
    async def main(driver, sim, clock):
        await driver.connect()
        warm = await driver.poll()
        await clock.sleep_until(200_000_000_000)
        return warm, await driver.poll()

    warm, cold = on_twin(QE_PRO, main, touches=NOISE, baud=115200, detector_c=-10.0)
    assert warm[0] > 15
    assert cold == (pytest.approx(-10.0, abs=0.15),)


def test_without_a_temperature_in_the_rig_file_the_cooler_is_left_alone(on_twin):
    async def main(driver, sim, clock):
        await driver.connect()
        await clock.sleep_until(200_000_000_000)
        return await driver.poll()

    assert on_twin(QE_PRO, main, touches=NOISE, baud=115200) == (pytest.approx(22.0, abs=0.15),)


@pytest.mark.parametrize(
    ("kind", "integration_s", "averages"),
    [(HDX, 0.005, 1), (HDX, 10.1, 1), (HDX, float("nan"), 1), (QE_PRO, 0.0079, 1), (HDX, 0.1, 0)],
)
def test_what_the_instrument_cannot_do_is_refused_before_anything_is_sent(
    on_twin, kind, integration_s, averages
):
    async def main(driver, sim, clock):
        before_ns = clock.now_ns()
        with pytest.raises(OutOfRangeError, match="unit: asked"):
            await driver.set_exposure(integration_s, averages)
        assert clock.now_ns() == before_ns

    on_twin(kind, main, baud=9600)


def test_the_questions_are_the_data_sheets_but_for_their_numbers():
    async def main(driver):
        await driver.set_exposure(0.01, 1)

    _, scripted = drive(OceanHdx, lambda q: answer(q, flags=3), main)
    (question,) = scripted.asked
    expected = obp.Message(0x110010, bytes.fromhex("10270000"), 4, regarding=question.regarding)
    assert question == expected


@pytest.mark.parametrize("short_by", [-2, -1, 1, 2, 4136])
def test_a_spectrum_of_another_length_is_no_spectrum(short_by):
    async def main(driver):
        with pytest.raises(GarbledError, match="expected 4136 bytes"):
            await driver.acquire(0)

    drive(OceanHdx, lambda q: answer(q, bytes(4136 - short_by)), main)


def test_the_reply_to_an_abandoned_question_is_not_taken_for_the_next():
    held = []

    def late(question):
        held.append(answer(question, bytes(4136)))
        return held[0]

    async def main(driver):
        await driver.acquire(0)
        with pytest.raises(GarbledError, match="its own reply"):
            await driver.acquire(1)

    drive(OceanHdx, late, main)


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda q: answer(q, flags=9, error=6), RefusedByDeviceError, "payload data invalid"),
        (lambda q: answer(q, flags=9, error=77), RefusedByDeviceError, "no reason known"),
        (lambda q: answer(q, flags=0x11, error=13), RefusedByDeviceError, "internal error"),
        (lambda q: answer(q, flags=1), GarbledError, "an acknowledgement"),
        (lambda q: obp.encode(obp.Message(0x100, flags=3)), GarbledError, "its own reply"),
        (lambda q: b"*" + answer(q), GarbledError, "a message starts with"),
        (lambda q: answer(q)[:-1] + b"\0", GarbledError, "footer"),
        (
            lambda q: answer(q, flags=3, checksum_type=1)[:-5] + b"?\xc5\xc4\xc3\xc2",
            GarbledError,
            "MD5",
        ),
    ],
)
def test_a_setting_that_was_not_acknowledged_was_not_made(spoil, error, says):
    async def main(driver):
        with pytest.raises(error, match=says):
            await driver.set_exposure(1.0, 1)
        return driver

    driver, _ = drive(OceanHdx, spoil, main)
    assert driver._integration_s == 0.1


@pytest.mark.parametrize(
    "coefficients",
    [(500.0,), (500.0, -1.0), (0.0, 0.0), (1.0, float("nan")), (1.0, float("inf")), (1.0,) * 9],
)
def test_an_axis_that_does_not_rise_is_refused(coefficients):
    def reply(question):
        if question.kind == 0x180100:
            return answer(question, bytes((len(coefficients),)))
        if question.kind == 0x180101:
            return answer(question, struct.pack("<f", coefficients[question.data[0]]))
        return answer(question, b"S1")

    async def main(driver):
        with pytest.raises(GarbledError, match="wavelength coefficients"):
            await driver.connect()

    drive(OceanHdx, reply, main)


def test_scans_the_instrument_did_not_take_are_noticed():
    def reply(question):
        return answer(question, struct.pack("<H", 1), 3)

    async def main(driver):
        driver._averages_itself = True
        with pytest.raises(RefusedByDeviceError, match="scans to average"):
            await driver.set_exposure(0.1, 5)

    drive(OceanHdx, reply, main)


def test_a_temperature_that_is_no_number_is_no_reading():
    async def main(driver):
        return await driver.poll()

    polled, _ = drive(OceanQePro, lambda q: answer(q, struct.pack("<f", float("nan"))), main)
    assert polled == (None,)


def test_older_spectra_are_thrown_away_before_a_new_one():
    async def main(driver):
        return await driver.acquire(0)

    spectrum, scripted = drive(
        OceanQePro, lambda q: answer(q, b"" if q.flags else bytes(32) + b"\1\0\3\0" * 1044, 3), main
    )
    assert [question.kind for question in scripted.asked] == [0x100830, 0x100928]
    assert set(spectrum.counts) == {0x30001}


@settings(max_examples=60)
@given(data=st.binary(max_size=120), whole=st.booleans(), flags=st.integers(0, 63))
def test_whatever_comes_back_ends_in_a_device_error_or_an_identity(data, whole, flags):
    async def main(driver):
        try:
            async with asyncio.timeout(60):
                await driver.connect()
        except DeviceError as error:
            return str(error)
        return "connected"

    said, _ = drive(OceanQePro, lambda q: answer(q, data, flags) if whole else data or None, main)
    assert said.startswith("unit: asked")


def test_making_safe_says_nothing():
    async def main(driver):
        await driver.make_safe()

    _, scripted = drive(OceanHdx, answer, main)
    assert scripted.asked == []


@pytest.mark.parametrize(
    ("kind", "pixels", "full", "first_nm"),
    [("ocean_fx", 2136, 0xFFFF, 196.35), ("ocean_sts", 1024, 0x3FFF, 337.12)],
)
def test_the_other_models_say_who_they_are_and_give_their_pixels(
    on_twin, kind, pixels, full, first_nm
):
    async def main(driver, sim, clock):
        identity = await driver.connect()
        await driver.set_exposure(0.02, 4)
        return identity, await driver.acquire(5)

    baud = 0 if kind == "ocean_fx" else 9600
    identity, spectrum = on_twin(kind, main, touches=NOISE, baud=baud)
    assert identity.model in {"FX", "STS"}
    assert len(spectrum.counts) == len(spectrum.wavelengths_nm) == pixels
    assert (spectrum.max_counts, spectrum.averages) == (full, 4)
    assert spectrum.wavelengths_nm[0] == pytest.approx(first_nm, abs=1e-4)
    assert spectrum.counts[0] == round(1000 + spectrum.wavelengths_nm[0])


def test_a_deprecated_message_still_counts(on_twin):
    async def main(driver, sim, clock):
        sim.deprecated |= {0x100, 0x101000, 0x110010}
        await driver.connect()
        return len((await driver.acquire(0)).counts)

    assert on_twin(HDX, main, touches=NOISE, baud=0) == 2068


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 100, 104, 255])
def test_no_spectrum_comes_of_an_error(on_twin, code):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.refuses[0x101000] = code
        with pytest.raises(RefusedByDeviceError, match=f"error {code}: "):
            await driver.acquire(0)
        sim.refuses.clear()
        sim.broken = True
        with pytest.raises(RefusedByDeviceError, match="error 13"):
            await driver.acquire(0)
        sim.broken = False
        return len((await driver.acquire(0)).counts)

    assert on_twin(HDX, main, touches=NOISE, baud=0) == 2068


def test_of_damaged_replies_with_md5_none_is_believed():
    rng = random.Random(7)
    good = obp.encode(obp.Message(0x101000, bytes(2 * 2068), 1, checksum_type=1))
    for _ in range(10_000):
        damaged = bytearray(good)
        damaged[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        whole = obp.length(bytes(damaged))
        if whole != len(good):
            continue
        with contextlib.suppress(ValueError):
            obp.decode(bytes(damaged))
            # The checksum's own type (byte 22) says whether there is one.
            assert damaged[22] != 1 or not obp.is_whole(bytes(damaged))
