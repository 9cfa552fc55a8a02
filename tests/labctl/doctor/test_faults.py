"""Each fault is provoked for real: on served simulators, over ptys and TCP."""

import asyncio
import contextlib
import os
import sys

import pytest

from labctl.capabilities import DeviceSettings
from labctl.doctor import Level
from labctl.doctor.ports import seen
from labctl.registry import load
from labctl.rig.claim import Claim
from labctl.twin import TwinDevice
from tests.labctl.doctor.conftest import Garbling, Hearing, Mute

NOBODY = 65534


def unfit(report):
    found = {}
    for row in report.remarks:
        if row.level is Level.UNFIT:
            found.setdefault(row.of, row)
    return found


def only(report):
    (row,) = unfit(report).values()
    assert not report.fit
    return row


async def test_a_rig_that_is_fit_says_who_answers_how_it_is_set_and_how_fast(bench):
    await bench.serve(tcp=("gauge",))
    report = await bench.examined()
    assert report.fit
    seen = {row.name: row for row in report.devices}
    assert seen["heater"].look.identity.firmware == "2.11"
    assert seen["heater"].look.facts["setpoints"].endswith("345 °C")
    assert seen["pump_1"].look.identity.model == "NE1000"
    assert seen["gauge"].look.identity.model == "PPT 100"
    for row in report.devices:
        assert row.latency.questions >= 10
        assert 0 < row.latency.median_ms <= row.latency.worst_ms
    ports = {row.name: row for row in report.ports}
    assert all(row.opened for row in report.ports)
    assert ports["stir"].line == "9600 7E1"
    assert ports["gauge"].where.startswith("127.0.0.1:")


async def test_nothing_is_actuated_armed_or_set(bench):
    heard = {name: Hearing(sim) for name, sim in bench.sims.items()}
    await bench.serve(**heard)
    before = dict(bench.plant.things)
    await bench.examined()
    assert bench.plant.things == before
    assert bench.plant.moved == []
    assert set(heard["stirrer"].heard.split(b"\r\n")) == {
        b"IN_NAME ", b"IN_PV_4 ", b"IN_SP_4 ", b"",
    }  # fmt: skip
    assert b"SAF" not in heard["pump_1"].heard
    functions = {heard["heater"].heard[n + 1] for n in range(0, len(heard["heater"].heard), 8)}
    assert functions == {3}


async def test_a_wrong_baud_rate_is_told_from_silence(bench):
    await bench.serve(stirrer=Garbling(bench.sims["stirrer"]))
    row = only(await bench.examined())
    assert row.of == "stirrer"
    assert "is not a IKA RCT digital" in row.says
    assert "the line is set otherwise" in row.says
    assert "9600 7E1" in row.do


async def test_an_instrument_that_is_off_is_silent(bench):
    await bench.serve(gauge=Mute(bench.sims["gauge"]))
    row = only(await bench.examined())
    assert row.says.startswith("nothing answers at /dev/pts/")
    assert "is it on" in row.do
    assert "address 1" in row.do


async def test_two_plugs_that_were_exchanged_are_found_out(bench):
    await bench.serve()
    stir, pumps = bench.places["stir"], bench.places["pumps"]
    found = unfit(await bench.examined(stir=pumps, pumps=stir))
    assert set(found) == {"stirrer", "pump_1"}
    assert found["stirrer"].says.startswith("pump_1 (newera_ne1000) answers on port stir, where")
    assert found["pump_1"].says.startswith("stirrer (ika_rct) answers on port pumps, where")
    assert "exchange the plugs" in found["stirrer"].do


async def test_an_instrument_of_another_maker_is_named(bench):
    await bench.serve(pump_1=Renamed(bench.sims["pump_1"]))
    row = only(await bench.examined())
    assert row.of == "pump_1"
    assert "AL1000" in row.says
    assert "correct the kind" in row.says


class Renamed(Hearing):
    """The same pump under the name of its other maker."""

    def feed(self, data, t_ns):
        replies = self._sim.feed(data, t_ns)
        return [(delay, reply.replace(b"NE1000", b"AL1000")) for delay, reply in replies]


async def test_a_limit_of_the_instrument_below_the_rigs_is_read_back_and_told(bench):
    bench.sims["heater"]._values[111] = 200.0
    await bench.serve()
    row = only(await bench.examined())
    assert row.of == "heater"
    assert "room for the rig's 20 .. 345 °C" in row.do
    assert "200 °C" in row.says


