"""`choose`, `by` tables, `assumed` and `$name`: which text stands for which value."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.errors import Finding, FindingsError, UnitError, UsageError, nearest
from labctl.source import Document, Node, Place
from labctl.units import dimension_of, parse, parse_range


def settings_of(document: Document, given: Mapping[str, str]) -> dict[str, str]:
    """Resolve all choices and assumed values, `given` first, then defaults.

    Raises:
        FindingsError: a choice in the file that cannot be read.
        UsageError: a given name that is not settable, or a value that is not allowed.
    """
    choose = _section(document, "choose")
    assumed = _section(document, "assumed")
    settings: dict[str, str] = {}
    findings: list[Finding] = []
    for name, row in choose.items():
        if isinstance(row, dict) and "by" not in row:
            findings += _default(document, name, row, settings)
    for name, row in assumed.items():
        if isinstance(row, dict) and isinstance(row.get("value"), str):
            settings[name] = str(row["value"])
    if findings:
        raise FindingsError(findings)
    for name, value in given.items():
        accept(name, value, choose, settings)
        settings[name] = value
    findings = _tables(document, choose, settings)
    if findings:
        raise FindingsError(findings)
    return settings


def substituted(
    document: Document, node: Node, place: Place, settings: Mapping[str, str],
    known: str = "neither chosen nor assumed",
) -> Node:  # fmt: skip
    """Return a node with every `$name` replaced by its value.

    Raises:
        FindingsError: a name that has no value; `known` says what it is not.
    """
    if not _chosen(node):
        return node
    if isinstance(node, dict):
        return {k: substituted(document, v, (*place, k), settings, known) for k, v in node.items()}
    if isinstance(node, list):
        return [substituted(document, v, (*place, n), settings, known) for n, v in enumerate(node)]
    return " ".join(_word(document, word, place, settings, known) for word in node.split(" "))


def _chosen(node: Node) -> bool:
    """Say whether a `$` stands in a node; few have one, and looking is cheap."""
    if isinstance(node, dict):
        return any(map(_chosen, node.values()))
    return any(map(_chosen, node)) if isinstance(node, list) else "$" in node


def _word(
    document: Document, word: str, place: Place, settings: Mapping[str, str], known: str
) -> str:
    if not word.startswith("$"):
        return word
    name = word[1:]
    if name not in settings:
        message = f"{word} is {known}{nearest(name, settings)}"
        raise FindingsError([document.mark(place).finding("names.unknown_choice", message)])
    return settings[name]


def _section(document: Document, key: str) -> dict[str, Node]:
    return document.mapping((key,)) if document.at((key,)) != "" else {}


def _default(
    document: Document, name: str, row: dict[str, Node], settings: dict[str, str]
) -> list[Finding]:
    default = row.get("default")
    unknown = set(row) - {"default", "one_of", "range"}
    mark = document.key_mark(("choose", name))
    if unknown:
        extra = sorted(unknown)[0]
        hint = nearest(extra, ("default", "one_of", "range", "by"))
        message = f"unknown key {extra!r} in choose.{name}{hint}"
        mark = document.key_mark(("choose", name, extra))
        return [mark.finding("schema.unknown_key", message)]
    if not isinstance(default, str):
        return [mark.finding("schema.missing_key", f"choose.{name} needs a `default`")]
    try:
        accept(name, default, {name: row}, {name: default})
    except UsageError as error:
        at = document.mark(("choose", name, "default"))
        return [at.finding("choices.default", str(error))]
    settings[name] = default
    return []


def accept(name: str, value: str, choose: Mapping[str, Node], settings: Mapping[str, str]) -> None:
    """Refuse a value that cannot be set, or is not allowed.

    `choose` are the rows by name; what only `settings` has is assumed, and keeps its dimension.

    Raises:
        UsageError: no such name, one that follows from another, or a value that is not allowed.
    """
    row = choose.get(name)
    if row is None and name in settings:
        same_dimension(name, value, settings[name])
        return
    if not isinstance(row, dict):
        message = f"{name!r} cannot be set{nearest(name, [*choose, *settings])}"
        raise UsageError(message)
    if "by" in row:
        raise UsageError(f"{name!r} follows from {row['by']!r}; set that instead")
    allowed = row.get("one_of")
    if isinstance(allowed, list) and value not in allowed:
        raise UsageError(f"{name} is {value!r}; it is one of {', '.join(map(str, allowed))}")
    span = row.get("range")
    if isinstance(span, str):
        _within(name, value, span)


def same_dimension(name: str, value: str, written: str) -> None:
    """Refuse a value of another dimension than the one that is written.

    Raises:
        UsageError: another dimension, or no quantity.
    """
    try:
        parse(value, dimension_of(written))
    except UnitError as error:
        raise UsageError(f"{name}: {error}") from None


def _within(name: str, value: str, span: str) -> None:
    try:
        dimension = dimension_of(span.partition("..")[0].strip())
        low, high = parse_range(span, dimension)
        quantity = parse(value, dimension)
    except UnitError as error:
        raise UsageError(f"{name}: {error}") from None
    if not low.value <= quantity.value <= high.value:
        raise UsageError(f"{name} is {value}; it must lie in {span}")


def _tables(
    document: Document, choose: Mapping[str, Node], settings: dict[str, str]
) -> list[Finding]:
    findings = []
    for name, row in choose.items():
        if not isinstance(row, dict) or "by" not in row:
            continue
        key = settings.get(str(row["by"]))
        mark = document.key_mark(("choose", name))
        if key is None:
            message = f"choose.{name} goes by {row['by']!r}, which is not chosen before"
            findings.append(mark.finding("names.unknown_choice", message))
        elif not isinstance(row.get(key), str):
            message = f"choose.{name} has no row for {row['by']} = {key}"
            findings.append(mark.finding("choices.no_row", message))
        else:
            settings[name] = str(row[key])
    return findings
