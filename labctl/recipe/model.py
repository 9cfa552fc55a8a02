"""The recipe: what it needs, what may be chosen, what was assumed, its reagents and its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from labctl.fields import (
    Concentration,
    Duration,
    Length,
    Name,
    Strict,
    Temperature,
    Volume,
    Wavelength,
)
from labctl.recipe.series import Series
from labctl.recipe.steps.aliquot import Aliquot
from labctl.recipe.steps.ask import Ask
from labctl.recipe.steps.backfill import Backfill
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.baseline import Baseline
from labctl.recipe.steps.branch import If
from labctl.recipe.steps.charge import Charge
from labctl.recipe.steps.confirm import Confirm
from labctl.recipe.steps.degas import Degas
from labctl.recipe.steps.flush import Flush
from labctl.recipe.steps.hf_treat import HfTreat
from labctl.recipe.steps.hold import Hold
from labctl.recipe.steps.inject import Inject
from labctl.recipe.steps.leak_test import LeakTest
from labctl.recipe.steps.log import Log
from labctl.recipe.steps.prime import Prime
from labctl.recipe.steps.quench import Quench
from labctl.recipe.steps.ramp import Ramp
from labctl.recipe.steps.reference import Reference
from labctl.recipe.steps.repeat import Repeat
from labctl.recipe.steps.stir import Stir
from labctl.recipe.steps.strip import Strip
from labctl.recipe.steps.wait_until import WaitUntil
from labctl.recipe.steps.weigh import Weigh
from labctl.recipe.steps.when import When
from labctl.rules import Interlock
from labctl.source import Document

STEPS: Mapping[str, type[Step]] = {
    step.verb: step
    for step in (
        Charge, Stir, LeakTest, Strip, Degas, Backfill, Reference, Baseline, Prime, Inject, Ramp,
        Hold, HfTreat, WaitUntil, Quench, Aliquot, Flush, Confirm, Ask, Repeat, If, When, Log,
        Weigh,
    )
}  # fmt: skip


class Source(Strict):
    """Where the procedure comes from."""

    doi: str = ""
    section: str = ""


class Needs(Strict):
    """What a rig must have to run this: vessel, temperature, pumps, spectrometers, people.

    `path` is the longest optical path that the sample leaves transparent.
    """

    vessel: Volume
    max_T: Temperature
    pumps: int = Field(0, ge=0)
    in_loop: tuple[Literal["absorbance", "pl"], ...] = ()
    path: Length | None = None
    attended: tuple[Name, ...] = ()


class Assumed(Strict):
    """A value the source does not give, with the reason for it."""

    value: str
    why: str


class Reagent(Strict):
    """What a reagent is; lot, measured concentration and pump come from the batch sheet."""

    is_: str = Field(alias="is")
    concentration: Concentration | Literal["from batch"] | None = None
    keep_at: Temperature | None = None
    gate: str = ""
    made: Literal["same day"] | None = None
    hazard: str = ""
    drawn_in: Literal["glovebox"] | None = None
    wetted: tuple[str, ...] = ()


class Track(Strict):
    """A quantity watched in the loop.

    `every` is the pace while a step waits for it (`learn`, `baseline`, `wait_until`); otherwise a
    third of that, to spare the sample light.
    """

    from_: Literal["absorbance", "pl"] = Field(alias="from")
    every: Duration
    start_near: Wavelength | None = None
    report_at: Temperature = 25.0
    as_: str = Field("", alias="as")


class Problem(Strict):
    """What happens when a step fails: freeze and ask; unanswered, park."""

    do: Literal["freeze", "park"] = "freeze"
    unanswered: Duration = 600.0
    then: Literal["park"] = "park"


class Head(Strict):
    """Everything of a recipe but its steps, `labctl: recipe/1`."""

    labctl: Literal["recipe/1"]
    name: Annotated[str, Field(min_length=1)]
    source: Source = Source()
    needs: Needs
    assumed: dict[Name, Assumed] = Field(default_factory=dict)
    reagents: dict[Name, Reagent] = Field(default_factory=dict)
    track: dict[Literal["peak", "pl"], Track] = Field(default_factory=dict)
    problem: Problem = Problem()
    park: dict[Name, Temperature] = Field(default_factory=dict)
    interlocks: tuple[Interlock, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """A named group of steps."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe with its choices made, ready to be planned.

    `settings` are the values of `choose` and `assumed` names as text, tables resolved; `finally_`
    runs after the stages, also after an abort as far as it is safe; `series` are the values of its
    series by name, `files` the texts of the files it uses.
    """

    head: Head
    settings: Mapping[str, str]
    stages: tuple[Stage, ...]
    finally_: tuple[Step, ...]
    document: Document
    series: Series = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The stages, with `finally` as the last."""
        return (*self.stages, Stage("finally", self.finally_)) if self.finally_ else self.stages
