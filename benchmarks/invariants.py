"""What must be so whatever befalls, judged on the plant's truth and on the record, never the wire.

The numbers are those of the campaign's page. An invariant looks each second of the run (`look`), or
at its end (`judge`); what breaks it is told with its time and the numbers.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labctl.engine.machine import FINAL
from labctl.engine.run import Run
from labctl.record import Run as Recorded
from labctl.record import open_run
from simulators.world import RigWorld

NS = 1_000_000_000
HOTTEST_OVER_K = 15.0
MANTLE_MAX_C = 450.0
OFF_WITHIN_S = 3.0
AGE_S = 7.0
PRESSURE_OVER_MBAR = 100.0
SUCKED_MBAR = 30.0
SAFE_WITHIN_S = 60.0
SETTLED = frozenset({"done", "refused", "unknown"})
DOSE_PART, DOSE_ML = 1.02, 0.003

TEXTS = {
    1: "heater power only while the flask's temperature was good within 5 s",
    3: "after a trip or abort the plant's heater has no power within 3 s",
    4: "the flask is never hotter than the recipe's highest temperature plus 15 K",
    5: "the mantle is never hotter than it may be",
    7: "after the end nothing heats",
    8: "no dose into a flask below ambient minus 30 mbar",
    10: "nitrogen and vacuum are never open together",
    12: "the flask is never above ambient plus 100 mbar",
    14: "no dose is more than planned, over all that was given of it",
    17: "no injection unless the bar turns",
    18: "a pump stands within a second of a trip",
    20: "no stage advances on a peak that was not seen",
    22: "every intent ends as done, refused or unknown",
    24: "the record opens, is whole, and holds the end",
    29: "the safe state is reached within 60 s of the reason for it",
    30: "an abort is heard within 100 ms",
    35: "an alarm has a time and a cause, and a latched one was acknowledged before it went",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that did not hold: its number, when in s, and what was seen."""

    number: int
    at_s: float
    seen: str

    def __str__(self) -> str:
        return f"#{self.number} at {self.at_s:.0f} s: {self.seen} ({TEXTS[self.number]})"


class Oracle:
    """Watches one run from the outside, once a second."""

    def __init__(
        self, world: RigWorld, run: Run, max_c: float, planned_ml: dict[str, float]
    ) -> None:
        self.broken: dict[int, Broken] = {}
        self._world = world
        self._run = run
        self._max_c = max_c
        self._planned_ml = planned_ml
        self._ended_ns: int | None = None
        self._good_ns: int | None = None
        self._delivered: deque[float] = deque(maxlen=2)

    def look(self, t_ns: int) -> None:
        """Judge the present second."""
        truth = self._world.truth(t_ns)
        thermal = self._world.flask.thermal
        power_w = truth["heater_w"]
        state = self._run.machine.state.value
        if state in {"aborting", *(final.value for final in FINAL)} and self._ended_ns is None:
            self._ended_ns = t_ns
        since_s = 0.0 if self._ended_ns is None else (t_ns - self._ended_ns) / NS
        if power_w > 0 and self._ended_ns is not None and since_s > OFF_WITHIN_S:
            self._break(3, t_ns, f"{power_w:.0f} W, {since_s:.0f} s after the end began")
        if power_w > 0 and self._ended_ns is None:
            self._old_temperature(t_ns, power_w)
        if thermal.flask_c > self._max_c + HOTTEST_OVER_K:
            self._break(
                4, t_ns, f"flask at {thermal.flask_c:.0f} °C, recipe up to {self._max_c:.0f}"
            )
        if thermal.mantle_c > MANTLE_MAX_C:
            self._break(5, t_ns, f"mantle at {thermal.mantle_c:.0f} °C")
        self._gas(t_ns, truth)
        self._doses(t_ns, truth, since_s)

    def _old_temperature(self, t_ns: int, power_w: float) -> None:
        age_ns = self._run.signals.age_ns("flask.T")
        if age_ns is not None:
            self._good_ns = t_ns - age_ns
        if self._good_ns is not None and (t_ns - self._good_ns) / NS > AGE_S:
            age = (t_ns - self._good_ns) / NS
            self._break(1, t_ns, f"{power_w:.0f} W on a flask temperature {age:.0f} s old")

    def _gas(self, t_ns: int, truth: Mapping[str, float]) -> None:
        commanded = self._run.commanded
        told = [valve for valve in ("n2", "vac_rough", "vac_fine") if commanded.get(valve)]
        if len(told) > 1:
            self._break(10, t_ns, f"{' and '.join(told)} told to be open")
        over = truth["flask_mbar"] - self._world.spec.ambient_mbar
        if over > PRESSURE_OVER_MBAR:
            self._break(12, t_ns, f"flask {over:.0f} mbar above ambient")

    def _doses(self, t_ns: int, truth: Mapping[str, float], since_s: float) -> None:
        for pump, planned_ml in self._planned_ml.items():
            given_ml = truth[f"{pump}.delivered_ml"]
            if given_ml > planned_ml * DOSE_PART + DOSE_ML:
                self._break(14, t_ns, f"{pump} gave {given_ml:.3f} of {planned_ml:.3f} mL")
            before = self._delivered[-1] if self._delivered else given_ml
            self._delivered.append(given_ml)
            moving = given_ml - before > 1e-4
            if moving and truth["flask_mbar"] < self._world.spec.ambient_mbar - SUCKED_MBAR:
                self._break(8, t_ns, f"{pump} doses into {truth['flask_mbar']:.0f} mbar")
            if moving and truth["stirring_rpm"] < 100:
                self._break(
                    17, t_ns, f"{pump} doses while the bar turns at {truth['stirring_rpm']:.0f} rpm"
                )
            if moving and self._ended_ns is not None and since_s > 2.0:
                self._break(18, t_ns, f"{pump} moves {since_s:.0f} s after the end began")

    def ended(self, t_ns: int, directory: Path) -> list[Broken]:
        """Judge what is left behind, and return everything that was broken."""
        truth = self._world.truth(t_ns)
        if truth["heater_w"] > 0:
            self._break(7, t_ns, f"{truth['heater_w']:.0f} W after the end")
        if self._ended_ns is not None and (t_ns - self._ended_ns) / NS > SAFE_WITHIN_S:
            self._break(29, t_ns, f"{(t_ns - self._ended_ns) / NS:.0f} s to the safe state")
        self._record(t_ns, directory)
        return list(self.broken.values())

    def _record(self, t_ns: int, directory: Path) -> None:
        with sqlite3.connect(directory / "run.sqlite") as file:
            (whole,) = file.execute("PRAGMA integrity_check").fetchone()
        if whole != "ok":
            self._break(24, t_ns, f"integrity_check says {whole}")
        with open_run(directory) as run:
            if not run.meta.outcome:
                self._break(24, t_ns, "the record has no outcome")
            for intent in run.intents:
                if intent.kind != "dose.starting" and intent.state not in SETTLED:
                    self._break(22, t_ns, f"intent {intent.id} ({intent.kind}) is {intent.state}")
            for found in _advances(run):
                self._break(20, t_ns, found)

    def _break(self, number: int, t_ns: int, seen: str) -> None:
        self.broken.setdefault(number, Broken(number, t_ns / NS, seen))


def _advances(run: Recorded) -> Iterator[str]:
    for decision in run.decisions:
        if decision.verdict in {"saturated", "reached", "steady"}:
            usable = [row for row in run.inputs(decision.id) if row.used]
            if len(usable) < 3:
                yield f"{decision.step}: {decision.verdict} on {len(usable)} usable frames"
