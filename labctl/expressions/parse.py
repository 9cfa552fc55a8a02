"""Text -> tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labctl.errors import ExpressionError, UnitError
from labctl.expressions.tree import COMPARISON_SIGNS, Binary, Call, Name, Not, Number, Tree
from labctl.units import dimension_of, parse

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
        if token is None or token.text not in COMPARISON_SIGNS:
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
