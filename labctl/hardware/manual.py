"""A manual run: a rig, a person at a terminal, and a plan whose one step is what they type.

It is conducted as every run on real instruments, guard, interlocks, record and safe state included,
but by the terminal's own process: whoever jogs a pump stands beside it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from labctl.check.due import cutout
from labctl.clock import WallClock
from labctl.control.desk import Desk
from labctl.engine.commands import Commands
from labctl.engine.executor import Executor
from labctl.engine.guarding import Guarding
from labctl.engine.machine import State
from labctl.engine.manual import Manual
from labctl.engine.run import Run
from labctl.errors import UsageError, nearest
from labctl.hardware.launch import GUARD_LOG
from labctl.loop import Inbox
from labctl.plan import Plan, plan
from labctl.readings import Event
from labctl.recipe.load import recipe_of
from labctl.record import Record
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.devices import PumpEntry
from labctl.rig.last_will import will_of
from labctl.rig.model import LoadedRig
from labctl.rig.opening import OpenRig
from labctl.rig.wires import hardware_wires
from labctl.session import conduct, meta_of
from labctl.source import compose, validate
from labctl.units import show

FILLING = "1-octadecene"
"""What a syringe is taken to hold for the ledger of volumes; nothing is dosed by amount."""

Say = Callable[[str], None]


def manual_plan(
    rig: LoadedRig, operator: str, now: dt.datetime, holds: Mapping[str, float | None]
) -> Plan:
    """Return the plan of a manual run.

    `holds` are the pumps that may be jogged, each with the °C at which its content must be kept,
    None where that is room temperature. While the test of a cut-out is overdue nothing is heated.

    Raises:
        UsageError: a pump that the rig does not have, or no vessel that is heated.
        FindingsError: the rig lacks what every run needs.
    """
    pumps = {n: e for n, e in rig.model.devices.items() if isinstance(e, PumpEntry)}
    for name in holds:
        if name not in pumps:
            raise UsageError(f"{rig.model.name} has no pump {name!r}{nearest(name, pumps)}")
    heated = [(name, vessel) for name, vessel in rig.model.vessels.items() if vessel.mantle]
    if not heated:
        raise UsageError(f"{rig.model.name} has no vessel with a mantle")
    name, vessel = heated[0]
    recipe = {
        "labctl": "recipe/1",
        "name": "manual",
        "needs": {"vessel": f"{vessel.volume} mL", "max_T": f"{vessel.max_T} C"},
        "reagents": {pump: {"is": FILLING, **_kept(kept)} for pump, kept in holds.items()},
        "stages": {"manual": [{"hold": {"for": "1 s"}}]},
    }
    loads = {p: {"pump": p, "drawn": f"{pumps[p].syringe.volume_ml} mL"} for p in holds}
    sheet = {"labctl": "batch/1", "date": f"{now:%Y-%m-%d %H:%M}", "sample": "manual",
             "operator": operator, "vessel": name, "loads": loads}  # fmt: skip
    batch = compose(json.dumps(sheet, ensure_ascii=False), "manual")
    planned = plan(
        recipe_of(compose(json.dumps(recipe, ensure_ascii=False), "manual.yaml"), {}),
        rig,
        LoadedBatch(validate(Batch, batch, ()), batch),
    )
    stale = "; ".join(finding.message for finding in cutout(planned))
    step = Manual(id="manual", no_heat=stale, on_fail=None, retries=1)
    return replace(planned, steps=(replace(planned.steps[0], step=step),))


def _kept(kept_c: float | None) -> dict[str, str]:
    return {} if kept_c is None else {"keep_at": f"{kept_c} C"}


class Console:
    """Between a terminal and a manual run: lines in, what came of them and what happens out."""

    def __init__(self, planned: Plan, clock: WallClock, operator: str, say: Say) -> None:
        step = planned.steps[0].step
        if not isinstance(step, Manual):
            raise UsageError("this plan is no manual one")
        self.desk = Desk(clock, self._asked)
        self._step = step
        self._operator = operator
        self._say = say
        self._shown: set[int] = set()
        self._run: Run | None = None
        self._executor: Executor | None = None

    def attend(self, executor: Executor, _: Commands) -> None:
        """Take commands for an executor from now on."""
        self._executor = executor

    def watch(self, run: Run) -> None:
        """Tell what happens in a run."""
        self._run = run
        run.bus.subscribe(self._told)

    def abort(self, reason: str) -> None:
        """End the run to the safe state."""
        if self._executor is not None:
            self._executor.abort(reason)

    def interrupt(self) -> None:
        """End the run as Ctrl-C does."""
        if self._executor is not None:
            self._executor.interrupt()

    def at_once(self, line: str) -> bool:
        """Do what must not wait for the command that runs; say whether it was such."""
        verb, _, rest = line.partition(" ")
        if verb == "stop":
            if self._executor is not None:
                self._executor.redirect("retry")
            self._written(verb, "")
        elif verb == "answer":
            number, _, text = rest.partition(" ")
            known = number.isascii() and number.isdigit()
            reason = "write `answer N TEXT`"
            if known:
                reason = self.desk.answer(int(number), text, [self._operator])
            self._written(verb, reason)
            if reason:
                self._say(f"  not done: {reason}")
        elif verb == "read":
            self._say("\n".join(self._readings(rest.strip())))
        else:
            return False
        return True

    async def typed(self, line: str) -> None:
        """Do a line after those before it; `quit` ends the run."""
        run = self._run
        held = run is not None and run.machine.state in {State.HOLDING, State.HELD, State.RESUMING}
        if line == "quit":
            self._written("quit", "")
            if held:
                self.abort(f"{self._operator} quit while the run was held")
            self._step.quit()
            return
        if run is not None and held:
            reason = f"the run is {run.machine.state.value}: answer what is asked, or `quit`"
        else:
            reason = await self._done(line)
        self._written(line, reason)
        if reason:
            self._say(f"  not done: {reason}")

    async def _done(self, line: str) -> str:
        try:
            self._say(f"  {await self._step.typed(line)}")
        except UsageError as error:
            return str(error)
        return ""

    def left_on(self) -> list[str]:
        """Say what is on or open, for when the person leaves."""
        run = self._run
        if run is None:
            return []
        on = [f"{name} is on or open" for name, state in sorted(run.commanded.items()) if state]
        speed = run.signals.value("stirrer.speed")
        return [*on, f"the bar turns at {show(speed, 'rotation')}"] if speed else on

    def _written(self, line: str, reason: str) -> None:
        run = self._run
        if run is not None:
            now_ns = run.clock.now_ns()
            run.record.command(now_ns, self._operator, line, accepted=not reason, reason=reason)

    def _readings(self, begins: str) -> list[str]:
        run = self._run
        if run is None:
            return ["  nothing is read yet"]
        rows = []
        for name in sorted(run.signals.latest):
            if name.startswith(begins):
                value, dimension = run.signals.value(name), run.signals.dimension(name)
                rows.append(
                    f"  {name:<24} {'unknown' if value is None else show(value, dimension)}"
                )
        return rows or [f"  no signal begins with {begins!r}"]

    def _told(self, message: object) -> None:
        if isinstance(message, Event) and message.level != "info":
            self._say(f"  ! {message.message}")

    def _asked(self) -> None:
        for pending in self.desk.pending:
            if pending.number not in self._shown:
                self._shown.add(pending.number)
                choices = " | ".join(pending.task.choices) or "done | no"
                number = pending.number
                self._say(f"  ? {pending.task.text}\n    answer {number} {choices}")


async def conduct_manual(
    planned: Plan, directory: Path, console: Console, clock: WallClock
) -> tuple[str, str, bool]:
    """Conduct a manual run; return its outcome, the cause of an early end, and if interrupted."""
    meta = meta_of(planned, 0, directory.name, simulated=False)
    record = Record.create(directory, meta, durable=True)
    try:
        rig = OpenRig(planned.rig, console.desk, hardware_wires(planned.rig, clock), clock)
        log = directory / GUARD_LOG
        guarding = Guarding(lambda: will_of(rig, os.getpid()), log, clock, console.abort)
        return await conduct(
            planned, rig, clock, record, Inbox(), console.watch, guarding=guarding,
            attend=console.attend,
        )  # fmt: skip
    finally:
        record.close()


async def in_turn(lines: asyncio.Queue[str], console: Console) -> None:
    """Do lines one after the other, until cancelled."""
    while True:
        await console.typed(await lines.get())
