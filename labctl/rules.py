"""Interlocks as rig and recipe write them: conditions parsed once, with their text kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from labctl.errors import ExpressionError, UnitError
from labctl.expressions import Tree, parse_condition
from labctl.fields import Duration, Name, Strict


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as written and as parsed."""

    text: str
    tree: Tree


def _read_condition(value: object) -> object:
    if isinstance(value, Condition):
        return value
    try:
        return Condition(str(value), parse_condition(str(value)))
    except (ExpressionError, UnitError) as error:
        raise PydanticCustomError("expression.syntax", "{text}", {"text": str(error)}) from None


ConditionField = Annotated[
    Condition,
    BeforeValidator(_read_condition),
    WithJsonSchema({"type": "string", "description": "a condition, e.g. flask.T < 345 C"}),
]


class Interlock(Strict):
    """What must hold; an unknown or too old signal counts as violated.

    `sequence` is the way to the safe state that a trip takes, and that a run takes which ends for
    whatever reason while this stands violated.
    """

    id: Name
    severity: Literal["trip", "freeze", "inhibit", "warn"]
    require: ConditionField
    when: ConditionField | None = None
    unless: ConditionField | None = None
    gates: tuple[Name, ...] = ()
    max_age: Duration | None = None
    for_: Duration = Field(0.0, alias="for")
    action: str = ""
    sequence: Literal["abort", "leak", "n2_loss"] = "abort"

    @model_validator(mode="after")
    def _of_a_stop(self) -> Interlock:
        if self.sequence != "abort" and self.severity not in {"trip", "freeze"}:
            text = (
                f"sequence {self.sequence!r} belongs to a trip or a freeze, not to {self.severity}"
            )
            raise PydanticCustomError("schema.sequence", "{text}", {"text": text})
        return self
