"""The reading end: a run's record, open read-only, also while it is being written."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Self, TypeVar

from labctl.errors import RecordError, UsageError, nearest
from labctl.readings import Quality
from labctl.record import rows, schema
from labctl.record.blobs import AXIS_CODE, unpack
from labctl.record.digest import digest_of
from labctl.record.meta import MEMBER, USED
from labctl.record.schema import Cell, R, Table

T = TypeVar("T")
NS = 1e9


@dataclass(frozen=True, slots=True)
class SpectrumStamp:
    """What is known of a spectrum without its numbers."""

    id: int
    t_ns: int
    source: str
    kind: str
    integration_s: float | None
    averages: int | None
    max_counts: int | None


@dataclass(frozen=True, slots=True)
class Curve:
    """A spectrum read back: counts, or AU for a computed one; both arrays of shape (n,)."""

    stamp: SpectrumStamp
    wavelengths_nm: array[float]
    values: array[float]


class Run:
    """A read-only view of one record; close it, or use it in a `with`.

    Every query sees what was committed when it began. All raise RecordError on a damaged file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return self.path.parent

    @property
    def meta(self) -> rows.RunRow:
        """The run itself.

        Raises:
            RecordError: the record holds no run.
        """
        found = self._all(schema.RUN)
        if len(found) != 1:
            raise RecordError(f"{self.path} holds {len(found)} runs; a record holds one")
        return found[0]

    @property
    def assumed(self) -> list[rows.Assumed]:
        """Values that were assumed, with reasons."""
        return self._all(schema.ASSUMED)

    @property
    def lots(self) -> list[rows.Lot]:
        """Reagents as the batch sheet has them."""
        return self._all(schema.LOT)

    @property
    def channels(self) -> dict[str, rows.ChannelRow]:
        """The channels by name, in the order of declaration."""
        return {row.name: row for row in self._all(schema.CHANNEL)}

    @property
    def steps(self) -> list[rows.StepRow]:
        """The steps, in the order they started."""
        return self._all(schema.STEP)

    @property
    def doses(self) -> list[rows.DoseRow]:
        """The doses, in the order they were first written."""
        return self._all(schema.DOSE)

    @property
    def decisions(self) -> list[rows.DecisionRow]:
        """The decisions, in the order they were begun."""
        return self._all(schema.DECISION)

    @property
    def events(self) -> list[rows.EventRow]:
        """The events, in order."""
        return self._all(schema.EVENT)

    @property
    def alarms(self) -> list[rows.AlarmRow]:
        """The alarms, in the order they came."""
        return self._all(schema.ALARM)

    @property
    def questions(self) -> list[rows.QuestionRow]:
        """Questions to people, and answers."""
        return self._all(schema.QUESTION)

    @property
    def commands(self) -> list[rows.CommandRow]:
        """Commands of people."""
        return self._all(schema.COMMAND)

    @property
    def intents(self) -> list[rows.IntentRow]:
        """Actuations, with what came of them."""
        return self._all(schema.INTENT)

    @property
    def anchors(self) -> list[rows.AnchorRow]:
        """What ties run time to UTC and local time."""
        return self._all(schema.ANCHOR)

    @property
    def artefacts(self) -> list[rows.ArtefactRow]:
        """Texts kept with the run."""
        return self._all(schema.ARTEFACT)

    @property
    def files(self) -> dict[str, str]:
        """The texts of the files that the recipe uses, by the names it uses them by."""
        kept = [row for row in self.artefacts if row.name.startswith(USED)]
        return {row.name.removeprefix(USED): row.text for row in kept}

    @property
    def member(self) -> dict[str, rows.Json]:
        """Which run of which series this is; empty for a run of its own.

        Raises:
            RecordError: what says so cannot be read.
        """
        text = next((row.text for row in self.artefacts if row.name == MEMBER), "{}")
        try:
            found = json.loads(text)
        except ValueError as error:
            raise RecordError(f"{self.path}: {MEMBER} cannot be read: {error}") from None
        return found if isinstance(found, dict) else {}

    def inputs(self, decision: int) -> list[rows.InputRow]:
        """Give all estimates that a decision saw."""
        return self._all(schema.DECISION_INPUT, "WHERE decision = ?", decision)

    def series(self, channel: str) -> tuple[list[float], list[float | None]]:
        """Give a channel's times in s and values; None where there is none, or a bad one.

        Raises:
            RecordError: the run has no such channel.
        """
        known = self.channels
        if channel not in known:
            raise RecordError(f"the run has no channel {channel!r}{nearest(channel, known)}")
        sql = (
            f"SELECT t_ns / {NS}, CASE WHEN quality < {int(Quality.BAD)} THEN value END"  # noqa: S608
            " FROM reading WHERE channel = ?"
        )
        points = self._each(_point, sql, known[channel].id)
        return [t_s for t_s, _ in points], [value for _, value in points]

    def spectra(self, kind: str = "", source: str = "") -> list[SpectrumStamp]:
        """List the spectra, without their numbers; of one kind or source if given."""
        sql = (
            "SELECT id, t_ns, source, kind, integration_s, averages, max_counts FROM spectrum"
            " WHERE (?1 = '' OR kind = ?1) AND (?2 = '' OR source = ?2)"
        )
        return self._each(SpectrumStamp, sql, kind, source)

    def curve(self, stamp: SpectrumStamp) -> Curve:
        """Give the numbers of one spectrum."""
        sql = (
            "SELECT encoding, counts, nm FROM spectrum"
            " JOIN axis ON axis.id = spectrum.axis WHERE spectrum.id = ?"
        )
        (curve,) = self._each(partial(_curve, stamp), sql, stamp.id)
        return curve

    def last_ns(self) -> int:
        """Give the time of the last thing written: the end, or how far a running one has come."""
        ends = [self.meta.end_ns or 0]
        for table in ("event", "reading", "step"):
            column = "start_ns" if table == "step" else "t_ns"
            sql = f"SELECT {column} FROM {table} ORDER BY rowid DESC LIMIT 1"  # noqa: S608 - ours
            ends += self._each(int, sql)
        return max(ends)

    def digest(self) -> str:
        """Compute the digest from the rows, whatever the file says it is."""
        with _damage(self.path):
            return digest_of(self._connection)

    def _all(self, table: Table[R], where: str = "", *values: Cell) -> list[R]:
        with _damage(self.path):
            found = self._connection.execute(f"{table.select} {where}", values)
            return [table.read(cells) for cells in found]

    def _each(self, make: Callable[..., T], sql: str, *values: Cell) -> list[T]:
        with _damage(self.path):
            return list(starmap(make, self._connection.execute(sql, values)))


