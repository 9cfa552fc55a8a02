"""What a block is given for its parameters: each value is checked as `choose` checks its own."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.errors import Finding, FindingsError, UnitError, UsageError, nearest
from labctl.recipe.blocks import Parameter
from labctl.recipe.choices import accept, same_dimension
from labctl.source import Document, Mark, Node, Place, validate
from labctl.units import dimension_of


def arguments_of(document: Document, place: Place, given: Mapping[str, str]) -> dict[str, str]:
    """Resolve the parameters of the block that is used at a place, `given` first, then defaults.

    Raises:
        FindingsError: a parameter that cannot be read; an argument that is unknown, missing, or
            not of the parameter's kind.
    """
    declared: Place = (*place, "parameters")
    rows = document.mapping(declared) if document.has(declared) else {}
    settings: dict[str, str] = {}
    findings: list[Finding] = []
    for name in rows:
        parameter = validate(Parameter, document, (*declared, name))
        if parameter.default is not None:
            settings[name] = parameter.default
            mark = document.mark((*declared, name, "default"))
            findings += _fits(rows, settings, name, parameter.default, mark, "choices.default")
        elif name not in given:
            message = f"{place[-1]} needs the argument {name!r}: `with: {{{name}: ...}}`"
            findings.append(document.key_mark(place).finding("choices.argument", message))
    for name, value in given.items():
        if name not in rows:
            message = f"the block has no parameter {name!r}{nearest(name, rows)}"
            mark = document.key_mark((*place, "with", name))
            findings.append(mark.finding("names.unknown_argument", message))
            continue
        mark = document.mark((*place, "with", name))
        findings += _fits(rows, settings, name, value, mark, "choices.argument")
        settings[name] = value
    if findings:
        raise FindingsError(findings)
    return settings


def _fits(
    rows: Mapping[str, Node], settings: Mapping[str, str], name: str, value: str, mark: Mark,
    rule: str,
) -> list[Finding]:  # fmt: skip
    """Say why a value is not of its parameter's kind; nothing if it is."""
    try:
        accept(name, value, rows, settings)
        if name in settings and not {"one_of", "range"} & set(rows[name]):
            _same_kind(name, value, settings[name])
    except UsageError as error:
        return [mark.finding(rule, str(error))]
    return []


def _same_kind(name: str, value: str, written: str) -> None:
    """Refuse a value of another kind than the default: a quantity of its dimension, or a number.

    Raises:
        UsageError: a value of another kind.
    """
    try:
        dimension_of(written)
    except UnitError as error:
        if error.rule == "units.bare_number" and not _is_number(value):
            raise UsageError(f"{name} is {value!r}; a number is expected") from None
        return
    same_dimension(name, value, written)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
