"""The simulated spectrometers against the data sheet's bytes and against seabreeze, unmodified."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import threading
import tty
from array import array

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.framing import obp
from labctl.twin import TwinDevice
from simulators.ocean_obp import SimFx, SimHdx, SimQePro, SimSts

ACK = 0x03
REFUSED = 0x09


@pytest.fixture
def hdx(still_plant):
    return SimHdx(twin("ocean_hdx", "absorbance"), still_plant())


@pytest.fixture
def qepro(still_plant):
    return SimQePro(twin("ocean_qepro", "pl"), still_plant())


@pytest.fixture
def sts(still_plant):
    return SimSts(twin("ocean_sts", "pl"), still_plant())


def twin(kind, sees):
    return TwinDevice("unit", kind, "line", DeviceSettings("unit"), {"spectrum": sees})


def ask(sim, kind, data=b"", flags=0, t_ns=0, **fields):
    replies = sim.feed(obp.encode(obp.Message(kind, data, flags, **fields)), t_ns)
    return [(delay_ns, obp.decode(frame)) for delay_ns, frame in replies]


def only(sim, kind, data=b"", flags=0, **fields):
    ((_, reply),) = ask(sim, kind, data, flags, **fields)
    assert reply.kind == kind
    return reply


def test_the_data_sheets_set_command_gets_one_64_byte_acknowledgement(hdx):
    question = bytes.fromhex(
        "c1c00011040000001000110000000000000000000000000410270000"
        "00000000000000000000000014000000"
        "00000000000000000000000000000000c5c4c3c2"
    )
    ((delay_ns, frame),) = hdx.feed(question, 0)
    assert frame == bytes.fromhex(
        "c1c00011030000001000110000000000000000000000000000000000"
        "00000000000000000000000014000000"
        "00000000000000000000000000000000c5c4c3c2"
    )
    assert delay_ns == 0
    assert only(hdx, 0x110000).data == (10_000).to_bytes(4, "little")


def test_a_set_without_the_wish_for_an_acknowledgement_is_silent(hdx):
    assert ask(hdx, 0x110010, struct.pack("<I", 50_000)) == []
    assert only(hdx, 0x110000).data == struct.pack("<I", 50_000)


def test_a_query_echoes_what_it_regards(hdx):
    assert only(hdx, 0x100, regarding=0xDEADBEEF).regarding == 0xDEADBEEF


@pytest.mark.parametrize(
    ("kind", "data", "error"),
    [
        (0x00ABCDEF, b"", 2),
        (0x110010, b"\0\0", 5),
        (0x110010, struct.pack("<I", 5_999), 6),
        (0x110010, struct.pack("<I", 10_000_001), 6),
        (0x180101, b"\4", 6),
        (0x120010, struct.pack("<H", 0), 6),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_number(hdx, kind, data, error):
    reply = only(hdx, kind, data, obp.Flag.REQUEST_ACK)
    assert (reply.flags, reply.error) == (REFUSED, error)


def test_other_protocol_versions_and_checksum_types_are_refused(hdx):
    assert only(hdx, 0x100, version=0x2000).error == 1
    assert only(hdx, 0x100, checksum_type=2).error == 8


def test_a_wrong_md5_is_refused_and_a_right_one_answered_in_kind(hdx):
    frame = obp.encode(obp.Message(0x100, checksum_type=1))
    ((_, answer),) = hdx.feed(frame, 0)
    assert obp.decode(answer).checksum_type == 1
    assert obp.is_whole(answer)
    ((_, refusal),) = hdx.feed(frame[:-5] + bytes((frame[-5] ^ 1,)) + frame[-4:], 0)
    assert obp.decode(refusal).error == 3


def test_a_spectrum_has_exactly_two_bytes_per_pixel_after_the_exposure(hdx):
    ask(hdx, 0x110010, struct.pack("<I", 20_000))
    ask(hdx, 0x120010, struct.pack("<H", 8))
    ((delay_ns, reply),) = ask(hdx, 0x101000)
    assert delay_ns == 8 * 20_000_000
    assert len(reply.data) == 2 * 2068
    assert struct.unpack_from("<H", reply.data)[0] == 1188  # round(1000 + 187.6)


def test_counts_beyond_the_converter_stand_at_its_end(hdx, monkeypatch):
    monkeypatch.setattr(hdx._plant, "counts", lambda *_: array("I", [70_000] * 2068))
    assert set(struct.unpack("<2068H", only(hdx, 0x101000).data)) == {0xFFFF}


def test_an_external_trigger_that_never_comes_leaves_the_request_unanswered(hdx):
    assert only(hdx, 0x110110, b"\1", obp.Flag.REQUEST_ACK).flags == ACK
    assert ask(hdx, 0x101000) == []


def test_the_qepro_sends_metadata_then_32_bit_pixels(qepro):
    ask(qepro, 0x110010, struct.pack("<I", 10_000))
    first = only(qepro, 0x100928).data
    ((delay_ns, second),) = ask(qepro, 0x100928, t_ns=3_000_000)
    assert len(first) == len(second.data) == 32 + 4 * 1044
    assert struct.unpack_from("<IQI", second.data) == (2, 3_000, 10_000)
    assert struct.unpack_from("<I", second.data, 32)[0] == 1348  # round(1000 + 347.85)
    assert delay_ns == 17_000_000  # it was exposing the first until 10 ms


def test_the_qepro_does_not_average(qepro):
    assert only(qepro, 0x120000).error == 2


def test_the_detector_cools_with_its_time_constant_and_warms_when_switched_off(qepro):
    def temperature_c():
        return struct.unpack("<f", only(qepro, 0x420004).data)[0]

    assert temperature_c() == pytest.approx(22.0, abs=0.1)
    ask(qepro, 0x420011, struct.pack("<f", -10.0))
    ask(qepro, 0x420010, b"\1")
    qepro.advance(20_000_000_000)
    assert temperature_c() == pytest.approx(-10 + 32 / 2.718281828, abs=0.1)
    assert only(qepro, 0x420003).data == b"\0"
    qepro.advance(300_000_000_000)
    assert temperature_c() == pytest.approx(-10.0, abs=0.1)
    assert only(qepro, 0x420003).data == b"\1"
    ask(qepro, 0x420010, b"\0")
    qepro.advance(900_000_000_000)
    assert temperature_c() == pytest.approx(22.0, abs=0.1)


def test_the_cooler_cannot_go_below_what_it_can_pump(qepro):
    ask(qepro, 0x420011, struct.pack("<f", -40.0))
    ask(qepro, 0x420010, b"\1")
    qepro.advance(10**12)
    assert struct.unpack("<f", only(qepro, 0x420004).data)[0] == pytest.approx(-18.0, abs=0.1)
    assert only(qepro, 0x420003).data == b"\0"


quick = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    kinds=st.lists(st.sampled_from([0x100, 0xE01, 0x180100, 0x777]), min_size=1, max_size=4),
    noise=st.binary(max_size=30).map(lambda data: data.replace(b"\xc1", b"")),
    cuts=st.lists(st.integers(0, 300), max_size=6),
)
def test_the_same_bytes_however_cut_give_the_same_replies(still_plant, kinds, noise, cuts):
    stream = noise + noise.join(obp.encode(obp.Message(kind)) for kind in kinds)
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(bounds)]
    at_once = collect(still_plant, [stream])
    assert collect(still_plant, pieces) == at_once
    assert collect(still_plant, [bytes((byte,)) for byte in stream]) == at_once
    assert len(at_once) == len(kinds)


def collect(still_plant, chunks):
    sim = SimHdx(twin("ocean_hdx", "absorbance"), still_plant())
    return [reply for chunk in chunks for reply in sim.feed(chunk, 0)]


@quick
@given(noise=st.binary(max_size=400))
def test_no_bytes_keep_it_from_the_next_messages(still_plant, noise):
    sim = SimHdx(twin("ocean_hdx", "absorbance"), still_plant())
    sim.feed(noise.replace(b"\xc1\xc0", b""), 0)
    replies = sim.feed(obp.encode(obp.Message(0x100)), 0)
    assert obp.decode(replies[-1][1]).data == b"HDX00427"


def test_a_false_start_is_skipped(hdx):
    replies = hdx.feed(b"\xc1\xc0" + obp.encode(obp.Message(0x100)), 0)
    assert [obp.decode(frame).data for _, frame in replies] == [b"HDX00427"]


def test_the_sts_has_1024_pixels_of_14_bits(sts, monkeypatch):
    assert only(sts, 0x110220).data == struct.pack("<I", 1024)
    monkeypatch.setattr(sts._plant, "counts", lambda *_: array("I", [70_000] * 1024))
    for kind in (0x101000, 0x101100):
        assert set(struct.unpack("<1024H", only(sts, kind).data)) == {0x3FFF}


def test_the_shortest_exposure_of_the_sts_is_10_us(sts):
    assert only(sts, 0x110010, struct.pack("<I", 10), obp.Flag.REQUEST_ACK).flags == ACK
    assert only(sts, 0x110010, struct.pack("<I", 9), obp.Flag.REQUEST_ACK).error == 6


def test_faults_are_told_in_the_flags_and_errors_of_the_protocol(hdx):
    hdx.deprecated.add(0x100)
    assert only(hdx, 0x100).flags == obp.Flag.RESPONSE | obp.Flag.DEPRECATED
    hdx.refuses[0x101000] = 7
    refused = only(hdx, 0x101000)
    assert (refused.flags, refused.error) == (REFUSED, 7)
    hdx.broken = True
    assert only(hdx, 0x100).flags == obp.Flag.RESPONSE | obp.Flag.EXCEPTION


def test_half_a_frame_does_not_swallow_the_next_question_for_ever(hdx):
    whole = obp.encode(obp.Message(0x100))
    spectrum = bytes(range(32)) * 4
    half = obp.encode(obp.Message(0x100, spectrum))[:70]
    heard = [hdx.feed(half, 0)] + [hdx.feed(whole, 0) for _ in range(4)]
    assert obp.decode(heard[-1][-1][1]).data == b"HDX00427"


@contextlib.contextmanager
def over_tcp(sim):
    """Serve one connection to a simulated instrument; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve_tcp, args=(server, sim))
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)
        assert not thread.is_alive()


