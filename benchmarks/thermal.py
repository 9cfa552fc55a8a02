"""Thermal verification on the plant: false trips over clean runs, and how soon a fault is found.

`python -m benchmarks.thermal [RUNS]`: RUNS plants, each constant 20 % up or down, heat to 110, 260,
200 and 320 °C, at 5, 10 and 15 K/min and as fast as they can, are cut short in two ramps, take a
cold dose and are quenched; then each fault in the hold at 260 °C and in the
ramp to it. The peer is Klipper's `verify_heater`, relaxed until it is quiet on this mantle (10 K,
600 K s, 60 s); with its defaults it is not.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

from labctl.engine.thermal_watch import (
    MantleModel,
    ThermalLimits,
    ThermalSample,
    ThermalWatch,
)
from labctl.twin import stream
from simulators.eurotherm_control import MANTLE, ControlLoop
from simulators.plant.thermal import ThermalParameters, ThermalPlant

POWER = 0.85
LIQUID_J_K = 17.0
PERIOD_S = 0.25
NOISE_K = 0.05
SPREAD = 0.2
LINGERS_S = 180.0
DOSE_AT_S, DOSE_OVER_S, DOSE_ML = 2400.0, 60, 2.0
QUENCH_AT_S, END_S = 6900.0, 7500.0
IN_RAMP_S, IN_HOLD_S, AFTER_S = 1500.0, 3000.0, 1500.0
CALM = ((0.0, 110.0), (1200.0, 260.0))
CUT_SHORT = (
    (0.0, 110.0), (100.0, 25.0), (400.0, 110.0), (1200.0, 260.0), (3600.0, 200.0), (4500.0, 320.0),
    (4620.0, 150.0), (5000.0, 320.0), (QUENCH_AT_S, 25.0),
)  # fmt: skip
HIGHEST_C = 320.0
RATES_K_MIN = (5.0, 10.0, 15.0, 0.0)


@dataclass
class Rig:
    """One plant with its controller, and what is wrong with it from a time on."""

    plant: ThermalPlant
    loop: ControlLoop
    chance: random.Random
    reads: Callable[[float, float], float | None] = lambda _, c: c
    heats: Callable[[float], float] = lambda output: output
    slips: Callable[[float], float] = lambda _: 1.0
    output: float = 0.0
    setpoints: tuple[tuple[float, float], ...] = CUT_SHORT


@dataclass(frozen=True)
class Fault:
    """A fault: what it does to a rig, given for how many s it has lasted."""

    name: str
    strike: Callable[[Rig, float], None]


@dataclass
class Course:
    """How a run went: what was found when, and the highest true temperature until then and 60 s."""

    found_s: float | None = None
    rule: str = ""
    highest_c: float = 0.0
    peer_s: float | None = None
    peer_highest_c: float = 0.0
    rules: list[str] = field(default_factory=list)


def strike(**what: Callable[..., float | None]) -> Callable[[Rig, float], None]:
    """Return what sets parts of a rig."""

    def act(rig: Rig, _: float) -> None:
        for name, value in what.items():
            setattr(rig, name, value)

    return act


def stuck(rig: Rig, _: float) -> None:
    """Keep what the sensor reads now."""
    held: list[float] = []

    def reads(_: float, c: float) -> float:
        held.append(c)
        return held[0]

    rig.reads = reads


FAULTS = (
    Fault("probe out", strike(slips=lambda _: 0.12)),
    Fault("partial slip 0.7", strike(slips=lambda _: 0.7)),
    Fault("partial slip 0.85", strike(slips=lambda _: 0.85)),
    Fault("slow slip, 30 % in 600 s", strike(slips=lambda s: max(0.7, 1.0 - 0.3 * s / 600.0))),
    Fault("SSR stuck on", strike(heats=lambda _: 1.0)),
    Fault("heater open", strike(heats=lambda _: 0.0)),
    Fault("sensor stuck", stuck),
    Fault("TC open, reads 1370", strike(reads=lambda _, c: 1370.0)),
)


class VerifyHeater:
    """Klipper's `verify_heater` (klippy/extras/verify_heater.py), once per second."""

    def __init__(self, hysteresis_k: float, max_error_ks: float, gain_s: float) -> None:
        self._hysteresis_k, self._max_ks, self._gain_s = hysteresis_k, max_error_ks, gain_s
        self._gain_k = 2.0
        self._approaching = self._starting = False
        self._last_c = self._error_ks = self._goal_c = self._goal_s = 0.0

    def see(self, t_s: float, flask_c: float, target_c: float) -> bool:
        """Take a second's sample; say whether it is a fault."""
        if flask_c >= target_c - self._hysteresis_k or target_c <= 0.0:
            self._approaching = self._starting = False
            if flask_c <= target_c + self._hysteresis_k:
                self._error_ks = 0.0
            self._last_c = target_c
            return False
        self._error_ks += target_c - self._hysteresis_k - flask_c
        failed = not self._approaching and target_c == self._last_c
        failed = failed and self._error_ks >= self._max_ks
        if self._approaching:
            self._approach(t_s, flask_c)
        elif target_c != self._last_c:
            self._approaching = self._starting = True
            self._goal_c, self._goal_s = flask_c + self._gain_k, t_s + self._gain_s
        self._last_c = target_c
        return failed

    def _approach(self, t_s: float, flask_c: float) -> None:
        if flask_c >= self._goal_c:
            self._starting, self._error_ks = False, 0.0
            self._goal_c, self._goal_s = flask_c + self._gain_k, t_s + self._gain_s
        elif t_s >= self._goal_s:
            self._approaching = False
        elif self._starting:
            self._goal_c = min(self._goal_c, flask_c + self._gain_k)


