import math
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.framing.modbus import is_whole, seal
from labctl.twin import TwinDevice
from simulators.eurotherm_3216 import PERIOD_NS, SimEurotherm3216
from simulators.lines import SharedLine
from simulators.plant.thermal import (
    LineHeater,
    LineHeaterParameters,
    ThermalParameters,
    ThermalPlant,
)

TOUCHES = {"probe": "flask.T", "output": "heater"}
S = 1_000_000_000


class Still:
    """A plant whose noise is none, so that the vendor's bytes come out exactly."""

    def __init__(self, inner):
        self._inner = inner
        self.things, self.get, self.put = inner.things, inner.get, inner.put

    def stream(self, name):
        return self

    def gauss(self, mean, deviation):
        return mean


@pytest.fixture
def sim_of(still_plant):
    def build(plant=None, touches=TOUCHES, **settings):
        settings_ = DeviceSettings(**({"name": "heater"} | settings))
        device = TwinDevice("heater", "eurotherm_3216", "bus", settings_, touches)
        default = Still(still_plant(flask__T=25.0, **{"heater.full": 80.0}))
        return SimEurotherm3216(device, plant or default)

    return build


def ask(sim, text, t_ns=0):
    replies = sim.feed(bytes.fromhex(text), t_ns)
    return [reply.hex(" ").upper() for _, reply in replies]


def sealed(sim, text, t_ns=0):
    (reply,) = [reply for _, reply in sim.feed(seal(bytes.fromhex(text)), t_ns)]
    assert is_whole(reply)
    return reply[:-2].hex(" ").upper()


def register(sim, address, t_ns=0):
    reply = sealed(sim, f"01 03 {address:04X} 0001", t_ns)
    return struct.unpack(">h", bytes.fromhex(reply)[3:])[0]


def write(sim, address, value, t_ns=0):
    return sealed(sim, f"01 06 {address:04X} {value & 0xFFFF:04X}", t_ns)


def wait(sim, seconds, start_ns=0):
    t_ns = start_ns
    for _ in range(round(seconds * 4)):
        t_ns += PERIOD_NS
        sim.advance(t_ns)
    return t_ns


def test_the_handbooks_bytes_come_out(sim_of):
    sim = sim_of()
    assert ask(sim, "01 06 00 02 00 FA A8 49") == ["01 06 00 02 00 FA A8 49"]
    assert ask(sim, "01 03 00 01 00 02 95 CB") == ["01 03 04 00 FA 00 FA 5A 41"]
    assert ask(sim, "01 06 00 02 04 B0 2B 7E") == ["01 06 00 02 04 B0 2B 7E"]
    assert ask(sim, "01 10 80 04 00 02 04 43 48 80 00 67 C8") == ["01 10 80 04 00 02 29 C9"]
    assert register(sim, 2) == 2005
    assert ask(sim, "01 03 23 28 00 01 0F 86") == ["01 83 02 C0 F1"]


def test_the_wide_view_shows_floats_and_times_in_ms(sim_of):
    sim = sim_of()
    (reply,) = [reply for _, reply in sim.feed(bytes.fromhex("01 03 80 02 00 02 4C 0B"), 0)]
    assert reply[:3] == bytes((1, 3, 4))
    assert struct.unpack(">f", reply[3:7])[0] == 25.0
    assert sealed(sim, "01 03 8010 0002") == "01 03 04 00 02 49 F0"  # Ti, 150 s


def test_it_answers_its_own_address_obeys_everybody_and_ignores_the_rest(sim_of):
    sim = sim_of(address=2)
    assert ask(sim, "01 03 00 01 00 02 95 CB") == []
    assert sim.feed(seal(bytes.fromhex("00 06 0002 01F4")), 0) == []
    assert sealed(sim, "02 03 0002 0001") == "02 03 02 01 F4"
    assert sim.feed(seal(bytes.fromhex("00 03 0002 0001")), 0) == []


def test_a_bad_crc_or_half_a_frame_gets_silence(sim_of):
    sim = sim_of()
    assert ask(sim, "01 03 00 01 00 02 95 CC") == []
    assert ask(sim, "01 03 00 01", S) == []
    assert ask(sim, "00 02 95 CB", 2 * S) == []
    assert len(ask(sim, "01 03 00 01 00 02 95 CB", 3 * S)) == 1


