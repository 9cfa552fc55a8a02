"""The small language of conditions: parsed to a tree, typed by dimension, three-valued; no eval.

    flask.T < 345 C                abs(flask.T - flask.T2) < 8 K
    closed(line_1, line_2)         open(vac_fine) and trap.cold
    token(injection) or token(quench)

Unknown (None) is neither true nor false: `and`, `or`, `not` follow Kleene. Who asks decides what
unknown means; an interlock counts it as violated.
"""

from labctl.expressions.dimensions import check_dimensions
from labctl.expressions.evaluate import Environment, compile_tree
from labctl.expressions.parse import parse_condition
from labctl.expressions.tree import (
    Binary,
    Call,
    Evaluate,
    Name,
    Not,
    Number,
    Tree,
    Value,
    names_in,
    walk,
)

__all__ = [
    "Binary",
    "Call",
    "Environment",
    "Evaluate",
    "Name",
    "Not",
    "Number",
    "Tree",
    "Value",
    "check_dimensions",
    "compile_tree",
    "names_in",
    "parse_condition",
    "walk",
]
