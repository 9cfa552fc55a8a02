"""The gauge driver: vendor bytes, units, and never a number from a gauge that has none."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.pfeiffer_tpg362 import PfeifferTpg362
from labctl.capabilities import DeviceSettings
from labctl.clock import NS, VirtualClock
from labctl.errors import DeviceError, GarbledError, NoReplyError, RefusedByDeviceError
from labctl.loop import run_virtual
from labctl.readings import Channel
from labctl.transport import Port
from labctl.transport.memory import MemoryWire

KIND = "pfeiffer_tpg362"
TOUCHES = {"1": "flask.P", "2": "line.P"}
PLACES = {
    1: Channel("flask", "pressure", 0.1, 1100.0),
    2: Channel("line", "pressure", 0.001, 5.0),
}


class Script:
    """Acknowledges every command and answers ENQ with the line of the last one."""

    def __init__(self, **lines: bytes) -> None:
        self.lines = {"AYT": b"TPG 362,PTG28290,44990000,010300,010100", "TID": b"CMR/APR,TPR/PCR"}
        self.lines |= {"UNI": b"0", **lines}
        self.heard: list[bytes] = []
        self._last = ""

    def feed(self, data, t_ns):
        if not data:
            return []
        self.heard.append(data)
        if data == b"\x03":
            return []
        if data == b"\x05":
            return [(0, self.lines[self._last] + b"\r\n")]
        self._last = data.strip().decode()
        return [(0, b"\x06\r\n")]


def with_script(script, main):
    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("gauge", MemoryWire(script, clock, baud=0), clock)
        return await main(PfeifferTpg362(port, DeviceSettings("gauges", places=PLACES)))

    return run_virtual(body)


async def poll_once(driver):
    await driver.connect()
    return list(await driver.poll())


def test_the_bytes_on_the_wire_are_the_vendors():
    script = Script(PRX=b"0,1.3300E-02,0,+9.8700E+02")
    assert with_script(script, poll_once) == [pytest.approx(0.0133), pytest.approx(987.0)]
    assert script.heard[-2:] == [b"PRX\r\n", b"\x05"]


@pytest.mark.parametrize(
    ("unit", "flask_mbar"), [(b"0", 0.0133), (b"1", 0.0133 * 1013.25 / 760), (b"2", 0.000133)]
)
def test_the_displayed_unit_becomes_mbar(unit, flask_mbar):
    script = Script(UNI=unit, PRX=b"0,1.3300E-02,0,1.0000E-01")
    assert with_script(script, poll_once)[0] == pytest.approx(flask_mbar, rel=1e-6)


@pytest.mark.parametrize("unit", [b"3", b"4", b"5", b"", b"mbar"])
def test_a_unit_that_is_not_known_for_sure_is_refused(unit):
    with pytest.raises(RefusedByDeviceError, match="UNI"):
        with_script(Script(UNI=unit), poll_once)


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("number", [b"0.0000E+00", b"2.0000E-02", b"1.0000E+03", b"2.0000E-2"])
def test_a_status_other_than_ok_is_never_a_number(status, number):
    script = Script(PRX=b"%d,%b,0,1.0000E+00" % (status, number))
    assert with_script(script, poll_once) == [None, 1.0]


@pytest.mark.parametrize("number", [b"0.0000E+00", b"-1.2000E-03"])
def test_a_zero_that_drifted_is_no_pressure(number):
    assert with_script(Script(PRX=b"0,%b,0,1.0000E+00" % number), poll_once) == [0.0, 1.0]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"0,1.0000E+00",
        b"0,1.0000E+00,0,1.0000E+00,5,2.0000E-02",
        b",1.0000E+00,0,1.0000E+00",
        b"7,1.0000E+00,0,1.0000E+00",
        b"0,1.0000E+0,0,1.0000E+00",
        b"0,1.33E-02,0,1.0000E+00",
        b"0,nan,0,1.0000E+00",
        b"0,1.0000E+00,0,1.0000E+00 ",
        b"0,1.0000E+99,0,1.0000E+00",
        b"0,1.0050E+05,0,1.0000E+00",
        b"0001",
    ],
)
def test_what_is_not_in_the_grammar_or_absurd_is_refused(line):
    with pytest.raises(GarbledError):
        with_script(Script(PRX=line), poll_once)


@pytest.mark.parametrize("fitted", [b"CMR/APR", b"CMR/APR,noSENSOR", b"CMR/APR,noSen", b"noid,PKR"])
def test_a_missing_gauge_is_told_at_connect(fitted):
    with pytest.raises(RefusedByDeviceError, match="TID"):
        with_script(Script(TID=fitted), poll_once)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40).filter(lambda line: b"\r\n" not in line))
def test_any_answer_is_a_reading_or_a_declared_error(line):
    try:
        values = with_script(Script(PRX=line), poll_once)
    except DeviceError:
        return
    assert all(value is None or 0 < value <= 2000 for value in values)


def run_on_twin(on_twin, main, plant, **options):
    return on_twin(KIND, main, plant=plant, touches=TOUCHES, places=PLACES, **options)


def test_the_twin_is_read_while_it_talks_by_itself(on_twin, still_plant):
    async def main(driver, sim, clock):
        await clock.sleep_until(5 * NS)  # five lines of the power-up output are on their way
        identity = await driver.connect()
        return identity, list(await driver.poll())

    identity, (flask, line) = run_on_twin(on_twin, main, still_plant(flask__P=1005, line__P=0.05))
    assert (identity.maker, identity.model, identity.firmware) == (
        "Pfeiffer Vacuum",
        "TPG 362",
        "010300",
    )
    assert flask == pytest.approx(1005, rel=3e-3)
    assert line == pytest.approx(0.05, rel=0.06)


@pytest.mark.parametrize("unit", [0, 1, 2])
def test_driver_and_twin_agree_on_every_unit(on_twin, still_plant, unit):
    async def main(driver, sim, clock):
        sim.unit = unit
        return await poll_once(driver)

    flask, line = run_on_twin(on_twin, main, still_plant(flask__P=640, line__P=2))
    assert flask == pytest.approx(640, rel=3e-3)
    assert line == pytest.approx(2, rel=0.06)


def test_continuous_output_that_someone_switched_on_is_drained(on_twin, still_plant):
    plant = still_plant(flask__P=100, line__P=1)

    async def main(driver, sim, clock):
        await driver.connect()
        sim.feed(b"COM,0\r", clock.now_ns())
        await clock.sleep_until(clock.now_ns() + 3 * NS)
        plant.things["flask.P"] = 900.0
        first = await driver.poll()
        return first[0], (await driver.poll())[0]

    first, second = run_on_twin(on_twin, main, plant)
    assert first == pytest.approx(900, rel=3e-3)
    assert second == pytest.approx(900, rel=3e-3)


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 6])
def test_a_gauge_that_breaks_reads_none_and_the_other_goes_on(on_twin, still_plant, status):
    async def main(driver, sim, clock):
        await driver.connect()
        sim.force[1] = status
        broken = list(await driver.poll())
        del sim.force[1]
        return broken, list(await driver.poll())

    broken, well = run_on_twin(on_twin, main, still_plant(flask__P=5, line__P=1))
    assert broken[0] is None
    assert broken[1] is not None
    assert well[0] == pytest.approx(5, rel=1e-2)


def test_a_refused_command_carries_the_error_word(on_twin, still_plant):
    async def main(driver, sim, clock):
        await driver.connect()
        with pytest.raises(RefusedByDeviceError, match="0001"):
            await driver._ask(b"XYZ")
        return list(await driver.poll())

    assert None not in run_on_twin(on_twin, main, still_plant(flask__P=5, line__P=1))


def test_a_mute_controller_is_no_reply():
    class Mute:
        def feed(self, data, t_ns):
            return []

    with pytest.raises(NoReplyError):
        with_script(Mute(), poll_once)


def test_making_safe_sends_nothing():
    async def main(driver):
        await driver.make_safe()
        await driver.make_safe()

    script = Script()
    with_script(script, main)
    assert script.heard == []


@pytest.mark.parametrize(
    ("kind", "place", "asks"), [("pfeiffer_tpg361", 1, b"PR1"), ("pfeiffer_tpg366", 6, b"PRX")]
)
def test_controllers_for_one_and_for_six_are_asked_their_own_way(
    on_twin, still_plant, kind, place, asks
):
    async def main(driver, sim, clock):
        await clock.sleep_until(3 * NS + NS // 3)
        assert (await driver.connect()).model == f"TPG {kind[-3:]}"
        sent = []
        driver._port.trace = lambda t_ns, way, data: sent.append(data) if way == ">" else None
        got = list(await driver.poll())
        sim.force[place] = 5
        return got, sent[0], list(await driver.poll())

    plant = still_plant(line__P=0.05)
    places = {place: Channel("line", "pressure")}
    got, sent, dead = on_twin(kind, main, plant, {str(place): "line.P"}, places=places)
    assert got == [pytest.approx(0.05, rel=0.05)]
    assert sent == asks + b"\r\n"
    assert dead == [None]
