"""The vacuum pump's driver: it stops for certain, and never lets air in."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.vacuubrand_cvc3000 import VacuubrandCvc3000
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
from labctl.transport import Port, Priority
from labctl.transport.memory import MemoryWire
from labctl.twin import TwinDevice
from simulators.vacuubrand_cvc3000 import SimCvc3000

MS = NS // 1000
TOUCHES = {"pump": "rough_pump", "pressure": "rough.P"}


class Tap:
    """Passes bytes on to a simulator and notes what the driver sent, and when."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.sent: list[tuple[int, bytes]] = []

    def feed(self, data, t_ns):
        if data:
            self.sent.append((t_ns, data))
        self.inner.advance(t_ns)
        return self.inner.feed(data, t_ns)

    @property
    def commands(self) -> list[bytes]:
        return [data for _, data in self.sent]


@pytest.fixture
def rig(still_plant):
    """Run `main(driver, sim, tap, plant, clock)` against the simulator, 100 ms between commands."""

    def run(main, *, gap_ns=100 * MS, pressure_mbar=1005.0, **options):
        plant = still_plant(rough__P=pressure_mbar)
        settings_ = DeviceSettings("rough", **options)
        sim = SimCvc3000(
            TwinDevice("rough", "vacuubrand_cvc3000", "cvc", settings_, TOUCHES), plant
        )
        tap = Tap(sim)

        async def body(loop):
            clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
            port = Port("cvc", MemoryWire(tap, clock, baud=19200), clock, gap_ns=gap_ns)
            return await main(VacuubrandCvc3000(port, settings_), sim, tap, plant, clock)

        return run_virtual(body)

    return run


def test_connect_takes_remote_control_and_moves_nothing(rig):
    async def main(driver, sim, tap, plant, clock):
        sim.command_set = 2
        identity = await driver.connect()
        return identity, tap.commands, plant.things

    identity, commands, things = rig(main)
    assert (identity.maker, identity.model, identity.firmware) == ("Vacuubrand", "CVC 3000", "2.00")
    assert commands[:4] == [b"REMOTE 1\r\n", b"ECHO 1\r\n", b"CVC 3\r\n", b"IN_VER\r\n"]
    assert things == {"rough.P": 1005.0}


