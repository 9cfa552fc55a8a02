"""The tree of a condition: numbers, signals, functions, operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Value = float | bool | None
Evaluate = Callable[[], Value]

COMPARISON_SIGNS = ("<=", ">=", "==", "!=", "<", ">")


@dataclass(frozen=True, slots=True)
class Number:
    """A number, with a dimension unless it is a plain count."""

    value: float
    dimension: str
    text: str


@dataclass(frozen=True, slots=True)
class Name:
    """A signal, dotted."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of trees; names among the arguments may mean the thing itself."""

    function: str
    arguments: tuple[Tree, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`: arithmetic, comparison, `and`, `or`."""

    operator: str
    left: Tree
    right: Tree
    offset: int


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`."""

    operand: Tree


Tree = Number | Name | Call | Binary | Not


def names_in(tree: Tree) -> list[str]:
    """List the signals a condition reads, in order, each once; function arguments included.

    >>> from labctl.expressions.parse import parse_condition
    >>> names_in(parse_condition("abs(flask.T - flask.T2) < 8 K and trap.cold"))
    ['flask.T', 'flask.T2', 'trap.cold']
    """
    return list(dict.fromkeys(node.name for node in walk(tree) if isinstance(node, Name)))


def walk(tree: Tree) -> Iterator[Tree]:
    """Yield a tree and all its parts, outermost first."""
    yield tree
    if isinstance(tree, Binary):
        yield from walk(tree.left)
        yield from walk(tree.right)
    elif isinstance(tree, Call):
        for argument in tree.arguments:
            yield from walk(argument)
    elif isinstance(tree, Not):
        yield from walk(tree.operand)
