"""The preflight of a run on real instruments: a step before the first one; nothing heats before it.

What stands from the last preflight of the rig is not looked at again. Whatever fails is told by
name with what to do, and the run asks: again, or end.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import PrivateAttr

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.engine.fitness import LEAK, PREFLIGHT, TRAP, Check, checks_of
from labctl.errors import DeviceError, StepFailedError
from labctl.plan import Plan, PlannedStep
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.sequences import FINE_S, ROUGH_S
from labctl.record.preflights import Outcome, last_kept, standing

QUICK_S = 60.0

Told = Callable[[Sequence[Outcome]], None]


class Preflighting(Step):
    """Look at all that must hold before anything heats; `told` gets every outcome there is."""

    verb: ClassVar[str] = PREFLIGHT
    resume: ClassVar[Resume] = Resume.IDEMPOTENT
    protects: ClassVar[bool] = True

    _checks: tuple[Check, ...] = PrivateAttr(default=())
    _outcomes: dict[str, Outcome] = PrivateAttr(default_factory=dict)
    _told: Told | None = PrivateAttr(default=None)

    def of(
        self, checks: tuple[Check, ...], stands: Mapping[str, Outcome], told: Told
    ) -> Preflighting:
        """Tell what to look at, what of it stands, and whom to tell; return the step."""
        self._checks, self._told = checks, told
        self._outcomes = {c.id: stands[c.id] for c in checks if c.id in stands}
        return self

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """A minute each, and the leak test with its pumping."""
        planned_s = QUICK_S * len(self._to_do())
        if LEAK in {check.id for check in self._to_do()}:
            planned_s += ROUGH_S + FINE_S
        return Estimate(planned_s, hands="preflight")

    async def run(self, bench: Bench) -> None:
        """Look at what does not stand yet.

        Raises:
            StepFailedError: something is not fit; each is named with what to do.
        """
        for row in self._outcomes.values():
            if row.passed:
                bench.note("preflight", f"{row}, since {row.at[:16]}", check=row.check, stands=True)
        for check in self._to_do():
            row = self._outcomes[check.id] = await _looked(check, bench)
            bench.note("preflight", str(row), check=row.check, found=row.found, passed=row.passed)
            if self._told is not None:
                self._told(tuple(self._outcomes.values()))
        failed = [str(row) for row in self._outcomes.values() if not row.passed]
        if failed:
            raise StepFailedError(f"not fit to run: {'; '.join(failed)}")
        await bench.warm_lines()

    def _to_do(self) -> list[Check]:
        """Return what must be looked at; the vacuum of a leak test needs a trap cold now."""
        passed = {row.check for row in self._outcomes.values() if row.passed}
        if LEAK not in passed:
            passed.discard(TRAP)
        return [check for check in self._checks if check.id not in passed]


async def _looked(check: Check, bench: Bench) -> Outcome:
    try:
        found, passed = await check.look(bench)
    except (StepFailedError, DeviceError) as error:
        found, passed = str(error), False
    at = bench.clock.local(bench.clock.now_ns()).replace(tzinfo=None).isoformat(timespec="seconds")
    return Outcome(
        check.id, check.by, check.what, found, check.limit, passed, check.do, at, check.holds_for
    )


def with_preflight(
    plan: Plan, stands: Mapping[str, Outcome], told: Told, *, alone: bool = False
) -> Plan:
    """Return a plan that begins with a preflight, or with `alone` is nothing else.

    `stands` are the checks that need not be looked at again. A rig without limits has none. Alone
    it heats nothing, no warm line either.
    """
    checks = checks_of(plan)
    if not checks:
        return plan
    step = Preflighting(id=PREFLIGHT).of(checks, stands, told)
    first = plan.steps[0].before
    estimate = step.estimate(first, plan.scene)
    planned = PlannedStep(step, PREFLIGHT, 0.0, estimate, first, first)
    if alone:
        cold = {name: replace(load, warmed_by="") for name, load in plan.scene.loads.items()}
        return replace(plan, steps=(planned,), scene=replace(plan.scene, loads=cold))
    rest = [replace(p, start_s=p.start_s + estimate.duration_s) for p in plan.steps]
    return replace(plan, steps=(planned, *rest))


def still_stands(plan: Plan, runs: Path, now: dt.datetime) -> dict[str, Outcome]:
    """Return what stands from the last preflight of a plan's rig, kept beside the runs."""
    limits = plan.rig.model.preflight
    if limits is None:
        return {}
    holds_for = {check.id: check.holds_for for check in checks_of(plan)}
    return standing(last_kept(runs, plan.rig.model.name), now, limits.valid, holds_for)


def listed(plan: Plan, stands: Mapping[str, Outcome]) -> list[tuple[str, str, str, str]]:
    """Return rows for a person: what, limit, who looks, and since when it stands."""
    return [
        (
            check.what,
            check.limit,
            "labctl measures" if check.by == "labctl" else "you are asked",
            f"ok since {stands[check.id].at[11:16]}: {stands[check.id].found}"
            if check.id in stands
            else "",
        )
        for check in checks_of(plan)
    ]
