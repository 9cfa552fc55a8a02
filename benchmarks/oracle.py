"""Judges the plant's truth once a second, over all lives of a run and between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.day import DAYS, Day, planned_ml
from benchmarks.invariants import NS, Findings
from benchmarks.oracle_reasons import Reasons
from labctl.engine.machine import FINAL, State
from labctl.engine.run import Run
from simulators.world import RigWorld

HIGHEST_C = 90.0
HOTTEST_OVER_K = 15.0
MANTLE_MAX_C = 450.0
OFF_WITHIN_S = 3.0
AGE_S = 7.0
BEAT_S = 4.5
PRESSURE_OVER_MBAR = 100.0
SUCKED_MBAR = 30.0
FINE_INLET_MBAR = 20.0
BELOW_AMBIENT_MBAR, BELOW_S, HOT_C = 10.0, 60.0, 60.0
BOILS_MBAR = 300.0
SAFE_WITHIN_S = 60.0
DOSE_PART, DOSE_ML = 1.02, 0.003
MOVES_ML, WHOLE = 1e-4, 0.95
KEEP_K = 7.0
"""How much colder than declared what is given may be: the rule's 5 K, and its sensor."""
STANDS_S, WATCHDOG_S = 2.0, 25.0
PUMP_LINE = ("half_open@pumps", "usb_unplug@pumps", "port_busy@pumps")
"""Where its line is dead, a pump stands by its own watchdog of 20 s."""
RATE_PART, RATE_ML = 1.1, 1e-3
HELD = frozenset({State.HOLDING, State.HELD, State.RESUMING})
GAS_FAULTS = ("n2_empty", "valve_stuck", "leak_step", "pump_off", "gauge", "stuck_value")
LINES = ("line_1", "line_2", "line_3")
VACUUM = ("vac_rough", "vac_fine")
BACKFILLED = frozenset({"up", "look", "stay", "light"})


@dataclass
class Seconds:
    """What the oracle remembers from one second to the next."""

    ended_ns: int | None = None
    good_ns: int | None = None
    delivered_ml: float | None = None
    mbar: float = 1000.0
    vacuum_ns: int = 0
    below_s: int = 0
    stayed_s: float = 0.0
    filled: bool = False
    fine: bool = False


