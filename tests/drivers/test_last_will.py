"""What a guard sends blind after labctl died: each instrument, brought to do harm, then stops."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from labctl.registry import catalog, load
from tests.drivers.test_same_bytes import CASES

NS = 1_000_000_000
LOOKERS = ("horiba_", "ocean_", "pfeiffer_")
ONLY_LOOKS = {kind for kind in catalog("drivers") if kind.startswith(LOOKERS)}


@dataclass(frozen=True)
class Harm:
    """How an instrument is brought to do harm, what shows that it does, and what was torn off."""

    do: Callable
    thing: str
    half_said: bytes
    settings: dict = field(default_factory=dict)
    touches: dict = field(default_factory=dict)


async def heat(heater):
    await heater.ramp(200.0, 0.0)


async def hotplate_on(stirrer):
    await stirrer._port.tell(b"OUT_SP_1 200 \r\nSTART_1 \r\n")


async def push(pump):
    await pump.infuse(5.0, 1.0)


async def open_vacuum(board):
    await board.switch("n2", False)
    await board.switch("vac_rough", True)


async def pump_down(pump):
    await pump.pump_to(0.0)


async def light(laser):
    await laser.shine(20.0)


VALVES = {
    "settings": {"outputs": {"vac_rough": 1, "n2": 3}, "rests_on": ("n2",)},
    "touches": {"vac_rough": "valve.vac_rough", "n2": "valve.n2"},
}
BASIC = {"settings": {"address": 1, "bore_mm": 14.57, "watchdog_s": 0.0, "syringe_ml": 10.0}}
SAFE = {"settings": BASIC["settings"] | {"watchdog_s": 250.0}}
HARMS = {
    "eurotherm_3216": Harm(heat, "heater", bytes.fromhex("01 06 00")),
    "coherent_obis": Harm(light, "beam", b"SOUR:POW:LEV:IMM:AMPL 0.0"),
    "vacuubrand_cvc3000": Harm(pump_down, "rough_pump", b"OUT_SP_"),
    "modbus_relay_8ch": Harm(open_vacuum, "valve.vac_rough", bytes.fromhex("01 05"), **VALVES),
    "newera_ne1000": Harm(push, "syringe", b"1VO", **BASIC),
    "newera_ne1000, safe mode": Harm(push, "syringe", b"\x02\x08S", **SAFE),
}


@pytest.fixture
def harmed(on_twin, still_plant):
    """Do harm, then hand the simulator, its plant and the will over; time steps by 100 ms."""

    def run(name, judge):
        harm, kind = HARMS[name], name.partition(",")[0]
        case = CASES[kind]
        plant = still_plant(flask__T=25.0, rough__P=800.0, **{"heater.full": 80.0})
        settings = harm.settings or dict(case.settings)

        async def main(driver, sim, clock):
            await driver.connect()
            await clock.sleep_until(clock.now_ns() + 2 * NS)  # some hear ten commands a second
            await harm.do(driver)
            await clock.sleep_until(clock.now_ns() + 10 * NS)
            guard = Guard(sim, clock.now_ns())
            guard.wait(5.0)
            return judge(driver, guard, plant)

        return on_twin(kind, main, plant, harm.touches or dict(case.touches), **settings)

    return run


class Guard:
    """Sends frames into a simulator and reads nothing of what comes back."""

    def __init__(self, sim, t_ns):
        self.sim, self.t_ns = sim, t_ns

    def wait(self, s):
        for _ in range(round(s * 4)):
            self.t_ns += NS // 4
            self.sim.advance(self.t_ns)
            self.sim.feed(b"", self.t_ns)

    def say(self, frames):
        for frame in frames:
            self.sim.feed(frame, self.t_ns)
            self.wait(0.5)


def does_harm(name, plant, guard):
    thing = HARMS[name].thing
    if thing == "syringe":
        before = sum(volume for _, volume in plant.moved)
        guard.wait(5.0)
        return sum(volume for _, volume in plant.moved) > before
    guard.wait(5.0)
    return plant.things.get(thing, 0.0) != 0.0


@pytest.mark.parametrize("name", HARMS)
def test_frames_sent_blind_end_the_harm(harmed, name):
    def judge(driver, guard, plant):
        was = does_harm(name, plant, guard)
        guard.say(driver.last_will())
        once = does_harm(name, plant, guard)
        guard.say(driver.last_will())
        return was, once, does_harm(name, plant, guard)

    assert harmed(name, judge) == (True, False, False)


@pytest.mark.parametrize("name", HARMS)
def test_half_a_question_before_them_does_not_spoil_them(harmed, name):
    def judge(driver, guard, plant):
        guard.say([HARMS[name].half_said])
        guard.say(driver.last_will())
        return does_harm(name, plant, guard)

    assert harmed(name, judge) is False


def test_a_stall_that_waits_to_be_told_does_not_take_the_place_of_the_stop(harmed):
    def judge(driver, guard, plant):
        guard.sim.stall()
        guard.say(driver.last_will())
        return does_harm("newera_ne1000", plant, guard)

    assert harmed("newera_ne1000", judge) is False


def test_a_pump_controller_started_at_its_panel_after_a_power_cut_stops_too(harmed):
    def judge(driver, guard, plant):
        guard.sim.power_cycle(guard.t_ns)
        guard.sim._start("", guard.t_ns)
        guard.say([b"OUT_SP_"])
        was = does_harm("vacuubrand_cvc3000", plant, guard)
        guard.say(driver.last_will())
        return was, does_harm("vacuubrand_cvc3000", plant, guard)

    assert harmed("vacuubrand_cvc3000", judge) == (True, False)


def test_the_relay_board_goes_to_rest_with_one_frame_and_nitrogen_flows(harmed):
    def judge(driver, guard, plant):
        shut = plant.things["valve.n2"]
        (frame,) = driver.last_will()
        guard.say([frame])
        return shut, plant.things["valve.n2"], plant.things["valve.vac_rough"], frame.hex(" ")

    frame = "01 0f 00 00 00 08 01 00 fe 95"
    assert harmed("modbus_relay_8ch", judge) == (0.0, 1.0, 0.0, frame)


def test_a_hotplate_that_a_person_switched_on_is_switched_off_and_the_bar_turns_on(
    on_twin, still_plant
):
    plant = still_plant(flask__T2=25.0)

    async def main(driver, sim, clock):
        await driver.connect()
        await driver.stir(600)
        await hotplate_on(driver)
        guard = Guard(sim, clock.now_ns())
        guard.wait(20.0)
        hot = float(sim.feed(b"IN_PV_2 \r\n", guard.t_ns)[0][1].split()[0])
        guard.say([b"OUT_SP"])
        guard.say(driver.last_will())
        guard.wait(30.0)
        cooler = float(sim.feed(b"IN_PV_2 \r\n", guard.t_ns)[0][1].split()[0])
        return hot, cooler, plant.things["stirrer"]

    case = CASES["ika_rct"]
    hot, cooler, rpm = on_twin("ika_rct", main, plant, dict(case.touches), speed_high_rpm=1200.0)
    assert hot > 30.0
    assert cooler < hot
    assert rpm == pytest.approx(600.0, abs=1.0)


@pytest.mark.parametrize("kind", sorted(ONLY_LOOKS))
def test_what_only_looks_has_nothing_to_say_and_says_why(kind):
    will = load("drivers", kind).last_will
    assert will(object.__new__(load("drivers", kind))) == ()
    assert "nothing" in inspect.getdoc(will)


@pytest.mark.parametrize("kind", sorted(catalog("drivers")))
def test_every_instrument_has_a_last_will_that_asks_nobody(kind):
    will = load("drivers", kind).last_will
    assert not asyncio.iscoroutinefunction(will)
    assert inspect.getdoc(will)
