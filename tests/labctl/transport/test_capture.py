import datetime as dt
import json

import pytest

from labctl.clock import NS, VirtualClock
from labctl.errors import NoReplyError, UsageError
from labctl.framing import until
from labctl.loop import run_virtual
from labctl.transport.capture import (
    IN,
    OUT,
    STRAY,
    CapturingWire,
    Recorder,
    ReplayWire,
    read_capture,
)
from labctl.transport.memory import MemoryWire
from labctl.transport.port import Port

LINE = until(b"\n")
HEADER = {"port": "line", "line": "9600 8N1", "devices": []}


class Late:
    """Answers the third question late, and says something by itself after the second."""

    def __init__(self):
        self.asked = 0

    def feed(self, data, t_ns):
        if not data:
            return []
        self.asked += 1
        reply = [(NS // 100, b"reply %d\n" % self.asked)]
        if self.asked == 2:
            reply.append((NS // 2, b"by itself\n"))
        if self.asked == 3:
            reply = [(2 * NS, b"late\n")]
        return reply

    def advance(self, t_ns): ...


async def talked(port, clock):
    """Ask four questions with time between; return replies, errors and what was unasked."""
    heard, unasked = [], []
    port.unsolicited.append(unasked.append)
    for number, at_s in enumerate((0, 1, 3, 7)):
        await clock.sleep_until(at_s * NS)
        try:
            heard.append(await port.ask("x", b"question %d\n" % number, LINE, timeout_s=0.5))
        except NoReplyError:
            heard.append("no reply")
    return heard, unasked


@pytest.fixture
def captured(tmp_path):
    """Talk to `Late` on a captured wire; return what was heard, and the file."""
    file = tmp_path / "line.jsonl"

    async def main(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        wire = CapturingWire(MemoryWire(Late(), clock), Recorder(file, HEADER, clock))
        port = Port("line", wire, clock)
        await port.open()
        try:
            return await talked(port, clock)
        finally:
            await port.close()

    return run_virtual(main), file


def test_all_that_crosses_is_kept_with_its_time_and_way(captured):
    _, file = captured
    capture = read_capture(file)
    assert [(row.way, row.data) for row in capture.bytes_] == [
        (OUT, b"question 0\n"),
        (IN, b"reply 1\n"),
        (OUT, b"question 1\n"),
        (IN, b"reply 2\n"),
        (STRAY, b"by itself\n"),
        (OUT, b"question 2\n"),
        (IN, b"late\n"),
        (OUT, b"question 3\n"),
        (IN, b"reply 4\n"),
    ]
    times = [row.t_ns for row in capture.bytes_]
    assert times == sorted(times)
    assert (capture.port, capture.line) == ("line", "9600 8N1")


def test_a_replay_says_the_same_at_the_same_time_late_and_unasked_words_too(captured):
    then, file = captured

    async def main(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        wire = ReplayWire(read_capture(file), clock)
        now = await talked(Port("line", wire, clock), clock)
        return now, wire.left

    assert run_virtual(main) == (then, 0)
    assert then[0] == [b"reply 1\n", b"reply 2\n", "no reply", b"reply 4\n"]
    assert b"by itself\n" in b"".join(then[1])
    assert b"late\n" in b"".join(then[1])


def test_who_asks_more_than_was_asked_is_refused(captured):
    _, file = captured

    async def main(loop):
        clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
        port = Port("line", ReplayWire(read_capture(file), clock), clock)
        await talked(port, clock)
        await port.ask("x", b"question 4\n", LINE)

    with pytest.raises(UsageError, match=r"expected nothing more, got > b'question 4"):
        run_virtual(main)


def test_a_last_line_that_was_cut_off_is_passed_over(captured):
    _, file = captured
    whole = read_capture(file)
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.rindex("hex")], encoding="utf-8")
    assert read_capture(file).bytes_ == whole.bytes_[:-1]


@pytest.mark.parametrize(
    "text",
    ["", "nothing", "{}", '{"labctl": "capture/1"}', '{"labctl": "rig/1"}', "[1]",
     '{"labctl": "capture/1", "port": "a", "line": "b", "devices": []}\n{"way": ">"}\n{}'],
)  # fmt: skip
def test_what_is_no_capture_is_refused(tmp_path, text):
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(UsageError, match=r"x\.jsonl is"):
        read_capture(tmp_path / "x.jsonl")


def test_a_capture_is_never_written_over(captured):
    _, file = captured
    with pytest.raises(UsageError, match="cannot be written: File exists"):
        Recorder(file, HEADER, None)


def test_a_full_disk_ends_the_capture_and_nothing_else(tmp_path, monkeypatch):
    class Still:
        def now_ns(self):
            return 0

    recorder = Recorder(tmp_path / "x.jsonl", HEADER, Still())
    real = recorder._file

    class Full:
        closed = False

        def write(self, text):
            raise OSError(28, "No space left on device")

        def close(self):
            real.close()

    recorder._file = Full()
    recorder.note({"way": OUT, "hex": "00"})
    assert recorder.failed == "the capture stopped: No space left on device"
    recorder.note({"way": OUT, "hex": "00"})
    recorder.close()
    (line,) = (tmp_path / "x.jsonl").read_text().splitlines()
    assert json.loads(line)["port"] == "line"
