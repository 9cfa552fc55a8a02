"""YAML with a place for everything: composed with line marks, so that every error can point.

Scalars stay the text the author wrote; our own models give them types, so `on`, `1:30` or `1e-1`
never become something else. Duplicate keys, huge files, deep nesting and alias bombs are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from labctl.errors import Finding, FindingsError, Severity, nearest

Node = str | list["Node"] | dict[str, "Node"]
Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
_TOO_DEEP = re.compile(r"(?m)^[ \-?:]{200,}|[\[{][\s\[{]{60,}")
_MAX_DEPTH = 60


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file: line and column count from 1; `used` is where a block is used from."""

    file: str
    line: int = 1
    column: int = 1
    used: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}, used in {self.used}" if self.used else place

    def finding(self, rule: str, message: str, severity: Severity = Severity.ERROR) -> Finding:
        """Make a finding that points here."""
        said = f"{message} (used in {self.used})" if self.used else message
        return Finding(rule, severity, self.file, self.line, self.column, said)


class Elsewhere(yaml.Mark):
    """The mark of a node that was grafted into a document: it keeps its own file and place."""

    def __init__(self, mark: Mark) -> None:
        super().__init__(mark.file, 0, mark.line - 1, mark.column - 1, None, 0)
        self.used = mark.used


@dataclass(frozen=True, slots=True)
class Document:
    """A composed file: the tree as the author wrote it; where each part stands is looked up.

    Documents of the same file are equal, so that steps are compared by what they say.
    """

    file: str
    text: str = field(compare=False)
    tree: Node = field(compare=False)
    root: yaml.Node = field(compare=False, repr=False)

    def mark(self, place: Place) -> Mark:
        """Return the mark of the value at a place, or of the nearest part that contains it."""
        return mark_of(self.file, self._reach(place)[1])

    def key_mark(self, place: Place) -> Mark:
        """Return the mark of the key at a place, or else of its value."""
        key, value, _ = self._reach(place)
        return mark_of(self.file, key or value)

    def span(self, place: Place) -> tuple[int, int]:
        """Return where the value at a place begins and ends in the text, trailing space apart."""
        node = self._reach(place)[1]
        start, end = node.start_mark.index, node.end_mark.index
        return start, start + len(self.text[start:end].rstrip())

    def has(self, place: Place) -> bool:
        """Say whether something stands at a place."""
        return self._reach(place)[2]

    def _reach(self, place: Place) -> tuple[yaml.Node | None, yaml.Node, bool]:
        """Follow a place as far as it goes: key (if it ends at one), value, whether it is all."""
        key, node = None, self.root
        for step in place:
            inner = _inside(node, step)
            if inner is None:
                return None, node, False
            key, node = inner
        return key, node, True

    def mapping(self, place: Place = ()) -> dict[str, Node]:
        """Return the mapping at a place.

        Raises:
            FindingsError: something else stands there, or nothing.
        """
        node = self.at(place)
        if not isinstance(node, dict):
            name = ".".join(map(str, place)) or "the file"
            message = f"{name} must be a mapping of keys to values"
            raise FindingsError([self.mark(place).finding("schema.mapping", message)])
        return node

    def at(self, place: Place) -> Node:
        """Return the node at a place, or an empty text where there is none."""
        node = self.tree
        for step in place:
            if isinstance(node, dict):
                node = node.get(str(step), "")
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                node = node[step]
            else:
                return ""
        return node


def read(path: Path) -> Document:
    """Read and compose a file.

    Raises:
        FindingsError: missing, unreadable, too large, not UTF-8 text, not YAML, or a duplicate key.
    """
    file = str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise FindingsError([Mark(file).finding("file.unreadable", message)]) from None
    if len(data) > MAX_BYTES:
        message = f"is {len(data)} bytes long; the most allowed is {MAX_BYTES}"
        raise FindingsError([Mark(file).finding("file.too_large", message)])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text (byte {error.start})"
        raise FindingsError([Mark(file).finding("file.not_text", message)]) from None
    return compose(text, file)


