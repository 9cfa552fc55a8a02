"""Changes single values of a rig file; comments and layout stay as their author left them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from labctl.rig.devices import calibrations
from labctl.rig.load import rig_of
from labctl.source import Document, Place, compose


def with_values(document: Document, place: Place, words: Mapping[str, str]) -> str:
    """Return a document's text with some keys of the mapping at a place set, each to YAML text.

    A key that is there keeps its place; a new one comes last. A mapping that is missing is written
    in braces as the last key of the one it belongs to, which must be there.

    Raises:
        FindingsError: something else than a mapping stands there.

    >>> text = "a: {b: 1, c: 2}  # why"
    >>> with_values(compose(text), ("a",), {"c": "3", "d": "4"})
    'a: {b: 1, c: 3, d: 4}  # why'
    >>> with_values(compose(text), ("a", "e"), {"f": "5"})
    'a: {b: 1, c: 2, e: {f: 5}}  # why'
    """
    if not document.has(place):
        inner = ", ".join(f"{key}: {value}" for key, value in words.items())
        return with_values(document, place[:-1], {str(place[-1]): f"{{{inner}}}"})
    document.mapping(place)
    changes = [(*document.span((*place, key)), words[key])
               for key in words if document.has((*place, key))]  # fmt: skip
    missing = {key: value for key, value in words.items() if not document.has((*place, key))}
    if missing:
        changes.append(_added(document, place, missing))
    text = document.text
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _added(document: Document, place: Place, words: Mapping[str, str]) -> tuple[int, int, str]:
    """Return where new keys go into a mapping, in braces or in lines, and as what."""
    start, _ = document.span(place)
    entries = [f"{key}: {value}" for key, value in words.items()]
    last = [*document.mapping(place)][-1:]
    if document.text[start] == "{":
        at = document.span((*place, last[0]))[1] if last else start + 1
        return at, at, "".join(f", {entry}" for entry in entries) if last else ", ".join(entries)
    at = document.span((*place, last[0]))[1]
    at = len(document.text) if (line_end := document.text.find("\n", at)) < 0 else line_end
    indent = " " * (document.mark(place).column - 1)
    return at, at, "".join(f"\n{indent}{entry}" for entry in entries)


def in_date(document: Document, today: dt.date) -> str:
    """Return a rig file's text with its cut-outs as tested today, its calibrations due in a year.

    For a copy whose instruments are simulated: they have nothing that could be overdue.
    """
    model = rig_of(document).model
    spans = {document.span(("cutouts", name, "tested")): today for name in model.cutouts}
    later = today + dt.timedelta(days=365)
    kept = [*(("devices", *row) for row in model.devices.items()),
            *(("vessels", *row) for row in model.vessels.items())]  # fmt: skip
    for kind, name, entry in kept:
        for part, due in calibrations(entry):
            if due.due is not None:
                spans[document.span((kind, name, *part, "due"))] = later
    text = document.text
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]}{spans[start, end]}{text[end:]}"
    return text


def write_rig(path: Path, text: str) -> None:
    """Write a rig file whole or not at all, once it is seen to be a good one.

    Raises:
        FindingsError: the text is no rig that could be loaded; nothing is written.
    """
    rig_of(compose(text, str(path)))
    target = path.resolve()
    beside = target.with_name(f".{target.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(target.stat().st_mode)
    beside.replace(target)