def test_garbage_before_a_frame_is_skipped(sim_of):
    sim = sim_of()
    assert len(ask(sim, "FF 00 01 10 01 03 00 01 00 02 95 CB")) == 1


def test_byte_at_a_time_is_the_same_as_coalesced(sim_of):
    frame = seal(bytes.fromhex("01 03 0001 0005")) + seal(bytes.fromhex("01 06 0002 0200"))
    one, other = sim_of(), sim_of()
    singly = [
        reply for k, byte in enumerate(frame) for reply in one.feed(bytes((byte,)), k * 1_041_667)
    ]
    assert singly == other.feed(frame, len(frame) * 1_041_667)
    assert len(singly) == 2


@pytest.mark.parametrize(
    ("question", "exception"),
    [
        ("01 05 0000 FF00", "01 85 01"),
        ("01 03 2328 0001", "01 83 02"),
        ("01 03 0001 0000", "01 83 03"),
        ("01 03 0001 007E", "01 83 03"),
        ("01 06 0001 00FA", "01 86 02"),  # PV is read only
        ("01 06 3106 0001", "01 86 02"),  # resolution: in configuration mode only
        ("01 06 0002 0DAD", "01 86 03"),  # 350.1 °C
        ("01 06 0002 FFFF", "01 86 03"),  # -0.1 °C
        ("01 06 0111 0002", "01 86 03"),
        ("01 10 8004 0001 02 4348", "01 90 02"),  # half a float
        ("01 10 8004 0002 04 7FC0 0000", "01 90 03"),  # not a number
        ("01 10 0002 0002 02 00FA", "01 90 03"),  # counts that do not fit
    ],
)
def test_what_cannot_be_is_refused_with_its_exception(sim_of, question, exception):
    sim = sim_of(setpoint_high=350.0)
    before = register(sim, 2)
    assert sealed(sim, question) == exception
    assert register(sim, 2) == before


def test_a_write_of_many_is_all_or_none(sim_of):
    sim = sim_of(setpoint_high=350.0)
    assert sealed(sim, "01 10 0018 0002 04 03E8 0DAD") == "01 90 03"
    assert register(sim, 24) == 0
    assert sealed(sim, "01 10 0018 0002 04 03E8 07D0") == "01 10 00 18 00 02"
    assert (register(sim, 24), register(sim, 25), register(sim, 2)) == (1000, 2000, 1000)


def test_without_full_resolution_the_decimals_vanish(sim_of):
    sim = sim_of()
    write(sim, 2, 1234)
    assert write(sim, 199, 2) == "01 06 00 C7 00 02"
    write(sim, 12550, 1)
    assert register(sim, 2) == 123


def test_the_working_setpoint_ramps_from_what_is_measured(sim_of):
    sim = sim_of()
    write(sim, 35, 100)
    write(sim, 2, 1000)
    t_ns = wait(sim, 60)
    assert register(sim, 5, t_ns) == pytest.approx(350, abs=2)
    assert register(sim, 75, t_ns) >> 13 & 1
    wait(sim, 1000, t_ns)
    assert register(sim, 5, t_ns + 1000 * S) == 1000
    assert not register(sim, 75, t_ns + 1000 * S) >> 13 & 1


def test_a_broken_sensor_ends_the_heat_and_shows_in_the_status(sim_of, still_plant):
    plant = Still(still_plant(flask__T=25.0, **{"heater.full": 80.0}))
    sim = sim_of(plant)
    write(sim, 2, 2000)
    t_ns = wait(sim, 5)
    assert plant.things["heater"] == 80.0
    sim.sensor_broken = True
    t_ns = wait(sim, 1, t_ns)
    assert plant.things["heater"] == 0.0
    assert register(sim, 75, t_ns) & 0x420 == 0x420
    assert register(sim, 1, t_ns) > 13720