def serve_tcp(server, sim):
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(65536):
            for _, reply in sim.feed(data, 0):
                connection.sendall(reply)


@pytest.mark.parametrize(("model", "made"), [("HDX", SimHdx), ("FX", SimFx)])
def test_seabreeze_over_tcp_reads_it(model, made, still_plant):
    sim = made(twin("unit", "absorbance"), still_plant())
    devices = pytest.importorskip(
        "seabreeze.pyseabreeze.devices", reason="seabreeze[pyseabreeze] is not installed"
    )
    transport = importlib.import_module("seabreeze.pyseabreeze.transport")
    with over_tcp(sim) as port:
        transport.IPv4Transport.register_model(model, ipv4_address="127.0.0.1", ipv4_port=port)
        handle = transport.IPv4TransportHandle("127.0.0.1", port)
        with handle.socket:  # never used: opening makes another
            device = devices.SeaBreezeDevice(handle)
            device.open()
        with handle.socket:
            assert device.get_serial_number() == sim.model.serial
            spectrometer = device.f.spectrometer
            spectrometer.set_trigger_mode(0)
            spectrometer.set_integration_time_micros(10_000)
            wavelengths_nm = spectrometer.get_wavelengths()
            counts = spectrometer.get_intensities()
            if model == "HDX":
                coefficients = device.f.nonlinearity_coefficients
                nonlinearity = coefficients.get_nonlinearity_coefficients()
    assert counts.tolist() == [round(1000 + nm) for nm in wavelengths_nm]
    assert len(counts) == sim.model.pixels
    if model == "HDX":
        assert nonlinearity == pytest.approx([0.9236, 3.1e-6, -4.7e-11, 2.2e-16])


