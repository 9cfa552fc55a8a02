"""Every capture in tests/captures is a test: of the drivers that asked, and of the simulators.

Put a capture of your own instrument there, made with `labctl capture`, and it becomes one too.
"""

import datetime as dt
import json
import re
from pathlib import Path

import pytest

from labctl.clock import VirtualClock
from labctl.errors import DeviceError, UsageError
from labctl.loop import run_virtual
from labctl.registry import catalog, load
from labctl.rig.capturing import captured_devices
from labctl.rig.tapping import told
from labctl.transport import Port
from labctl.transport.capture import IN, OUT, ReplayWire, read_capture
from simulators.lines import SharedLine
from simulators.serve import Ticked

CAPTURES = sorted((Path(__file__).parent / "captures").glob("*.jsonl"))
NOW = dt.datetime(2025, 11, 3, 9)
THINGS = {
    "flask__T": 22.0,
    "flask__T2": 22.0,
    "warm__T": 22.0,
    "flask__P": 1005.0,
    "line__P": 0.05,
    "rough__P": 1005.0,
    "hood_flow": 1.0,
    "n2_pressure": 1.0,
}
_VALUE = re.compile(rb"[+-]?\d+(?:\.\d*)?(?:[Ee][+-]?\d+)?")
_WEBSOCKET_TEXT = re.compile(rb"\x81(?:\x7e..|\x7f.{8}|[\x00-\x7d])", re.DOTALL)
_SUM = re.compile(rb"\x03[\s\S]\Z")
_TEXT = re.compile(rb"[\x20-\x7e\r\n\x02\x03\x06\x11\x13]*")


def replayed(capture):
    """Tell the drivers what they were told in a capture; return what came of it, call by call."""

    async def main(loop):
        clock = VirtualClock(loop, NOW)
        wire = ReplayWire(capture, clock)
        port = Port(capture.port, wire, clock)
        drivers = {
            device.name: load("drivers", device.kind)(port, device.settings)
            for device in captured_devices(capture)
        }
        came = []
        for call in capture.calls:
            try:
                came.append((await told(drivers[call.device], call.verb, call.t_ns), ""))
            except DeviceError as error:
                came.append((None, type(error).__name__))
        return came, wire.left

    return run_virtual(main)


@pytest.mark.parametrize("file", CAPTURES, ids=lambda file: file.stem)
def test_a_driver_asks_and_understands_as_it_did_when_this_was_captured(file):
    capture = read_capture(file)
    came, left = replayed(capture)
    assert came == [(call.result, call.error) for call in capture.calls]
    assert left == 0
    assert came


def shape(data):
    """What of a reply is no value: text without its numbers, of binary its length and head."""
    if _WEBSOCKET_TEXT.match(data):
        return _VALUE.sub(b"#", _WEBSOCKET_TEXT.sub(b"|", data))
    if _TEXT.fullmatch(bare := _SUM.sub(b"\x03", data)):
        return _VALUE.sub(lambda match: b"#" * max(1, len(match[0]) - 5), bare)
    return len(data), data[:2]


def exchanges(capture):
    """Pairs of what was asked at a time, and all that came back before the next question."""
    asked, got = capture.bytes_[0], b""
    assert asked.way == OUT
    for row in capture.bytes_[1:]:
        if row.way == OUT:
            yield asked, got
            asked, got = row, b""
        else:
            got += row.data
    yield asked, got


@pytest.mark.parametrize("file", CAPTURES, ids=lambda file: file.stem)
def test_a_simulator_answers_what_was_asked_alike_but_for_the_values(file, still_plant):
    capture = read_capture(file)
    plant = still_plant(**THINGS, **{"heater.full": 80.0, "warm.full": 80.0})
    sims = [load("simulators", d.kind)(d, plant) for d in captured_devices(capture)]
    line = Ticked(SharedLine(sims))
    for number, (asked, got) in enumerate(exchanges(capture)):
        replies = line.feed(asked.data, asked.t_ns)
        said = b"".join(reply for _, reply in sorted(replies, key=lambda row: row[0]))
        assert shape(said) == shape(got), f"exchange {number}: {asked.data!r}: {got!r}, {said!r}"


def test_captures_of_all_kinds_are_here():
    kinds = {d.kind for file in CAPTURES for d in captured_devices(read_capture(file))}
    assert set(catalog("drivers")) == kinds


def flipped(capture, at):
    """The same capture with one bit of one reply the other way round."""
    rows = list(capture.bytes_)
    row = rows[at]
    data = bytes([row.data[0] ^ 0x10]) + row.data[1:]
    rows[at] = type(row)(row.t_ns, row.way, data)
    return type(capture)(capture.port, capture.line, capture.devices, tuple(rows), capture.calls)


@pytest.mark.parametrize("name", ["schlenk_bus", "watlow_ezzone_pm", "schlenk_stir"])
def test_a_flipped_bit_in_a_capture_is_noticed(name):
    capture = read_capture(Path(__file__).parent / f"captures/{name}.jsonl")
    first = next(n for n, row in enumerate(capture.bytes_) if row.way == IN)
    try:
        came, _ = replayed(flipped(capture, first))
    except UsageError:
        return  # another question followed than then
    assert came != [(call.result, call.error) for call in capture.calls]


def test_a_question_that_is_asked_otherwise_is_refused_with_both():
    file = Path(__file__).parent / "captures/schlenk_stir.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[2])
    assert row["way"] == ">"
    capture = read_capture(file)
    other = type(capture.bytes_[0])(0, ">", b"IN_NAME\r\n")
    changed = type(capture)(
        capture.port, capture.line, capture.devices, (other, *capture.bytes_[1:]), capture.calls
    )
    with pytest.raises(
        UsageError, match=r"row 1 of the capture of port stir: expected > b'IN_NAME"
    ):
        replayed(changed)