RELAXED = (10.0, 600.0, 60.0)
DEFAULTS = (5.0, 120.0, 20.0)


def plants(count: int, seed: int = 1) -> list[ThermalParameters]:
    """Return parameters with each constant up to 20 % off; the mantle's power as the rig says."""
    chance = stream(seed, "plants")
    made = []
    for _ in range(count):
        nominal = ThermalParameters()
        off = {
            f.name: getattr(nominal, f.name) * chance.uniform(1.0 - SPREAD, 1.0 + SPREAD)
            for f in fields(nominal)
            if f.name != "ambient_c"
        }
        made.append(replace(nominal, **off))
    return made


def run(
    parameters: ThermalParameters,
    seed: int,
    *,
    fault: Fault | None = None,
    at_s: float = 0.0,
    probes: int = 1,
    rate_k_min: float = 10.0,
    rules: Sequence[str] | None = None,
    peer: tuple[float, float, float] = RELAXED,
) -> Course:
    """Run one plant; a clean run goes to its end, one with a fault until it is found or 25 min."""
    rig = _rig(parameters, seed, rate_k_min)
    if fault is not None:
        rig.setpoints = CALM
    watch = ThermalWatch(
        ThermalLimits(HIGHEST_C, full=POWER, frozen_s=180.0),
        MantleModel(80.0, 30.0 + LIQUID_J_K),
        rules,
    )
    other, course = VerifyHeater(*peer), Course()
    end_s = END_S if fault is None else at_s + AFTER_S
    t_s = 0.0
    while t_s < end_s:
        if fault is not None and t_s == at_s:
            fault.strike(rig, 0.0)
        measured_c, second_c = _second(rig, t_s, max(0.0, t_s - at_s))
        t_s += 1.0
        sample = _sample(rig, t_s, measured_c, second_c if probes == 2 else None)
        verdict = watch.see(sample)
        peers = measured_c is not None and other.see(t_s, measured_c, rig.loop.target_c)
        late_s = t_s - at_s
        if verdict is not None and course.found_s is None:
            course.found_s, course.rule = late_s, verdict.rule
        if peers and course.peer_s is None:
            course.peer_s = late_s
        _follow(course, rig.plant.flask_c, t_s, at_s)
        if course.found_s is not None and course.peer_s is not None and fault is not None:
            break
    return course


def _follow(course: Course, flask_c: float, t_s: float, at_s: float) -> None:
    """Note the highest temperatures: heat is cut when a fault is found, not in this run."""
    if t_s < at_s:
        return
    if course.found_s is None:
        course.highest_c = max(course.highest_c, flask_c)
    if course.peer_s is None:
        course.peer_highest_c = max(course.peer_highest_c, flask_c)


def _rig(parameters: ThermalParameters, seed: int, rate_k_min: float) -> Rig:
    plant = ThermalPlant(parameters, LIQUID_J_K)
    loop = ControlLoop(MANTLE)
    loop.high, loop.rate_k_min = POWER, rate_k_min
    loop.start(plant.flask_c)
    return Rig(plant, loop, stream(seed, "noise"))


