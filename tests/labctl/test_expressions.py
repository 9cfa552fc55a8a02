"""Conditions read as chemists write them, know their dimensions, and keep unknown unknown."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ExpressionError
from labctl.expressions import check_dimensions, compile_tree, names_in, parse_condition

DIMENSIONS = {"flask.T": "temperature", "flask.T2": "temperature", "flask.P": "pressure"}


class Table:
    def __init__(self, **values):
        self.values = {name.replace("__", "."): value for name, value in values.items()}

    def name(self, name):
        return lambda: self.values.get(name)

    def call(self, call, compile_):
        inner = [compile_(argument) for argument in call.arguments]
        if call.function == "abs":
            return lambda: None if inner[0]() is None else abs(inner[0]())
        return lambda: all(part() for part in inner)


def value(text, **values):
    return compile_tree(parse_condition(text), Table(**values))()


def test_the_interlocks_of_a_rig_evaluate():
    assert value("flask.T < 345 C", flask__T=344.0) is True
    assert value("abs(flask.T - flask.T2) < 8 K", flask__T=100.0, flask__T2=110.0) is False
    assert value("flask.P < ambient + 60 mbar", flask__P=1060.0, ambient=1005.0) is True
    assert value("flask.P < 15 mbar and trap.cold", flask__P=14.0, trap__cold=None) is None
    assert value("flask.P < 15 mbar and trap.cold", flask__P=16.0, trap__cold=None) is False
    assert value("100 mTorr < line.P", line__P=0.2) is True


def test_kleene_tables():
    kleene_and = {
        (a, b): False if False in (a, b) else None if None in (a, b) else True
        for a, b in itertools.product((True, False, None), repeat=2)
    }
    for (a, b), expected in kleene_and.items():
        assert value("a and b", a=a, b=b) is expected
        negated = None if expected is None else not expected
        assert value("not a or not b", a=a, b=b) is negated


@pytest.mark.parametrize(
    "text",
    ["flask.T < 345 mbar", "flask.T < 345", "flask.P > flask.T", "flask.T < 8 K"],
)
def test_sides_that_do_not_fit_are_refused(text):
    with pytest.raises(ExpressionError):
        check_dimensions(parse_condition(text), DIMENSIONS.__getitem__)


def test_a_difference_of_temperatures_is_compared_in_kelvin():
    tree = parse_condition("abs(flask.T - flask.T2) < 8 K")
    assert check_dimensions(tree, DIMENSIONS.__getitem__) == "truth"


@pytest.mark.parametrize(
    ("text", "offset"), [("flask.T <", 9), ("flask.T < 3 furlong", 10), ("(a", 2), ("a ? b", 2)]
)
def test_errors_point(text, offset):
    with pytest.raises(ExpressionError) as caught:
        parse_condition(text)
    assert caught.value.offset == offset


@given(st.text(alphabet="abT.<>=()+-*/,0123456789 andornotCK", max_size=40))
def test_any_text_parses_or_is_refused(text):
    try:
        tree = parse_condition(text)
    except ExpressionError:
        return
    assert isinstance(names_in(tree), list)