async def test_a_port_that_is_not_there_is_named_with_those_that_are(bench):
    await bench.serve()
    row = only(await bench.examined(stir='{path: "/dev/ttyUSB77"}'))
    assert (row.of, row.says) == ("stir", "there is no /dev/ttyUSB77")
    assert "plug the adapter in" in row.do
    row = only(await bench.examined(stir="{usb: FTDI A10K77QY}"))
    assert "A10K77QY is plugged in" in row.says
    assert "plugged in: " in row.do


async def test_nobody_listening_at_an_address_is_told(bench):
    await bench.serve(tcp=("gauge",))
    await bench.served["gauge"].close()
    row = only(await bench.examined())
    assert row.of == "gauge"
    assert "cannot be opened" in row.says
    assert "nothing listens there" in row.do


@contextlib.contextmanager
def as_nobody():
    """The rights of a user who is not root; who is not root anyway stays who they are."""
    if os.geteuid():
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


@pytest.mark.parametrize(("mode", "does"), [(0o000, "chmod g+rw"), (0o660, "usermod -aG")])
async def test_who_may_not_open_a_port_is_told_what_to_type(bench, mode, does):
    await bench.serve()
    path = bench.served["stirrer"].path
    os.chmod(path, mode if os.geteuid() == 0 else mode & 0o077)  # noqa: PTH101 - one system call
    rig = bench.rig()
    with as_nobody():
        _, remarks = seen(rig, "stir", rig.model.ports["stir"], dict)
    (row,) = remarks
    assert "may not open" in row.says
    assert does in row.do
    assert path in row.says


async def test_a_port_that_another_program_has_open_is_left_alone_and_its_pid_named(bench):
    heard = Hearing(bench.sims["stirrer"])
    await bench.serve(stirrer=heard)
    path = bench.served["stirrer"].path
    script = f"f = open({path!r}, 'rb+', buffering=0); print('open', flush=True); input()"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        await other.stdout.readline()
        report = await bench.examined()
        row = only(report)
        assert row.of == "stir"
        assert f"pid {other.pid}, {sys.executable} -c" in row.says
        assert "end that program first" in row.do
        assert heard.heard == b""
        (users,) = [port.users for port in report.ports if port.users]
        assert users[0][0] == other.pid
    finally:
        await other.communicate(b"\n")
    assert (await bench.examined()).fit


async def test_a_rig_on_which_a_run_goes_on_is_left_alone(bench):
    heard = Hearing(bench.sims["gauge"])
    await bench.serve(tcp=("gauge",), gauge=heard)
    with Claim(bench.rig(), "20251103-warm-ab12"):
        row = only(await bench.examined())
    assert "20251103-warm-ab12" in row.says
    assert "nothing was opened" in row.do
    assert heard.heard == b""


SECOND = "  other: {{kind: {kind}, port: {port}, {unit}limits: {{{limits}}}}}\n"


@pytest.mark.parametrize(
    ("kind", "port", "unit", "limits", "says"),
    [
        ("eurotherm_3216", "bus", "unit: 1, ", "setpoint: 20 C .. 90 C", "both would answer"),
        ("ika_rct", "stir", "", "speed: 0 rpm .. 90 rpm", "has no address"),
        ("watlow_ezzone_pm", "bus", "unit: 2, ", "setpoint: 20 C .. 90 C", "do not speak alike"),
    ],
)
async def test_two_that_cannot_share_a_port_are_told_apart(bench, kind, port, unit, limits, says):
    await bench.serve()
    more = SECOND.format(kind=kind, port=port, unit=unit, limits=limits)
    found = unfit(await bench.examined(more))
    assert says in found["other"].says
    assert f"port {port}" in found["other"].says


async def test_two_with_addresses_share_a_port(bench, shared_line):
    settings = DeviceSettings("other", address=2, setpoint_high=345.0)
    touches = {"probe": "flask.T", "output": "other"}
    device = TwinDevice("other", "eurotherm_3216", "bus", settings, touches)
    second = load("simulators", device.kind)(device, bench.plant)
    await bench.serve(heater=shared_line([bench.sims["heater"], second]))
    more = SECOND.format(
        kind="eurotherm_3216", port="bus", unit="unit: 2, ", limits="setpoint: 20 C .. 90 C"
    )
    assert (await bench.examined(more)).fit


async def test_two_ports_at_one_place_are_one_too_many(bench):
    await bench.serve()
    report = await bench.examined(stir=bench.places["pumps"])
    assert "are both /dev/pts/" in unfit(report)["stir"].says


async def test_a_strangers_driver_that_cannot_look_is_left_alone(bench, monkeypatch):
    class Older:
        def __init__(self, port, settings):
            self.name = settings.name

    monkeypatch.setattr("labctl.doctor.asking.load", lambda shelf, kind: Older)
    await bench.serve()
    report = await bench.examined()
    assert report.fit
    assert "cannot look without setting up" in report.remarks[-1].says