def test_pump_to_checks_the_setpoint_before_it_starts(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        del tap.sent[:]
        await driver.pump_to(50)
        return tap.commands, plant.things

    commands, things = rig(main)
    assert commands == [
        b"IN_STAT\r\n",
        b"OUT_SP_1 50\r\n",
        b"IN_SP_1\r\n",
        b"START\r\n",
        b"IN_STAT\r\n",
    ]
    assert things["rough_pump"] == 1
    assert things["rough_pump.setpoint"] == 50


def test_zero_pumps_down_freely_and_back_to_control(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        await driver.pump_to(0)
        seen = [plant.things["rough_pump.setpoint"], sim._status()]
        await driver.pump_to(20)
        return [*seen, plant.things["rough_pump.setpoint"], sim._status()]

    assert rig(main) == [0, "110011", 20, "110021"]


def test_pump_to_twice_is_pump_to_once(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        await driver.pump_to(50)
        del tap.sent[:]
        await driver.pump_to(50)
        return tap.commands

    assert b"START\r\n" not in rig(main)


def test_stop_stops_closes_the_inlet_and_vents_nothing(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        await driver.pump_to(50)
        await driver.stop()
        await driver.stop()
        await driver.make_safe()
        return plant.things["rough_pump"], sim._status(), tap.commands

    pump, status, commands = rig(main)
    assert (pump, status) == (0, "000020")
    assert not [c for c in commands if b"VENT" in c or b"SP_V" in c]


@pytest.mark.parametrize("asked", [0.5, -1, 1100.5, 2000, float("nan"), float("inf")])
def test_out_of_range_is_refused_before_a_byte_goes_out(rig, asked):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        del tap.sent[:]
        with pytest.raises(OutOfRangeError):
            await driver.pump_to(asked)
        return tap.sent

    assert rig(main) == []


def test_the_rigs_own_limits_hold_too(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        await driver.pump_to(5)
        with pytest.raises(OutOfRangeError, match=r"5 \.\. 900 mbar"):
            await driver.pump_to(4.9)

    rig(main, setpoint_low=5, setpoint_high=900)


@pytest.mark.parametrize(("unit", "setpoint"), [("mbar", 100), ("hPa", 100), ("Torr", 75)])
def test_the_displayed_unit_is_read_and_written(rig, unit, setpoint):
    async def main(driver, sim, tap, plant, clock):
        sim.unit = unit
        await driver.connect()
        await driver.pump_to(100)
        return tap.commands, (await driver.poll())[0], plant.things["rough_pump.setpoint"]

    commands, pressure_mbar, set_mbar = rig(main, pressure_mbar=400.0)
    assert b"OUT_SP_1 %d\r\n" % setpoint in commands
    assert pressure_mbar == pytest.approx(400, abs=0.7)
    assert set_mbar == pytest.approx(100, abs=0.7)


def test_a_unit_changed_at_the_panel_is_caught_before_the_start(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        sim.unit = "Torr"
        with pytest.raises(RefusedByDeviceError, match="OUT_SP_1"):
            await driver.pump_to(100)
        return plant.things

    assert "rough_pump" not in rig(main)


def test_polls_ask_one_command_each_and_no_more_than_ten_a_second(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        await driver.pump_to(50)
        del tap.sent[:]
        plant.things["rough.P"] = 70.0
        polls = [list(await driver.poll()) for _ in range(1000)]
        return polls, tap.sent

    polls, sent = rig(main)
    assert {tuple(row) for row in polls} == {(70.0, 1.0)}
    assert len(sent) == 1000
    assert min(late - early for (early, _), (late, _) in itertools.pairwise(sent)) >= 100 * MS
    assert {data for _, data in sent} == {b"IN_PV_1\r\n", b"IN_STAT\r\n", b"IN_ERR\r\n"}


def test_a_failed_poll_leaves_nothing_known(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        good = list(await driver.poll())
        answer, sim.feed = sim.feed, lambda data, t_ns: []
        with pytest.raises(NoReplyError):
            await driver.poll()
        sim.feed = answer
        return good, list(await driver.poll()), list(await driver.poll())

    assert rig(main) == ([1005.0, 0.0], [1005.0, None], [1005.0, 0.0])


def test_a_transducer_that_fails_gives_no_pressure_within_four_polls_until_it_is_whole(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        sim.faults = "00000100"
        seen = [(await driver.poll())[0] for _ in range(8)]
        sim.faults = "00000000"
        return seen, [(await driver.poll())[0] for _ in range(4)]

    seen, after = rig(main)
    assert seen == [1005.0] * 3 + [None] * 5
    assert after == [None] * 3 + [1005.0]


def test_an_open_vent_valve_is_an_error_everywhere(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        sim.feed(b"OUT_VENT 1\r", clock.now_ns())
        await driver.poll()
        for verb in (driver.poll(), driver.pump_to(50), driver.stop(), driver.connect()):
            with pytest.raises(RefusedByDeviceError, match="vent valve"):
                await verb

    rig(main)


def test_faults_are_named_at_connect(rig):
    async def main(driver, sim, tap, plant, clock):
        sim.faults = "00000110"
        with pytest.raises(RefusedByDeviceError, match=r"transducer, external \(catchpot full\?\)"):
            await driver.connect()

    rig(main)


def test_a_write_that_is_not_executed_is_told_apart_from_silence(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        with pytest.raises(RefusedByDeviceError, match="last command incorrect"):
            await driver._write(b"OUT_MODE", 7)

    rig(main)


def test_stop_works_after_the_controller_lost_power(rig):
    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        await driver.pump_to(50)
        sim.power_cycle(clock.now_ns())
        sim._start("", clock.now_ns())  # someone pressed the button at the panel
        before_ns = clock.now_ns()
        await driver.make_safe()
        return sim._status(), clock.now_ns() - before_ns

    status, took_ns = rig(main)
    assert status == "000020"
    assert took_ns < 3 * NS


def test_make_safe_goes_before_all_that_waits(rig):
    asked = []

    async def main(driver, sim, tap, plant, clock):
        await driver.connect()
        ask = driver._port.ask

        async def noted(*args, **options):
            asked.append((args[1], options["priority"]))
            return await ask(*args, **options)

        driver._port.ask = noted
        await driver.make_safe()

    rig(main)
    assert asked == [(b"STOP 1\r\n", Priority.TRIP), (b"IN_STAT\r\n", Priority.TRIP)]


class Answer:
    """Answers everything with the same line."""

    def __init__(self, line: bytes) -> None:
        self.line = line

    def feed(self, data, t_ns):
        return [(0, self.line)] if data else []


def poll_of(line):
    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("cvc", MemoryWire(Answer(line), clock), clock)
        return await VacuubrandCvc3000(port, DeviceSettings("rough")).poll()

    return run_virtual(body)


@pytest.mark.parametrize(
    ("line", "pressure_mbar"),
    [
        (b"0050 mbar\r\n", 50),
        (b"1005 hPa\r\n", 1005),
        (b"0760 Torr\r\n", 1013.25),
        (b"0012.5 mbar\r\n", 12.5),
    ],
)
def test_pressures_carry_their_unit(line, pressure_mbar):
    assert poll_of(line)[0] == pytest.approx(pressure_mbar, rel=1e-6)


@pytest.mark.parametrize(
    "line", [b"004 mbar\r\n", b"1004\r\n", b"1004 Pa\r\n", b"9999 mbar\r\n", b"-004 mbar\r\n"]
)
def test_a_torn_or_absurd_pressure_is_refused(line):
    with pytest.raises(GarbledError):
        poll_of(line)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30))
def test_any_answer_is_a_reading_or_a_declared_error(line):
    try:
        pressure_mbar, pumping = poll_of(line + b"\r\n")
    except DeviceError:
        return
    assert 0 <= pressure_mbar <= 2000
    assert pumping is None
