from pathlib import Path

import pytest

from labctl.cli.bare import rig_twin
from labctl.clock import WallClock
from labctl.errors import PortLostError
from labctl.registry import build_world, bundled_rig
from labctl.rig.load import load_rig, rig_of
from labctl.rig.model import PortEntry
from labctl.rig.opening import OpenRig
from labctl.rig.wires import at_endpoints, hardware_wires, line_settings
from labctl.source import compose
from labctl.transport.descriptor import LineSettings
from simulators.serve import Ticked, serve_pty, serve_tcp

RIGS = Path(__file__).parents[3] / "rigs"


def test_a_line_is_set_as_the_rig_says_and_else_as_its_instruments_are_made():
    rig = load_rig(RIGS / "schlenk.yaml")
    ports = rig.model.ports
    assert line_settings(rig, "stir", ports["stir"]) == LineSettings(9600, 7, "E", 1)
    assert line_settings(rig, "pumps", ports["pumps"]) == LineSettings(19200)
    assert line_settings(rig, "qepro", ports["qepro"]) == LineSettings(115200)


async def test_an_adapter_is_found_by_its_serial_number_and_its_absence_named():
    rig = load_rig(RIGS / "schlenk.yaml")
    numbers = {"A10K77QY": "/dev/ttyUSB7", "A10K77QX": "/dev/ttyUSB0"}
    make = hardware_wires(rig, WallClock(), lambda: numbers)
    with pytest.raises(PortLostError) as caught:
        await make("stir", rig.model.ports["stir"]).open()
    assert "/dev/ttyUSB7" in str(caught.value)
    with pytest.raises(PortLostError, match=r"A10K77QZ.*A10K77QX, A10K77QY; did you mean"):
        make("pumps", rig.model.ports["pumps"])


def test_a_rig_file_with_other_endpoints_keeps_all_else_of_its_text():
    text = (RIGS / "schlenk.yaml").read_text(encoding="utf-8")
    moved = at_endpoints(compose(text), {"stir": "/dev/pts/9", "gauge": "127.0.0.1:4711"})
    ports = rig_of(compose(moved)).model.ports
    assert ports["stir"] == PortEntry(path="/dev/pts/9", format="7E1", baud=9600)
    assert ports["gauge"] == PortEntry(tcp="127.0.0.1:4711")
    changed = [(a, b) for a, b in zip(text.splitlines(), moved.splitlines(), strict=True) if a != b]
    assert [a.split(":")[0].strip() for a, _ in changed] == ["stir", "gauge"]


def test_a_port_written_as_a_block_can_be_moved_too():
    text = "ports:\n  a:\n    usb: µ 1   # °C\n    baud: 9600\n  b: {tcp: 'h:1'}\nlast: 1\n"
    moved = compose(at_endpoints(compose(text), {"a": "/dev/pts/3", "b": "h:2"}))
    assert moved.tree == {
        "ports": {"a": {"path": "/dev/pts/3", "baud": "9600"}, "b": {"tcp": "h:2"}},
        "last": "1",
    }


async def test_every_driver_of_the_bundled_rig_connects_over_real_wires():
    rig = load_rig(bundled_rig())
    world = build_world(rig_twin(rig, 1))
    clock = WallClock()
    world.follow(clock.now_ns)
    served = {}
    try:
        for name in {d.port for d in rig.model.devices.values() if d.port}:
            line = Ticked(world.line(name))
            if rig.model.ports[name].tcp or rig.model.ports[name].visa:
                served[name] = await serve_tcp(line, clock.now_ns)
            else:
                served[name] = await serve_pty(line, clock.now_ns)
        places = {
            name: at.path if hasattr(at, "path") else f"{at.host}:{at.port}"
            for name, at in served.items()
        }
        moved = rig_of(compose(at_endpoints(rig.document, places)))
        opened = OpenRig(moved, world.operator, hardware_wires(moved, clock), clock)
        try:
            found = await opened.connect()
            polled = {name: await device.poll() for name, device in opened.devices.items()}
        finally:
            await opened.close()
    finally:
        for at in served.values():
            await at.close()
    assert set(found) == set(opened.devices)
    assert polled["heater"][0] == pytest.approx(22, abs=2)
