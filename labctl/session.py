"""The one composition root: plan + clock + rig or twin + record + engine -> result."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from labctl.bus import Bus
from labctl.capabilities import Operator
from labctl.clock import Clock, VirtualClock, new_run_id, wall_s
from labctl.engine.befalling import befall, say_what_befell
from labctl.engine.commands import Command, Commands
from labctl.engine.elapsed import Elapsed
from labctl.engine.executor import Executor
from labctl.engine.expected import Expected, expected_of
from labctl.engine.guarding import Guards, TwinGuard
from labctl.engine.heat import Heat
from labctl.engine.machine import RunMachine, State
from labctl.engine.parts import Parts
from labctl.engine.past import Past
from labctl.engine.run import Run
from labctl.engine.signals import Signals
from labctl.errors import ExitCode
from labctl.faults import placed
from labctl.loop import Inbox, Interrupt, VirtualLoop, run_virtual
from labctl.plan import Plan
from labctl.prepare import Request, prepare, refusal
from labctl.record import Assumed, Lot, Record, RunMeta, last_complete, open_run, summary
from labctl.record.rows import Json
from labctl.registry import build_world, line_baud
from labctl.rig.model import LoadedRig, PortEntry
from labctl.rig.opening import OpenRig, WireMaker
from labctl.rig.twinning import twin_of
from labctl.transport import Wire
from labctl.transport.memory import MemoryWire, PluggedWire
from labctl.twin import TwinFault, TwinSpec, World

__all__ = [
    "Request",
    "Result",
    "conduct",
    "dry_run",
    "exit_code",
    "golden_of",
    "memory_wires",
    "meta_of",
    "prepare",
    "refusal",
    "shadow_of",
    "stem_of",
    "twin_spec",
]

SHADOW_SEED = 0
Watcher = Callable[[Run], None]
Attend = Callable[[Executor, Commands], None]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended; `summary` is the public JSON object."""

    directory: Path
    exit_code: ExitCode
    summary: Mapping[str, Json]
    reason: str


def dry_run(
    planned: Plan,
    *,
    seed: int = 1,
    speed: float | None = None,
    runs: Path,
    asks: Callable[[Operator], Operator] | None = None,
    watch: Watcher | None = None,
    expected: Sequence[Expected] = (),
    member: Mapping[str, Json] = MappingProxyType({}),
    faults: Sequence[TwinFault] = (),
) -> Result:
    """Run a plan against the rig's simulated twin in virtual time; never opens a port.

    `speed` is a factor of real time, None for as fast as it goes; `asks` puts
    somebody between the run and the simulated person, whose hands do the work in any case; `watch`
    is given the run before it starts; `expected` are what it is compared with while it runs;
    `member` says which run of which series it is; `faults` befall the twin and stand in the
    record.

    Raises:
        UnknownNameError: a fault, its target or its anchor is not known.
        UsageError: a fault does nothing to its target.
    """
    world = build_world(twin_spec(planned, seed, faults))
    inbox = Inbox()
    started_s = wall_s()
    directory = runs / new_run_id(stem_of(planned))
    meta = replace(meta_of(planned, seed, directory.name), member=member)

    async def main(loop: VirtualLoop) -> tuple[str, str, bool]:
        clock = VirtualClock(loop, planned.batch.model.date)
        world.follow(clock.now_ns)
        wires = memory_wires(planned.rig, world, clock)
        operator = world.operator if asks is None else asks(world.operator)
        rig = OpenRig(planned.rig, operator, wires, clock)
        record = Record.create(directory, meta, durable=False)
        try:
            return await conduct(
                planned,
                rig,
                clock,
                record,
                inbox,
                watch,
                expected=expected,
                world=world,
                started_s=started_s,
            )
        finally:
            record.close()

    outcome, reason, interrupted = run_virtual(main, speed=speed, inbox=inbox)
    with open_run(directory) as run:
        return Result(directory, exit_code(outcome, interrupted=interrupted), summary(run), reason)


async def conduct(
    planned: Plan,
    rig: OpenRig,
    clock: Clock,
    record: Record,
    inbox: Inbox,
    watch: Watcher | None = None,
    *,
    expected: Sequence[Expected] = (),
    world: World | None = None,
    started_s: float = 0.0,
    guarding: Guards | None = None,
    attend: Attend | None = None,
    past: Past | None = None,
) -> tuple[str, str, bool]:
    """Conduct a run on an opened rig, in virtual or real time.

    `watch` is given the run before it starts, `attend` who executes it; `guarding` permits heat on
    hardware; `past` is what a run that was cut off had come to. Returns the outcome, the cause of
    an early end, and whether the operator interrupted it.
    """
    guards = guarding or _twin_guard(planned, world, clock)
    bus = Bus()
    machine = RunMachine(lambda state, _: record.state(state.value))
    elapsed = Elapsed(clock)
    run = Run(
        planned,
        rig,
        clock,
        record,
        bus,
        machine,
        Signals(clock),
        elapsed,
        world is not None,
        planned.scene.ambient_mbar,
        Heat(rig.heater, None if guards is None else guards.permit),
        expected,
    )
    executor = Executor(Parts(run), guards, past)
    commands = Commands(executor)
    inbox.receiver(lambda message: _received(executor, commands, message))
    if attend is not None:
        attend(executor, commands)
    if watch is not None:
        watch(run)
    if world is not None:
        befall(run, world)
    outcome = "faulted"
    try:
        outcome = await executor.execute()
    finally:
        await rig.close()
        if world is not None:
            say_what_befell(run, world)
        if outcome == "faulted":
            record.finish(clock.now_ns(), machine.state.value, outcome)
    product = None if world is None else dict(world.product(clock.now_ns()))
    state = machine.state
    wall = wall_s() - started_s if started_s else None
    record.finish(clock.now_ns(), state.value, outcome, product=product, wall_s=wall)
    ended_early = state in {State.SAFE, State.FAULTED}
    return outcome, machine.cause if ended_early else "", executor.interrupted


