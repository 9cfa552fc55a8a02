"""`if`: steps that run only when a condition holds."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import StepFailedError
from labctl.recipe.steps.base import Step


class If(Step):
    """Run `then` when the condition holds, else `otherwise`; unknown stops the run."""

    verb: ClassVar[str] = "if"
    resume: ClassVar[Resume] = Resume.ASK

    when: str
    then: tuple[Step, ...] = Field(min_length=1)
    otherwise: tuple[Step, ...] = ()

    def children(self) -> tuple[Step, ...]:
        """Both branches."""
        return (*self.then, *self.otherwise)

    def arms(self) -> tuple[tuple[Step, ...], ...]:
        """One branch or the other."""
        return self.then, self.otherwise

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """The branch that fills the flask more."""
        taken = flask
        for step in self.then:
            taken = step.effect(taken, scene)
        passed = flask
        for step in self.otherwise:
            passed = step.effect(passed, scene)
        return max(taken, passed, key=Flask.volume_ml)

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """The longer branch."""
        lengths = [
            sum(step.estimate(flask, scene).duration_s for step in branch)
            for branch in (self.then, self.otherwise)
        ]
        return Estimate(max(lengths), 2 * max(lengths) + 600)

    async def run(self, bench: Bench) -> None:
        """Evaluate once, run a branch.

        Raises:
            StepFailedError: the condition cannot be known.
        """
        holds = bench.condition(self.when)()
        if holds is None:
            raise StepFailedError(f"{self.when} cannot be known now")
        bench.note("if", f"{self.when} is {'true' if holds else 'false'}")
        await bench.children(self.then if holds else self.otherwise, "then" if holds else "else")

    def summary(self) -> str:
        """Say the condition."""
        return f"if {self.when}"
