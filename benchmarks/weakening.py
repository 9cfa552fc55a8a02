"""Takes one safety rule out of a run before it starts; the mutation run sees who notices.

Each weakening changes one live object, never the source. `provoked` does in a run what a wrong step
would ask for, which nothing in labctl does by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import cast

from labctl.capabilities import SyringePump
from labctl.clock import NS
from labctl.engine.executor import Executor
from labctl.engine.run import Run
from labctl.errors import LabctlError
from labctl.rules import Interlock

Weaken = Callable[[Run, Executor], None]
Does = Callable[[Run, Executor], Awaitable[object]]


def interlock(id_: str) -> Weaken:
    """Leave an interlock of the rig, or one that the plan gives, out."""

    def weaken(_run: Run, executor: Executor) -> None:
        interlocks = executor.parts.interlocks
        add = interlocks.add

        def less(
            rules: Iterable[Interlock], aliases: Mapping[str, str], unchecked: Collection[str] = ()
        ) -> None:
            add([rule for rule in rules if rule.id != id_], aliases, unchecked)

        interlocks.add = less  # type: ignore[method-assign]

    return weaken


def thermal(id_: str) -> Weaken:
    """Leave one of R1 to R9 out."""

    def weaken(_run: Run, executor: Executor) -> None:
        parts = executor.parts
        verification = parts.verification

        def less(aliases: Mapping[str, str]) -> object:
            found = verification(aliases)
            watch = found._watch
            watch._rules = [row for row in watch._rules if row[0] != id_]
            watch._range = watch._range and id_ != "R1"
            return found

        parts.verification = less  # type: ignore[method-assign,assignment]

    return weaken


def lost(name: str) -> Weaken:
    """Do nothing when an instrument falls silent."""

    def weaken(_run: Run, executor: Executor) -> None:
        comms = executor.parts.comms
        told = comms._violated
        comms._violated = lambda rule, why: None if rule.id == f"lost_{name}" else told(rule, why)

    return weaken


def without(path: str) -> Weaken:
    """Make a function of the executor, found by its path, do nothing."""

    def weaken(_run: Run, executor: Executor) -> None:
        *way, last = path.split(".")
        owner: object = executor
        for name in way:
            owner = getattr(owner, name)
        if owner is None:
            return
        waits = asyncio.iscoroutinefunction(getattr(owner, last))
        setattr(owner, last, _nothing_later if waits else _nothing)

    return weaken


def action(key: str) -> Weaken:
    """Leave one action out of every way to the safe state."""

    def weaken(_run: Run, executor: Executor) -> None:
        safe = executor._ending.safe
        safe._do = {**safe._do, key: _nothing_later}

    return weaken


def guard(_run: Run, executor: Executor) -> None:
    """Let the guard hear and say nothing."""
    logic = executor._guarding._logic  # type: ignore[union-attr]
    logic.judge = lambda now_s: ""


def dose_cap(_run: Run, executor: Executor) -> None:
    """Give a dose whole, whatever was given of it."""
    executor.parts.doses._missing_ml = lambda given: given.row.commanded_ml or 0.0  # type: ignore[method-assign]


def dose_waits(_run: Run, executor: Executor) -> None:
    """Let a dose wait for its pump, however long that is silent."""
    executor.parts.doses._lost = lambda pump: False  # type: ignore[method-assign]


def dose_runs_on(_run: Run, executor: Executor) -> None:
    """Leave a pump running when its dose is given up."""

    async def settled(*_: object) -> float:
        return 1e9

    executor.parts.doses._settled = settled  # type: ignore[method-assign]


def hf_never(_run: Run, executor: Executor) -> None:
    """Begin every step again that was cut off."""
    if executor._resumption is not None:
        executor._resumption.begins_again = _yes  # type: ignore[method-assign]


def heat_first(run: Run, executor: Executor) -> None:
    """Neither cut the heat at once, nor switch it off on the way."""
    executor._ending._cut_heat = _nothing_later  # type: ignore[method-assign]
    action("heater")(run, executor)
    run.heat.off = _nothing_later  # type: ignore[method-assign]


def contactor(_run: Run, executor: Executor) -> None:
    """Never open the contactor, not at the end either."""
    guarding = executor._guarding
    if guarding is not None:
        guarding.cut = _nothing  # type: ignore[method-assign]
        guarding.end = _nothing_later  # type: ignore[method-assign]
        executor._ending.safe._cut = _nothing


def clock_stands(run: Run, _executor: Executor) -> None:
    """Count the time in which the run is held."""
    elapsed = run.elapsed
    freeze = elapsed.freeze

    def freezes() -> None:
        freeze()
        since_ns = elapsed._since_ns
        elapsed.thaw()
        elapsed._frozen_ns -= 0 if since_ns is None else run.clock.now_ns() - since_ns

    elapsed.freeze = freezes  # type: ignore[method-assign]


def settle(run: Run, _executor: Executor) -> None:
    """Settle no intent."""
    run.record.settle = _nothing  # type: ignore[method-assign]


def provoked(at_s: float, does: Does) -> Weaken:
    """Do something at a time, as a wrong step would; what is refused is refused."""

    def weaken(run: Run, executor: Executor) -> None:
        async def wrong() -> None:
            await run.clock.sleep_until(round(at_s * NS))
            with contextlib.suppress(LabctlError):
                await does(run, executor)

        executor._background.append(asyncio.create_task(wrong(), name="a wrong step"))

    return weaken


def valves(*asked: tuple[str, bool]) -> Does:
    """Ask for valves, one after the other, through their gates."""

    async def does(run: Run, executor: Executor) -> None:
        for name, open_ in asked:
            output = run.rig.valve(name)
            gate = await executor.parts.interlocks.permit(name) if open_ else None
            await output.board.switch(output.name, open_, gate)
            run.commanded[name] = open_

    return does


def dose(pump: str, volume_ml: float, rate_ml_min: float) -> Does:
    """Ask for a dose by the way, through the pump's gate."""

    async def does(run: Run, executor: Executor) -> None:
        await executor.parts.people.hand("needle", f"tip.{pump}", 1.0)
        device = cast("SyringePump", run.rig.devices[pump])
        gate = await executor.parts.interlocks.permit(pump)
        load = next(row for row in run.plan.scene.loads.values() if row.pump == pump)
        await executor.parts.doses._line(load, open_=True)
        await device.infuse(volume_ml, rate_ml_min, gate)

    return does


async def unsigned(run: Run, _executor: Executor) -> None:
    """Forget who signed."""
    run.signed.clear()


def _nothing(*_: object, **__: object) -> None:
    pass


async def _nothing_later(*_: object, **__: object) -> None:
    pass


async def _yes(*_: object) -> bool:
    return True