def shadow_of(planned: Plan, *, seed: int = SHADOW_SEED) -> Expected:
    """Dry-run a plan on the virtual clock, as fast as it goes, and return how it is expected to go.

    The record of that dry run is not kept. A dry run that does not come to its end makes no shadow.
    """
    with tempfile.TemporaryDirectory(prefix="labctl-shadow-") as runs:
        result = dry_run(planned, seed=seed, runs=Path(runs))
        label = "the recipe's own dry run"
        if result.exit_code not in {ExitCode.COMPLETE, ExitCode.DEVIATIONS}:
            missing = f"not compared with {label}: it ended early: {result.reason or 'unknown'}"
            return Expected("expected", label, missing=missing)
        with open_run(result.directory) as run:
            return expected_of(run, "expected", label)


def golden_of(planned: Plan, runs: Path, *, simulated: bool = True) -> Expected | None:
    """Return how the last good batch went that the batch sheet names; None if it names none.

    A sample that has no complete run in `runs` is said to be missing; `simulated` lets dry runs
    stand for batches.
    """
    sample = planned.batch.model.golden
    if not sample:
        return None
    label = f"the last good batch {sample}"
    found = last_complete(runs, sample, simulated=simulated)
    if found is None:
        missing = f"not compared with {label}: {runs} holds no complete run of that sample"
        return Expected("golden", label, missing=missing)
    with open_run(found) as run:
        return expected_of(run, "golden", label)


def stem_of(planned: Plan) -> str:
    """Return the name of a plan's recipe file, without what follows the first dot."""
    return planned.recipe.document.file.rpartition("/")[2].partition(".")[0]


def twin_spec(planned: Plan, seed: int, faults: Sequence[TwinFault] = ()) -> TwinSpec:
    """Return the spec of the twin that a plan's dry run is made against.

    Raises:
        UnknownNameError: the anchor of a fault is no stage and no step of the plan.
    """
    stages = list(dict.fromkeys(planned_step.stage for planned_step in planned.steps))
    steps = [planned_step.step.id for planned_step in planned.steps]
    befalls = placed(faults, stages, steps, planned.batch.model.vessel)
    reagents = {name: reagent.is_ for name, reagent in planned.recipe.head.reagents.items()}
    loads = planned.scene.loads.values()
    return twin_of(
        planned.rig,
        planned.vessel,
        loads,
        reagents,
        seed=seed,
        path_mm=planned.batch.model.path,
        faults=befalls,
    )


def memory_wires(rig: LoadedRig, world: World, clock: Clock) -> WireMaker:
    """Return what makes the wires to a world's instruments."""

    def make(name: str, entry: PortEntry) -> Wire:
        kinds = [device.kind for device in rig.model.devices.values() if device.port == name]
        networked = bool(entry.tcp or entry.visa)
        baud = 0 if networked else entry.baud or max(map(line_baud, kinds), default=0)
        speaks = partial(world.speaks, name)
        wire = MemoryWire(world.line(name), clock, baud=baud, speaks=speaks)
        if not world.faults():
            return wire
        return PluggedWire(name, wire, lambda: world.link(name, clock.now_ns()))

    return make


def meta_of(
    planned: Plan,
    seed: int,
    run_id: str,
    *,
    simulated: bool = True,
) -> RunMeta:
    """Return what is known of a run before it starts."""
    batch, recipe = planned.batch.model, planned.recipe
    lots = tuple(
        Lot(
            name,
            recipe.head.reagents[name].is_,
            row.lot,
            concentration_mol_l=row.concentration,
            by=row.pump or "hand",
            made=row.made.isoformat() if row.made else "",
        )
        for name, row in batch.loads.items()
    )
    assumed = tuple(
        Assumed(name, recipe.settings[name], row.why) for name, row in recipe.head.assumed.items()
    )
    return RunMeta(
        run_id,
        recipe.head.name,
        recipe.document.file,
        recipe.document.text,
        seed,
        simulated,
        batch.date.isoformat(),
        planned.rig.model.name,
        planned.rig.document.text,
        planned.batch.document.text,
        batch.sample,
        batch.operator,
        {"labctl": version("labctl"), "python": platform.python_version()},
        dict(recipe.settings),
        assumed,
        lots,
        recipe.files,
    )


def exit_code(outcome: str, *, interrupted: bool) -> ExitCode:
    """Return the exit code of an outcome."""
    if interrupted:
        return ExitCode.INTERRUPTED
    codes = {"complete": ExitCode.COMPLETE, "complete_with_deviations": ExitCode.DEVIATIONS}
    return codes.get(outcome, ExitCode.SAFE)


def _twin_guard(planned: Plan, world: World | None, clock: Clock) -> Guards | None:
    if world is None or planned.rig.model.guard is None:
        return None
    return TwinGuard(lambda closed: world.contactor(clock.now_ns(), closed=closed))


def _received(executor: Executor, commands: Commands, message: object) -> None:
    if isinstance(message, Interrupt):
        executor.interrupt()
    elif isinstance(message, Command):
        commands.obey(message)
