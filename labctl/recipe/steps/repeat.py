"""`repeat`: steps again and again until a condition holds, at most so often."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import StepFailedError
from labctl.fields import Strict, Wavelength
from labctl.recipe.steps.base import Step
from labctl.units import parse

_TARGET = re.compile(r"peak\s*(>=|<=)\s*(.+)")


class Last(Strict):
    """How the last round is made smaller: from the shift per round so far."""

    trim_to: Wavelength


class Repeat(Step):
    """Repeat steps until `until` holds, at most `at_most` times."""

    verb: ClassVar[str] = "repeat"
    resume: ClassVar[Resume] = Resume.ASK

    until: str
    at_most: int = Field(ge=1, le=1000)
    last: Last | None = None
    steps: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _readable(self) -> Repeat:
        if not self.until.strip():
            text = "repeat needs a condition in `until`"
            raise PydanticCustomError("schema.value", "{text}", {"text": text})
        return self

    def children(self) -> tuple[Step, ...]:
        """The steps of one round."""
        return self.steps

    def rounds(self) -> int:
        """At most so many."""
        return self.at_most

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """All rounds are given: the fullest the flask can become."""
        for _ in range(self.at_most):
            for step in self.steps:
                flask = step.effect(flask, scene)
        return flask

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """All rounds."""
        round_s = sum(step.estimate(flask, scene).duration_s for step in self.steps)
        return Estimate(self.at_most * round_s, self.at_most * (2 * round_s + 600))

    async def run(self, bench: Bench) -> None:
        """Run rounds until the condition holds.

        Raises:
            StepFailedError: it does not hold after the last round allowed.
        """
        done = self._condition(bench)
        for number in range(1, self.at_most + 1):
            if done():
                return
            await bench.children(self.steps, str(number), trim=self._trim(bench))
        if not done():
            raise StepFailedError(f"{self.until} does not hold after {self.at_most} rounds")

    def _condition(self, bench: Bench) -> _Done:
        match = _TARGET.fullmatch(self.until.strip())
        if match is None:
            return _Done(bench, self.until)
        target_nm = parse(match[2], "wavelength").value
        return _Done(bench, self.until, target_nm, rising=match[1] == ">=")

    def _trim(self, bench: Bench) -> float:
        """Return the share of a full round that the next one needs, from 0.1 to 1."""
        shift_nm = bench.shift_per_round_nm()
        peak_nm = bench.value("peak.25C")
        if self.last is None or shift_nm is None or peak_nm is None or shift_nm <= 0:
            return 1.0
        return min(1.0, max(0.1, (self.last.trim_to - peak_nm) / shift_nm))

    def summary(self) -> str:
        """Say until when."""
        return f"repeat until {self.until}, at most {self.at_most} times"


class _Done:
    """Evaluates the end of a repeat: the tracked peak at 25 °C, or any condition."""

    def __init__(
        self, bench: Bench, text: str, target_nm: float | None = None, *, rising: bool = True
    ) -> None:
        self._bench = bench
        self._condition = None if target_nm is not None else bench.condition(text)
        self._target_nm = target_nm or 0.0
        self._rising = rising

    def __call__(self) -> bool:
        if self._condition is not None:
            return self._condition() is True
        peak_nm = self._bench.value("peak.25C")
        if peak_nm is None:
            return False
        return peak_nm >= self._target_nm if self._rising else peak_nm <= self._target_nm
