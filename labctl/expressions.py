"""The small language of conditions: parsed to a tree, typed by dimension, three-valued; no eval.

    flask.T < 345 C                abs(flask.T - flask.T2) < 8 K
    closed(line_1, line_2)         open(vac_fine) and trap.cold
    token(injection) or token(quench)

Unknown (None) is neither true nor false: `and`, `or`, `not` follow Kleene. Who asks decides what
unknown means; an interlock counts it as violated.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from labctl.errors import ExpressionError, UnitError
from labctl.units import CANONICAL, dimension_of, parse

Value = float | bool | None
Evaluate = Callable[[], Value]


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


class Environment(Protocol):
    """What names and functions mean where the condition is asked."""

    def name(self, name: str) -> Evaluate:
        """Return how to read a signal now; the reader gives None for unknown."""
        ...

    def call(self, call: Call, compile_: Callable[[Tree], Evaluate]) -> Evaluate:
        """Return how to evaluate a function."""
        ...


COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?)(?:\s*(?P<unit>[°µμ%A-Za-z]+(?:/[A-Za-z]+)?))?"
    r"|(?P<name>[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*)"
    r"|(?P<op><=|>=|==|!=|[<>+\-*/(),]))"
)
_WORDS = frozenset({"and", "or", "not"})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int
    unit: str = ""


def parse_condition(text: str) -> Tree:
    """Parse a condition.

    >>> parse_condition("flask.T < 345 C").operator
    '<'

    Raises:
        ExpressionError: not in the grammar, or an unknown unit; says where.
    """
    parser = _Parser(text, list(_tokens(text)))
    tree = parser.disjunction()
    parser.end()
    return tree


def names_in(tree: Tree) -> list[str]:
    """List the signals a condition reads, in order, each once; function arguments included.

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


def compile_tree(tree: Tree, environment: Environment) -> Evaluate:
    """Compile a condition to a closure that evaluates it now."""

    def compile_(part: Tree) -> Evaluate:
        return compile_tree(part, environment)

    if isinstance(tree, Number):
        value = tree.value
        return lambda: value
    if isinstance(tree, Name):
        return environment.name(tree.name)
    if isinstance(tree, Call):
        return environment.call(tree, compile_)
    if isinstance(tree, Not):
        return _negation(compile_(tree.operand))
    return _binary(tree.operator, compile_(tree.left), compile_(tree.right))


def check_dimensions(tree: Tree, dimension_of_name: Callable[[str], str]) -> str:
    """Return the dimension of a tree ("" for a count, "truth" for a condition).

    Raises:
        ExpressionError: two sides that cannot be compared, added or joined.
    """
    if isinstance(tree, Number):
        return tree.dimension
    if isinstance(tree, Name):
        return dimension_of_name(tree.name)
    if isinstance(tree, Not):
        check_dimensions(tree.operand, dimension_of_name)
        return "truth"
    if isinstance(tree, Call):
        return _call_dimension(tree, dimension_of_name)
    left = check_dimensions(tree.left, dimension_of_name)
    right = check_dimensions(tree.right, dimension_of_name)
    return _joined(tree, left, right)


def _call_dimension(call: Call, dimension_of_name: Callable[[str], str]) -> str:
    if call.function in {"abs", "max"} and call.arguments:
        return check_dimensions(call.arguments[0], dimension_of_name)
    return {"age": "time", "rate": "any", "count_open": ""}.get(call.function, "truth")


def _joined(tree: Binary, left: str, right: str) -> str:
    if tree.operator in {"and", "or"}:
        return "truth"
    kinds = {left, right}
    if "any" in kinds or "truth" in kinds:
        return "truth" if tree.operator in COMPARISONS else (kinds - {"any"} or {"any"}).pop()
    if kinds == {"temperature", "temperature difference"} and tree.operator in {"+", "-"}:
        return "temperature"
    if tree.operator in {"*", "/"}:
        return left or right
    if left != right:
        message = (
            f"cannot put {_said(left)} and {_said(right)} on the two sides of {tree.operator!r}"
        )
        raise ExpressionError(message, tree.offset)
    if tree.operator in COMPARISONS:
        return "truth"
    return "temperature difference" if left == "temperature" else left


def _said(dimension: str) -> str:
    return f"a {dimension} ({CANONICAL[dimension]})" if dimension in CANONICAL else "a plain number"


