"""`inject`: a dose into the hot flask, by pump or by hand, one reagent or several together."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from labctl.bench import Bench, DoseRequest, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.fields import Amount, DifferenceRange, Duration, Strict, Temperature, Volume
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.sequences import reach
from labctl.units import show

RECOVERY_S = 120.0


class Part(Strict):
    """One of several reagents injected together."""

    reagent: str
    amount: Amount | None = None
    volume: Volume | None = None


class Inject(Step):
    """Inject a dose; `at` is reached first, `keep_above` pauses a cold addition."""

    verb: ClassVar[str] = "inject"
    resume: ClassVar[Resume] = Resume.NEVER
    once: ClassVar[bool] = True

    reagent: str = ""
    amount: Amount | None = None
    volume: Volume | None = None
    together: tuple[Part, ...] = ()
    over: Duration | None = None
    within: Duration | None = None
    at: Temperature | None = None
    keep_above: Temperature | None = None
    by: Literal["hand"] | None = None
    start: Literal["button"] | None = None
    expect_dip: DifferenceRange | None = None

    @model_validator(mode="after")
    def _measured(self) -> Inject:
        for part in self.parts():
            if (part.amount is None) == (part.volume is None):
                text = f"injection of {part.reagent or 'a reagent'} needs `amount` or `volume`"
                raise PydanticCustomError("dose.one_measure", "{text}", {"text": text})
        if bool(self.reagent) == bool(self.together):
            text = "inject needs either `reagent` or `together`"
            raise PydanticCustomError("dose.one_reagent", "{text}", {"text": text})
        if self.over is None and self.within is None:
            text = f"injection of {self.named()} needs `over` (pump) or `within` (by hand)"
            raise PydanticCustomError("bounds.no_limit", "{text}", {"text": text})
        return self

    def parts(self) -> tuple[Part, ...]:
        """Return what is injected; one part unless `together`."""
        return self.together or (
            Part(reagent=self.reagent, amount=self.amount, volume=self.volume),
        )

    def named(self) -> str:
        """Return the reagents' names."""
        return " and ".join(part.reagent for part in self.parts())

    def gives(self) -> tuple[str, ...]:
        """One reagent, or several together."""
        return tuple(part.reagent for part in self.parts())

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """Add what the doses bring."""
        for part in self.parts():
            volume_ml = scene.volume_ml(part.reagent, part.amount, part.volume)
            dots = scene.loads[part.reagent].composition.brings_dots
            flask = replace(
                flask.add(scene.contents(part.reagent, volume_ml)), dots=flask.dots or dots
            )
        return flask

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """The addition itself, and recovery of what it cools."""
        planned_s = (self.over or self.within or 0.0) + RECOVERY_S * (self.over is not None)
        hands = f"inject {self.named()}" if self._by_hand(scene) else ""
        return Estimate(planned_s, 4 * planned_s + 1200, hands)

    async def run(self, bench: Bench) -> None:
        """Reach the temperature if asked, then give the doses."""
        if self.at is not None:
            timeout_s = self.estimate(bench.flask(), bench.scene).timeout_s
            await reach(bench, self.at, timeout_s=timeout_s)
        by_hand = self._by_hand(bench.scene)
        requests = [self._request(bench, part, by_hand=by_hand) for part in self.parts()]
        with bench.token("injection"):
            if len(requests) == 1:
                await bench.dose(requests[0])
            else:
                await bench.dose_together(requests)
        if self.expect_dip is not None:
            self._judge_dip(bench)

    def _request(self, bench: Bench, part: Part, *, by_hand: bool) -> DoseRequest:
        name = bench.step_id if not self.together else f"{bench.step_id}.{part.reagent}"
        return DoseRequest(
            name,
            part.reagent,
            bench.scene.volume_ml(part.reagent, part.amount, part.volume),
            part.amount,
            self.over or self.within or 0.0,
            by_hand,
            "injection",
            keep_above_c=self.keep_above,
            button=self.start == "button",
            dip_k=self.expect_dip,
        )

    def _judge_dip(self, bench: Bench) -> None:
        low_k, high_k = self.expect_dip or (0.0, 0.0)
        dip_k = bench.dip_k()
        if not low_k <= dip_k <= high_k:
            expected = f"{show(low_k, 'temperature difference')} to {high_k:g} K"
            bench.deviation(f"the flask fell by {dip_k:.1f} K at the injection, not {expected}")

    def _by_hand(self, scene: Scene) -> bool:
        return self.by == "hand" or not all(scene.loads[p.reagent].pump for p in self.parts())

    def summary(self) -> str:
        """Say what, and over what time."""
        over_s = self.over or self.within or 0.0
        return f"inject {self.named()} over {show(over_s, 'time')}"