def test_manual_and_automatic_change_without_a_bump(sim_of, still_plant):
    plant = Still(still_plant(flask__T=100.0, **{"heater.full": 80.0}))
    sim = sim_of(plant)
    write(sim, 2, 1000)
    write(sim, 273, 1)
    write(sim, 3, 250)
    t_ns = wait(sim, 10)
    assert plant.things["heater"] == pytest.approx(20.0)
    assert register(sim, 75, t_ns) >> 4 & 1
    write(sim, 273, 0, t_ns)
    t_ns = wait(sim, 1, t_ns)
    assert plant.things["heater"] == pytest.approx(20.0, abs=0.5)
    write(sim, 273, 1, t_ns)
    wait(sim, 1, t_ns)
    assert plant.things["heater"] == pytest.approx(20.0, abs=0.5)


def test_the_output_keeps_to_its_high_limit_in_both_modes(sim_of, still_plant):
    plant = Still(still_plant(flask__T=25.0, **{"heater.full": 80.0}))
    sim = sim_of(plant)
    write(sim, 30, 500)
    write(sim, 2, 3000)
    t_ns = wait(sim, 5)
    assert plant.things["heater"] == 40.0
    write(sim, 273, 1, t_ns)
    write(sim, 3, 1000, t_ns)
    wait(sim, 5, t_ns)
    assert plant.things["heater"] == 40.0


def test_a_remote_setpoint_is_given_up_when_nobody_renews_it(sim_of):
    sim = sim_of()
    write(sim, 2, 300)
    write(sim, 26, 2000)
    write(sim, 276, 1)
    t_ns = wait(sim, 4)
    assert register(sim, 5, t_ns) == 2000
    t_ns = wait(sim, 4, t_ns)
    assert register(sim, 5, t_ns) == 300
    assert register(sim, 75, t_ns) >> 14 & 1
    write(sim, 26, 2000, t_ns)
    assert not register(sim, 75, t_ns) >> 14 & 1


def test_power_up_starts_from_what_is_measured_and_keeps_settings(sim_of, still_plant):
    plant = Still(still_plant(flask__T=150.0, **{"heater.full": 80.0}))
    sim = sim_of(plant)
    write(sim, 35, 100)
    write(sim, 2, 3000)
    t_ns = wait(sim, 60)
    plant.things["flask.T"] = 40.0
    sim.power_cycle()
    assert register(sim, 5, t_ns) == 400
    assert (register(sim, 2, t_ns), register(sim, 35, t_ns)) == (3000, 100)


def test_it_counts_what_wears_it_out(sim_of):
    sim = sim_of()
    for tenths in (300, 301, 302):
        write(sim, 2, tenths)
    assert sim.writes == {2: 3}


def test_two_on_one_line_do_not_talk_over_each_other(sim_of):
    line = SharedLine([sim_of(address=1), sim_of(address=2)])
    both = seal(bytes.fromhex("02 03 0002 0001")) + seal(bytes.fromhex("01 03 0002 0001"))
    assert sorted(reply[0] for _, reply in line.feed(both, 0)) == [1, 2]
    assert [r[0] for _, r in line.feed(seal(bytes.fromhex("02 03 0002 0001")), 1)] == [2]
    line.advance(S)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_whatever_break_it(chunks):
    device = TwinDevice("h", "eurotherm_3216", "bus", DeviceSettings("h"), TOUCHES)
    sim = SimEurotherm3216(device, Fuzz())
    for k, chunk in enumerate(chunks):
        for body in (chunk, seal(b"\x01" + chunk), seal(b"\x01\x10" + chunk)):
            for _, reply in sim.feed(body, k * 5_000_000):
                assert is_whole(reply)


class Fuzz(Still):
    def __init__(self):
        pass

    def get(self, thing, t_ns):
        return 25.0

    def put(self, thing, value, t_ns):
        pass


