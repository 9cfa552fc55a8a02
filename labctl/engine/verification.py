"""Feeds thermal watch and mixing from the sample path; trips on the one, warns of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from labctl.clock import NS
from labctl.engine.mixing import Mixing
from labctl.engine.run import Run
from labctl.engine.thermal_watch import MantleModel, ThermalLimits, ThermalSample, ThermalWatch
from labctl.plan import Plan
from labctl.rig.devices import HeaterEntry
from labctl.rules import Interlock, built_in

FLASK, SECOND, MANTLE = "flask.T", "flask.T2", "mantle.T"


class Verification:
    """The nine rules on one run's flask; `violated` is told once of each rule that is broken."""

    def __init__(
        self, run: Run, aliases: Mapping[str, str], violated: Callable[[Interlock, str], None]
    ) -> None:
        name = run.plan.rig.entry("heater")[0]
        entry = cast("HeaterEntry", run.plan.rig.model.devices[name])
        self._run = run
        self._violated = violated
        self._told: set[str] = set()
        self._mixing = Mixing()
        self._output = aliases.get(f"{name}.output", f"{name}.output")
        self._setpoint = aliases.get(f"{name}.setpoint", f"{name}.setpoint")
        self._flask = run.flask
        self._vessel = run.plan.rig.model.vessels[run.plan.batch.model.vessel]
        highest_c = highest_setpoint_c(run.plan)
        limits = ThermalLimits(highest_c, full=entry.limits.power)
        probe = entry.probe
        if probe is not None:
            top_c = limits.range_c[1] if probe.max is None else probe.max
            limits = replace(limits, range_c=(limits.range_c[0], top_c), frozen_s=probe.frozen)
        self._watch = ThermalWatch(limits, self._model())

    def allow(self, setpoint_c: float) -> None:
        """Let the flask go to a setpoint in °C that the recipe does not declare."""
        limits = self._watch.limits
        self._watch.limits = replace(limits, highest_c=max(limits.highest_c, setpoint_c))

    def sampled(self) -> None:
        """Judge the flask after a sample of its heater."""
        run = self._run
        if run.flask is not self._flask:
            self._flask = run.flask
            self._watch.model = self._model()
        value, commanded = run.signals.value, run.commanded
        verdict = self._watch.see(
            ThermalSample(
                run.clock.now_ns() / NS,
                value(FLASK),
                value(self._output),
                value(self._setpoint),
                value(SECOND),
                value(MANTLE),
                heating=run.heat.on,
                disturbed=run.has_token("injection") or run.has_token("quench"),
                bare=commanded.get("jack") is False or commanded.get("fan") is True,
            )
        )
        if verdict is not None and verdict.rule not in self._told:
            self._told.add(verdict.rule)
            rule = built_in(f"thermal_{verdict.rule}", "trip", "a flask that heats as one can")
            self._violated(rule, f"{verdict.rule}: {verdict.message}")

    def mixed(self) -> None:
        """Doubt the stirring where two probes do not come together after a dose."""
        run = self._run
        value, t_s = run.signals.value, run.clock.now_ns() / NS
        doubt = self._mixing.see(t_s, value(FLASK), value(SECOND), dosed=run.has_token("injection"))
        if doubt is not None:
            rpm = value("stirrer.speed")
            turns = "" if rpm is None else f" The stirrer reads {rpm:.0f} rpm."
            rule = built_in("mixing", "warn", "a flask that mixes")
            self._violated(rule, f"{doubt}: does the bar turn?{turns}")

    def _model(self) -> MantleModel:
        vessel = self._vessel
        flask_j_k = self._flask.heat_capacity_j_k(vessel.glass_j_k)
        model, thermal = MantleModel(vessel.mantle, flask_j_k), vessel.thermal
        if thermal is None:
            return model
        return replace(
            model,
            mantle_j_k=thermal.capacity,
            couple_w_k=thermal.to_flask,
            mantle_loss_w_k=thermal.mantle_to_air,
            flask_loss_w_k=thermal.flask_to_air,
        )


def highest_setpoint_c(plan: Plan) -> float:
    """Return the highest temperature that a plan's steps ask for, in °C; else what it needs."""
    asked = [
        value
        for planned in plan.steps
        for value in (getattr(planned.step, "to", None), getattr(planned.step, "at", None))
        if isinstance(value, float)
    ]
    return max(asked, default=plan.recipe.head.needs.max_T)
