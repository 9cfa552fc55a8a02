"""What a preflight looks at: what labctl measures, and what only a person can see.

Each check says its limit and what to do beforehand, so that the list can be shown before anything
is touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from labctl.bench import Bench, Question
from labctl.check import due, scrubber
from labctl.check.seen import handled
from labctl.errors import AbortedError
from labctl.plan import Plan
from labctl.recipe.steps.base import flattened
from labctl.recipe.steps.leak_test import LeakTest
from labctl.recipe.steps.prime import Prime
from labctl.recipe.steps.reference import Reference
from labctl.recipe.steps.sequences import fill
from labctl.recipe.steps.stir import Stir
from labctl.rig.devices import RelayEntry, SpectrometerEntry
from labctl.rig.model import LoadedRig, Preflight
from labctl.rules import Interlock
from labctl.units import show

PREFLIGHT = "preflight"
LEAK, TRAP = "leak_rate", "trap"
STIRS_RPM = 300.0
LAMP_LOOK_S = 60.0
DIM = 0.05
UNANSWERED_S = 1800.0

Found = tuple[str, bool]
"""What was found, in words, and whether it is within its limit."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at; `holds_for` is the digest of the texts it is judged with."""

    id: str
    by: Literal["labctl", "person"]
    what: str
    limit: str
    do: str
    holds_for: str
    look: Callable[[Bench], Awaitable[Found]]


def checks_of(plan: Plan) -> tuple[Check, ...]:
    """Return the checks of a plan's rig and recipe, in the order of looking: people first.

    Without `preflight` in the rig file there are none.
    """
    limits = plan.rig.model.preflight
    if limits is None:
        return ()
    rig, run = _digests(plan)
    return (
        *_by_people(plan, rig, run),
        *_dates(plan, run),
        *_reference(plan, run),
        *_supplies(plan.rig, rig),
        *_thermometers(plan.rig, limits, rig),
        *_stirring(plan.rig, rig),
        *_leak(plan.rig, limits, rig),
        *_lamp(plan.rig, limits, rig),
    )


def _digests(plan: Plan) -> tuple[str, str]:
    """Return the digest of the rig, and that of rig, recipe, its settings and sheet."""
    rig = plan.rig.document.text
    settings = repr(sorted(plan.recipe.settings.items()))
    run = "\0".join((rig, plan.recipe.document.text, settings, plan.batch.document.text))
    return _digest(rig), _digest(run)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _by_people(plan: Plan, rig: str, run: str) -> Iterator[Check]:
    inert = plan.rig.model.site.inert
    text = f"{inert} on: the bubbler bubbles, and the cylinder lasts for today"
    yield _asked("inert_gas", text, f"open the {inert}, change the cylinder", rig)
    gases = ", ".join(scrubber.gases(plan))
    if gases:
        holds = plan.batch.model.scrubber or "nothing"
        text = f"the scrubber holds {holds}, not spent, for {gases}"
        yield _asked("scrubber", text, "fill it, or correct `scrubber` on the sheet", run)
    steps = [step for stage in plan.recipe.all_stages for step in flattened(stage.steps)]
    primed = {name for step in steps if isinstance(step, Prime) for name in step.reagents}
    given = {name for step in steps for name in handled(step)}
    for load in plan.scene.loads.values():
        if load.pump and load.name in given - primed:
            text = f"the line of {load.name} ({load.pump}) is primed to its tip, without bubbles"
            yield _asked(f"line_{load.pump}", text, "prime it over waste", run)


def _dates(plan: Plan, holds_for: str) -> Iterator[Check]:
    """Yield calibrations and cut-out tests: none may be past its date."""
    for name, rule, do in (
        ("calibrations", due.calibration, "labctl calibrate, or accept it on the sheet"),
        ("cutouts", due.cutout, "test it, then write the date into the rig file"),
    ):
        late = [found.message for found in rule(plan)]
        accepted = f"due.{name.removesuffix('s')}" in plan.batch.model.accept
        look = partial(_dated, "; ".join(late), ok=not late or (accepted and name != "cutouts"))
        what = f"dates of {name.replace('cut', 'cut-')}"
        yield Check(name, "labctl", what, "none is overdue", do, holds_for, look)


async def _dated(late: str, _: Bench, *, ok: bool) -> Found:
    return late or "none is overdue", ok


def _reference(plan: Plan, holds_for: str) -> Iterator[Check]:
    """Yield whether a recipe that looks at absorbance takes dark and reference of its own."""
    if "absorbance" not in plan.recipe.head.needs.in_loop:
        return
    taken = [planned.step.id for planned in plan.steps if isinstance(planned.step, Reference)]

    async def look(_: Bench) -> Found:
        return f"taken in {taken[0]}" if taken else "no step takes them", bool(taken)

    do = "write a `reference` step before the dots go in"
    what, limit = "dark and reference fresh", "taken in this run"
    yield Check("reference", "labctl", what, limit, do, holds_for, look)


def _asked(id_: str, text: str, do: str, holds_for: str) -> Check:
    async def look(bench: Bench) -> Found:
        question = Question(text, ("yes", "no"), "no", UNANSWERED_S, simulated="yes")
        answer = await bench.ask(question)
        return "nobody said" if answer.by_default else answer.choice, answer.choice == "yes"

    return Check(id_, "person", text, "yes", do, holds_for, look)


