"""`confirm`: a list that one or two people sign before the run goes on."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.fields import Duration
from labctl.recipe.steps.base import Step


class Confirm(Step):
    """Have a list signed; `for` names the reagent that the signatures release.

    Nobody within `after`, else within `problem.unanswered`, is asked what to do, and then parks.
    """

    verb: ClassVar[str] = "confirm"
    uses: ClassVar[tuple[str, ...]] = ("operator",)
    resume: ClassVar[Resume] = Resume.ASK

    who: Literal["operator", "two people"]
    for_: str = Field("", alias="for")
    list_: tuple[str, ...] = Field(alias="list", min_length=1)
    after: Duration | None = None

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """A minute or two of a person's attention."""
        return Estimate(60.0 if self.who == "operator" else 120.0, hands=f"{self.who} to confirm")

    async def run(self, bench: Bench) -> None:
        """Have it signed."""
        signatures = 2 if self.who == "two people" else 1
        await bench.confirm(
            self.list_, signatures=signatures, subject=self.for_, after_s=self.after
        )

    def summary(self) -> str:
        """Say who."""
        return f"{self.who} confirm{'s' if self.who == 'operator' else ''}: {self.list_[0]}"
