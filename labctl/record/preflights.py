"""What the last preflight of a rig found, kept beside its runs: `preflight/RIG.json`.

It stands for as long as the rig file says, for the rig (and, where it depends on them, the recipe
and the sheet) that it was found with.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "preflight"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: what was found against which limit, what to do, and when (local time, ISO).

    `by` is `labctl` or `person`; `holds_for` is the digest of the texts that it was judged with.
    """

    check: str
    by: str
    what: str
    found: str
    limit: str
    passed: bool
    do: str
    at: str
    holds_for: str

    def __str__(self) -> str:
        """Say it as one line."""
        verdict = "ok" if self.passed else f"not so; {self.do}"
        return f"{self.what}: {self.found} ({self.limit}): {verdict}"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a preflight found: of which rig, when (local time, ISO), in which run, by whom."""

    rig: str
    at: str
    operator: str
    run: str
    outcomes: tuple[Outcome, ...]


def keep(runs: Path, kept: Kept) -> None:
    """Keep what a preflight found in place of the one before; whole or not at all."""
    file = _file(runs, kept.rig)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(kept), ensure_ascii=False, indent=1), encoding="utf-8")
    Path(part).replace(file)


def last_kept(runs: Path, rig: str) -> Kept | None:
    """Return what the last preflight of a rig found; None where there is none that can be read."""
    try:
        row = json.loads(_file(runs, rig).read_text(encoding="utf-8"))
        outcomes = tuple(Outcome(**outcome) for outcome in row.pop("outcomes"))
        return Kept(**row, outcomes=outcomes)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def standing(
    kept: Kept | None, now: dt.datetime, valid_s: float, holds_for: Mapping[str, str]
) -> dict[str, Outcome]:
    """Return the checks that still stand: passed, not too old, with what they were judged with.

    `holds_for` are the digests of today by check. A clock that was set back makes nothing stand.
    """
    found: Sequence[Outcome] = () if kept is None else kept.outcomes
    return {
        row.check: row
        for row in found
        if row.passed
        and holds_for.get(row.check) == row.holds_for
        and 0 <= (now - dt.datetime.fromisoformat(row.at)).total_seconds() < valid_s
    }


def _file(runs: Path, rig: str) -> Path:
    return runs / FOLDER / f"{rig}.json"
