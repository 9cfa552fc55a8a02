"""The file explains itself, and the docs say the same."""

import re
import sqlite3
from pathlib import Path

import pytest

from labctl.record import Record, RunMeta
from labctl.record.schema import document, encode

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "record.md"
NAMED = {
    "run": {"id", "recipe_text", "recipe_sha256", "rig_text", "batch_text", "seed", "operator"},
    "channel": {"id", "name", "unit", "kind"},
    "reading": {"t_ns", "channel", "value", "quality"},
    "spectrum": {"id", "t_ns", "source", "kind", "axis", "integration_s", "averages", "counts"},
    "step": {"id", "verb", "stage", "parent", "summary", "planned_s", "clock_ns", "state"},
    "dose": {"id", "reagent", "by", "into_", "flask_c", "commanded_ml", "delivered_ml", "state"},
    "decision": {"id", "step", "kind", "verdict", "at_ns", "reason", "evidence"},
    "decision_input": {"decision", "t_ns", "raw_nm", "peak_nm", "sigma_nm", "hold", "used"},
    "intent": {"id", "t_ns", "kind", "data", "state", "end_ns"},
    "anchor": {"t_ns", "utc", "local"},
}


@pytest.fixture
def file(tmp_path):
    meta = RunMeta("id", "r", "p", "t", 1, True, "2025-11-03T09:00:00")
    Record.create(tmp_path, meta, durable=False).close()
    connection = sqlite3.connect(tmp_path / "run.sqlite")
    yield connection
    connection.close()


def columns(connection):
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {
        (table, row[1])
        for (table,) in tables
        for row in connection.execute(f"PRAGMA table_info({table})")
    }


def test_every_column_in_the_file_is_explained_in_the_file(file):
    explained = file.execute("SELECT table_name, column_name FROM schema_doc").fetchall()
    assert set(explained) == columns(file)
    assert len(explained) == len(set(explained))
    empty = file.execute("SELECT count(*) FROM schema_doc WHERE length(meaning) < 3").fetchone()
    assert empty == (0,)


def test_columns_in_ns_nm_ml_and_celsius_say_their_unit(file):
    units = dict(file.execute("SELECT column_name, unit FROM schema_doc"))
    ending = {"_ns": "ns", "_nm": "nm", "_ml": "mL", "_c": "°C", "_s": "s", "_mmol": "mmol"}
    for name, unit in units.items():
        for suffix, expected in ending.items():
            if name.endswith(suffix):
                assert unit == expected, name


def test_the_tables_others_rest_on_are_there(file):
    found = columns(file)
    for table, names in NAMED.items():
        assert {(table, name) for name in names} <= found


def test_the_file_says_whose_it_is_and_which_version(file):
    assert file.execute("PRAGMA application_id").fetchone() == (0x6C616263,)
    assert file.execute("PRAGMA user_version").fetchone() == (2,)


def test_the_docs_hold_the_tables_as_they_are():
    text = DOCS.read_text(encoding="utf-8")
    assert text.endswith(document()), "replace what follows `## Tables` in docs by document()"
    assert set(re.findall(r"^### `(\w+)`$", text, re.MULTILINE)) >= set(NAMED)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1.5, None, True]}, '{"a":[1.5,null,true],"b":1}'),
        ((1.0, float("inf"), {"x": float("nan")}), '[1.0,null,{"x":null}]'),
        ("Größe", '"Größe"'),
        (None, "null"),
    ],
)
def test_plain_values_become_strict_json(value, text):
    assert encode(value) == text


def test_what_is_not_plain_is_refused():
    with pytest.raises(TypeError):
        encode({"x": object()})
