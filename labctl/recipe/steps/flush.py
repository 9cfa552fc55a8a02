"""`flush`: clean each reagent's line with what suits it, by hand, into the right bottle."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_serializer, model_validator

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.recipe.steps.base import Step


class Flush(Step):
    """Flush lines: `REAGENT: [SOLVENT [at T] [into VESSEL], …]`."""

    verb: ClassVar[str] = "flush"
    resume: ClassVar[Resume] = Resume.IDEMPOTENT

    lines: dict[str, tuple[str, ...]]

    @model_validator(mode="before")
    @classmethod
    def _lines(cls, value: object) -> object:
        if isinstance(value, dict) and "lines" not in value:
            rest = dict(value)
            own = {key: rest.pop(key) for key in ("id", "on_fail", "retries") if key in rest}
            return {**own, "lines": rest}
        return value

    @model_serializer
    def _as_written(self) -> dict[str, tuple[str, ...]]:
        return self.lines

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Two minutes a line, by hand."""
        lines = [name for name in self.lines if scene.loads[name].pump]
        return Estimate(120.0 * len(lines), hands="flush lines" if lines else "")

    async def run(self, bench: Bench) -> None:
        """Have each line flushed; reagents added by hand have none."""
        for name, with_ in self.lines.items():
            load = bench.scene.loads[name]
            if load.pump:
                text = f"flush the line of {name} ({load.pump}) with {', then '.join(with_)}"
                await bench.hand(text, f"flush.{load.pump}")

    def summary(self) -> str:
        """Say which lines."""
        return f"flush {', '.join(self.lines)}"