def _negation(operand: Evaluate) -> Evaluate:
    def evaluate() -> Value:
        value = operand()
        return None if value is None else not value

    return evaluate


def _binary(symbol: str, left: Evaluate, right: Evaluate) -> Evaluate:
    if symbol in {"and", "or"}:
        return _junction(left, right, settles=symbol == "or")
    apply: Callable[[float, float], Value] = (COMPARISONS | _ARITHMETIC)[symbol]  # type: ignore[operator]

    def evaluate() -> Value:
        a, b = left(), right()
        if a is None or b is None:
            return None
        return apply(a, b) if b or symbol != "/" else None

    return evaluate


def _junction(left: Evaluate, right: Evaluate, *, settles: bool) -> Evaluate:
    """Kleene `and` (a false side settles it) or `or` (a true side settles it)."""

    def evaluate() -> Value:
        a = left()
        if a is not None and bool(a) is settles:
            return settles
        b = right()
        if b is not None and bool(b) is settles:
            return settles
        return None if a is None or b is None else not settles

    return evaluate


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            offset = at + len(text[at:]) - len(text[at:].lstrip())
            message = f"{text!r}: {text[offset]!r} is not part of a condition"
            raise ExpressionError(message, offset)
        kind = match.lastgroup or ""
        unit = match["unit"] or ""
        at = match.end()
        if unit in _WORDS:
            at, unit = match.start("unit"), ""
        kind = "number" if match["number"] else kind
        yield _Token(kind, match[kind], match.start(kind), unit)


class _Parser:
    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0

    def disjunction(self) -> Tree:
        return self._chain({"or"}, self._conjunction)

    def end(self) -> None:
        token = self._peek()
        if token is not None:
            raise self._error(f"nothing was expected at {token.text!r}", token.offset)

    def _conjunction(self) -> Tree:
        return self._chain({"and"}, self._negation)

    def _negation(self) -> Tree:
        token = self._peek()
        if token is not None and token.text == "not":
            self._at += 1
            return Not(self._negation())
        return self._comparison()

    def _comparison(self) -> Tree:
        left = self._sum()
        token = self._peek()
        if token is None or token.text not in COMPARISONS:
            return left
        self._at += 1
        return Binary(token.text, left, self._sum(), token.offset)

    def _sum(self) -> Tree:
        return self._chain({"+", "-"}, self._product)

    def _product(self) -> Tree:
        return self._chain({"*", "/"}, self._atom)

    def _chain(self, operators: set[str], part: Callable[[], Tree]) -> Tree:
        tree = part()
        while (token := self._peek()) is not None and token.text in operators:
            self._at += 1
            tree = Binary(token.text, tree, part(), token.offset)
        return tree

    def _atom(self) -> Tree:
        token = self._peek()
        if token is None:
            raise self._error("the condition ends too early", len(self._text))
        self._at += 1
        if token.kind == "number":
            return self._number(token)
        if token.text == "(":
            tree = self.disjunction()
            self._expect(")")
            return tree
        if token.kind == "name" and token.text not in _WORDS:
            return self._name(token)
        raise self._error(f"{token.text!r} cannot stand here", token.offset)

    def _name(self, token: _Token) -> Tree:
        following = self._peek()
        if following is None or following.text != "(":
            return Name(token.text, token.offset)
        self._at += 1
        arguments: list[Tree] = []
        while (following := self._peek()) is not None and following.text != ")":
            arguments.append(self.disjunction())
            following = self._peek()
            if following is not None and following.text == ",":
                self._at += 1
        self._expect(")")
        return Call(token.text, tuple(arguments), token.offset)

    def _number(self, token: _Token) -> Number:
        if not token.unit:
            return Number(float(token.text), "", token.text)
        text = f"{token.text} {token.unit}"
        try:
            quantity = parse(text, dimension_of(text))
        except UnitError as error:
            raise self._error(str(error), token.offset) from None
        return Number(quantity.value, quantity.dimension, text)

    def _expect(self, symbol: str) -> None:
        token = self._peek()
        if token is None or token.text != symbol:
            got = "the end" if token is None else repr(token.text)
            offset = len(self._text) if token is None else token.offset
            raise self._error(f"{symbol!r} was expected, not {got}", offset)
        self._at += 1

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _error(self, message: str, offset: int) -> ExpressionError:
        return ExpressionError(f"{self._text!r}: {message}", offset)
