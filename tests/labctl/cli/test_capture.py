"""`labctl capture` as a person types it, on served instruments."""

import json
import signal

import pytest

from labctl.rig.capturing import captured_devices
from labctl.transport.capture import OUT, read_capture


@pytest.fixture
def gauge(start):
    """A served gauge: where it is."""
    process = start("simulate", "--kind", "pfeiffer_ppt100", "--pty", "--format", "json")
    (device,) = json.loads(process.stdout.readline())["devices"].values()
    yield device["pty"]
    process.send_signal(signal.SIGINT)
    with process:
        assert process.wait(30) == 0


def test_one_instrument_is_read_for_a_while_and_what_crossed_is_kept(labctl, gauge, tmp_path):
    asked = ("capture", "--kind", "pfeiffer_ppt100", "--port", gauge, "--output", tmp_path)
    code, out, err = labctl(*asked, "--for", "0.5 s", "--every", "0.1 s")
    assert (code, err) == (0, "")
    (file,) = tmp_path.glob("*.jsonl")
    assert out.strip() == str(file)
    capture = read_capture(file)
    assert [call.verb for call in capture.calls] == ["connect", *["poll"] * 5]
    assert capture.line == "9600 8N1"
    (device,) = captured_devices(capture)
    assert device.kind == "pfeiffer_ppt100"
    assert device.settings.places[1].name == "line"
    assert capture.bytes_[0].way == OUT
    code, _, err = labctl(*asked, "--for", "0.5 s")
    assert code == 2
    assert "cannot be written: File exists" in err


def test_an_instrument_that_does_not_answer_is_kept_too_and_ends_with_3(labctl, gauge, tmp_path):
    code, out, _ = labctl(
        "capture", "--kind", "ika_rct", "--port", gauge, "--output", tmp_path, "--for", "1 s",
        "--format", "json",
    )  # fmt: skip
    assert code == 3
    found = json.loads(out)
    assert "stirrer: asked" in found["errors"]["ika_rct"][0]
    (file,) = found["files"]
    assert [call.error for call in read_capture(tmp_path / file).calls] == ["NoReplyError"]


@pytest.mark.parametrize(
    "arguments", [(), ("--kind", "ika_rct"), ("rig.yaml", "--kind", "ika_rct", "--port", "/x")]
)
def test_what_to_tap_is_named_once_and_whole(labctl, tmp_path, arguments):
    code, _, err = labctl("capture", *arguments, "--output", tmp_path)
    assert code == 2
    assert "name either a rig's file, or one --kind of instrument and its --port" in err