C_CLIENT = """
import sys
from seabreeze.cseabreeze import SeaBreezeAPI
api = SeaBreezeAPI()
api.add_rs232_device_location(b"QE-PRO", sys.argv[1].encode(), 115200)
(device,) = api.list_devices()
device.open()
spectrometer, cooler = device.f.spectrometer, device.f.thermo_electric
spectrometer.set_integration_time_micros(10_000)
cooler.set_temperature_setpoint_degrees_celsius(-10.0)
cooler.enable_tec(True)
counts = spectrometer.get_intensities()
print(device.model, device.serial_number, len(counts), counts[0], counts[-1])
print(spectrometer.get_wavelengths()[0], cooler.read_temperature_degrees_celsius())
"""


@contextlib.contextmanager
def over_pty(sim):
    """Serve a simulated instrument on a pseudo-terminal; yield its name."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    done = threading.Event()

    def serve():
        while not done.is_set():
            if select.select([ours], [], [], 0.02)[0]:
                for _, reply in sim.feed(os.read(ours, 65536), 0):
                    os.write(ours, reply)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        done.set()
        thread.join(5)
        os.close(ours)
        os.close(theirs)


def test_the_vendors_c_library_over_rs232_reads_the_qepro(qepro):
    pytest.importorskip("seabreeze", reason="seabreeze is not installed")
    with over_pty(qepro) as name:
        client = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-c", C_CLIENT, name],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert client.returncode == 0, client.stderr
    first, second = client.stdout.splitlines()
    assert first == "QE-PRO QEP01733 1044 1348.0 2133.0"
    wavelength_nm, detector_c = map(float, second.split())
    assert wavelength_nm == pytest.approx(347.85, abs=1e-4)
    assert detector_c == pytest.approx(22.0, abs=0.1)


C_CLIENT_OF_THE_STS = """
import sys
from seabreeze.cseabreeze import SeaBreezeAPI
api = SeaBreezeAPI()
api.add_rs232_device_location(b"STS", sys.argv[1].encode(), 9600)
(device,) = api.list_devices()
device.open()
spectrometer = device.f.spectrometer
spectrometer.set_integration_time_micros(10_000)
counts = spectrometer.get_intensities()
print(device.model, device.serial_number, len(counts), counts[0], counts[-1])
print(spectrometer.get_wavelengths()[0])
"""


def test_the_vendors_c_library_over_rs232_reads_the_sts(sts):
    pytest.importorskip("seabreeze", reason="seabreeze is not installed")
    with over_pty(sts) as name:
        client = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-c", C_CLIENT_OF_THE_STS, name],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert client.returncode == 0, client.stderr
    first, wavelength_nm = client.stdout.splitlines()
    assert first == "STS S04117 1024 1337.0 1806.0"
    assert float(wavelength_nm) == pytest.approx(337.12, abs=1e-4)