def _second(rig: Rig, t_s: float, lasts_s: float) -> tuple[float | None, float]:
    """Move one second on; return what the two probes read at its end."""
    plant, loop = rig.plant, rig.loop
    loop.target_c = [c for s, c in rig.setpoints if s <= t_s][-1]
    if DOSE_AT_S <= t_s < DOSE_AT_S + DOSE_OVER_S:
        plant.add_cold(DOSE_ML * 1.7 / DOSE_OVER_S, 25.0)
    plant.mantle_up, plant.fan = t_s < QUENCH_AT_S, t_s >= QUENCH_AT_S
    plant.contact_1 = rig.slips(lasts_s)
    seen_c: float | None = None
    for _ in range(round(1.0 / PERIOD_S)):
        seen_c = rig.reads(lasts_s, plant.probe_1_c + rig.chance.gauss(0.0, NOISE_K))
        rig.output = (
            loop.cut(20.0, PERIOD_S)
            if seen_c is None or seen_c > 1300.0
            else loop.step(seen_c, PERIOD_S)
        )
        plant.heater_power_w = rig.heats(rig.output) * plant.parameters.mantle_power_w
        plant.step(PERIOD_S)
    second_c = plant.probe_2_c + rig.chance.gauss(0.0, NOISE_K)
    return None if seen_c is None else round(seen_c, 1), round(second_c, 1)


def _sample(rig: Rig, t_s: float, flask_c: float | None, second_c: float | None) -> ThermalSample:
    dosed = DOSE_AT_S <= t_s <= DOSE_AT_S + DOSE_OVER_S + LINGERS_S
    return ThermalSample(
        t_s,
        flask_c,
        rig.output,
        rig.loop.target_c,
        second_c,
        heating=t_s < QUENCH_AT_S,
        disturbed=dosed or t_s >= QUENCH_AT_S,
        bare=not rig.plant.mantle_up,
    )


def clean(count: int, peer: tuple[float, float, float] = RELAXED) -> tuple[list[Course], list[str]]:
    """Run clean plants; return the courses and what was wrongly found."""
    courses = [
        run(p, seed, probes=2, rate_k_min=RATES_K_MIN[seed % 4], peer=peer)
        for seed, p in enumerate(plants(count))
    ]
    return courses, [f"{c.rule} at {c.found_s:.0f} s" for c in courses if c.found_s is not None]


def detection(fault: Fault, at_s: float, probes: int, count: int) -> list[Course]:
    """Run plants with a fault."""
    return [
        run(p, seed, fault=fault, at_s=at_s, probes=probes)
        for seed, p in enumerate(plants(count, 2))
    ]


def told(times: Sequence[float | None], highest: Sequence[float]) -> str:
    """Write median and worst detection time, and the highest true temperature by then."""
    found = [t for t in times if t is not None]
    if not found:
        return f"never; {max(highest):.0f} °C"
    missed = (
        f", {len(times) - len(found)} of {len(times)} missed" if len(found) < len(times) else ""
    )
    return (
        f"{statistics.median(found):.0f} s, worst {max(found):.0f} s{missed}; {max(highest):.0f} °C"
    )


def main(argv: Sequence[str]) -> None:
    """Print the table."""
    count = int(argv[0]) if argv else 60
    courses, wrong = clean(count)
    peer = sum(c.peer_s is not None for c in courses)
    defaults = sum(c.peer_s is not None for c in clean(count, DEFAULTS)[0])
    print(f"| clean runs, false trips | {peer}/{count} (defaults {defaults}/{count}) |", end="")
    print(f" {len(wrong)}/{count} {'; '.join(wrong)} | |")
    few = max(2, count // 6)
    for fault in FAULTS:
        for where, at_s in (("hold", IN_HOLD_S), ("ramp", IN_RAMP_S)):
            cells = []
            for probes in (1, 2):
                found = detection(fault, at_s, probes, few)
                if probes == 1:
                    times = [c.peer_s for c in found]
                    cells.append(told(times, [c.peer_highest_c for c in found]))
                ours = told([c.found_s for c in found], [c.highest_c for c in found])
                cells.append(f"{ours} ({', '.join(sorted({c.rule for c in found}))})")
            print(f"| {fault.name}, {where} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
