"""Gauges that share a line by their addresses: each driver hears its own gauge only."""

import datetime as dt

import pytest

from drivers.mks_901p import Mks901p, Mks974b
from drivers.pfeiffer_ppt100 import PfeifferPpt100
from labctl.capabilities import DeviceSettings
from labctl.clock import VirtualClock
from labctl.errors import NoReplyError
from labctl.loop import run_virtual
from labctl.readings import Channel
from labctl.transport import Port
from labctl.transport.memory import MemoryWire
from labctl.twin import TwinDevice
from simulators.lines import SharedLine
from simulators.mks_901p import SimMks901p, SimMks974b
from simulators.pfeiffer_ppt100 import SimPpt100
from tests.conftest import StillPlant

CASES = {
    "mks": ((Mks901p, SimMks901p, 253, 4), (Mks974b, SimMks974b, 2, 4)),
    "ppt": ((PfeifferPpt100, SimPpt100, 1, 1), (PfeifferPpt100, SimPpt100, 2, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_two_gauges_on_a_line_are_read_apart_and_one_that_died_is_missed(case):
    plant = StillPlant(flask__P=900.0, line__P=0.05)
    pairs, sims = [], []
    for (driver, sim, address, number), thing in zip(CASES[case], plant.things, strict=True):
        places = {number: Channel("place", "pressure")}
        settings = DeviceSettings(thing, address=address, places=places)
        sims.append(sim(TwinDevice(thing, case, "p", settings, {str(number): thing}), plant))
        pairs.append((driver, settings))

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("p", MemoryWire(SharedLine(sims), clock, baud=9600), clock)
        first, second = (driver(port, settings) for driver, settings in pairs)
        await first.connect()
        await second.connect()
        for _ in range(3):
            assert list(await first.poll()) == [pytest.approx(900.0, rel=0.05)]
            assert list(await second.poll()) == [pytest.approx(0.05, rel=0.05)]
        sims[0].mute = True
        with pytest.raises(NoReplyError):
            await first.poll()
        assert list(await second.poll()) == [pytest.approx(0.05, rel=0.05)]

    run_virtual(body)
