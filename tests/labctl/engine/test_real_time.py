"""The same run in real time: ptys, sockets and VISA, simulators served on the other end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("pyvisa_py", reason="pyvisa-py (the visa extra) is not installed")

from labctl.clock import WallClock
from labctl.loop import Inbox
from labctl.plan import plan
from labctl.recipe.load import recipe_of
from labctl.record import Record, open_run
from labctl.registry import build_world, line_baud, serving
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.load import rig_of
from labctl.rig.opening import OpenRig
from labctl.session import conduct, meta_of, twin_spec
from labctl.source import compose, validate
from labctl.transport.descriptor import LineSettings, SerialWire, TcpWire
from labctl.transport.visa import VisaWire

ROOT = Path(__file__).parents[3]
STEPS = """
labctl: recipe/1
name: real time
needs: {vessel: 50 mL, max_T: 100 C}
reagents: {SQ: {is: squalane}}
stages:
  work:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - hold: {id: wait, for: 2 s}
"""
SHEET = """
labctl: batch/1
sample: T-1
operator: YK
vessel: flask50
loads: {SQ: {by: hand}}
"""


async def test_a_run_on_ptys_sockets_and_visa_ends_complete(tmp_path):
    sheet = compose(SHEET, "sheet.yaml")
    rig = rig_of(compose((ROOT / "simulators/rig.yaml").read_text(encoding="utf-8"), "rig.yaml"))
    loaded = LoadedBatch(validate(Batch, sheet, ()), sheet)
    planned = plan(recipe_of(compose(STEPS, "recipe.yaml"), {}), rig, loaded)
    world = build_world(twin_spec(planned, 1))
    clock = WallClock()
    world.follow(clock.now_ns)
    serve, served = serving(), {}
    for name, entry in rig.model.ports.items():
        if not any(device.port == name for device in rig.model.devices.values()):
            continue
        start = serve.serve_tcp if entry.tcp or entry.visa else serve.serve_pty
        served[name] = await start(world.line(name), clock.now_ns)

    def wires(name, entry):
        if hasattr(served[name], "path"):
            kinds = [d.kind for d in rig.model.devices.values() if d.port == name]
            baud = entry.baud or max(map(line_baud, kinds))
            bits, parity = int(entry.format[0]), entry.format[1]
            return SerialWire(name, served[name].path, LineSettings(baud, bits, parity), clock)
        if entry.visa:
            resource = f"TCPIP::{served[name].host}::{served[name].port}::SOCKET"
            return VisaWire(name, resource, clock)
        if name == "gauge":
            return TcpWire(name, served[name].host, served[name].port, clock)
        return SerialWire(name, served[name].url, LineSettings(), clock)

    record = Record.create(tmp_path / "run", meta_of(planned, 1, "real"), durable=True)
    try:
        async with asyncio.timeout(60):
            opened = OpenRig(rig, world.operator, wires, clock)
            outcome, reason, _ = await conduct(planned, opened, clock, record, Inbox(), world=world)
    finally:
        record.close()
        for endpoint in served.values():
            await endpoint.close()
    assert (outcome, reason) == ("complete", "")
    with open_run(tmp_path / "run") as run:
        assert [step.state for step in run.steps] == ["done"] * 3
        assert run.steps[-1].end_ns - run.steps[-1].start_ns == pytest.approx(2e9, abs=1.2e9)
        assert len(run.series("flask.T")[0]) >= 2
        assert not [event for event in run.events if event.code == "device.silent"]
