"""What the answers to a question do: the words that are acted upon, and own words for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NoReturn

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from labctl.errors import AbortedError, ParkError, UnitError, nearest
from labctl.units import parse

WORDS = ("go on", "accept", "retry", "extend DURATION", "park", "abort")


@dataclass(frozen=True, slots=True)
class Deed:
    """What an answer does; `for_s` is how long `extend` waits, in s."""

    does: Literal["go on", "accept", "retry", "extend", "park", "abort"]
    for_s: float = 0.0

    @property
    def ends(self) -> bool:
        """Whether the run ends with it: the only thing that nobody's answer may do."""
        return self.does in {"park", "abort"}


def deed(words: str) -> Deed:
    """Return what the words do.

    Raises:
        PydanticCustomError: nothing acts upon them, or the duration is none.

    >>> deed("extend 10 min")
    Deed(does='extend', for_s=600.0)
    """
    word, _, duration = words.partition(" ")
    if word == "extend":
        try:
            return Deed("extend", parse(duration, "time").value)
        except UnitError as error:
            raise PydanticCustomError(error.rule, "{text}", {"text": str(error)}) from None
    for known in Deed("go on"), Deed("accept"), Deed("retry"), Deed("park"), Deed("abort"):
        if words == known.does:
            return known
    text = (
        f"{words!r} does nothing: a choice is one of {', '.join(WORDS)}, or has its own name and "
        f"says which of them it stands for, {{{words}: go on}}{nearest(words, WORDS)}"
    )
    raise PydanticCustomError("questions.choice", "{text}", {"text": text})


def _read(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): does if isinstance(does, Deed) else deed(str(does))
                for name, does in value.items()}  # fmt: skip
    if isinstance(value, list | tuple):
        return {str(name): deed(str(name)) for name in value}
    text = f"{value!r} is no list of choices, [extend 10 min, accept, park]"
    raise PydanticCustomError("schema.value", "{text}", {"text": text})


Choices = Annotated[
    dict[str, Deed],
    BeforeValidator(_read),
    WithJsonSchema({
        "anyOf": [
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ],
    }),
]  # fmt: skip


def end(deed: Deed, why: str, *, unanswered: bool) -> NoReturn:
    """End the run as an answer says.

    Raises:
        ParkError: to be parked.
        AbortedError: for good.
    """
    if deed.does == "park":
        raise ParkError(f"park: {why}", unanswered=unanswered)
    raise AbortedError(f"abort: {why}")


def check_default(choices: Mapping[str, Deed], default: str) -> None:
    """Refuse a default that is no choice, or one with which the run goes on.

    Raises:
        PydanticCustomError: it is not among the choices, or does not end the run.
    """
    if default not in choices:
        text = f"the default {default!r} is not among the choices"
        raise PydanticCustomError("questions.default", "{text}", {"text": text})
    if not choices[default].ends:
        text = f"the default {default!r} proceeds; a default must be the safe choice, park or abort"
        raise PydanticCustomError("questions.default_proceeds", "{text}", {"text": text})
