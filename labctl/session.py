"""The one composition root: plan + clock + rig or twin + record + engine -> result."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from labctl.bus import Bus
from labctl.capabilities import Operator
from labctl.check import check
from labctl.clock import Clock, VirtualClock, new_run_id, wall_s
from labctl.engine.elapsed import Elapsed
from labctl.engine.executor import Executor
from labctl.engine.machine import RunMachine, State
from labctl.engine.parts import Parts
from labctl.engine.run import Run
from labctl.engine.signals import Signals
from labctl.errors import ExitCode, Finding, FindingsError, RefusedError, Severity
from labctl.loop import Inbox, Interrupt, VirtualLoop, run_virtual
from labctl.plan import Plan, plan
from labctl.recipe.load import load_recipe
from labctl.record import Assumed, Lot, Record, RunMeta, open_run, summary
from labctl.record.rows import Json
from labctl.registry import build_world, bundled_rig, line_baud
from labctl.rig.batch import load_batch
from labctl.rig.load import load_rig
from labctl.rig.model import LoadedRig, PortEntry
from labctl.rig.opening import OpenRig, WireMaker
from labctl.rig.twinning import twin_of
from labctl.source import Mark
from labctl.transport import Wire
from labctl.transport.memory import MemoryWire
from labctl.twin import TwinSpec, World

Watcher = Callable[[Run], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: the recipe with its choices, on which rig, with which batch sheet."""

    recipe: Path
    rig: Path | None = None
    batch: Path | None = None
    settings: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended; `summary` is the public JSON object."""

    directory: Path
    exit_code: ExitCode
    summary: Mapping[str, Json]
    reason: str


def prepare(request: Request) -> tuple[Plan, list[Finding]]:
    """Load, bind and check; return the plan and every finding that is no error.

    Raises:
        FindingsError: at least one error in recipe, rig or batch.
        UsageError: a setting that is not allowed.
    """
    recipe = load_recipe(request.recipe, request.settings)
    rig = load_rig(request.rig or bundled_rig())
    batch = load_batch(request.batch or _beside(request.recipe))
    planned = plan(recipe, rig, batch)
    findings = check(planned)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise FindingsError(findings)
    return planned, findings


def dry_run(
    planned: Plan,
    *,
    seed: int = 1,
    speed: float | None = None,
    runs: Path,
    operator: Operator | None = None,
    watch: Watcher | None = None,
) -> Result:
    """Run a plan against the rig's simulated twin in virtual time; never opens a port.

    `speed` is a factor of real time, None for as fast as it goes; `operator` answers instead of the
    simulated person; `watch` is given the run before it starts.
    """
    world = build_world(twin_spec(planned, seed))
    inbox = Inbox()
    started_s = wall_s()
    directory = runs / new_run_id(planned.recipe.document.file.rpartition("/")[2].partition(".")[0])

    async def main(loop: VirtualLoop) -> tuple[str, str, bool]:
        clock = VirtualClock(loop, planned.batch.model.date)
        world.follow(clock.now_ns)
        wires = memory_wires(planned.rig, world, clock)
        rig = OpenRig(planned.rig, operator or world.operator, wires, clock)
        record = Record.create(directory, meta_of(planned, seed, directory.name), durable=False)
        try:
            return await conduct(
                planned, rig, clock, record, inbox, watch, world=world, started_s=started_s
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
    world: World | None = None,
    started_s: float = 0.0,
) -> tuple[str, str, bool]:
    """Conduct a run on an opened rig, in virtual or real time.

    Returns the outcome, the cause of an early end, and whether the operator interrupted it.
    """
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
    )
    executor = Executor(Parts(run))
    inbox.receiver(lambda message: _received(executor, message))
    if watch is not None:
        watch(run)
    try:
        outcome = await executor.execute()
    finally:
        await rig.close()
    product = None if world is None else dict(world.product(clock.now_ns()))
    state = machine.state
    wall = wall_s() - started_s if started_s else None
    record.finish(clock.now_ns(), state.value, outcome, product=product, wall_s=wall)
    return outcome, machine.cause if state is State.SAFE else "", executor.interrupted


def twin_spec(planned: Plan, seed: int) -> TwinSpec:
    """Return the spec of the twin that a plan's dry run is made against."""
    reagents = {name: reagent.is_ for name, reagent in planned.recipe.head.reagents.items()}
    loads = planned.scene.loads.values()
    return twin_of(planned.rig, planned.vessel, loads, reagents, seed=seed)


def memory_wires(rig: LoadedRig, world: World, clock: Clock) -> WireMaker:
    """Return what makes the wires to a world's instruments."""

    def make(name: str, entry: PortEntry) -> Wire:
        kinds = [device.kind for device in rig.model.devices.values() if device.port == name]
        networked = bool(entry.tcp or entry.visa)
        baud = 0 if networked else entry.baud or max(map(line_baud, kinds), default=0)
        return MemoryWire(world.line(name), clock, baud=baud)

    return make


def meta_of(planned: Plan, seed: int, run_id: str, *, simulated: bool = True) -> RunMeta:
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
    )


def exit_code(outcome: str, *, interrupted: bool) -> ExitCode:
    """Return the exit code of an outcome."""
    if interrupted:
        return ExitCode.INTERRUPTED
    codes = {"complete": ExitCode.COMPLETE, "complete_with_deviations": ExitCode.DEVIATIONS}
    return codes.get(outcome, ExitCode.SAFE)


def _received(executor: Executor, message: object) -> None:
    if isinstance(message, Interrupt):
        executor.interrupt()


def _beside(recipe: Path) -> Path:
    """Return the batch sheet that lies beside a recipe.

    Raises:
        FindingsError: there is none.
    """
    beside = recipe.with_name(f"{recipe.name.removesuffix('.yaml')}.batch.yaml")
    if not beside.exists():
        message = (
            f"has no batch sheet beside it ({beside.name}); name today's with --batch, "
            "or copy one from recipes/ and fill in lots and volumes"
        )
        raise FindingsError([Mark(str(recipe)).finding("batch.missing", message)])
    return beside


def refusal(error: RefusedError) -> dict[str, Json]:
    """Return the findings object that goes with exit 2."""
    found = error.findings if isinstance(error, FindingsError) else ()
    rows: list[Json] = [
        {
            "rule": f.rule,
            "severity": f.severity.value,
            "file": f.file,
            "line": f.line,
            "column": f.column,
            "message": f.message,
        }
        for f in found
    ]
    if not rows:
        rows = [{"rule": "usage", "severity": "error", "file": "", "line": 0, "column": 0,
                 "message": str(error)}]  # fmt: skip
    return {"findings": rows}
