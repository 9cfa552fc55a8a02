"""A writer killed at any moment loses nothing it acknowledged."""

import signal
import subprocess
import sys

import pytest

from labctl.record import open_run, summary

WRITER = """
import asyncio, sys
from pathlib import Path
from labctl.readings import Channel, Event, Quality, Reading
from labctl.record import Record, RunMeta

async def main():
    meta = RunMeta("id", "r", "p", "t", 1, False, "2025-11-03T09:00:00")
    record = Record.create(Path(sys.argv[1]), meta, durable=True)
    record.channels([Channel("T", "temperature")])
    for i in range(1_000_000):
        for k in range(20):
            record.append(Reading("T", float(k), Quality.GOOD, i))
        record.event(Event(i, "tick", "tock", {"i": i}))
        number = await record.intent(i, "dose", {"i": i})
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 17, 60])
def test_a_killed_writer_loses_no_acknowledged_intent(tmp_path, after):
    writer = subprocess.Popen(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    acknowledged = [int(writer.stdout.readline()) for _ in range(after)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split()]
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    with open_run(tmp_path) as run:
        kept = [intent.id for intent in run.intents]
        assert kept[: len(acknowledged)] == acknowledged
        assert len(kept) - len(acknowledged) in {0, 1}
        assert len(run.events) >= len(acknowledged)
        assert len(run.series("T")[0]) >= 20 * len(acknowledged)
        assert run._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert run.meta.outcome is None
        assert summary(run)["digest"] == run.digest()
