"""The batch sheet: today's sample, people, lots, measured concentrations, and what is where."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from labctl.errors import Finding, FindingsError
from labctl.fields import Concentration, Date, Length, Moment, Name, Parts, Strict, Volume
from labctl.source import Document, Node, Place, read, validate

DEFAULT_START = dt.datetime(2025, 11, 3, 9, 0)
TO_ENTER: Mapping[str, str] = {
    "date": "when it starts, e.g. 2025-11-03 09:00",
    "sample": "the name of the sample that is made today, e.g. YK-231",
    "operator": "the initials of who runs it",
    "second": "the initials of the second person",
    "vessel": "a vessel of the rig, e.g. flask50",
    "path": "the path of the tip on the probe, e.g. 0.25 mm",
    "scrubber": "what the scrubber holds today, e.g. KOH",
    "O2": "what the glovebox shows, e.g. 0.3 ppm",
    "H2O": "what the glovebox shows, e.g. 0.2 ppm",
    "lot": "the lot on the bottle, e.g. ZN-0912",
    "made": "the day it was made, e.g. 2025-11-03",
    "concentration": "what was measured, e.g. 0.5 mol/L",
    "gate": "what the test of this lot said, e.g. 1H NMR clean",
    "drawn": "how much is in the syringe, e.g. 9.2 mL",
}
"""What to enter where a written sheet leaves a field empty."""


class Box(Strict):
    """What the glovebox shows."""

    O2: Parts | None = None
    H2O: Parts | None = None


class Load(Strict):
    """One reagent today: its lot, and either `by: hand` or the pump that holds it."""

    lot: str = ""
    made: Date | None = None
    concentration: Concentration | None = None
    gate: str = ""
    by: Literal["hand"] | None = None
    pump: Name = ""
    drawn: Volume = 0.0

    @model_validator(mode="after")
    def _hand_or_pump(self) -> Load:
        if (self.by == "hand") == bool(self.pump):
            text = "is given either `by: hand` or a `pump` with `drawn`"
            raise PydanticCustomError("batch.hand_or_pump", "{text}", {"text": text})
        if self.pump and not self.drawn:
            text = f"is in {self.pump}; say how much is `drawn`"
            raise PydanticCustomError("batch.nothing_drawn", "{text}", {"text": text})
        return self


class Accepted(Strict):
    """A rule somebody accepts today, with name, reason and date."""

    reason: str
    by: str
    date: Date


class Batch(Strict):
    """A batch sheet, `labctl: batch/1`.

    `path` is that of the tip on the optical probe today, where it is not the rig's.
    """

    labctl: Literal["batch/1"]
    date: Moment = DEFAULT_START
    sample: str
    golden: str = ""
    operator: str
    second: str = ""
    vessel: Name
    path: Length | None = None
    box: Box | None = None
    scrubber: str = ""
    loads: dict[Annotated[str, Field(min_length=1)], Load]
    accept: dict[str, Accepted] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _two_people(self) -> Batch:
        if self.second and self.second == self.operator:
            text = f"`second` must be another person than the operator {self.operator}"
            raise PydanticCustomError("batch.one_person", "{text}", {"text": text})
        return self


@dataclass(frozen=True, slots=True)
class LoadedBatch:
    """A batch sheet with the file it came from."""

    model: Batch
    document: Document


def load_batch(path: Path) -> LoadedBatch:
    """Read a batch sheet.

    Raises:
        FindingsError: everything wrong in it by itself.
    """
    document = read(path)
    document.mapping()
    empty = list(_empty(document, document.tree))
    if empty:
        raise FindingsError(empty)
    return LoadedBatch(validate(Batch, document, ()), document)


def _empty(document: Document, node: Node, place: Place = ()) -> Iterator[Finding]:
    """Find the fields that were left empty."""
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from _empty(document, inner, (*place, key))
    elif node == "" and place:
        name, key = ".".join(map(str, place)), str(place[-1])
        enter = TO_ENTER.get(key, "a value")
        message = f"{name} is empty; enter {enter}, or take the line out if it is not needed"
        yield document.key_mark(place).finding("batch.empty", message)
