"""Records are found by what people type, and bad ones are refused with a sentence."""

import os
import sqlite3

import pytest

from labctl.errors import RecordError, UsageError
from labctl.readings import Channel, Event
from labctl.record import Record, RunMeta, find_run, open_run


def made(directory, close=True):
    meta = RunMeta("id", "r", "p", "t", 1, True, "2025-11-03T09:00:00")
    record = Record.create(directory, meta, durable=False)
    record.channels([Channel("flask.T", "temperature")])
    for i in range(2000):
        record.event(Event(i, "a.b", "something worth a few bytes on the disk"))
    if close:
        record.close()
    return record


@pytest.fixture
def runs(tmp_path):
    for name in ("20251103-090000-inp-ab12", "20251104-080000-inp-0001", "20251104-070000-hf-9999"):
        made(tmp_path / name)
    (tmp_path / "notes").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("20251103-090000-inp-ab12", "20251103-090000-inp-ab12"),
        ("20251103", "20251103-090000-inp-ab12"),
        ("20251104-07", "20251104-070000-hf-9999"),
        ("last", "20251104-080000-inp-0001"),
    ],
)
def test_a_run_is_found_by_id_prefix_or_last(runs, ref, name):
    assert find_run(runs, ref) == runs / name


def test_last_is_the_run_that_started_last_not_the_file_touched_last(runs):
    os.utime(runs / "20251103-090000-inp-ab12" / "run.sqlite")
    assert find_run(runs, "last").name == "20251104-080000-inp-0001"


def test_an_id_that_begins_another_is_that_run(runs):
    made(runs / "20251103-090000-inp-ab12-again")
    assert find_run(runs, "20251103-090000-inp-ab12").name == "20251103-090000-inp-ab12"


def test_a_directory_is_a_run_wherever_it_is(runs, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    made(elsewhere / "x")
    assert find_run(runs, str(elsewhere / "x")) == elsewhere / "x"


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("20251104", "could be any of 20251104-070000-hf-9999, 20251104-080000-inp-0001"),
        ("20251103-090000-inp-ab13", "did you mean '20251103-090000-inp-ab12'"),
        ("", "could be any of"),
        ("notes", "no run in .* begins with 'notes'"),
    ],
)
def test_what_finds_none_or_several_is_refused_by_name(runs, ref, sentence):
    with pytest.raises(UsageError, match=sentence):
        find_run(runs, ref)


def test_no_runs_at_all_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="there are no runs in"):
        find_run(tmp_path / "none", "last")


def test_a_directory_without_a_record_is_refused(tmp_path):
    with pytest.raises(RecordError, match=r"holds no run: run\.sqlite is missing"):
        open_run(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a database at all" * 100], ids=len)
def test_a_file_that_is_no_record_is_refused(tmp_path, content):
    (tmp_path / "run.sqlite").write_bytes(content)
    with pytest.raises(RecordError, match=r"no record of labctl|cannot be read as a record"):
        open_run(tmp_path)


def test_another_programs_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "run.sqlite") as other:
        other.execute("CREATE TABLE run (id)")
    other.close()
    with pytest.raises(RecordError, match="a database, but no record of labctl"):
        open_run(tmp_path)


def test_a_newer_record_is_refused_with_both_versions(tmp_path):
    made(tmp_path)
    with sqlite3.connect(tmp_path / "run.sqlite") as file:
        file.execute("PRAGMA user_version = 7")
    file.close()
    with pytest.raises(RecordError, match="version 7; this labctl reads version 2"):
        open_run(tmp_path)


def test_a_truncated_record_is_refused(tmp_path):
    made(tmp_path)
    whole = (tmp_path / "run.sqlite").read_bytes()
    (tmp_path / "run.sqlite").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordError, match="cannot be read as a record"):  # noqa: SIM117
        with open_run(tmp_path) as run:
            run.digest()


def test_a_record_with_garbage_in_the_middle_is_refused(tmp_path):
    made(tmp_path)
    whole = bytearray((tmp_path / "run.sqlite").read_bytes())
    whole[-8192:] = b"\xa5" * 8192
    (tmp_path / "run.sqlite").write_bytes(whole)
    with open_run(tmp_path) as run, pytest.raises(RecordError, match="cannot be read as a record"):
        run.digest()


def test_an_unknown_channel_is_refused_with_the_nearest(tmp_path):
    made(tmp_path)
    with open_run(tmp_path) as run, pytest.raises(RecordError, match=r"did you mean 'flask\.T'"):
        run.series("flask.t")


def test_a_reader_follows_a_run_that_goes_on_and_cannot_write(tmp_path):
    record = made(tmp_path, close=False)
    record._sink.flush()
    with open_run(tmp_path) as run:
        assert len(run.events) == 2000
        record.event(Event(5000, "more", "more"))
        record._sink.flush()
        assert len(run.events) == 2001
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            run._connection.execute("DELETE FROM event")
    record.close()


def test_a_run_that_crashed_is_read_with_what_was_committed(tmp_path):
    record = made(tmp_path, close=False)
    record._sink.flush()
    record.event(Event(5000, "lost", "never committed"))
    record._connection.close()
    with open_run(tmp_path) as run:
        assert len(run.events) == 2000
        assert run.meta.state == "starting"
