"""Whether the sides of a condition can be compared at all."""

from __future__ import annotations

from collections.abc import Callable

from labctl.errors import ExpressionError
from labctl.expressions.tree import COMPARISON_SIGNS, Binary, Call, Name, Not, Number, Tree
from labctl.units import CANONICAL

RATES = {
    "temperature": "temperature rate",
    "temperature difference": "temperature rate",
    "pressure": "pressure rate",
    "wavelength": "wavelength rate",
    "volume": "volume rate",
}
DIFFERENCES = {"temperature": "temperature difference"}
FORMS = {
    "abs": "abs(SIGNAL)",
    "max": "max(SIGNAL, 5 s) or max(SIGNAL, SIGNAL)",
    "rate": "rate(SIGNAL, 60 s)",
    "stable": "stable(SIGNAL, 0.5 K, 120 s)",
}


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
    if call.function in {"abs", "max", "rate", "stable"}:
        return _windowed(call, [check_dimensions(a, dimension_of_name) for a in call.arguments])
    return {"age": "time", "count_open": ""}.get(call.function, "truth")


def _windowed(call: Call, of: list[str]) -> str:
    """`abs(x)`, `max(x, y)`, `max(x, TIME)`, `rate(x, TIME)`, `stable(x, SPREAD, TIME)`.

    Raises:
        ExpressionError: an argument is missing, or of another dimension.
    """
    name = call.function
    wanted = {"abs": 1, "rate": 2, "stable": 3}.get(name, len(of))
    timed = name in {"rate", "stable"} and of[-1:] != ["time"]
    if not of or len(of) != wanted or timed:
        raise ExpressionError(f"write {FORMS[name]}", call.offset)
    if name == "rate":
        return RATES.get(of[0], "any")
    if name == "stable":
        spread = DIFFERENCES.get(of[0], of[0])
        if "any" not in of[:2] and of[1] != spread:
            message = f"write {FORMS[name]}, the spread as {_said(spread)}"
            raise ExpressionError(message, call.offset)
        return "truth"
    return of[0]


def _joined(tree: Binary, left: str, right: str) -> str:
    if tree.operator in {"and", "or"}:
        return "truth"
    compares = tree.operator in COMPARISON_SIGNS
    if {"any", "truth"} & {left, right}:
        return "truth" if compares else left
    if compares:
        _must_be_alike(tree, left, right)
        return "truth"
    return left or right if tree.operator in {"*", "/"} else _added(tree, left, right)


def _added(tree: Binary, left: str, right: str) -> str:
    """A temperature and a difference give a temperature; two temperatures give a difference."""
    if {left, right} == {"temperature", "temperature difference"}:
        return "temperature"
    _must_be_alike(tree, left, right)
    return "temperature difference" if left == "temperature" else left


def _must_be_alike(tree: Binary, left: str, right: str) -> None:
    """Refuse two sides of different dimensions.

    Raises:
        ExpressionError: they differ.
    """
    if left != right:
        message = (
            f"cannot put {_said(left)} and {_said(right)} on the two sides of {tree.operator!r}"
        )
        raise ExpressionError(message, tree.offset)


def _said(dimension: str) -> str:
    return f"a {dimension} ({CANONICAL[dimension]})" if dimension in CANONICAL else "a plain number"