def compose(text: str, file: str = "<text>") -> Document:
    """Compose a text into a tree with marks.

    Raises:
        FindingsError: empty, not YAML, too deep, too many nodes, or a duplicate key.
    """
    if _TOO_DEEP.search(text) or _flow_depth(text) > _MAX_DEPTH:
        message = f"is nested deeper than {_MAX_DEPTH} levels"
        raise FindingsError([Mark(file).finding("file.too_deep", message)])
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        mark = Mark(file, at.line + 1, at.column + 1) if at else Mark(file)
        message = f"is not YAML: {error.problem or error.context}"
        raise FindingsError([mark.finding("file.not_yaml", message)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        message = f"is not YAML: {str(error).splitlines()[0]}"
        raise FindingsError([Mark(file).finding("file.not_yaml", message)]) from None
    if root is None:
        raise FindingsError([Mark(file).finding("file.empty", "is empty; nothing to read")])
    return Document(file, text, _Builder(file).node(root, 0), root)


def rebuilt(document: Document, root: yaml.Node) -> Document:
    """Return a document with another root, which other files may have been grafted into.

    Raises:
        FindingsError: what it has become is too deep or has too many parts.
    """
    tree = _Builder(document.file).node(root, 0)
    return Document(document.file, document.text, tree, root)


def validate(
    model: type[Model], document: Document, place: Place, node: Node | None = None
) -> Model:
    """Give the node at a place its types.

    Raises:
        FindingsError: every field that does not fit, each with its place and the nearest known key.
    """
    try:
        return model.model_validate(document.at(place) if node is None else node)
    except ValidationError as error:
        found = [_explain(details, model, document, place) for details in error.errors()]
        raise FindingsError(found) from None


def collect(attempts: Iterable[Callable[[], object]]) -> None:
    """Run all attempts and raise what they found together, so that a file is mended in one go.

    Raises:
        FindingsError: at least one attempt found something.
    """
    findings: list[Finding] = []
    for attempt in attempts:
        try:
            attempt()
        except FindingsError as error:
            findings += error.findings
    if findings:
        raise FindingsError(findings)


def _inside(node: yaml.Node, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def mark_of(file: str, node: yaml.Node) -> Mark:
    """Return where a node stands: in the document's file, or where it was grafted from."""
    start = node.start_mark
    if isinstance(start, Elsewhere):
        return Mark(start.name, start.line + 1, start.column + 1, start.used)
    return Mark(file, start.line + 1, start.column + 1)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes without guessing types: half of the time goes into tags that nobody reads."""

    def resolve(self, kind: object, value: object, implicit: object) -> str:
        """Give every node the same tag."""
        return "tag:yaml.org,2002:str"


class _Builder:
    """Turns composed nodes into the plain tree, counting them."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0

    def node(self, node: yaml.Node, depth: int) -> Node:
        """Return the tree under a node that is so deep in its document."""
        self._count += 1
        if self._count > MAX_NODES:
            message = f"has more than {MAX_NODES} parts once its aliases are followed"
            raise self._refused(node, "file.too_many_parts", message)
        if depth > _MAX_DEPTH:
            message = f"is nested deeper than {_MAX_DEPTH} levels"
            raise self._refused(node, "file.too_deep", message)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self.node(item, depth + 1) for item in node.value]
        return str(node.value)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Node]:
        mapping: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refused(key, "schema.key", "a key must be a plain word")
            name = str(key.value)
            if name in mapping:
                first = next(other for other, _ in node.value if other.value == name)
                line = first.start_mark.line + 1
                message = f"key {name!r} is given twice; the first is in line {line}"
                raise self._refused(key, "schema.duplicate_key", message)
            mapping[name] = self.node(value, depth)
        return mapping

    def _refused(self, node: yaml.Node, rule: str, message: str) -> FindingsError:
        return FindingsError([mark_of(self._file, node).finding(rule, message)])


def _flow_depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = max(0, depth + (1 if bracket in "[{" else -1))
        deepest = max(deepest, depth)
    return deepest


def _explain(
    details: ErrorDetails, model: type[BaseModel], document: Document, place: Place
) -> Finding:
    """Say a pydantic error as a sentence with a place; its own wording never reaches a user."""
    loc = details["loc"]
    where = (*place, *_real(loc, document, place))
    name = ".".join([part for part in where if isinstance(part, str)][-2:]) or "the file"
    kind = details["type"]
    if kind == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        message = (
            f"unknown key {loc[-1]!r}{nearest(str(loc[-1]), known)}; known: {', '.join(known)}"
        )
        return document.key_mark(where).finding("schema.unknown_key", message)
    if kind == "missing":
        rule, message = _missing(str(loc[-1]), place)
        return document.key_mark(where[:-1] if where[-1:] == loc[-1:] else where).finding(
            rule, message
        )
    if "." in kind:
        return document.mark(where).finding(kind, f"{name}: {details['msg']}")
    reason = details["msg"][:1].lower() + details["msg"][1:].replace("Input ", "it ")
    message = f"{name}: {document.at(where)!r} does not fit: {reason}"
    return document.mark(where).finding("schema.value", message)


def _missing(name: str, place: Place) -> tuple[str, str]:
    owner = str(place[-1]) if place else "the file"
    if name in {"timeout", "at_most"}:
        return (
            "bounds.no_limit",
            f"{owner} needs {name!r}: nothing may wait or repeat without a bound",
        )
    return "schema.missing_key", f"{owner} needs the key {name!r}"


def _real(loc: Sequence[int | str], document: Document, place: Place) -> Place:
    """Keep the parts of a pydantic location that exist in the file; unions add their own."""
    kept: Place = ()
    for part in loc:
        longer = (*place, *kept, part)
        if document.has(longer) or part == loc[-1]:
            kept = (*kept, part)
    return kept


def _known_keys(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    current: object = model
    for part in loc:
        fields: Mapping[str, object] = getattr(current, "model_fields", {})
        step = fields.get(str(part))
        if step is None:
            continue
        current = _model_in(getattr(step, "annotation", None)) or current
    found = getattr(current, "model_fields", {})
    return sorted(info.alias or name for name, info in found.items() if not name.startswith("_"))


def _model_in(annotation: object) -> object | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
