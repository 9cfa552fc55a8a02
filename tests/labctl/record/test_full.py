"""A disk that is really full: the process may write files of so many bytes and no more."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from labctl.record import open_run

WRITES = """
import asyncio, json, resource, signal, sys
from pathlib import Path
from labctl.readings import Channel, Event, Quality, Reading
from labctl.record import Record, RunMeta
from labctl.record.writer import RESERVE

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
where = Path(sys.argv[1])
meta = RunMeta("r", "n", "p", "t", 1, False, "2025-11-03T09:00:00")

async def main():
    record = Record.create(where, meta, durable=True)
    record.channels([Channel("flask.T", "temperature")])
    await record.intent(0, "dose", {"id": "a"})
    room = (where / "run.sqlite-wal").stat().st_size + 20000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    for n in range(400000):
        record.append(Reading("flask.T", 20.0, Quality.GOOD, n))
    kept = (where / RESERVE).exists()
    try:
        await record.intent(1, "dose", {"id": "b"})
    except Exception as error:
        print(json.dumps({"kept": kept, "said": str(error), "full": record.full}))
    else:
        print(json.dumps({"kept": kept, "said": "", "full": record.full}))
    record.give_up()
    record.event(Event(2, "aborting", "nobody hears it", {}, "error"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    try:
        record.close()
    except Exception:
        pass

asyncio.run(main())
"""


@pytest.mark.timeout(60)
def test_a_full_disk_gives_up_its_reserve_and_is_told_and_what_was_acknowledged_is_there(tmp_path):
    said = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", WRITES, str(tmp_path / "r")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(said.stdout)
    assert told["kept"] is True
    assert told["full"] is True
    assert not (tmp_path / "r" / "reserve").exists()
    with open_run(tmp_path / "r") as run:
        known = [intent.data["id"] for intent in run.intents]
    assert known[:1] == ["a"]
    assert ("b" in known) is (told["said"] == "")
