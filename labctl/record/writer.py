"""The writing end of a run's record: one method per kind of thing that is written down.

Methods return at once; `intent` alone waits until what it wrote is on the disk. Times are int ns
since the run began and are passed in: the record reads no clock.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sqlite3
import sys
import weakref
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path

from labctl.clock import utc_now
from labctl.errors import RecordError
from labctl.readings import Channel, Event, Reading, Scalar, Spectrum
from labctl.record import rows, schema
from labctl.record.blobs import AXIS_CODE, pack_counts, pack_values
from labctl.record.digest import digest_of
from labctl.record.held import hold
from labctl.record.meta import MEMBER, USED, RunMeta, sha256
from labctl.record.rows import Json
from labctl.record.schema import R, Table, encode
from labctl.record.sink import Sink
from labctl.units import CANONICAL

BATCH_ROWS = 4000
"""Readings per transaction in virtual time; more is no faster."""

RESERVE = "reserve"
RESERVE_BYTES = 4 << 20
"""Room for the end of a run on a full disk: safe state, abort, a minute of readings."""

LOG_PAGES = 1000
"""Pages after which SQLite empties the log into the file, if it is told nothing else."""

_QUALITIES = (0, 1, 2)
_NOTHING: Mapping[str, Scalar] = {}


class Record:
    """The record of one run while it is written; made by `create`, ended by `close`.

    A record that cannot be written any more (`failed`) refuses every later row but readings,
    which are many and checked for nothing but their channel.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, *, durable: bool) -> None:
        self.path = path
        self._connection = connection
        self._held = weakref.finalize(self, os.close, hold(path.parent))
        reserve = _reserved(path.parent) if durable else None
        self._sink = Sink(connection, threaded=durable, reserve=reserve)
        self._reserve = reserve
        self._readings = self._sink.readings
        self._batch = sys.maxsize if durable else BATCH_ROWS
        self._channel_ids: dict[str, int] = {}
        self._axes: dict[bytes, int] = {}
        self._next = {table.name: count(1) for table in schema.TABLES}

    @classmethod
    def create(cls, directory: Path, meta: RunMeta, *, durable: bool) -> Record:
        """Begin a record in a run's directory, which is made if need be.

        Args:
            directory: Where `run.sqlite` goes.
            meta: What is known of the run.
            durable: Real time: own thread, every commit reaches the disk. Otherwise batched.

        Raises:
            RecordError: the directory holds a run already, or cannot be written.
        """
        path = directory / schema.FILE_NAME
        if path.exists():
            raise RecordError(f"{directory} already holds a run; give this one another directory")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            _prepare(connection, durable=durable)
        except (OSError, sqlite3.Error) as error:
            raise RecordError(f"no record can be begun at {path}: {error}") from error
        record = cls(path, connection, durable=durable)
        record._begin(meta)
        return record

    @classmethod
    def reopen(cls, directory: Path, *, durable: bool) -> Record:
        """Go on with the record of a run that was cut off; see decision 0022.

        What SQLite had acknowledged is there; rows of its log that are torn are not.

        Raises:
            RecordError: there is no such record, it is damaged, or it cannot be written.
        """
        path = directory / schema.FILE_NAME
        if not path.is_file():
            raise RecordError(f"{directory} holds no run: {schema.FILE_NAME} is missing")
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            _go_on(connection, durable=durable)
            record = cls(path, connection, durable=durable)
            record._continue()
        except (OSError, sqlite3.Error) as error:
            raise RecordError(f"{path} cannot be gone on with: {error}") from error
        return record

    @property
    def failed(self) -> RecordError | None:
        """Why the record cannot be written any more, or None."""
        return self._sink.failed

    @property
    def full(self) -> bool:
        """Whether the disk is full; what little is written yet goes where room was kept."""
        return self._sink.full

    def give_up(self) -> None:
        """Write nothing more and complain no more, if the record has failed."""
        if self._sink.failed is not None:
            self._sink.give_up()

    def channels(self, channels: Iterable[Channel]) -> None:
        """Declare channels by their full names (`flask.T`), before their first reading."""
        for channel in channels:
            if channel.name in self._channel_ids:
                continue
            number = next(self._next["channel"])
            self._channel_ids[channel.name] = number
            unit = CANONICAL[channel.dimension]
            row = rows.ChannelRow(
                number,
                channel.name,
                channel.dimension,
                unit,
                channel.low,
                channel.high,
                channel.kind.value,
            )
            self._insert(schema.CHANNEL, row)

    def append(self, reading: Reading) -> None:
        """Write down one reading.

        Raises:
            RecordError: its channel was not declared, or the batch could not be written.
        """
        self.extend((reading,))

    def extend(self, readings: Iterable[Reading]) -> None:
        """Write down readings, those of one poll.

        Raises:
            RecordError: a channel was not declared, or the batch could not be written.
        """
        ids, kept = self._channel_ids, self._readings
        try:
            # SQLite takes a plain int five times faster than an enum's member.
            kept += [
                (t_ns, ids[channel], value, _QUALITIES[quality])
                for channel, value, quality, t_ns in readings
            ]
        except KeyError as error:
            name = error.args[0]
            raise RecordError(f"a reading of {name!r}, which is no channel of this run") from None
        if len(kept) >= self._batch:
            self._sink.flush()

    def spectrum(self, spectrum: Spectrum, kind: str) -> int:
        """Write down raw counts of a kind (`sample`, `dark`, `reference`, `pl`); return its id."""
        encoding, blob = pack_counts(spectrum.counts)
        number = next(self._next["spectrum"])
        row = rows.SpectrumRow(
            number,
            spectrum.t_ns,
            spectrum.source,
            kind,
            self._axis(spectrum.wavelengths_nm),
            spectrum.integration_s,
            spectrum.averages,
            spectrum.boxcar,
            spectrum.max_counts,
            encoding,
            blob,
        )
        self._insert(schema.SPECTRUM, row)
        return number

    def curve(
        self,
        t_ns: int,
        source: str,
        kind: str,
        wavelengths_nm: array[float],
        values: array[float],
    ) -> int:
        """Write down a computed spectrum (kind `absorbance`, AU); return its id."""
        encoding, blob = pack_values(values)
        number, axis = next(self._next["spectrum"]), self._axis(wavelengths_nm)
        row = rows.SpectrumRow(
            number, t_ns, source, kind, axis, None, None, None, None, encoding, blob
        )
        self._insert(schema.SPECTRUM, row)
        return number

    def event(self, event: Event) -> int:
        """Write down an event; return its number."""
        seq = next(self._next["event"])
        row = rows.EventRow(
            seq, event.t_ns, event.level, event.code, event.message, dict(event.data)
        )
        self._insert(schema.EVENT, row)
        return seq

    def step_started(
        self,
        t_ns: int,
        id_: str,
        verb: str,
        stage: str,
        *,
        parent: str = "",
        summary: str = "",
        planned_s: float | None = None,
    ) -> int:
        """Write down that a step started; return its number, by which it is named later."""
        seq = next(self._next["step"])
        row = rows.StepRow(seq, id_, verb, stage, parent, summary, planned_s, t_ns)
        self._insert(schema.STEP, row, urgent=True)
        return seq

    def step_clock(self, step: int, t_ns: int) -> None:
        """Write down when a step's `since` began."""
        self._update("step", "seq", step, clock_ns=t_ns)

    def step_ended(self, step: int, t_ns: int, state: str) -> None:
        """Write down that a step ended: `done`, `failed`, `skipped` or `cancelled`."""
        self._update("step", "seq", step, urgent=True, end_ns=t_ns, state=state)

    def dose(self, dose: rows.DoseRow) -> None:
        """Write down a dose as it stands; a later row of the same id replaces it."""
        self._sink.put(schema.DOSE.upsert, schema.DOSE.cells(dose), urgent=True)

    def decision_started(self, t_ns: int, step: str, kind: str, track: str = "") -> int:
        """Write down that a decision is waited for; return its number."""
        number = next(self._next["decision"])
        self._insert(schema.DECISION, rows.DecisionRow(number, step, kind, track, t_ns))
        return number

    def decision_input(self, row: rows.InputRow) -> None:
        """Write down one estimate that a decision saw."""
        self._insert(schema.DECISION_INPUT, row)

    def decision_ended(
        self, decision: int, t_ns: int, verdict: str, reason: str, evidence: Mapping[str, Json]
    ) -> None:
        """Write down how a decision ended, and the numbers it rests on."""
        text = encode(evidence)
        self._update(
            "decision",
            "id",
            decision,
            urgent=True,
            verdict=verdict,
            at_ns=t_ns,
            reason=reason,
            evidence=text,
        )

    def alarm(self, t_ns: int, id_: str, severity: str, message: str) -> int:
        """Write down that an interlock came; return the alarm's number."""
        seq = next(self._next["alarm"])
        self._insert(schema.ALARM, rows.AlarmRow(seq, id_, severity, t_ns, message), urgent=True)
        return seq

    def alarm_off(self, alarm: int, t_ns: int) -> None:
        """Write down that an alarm went."""
        self._update("alarm", "seq", alarm, t_off_ns=t_ns)

    def question(self, t_ns: int, text: str, choices: Sequence[str] = (), default: str = "") -> int:
        """Write down what a person is asked; return the question's number."""
        number = next(self._next["question"])
        row = rows.QuestionRow(number, t_ns, text, list(choices), default)
        self._insert(schema.QUESTION, row, urgent=True)
        return number

    def answer(
        self, question: int, t_ns: int, answer: str, by: str, *, simulated: bool = False
    ) -> None:
        """Write down what was answered, and by whom."""
        self._update(
            "question",
            "id",
            question,
            urgent=True,
            answer=answer,
            by=by,
            at_ns=t_ns,
            simulated=int(simulated),
        )

    def command(
        self, t_ns: int, actor: str, verb: str, *, accepted: bool, reason: str = ""
    ) -> None:
        """Write down a person's command, obeyed or not."""
        row = rows.CommandRow(t_ns, actor, verb, accepted, reason)
        self._insert(schema.COMMAND, row, urgent=True)

    def anchor(self, t_ns: int, local: dt.datetime) -> None:
        """Tie run time to UTC and to the rig's local time."""
        self._insert(schema.ANCHOR, rows.AnchorRow(t_ns, utc_now(), local.isoformat()))

    def artefact(self, name: str, text: str) -> None:
        """Keep a text with the run; a later one of the same name replaces it."""
        row = rows.ArtefactRow(name, sha256(text), text)
        self._sink.put(schema.ARTEFACT.upsert, schema.ARTEFACT.cells(row))

    def state(self, state: str) -> None:
        """Write down the run's state as it changes."""
        self._sink.put("UPDATE run SET state = ?", (state,), urgent=True)

    async def intent(self, t_ns: int, kind: str, data: Mapping[str, Scalar]) -> int:
        """Write down an actuation before it happens; return its number once that is durable.

        Raises:
            RecordError: it could not be written; the actuation must not happen.
        """
        number = next(self._next["intent"])
        self._insert(schema.INTENT, rows.IntentRow(number, t_ns, kind, dict(data)))
        await self._sink.committed()
        return number

    def settle(
        self, intent: int, t_ns: int, outcome: str, data: Mapping[str, Scalar] = _NOTHING
    ) -> None:
        """Write down what came of an intent: `done`, `refused` or `unknown`."""
        result = encode(dict(data))
        self._update("intent", "id", intent, urgent=True, state=outcome, end_ns=t_ns, result=result)

    def finish(
        self,
        t_ns: int,
        state: str,
        outcome: str,
        *,
        product: Mapping[str, Json] | None = None,
        wall_s: float | None = None,
    ) -> None:
        """Write down how the run ended; `product` is the simulated truth of a dry run."""
        sql = "UPDATE run SET state = ?, outcome = ?, end_ns = ?, product = ?, wall_s = ?"
        self._sink.put(sql, (state, outcome, t_ns, encode(product), wall_s), urgent=True)

    def close(self) -> None:
        """Write the rest and the digest, and leave one file.

        Raises:
            RecordError: the rest could not be written.
        """
        try:
            self._sink.stop()
            self._seal()
        finally:
            self._connection.close()
            self._held()
            if self._reserve is not None:
                self._reserve.unlink(missing_ok=True)

    def _begin(self, meta: RunMeta) -> None:
        self._insert(schema.RUN, meta.row())
        for assumed in meta.assumed:
            self._insert(schema.ASSUMED, assumed)
        for lot in meta.lots:
            self._insert(schema.LOT, lot)
        for name, text in meta.files.items():
            self.artefact(USED + name, text)
        if meta.member:
            self.artefact(MEMBER, encode(meta.member))
        self.anchor(0, dt.datetime.fromisoformat(meta.started_local))

    def _continue(self) -> None:
        """Count on from what is there; what ran when the run was cut off runs no more."""
        run = self._connection
        self._channel_ids = dict(run.execute("SELECT name, id FROM channel"))
        self._axes = {bytes(nm): number for nm, number in run.execute("SELECT nm, id FROM axis")}
        for table in schema.TABLES:
            (rowid,) = run.execute(f"SELECT MAX(rowid) FROM {table.name}").fetchone()  # noqa: S608
            self._next[table.name] = count((rowid or 0) + 1)
        sql = "UPDATE run SET outcome = NULL, end_ns = NULL, digest = NULL"
        self._sink.put(sql, (), urgent=True)
        last = "(SELECT MAX(t_ns) FROM event)"
        sql = f"UPDATE step SET state = 'cancelled', end_ns = {last} WHERE state = 'running'"  # noqa: S608
        self._sink.put(sql, (), urgent=True)

    def _insert(self, table: Table[R], row: R, *, urgent: bool = False) -> None:
        self._sink.put(table.insert, table.cells(row), urgent=urgent)

    def _update(
        self, table: str, key: str, number: int, *, urgent: bool = False, **values: schema.Cell
    ) -> None:
        sets = ", ".join(f"{name} = ?" for name in values)
        sql = f'UPDATE {table} SET {sets} WHERE "{key}" = ?'  # noqa: S608 - names are ours
        self._sink.put(sql, (*values.values(), number), urgent=urgent)

    def _axis(self, wavelengths_nm: array[float]) -> int:
        nm = wavelengths_nm.tobytes()
        known = self._axes.get(nm)
        if known is None:
            known = self._axes[nm] = next(self._next["axis"])
            little = pack_values(wavelengths_nm, AXIS_CODE)[1]
            self._insert(schema.AXIS, rows.AxisRow(known, little))
        return known

    def _seal(self) -> None:
        try:
            digest = digest_of(self._connection)
            self._connection.execute("UPDATE run SET digest = ?", (digest,))
            self._connection.execute("PRAGMA busy_timeout = 100")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with contextlib.suppress(sqlite3.OperationalError):
                # A reader has it open: the log stays beside it, and is as good.
                self._connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise RecordError(f"{self.path} cannot be closed: {error}") from error


def _reserved(directory: Path) -> Path:
    """Keep room on the disk for the end of a run, in a file that is given up when it is full.

    Raises:
        RecordError: there is not even that much room.
    """
    reserve = directory / RESERVE
    try:
        with reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
    except OSError as error:
        reserve.unlink(missing_ok=True)
        raise RecordError(f"{directory} has no room for a run: {error.strerror}") from error
    return reserve


def _go_on(connection: sqlite3.Connection, *, durable: bool) -> None:
    """Set how commits reach the disk.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(str(found))
    if durable:
        _grown(connection)


def _grown(connection: sqlite3.Connection) -> None:
    """Let the log take its full size now; a commit that need not grow it takes half the time.

    After a checkpoint SQLite writes the log again from its beginning.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("PRAGMA synchronous = OFF")
    for _ in range(LOG_PAGES):
        connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_checkpoint(RESTART)")


def _prepare(connection: sqlite3.Connection, *, durable: bool) -> None:
    _go_on(connection, durable=durable)
    connection.execute("BEGIN")
    for statement in schema.ddl():
        connection.execute(statement)
    connection.executemany("INSERT INTO schema_doc VALUES (?, ?, ?, ?)", schema.schema_doc())
    connection.execute("COMMIT")