class TwoNodes:
    """A mantle and a flask, Euler steps of 50 ms, written here and nowhere else: 80 J/K, 61 J/K,
    0.55 W/K between them, 0.06 W/K and radiation to a room of 22 °C; the probe lags by 4 s."""

    def __init__(self, start_c=22.0):
        self.mantle_c = self.flask_c = self.probe_c = start_c
        self.power_w = 0.0

    def get(self, thing, t_ns):
        return 80.0 if thing.endswith(".full") else self.probe_c

    def put(self, thing, value, t_ns):
        assert 0.0 <= value <= 80.0
        self.power_w = value

    def stream(self, name):
        return random.Random(7)

    def step(self, dt_s):
        for _ in range(5):
            flow = 0.55 * (self.mantle_c - self.flask_c)
            lost = 0.06 * (self.flask_c - 22.0) + 1e-10 * ((self.flask_c + 273.15) ** 4 - 295.15**4)
            self.mantle_c += dt_s / 5 * (self.power_w - flow - 0.05 * (self.mantle_c - 22)) / 80.0
            self.flask_c += dt_s / 5 * (flow - lost) / 61.0
            self.probe_c += dt_s / 5 * (self.flask_c - self.probe_c) / 4.0


class Thermal(TwoNodes):
    """The world's own mantle and flask."""

    def __init__(self, start_c=22.0):
        self.inner = ThermalPlant(ThermalParameters(), liquid_j_k=31.0)
        self.inner.settle_at(start_c)

    def get(self, thing, t_ns):
        return 80.0 if thing.endswith(".full") else self.inner.probe_1_c

    def put(self, thing, value, t_ns):
        self.inner.heater_power_w = value

    def step(self, dt_s):
        self.inner.step(dt_s)

    @property
    def flask_c(self):
        return self.inner.flask_c


class WarmLine(TwoNodes):
    """The world's line heater of 20 W."""

    def __init__(self):
        self.inner = LineHeater(LineHeaterParameters())

    def get(self, thing, t_ns):
        return 20.0 if thing.endswith(".full") else self.inner.temperature_c

    def put(self, thing, value, t_ns):
        self.inner.heater_power_w = value

    def step(self, dt_s):
        self.inner.step(dt_s)

    @property
    def flask_c(self):
        return self.inner.temperature_c


def course(sim, plant, target_c, rate_k_min, seconds):
    write(sim, 35, round(rate_k_min * 10))
    write(sim, 2, round(target_c * 10))
    temperatures, t_ns = [], 0
    for _ in range(seconds * 4):
        t_ns += PERIOD_NS
        sim.advance(t_ns)
        plant.step(0.25)
        temperatures.append(plant.flask_c)
    return temperatures


@pytest.mark.parametrize("plant_of", [TwoNodes, Thermal])
@pytest.mark.parametrize("target_c", [120.0, 200.0, 250.0])
def test_a_ramp_of_10_k_min_ends_without_overshoot_and_settles(sim_of, plant_of, target_c):
    plant = plant_of()
    ramp_s = round((target_c - 22.0) * 6)
    temperatures = course(sim_of(plant), plant, target_c, 10.0, ramp_s + 600)
    halfway = temperatures[ramp_s * 2]
    assert halfway == pytest.approx((22.0 + target_c) / 2, abs=15.0)
    assert max(temperatures) < target_c + 2.0
    assert all(abs(t - target_c) < 0.5 for t in temperatures[(ramp_s + 240) * 4 :])


def test_as_fast_as_it_can_overshoots_little(sim_of):
    plant = TwoNodes()
    temperatures = course(sim_of(plant), plant, 200.0, 0.0, 1500)
    assert max(temperatures) < 202.0
    assert temperatures[-1] == pytest.approx(200.0, abs=0.5)


def test_a_warm_line_gets_a_tuning_of_its_own(sim_of):
    plant = WarmLine()
    sim = sim_of(plant, {"probe": "warm.T", "output": "warm"})
    temperatures = course(sim, plant, 80.0, 0.0, 600)
    assert max(temperatures) < 80.5
    assert temperatures[-1] == pytest.approx(80.0, abs=0.3)


def test_the_reading_has_tenths_and_a_little_noise(sim_of):
    plant = TwoNodes(start_c=22.04)
    sim = sim_of(plant)
    seen = []
    t_ns = 0
    for _ in range(400):
        t_ns += PERIOD_NS
        seen.append(register(sim, 1, t_ns) / 10.0)
    mean = sum(seen) / len(seen)
    deviation = math.sqrt(sum((c - mean) ** 2 for c in seen) / len(seen))
    assert mean == pytest.approx(22.04, abs=0.02)
    assert deviation == pytest.approx(math.hypot(0.05, 0.1 / math.sqrt(12)), rel=0.2)
