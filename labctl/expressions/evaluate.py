"""Tree -> closure; unknown (None) follows Kleene through `and`, `or`, `not`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Protocol

from labctl.expressions.tree import Call, Evaluate, Name, Not, Number, Tree, Value

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


class Environment(Protocol):
    """What names and functions mean where the condition is asked."""

    def name(self, name: str) -> Evaluate:
        """Return how to read a signal now; the reader gives None for unknown."""
        ...

    def call(self, call: Call, compile_: Callable[[Tree], Evaluate]) -> Evaluate:
        """Return how to evaluate a function."""
        ...


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
    if tree.operator in COMPARISONS and isinstance(tree.right, Number):
        return _limit(COMPARISONS[tree.operator], compile_(tree.left), tree.right.value)
    return _binary(tree.operator, compile_(tree.left), compile_(tree.right))


def _negation(operand: Evaluate) -> Evaluate:
    def evaluate() -> Value:
        value = operand()
        return None if value is None else not value

    return evaluate


def _limit(compare: Callable[[float, float], bool], left: Evaluate, limit: float) -> Evaluate:
    """Compare with a constant: most rules do, and after every sample."""

    def evaluate() -> Value:
        value = left()
        return None if value is None else compare(value, limit)

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
