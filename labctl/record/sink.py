"""Where rows wait on their way to the disk: batched inline in virtual time, a thread in real time.

Any number of rows go in one transaction. In real time the thread commits every `GROUP_S` seconds,
and at once when somebody waits for it or a row is urgent; `synchronous=FULL` then makes a commit
survive a loss of power. In virtual time there is nothing to lose: the disk is never waited for.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from concurrent.futures import Future
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from labctl.errors import RecordError
from labctl.record.schema import READING, Cell

T = TypeVar("T")

GROUP_S = 0.1
"""How long a row waits for others, in real time."""


class Sink:
    """Takes statements and readings in order and commits them to one connection."""

    def __init__(
        self, connection: sqlite3.Connection, *, threaded: bool, reserve: Path | None = None
    ) -> None:
        self.full = False
        self._deaf = False
        self._reserve = reserve
        self.readings: deque[tuple[Cell, ...]] = deque()
        self.failed: RecordError | None = None
        self._connection = connection
        self._statements: deque[tuple[str, tuple[Cell, ...]]] = deque()
        self._waiters: deque[Future[None]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name="record", daemon=True)
            self._thread.start()

    def put(self, sql: str, cells: tuple[Cell, ...], *, urgent: bool = False) -> None:
        """Queue one statement; `urgent` ones are committed without waiting for others.

        Raises:
            RecordError: the record has failed before.
        """
        if self._deaf:
            return
        if self.failed is not None:
            raise self.failed
        self._statements.append((sql, cells))
        if urgent:
            self._wake.set()

    def give_up(self) -> None:
        """Drop every later row without a word: the rig is brought to safety in any case."""
        self._deaf = True

    async def committed(self) -> None:
        """Return when all that was put before is on the disk.

        Raises:
            RecordError: it could not be written.
        """
        if self._thread is None:
            self.flush()
            return
        waiter: Future[None] = Future()
        self._waiters.append(waiter)
        self._wake.set()
        await asyncio.wrap_future(waiter)

    def flush(self) -> None:
        """Commit what waits now, on the calling thread.

        Raises:
            RecordError: it could not be written.
        """
        self._commit()
        if self.failed is not None:
            raise self.failed

    def stop(self) -> None:
        """Commit the rest and end the thread.

        Raises:
            RecordError: it could not be written.
        """
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.flush()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(GROUP_S)
            self._wake.clear()
            self._commit()

    def _commit(self) -> None:
        # Waiters first: whatever one of them waits for was queued before it and is drained after.
        waiters = [waiter for waiter in _drain(self._waiters) if _live(waiter)]
        statements, readings = _drain(self._statements), _drain(self.readings)
        if self.failed is None and (statements or readings):
            try:
                self._written(statements, readings)
            except (sqlite3.Error, OverflowError, ValueError) as error:
                self.failed = RecordError(f"the run's record cannot be written: {error}")
        for waiter in waiters:
            if self.failed is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(self.failed)

    def _written(
        self, statements: list[tuple[str, tuple[Cell, ...]]], readings: list[tuple[Cell, ...]]
    ) -> None:
        """Write; where the disk is full, once more in the room that was kept for the end.

        Raises:
            sqlite3.OperationalError: it could not be written.
        """
        try:
            self._write(statements, readings)
        except sqlite3.OperationalError:
            if self._reserve is None or not self._reserve.exists():
                raise
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._reserve.unlink()
            self.full = True
            self._write(statements, [])

    def _write(
        self, statements: list[tuple[str, tuple[Cell, ...]]], readings: list[tuple[Cell, ...]]
    ) -> None:
        run = self._connection
        run.execute("BEGIN")
        for sql, group in groupby(statements, itemgetter(0)):
            run.executemany(sql, map(itemgetter(1), group))
        run.executemany(READING.insert, readings)
        run.execute("COMMIT")


def _drain(queue: deque[T]) -> list[T]:
    return [queue.popleft() for _ in range(len(queue))]


def _live(waiter: Future[None]) -> bool:
    return waiter.set_running_or_notify_cancel()