def _supplies(rig: LoadedRig, holds_for: str) -> Iterator[Check]:
    """Yield one check for each input that an interlock of the rig requires by itself."""
    inputs = {
        f"{name}.{part}"
        for name, entry in rig.model.devices.items()
        if isinstance(entry, RelayEntry)
        for part in entry.inputs
    }
    required: dict[str, list[Interlock]] = {}
    for rule in rig.model.interlocks:
        if rule.require.text in inputs:
            required.setdefault(rule.require.text, []).append(rule)
    for signal, rules in required.items():
        look = partial(_on, signal)
        would = ", ".join(f"{rule.id} would {rule.severity}" for rule in rules)
        do = f"see to it: without it {would} the run"
        name = signal.replace("_", " ").partition(".")[2]
        yield Check(f"supply_{rules[0].id}", "labctl", name, f"{signal} on", do, holds_for, look)


async def _on(signal: str, bench: Bench) -> Found:
    value = bench.value(signal)
    return {None: "not read", 0.0: "off"}.get(value, "on"), value == 1.0


def _thermometers(rig: LoadedRig, limits: Preflight, holds_for: str) -> Iterator[Check]:
    signals = [name for name in rig.model.signals if name.startswith("flask.T")]
    low, high = limits.room

    async def look(bench: Bench) -> Found:
        values = [await bench.measure(signal) for signal in signals]
        known = [value for value in values if value is not None]
        text = ", ".join("unknown" if v is None else show(v, "temperature") for v in values)
        apart = max(known, default=0.0) - min(known, default=0.0)
        agree = apart <= limits.thermometers and all(low <= v <= high for v in known)
        return text, agree and len(known) == len(values)

    room = f"{show(low, 'temperature')} .. {show(high, 'temperature')}"
    limit = f"within {limits.thermometers:g} K, {room}"
    do = "let the flask cool; else see which probe is off, and calibrate or replace it"
    what = " and ".join(signals) + " cold"
    if signals:
        yield Check("thermometers", "labctl", what, limit, do, holds_for, look)


def _stirring(rig: LoadedRig, holds_for: str) -> Iterator[Check]:
    if not rig.entry("stirrer")[0]:
        return

    async def look(bench: Bench) -> Found:
        before = bench.value("stirrer.speed") or 0.0
        await Stir(id="stir", speed=STIRS_RPM).run(bench)
        found = bench.value("stirrer.speed")
        await bench.stirrer.stir(before)
        return "not read" if found is None else show(found, "rotation"), found is not None

    limit = f"{show(STIRS_RPM, 'rotation')}, read back within 10 %"
    do = "see whether the bar is coupled and the plate is in remote control"
    yield Check("stirring", "labctl", "stirring", limit, do, holds_for, look)


def _leak(rig: LoadedRig, limits: Preflight, holds_for: str) -> Iterator[Check]:
    if not {"rough", "fine", "flask_gauge", "line_gauge"} <= set(rig.model.roles):
        return
    trap = rig.model.trap
    if trap is not None:
        text = f"the trap is cold: {trap.cools} filled, and no air went in while it is"
        look = partial(_signed, text)
        do = (
            f"fill it with {trap.cools}, pumped and shut off from air; warm and vent it if in doubt"
        )
        yield Check(TRAP, "person", text, "signed", do, holds_for, look)
    leak = limits.leak
    step = LeakTest(
        id="leak",
        T_below=leak.T_below,
        pump_to=leak.pump_to,
        isolate=leak.isolate,
        rise_below=leak.rise_below,
    )

    async def tested(bench: Bench) -> Found:
        rise = await step.rise_mbar_min(bench)
        await fill(bench)
        return f"at most {show(rise, 'pressure rate')}", rise < leak.rise_below

    what = f"rate of rise, isolated cold for {show(leak.isolate, 'time')}"
    limit = f"below {show(leak.rise_below, 'pressure rate')}"
    do = "find the leak: joints, septa, taps; grease them anew and test again"
    yield Check(LEAK, "labctl", what, limit, do, holds_for, tested)


async def _signed(text: str, bench: Bench) -> Found:
    try:
        await bench.confirm([text])
    except AbortedError:
        return "refused", False
    return "signed", True


def _lamp(rig: LoadedRig, limits: Preflight, holds_for: str) -> Iterator[Check]:
    entry = rig.model.devices.get(rig.entry("absorbance")[0])
    if not isinstance(entry, SpectrometerEntry) or entry.lamp is None:
        return
    warm_s = entry.lamp.warm_up

    async def look(bench: Bench) -> Found:
        end_s = bench.elapsed_s() + warm_s
        share, drift = await bench.lamp(LAMP_LOOK_S)
        while share >= DIM and drift >= limits.lamp and bench.elapsed_s() < end_s:
            share, drift = await bench.lamp(LAMP_LOOK_S)
        found = f"{share:.0%} of the detector's range, drift {drift:.2%} per min"
        return found, share >= DIM and drift < limits.lamp

    limit = f"above {DIM:.0%}, drift below {limits.lamp:.2%} per min"
    do = "see that the lamp is on, its shutter opens and the fibres sit; let it warm up longer"
    yield Check("lamp", "labctl", "lamp warm", limit, do, holds_for, look)
