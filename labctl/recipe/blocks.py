"""`blocks` and `use`: steps written once, with parameters, and grafted in wherever they are used.

Grafting happens on the composed file, before anything is typed: a `use` then holds the parameters
and the steps of its block, each still knowing its own file and line. Whoever reads a recipe later,
checker, plan or engine, meets plain steps only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from labctl.errors import FindingsError, nearest
from labctl.fields import Name, Strict
from labctl.source import (
    MAX_NODES,
    Document,
    Elsewhere,
    Mark,
    compose,
    mark_of,
    read,
    rebuilt,
)

VERB = "use"
NESTED = ("steps", "then", "otherwise")
MOST_NESTED = 8
_IN_BLOCK = ("parameters", "steps")
_USED = re.compile(r"\b(use|blocks)\b")


class Parameter(Strict):
    """A value that a block is given: of the kind of its default, `one_of` several, or in a range.

    Without a default it must be given.
    """

    default: str | None = None
    one_of: tuple[str, ...] = ()
    range: str = ""


class Use(Strict):
    """The steps of a block stand here, with these values for its parameters.

    Exactly one of `block`, a name under `blocks`, and `recipe`, a file beside the recipe. The steps
    of the block are called `ID.N`, or `ID.NAME` where they have an id.
    """

    id: Name = ""
    block: Name = ""
    recipe: str = ""
    with_: dict[Name, str] = Field(default_factory=dict, alias="with")


class BlockFile(Strict):
    """A file with one block, `labctl: block/1`; its steps are checked where they are used."""

    labctl: Literal["block/1"]


class Files:
    """The files beside a recipe that it may use.

    `texts` holds what was read, by name; given beforehand, nothing is read from the disk.
    """

    def __init__(self, root: Path, texts: Mapping[str, str] | None = None) -> None:
        self.texts: dict[str, str] = dict(texts or {})
        self._root = root
        self._closed = texts is not None

    def document(self, name: str, mark: Mark) -> Document:
        """Read a file that is named at a mark, relative to the recipe.

        Raises:
            FindingsError: outside the recipe's directory, not there, or no YAML.
        """
        path = self._root / name
        try:
            if name not in self.texts:
                self.texts[name] = self._read(name, path, mark).text
            return compose(self.texts[name], str(path))
        except FindingsError as error:
            if any(found.file == mark.file for found in error.findings):
                raise
            said = f" (used in {mark})"
            found = [replace(found, message=found.message + said) for found in error.findings]
            raise FindingsError(found) from None

    def _read(self, name: str, path: Path, mark: Mark) -> Document:
        try:
            inside = path.resolve().is_relative_to(self._root.resolve())
            there = path.is_file() and not self._closed
        except (OSError, ValueError) as error:  # too long, or a character that no name may have
            raise FindingsError(
                [mark.finding("names.unknown_block", f"{name!r} is no file: {error}")]
            ) from None
        if not inside:
            raise FindingsError(
                [mark.finding("file.outside", f"{name} lies outside the recipe's directory")]
            )
        if not there:
            folder = sorted(path.parent.glob("*.yaml")) if path.parent.is_dir() else []
            known = [*self.texts, *(found.relative_to(self._root).as_posix() for found in folder)]
            message = f"there is no file {name!r}{nearest(name, known)}"
            raise FindingsError([mark.finding("names.unknown_block", message)])
        return read(path)


def grafted(document: Document, files: Files) -> Document:
    """Return a recipe's document in which every `use` holds what it uses.

    Raises:
        FindingsError: a block that is not there, is none, uses itself, or is too large.
    """
    if not _USED.search(document.text):
        return document
    return rebuilt(document, _Grafter(document, files).root())


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a `use` stands: the file, the blocks that it may name, and those it stands in."""

    file: str
    blocks: Mapping[str, yaml.Node]
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """A block that is named: what it is called in messages, its node, and its own scope."""

    name: str
    node: yaml.Node
    scope: _Scope