class Oracle:
    """Watches a run from the outside; `beat_age_s` says how old the guard's last heartbeat is."""

    def __init__(
        self,
        world: RigWorld,
        day: str,
        findings: Findings,
        beat_age_s: Callable[[int], float],
    ) -> None:
        self.seen = Seconds()
        self.findings = findings
        self._world = world
        self._day: Day = DAYS[day]
        self._planned_ml = planned_ml(day)
        self._beat_age_s = beat_age_s
        self._run: Run | None = None
        self._reasons = Reasons(findings, self._standing)

    def attach(self, run: Run) -> None:
        """Watch a life of the run from now on."""
        self._run = run
        self._reasons.forget()
        self.seen.ended_ns = self.seen.good_ns = None

    def detach(self) -> None:
        """Nobody conducts the run now."""
        self._run = None

    def look(self, t_ns: int) -> None:
        """Judge the present second."""
        truth = dict(self._world.truth(t_ns))
        power_w = truth["heater_w"]
        if power_w > 0 and self._beat_age_s(t_ns) > BEAT_S:
            age_s = self._beat_age_s(t_ns)
            self.findings.add(2, t_ns, f"{power_w:.0f} W, heartbeat {age_s:.1f} s old")
        self._thermal(t_ns)
        run = self._run
        if run is not None:
            self._ending(t_ns, run, power_w)
            self._gas(t_ns, run, truth)
            self._reasons.look(t_ns, run, truth | self._besides(t_ns, truth))
            if run.step_id == "stay" and run.machine.state not in HELD:
                self.seen.stayed_s += 1
        self._pressure(t_ns, truth)
        self._dose(t_ns, truth)

    def end(self, t_ns: int) -> None:
        """Judge when the run is over how long its end took."""
        ended_ns = self.seen.ended_ns
        if ended_ns is not None and (t_ns - ended_ns) / NS > SAFE_WITHIN_S:
            self.findings.add(29, t_ns, f"{(t_ns - ended_ns) / NS:.0f} s to the safe state")

    def rest(self, t_ns: int) -> None:
        """Judge what is left behind, a while later."""
        self.look(t_ns)
        power_w = self._world.truth(t_ns)["heater_w"]
        if power_w > 0:
            self.findings.add(7, t_ns, f"{power_w:.0f} W after the end")

    def _thermal(self, t_ns: int) -> None:
        thermal = self._world.flask.thermal
        if thermal.flask_c > HIGHEST_C + HOTTEST_OVER_K:
            seen = f"flask at {thermal.flask_c:.0f} °C, recipe up to {HIGHEST_C:.0f}"
            self.findings.add(4, t_ns, seen)
        if thermal.mantle_c > MANTLE_MAX_C:
            self.findings.add(5, t_ns, f"mantle at {thermal.mantle_c:.0f} °C")

    def _since_end_s(self, t_ns: int) -> float:
        ended_ns = self.seen.ended_ns
        return 0.0 if ended_ns is None else (t_ns - ended_ns) / NS

    def _ending(self, t_ns: int, run: Run, power_w: float) -> None:
        state = run.machine.state
        if (state.value == "aborting" or state in FINAL) and self.seen.ended_ns is None:
            self.seen.ended_ns = t_ns
        since_s = self._since_end_s(t_ns)
        if power_w > 0 and since_s > OFF_WITHIN_S:
            self.findings.add(3, t_ns, f"{power_w:.0f} W, {since_s:.0f} s after the end began")
        age_ns = run.signals.age_ns("flask.T")
        if age_ns is not None:
            self.seen.good_ns = t_ns - age_ns
        good_ns = self.seen.good_ns
        if power_w > 0 and self.seen.ended_ns is None and good_ns is not None:
            age_s = (t_ns - good_ns) / NS
            if age_s > AGE_S:
                seen = f"{power_w:.0f} W on a flask temperature {age_s:.0f} s old"
                self.findings.add(1, t_ns, seen)

    def _gas(self, t_ns: int, run: Run, truth: Mapping[str, float]) -> None:
        told = run.commanded
        open_ = [valve for valve in ("n2", *VACUUM) if told.get(valve)]
        if len(open_) > 1:
            self.findings.add(10, t_ns, f"{' and '.join(open_)} told to be open")
        if told.get("vac_fine") and told.get("fine") is False:
            self.findings.add(13, t_ns, "the fine pump was stopped behind its open valve")
        fine, before = bool(told.get("vac_fine")), self.seen.fine
        self.seen.fine = fine
        if fine and not before:
            if self.seen.mbar > FINE_INLET_MBAR:
                self.findings.add(11, t_ns, f"fine pump opened at {self.seen.mbar:.0f} mbar")
            if self._day.hf and run.step_id == "s" and self.seen.mbar > BOILS_MBAR:
                self.findings.add(9, t_ns, f"full vacuum at {self.seen.mbar:.0f} mbar on acetone")
        if any(told.get(valve) for valve in VACUUM) or (
            self._day.hf and run.step_id in {"s", "again"}
        ):
            self.seen.vacuum_ns = t_ns
        low = truth["flask_mbar"] < self._world.spec.ambient_mbar - SUCKED_MBAR
        lines = [valve for valve in LINES if low and told.get(valve)]
        if lines:
            seen = f"{lines[0]} open on {truth['flask_mbar']:.0f} mbar: it sucks"
            self.findings.add(8, t_ns, seen)
        self.seen.filled = self.seen.filled or run.step_id in BACKFILLED

    def _pressure(self, t_ns: int, truth: Mapping[str, float]) -> None:
        seen, ambient = self.seen, self._world.spec.ambient_mbar
        over = truth["flask_mbar"] - ambient
        if over > PRESSURE_OVER_MBAR:
            self.findings.add(12, t_ns, f"flask {over:.0f} mbar above ambient")
        pumped = (t_ns - seen.vacuum_ns) / NS < BELOW_S
        low = seen.filled and over < -BELOW_AMBIENT_MBAR and truth["flask_c"] > HOT_C
        seen.below_s = seen.below_s + 1 if low and not pumped and not self._gas_fault() else 0
        if seen.below_s > BELOW_S:
            self.findings.add(13, t_ns, f"hot flask {-over:.0f} mbar below ambient")
        seen.mbar = truth["flask_mbar"]

    def _gas_fault(self) -> bool:
        return any(row.acted and row.text.startswith(GAS_FAULTS) for row in self._world.faults())

    def _dose(self, t_ns: int, truth: Mapping[str, float]) -> None:
        pump, seen = self._day.pump, self.seen
        given_ml = truth[f"{pump}.delivered_ml"]
        if given_ml > self._planned_ml * DOSE_PART + DOSE_ML:
            self.findings.add(14, t_ns, f"{pump} gave {given_ml:.3f} of {self._planned_ml:.3f} mL")
        before_ml, seen.delivered_ml = seen.delivered_ml, given_ml
        moved_ml = 0.0 if before_ml is None else given_ml - before_ml
        if moved_ml <= MOVES_ML:
            return
        most_ml = self._planned_ml / self._day.over_s * RATE_PART + RATE_ML
        if moved_ml > most_ml and not self._acted("wrong_syringe"):
            self.findings.add(18, t_ns, f"{pump} gave {moved_ml * 1e3:.1f} uL in a second")
        if truth["flask_mbar"] < self._world.spec.ambient_mbar - SUCKED_MBAR:
            self.findings.add(8, t_ns, f"{pump} doses into {truth['flask_mbar']:.0f} mbar")
        if truth["stirring_rpm"] < 100:
            seen_rpm = f"{pump} doses while the bar turns at {truth['stirring_rpm']:.0f} rpm"
            self.findings.add(17, t_ns, seen_rpm)
        self._warm(t_ns, truth)
        watchdog = any(self._acted(kind) for kind in PUMP_LINE)
        if self.seen.ended_ns is not None and self._since_end_s(t_ns) > (
            WATCHDOG_S if watchdog else STANDS_S
        ):
            seen_s = f"{pump} moves {self._since_end_s(t_ns):.0f} s after the end began"
            self.findings.add(18, t_ns, seen_s)
        if self._run is not None:
            self._in_its_step(t_ns, self._run, truth["flask_c"])

    def _warm(self, t_ns: int, truth: Mapping[str, float]) -> None:
        keep_c = self._day.keep_c
        if truth["warm_c"] < keep_c - KEEP_K:
            seen = f"dose through a line at {truth['warm_c']:.0f} °C, to be kept at {keep_c:.0f}"
            self.findings.add(17, t_ns, seen)

    def _in_its_step(self, t_ns: int, run: Run, flask_c: float) -> None:
        hf = self._day.hf
        low_c, high_c = self._day.window_c
        skipped = any(": skip" in text for text in run.deviations)
        if not low_c <= flask_c <= high_c and (hf or not skipped):
            self.findings.add(16 if hf else 17, t_ns, f"dose into a flask at {flask_c:.0f} °C")
        signed = run.signed.get(self._day.reagent, set())
        if hf and len(signed) < 2:
            self.findings.add(16, t_ns, f"HF signed for by {len(signed)}")

    def _besides(self, t_ns: int, truth: Mapping[str, float]) -> dict[str, float]:
        given = truth[f"{self._day.pump}.delivered_ml"] / self._planned_ml
        supplies = {name: self._world.get(name, t_ns) for name in ("n2_pressure", "hood_flow")}
        return {**supplies, "part_given": float(0.0 < given < WHOLE)}

    def _standing(self) -> list[str]:
        return [row.text for row in self._world.faults() if row.acted and row.ended_ns is None]

    def _acted(self, kind: str) -> bool:
        return any(row.acted and row.text.startswith(kind) for row in self._world.faults())
