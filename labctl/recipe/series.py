"""`series`: values of chosen or assumed names over which one recipe becomes several runs."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from labctl.errors import Finding, FindingsError, UsageError, nearest
from labctl.recipe.choices import accept
from labctl.source import Document

MOST_MEMBERS = 100
_NAMED = 3
Series = Mapping[str, tuple[str, ...]]
_Told = list[tuple[Finding, list["Member"]]]


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a series: its number from 1, of how many, and the values it is made with.

    >>> Member(2, 6, {"t": "1 min"}).label
    't = 1 min'
    """

    number: int
    of: int
    values: Mapping[str, str] = field(hash=False)

    @property
    def label(self) -> str:
        """The values, as people write them."""
        return ", ".join(f"{name} = {value}" for name, value in self.values.items())


def series_of(document: Document, settings: Mapping[str, str]) -> Series:
    """Return the values that a recipe's `series` names, each checked as `--set` checks it.

    `settings` are the recipe's values, from which the names are known.

    Raises:
        FindingsError: an unknown name, a value that is not allowed or stands twice, or more than
            `MOST_MEMBERS` members.
    """
    if not document.has(("series",)):
        return {}
    rows = document.mapping(("series",))
    findings = [found for name in rows for found in _wrong(document, name, settings)]
    count = math.prod(len(row) for row in rows.values() if isinstance(row, list))
    if not rows or count > MOST_MEMBERS:
        message = f"a series has 1 to {MOST_MEMBERS} members; this one has {count if rows else 0}"
        findings.append(document.key_mark(("series",)).finding("bounds.series", message))
    if findings:
        raise FindingsError(findings)
    return {name: tuple(map(str, row)) for name, row in rows.items()}


def members_of(series: Series, given: Mapping[str, str]) -> tuple[Member, ...]:
    """Return the members of a series, the last name changing first; none where all are given.

    >>> members_of({"hf": ("none", "treated"), "t": ("1 min", "2 min")}, {"hf": "none"})[1].label
    'hf = none, t = 2 min'
    """
    if not set(series) - set(given):
        return ()
    axes = [(given[name],) if name in given else values for name, values in series.items()]
    rows = list(itertools.product(*axes))
    return tuple(
        Member(number, len(rows), dict(zip(series, row, strict=True)))
        for number, row in enumerate(rows, 1)
    )


def merged(found: Sequence[tuple[Member, Sequence[Finding]]]) -> list[Finding]:
    """Return what was found on all members, once for each place.

    What all members have alike stands as it is. Otherwise the members are named; where they differ
    in what is said, the first of them speaks for all.
    """
    alike: dict[tuple[Finding, int], list[Member]] = {}
    for member, findings in found:
        told: Counter[Finding] = Counter()
        for finding in findings:
            told[finding] += 1
            alike.setdefault((finding, told[finding]), []).append(member)
    places: dict[Finding, list[_Told]] = {}
    for (finding, _), members in alike.items():
        rows = places.setdefault(replace(finding, message=""), [])
        row = next((row for row in rows if not set(members) & {m for _, ms in row for m in ms}), [])
        if not row:
            rows.append(row)
        row.append((finding, members))
    every = [member for member, _ in found]
    return [_said(row, every) for rows in places.values() for row in rows]


def _said(told: _Told, every: Sequence[Member]) -> Finding:
    """Say once what was found at one place, in the words of the first member that has it."""
    (finding, members), *others = told
    if len(members) == len(every):
        return finding
    said = f"with {_labels(members, every)}"
    if others:
        rest = [member for _, row in others for member in row]
        said += f", similarly with {_labels(rest, every)}"
    return replace(finding, message=f"{finding.message} ({said})")


def _labels(members: Sequence[Member], every: Sequence[Member]) -> str:
    """Name members by the values that only they have in common, or else one by one."""
    common = dict(set.intersection(*(set(member.values.items()) for member in members)))
    alike = [member for member in every if common.items() <= member.values.items()]
    if common and len(alike) == len(members):
        return replace(members[0], values=common).label
    shown = [member.label for member in members[:_NAMED]]
    more = len(members) - len(shown)
    return "; ".join([*shown, *([f"{more} more"] if more else [])])


def _wrong(document: Document, name: str, settings: Mapping[str, str]) -> Iterator[Finding]:
    place = ("series", name)
    choose = document.mapping(("choose",)) if document.has(("choose",)) else {}
    if name not in settings:
        message = f"series names {name!r}, which is neither chosen nor assumed"
        hint = nearest(name, settings)
        yield document.key_mark(place).finding("names.unknown_choice", message + hint)
        return
    row = document.at(place)
    if not isinstance(row, list) or not row:
        message = f"series.{name} must be a list of values, e.g. [30 s, 1 min]"
        yield document.mark(place).finding("schema.value", message)
        return
    for n, value in enumerate(row):
        mark = document.mark((*place, n))
        if value in row[:n]:
            yield mark.finding("choices.series", f"{name} is {value!r} twice in the series")
        elif not isinstance(value, str):
            yield mark.finding("schema.value", f"series.{name} must be a list of plain values")
        else:
            try:
                accept(name, value, choose, settings)
            except UsageError as error:
                yield mark.finding("choices.series", str(error))
