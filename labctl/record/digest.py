"""One SHA-256 over what happened in a run: two runs with one digest went the same.

Covered are the columns that say so in `rows`; never ids that hold wall time, UTC, paths or lots.
Readings and blobs go in as their bytes, everything else as the `repr` of its cells, in the order of
writing; nothing depends on the order of a hash.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from array import array
from collections.abc import Iterable
from typing import Protocol

from labctl.record.schema import READING, TABLES

CHUNK_ROWS = 2000


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


def digest_of(connection: sqlite3.Connection) -> str:
    """Compute the digest of an open record, as hex.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    total = hashlib.sha256()
    for table in TABLES:
        names = [column.name for column in table.columns if column.digested]
        if not names:
            continue
        total.update(f"{table.name}({','.join(names)})\n".encode())
        if table.name == READING.name:
            _readings(connection, total)
        else:
            _rows(connection, table.name, names, total)
    return total.hexdigest()


def _readings(connection: sqlite3.Connection, total: _Hash) -> None:
    # Half the time is SQLite handing out cells: channel and quality travel as one.
    sql = "SELECT t_ns, 4 * channel + quality, value FROM reading"
    cursor = connection.execute(sql)
    while chunk := cursor.fetchmany(CHUNK_ROWS):
        t_ns, source, values = zip(*chunk, strict=True)
        total.update(memoryview(array("q", t_ns)))
        total.update(memoryview(array("q", source)))
        numbers = [math.nan if value is None else value for value in values]
        total.update(memoryview(array("d", numbers)))


def _rows(connection: sqlite3.Connection, table: str, names: Iterable[str], total: _Hash) -> None:
    listed = ", ".join(f'"{name}"' for name in names)
    for cells in connection.execute(f"SELECT {listed} FROM {table}"):  # noqa: S608 - ours
        plain = [cell for cell in cells if not isinstance(cell, bytes)]
        total.update(f"{plain!r}\n".encode())
        for cell in cells:
            if isinstance(cell, bytes):
                total.update(cell)
