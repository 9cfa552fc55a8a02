"""The tables of `run.sqlite`, made from the row classes: statements, codecs, docs.

The file says what it is: `application_id` marks it as a labctl record, `user_version` is the
version of these tables, and its own table `schema_doc` explains every column.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from operator import attrgetter
from typing import ClassVar, Generic, Protocol, TypeVar

from labctl.record import rows
from labctl.record.rows import Json

APPLICATION_ID = int.from_bytes(b"labc", "big")
VERSION = 2
FILE_NAME = "run.sqlite"

Cell = str | int | float | bytes | None


class _IsDataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


R = TypeVar("R", bound=_IsDataclass)

_SQL = {
    "int": "INTEGER NOT NULL",
    "int | None": "INTEGER",
    "float | None": "REAL",
    "str": "TEXT NOT NULL",
    "str | None": "TEXT",
    "bytes": "BLOB NOT NULL",
    "bool": "INTEGER NOT NULL",
    "Json": "TEXT NOT NULL",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its SQL type, the annotation it came from, and what it means."""

    name: str
    sql: str
    annotation: str
    meaning: str
    unit: str
    digested: bool


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """One table: its statements, and how a row object becomes cells and comes back."""

    name: str
    row: type[R]
    columns: tuple[Column, ...]
    create: str
    insert: str
    select: str
    upsert: str

    def cells(self, row: R) -> tuple[Cell, ...]:
        """Give a row's values as SQLite takes them."""
        values = attrgetter(*(column.name for column in self.columns))(row)
        return tuple(
            _ENCODE.get(column.annotation, _same)(value)
            for column, value in zip(self.columns, values, strict=True)
        )

    def read(self, cells: Sequence[Cell]) -> R:
        """Make a row object of what SQLite gave."""
        values = {
            column.name: _DECODE[column.annotation](cell) if column.annotation in _DECODE else cell
            for column, cell in zip(self.columns, cells, strict=True)
        }
        return self.row(**values)


def encode(value: object) -> str:
    """Write a value as JSON with sorted keys; NaN and infinities become null.

    >>> encode({"b": float("nan"), "a": 1.5})
    '{"a":1.5,"b":null}'

    Raises:
        TypeError: something in it is no plain value.
    """
    try:
        return _dumps(value)
    except ValueError:
        return _dumps(_finite(value))


def ddl() -> Iterator[str]:
    """Yield the statements that make an empty record, the explanation of its columns included."""
    yield f"PRAGMA application_id = {APPLICATION_ID}"
    yield f"PRAGMA user_version = {VERSION}"
    for table in TABLES:
        yield table.create
    yield f"CREATE TABLE schema_doc ({', '.join(f'{name} TEXT NOT NULL' for name in _DOC_COLUMNS)})"


def schema_doc() -> list[tuple[str, str, str, str]]:
    """Give the rows of the table `schema_doc`: table, column, meaning, unit."""
    explained = [(t.name, c.name, c.meaning, c.unit) for t in TABLES for c in t.columns]
    return explained + [("schema_doc", name, what, "") for name, what in _DOC_COLUMNS.items()]


def document() -> str:
    """Write the tables as Markdown, for the reference in docs."""
    parts: list[str] = []
    for table in TABLES:
        parts += [f"### `{table.name}`", "", (table.row.__doc__ or "").strip(), ""]
        parts += [
            "| column | type | meaning | unit | in the digest |",
            "| --- | --- | --- | --- | --- |",
        ]
        for column in table.columns:
            mark = "yes" if column.digested else "no"
            cells = (f"`{column.name}`", column.sql, column.meaning, column.unit, mark)
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


_DOC_COLUMNS = {
    "table_name": "the table",
    "column_name": "the column",
    "meaning": "what it holds",
    "unit": "unit of the values, where they have one",
}


def _dumps(value: object) -> str:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _same(value: Cell) -> Cell:
    return value


_ENCODE: dict[str, Callable[..., Cell]] = {"bool": int, "Json": encode}
_DECODE: dict[str, Callable[..., Json]] = {"bool": bool, "Json": json.loads}


def _column(of: Field[object], key: str) -> Column:
    annotation = str(of.type)
    sql = _SQL[annotation]
    if of.name == key:
        sql = sql.removesuffix("NOT NULL") + "PRIMARY KEY"
    about = of.metadata
    return Column(
        of.name, sql, annotation, str(about["meaning"]), str(about["unit"]), bool(about["digested"])
    )


def _table(name: str, row: type[R], key: str = "") -> Table[R]:
    columns = tuple(_column(of, key) for of in fields(row))
    names = [f'"{column.name}"' for column in columns]
    listed = ", ".join(names)
    defined = ", ".join(f'"{column.name}" {column.sql}' for column in columns)
    insert = f"INSERT INTO {name} ({listed}) VALUES ({', '.join('?' for _ in names)})"  # noqa: S608
    update = ", ".join(f"{n} = excluded.{n}" for n in names)
    return Table(
        name,
        row,
        columns,
        create=f"CREATE TABLE {name} ({defined})",
        insert=insert,
        select=f"SELECT {listed} FROM {name}",  # noqa: S608 - names are ours
        upsert=f'{insert} ON CONFLICT ("{key}") DO UPDATE SET {update}' if key else insert,
    )


RUN = _table("run", rows.RunRow)
ASSUMED = _table("assumed", rows.Assumed)
LOT = _table("lot", rows.Lot)
CHANNEL = _table("channel", rows.ChannelRow, "id")
READING = _table("reading", rows.ReadingRow)
AXIS = _table("axis", rows.AxisRow, "id")
SPECTRUM = _table("spectrum", rows.SpectrumRow, "id")
STEP = _table("step", rows.StepRow, "seq")
DOSE = _table("dose", rows.DoseRow, "id")
DECISION = _table("decision", rows.DecisionRow, "id")
DECISION_INPUT = _table("decision_input", rows.InputRow)
EVENT = _table("event", rows.EventRow, "seq")
ALARM = _table("alarm", rows.AlarmRow, "seq")
QUESTION = _table("question", rows.QuestionRow, "id")
INTENT = _table("intent", rows.IntentRow, "id")
COMMAND = _table("command", rows.CommandRow)
ANCHOR = _table("anchor", rows.AnchorRow)
ARTEFACT = _table("artefact", rows.ArtefactRow, "name")

TABLES = (
    RUN, ASSUMED, LOT, CHANNEL, READING, AXIS, SPECTRUM, STEP, DOSE, DECISION, DECISION_INPUT,
    EVENT, ALARM, QUESTION, INTENT, COMMAND, ANCHOR, ARTEFACT,
)  # fmt: skip
