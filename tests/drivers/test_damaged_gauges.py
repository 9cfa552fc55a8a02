"""Gauges without a checksum: how many damaged replies are believed with a wrong value.

One damage per reply: a bit flipped, or a character lost or doubled. What is left is a digit that
became another digit, which no grammar can see.
"""

import datetime as dt
import random

import pytest

from drivers.pfeiffer_tpg362 import PfeifferTpg362
from drivers.vacuubrand_cvc3000 import VacuubrandCvc3000
from labctl.capabilities import DeviceSettings
from labctl.clock import VirtualClock
from labctl.errors import DeviceError
from labctl.loop import run_virtual
from labctl.readings import Channel
from labctl.transport import Port
from labctl.transport.memory import MemoryWire

COUNT = 2000
PLACES = {1: Channel("flask", "pressure"), 2: Channel("line", "pressure")}
PRX = b"0,9.8700E+02,0,1.3300E-02\r\n"


class Line:
    """Acknowledges what needs it, and answers with `reply`."""

    def __init__(self) -> None:
        self.reply = b""

    def feed(self, data, t_ns):
        if not data:
            return []
        return [(0, b"\x06\r\n" if data == b"PRX\r\n" else self.reply)]


def damaged(reply, chance):
    data, at = bytearray(reply), chance.randrange(len(reply))
    match chance.randrange(3):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            del data[at]
        case _:
            data.insert(at, data[at])
    return bytes(data)


def share_believed(make, right, read):
    """Return the share of damaged replies that gave a number which is not the right one."""
    line, chance = Line(), random.Random(13)

    async def body(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("gauge", MemoryWire(line, clock, baud=0), clock)
        line.reply = right
        expected = await read(make(port))
        wrong = 0
        for _ in range(COUNT):
            line.reply = damaged(right, chance)
            try:
                found = await read(make(port))
            except DeviceError:
                continue
            pairs = zip(found, expected, strict=True)
            wrong += any(got is not None and got != want for got, want in pairs)
        return wrong / COUNT

    return run_virtual(body)


async def poll(driver):
    return tuple(await driver.poll())


@pytest.mark.parametrize(
    ("make", "right", "low", "high"),
    [
        (lambda port: PfeifferTpg362(port, DeviceSettings("g", places=PLACES)), PRX, 0.04, 0.09),
        (lambda port: VacuubrandCvc3000(port, DeviceSettings("v")), b"0987 mbar\r\n", 0.02, 0.06),
    ],
    ids=["tpg", "cvc"],
)
def test_the_share_of_damaged_replies_that_are_believed_is_known(make, right, low, high):
    share = share_believed(make, right, poll)
    assert low < share < high, share