class _Grafter:
    """Walks the steps of a document and copies blocks into every `use`, counting what is copied."""

    def __init__(self, document: Document, files: Files) -> None:
        self._root = document.root
        self._files = files
        self._top = _Scope(document.file, _blocks(document))
        self._parts = 0

    def root(self) -> yaml.Node:
        """Return the root with everything grafted in."""

        def section(name: str, node: yaml.Node) -> yaml.Node:
            if name == "stages":
                return _mapped(node, lambda _, steps: self._steps(steps, self._top))
            return self._steps(node, self._top) if name == "finally" else node

        return _mapped(self._root, section)

    def _steps(self, node: yaml.Node, scope: _Scope) -> yaml.Node:
        if not isinstance(node, yaml.SequenceNode):
            return node
        steps = [self._step(step, scope) for step in node.value]
        return yaml.SequenceNode(node.tag, steps, node.start_mark, node.end_mark)

    def _step(self, node: yaml.Node, scope: _Scope) -> yaml.Node:
        if not isinstance(node, yaml.MappingNode) or len(node.value) != 1:
            return node
        ((verb, fields),) = node.value
        if verb.value == VERB and isinstance(fields, yaml.MappingNode):
            inner: yaml.Node = self._use(verb, fields, scope)
        else:
            inner = _mapped(
                fields, lambda key, value: self._steps(value, scope) if key in NESTED else value
            )
        return yaml.MappingNode(node.tag, [(verb, inner)], node.start_mark, node.end_mark)

    def _use(self, verb: yaml.Node, fields: yaml.MappingNode, scope: _Scope) -> yaml.MappingNode:
        mark = mark_of(scope.file, verb)
        for key, _ in fields.value:
            if key.value in _IN_BLOCK:
                message = f"unknown key {key.value!r}; that belongs to the block"
                raise FindingsError(
                    [mark_of(scope.file, key).finding("schema.unknown_key", message)]
                )
        found = self._found(_entries(fields), scope, mark)
        if found.name in scope.chain or len(scope.chain) >= MOST_NESTED:
            way = " > ".join((*scope.chain, found.name))
            why = "uses itself" if found.name in scope.chain else f"lies over {MOST_NESTED} deep"
            raise FindingsError([mark.finding("bounds.nested_use", f"{found.name} {why}: {way}")])
        block = self._copied(found.node, found.scope.file, mark)
        inner = replace(found.scope, chain=(*scope.chain, found.name))
        kept = [
            (key, self._steps(value, inner) if key.value == "steps" else value)
            for key, value in block.value
            if key.value in _IN_BLOCK
        ]
        return yaml.MappingNode(
            fields.tag, [*fields.value, *kept], fields.start_mark, fields.end_mark
        )

    def _found(self, given: Mapping[str, yaml.Node], scope: _Scope, mark: Mark) -> _Found:
        if len(given.keys() & {"block", "recipe"}) != 1:
            message = "use names a `block` of this file or a `recipe` beside it, one of them"
            raise FindingsError([mark.finding("schema.one_block", message)])
        if "recipe" in given:
            name = str(given["recipe"].value)
            document = self._files.document(name, mark_of(scope.file, given["recipe"]))
            _shaped(document.root, document.file, ("labctl", *_IN_BLOCK), str(mark))
            _headed(document, mark)
            return _Found(name, document.root, _Scope(document.file, {}))
        name = str(given["block"].value)
        if name not in scope.blocks:
            message = f"there is no block {name!r}{nearest(name, scope.blocks)}"
            raise FindingsError(
                [mark_of(scope.file, given["block"]).finding("names.unknown_block", message)]
            )
        return _Found(name, scope.blocks[name], replace(scope, chain=()))

    def _copied(self, node: yaml.Node, file: str, used: Mark) -> yaml.Node:
        """Copy a node with everything in it; the copy knows from where it is used.

        Raises:
            FindingsError: more parts than any recipe has.
        """
        self._parts += 1
        if self._parts > MAX_NODES:
            message = f"the blocks used have more than {MAX_NODES} parts"
            raise FindingsError([used.finding("file.too_many_parts", message)])
        mark = Elsewhere(replace(mark_of(file, node), used=str(used)))
        if isinstance(node, yaml.MappingNode):
            pairs = [tuple(self._copied(part, file, used) for part in pair) for pair in node.value]
            return yaml.MappingNode(node.tag, pairs, mark, node.end_mark)
        if isinstance(node, yaml.SequenceNode):
            items = [self._copied(item, file, used) for item in node.value]
            return yaml.SequenceNode(node.tag, items, mark, node.end_mark)
        return yaml.ScalarNode(node.tag, node.value, mark, node.end_mark)


def _blocks(document: Document) -> dict[str, yaml.Node]:
    """Return the blocks of a recipe by name.

    Raises:
        FindingsError: something that is no block.
    """
    if not document.has(("blocks",)):
        return {}
    document.mapping(("blocks",))  # a list of them is refused
    found = _entries(_entries(document.root)["blocks"])
    for block in found.values():
        _shaped(block, document.file, _IN_BLOCK)
    return found


def _shaped(node: yaml.Node, file: str, known: tuple[str, ...], used: str = "") -> None:
    """Refuse what is no block.

    Raises:
        FindingsError: no mapping, a key that a block has not, or no steps.
    """
    at = replace(mark_of(file, node), used=used)
    if not isinstance(node, yaml.MappingNode):
        raise FindingsError(
            [at.finding("schema.mapping", "a block is a mapping with `parameters` and `steps`")]
        )
    for key, _ in node.value:
        if key.value not in known:
            message = f"unknown key {key.value!r}{nearest(key.value, known)} in a block"
            unknown = replace(mark_of(file, key), used=used)
            raise FindingsError([unknown.finding("schema.unknown_key", message)])
    if "steps" not in _entries(node):
        raise FindingsError([at.finding("schema.missing_key", "a block needs the key 'steps'")])


def _headed(document: Document, used: Mark) -> None:
    if document.at(("labctl",)) != "block/1":
        at = replace(document.mark(("labctl",)), used=str(used))
        message = "a file of one block begins with `labctl: block/1`"
        raise FindingsError([at.finding("schema.value", message)])


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the values of a mapping by key; nothing of anything else."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value}


def _mapped(node: yaml.Node, change: Callable[[str, yaml.Node], yaml.Node]) -> yaml.Node:
    """Return a mapping with its values changed; anything else as it is."""
    if not isinstance(node, yaml.MappingNode):
        return node
    pairs = [(key, change(str(key.value), value)) for key, value in node.value]
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