def open_run(path: Path) -> Run:
    """Open a run's record by its directory or file.

    Raises:
        RecordError: there is none, or it is damaged, no labctl record, or of a newer version.
    """
    file = path / schema.FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise RecordError(f"{path} holds no run: {schema.FILE_NAME} is missing")
    with _damage(file), contextlib.ExitStack() as undo:
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        undo.callback(connection.close)
        _check(file, connection)
        undo.pop_all()
        return Run(file, connection)


def find_run(runs_dir: Path, ref: str) -> Path:
    """Find a run's directory by its id, a unique prefix of it, `last`, or a directory.

    Raises:
        UsageError: no run, or more than one, answers to it.
    """
    if (Path(ref) / schema.FILE_NAME).is_file():
        return Path(ref)
    runs = all_runs(runs_dir)
    if not runs:
        raise UsageError(f"there are no runs in {runs_dir}; a dry run makes one")
    if ref == "last":
        return runs[-1]
    found = [run for run in runs if run.name.startswith(ref)] if ref else runs
    exact = [run for run in found if run.name == ref]
    if len(exact or found) == 1:
        return (exact or found)[0]
    names = [run.name for run in found]
    if names:
        raise UsageError(f"{ref!r} could be any of {', '.join(names)}; write more of the id")
    hint = nearest(ref, [run.name for run in runs])
    raise UsageError(f"no run in {runs_dir} begins with {ref!r}{hint}")


def last_complete(runs_dir: Path, sample: str, *, simulated: bool = True) -> Path | None:
    """Find the newest run of a sample that came to its end; without `simulated`, a real one.

    Records that cannot be read are passed over.
    """
    for directory in reversed(all_runs(runs_dir)):
        with contextlib.suppress(RecordError), open_run(directory) as run:
            meta = run.meta
            wanted = meta.sample == sample and (simulated or not meta.simulated)
            if wanted and (meta.outcome or "").startswith("complete"):
                return directory
    return None


def _point(t_s: float, value: float | None) -> tuple[float, float | None]:
    return t_s, value


def _curve(stamp: SpectrumStamp, encoding: str, counts: bytes, nm: bytes) -> Curve:
    return Curve(stamp, unpack(AXIS_CODE, nm), unpack(encoding, counts))


def all_runs(runs_dir: Path) -> list[Path]:
    """Return the directories of all runs, in the order they were started."""
    found = (file.parent for file in runs_dir.glob(f"*/{schema.FILE_NAME}"))
    return sorted(found, key=_started)


def _started(run: Path) -> tuple[str, int]:
    stamp = len("20251103-090000")
    return run.name[:stamp], (run / schema.FILE_NAME).stat().st_mtime_ns


def _check(file: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != schema.APPLICATION_ID:
        raise RecordError(f"{file} is a database, but no record of labctl")
    if version != schema.VERSION:
        raise RecordError(
            f"{file} is of record version {version}; this labctl reads version {schema.VERSION}"
        )


@contextlib.contextmanager
def _damage(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise RecordError(f"{file} cannot be read as a record: {error}") from error
