"""A port that goes and comes back while a run goes on, in virtual time."""

from __future__ import annotations

from labctl.capabilities import Identity
from labctl.errors import PortLostError

NS = 10**9


class Unplugged:
    """A wire that is gone until it is plugged in again."""

    def __init__(self, port):
        self.wire = port._wire
        self.gone = True

    def __getattr__(self, name):
        return getattr(self.wire, name)

    async def open(self):
        if self.gone:
            raise PortLostError("line", "to open", "an adapter", "none")
        await self.wire.open()

    async def write(self, data):
        if self.gone:
            raise PortLostError("line", repr(data), "an open port", "EIO")
        await self.wire.write(data)


def unplug(port):
    def act(world, inbox, rig):
        rig.ports[port]._wire = Unplugged(rig.ports[port])

    return act


def plug_in(port, serial=None):
    def act(world, inbox, rig):
        rig.ports[port]._wire.gone = False
        if serial is not None:
            device = next(n for n, d in rig.rig.model.devices.items() if d.port == port)
            known = rig._known[device]
            rig._known[device] = Identity(known.maker, known.model, serial, known.firmware)

    return act


def without_probe2(rig):
    return "\n".join(line for line in rig.splitlines() if "id: two_probes" not in line)


def test_a_stirrer_that_is_plugged_in_again_in_time_is_no_matter(conducted, rig_text):
    during = {40: unplug("stir"), 44: plug_in("stir")}
    run = conducted("  - hold: {for: 60 s}\n", rig=without_probe2(rig_text), during=during)
    assert run.outcome == "complete"
    (again,) = [event for event in run.events if event.code == "port.reopened"]
    assert 44 <= again.t_ns / NS <= 46
    asked = [data for _, data in run.sent("stir", 41 * NS)]
    assert asked[0] == b"IN_NAME \r\n", "who it is, before anything else"


def test_another_instrument_on_the_port_is_not_spoken_to(conducted, rig_text):
    during = {40: unplug("stir"), 44: plug_in("stir", serial="another")}
    run = conducted("  - hold: {for: 60 s}\n", rig=without_probe2(rig_text), during=during)
    assert run.outcome == "safe"
    assert any(alarm.id == "lost_stirrer" for alarm in run.alarms)
    lost = [event.message for event in run.events if event.code == "port.lost"]
    assert any("who it is" in message for message in lost)
    until_ns = next(alarm.t_on_ns for alarm in run.alarms if alarm.id == "lost_stirrer")
    asked = {data for t, data in run.sent("stir", 41 * NS) if t < until_ns}
    assert asked <= {b"IN_NAME \r\n", b"IN_PV_4 \r\n", b"RESET \r\n", b"OUT_WD1@60 \r\n"}
