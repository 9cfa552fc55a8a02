"""Interlocks as rig and recipe write them: conditions parsed once, with their text kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from labctl.errors import ExpressionError, UnitError
from labctl.expressions import Number, Tree, parse_condition
from labctl.fields import Duration, Name, Strict
from labctl.units import parse

RUN_STATES = (
    "idle", "starting", "running", "holding", "held", "resuming", "waiting", "stopping", "aborting",
    "safe", "complete", "faulted",
)  # fmt: skip
TOKENS = ("injection", "quench")


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


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long, or how often, a rule must be violated to count: s, or `count` of `of` samples."""

    seconds: float = 0.0
    count: int = 1
    of: int = 1


MOST_SAMPLES = 100
_OFTEN = re.compile(r"(\d{1,3}) of (\d{1,3}) samples")


def _read_persistence(value: object) -> object:
    if isinstance(value, Persistence):
        return value
    match = _OFTEN.fullmatch(str(value))
    if match is None:
        return Persistence(_seconds(str(value)))
    count, of = int(match[1]), int(match[2])
    if not 1 <= count <= of <= MOST_SAMPLES:
        text = f"{value!r}: of at most {MOST_SAMPLES} samples, 1 to all are violated"
        raise PydanticCustomError("schema.samples", "{text}", {"text": text})
    return Persistence(0.0, count, of)


def _seconds(text: str) -> float:
    try:
        return parse(text, "time").value
    except UnitError as error:
        raise PydanticCustomError(error.rule, "{text}", {"text": str(error)}) from None


def _read_yes(value: object) -> object:
    known = {"yes": True, "no": False}
    if isinstance(value, bool):
        return value
    if str(value) not in known:
        text = f"{value!r} is neither yes nor no"
        raise PydanticCustomError("schema.yes_or_no", "{text}", {"text": text})
    return known[str(value)]


PersistenceField = Annotated[
    Persistence,
    BeforeValidator(_read_persistence),
    WithJsonSchema({"type": "string", "description": "a duration, or e.g. 3 of 5 samples"}),
]
YesNo = Annotated[
    bool,
    BeforeValidator(_read_yes),
    WithJsonSchema({"enum": ["yes", "no"]}),
]


class Interlock(Strict):
    """What must hold; an unknown or too old signal counts as violated.

    `for` is how long, or in how many samples, it is violated before it counts; `grace` how long it
    rests when it begins to apply; with `latch` it stays violated until a person acknowledges it.

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
    for_: PersistenceField = Field(Persistence(), alias="for")
    grace: Duration = 0.0
    latch: YesNo = False
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


Severity = Literal["trip", "freeze", "inhibit", "warn"]


def built_in(id_: str, severity: Severity, requires: str, action: str = "") -> Interlock:
    """Return a rule that labctl brings along and judges by its own code, said in words."""
    condition = Condition(requires, Number(1.0, "", ""))
    row = {"id": id_, "severity": severity, "require": condition, "action": action}
    return Interlock.model_validate(row)
