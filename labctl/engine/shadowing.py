"""Lets what was expected walk beside a run: recorded as channels, departures named as warnings."""

from __future__ import annotations

import math
from collections.abc import Mapping

from labctl.clock import NS
from labctl.engine.deciding import Seen as Tracked
from labctl.engine.expected import Expected, fitting, ghost
from labctl.engine.run import Run
from labctl.engine.shadow import Departure, Seen, Shadow
from labctl.readings import Channel, Kind, Quality, Reading, Scalar

PERIOD_NS = 5 * NS


class Shadowing:
    """The shadows of one run; it warns, and never stops anything."""

    def __init__(self, run: Run, tracked: Tracked) -> None:
        self._run = run
        self._tracked = tracked
        verbs = {planned.step.id: planned.step.verb for planned in run.plan.steps}
        self._shadows = [Shadow(fitting(e, verbs)) for e in run.expected if not e.missing]
        self._sightings = 0
        self._alarms: dict[str, int] = {}
        self._step = ""

    def declare(self) -> None:
        """Declare the channels of what is expected; say what there is to compare with."""
        for expected in self._run.expected:
            if expected.missing:
                self._run.event("shadow.missing", expected.missing, level="warning")
                continue
            name = expected.name
            dimensions = {"T": "temperature", "P": "pressure", "peak": "wavelength"}
            channels = [
                Channel(f"{name}.{of}", dimension, kind=Kind.ASSUMED)
                for of, dimension in dimensions.items()
            ]
            self._run.record.channels(channels)
            self._run.event("shadow.follows", f"compared with {expected.label}", {"name": name})

    async def watch(self, anchors: Mapping[str, float]) -> None:
        """Compare every few seconds until cancelled; `anchors` holds when steps began."""
        while self._shadows:
            now_ns = self._run.clock.now_ns()
            await self._run.clock.sleep_until(now_ns // PERIOD_NS * PERIOD_NS + PERIOD_NS)
            if self._run.step_id and not self._run.elapsed.frozen:
                self._look(anchors)

    def _look(self, anchors: Mapping[str, float]) -> None:
        run = self._run
        if run.step_id != self._step:
            self._step = run.step_id
            self._clear()
        now_s = run.elapsed.now_s()
        began_s = anchors.get(f"{run.step_id.partition('#')[0]}.start", now_s)
        at_c = run.signals.value("flask.T")
        seen = Seen(
            now_s, run.step_id, now_s - began_s, math.nan if at_c is None else at_c, self._peak_nm()
        )
        for shadow in self._shadows:
            for departure in shadow.look(seen):
                self._warn(shadow.expected, departure)
            self._show(shadow.expected, seen)

    def _peak_nm(self) -> float:
        """Give the latest peak if it is new and usable."""
        new = self._tracked.sightings[self._sightings :]
        self._sightings += len(new)
        return next((s.peak_nm for s in reversed(new) if s.usable), math.nan)

    def _warn(self, expected: Expected, departure: Departure) -> None:
        run = self._run
        id_ = f"{expected.name}.{departure.kind}"
        key = run.record.alarm(run.clock.now_ns(), id_, "warn", departure.message)
        self._alarms[id_] = key
        data: dict[str, Scalar] = {"id": id_, "step": run.step_id, "against": expected.label}
        data |= departure.data
        run.event("shadow.departs", departure.message, data, "warning")

    def _clear(self) -> None:
        """Take the warnings of the step before away."""
        for id_, key in self._alarms.items():
            self._run.record.alarm_off(key, self._run.clock.now_ns())
            self._run.event("shadow.cleared", f"{id_}: its step has ended", {"id": id_})
        self._alarms.clear()

    def _show(self, expected: Expected, seen: Seen) -> None:
        now_ns = self._run.clock.now_ns()
        for channel, value in ghost(expected, seen.step, seen.in_step_s):
            known = value if math.isfinite(value) else None
            quality = Quality.GOOD if known is not None else Quality.BAD
            reading = Reading(channel, known, quality, now_ns)
            self._run.record.append(reading)
            self._run.bus.publish(reading)
